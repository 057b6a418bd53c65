//! The privileged half: takes requests, makes sandboxes, reaps them. One thread, one `poll`, and no step that waits for
//! anybody, or until data are on the disk.

mod directories;
mod files;
mod slots;

use super::LauncherConfig;
use super::request::{PACKET_MAX, Request};
use directories::Filling;
use ice_core::store_layout;
use ice_sandbox::apply::{SingleThread, block_signals, close_others, reap};
use ice_sandbox::channel::{self, Packet};
use ice_sandbox::child::FAILED;
use ice_sandbox::error::Error;
use ice_sandbox::factory::{SandboxFactory, Setup};
use ice_sandbox::files_trial::try_files;
use ice_sandbox::guarantees::Guarantees;
use ice_sandbox::oom::outlive_jobs;
use ice_sandbox::report::Report;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{setsockopt, sockopt::SendTimeout};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags};
use slots::{Held, SLOT_WAIT, Start, What};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The launcher's trials take some milliseconds; a busy host more.
const START: Duration = Duration::from_secs(30);
/// Comes when the other half has died.
const PARENT_DEAD: Signal = Signal::SIGUSR1;
/// How long the end of all sandboxes is waited for.
const END: Duration = Duration::from_secs(2);

/// A launcher that serves.
pub(super) struct Started {
    /// The caller's end of the socket.
    pub(super) socket: OwnedFd,
    pub(super) pid: Pid,
    pub(super) guarantees: Guarantees,
    /// Why files mode does not work here, if it does not.
    pub(super) files: Result<(), String>,
}

/// The beginning of the line that says why files mode does not work. No guarantee has this name.
const NO_FILES: &str = "files mode=";

/// Forks the launcher off; returns what it found out.
pub(super) fn start(config: LauncherConfig) -> Result<Started, Error> {
    let single = SingleThread::check()?;
    // Where that is not permitted, the guarantees tell: the trial of a job's mark fails.
    let _ = outlive_jobs();
    let (ours, theirs) = channel::pair().map_err(Error::step("make a socket pair"))?;
    let parent = std::process::id();
    let socket = theirs.as_fd();
    // A request waits for room in the socket only while the launcher is busy; it must not for ever.
    setsockopt(&ours, SendTimeout, &TimeVal::new(30, 0)).map_err(Error::step("bound the sending"))?;
    let life = || live(&single, socket.as_raw_fd(), &theirs, config, parent);
    let pid = single.fork(life).map_err(Error::step("fork the launcher"))?;
    drop(theirs);
    if !channel::readable(&ours, START).map_err(Error::step("wait for the launcher"))? {
        return Err(Error::Gone("the launcher"));
    }
    let packet = channel::receive(ours.as_fd(), 1 << 16).map_err(Error::step("hear the launcher"))?;
    match packet.bytes.split_first() {
        Some((b'+', hello)) => {
            let text = String::from_utf8_lossy(hello);
            let reason = text.lines().find_map(|line| line.strip_prefix(NO_FILES)).map(str::to_owned);
            let (guarantees, files) = (Guarantees::from_bytes(hello), reason.map_or(Ok(()), Err));
            Ok(Started { socket: ours, pid, guarantees, files })
        }
        Some((_, text)) => Err(Error::Step {
            step: "prepare the launcher".to_owned(),
            source: io::Error::other(String::from_utf8_lossy(text).into_owned()),
        }),
        None => Err(Error::Gone("the launcher")),
    }
}

