//! At most one preprocessor, or local compiler without daemon, per CPU and user: one `flock` per CPU
//! (decision: cpu-locks).
//!
//! The kernel gives a lock back when its holder dies. Any trouble with the folder means going on without a lock: a slow
//! machine is better than a failed build.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::env;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longest wait of a preprocessor: whoever holds a lock that long is stuck, not busy.
pub(super) const PREPROCESSOR_WAIT: Duration = Duration::from_secs(60);
/// Pauses between two rounds over all locks.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(16);

/// A CPU's lock, held until dropped.
#[derive(Debug)]
pub(super) struct CpuLock(OwnedFd);

impl CpuLock {
    /// Waits for a CPU, at most `limit` if there is one. `None`: go on without.
    pub(super) fn take(limit: Option<Duration>) -> Option<Self> {
        let folder = Some(own_folder()?.join("cpus")).filter(|folder| make_private(folder))?;
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        let first = usize::try_from(std::process::id()).unwrap_or(0);
        let start = Instant::now();
        let mut pause = PAUSE_MIN;
        loop {
            for place in 0..cpus {
                match try_lock(&folder.join(format!("cpu{}", (first + place) % cpus))) {
                    Ok(Some(lock)) => return Some(Self(lock)),
                    Ok(None) => {}
                    Err(err) => {
                        log::warn!("cannot lock a CPU in {}: {err}", folder.display());
                        return None;
                    }
                }
            }
            if limit.is_some_and(|limit| start.elapsed() >= limit) {
                log::warn!("no CPU became free within {} s", start.elapsed().as_secs());
                return None;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The lock shall live as long as the program that this process becomes.
    pub(super) fn survive_exec(&self) {
        let _ = rustix::io::fcntl_setfd(&self.0, rustix::io::FdFlags::empty());
    }
}

fn try_lock(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::RUSR | Mode::WUSR)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(err) => Err(err),
    }
}

/// A folder for small things of this user's clients: in the session's runtime folder, else in the cache folder, else, for a
/// service or a build's sandbox without a home, among temporary files.
pub(super) fn own_folder() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(find_own_folder).as_deref()
}

fn find_own_folder() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_RUNTIME_DIR")
        .filter(|path| is_private(path))
        .or_else(|| set("XDG_CACHE_HOME"))
        // A home that is not there is nobody's to make.
        .or_else(|| set("HOME").filter(|home| home.is_dir()).map(|home| home.join(".cache")));
    let lasting = base.map(|base| base.join("icecream-rs"));
    // Compilers do without a folder that TMPDIR names and that is not there, too.
    let temporary = Some(env::temp_dir()).filter(|folder| folder.is_dir()).unwrap_or_else(|| "/tmp".into());
    let temporary = temporary.join(format!("icecream-rs-{}", rustix::process::geteuid().as_raw()));
    lasting.into_iter().chain([temporary]).find(|folder| make_private(folder))
}

fn make_private(folder: &Path) -> bool {
    if !is_private(folder) {
        let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    }
    is_private(folder)
}

/// A real folder of ours that nobody else can write to.
fn is_private(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|meta| {
        meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.permissions().mode() & 0o022 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cpu0");
        let held = try_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }

    #[test]
    fn foreign_places_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(!is_private(&link));
        assert!(try_lock(&link).is_err());
        assert!(!is_private(Path::new("/nonexistent")));
    }
}
