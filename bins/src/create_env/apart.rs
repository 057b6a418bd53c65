//! Made for a daemon: apart from that daemon's own files and processes.
//!
//! A local user may ask for an environment of any program, which is then run to be asked for its parts, and with the daemon's user.
//! It must not reach what that user has: the daemon names these folders ([`HIDES`]), and here they are empty; what the program
//! leaves running ends with us. Where a user may not have namespaces everything is as it was without: an ordinary child
//! (decision: identities).

use ice_sandbox::apply::{SingleThread, perform, reap};
use ice_sandbox::plan::{Step, c};
use nix::sched::CloneFlags;
use nix::unistd::{getegid, geteuid};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The variable with the folders to hide, colons between them.
pub(crate) const HIDES: &str = "ICECC_CREATE_ENV_HIDES";
/// Exit code of a first process that could not be set apart. No failure of the work has it.
const CANNOT: u8 = 125;

/// Does `work` apart, if it is asked for and possible; its exit code.
pub(super) fn run(work: &dyn Fn() -> u8) -> Option<u8> {
    let hidden = env::var_os(HIDES)?;
    // Root has no need of namespaces to do what it likes, and would lose the right to try the environment.
    if geteuid().is_root() {
        return None;
    }
    let steps = steps(&folders(&hidden), &env::current_dir().ok()?);
    let single = SingleThread::check().ok()?;
    let first = || {
        let made = perform(&steps);
        // The next child is the first process of the new namespace: with it ends whatever it has started.
        match made {
            Ok(()) => wait(single.fork(|| worker(work)).is_ok()).into(),
            Err(e) => {
                log::debug!("not set apart: {e}");
                CANNOT.into()
            }
        }
    };
    let code = wait(single.fork(first).is_ok());
    (code != CANNOT).then_some(code)
}

fn worker(work: &dyn Fn() -> u8) -> i32 {
    match perform(&[Step::NoCapabilities, Step::NoNewPrivileges, Step::DieWithParent]) {
        Ok(()) => work().into(),
        Err(_) => CANNOT.into(),
    }
}

/// The exit code of the only child.
fn wait(has_child: bool) -> u8 {
    let ended = if has_child { reap(true) } else { None };
    let code = ended.filter(|(_, status, _)| libc::WIFEXITED(*status)).map(|(_, status, _)| libc::WEXITSTATUS(status));
    match (has_child, code.and_then(|code| u8::try_from(code).ok())) {
        (false, _) => CANNOT,
        (true, Some(code)) => code,
        (true, None) => 1,
    }
}

/// Those that are there, by their true names.
fn folders(list: &OsStr) -> Vec<PathBuf> {
    let names = list.as_bytes().split(|b| *b == b':').filter(|name| !name.is_empty());
    names.filter_map(|name| fs::canonicalize(OsStr::from_bytes(name)).ok()).filter(|path| path.is_dir()).collect()
}

/// Hides the folders, but for the current one if it lies in one of them.
fn steps(folders: &[PathBuf], here: &Path) -> Vec<Step> {
    let path = |path: &Path| c(path.as_os_str().as_bytes());
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let mut steps = vec![
        Step::DieWithParent,
        Step::UserNamespace { uid, gid, outside: (uid, gid) },
        Step::Unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID),
        Step::Private,
    ];
    for folder in folders {
        steps.push(Step::Tmpfs { at: path(folder), options: c("mode=755,size=64k") });
        let Ok(below) = here.strip_prefix(folder) else { continue };
        let mut at = folder.clone();
        for name in below {
            at.push(name);
            steps.push(Step::MakeDir(path(&at)));
        }
        // The current folder is still the true one; from here on it has nothing above it but empty folders.
        steps.extend([Step::Bind { from: c("."), to: path(here), all: false }, Step::Chdir(path(here))]);
    }
    steps
}
