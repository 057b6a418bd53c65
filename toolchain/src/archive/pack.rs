//! Writes a plan to an archive: it is hashed first, then written, then renamed to the name derived from its content.

use super::Compression;
use super::compress::compress;
use super::tar_writer::{PackError, Prepared, TarStream, prepare, tar_size};
use crate::digest::content_name;
use crate::plan::Plan;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A plan whose content digest, and so whose name, is known; ready to be written.
pub struct Sealed {
    members: Vec<Prepared>,
    digest: [u8; 32],
    size: u64,
}

/// An archive on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The archive's path.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Sealed {
    /// Reads all files once to compute the name. Fails if one cannot be read.
    pub fn new(plan: &Plan) -> Result<Self, PackError> {
        let members = prepare(plan)?;
        let mut nothing = |_| {};
        let mut stream = TarStream::new(&members, &mut nothing);
        if let Err(e) = io::copy(&mut io::BufReader::with_capacity(1 << 18, &mut stream), &mut io::sink()) {
            return Err(stream.error.take().unwrap_or(PackError::Source { path: PathBuf::new(), source: e }));
        }
        let digest = *stream.hasher.finalize().as_bytes();
        let size = tar_size(&members);
        Ok(Self { members, digest, size })
    }

    /// The environment's name: 64 hex digits.
    pub fn name(&self) -> String {
        content_name(&self.digest)
    }

    /// BLAKE3 digest of the uncompressed tar.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Size of the uncompressed tar in bytes.
    pub fn tar_bytes(&self) -> u64 {
        self.size
    }

    /// The archive's file name.
    pub fn file_name(&self, compression: Compression) -> String {
        format!("{}.tar{}", self.name(), compression.ending())
    }

    /// Writes the archive into `dir` under [`Sealed::file_name`], atomically replacing an older one at the very end. On
    /// any failure, and when the process is killed, no new file is left. `progress` is called with the number of bytes
    /// done, of [`Sealed::tar_bytes`].
    ///
    /// `xz_level` is 6 except in tests. Fails if a file changed since [`Sealed::new`], or the archive cannot be
    /// written.
    pub fn write(
        &self,
        compression: Compression,
        xz_level: u32,
        dir: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Packed, PackError> {
        let path = dir.join(self.file_name(compression));
        let failed = |source| PackError::Write { path: path.clone(), source };
        let out = PendingFile::create(dir).map_err(failed)?;
        let mut stream = TarStream::new(&self.members, progress);
        let written = compress(compression, xz_level, &mut stream, self.size, &out.file);
        if let Some(error) = stream.error.take() {
            return Err(error);
        }
        written.map_err(failed)?;
        if stream.hasher.finalize().as_bytes() != &self.digest {
            return Err(PackError::ChangedSomewhere);
        }
        let bytes = out.file.metadata().map_err(failed)?.len();
        out.publish(&path).map_err(failed)?;
        Ok(Packed { path, bytes })
    }
}

/// A file without a name until it is complete, so that nothing is left in any case. On a file system without such files
/// it is a file with a provisional name, which is removed on failure.
struct PendingFile {
    file: File,
    /// The provisional name while the file has it.
    name: Option<PathBuf>,
    /// A name in the same directory for use until the file is complete.
    provisional: PathBuf,
}

impl PendingFile {
    /// Creates the file, without a name if the file system permits.
    fn create(dir: &Path) -> io::Result<Self> {
        let provisional = dir.join(format!(".icecc-env.{}", std::process::id()));
        let mode = Mode::from_raw_mode(0o666);
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(fd) = rustix::fs::openat(CWD, dir, flags, mode) {
            return Ok(Self { file: File::from(fd), name: None, provisional });
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&provisional)?;
        Ok(Self { file, name: Some(provisional.clone()), provisional })
    }

    /// Gives the complete file its name.
    fn publish(mut self, path: &Path) -> io::Result<()> {
        if self.name.is_none() {
            // A new link cannot replace an existing file: so link to the provisional name, then rename.
            let from = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            rustix::fs::linkat(CWD, from.as_str(), CWD, &self.provisional, AtFlags::SYMLINK_FOLLOW)?;
            self.name = Some(self.provisional.clone());
        }
        fs::rename(&self.provisional, path)?;
        self.name = None;
        Ok(())
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // If removal fails too, nothing more can be done.
            let _ = fs::remove_file(name);
        }
    }
}
