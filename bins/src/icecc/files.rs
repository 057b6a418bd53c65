//! Answers of the file system to the classifier's questions.

use ice_core::cmdline::{FileKind, Files};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest list that is looked through.
const LIST_MAX: u64 = 1 << 20;

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
            Ok(meta) if meta.is_dir() => FileKind::Folder,
            Ok(_) if path == b"/dev/null" => FileKind::Nothing,
            Ok(_) => FileKind::Other,
            Err(_) => FileKind::Absent,
        }
    }

    fn readable(&self, path: &[u8]) -> bool {
        let path = self.folder.join(OsStr::from_bytes(path));
        rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok()
    }

    fn names_sources(&self, path: &[u8]) -> bool {
        let Ok(file) = File::open(self.folder.join(OsStr::from_bytes(path))) else { return false };
        let mut text = Vec::new();
        // Of one that is longer the worst is assumed.
        match file.take(LIST_MAX).read_to_end(&mut text) {
            Ok(n) if (n as u64) < LIST_MAX => {}
            _ => return true,
        }
        let mut lines = text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_start);
        lines.any(|line| line.starts_with(b"src:") || line.starts_with(b"mainfile:"))
    }
}
