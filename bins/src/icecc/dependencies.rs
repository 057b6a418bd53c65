//! Dependency files as they were before the preprocessor's run wrote them.
//!
//! A compiler that refuses an option, or that runs after all on this host, finds and leaves them as if there had been no such run.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A larger one is not restored: no dependency file is, and it is held in memory.
const SIZE_MAX: u64 = 8 << 20;

/// What stood at the places of dependency files.
#[derive(Debug, Default)]
pub(super) struct Before {
    files: Vec<(PathBuf, Option<Old>)>,
}

/// A file that was there.
#[derive(Debug)]
struct Old {
    content: Vec<u8>,
    modified: SystemTime,
    mark: Mark,
}

/// Differs after each change of a file: inode, time of change, size.
type Mark = (u64, (i64, i64), u64);

fn mark(meta: &Metadata) -> Mark {
    (meta.ino(), (meta.ctime(), meta.ctime_nsec()), meta.len())
}

impl Before {
    /// Looks at each of `files`, relative to the working directory. What is no regular file cannot be restored.
    pub(super) fn of(files: &[Vec<u8>]) -> Self {
        let old = |path: &Path| -> io::Result<Option<Old>> {
            let meta = match fs::metadata(path) {
                Ok(meta) if meta.is_file() && meta.len() <= SIZE_MAX => meta,
                Ok(_) => return Err(io::ErrorKind::InvalidInput.into()),
                // A link that leads to nothing is there all the same.
                Err(err) if fs::symlink_metadata(path).is_ok() => return Err(err),
                Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(err) => return Err(err),
            };
            Ok(Some(Old { content: fs::read(path)?, modified: meta.modified()?, mark: mark(&meta) }))
        };
        let paths = files.iter().map(|file| PathBuf::from(OsStr::from_bytes(file)));
        Self { files: paths.filter_map(|path| old(&path).ok().map(|old| (path, old))).collect() }
    }

    /// Makes them what they were.
    pub(super) fn restore(self) {
        for (path, old) in self.files {
            let restored = match (old, fs::metadata(&path)) {
                (None, Ok(now)) if now.is_file() => fs::remove_file(&path),
                (Some(old), now) if now.as_ref().map(mark).ok() != Some(old.mark) => write_back(&path, &old),
                _ => Ok(()),
            };
            if let Err(err) = restored {
                log::warn!("cannot restore {}: {err}", path.display());
            }
        }
    }
}

fn write_back(path: &Path, old: &Old) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&old.content)?;
    file.set_times(FileTimes::new().set_modified(old.modified))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_what_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["changed", "same", "removed", "replaced"] {
            fs::write(path(name), name).unwrap();
        }
        let names = ["changed", "same", "removed", "replaced", "new", "nothing"];
        let paths = names.map(|name| path(name).into_os_string().into_encoded_bytes());
        let modified = |name| fs::metadata(path(name)).unwrap().modified().unwrap();
        let (changed, same) = (modified("changed"), mark(&fs::metadata(path("same")).unwrap()));
        let before = Before::of(&paths);
        fs::write(path("changed"), "other").unwrap();
        fs::write(path("new"), "other").unwrap();
        fs::remove_file(path("removed")).unwrap();
        fs::write(path("other"), "other").unwrap();
        fs::rename(path("other"), path("replaced")).unwrap();
        before.restore();
        for name in ["changed", "same", "removed", "replaced"] {
            assert_eq!(fs::read_to_string(path(name)).unwrap(), name);
        }
        assert_eq!((modified("changed"), mark(&fs::metadata(path("same")).unwrap())), (changed, same));
        assert!(!path("new").exists() && !path("nothing").exists());
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_path_buf().into_os_string().into_encoded_bytes();
        let before = Before::of(&[path, b"/dev/null".to_vec()]);
        assert!(before.files.is_empty());
    }
}
