//! The user's own command, run here: in a slot of the daemon, or under a CPU lock without one.

use super::account::Account;
use super::locks::CpuLock;
use super::log as log_words;
use super::signals::{Caught, die_of};
use super::task::Task;
use ice_core::message::{JobLocalBegin, Message};
use ice_core::statistics::Part;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest wait for a slot: other jobs of this host must end first.
const SLOT_WAIT: Duration = Duration::from_secs(40 * 60);
/// The same below icerun: the outer command holds a slot, and as many of them as slots would wait for each other for
/// ever.
const SLOT_WAIT_NESTED: Duration = Duration::from_secs(5);

/// Runs the task in a slot of `daemon`, or without daemon. Returns the exit status.
pub(super) fn run(task: &Task, daemon: Option<Conn>, account: &mut Account) -> i32 {
    log::debug!("<building_local>");
    let start = Instant::now();
    let slot = daemon.and_then(|daemon| wait_for_slot(task, daemon, account));
    let Some(mut slot) = slot else { return run_without_daemon(task) };
    let ran = run_child(task);
    log::debug!("</building_local: {}ms>", start.elapsed().as_millis());
    account.tell(ran.status, &mut slot);
    drop(slot);
    ran.end_alike();
    ran.status
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ran {
    /// Its exit status, as a shell would tell it.
    pub(super) status: i32,
    /// The signal that it died of.
    signal: Option<i32>,
    /// The wall time.
    pub(super) real: Duration,
}

impl Ran {
    /// Dies of the signal that the child died of, if there is one: make and shells tell a crash from a status.
    pub(super) fn end_alike(&self) {
        if let Some(signal) = self.signal {
            // One dump is enough, and it is the compiler's.
            let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
            let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
            die_of(signal);
        }
    }
}

/// Runs the task as a child and waits for it.
pub(super) fn run_child(task: &Task) -> Ran {
    run_command(task, command(task))
}

/// The same; what it says goes into these files.
pub(super) fn run_child_into(task: &Task, out: &File, err: &File) -> io::Result<Ran> {
    let mut command = command(task);
    command.stdout(out.try_clone()?).stderr(err.try_clone()?);
    Ok(run_command(task, command))
}

fn run_command(task: &Task, mut command: Command) -> Ran {
    let start = Instant::now();
    log::info!("invoking: {}", log_words::words(task.program.as_os_str(), &task.words));
    let mut caught = match Caught::new() {
        Ok(caught) => caught,
        Err(err) => {
            log::warn!("cannot watch signals: {err}");
            let err = command.exec();
            return Ran { status: cannot_run(task, &err), signal: None, real: start.elapsed() };
        }
    };
    let status = match command.spawn() {
        Ok(child) => attend(child, &mut caught),
        Err(err) => return Ran { status: cannot_run(task, &err), signal: None, real: start.elapsed() },
    };
    let (status, received) = status;
    drop(caught);
    if let Some(signal) = received {
        die_of(signal);
    }
    let signal = status.signal();
    let status = status.code().or_else(|| signal.map(|signal| 128 + signal)).unwrap_or(1);
    Ran { status, signal, real: start.elapsed() }
}

/// Runs the task once more, unheard; whether it succeeds.
pub(super) fn run_silent(task: &Task) -> bool {
    let status = command(task).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// The command with what a child must find in its environment.
fn command(task: &Task) -> Command {
    let mut command = Command::new(&task.program);
    command.args(&task.words);
    command.envs(task.marks());
    command
}

/// A slot of the daemon, held for as long as the connection. `None`: go on without.
pub(super) fn wait_for_slot(task: &Task, daemon: Conn, account: &mut Account) -> Option<Conn> {
    account.enter(Part::Slot);
    let slot = ask_for_slot(task, daemon);
    account.enter(Part::Here);
    slot
}

fn ask_for_slot(task: &Task, mut daemon: Conn) -> Option<Conn> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let ask = JobLocalBegin {
        start_time: u32::try_from(now).unwrap_or(u32::MAX),
        output_file: task.display_output().into(),
        id: 0,
        full: u32::from(task.wants_whole_machine),
    };
    let wait = match (task.level, task.wants_whole_machine) {
        (0, false) => SLOT_WAIT,
        (0, true) => SLOT_WAIT * 3,
        _ => SLOT_WAIT_NESTED,
    };
    let asked = daemon
        .send(&Message::JobLocalBegin(ask), Deadline::after(Step::Send, ice_core::limits::SEND))
        .and_then(|()| daemon.recv(Deadline::after(Step::LocalSlot, wait)));
    match asked {
        Ok(Message::JobLocalBegin(_)) => Some(daemon),
        Ok(other) => {
            log::warn!("daemon answered {} instead of giving a local slot", ice_net::wire::print::line(&other));
            None
        }
        Err(err) => {
            log::warn!("no local slot: {}", crate::exit::chain(&err));
            None
        }
    }
}

/// Becomes the command, holding a CPU's lock for as long as it runs: the descriptor stays open in it.
fn run_without_daemon(task: &Task) -> i32 {
    if task.level == 0 {
        // The wait ends with other compiles of this user; those have no bound (decision: bounded-waits).
        if let Some(lock) = CpuLock::take(None) {
            lock.survive_exec();
            log::info!("invoking: {}", log_words::words(task.program.as_os_str(), &task.words));
            return exec(task);
        }
    }
    log::info!("invoking: {}", log_words::words(task.program.as_os_str(), &task.words));
    exec(task)
}

fn exec(task: &Task) -> i32 {
    let err = command(task).exec();
    cannot_run(task, &err)
}

fn cannot_run(task: &Task, err: &io::Error) -> i32 {
    log::error!("cannot execute {}: {err}", task.program.display());
    if err.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

/// Waits for the child, passing ending signals on to it. Returns its status and the signal that we were sent.
fn attend(mut child: Child, caught: &mut Caught) -> (ExitStatus, Option<i32>) {
    let mut received = None;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return (status, received),
            Ok(None) => {}
            Err(err) => {
                log::error!("lost the compiler: {err}");
                return (ExitStatus::from_raw(1 << 8), received);
            }
        }
        caught.wait();
        while let Some(signal) = caught.take() {
            received = Some(signal);
            pass_on(&child, signal);
        }
    }
}

fn pass_on(child: &Child, signal: i32) {
    let pid = i32::try_from(child.id()).map(nix::unistd::Pid::from_raw);
    let signal = nix::sys::signal::Signal::try_from(signal);
    if let (Ok(pid), Ok(signal)) = (pid, signal) {
        let _ = nix::sys::signal::kill(pid, signal);
    }
}
