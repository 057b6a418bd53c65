//! The privileged half: takes requests, makes boxes, reaps them. One thread, one `poll`, no step that can wait.

use super::request::{EXTRA_SLOT, LISTS_MAX, Lists, PACKET_MAX, Request};
use super::{JobLimits, LauncherConfig};
use crate::background;
use ice_core::env::EnvId;
use ice_core::server::Program;
use ice_sandbox::apply::{SingleThread, block_signals, close_others, reap};
use ice_sandbox::channel::{self, Packet};
use ice_sandbox::child::{self, FAILED, Files, Job, Work};
use ice_sandbox::error::Error;
use ice_sandbox::plan::c;
use ice_sandbox::probe::Guarantees;
use ice_sandbox::report::Report;
use ice_sandbox::stage::{Needs, Setup, Stage};
use ice_toolchain::store::layout;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{setsockopt, sockopt::SendTimeout};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags, RenameFlags};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// The launcher's trials take some milliseconds; a busy host more.
const START: Duration = Duration::from_secs(30);
/// Most time to remove an environment. What is left then goes at the next start.
const REMOVE: Duration = Duration::from_secs(600);
/// Comes when the other half has died.
const PARENT_DEAD: Signal = Signal::SIGUSR1;
/// How long the end of all boxes is waited for.
const END: Duration = Duration::from_secs(2);
/// Archives unpacked at a time: twice what the daemon lets arrive, as those that nobody wants any more end a little later.
const UNPACKED_MAX: usize = 32;
/// Folders emptied at a time. What comes on top is out of sight already, and waits.
const EMPTIED_MAX: usize = 4;
/// Requests that wait for their slots, beside one for each: verifications share one.
const HELD_MAX: usize = 32;
/// How long a request may wait for the box that had its slot, and its user id, to be reaped. Killing takes milliseconds; verifications
/// share a slot and may take 10 s each.
const SLOT_WAIT: Duration = Duration::from_secs(12);

/// Forks the launcher off; returns the caller's end of the socket, its process id and what it found out.
pub(super) fn start(config: LauncherConfig) -> Result<(OwnedFd, Pid, Guarantees), Error> {
    let single = SingleThread::check()?;
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
        Some((b'+', guarantees)) => Ok((ours, pid, Guarantees::from_bytes(guarantees))),
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
    let silenced = if config.detached { background::silence() } else { Ok(()) };
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
    let hello = [b"+", &serve.stage.guarantees().to_bytes()[..]].concat();
    if channel::send(socket.as_fd(), &hello, &[]).is_err() {
        return 1;
    }
    serve.sweep();
    serve.requests(socket);
    serve.end();
    0
}

fn prepare(single: &SingleThread, config: LauncherConfig) -> Result<Serve<'_>, Error> {
    block_signals().map_err(Error::step("block signals"))?;
    let setup = Setup {
        base: config.base.clone(),
        owner: config.owner,
        job_uid_base: config.job_uid_base,
        slots: config.slots,
        nice: config.nice,
    };
    let stage = Stage::prepare(single, setup)?;
    let base = rustix::fs::open(stage.base(), FOLDER, Mode::empty()).map_err(Error::step("open the base"))?;
    // After all changes of ids, which disarm it. Not KILL: the control groups want to be removed.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::USR1))
        .map_err(Error::step("ask for news of the parent"))?;
    let wanted = SigSet::from_iter([Signal::SIGCHLD, PARENT_DEAD]);
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Error::step("watch signals"))?;
    Ok(Serve {
        single,
        stage,
        base,
        config,
        signals,
        boxes: BTreeMap::new(),
        held: Vec::new(),
        gone: VecDeque::new(),
        removals: 0,
    })
}

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Serve<'a> {
    single: &'a SingleThread,
    stage: Stage,
    base: OwnedFd,
    config: LauncherConfig,
    signals: SignalFd,
    /// By process id of the first process.
    boxes: BTreeMap<i32, Running>,
    /// Requests whose slot is still another box's, in the order they came.
    held: Vec<Held>,
    /// Folders out of sight that are still to be emptied, each below its target's.
    gone: VecDeque<(String, String)>,
    removals: u64,
}

/// A request to run that waits for its slot.
struct Held {
    since: Instant,
    slot: u16,
    answer: OwnedFd,
    start: Start,
}

/// What is needed to start a job, slot apart.
struct Start {
    fds: Vec<OwnedFd>,
    env: EnvId,
    program: Program,
    limits: JobLimits,
}

/// A box not yet reaped.
struct Running {
    answer: OwnedFd,
    task: Task,
}

