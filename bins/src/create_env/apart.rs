//! Making an environment for a daemon, isolated from that daemon's own files and processes.
//!
//! A local user may request an environment of any program, which is then run as the daemon's user to find its parts. It
//! must not reach that user's files: the daemon names their directories ([`HIDES`]), which are empty here. It has no
//! network, and limits. Processes that the program leaves behind end with this one. If the system allows no namespaces,
//! the work is done in an ordinary child process, with the same limits and without sockets (decision: identities).

use ice_sandbox::apply::{SingleThread, perform, reap};
use ice_sandbox::guarantees::trial;
use ice_sandbox::memory::headroom;
use ice_sandbox::oom;
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
/// The namespace of an empty network, and what is tried where there is none to be had.
const NETWORKS: [CloneFlags; 2] = [CloneFlags::CLONE_NEWNET, CloneFlags::empty()];
/// Address space of each process: half of what is free, within these bounds. A compiler may be larger than its file.
const MEMORY: (u64, u64) = (512 << 20, 4 << 30);
/// Maximum size of a file: an environment that is not compressed.
const FILE_MAX: u64 = 4 << 30;
/// Maximum processor time of each process. The daemon does not wait longer for the archive.
pub(crate) const SECONDS_MAX: u64 = 120;

/// Runs `work`, with limits if [`HIDES`] is set, and isolated if the system allows it. Returns its exit code.
pub(super) fn run(work: &dyn Fn() -> u8) -> Option<u8> {
    let hidden = env::var_os(HIDES)?;
    for step in limits() {
        // Each that works counts: an old kernel may lack the filter.
        let _ = perform(&[step]).inspect_err(|e| log::debug!("not restrained: {e}"));
    }
    // Whoever asks for an environment shall not cost the daemon its life.
    let _ = oom::be_first();
    // Isolation does not restrain root, which would lose the right to try the environment.
    if geteuid().is_root() {
        return None;
    }
    let (hidden, here) = (directories(&hidden), env::current_dir().ok()?);
    let single = SingleThread::check().ok()?;
    NETWORKS
        .iter()
        .map(|network| isolated(&single, &steps(&hidden, &here, *network), work))
        .find(|code| *code != CANNOT)
}

/// Runs `work` in a process that took these steps; its exit code, or [`CANNOT`].
fn isolated(single: &SingleThread, steps: &[Step], work: &dyn Fn() -> u8) -> u8 {
    let first = || {
        let made = perform(steps);
        // The next child is the first process of the new namespace: everything it starts ends with it.
        match made {
            Ok(()) => wait(single.fork(|| worker(work)).is_ok()).into(),
            Err(e) => {
                log::debug!("not set apart: {e}");
                CANNOT.into()
            }
        }
    };
    wait(single.fork(first).is_ok())
}

/// Tries whether the work would be isolated for this user, or the one that this process will become. `Err` says why
/// not, and what follows.
pub(crate) fn possible(account: Option<(u32, u32)>) -> Result<(), String> {
    let single = SingleThread::check().map_err(|e| e.to_string())?;
    let user = account.unwrap_or((geteuid().as_raw(), getegid().as_raw()));
    let become_user: Vec<Step> = account.map(|(uid, gid)| Step::Ids { uid, gid }).into_iter().collect();
    let [full, without_network] = NETWORKS.map(|network| match user.0 {
        0 => Err("it runs as root".to_owned()),
        _ => trial(&single, &[&become_user[..], &namespaces(user, network)].concat()),
    });
    let Err(reason) = full else { return Ok(()) };
    let is_filtered = trial(&single, &[Step::NoNewPrivileges, Step::RefuseUncounted]).is_ok();
    let network = if is_filtered { "only a call filter keeps it from the network" } else { "it has the network" };
    let files = if without_network.is_ok() { "" } else { "it reaches files and processes of the daemon's user, " };
    Err(format!("({reason}): {files}{network}"))
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

/// What every process is limited to, with and without namespaces.
fn limits() -> [Step; 6] {
    let (least, most) = MEMORY;
    let memory = headroom().map_or(most, |free| (free / 2).clamp(least, most));
    [
        Step::Limit(Limit::Core, 0),
        Step::Limit(Limit::AddressSpace, memory),
        Step::Limit(Limit::File, FILE_MAX),
        Step::Limit(Limit::Cpu, SECONDS_MAX),
        Step::NoNewPrivileges,
        Step::RefuseUncounted,
    ]
}

/// The namespaces of the work of this user and group.
fn namespaces((uid, gid): (u32, u32), network: CloneFlags) -> Vec<Step> {
    vec![
        Step::DieWithParent,
        Step::UserNamespace { uid, gid, outside: (uid, gid) },
        Step::Limit(Limit::Processes, PROCESSES_MAX),
        Step::Unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | network),
        Step::Private,
    ]
}

/// The mounts that hide the directories, except the current one if it is in one of them.
fn steps(directories: &[PathBuf], here: &Path, network: CloneFlags) -> Vec<Step> {
    let path = |path: &Path| c(path.as_os_str().as_bytes());
    let mut steps = namespaces((geteuid().as_raw(), getegid().as_raw()), network);
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
