//! Answers of the file system to the classifier's questions.

use ice_core::cmdline::{FileKind, Files};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The files as a process sees them whose current folder is `folder`.
#[derive(Debug)]
pub struct HostFiles {
    folder: PathBuf,
}

impl HostFiles {
    /// Relative paths are taken from `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }
}

impl Files for HostFiles {
    fn kind(&self, path: &[u8]) -> FileKind {
        match std::fs::metadata(self.folder.join(OsStr::from_bytes(path))) {
            Ok(meta) if meta.is_file() => FileKind::Regular,
            Ok(_) => FileKind::Other,
            Err(_) => FileKind::Absent,
        }
    }

    fn readable(&self, path: &[u8]) -> bool {
        let path = self.folder.join(OsStr::from_bytes(path));
        rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok()
    }
}