/// What a box is for. The last two are done with the owner's user id.
enum Task {
    /// A job, or a part of a verification: the slot whose user id it has.
    Run(u16),
    /// A folder is filled, to be removed if that fails.
    Fill(Filling),
    /// A folder is emptied.
    Empty,
}

struct Filling {
    target: String,
    name: String,
    /// Nobody wants it any more.
    unwanted: bool,
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
                    // Out of descriptors or memory: that request is lost, its socket closed, its sender told so by that.
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
        let done = match request {
            Err(text) => Err(text.to_owned()),
            Ok(Request::Run { slot, env, program, limits }) => {
                let spare = answer.try_clone();
                spare
                    .map_err(|e| e.to_string())
                    .and_then(|a| self.run(a, slot, Start { fds, env, program, limits }))
                    .map(|()| false)
            }
            Ok(Request::Unpack { env, ticket, bytes_max, wall }) => {
                let spare = answer.try_clone();
                spare
                    .map_err(|e| e.to_string())
                    .and_then(|a| self.unpack(a, fds, &env, ticket, bytes_max, wall))
                    .map(|()| false)
            }
            Ok(Request::Install { env, ticket }) => self.install(&env, ticket).map(|()| true),
            Ok(Request::Discard { env, ticket }) => self.discard(&env, ticket).map(|()| true),
            Ok(Request::Remove { env }) => self.remove(&layout::platform_name(&env), env.name.as_str()).map(|()| true),
        };
        match done {
            Ok(true) => Report::Done(Vec::new()).send(answer.as_fd()),
            // The box will answer.
            Ok(false) => {}
            Err(text) => Report::Refused(text).send(answer.as_fd()),
        }
    }

    /// Starts a job, at once or when its slot's last box is reaped: until then something with the slot's user id may live.
    fn run(&mut self, answer: OwnedFd, slot: u16, start: Start) -> Result<(), Refused> {
        let slot = match slot {
            EXTRA_SLOT => self.config.slots,
            slot if slot < self.config.slots => slot,
            slot => return Err(format!("slot {slot} of {}", self.config.slots)),
        };
        if self.is_taken(slot) || self.held.iter().any(|held| held.slot == slot) {
            if self.held.len() >= usize::from(self.config.slots) + HELD_MAX {
                return Err("too many jobs wait for their slots".to_owned());
            }
            self.held.push(Held { since: Instant::now(), slot, answer, start });
            return Ok(());
        }
        self.start(answer, slot, start)
    }

    fn is_taken(&self, slot: u16) -> bool {
        self.boxes.values().any(|running| matches!(running.task, Task::Run(taken) if taken == slot))
    }

    /// Starts what waited for a slot that is free now; refuses what has waited too long.
    fn start_held(&mut self) {
        let mut i = 0;
        while let Some(held) = self.held.get(i) {
            let taken = self.is_taken(held.slot);
            if taken && held.since.elapsed() < SLOT_WAIT {
                i += 1;
                continue;
            }
            let Held { slot, answer, start, .. } = self.held.remove(i);
            let spare = answer.try_clone().map_err(|e| e.to_string());
            let done = match spare {
                _ if taken => Err(format!("slot {slot} is still another job's")),
                spare => spare.and_then(|spare| self.start(spare, slot, start)),
            };
            if let Err(text) = done {
                Report::Refused(text).send(answer.as_fd());
            }
        }
    }

    fn start(&mut self, answer: OwnedFd, slot: u16, start: Start) -> Result<(), Refused> {
        let Start { mut fds, env, program, limits } = start;
        let lists = fds.pop().ok_or("no lists")?;
        let stdio: [OwnedFd; 3] = fds.try_into().map_err(|_| "wrong number of descriptors")?;
        if stdio.iter().chain([&answer]).any(|fd| fd.as_raw_fd() <= 2) {
            return Err("standard descriptors of the launcher are closed".to_owned());
        }
        let lists = channel::read_sealed(lists, LISTS_MAX).map_err(|e| e.to_string())?;
        let Lists { args, layout } = Lists::from_bytes(&lists)?;
        let limits = limits.clamped(&self.config.limits);
        let target = layout::platform_name(&env);
        let plan = self.stage.job(&Needs {
            env: [&target, env.name.as_str()],
            slot,
            memory: limits.memory,
            tmp: limits.tmp,
            file: limits.file,
            wall: limits.wall,
            foreign: foreign(&env),
        })?;
        if let Some(group) = self.stage.group(slot) {
            group.limit(limits.memory).map_err(|e| format!("cannot limit memory: {e}"))?;
        }
        let path = c(program.path());
        let argv = [path.clone()].into_iter().chain(args.iter().map(c)).collect();
        let env = vec![c("PATH=/usr/bin"), c("TMPDIR=/tmp")];
        let files = Files {
            dirs: layout.dirs,
            cwd: layout.cwd,
            object: layout.object,
            dwo: layout.dwo,
            clean: self.stage.shares_tmp(),
        };
        let work = Work::Program { path, argv, env, stdio };
        let job = Job { plan, work, files, answer, wall: limits.wall, group: self.stage.group(slot) };
        self.track(child::start(self.single, job), Task::Run(slot))
    }

    fn unpack(
        &mut self,
        answer: OwnedFd,
        mut fds: Vec<OwnedFd>,
        env: &EnvId,
        ticket: u64,
        bytes_max: u64,
        wall: Duration,
    ) -> Result<(), Refused> {
        self.stage.guarantees().accepts_jobs().map_err(|e| format!("no foreign environments on this host: {e}"))?;
        if self.count(|task| matches!(task, Task::Fill(_))) >= UNPACKED_MAX {
            return Err("too many archives are being unpacked".to_owned());
        }
        let (target, name) = (layout::platform_name(env), layout::unpacking_name(ticket));
        self.make_folder(&self.base, &target)?;
        let inside = self.open(&target)?;
        self.make_folder(&inside, &name)?;
        let below = [target.as_str(), name.as_str()];
        let (unpack, root, env) = (self.config.unpack, self.stage.folder_root(&below), env.name.clone());
        let body = move |input: Option<OwnedFd>| {
            let input = input.ok_or("no archive")?;
            let contents = unpack(File::from(input), &env, &root, bytes_max)?;
            finish(&root).map_err(|e| format!("cannot finish the environment: {e}"))?;
            Ok(contents.to_bytes())
        };
        let job = Job {
            plan: self.stage.folder(&below),
            work: Work::Function { input: fds.pop(), body: Box::new(body) },
            files: Files::default(),
            answer,
            wall,
            group: None,
        };
        self.track(child::start(self.single, job), Task::Fill(Filling { target, name, unwanted: false }))
    }

    fn install(&mut self, env: &EnvId, ticket: u64) -> Result<(), Refused> {
        let target = layout::platform_name(env);
        let inside = self.open(&target)?;
        let from = layout::unpacking_name(ticket);
        let rename = || rustix::fs::renameat_with(&inside, &from, &inside, env.name.as_str(), RenameFlags::NOREPLACE);
        let renamed = match rename() {
            // The other half installs none that it has: this one it knows no more, its removal has failed.
            Err(rustix::io::Errno::EXIST) => {
                self.remove(&target, env.name.as_str())?;
                rename()
            }
            renamed => renamed,
        };
        renamed.and_then(|()| rustix::fs::fsync(&inside)).map_err(|e| format!("cannot install {env}: {e}"))
    }

    fn discard(&mut self, env: &EnvId, ticket: u64) -> Result<(), Refused> {
        let (target, name) = (layout::platform_name(env), layout::unpacking_name(ticket));
        let filling = self.boxes.iter_mut().find_map(|(pid, b)| match &mut b.task {
            Task::Fill(filling) if filling.target == target && filling.name == name => Some((*pid, filling)),
            _ => None,
        });
        match filling {
            Some((pid, filling)) => {
                filling.unwanted = true;
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                Ok(())
            }
            None => self.remove(&target, &name),
        }
    }

    /// Out of the way by a rename, then emptied by a child with no more rights than the owner's.
    fn remove(&mut self, target: &str, name: &str) -> Result<(), Refused> {
        let inside = self.open(target)?;
        let to = loop {
            self.removals += 1;
            let to = layout::removing_name(self.removals);
            match rustix::fs::renameat_with(&inside, name, &inside, &to, RenameFlags::NOREPLACE) {
                Err(rustix::io::Errno::EXIST) => {}
                result => break result.map(|()| to),
            }
        };
        let to = to.map_err(|e| format!("cannot remove {target}/{name}: {e}"))?;
        self.gone.push_back((target.to_owned(), to));
        self.empty_next();
        Ok(())
    }

    /// What cannot be emptied now is tried again with the next one.
    fn empty_next(&mut self) {
        while self.count(|task| matches!(task, Task::Empty)) < EMPTIED_MAX {
            let Some((target, name)) = self.gone.pop_front() else { return };
            if self.empty(&target, &name).is_err() {
                return self.gone.push_front((target, name));
            }
        }
    }

    fn empty(&mut self, target: &str, name: &str) -> Result<(), Refused> {
        // Nobody waits for this answer; the worker itself holds the other end, for a box ends with that.
        let (hold, answer) = channel::pair().map_err(|e| e.to_string())?;
        let path = self.stage.folder_root(&[target]).join(name);
        let body = move |_hold| fs::remove_dir_all(&path).map(|()| Vec::new()).map_err(|e| e.to_string());
        let job = Job {
            plan: self.stage.folder(&[target]),
            work: Work::Function { input: Some(hold), body: Box::new(body) },
            files: Files::default(),
            answer,
            wall: REMOVE,
            group: None,
        };
        self.track(child::start(self.single, job), Task::Empty)
    }

    /// Removes what an earlier life left half-made.
    fn sweep(&mut self) {
        let Ok(targets) = fs::read_dir(self.stage.base()) else { return };
        for target in targets.flatten().filter(|e| layout::platform_of(&e.file_name()).is_some()) {
            let entries = fs::read_dir(target.path()).into_iter().flatten().flatten();
            let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
            let left: Vec<String> = names.filter(|name| layout::is_partial(name)).collect();
            for name in left {
                // What cannot be removed now is met again at the next start.
                // Renamed at once, for the tickets of this life begin at 0 again.
                let _ = self.remove(&target.file_name().to_string_lossy(), &name);
            }
        }
    }

    /// Ends all boxes, so that their control groups can be removed.
    fn end(&mut self) {
        for pid in self.boxes.keys() {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let start = Instant::now();
        while !self.boxes.is_empty() && start.elapsed() < END {
            let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, 100_u8);
            while let Ok(Some(_)) = self.signals.read_signal() {}
            while let Some((pid, ..)) = reap(false) {
                self.boxes.remove(&pid.as_raw());
            }
        }
    }

    /// Remembers a box that was started.
    fn track(&mut self, started: io::Result<(Pid, OwnedFd)>, task: Task) -> Result<(), Refused> {
        let (pid, answer) = started.map_err(|e| format!("cannot make a box: {e}"))?;
        self.boxes.insert(pid.as_raw(), Running { answer, task });
        Ok(())
    }

    fn count(&self, which: impl Fn(&Task) -> bool) -> usize {
        self.boxes.values().filter(|running| which(&running.task)).count()
    }

    /// Takes the signals that came: the ends of boxes, or of the other half.
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
            let Some(Running { answer, task }) = self.boxes.remove(&pid.as_raw()) else { continue };
            let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
            if !matches!(code, Some(0 | FAILED)) {
                Report::Refused(format!("the box ended early, wait status {status:#x}")).send(answer.as_fd());
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

    /// A folder of the owner's; one that exists is fine only for `target=P`, which many environments share.
    fn make_folder(&self, at: &OwnedFd, name: &str) -> Result<(), Refused> {
        match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)) {
            Err(rustix::io::Errno::EXIST) if !layout::is_unpacking(name) => return Ok(()),
            result => result.map_err(|e| format!("cannot make folder {name}: {e}"))?,
        }
        let Some((uid, gid)) = self.stage.give_to() else { return Ok(()) };
        let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        // By descriptor: the owner of `at` may have put something else under that name meanwhile, even a link to root's file.
        rustix::fs::openat(at, name, FOLDER, Mode::empty())
            .and_then(|folder| rustix::fs::fchown(&folder, Some(uid), Some(gid)))
            .map_err(|e| format!("cannot give folder {name} to its owner: {e}"))
    }

    fn open(&self, target: &str) -> Result<OwnedFd, Refused> {
        rustix::fs::openat(&self.base, target, FOLDER, Mode::empty()).map_err(|e| format!("cannot open {target}: {e}"))
    }
}

/// Whether programs of the environment make calls of another machine's form than ours.
fn foreign(env: &EnvId) -> bool {
    match std::env::consts::ARCH {
        "x86_64" => matches!(env.platform.as_str(), "i386" | "i486" | "i586" | "i686"),
        "aarch64" => env.platform.as_str().starts_with("arm"),
        _ => false,
    }
}

/// What an environment needs beside its archive: `tmp`, which 1.4 demands with this mode, and a place for devices.
fn finish(root: &Path) -> io::Result<()> {
    for (name, mode) in [("tmp", 0o1775), ("dev", 0o755)] {
        let path = root.join(name);
        match fs::DirBuilder::new().mode(mode).create(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        if !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::Error::other(format!("{name} is no folder")));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
