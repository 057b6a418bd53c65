//! Directories and outputs of a job in its `/tmp`: made, handed over, removed.

use crate::error::Error;
use crate::factory::TMP_FILES_MAX;
use std::fs::{self, DirBuilder, DirEntry, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Directories and outputs of a job. All paths are relative to `/tmp` of the sandbox and were checked by the caller.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Directories to create.
    pub dirs: Vec<Vec<u8>>,
    /// The working directory.
    pub cwd: Vec<u8>,
    /// The object: handed over after exit status 0, if the path is not empty.
    pub object: Vec<u8>,
    /// The `.dwo` file: handed over after exit status 0, if it exists.
    pub dwo: Vec<u8>,
    /// Whether `/tmp` outlives the job, so that what the job created there must be removed.
    pub clean: bool,
}

/// An absolute path for one relative to `/tmp`.
pub(crate) fn below_tmp(path: &[u8]) -> PathBuf {
    Path::new("/tmp").join(std::ffi::OsStr::from_bytes(path))
}

/// Creates the job's directories.
pub(crate) fn make_dirs(files: &Files) -> Result<(), Error> {
    for dir in files.dirs.iter().chain([&files.cwd]).filter(|d| !d.is_empty()) {
        let path = below_tmp(dir);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(Error::step(format!("make directory {}", path.display())))?;
    }
    Ok(())
}

/// Opens an output. A missing file is no output; anything but a regular file is an error.
pub(crate) fn output(path: &[u8]) -> Result<Option<OwnedFd>, Error> {
    if path.is_empty() {
        return Ok(None);
    }
    let path = below_tmp(path);
    // O_NONBLOCK, as opening a fifo would wait for a writer.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
    let what = || format!("hand over {}", path.display());
    match opened {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Step { step: what(), source }),
        Ok(file) if file.metadata().is_ok_and(|m| m.is_file()) => Ok(Some(file.into())),
        Ok(_) => Err(Error::Step { step: what(), source: io::Error::other("not a regular file") }),
    }
}

/// Empties the job's own `/tmp` once its outputs are open. An open output keeps the whole file system in memory,
/// charged to the slot, until somebody has read it. Files that the environment shows there are on another file system,
/// and stay.
///
/// No process of the job runs any more, and this process has no more rights than the job had, so no file name can
/// mislead it.
pub(crate) fn empty_tmp(tmp: &Path) {
    let Ok(device) = fs::metadata(tmp).map(|m| m.dev()) else { return };
    let list = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().collect::<Vec<_>>();
    let open_up = |dir: &Path| fs::set_permissions(dir, Permissions::from_mode(0o700));
    // Nested directories are moved to the top, each once, so that their depth does not matter.
    let mut moves = 0..2 * TMP_FILES_MAX;
    let mut is_done = false;
    while !std::mem::replace(&mut is_done, true) {
        for entry in list(tmp) {
            let path = entry.path();
            if !is_dir(&entry) {
                let _ = fs::remove_file(path);
            } else if entry.metadata().is_ok_and(|m| m.dev() == device) {
                let _ = open_up(&path);
                for inner in list(&path) {
                    let inner_path = inner.path();
                    if !is_dir(&inner) {
                        let _ = fs::remove_file(inner_path);
                    } else if let Some(number) = moves.next() {
                        let _ = open_up(&inner_path);
                        let _ = fs::rename(inner_path, tmp.join(format!("moved-{number}")));
                        is_done = false;
                    }
                }
                let _ = fs::remove_dir(path);
            }
        }
    }
}

/// Whether a directory entry is a directory, without following a link.
fn is_dir(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|t| t.is_dir())
}

/// Removes the job's files in a shared `/tmp`. After a failure they stay until the environment is removed.
pub(crate) fn clean(files: &Files) {
    for path in [&files.object, &files.dwo].into_iter().filter(|p| !p.is_empty()) {
        let _ = fs::remove_file(below_tmp(path));
    }
    for dir in files.dirs.iter().chain([&files.cwd]) {
        let top: Vec<u8> = dir.iter().copied().take_while(|&b| b != b'/').collect();
        if !top.is_empty() {
            let _ = fs::remove_dir_all(below_tmp(&top));
        }
    }
}