/// The whole life of the launcher; its exit status.
fn live(single: &SingleThread, number: i32, socket: &OwnedFd, config: LauncherConfig, parent: u32) -> i32 {
    close_others(&[number]);
    let silenced = if config.detached { silence() } else { Ok(()) };
    let prepared = silenced.map_err(Error::step("let the terminal go")).and_then(|()| prepare(single, config));
    let mut serve = match prepared {
        Ok(serve) => serve,
        Err(e) => {
            let _ = channel::send(socket.as_fd(), format!("-{e}").as_bytes(), &[]);
            return 1;
        }
    };
    // Its death is announced to us only if it happened after we asked for that.
    if std::os::unix::process::parent_id() != parent {
        return 1;
    }
    let files = try_files(single, &serve.factory).err().map(|e| format!("{NO_FILES}{}\n", e.replace('\n', " ")));
    let files = files.unwrap_or_default();
    let hello = [b"+", &serve.factory.guarantees().to_bytes()[..], files.as_bytes()].concat();
    if channel::send(socket.as_fd(), &hello, &[]).is_err() {
        return 1;
    }
    serve.sweep();
    serve.requests(socket);
    serve.end();
    0
}

/// Lets the starter's standard output and error go.
fn silence() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(nix::unistd::dup2_stderr(&null)?)
}

fn prepare(single: &SingleThread, config: LauncherConfig) -> Result<Serve<'_>, Error> {
    block_signals().map_err(Error::step("block signals"))?;
    let setup = Setup {
        base: config.base.clone(),
        owner: config.owner,
        job_uid_base: config.job_uid_base,
        slots: config.slots,
        own_tasks: config.own_tasks,
        nice: config.nice,
    };
    let factory = SandboxFactory::prepare(single, setup)?;
    let base = rustix::fs::open(factory.base(), OPEN_DIR, Mode::empty()).map_err(Error::step("open the base"))?;
    // After all changes of ids, which disarm it. Not KILL: the control groups want to be removed.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::USR1))
        .map_err(Error::step("ask for news of the parent"))?;
    let wanted = SigSet::from_iter([Signal::SIGCHLD, PARENT_DEAD]);
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Error::step("watch signals"))?;
    Ok(Serve {
        single,
        factory,
        base,
        config,
        signals,
        sandboxes: BTreeMap::new(),
        held: Vec::new(),
        gone: VecDeque::new(),
        removals: 0,
    })
}

/// How a directory is opened: never through a link.
const OPEN_DIR: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Serve<'a> {
    single: &'a SingleThread,
    factory: SandboxFactory,
    base: OwnedFd,
    config: LauncherConfig,
    signals: SignalFd,
    /// By process id of the first process.
    sandboxes: BTreeMap<i32, Running>,
    /// Requests whose slot is still another sandbox's, in the order they came.
    held: Vec<Held>,
    /// Directories out of sight that are still to be emptied, each below its target's.
    gone: VecDeque<(String, String)>,
    removals: u64,
}

/// A sandbox not yet reaped.
struct Running {
    answer: OwnedFd,
    task: Task,
}

/// What a sandbox is for. The last two are done with the owner's user id.
enum Task {
    /// A job, or a part of a verification: the slot whose user id it has.
    Run(u16),
    /// A directory is filled, to be removed if that fails.
    Fill(Filling),
    /// A directory is emptied.
    Empty,
}

/// A request refused, or failed at once.
type Refused = String;

