//! Archives of environments: packing and unpacking in every compression.

mod compress;
mod decompress;
mod error;
mod limits;
mod pack;
mod summary;
mod tar_reader;
mod tar_writer;
mod unpack;

pub use error::UnpackError;
pub use limits::UnpackLimits;
pub use pack::{Packed, Sealed};
pub use summary::{Summary, holds, summarize};
pub use tar_writer::PackError;
pub use unpack::{Unpacked, unpack};

use std::fmt;

/// The compression of an archive. When reading, it is detected from the content, never from the file's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// An uncompressed tar.
    None,
    /// gzip: what 1.4 makes, and every version accepts.
    #[default]
    Gzip,
    /// bzip2: small and slow.
    Bzip2,
    /// xz: the smallest, and the slowest to make.
    Xz,
    /// zstd: the fastest overall on networks of up to some GBit/s; compile servers accept it from protocol 42 on.
    Zstd,
    /// lz4: for networks that are faster than zstd; only between our own programs.
    Lz4,
}

impl Compression {
    /// Parses a value of `--compression` or ICECC_ENV_COMPRESSION.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"none" => Self::None,
            b"gzip" | b"gz" => Self::Gzip,
            b"bzip2" | b"bz2" => Self::Bzip2,
            b"xz" => Self::Xz,
            b"zstd" => Self::Zstd,
            b"lz4" => Self::Lz4,
            _ => return None,
        })
    }

    /// The suffix of the archive's name after `.tar`.
    pub fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Bzip2 => ".bz2",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Lz4 => ".lz4",
        }
    }

    /// Detects the compression by the first bytes of an archive. `None`: not compressed, or unknown.
    pub fn detect(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // zstd's magic number, or a skippable frame before the first real one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        })
    }
}
