//! The process above one test: bounds its time, adopts what the test leaves behind, and ends all of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, getppid};

/// The first argument that makes this program a supervisor; the bound in milliseconds, the program and its arguments follow.
pub const WORD: &str = "supervise";
/// What the supervisor's own last line begins with.
pub const MARK: &str = "testrun: ";
/// How the trouble of a test that was ended for its time begins.
pub const HUNG: &str = "no end within";

/// How often processes are looked at: there is nothing to wait on that also has a bound.
const TICK: Duration = Duration::from_millis(5);
/// How long processes that were told to end with their test may take to do so.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("called without a bound and a program")]
    Usage,
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    #[error("cannot supervise: {0}")]
    System(#[from] Errno),
    #[error("{0}")]
    Ended(String),
    #[error("{} {bound:?}: {names}", HUNG)]
    Bound { bound: Duration, names: String },
    #[error("left behind: {0}")]
    Left(String),
    #[error("the runner is gone")]
    Abandoned,
}

/// Runs a program to its end. Succeeds if that one does and nothing is left of it; says otherwise why on the last line.
pub fn main(arguments: &[OsString]) -> ExitCode {
    match watch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            println!("\n{MARK}{trouble}");
            ExitCode::FAILURE
        }
    }
}

fn watch(arguments: &[OsString]) -> Result<(), Trouble> {
    let [bound, program, arguments @ ..] = arguments else { return Err(Trouble::Usage) };
    let bound = bound.to_str().and_then(|text| text.parse().ok()).map(Duration::from_millis).ok_or(Trouble::Usage)?;
    let starter = getppid();
    prctl::set_child_subreaper(true)?;
    let test = Command::new(program).args(arguments).stdin(Stdio::null()).spawn()?;
    let test = Pid::from_raw(i32::try_from(test.id()).map_err(|_| Trouble::Usage)?);
    let status = match end_of(test, bound, starter) {
        Ok(status) => status,
        Err(trouble) => {
            kill_all();
            return Err(trouble);
        }
    };
    let left = leftover()?;
    kill_all();
    match status {
        WaitStatus::Exited(_, 0) if left.is_empty() => Ok(()),
        WaitStatus::Exited(_, 0) => Err(Trouble::Left(left)),
        WaitStatus::Exited(_, code) => Err(Trouble::Ended(format!("exit status {code}"))),
        WaitStatus::Signaled(_, signal, _) => Err(Trouble::Ended(format!("ended by {signal}"))),
        other => Err(Trouble::Ended(format!("{other:?}"))),
    }
}

/// Waits for the test itself, and ends the zombies of its orphans meanwhile, as the machine's first process would.
fn end_of(test: Pid, bound: Duration, starter: Pid) -> Result<WaitStatus, Trouble> {
    let end = Instant::now() + bound;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if getppid() != starter => return Err(Trouble::Abandoned),
            Ok(WaitStatus::StillAlive) if Instant::now() >= end => {
                return Err(Trouble::Bound { bound, names: names() });
            }
            Ok(WaitStatus::StillAlive) => thread::sleep(TICK),
            Ok(status) if status.pid() == Some(test) => return Ok(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What still runs a while after the test's end; empty if nothing does.
fn leftover() -> Result<String, Errno> {
    let end = Instant::now() + GRACE;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return Ok(String::new()),
            Ok(WaitStatus::StillAlive) if Instant::now() >= end => return Ok(names()),
            Ok(WaitStatus::StillAlive) => thread::sleep(TICK),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ends everything below this process: each that ends hands its children to us.
fn kill_all() {
    let end = Instant::now() + GRACE;
    while Instant::now() < end {
        for (pid, _) in below() {
            // One that has just ended is no trouble.
            let _ = kill(pid, Signal::SIGKILL);
        }
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Ok(WaitStatus::StillAlive) => thread::sleep(TICK),
            _ => {}
        }
    }
}

fn names() -> String {
    below().into_iter().map(|(pid, name)| format!("{name} ({pid})")).collect::<Vec<_>>().join(", ")
}

/// All processes below this one, with what they run.
fn below() -> Vec<(Pid, String)> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // "PID (NAME) STATE PARENT …"; the name may contain anything.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let own = getpid().as_raw();
    let is_below = |mut pid: i32| {
        // A process that ended meanwhile and whose number is used again could close a circle.
        for _ in 0..parents.len() {
            match parents.get(&pid) {
                Some(parent) if *parent == own => return true,
                Some(parent) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    parents.keys().filter(|pid| is_below(**pid)).map(|pid| (Pid::from_raw(*pid), name(*pid))).collect()
}

fn name(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = line.split(|byte| *byte == 0).take(6).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    match line.trim() {
        "" => fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned(),
        line => line.to_owned(),
    }
}