impl Serve<'_> {
    /// Until the other half closes its socket.
    fn requests(&mut self, socket: &OwnedFd) {
        loop {
            let mut fds =
                [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let patience = self.held.first().map(|held| SLOT_WAIT.saturating_sub(held.since.elapsed()));
            // Rounded up: a millisecond too early would be a useless round.
            let patience = patience.map(|left| PollTimeout::try_from(left + Duration::from_millis(1)));
            if poll(&mut fds, patience.map_or(PollTimeout::NONE, |p| p.unwrap_or(PollTimeout::MAX))).is_err() {
                continue;
            }
            let [asked, ended] = fds.map(|fd| fd.revents().is_some_and(|r| !r.is_empty()));
            if ended && self.signals_say_end() {
                return;
            }
            self.start_held();
            if asked {
                match channel::receive(socket.as_fd(), PACKET_MAX) {
                    Ok(packet) if packet.bytes.is_empty() && packet.fds.is_empty() => return,
                    Ok(packet) => self.request(packet),
                    // Out of descriptors or memory: that request is lost, and its closed socket tells its sender.
                    Err(e) if e.kind() != io::ErrorKind::ConnectionReset => {}
                    Err(_) => return,
                }
            }
        }
    }

    fn request(&mut self, packet: Packet) {
        let cut = packet.cut;
        let mut fds = packet.fds.into_iter();
        // Without a socket for the answer there is nobody to answer to.
        let Some(answer) = fds.next() else { return };
        let fds: Vec<OwnedFd> = fds.collect();
        let request = Request::from_bytes(&packet.bytes).and_then(|request| {
            if cut || fds.len() + 1 != request.fds() { Err("wrong number of descriptors") } else { Ok(request) }
        });
        let spare = || answer.try_clone().map_err(|e| e.to_string());
        let done = match request {
            Err(text) => Err(text.to_owned()),
            Ok(Request::Run { slot, env, program, limits }) => {
                let start = Start { fds, what: What::Program { env, program }, limits };
                spare().and_then(|a| self.run(a, slot, start)).map(|()| false)
            }
            Ok(Request::Files { slot, token, limits }) => {
                let start = Start { fds, what: What::Files(token), limits };
                spare().and_then(|a| self.run(a, slot, start)).map(|()| false)
            }
            Ok(Request::Unpack { env, ticket, bytes_max, wall }) => {
                spare().and_then(|a| self.unpack(a, fds, &env, ticket, bytes_max, wall)).map(|()| false)
            }
            Ok(Request::Install { env, ticket }) => self.install(&env, ticket).map(|()| true),
            Ok(Request::Discard { env, ticket }) => self.discard(&env, ticket).map(|()| true),
            Ok(Request::Remove { env }) => {
                self.remove(&store_layout::platform_name(&env), env.name.as_str()).map(|()| true)
            }
        };
        match done {
            Ok(true) => Report::Done(Vec::new()).send(answer.as_fd()),
            // The sandbox will answer.
            Ok(false) => {}
            Err(text) => Report::Refused(text).send(answer.as_fd()),
        }
    }

    /// Ends all sandboxes, so that their control groups can be removed.
    fn end(&mut self) {
        for pid in self.sandboxes.keys() {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let start = Instant::now();
        while !self.sandboxes.is_empty() && start.elapsed() < END {
            let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, 100_u8);
            while let Ok(Some(_)) = self.signals.read_signal() {}
            while let Some((pid, ..)) = reap(false) {
                self.sandboxes.remove(&pid.as_raw());
            }
        }
    }

    /// Remembers a sandbox that was started.
    fn track(&mut self, started: io::Result<(Pid, OwnedFd)>, task: Task) -> Result<(), Refused> {
        let (pid, answer) = started.map_err(|e| format!("cannot make a sandbox: {e}"))?;
        self.sandboxes.insert(pid.as_raw(), Running { answer, task });
        Ok(())
    }

    fn count(&self, which: impl Fn(&Task) -> bool) -> usize {
        self.sandboxes.values().filter(|running| which(&running.task)).count()
    }

    /// Takes the signals that came: the ends of sandboxes, or of the other half.
    fn signals_say_end(&mut self) -> bool {
        let mut end = false;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            end |= i32::try_from(signal.ssi_signo) == Ok(PARENT_DEAD as i32);
        }
        self.reap();
        end
    }

    fn reap(&mut self) {
        while let Some((pid, status, _)) = reap(false) {
            let Some(Running { answer, task }) = self.sandboxes.remove(&pid.as_raw()) else { continue };
            let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
            if !matches!(code, Some(0 | FAILED)) {
                Report::Refused(format!("the sandbox ended early, wait status {status:#x}")).send(answer.as_fd());
            }
            match task {
                Task::Fill(f) if f.unwanted || code != Some(0) => {
                    let _ = self.remove(&f.target, &f.name);
                }
                _ => {}
            }
        }
        self.empty_next();
    }
}
