//! Making an environment for a daemon, isolated from that daemon's own files and processes.
//!
//! A local user may request an environment of any program, which is then run as the daemon's user to find its parts. It
//! must not reach that user's files: the daemon names their directories ([`HIDES`]), which are empty here. Processes
//! that the program leaves behind end with this one. If the system allows no namespaces, the work is done in an
//! ordinary child process (decision: identities).

use ice_sandbox::apply::{SingleThread, perform, reap};
use ice_sandbox::plan::{Limit, Step, c};
use nix::sched::CloneFlags;
use nix::unistd::{getegid, geteuid};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The variable with the directories to hide, separated by colons.
pub(crate) const HIDES: &str = "ICECC_CREATE_ENV_HIDES";
/// Exit code of a first process that could not be isolated. The work itself never ends with it.
const CANNOT: u8 = 125;
/// Maximum number of processes and threads. They are counted in the user namespace alone (Linux 5.14); before that,
/// with all of the daemon's user.
const PROCESSES_MAX: u64 = 1024;

/// Runs `work`, isolated if [`HIDES`] is set and the system allows it. Returns its exit code.
pub(super) fn run(work: &dyn Fn() -> u8) -> Option<u8> {
    let hidden = env::var_os(HIDES)?;
    // Isolation does not restrain root, which would lose the right to try the environment.
    if geteuid().is_root() {
        return None;
    }
    let steps = steps(&directories(&hidden), &env::current_dir().ok()?);
    let single = SingleThread::check().ok()?;
    let first = || {
        let made = perform(&steps);
        // The next child is the first process of the new namespace: everything it starts ends with it.
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

/// The directories that exist, by their canonical paths.
fn directories(list: &OsStr) -> Vec<PathBuf> {
    let names = list.as_bytes().split(|b| *b == b':').filter(|name| !name.is_empty());
    names.filter_map(|name| fs::canonicalize(OsStr::from_bytes(name)).ok()).filter(|path| path.is_dir()).collect()
}

/// The mounts that hide the directories, except the current one if it is in one of them.
fn steps(directories: &[PathBuf], here: &Path) -> Vec<Step> {
    let path = |path: &Path| c(path.as_os_str().as_bytes());
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let mut steps = vec![
        Step::DieWithParent,
        Step::UserNamespace { uid, gid, outside: (uid, gid) },
        Step::Limit(Limit::Processes, PROCESSES_MAX),
        Step::Unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID),
        Step::Private,
    ];
    for dir in directories {
        steps.push(Step::Tmpfs { at: path(dir), options: c("mode=755,size=64k") });
        let Ok(below) = here.strip_prefix(dir) else { continue };
        let mut at = dir.clone();
        for name in below {
            at.push(name);
            steps.push(Step::MakeDir(path(&at)));
        }
        // The current directory is still the real one, bound again below the empty ones.
        steps.extend([Step::Bind { from: c("."), to: path(here), all: false }, Step::Chdir(path(here))]);
    }
    steps
}
