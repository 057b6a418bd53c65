//! Answers of the file system to the classifier's questions.

use ice_core::cmdline::{FileKind, Files};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longest text that is looked through.
const TEXT_MAX: u64 = 1 << 20;

/// The files as a process sees them whose current folder is `folder`. By default it is our own, whose name is not needed: it may be
/// too long, or lead through a folder that we may not search.
#[derive(Debug, Default)]
pub struct HostFiles {
    folder: PathBuf,
}

impl HostFiles {
    /// Relative paths are taken from `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }
}

/// Fills `room` as far as there is something to read. Returns the number of bytes.
pub(super) fn read_full(from: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = room.get_mut(n..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(n)
}

/// The value of `PWD`, if it is another name of the current directory than its real path. The rule is that of the compilers.
pub(super) fn name_in_pwd(folder: &Path) -> Option<OsString> {
    let name = std::env::var_os("PWD").filter(|name| name != folder && Path::new(name).is_absolute())?;
    let (named, real) = (std::fs::metadata(&name).ok()?, std::fs::metadata(folder).ok()?);
    ((named.dev(), named.ino()) == (real.dev(), real.ino())).then_some(name)
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

    fn text(&self, path: &[u8]) -> Option<Vec<u8>> {
        let file = File::open(self.folder.join(OsStr::from_bytes(path))).ok()?;
        let mut text = Vec::new();
        let length = file.take(TEXT_MAX).read_to_end(&mut text).ok()?;
        ((length as u64) < TEXT_MAX).then_some(text)
    }
}
