//! A plan becomes a file: hashed first, then written, then renamed to the name that its content gives.

use super::Compression;
use super::canonical::{PackError, Prepared, TarStream, prepare, tar_size};
use super::compress::compress;
use crate::digest::content_name;
use crate::plan::Plan;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A plan whose content and so whose name is known, ready to be written.
pub struct Sealed {
    members: Vec<Prepared>,
    digest: [u8; 32],
    size: u64,
}

/// An archive on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl Sealed {
    /// Reads everything once, to know the name.
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

    /// BLAKE3 of the tar.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Bytes of the tar.
    pub fn tar_bytes(&self) -> u64 {
        self.size
    }

    /// The archive's file name.
    pub fn file_name(&self, compression: Compression) -> String {
        format!("{}.tar{}", self.name(), compression.ending())
    }

    /// Writes the archive into `folder`, under its own name, replacing an older one at the very end. On any failure, and
    /// when the process is killed, nothing new is left. `progress` is told how many bytes of [`Sealed::tar_bytes`] are done.
    ///
    /// `xz_level` is 6 for everybody but 1.4's own tests.
    pub fn write(
        &self,
        compression: Compression,
        xz_level: u32,
        folder: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Packed, PackError> {
        let path = folder.join(self.file_name(compression));
        let failed = |source| PackError::Write { path: path.clone(), source };
        let out = Output::create(folder).map_err(failed)?;
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

/// A file that has no name until it is complete, so that nothing is left whatever happens; where the file system has no such
/// files, one with a name of its own that is removed on failure.
struct Output {
    file: File,
    /// The provisional name, where one is needed.
    name: Option<PathBuf>,
    provisional: PathBuf,
}

impl Output {
    fn create(folder: &Path) -> io::Result<Self> {
        let provisional = folder.join(format!(".icecc-env.{}", std::process::id()));
        let mode = Mode::from_raw_mode(0o666);
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(fd) = rustix::fs::openat(CWD, folder, flags, mode) {
            return Ok(Self { file: File::from(fd), name: None, provisional });
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&provisional)?;
        Ok(Self { file, name: Some(provisional.clone()), provisional })
    }

    fn publish(mut self, path: &Path) -> io::Result<()> {
        if self.name.is_none() {
            // A link cannot replace an older archive: link beside it, and rename.
            let from = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            rustix::fs::linkat(CWD, from.as_str(), CWD, &self.provisional, AtFlags::SYMLINK_FOLLOW)?;
            self.name = Some(self.provisional.clone());
        }
        fs::rename(&self.provisional, path)?;
        self.name = None;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nothing more can be done about it than has been tried.
            let _ = fs::remove_file(name);
        }
    }
}
