//! How much an untrusted archive may take of the host that unpacks it.

/// Limits for one archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of the compressed archive.
    pub compressed: u64,
    /// Bytes of the uncompressed tar, over all members of the compression format.
    pub expanded: u64,
    /// Ratio of uncompressed to compressed bytes so far.
    pub ratio: u64,
    /// Number of members, including directories that are created because a member's name needs them.
    pub entries: u32,
    /// Bytes of all their names and link targets, which are kept in memory.
    pub names: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of one name.
    pub name: usize,
    /// Components of one name.
    pub depth: usize,
    /// zstd's window as a power of two: 27 is what 1.4 accepts; the small profile sets 23
    /// (decision: environment-compression).
    pub zstd_window_log: u32,
    /// Memory of the xz decoder in KiB, which is mostly its dictionary.
    pub xz_memory_kib: u32,
    /// Bytes of the disk that must stay free, whoever else writes to it meanwhile.
    pub disk_kept: u64,
    /// Whether to compute 1.4's name too ([`Unpacked::md5_name`](super::Unpacked::md5_name)), which hashes everything a second time.
    pub md5_name: bool,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            compressed: 512 << 20,
            expanded: 4 << 30,
            ratio: 200,
            entries: 100_000,
            names: 32 << 20,
            file: 1 << 30,
            name: 4096,
            depth: 64,
            zstd_window_log: 27,
            xz_memory_kib: 160 << 10, // a good two times the 65 MiB of xz -9
            disk_kept: 0,
            md5_name: false,
        }
    }
}
