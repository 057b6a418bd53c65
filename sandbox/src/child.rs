//! The first process of a sandbox: it starts the work, watches its end, its deadline and its owner, and reports the
//! result.

use crate::apply::{self, SingleThread};
use crate::cgroup::Group;
use crate::channel;
use crate::error::Error;
use crate::filter::Filter;
pub use crate::job_files::Files;
use crate::job_files::{below_tmp, clean, empty_tmp, make_dirs, output};
use crate::listener::{Listener, Reply};
use crate::oom::Marker;
use crate::plan::{Plan, Step};
use crate::report::{Ended, How, Report, Usage};
use crate::supervisor::{Supervisor, Tree};
use crate::unknown::UnknownCalls;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{AccessFlags, Pid, access, execve, setsid};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The work of a sandbox.
pub enum Work {
    /// A program of the environment.
    Program {
        /// Its path in the sandbox.
        path: CString,
        /// All arguments, beginning with its own name.
        argv: Vec<CString>,
        /// All environment variables.
        env: Vec<CString>,
        /// Standard input, output and error; `None` once the program has them.
        stdio: Option<[OwnedFd; 3]>,
    },
    /// A function of this program.
    Function {
        /// The only descriptor that it may keep.
        input: Option<OwnedFd>,
        /// The function. At most 4000 bytes of its result go into the report.
        body: Box<Body>,
    },
}

/// A function that runs in a sandbox. `Err` is the text of the report.
pub type Body = dyn FnOnce(Option<OwnedFd>) -> Result<Vec<u8>, String>;

/// A sandbox and its work.
pub struct Job<'a> {
    /// How the sandbox is made.
    pub plan: Plan,
    /// What runs in it.
    pub work: Work,
    /// Its directories and outputs.
    pub files: Files,
    /// A job of files mode: the submitter's tree in which it runs, whose plan is of that kind too.
    pub tree: Option<Tree>,
    /// The socket for the report. When the other end closes, the sandbox ends.
    pub answer: OwnedFd,
    /// Maximum elapsed time.
    pub wall: Duration,
    /// The control group to run in.
    pub group: Option<&'a Group>,
    /// What marks it to be ended first when memory runs out.
    pub marker: Option<&'a Marker>,
}

/// Exit status of a sandbox's first process that reported a failure, or had nobody to report to.
pub const FAILED: i32 = 3;

/// Starts a sandbox. The caller reaps the process. It keeps the returned socket to report in the process's place if its
/// exit status is neither 0 (it reported a result) nor [`FAILED`].
pub fn start(single: &SingleThread, mut job: Job<'_>) -> io::Result<(Pid, OwnedFd)> {
    let namespaces = job.plan.namespaces;
    let clone_target = job.group.and_then(Group::clone_target);
    let in_group = clone_target.and_then(|clone_target| {
        single.child_in(clone_target, namespaces, || run_first_process(single, &mut job, true)).ok()
    });
    let pid = match in_group {
        Some(pid) => pid,
        None => single.child(namespaces, || run_first_process(single, &mut job, false))?,
    };
    Ok((pid, job.answer))
}

/// Runs the first process; returns its exit status.
fn run_first_process(single: &SingleThread, job: &mut Job<'_>, in_group: bool) -> i32 {
    let report = first_process(single, job, in_group).unwrap_or_else(|e| Some(Report::Refused(e.to_string())));
    report.iter().for_each(|r| r.send(job.answer.as_fd()));
    if matches!(report, Some(Report::Ended(_) | Report::Done(_))) { 0 } else { FAILED }
}

/// Makes the sandbox, starts the work and waits for its end. `None`: the owner is gone.
fn first_process(single: &SingleThread, job: &mut Job<'_>, in_group: bool) -> Result<Option<Report>, Error> {
    // The marker's descriptor is one of those that are closed, as it leads to the host's files.
    job.marker.map_or(Ok(()), Marker::be_first).map_err(Error::step("be the first to end"))?;
    apply::close_others(&kept_descriptors(job));
    if let Some(group) = job.group.filter(|_| !in_group) {
        group.join().map_err(Error::step("join the control group"))?;
    }
    let upper = apply::perform_keeping(&job.plan.steps)?;
    make_dirs(&job.files)?;
    let cwd = job.tree.as_ref().map_or_else(|| below_tmp(&job.files.cwd), |tree| path_of(&tree.cwd));
    let watched = job.tree.is_some();
    let supervisor = job.tree.take().map(|tree| supervise(tree, upper)).transpose()?;
    let (from_work, to_first) = channel::pair().map_err(Error::step("make a socket pair"))?;
    let children = SigSet::from_iter([Signal::SIGCHLD]);
    let children = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Error::step("watch children"))?;
    let owned = job.plan.namespaces.contains(CloneFlags::CLONE_NEWPID);
    let alone = job.plan.alone;
    let kills = job.group.map_or(0, Group::kills);
    let start = Instant::now();
    let Job { work, plan, .. } = job;
    let filter = plan.filter.as_ref();
    let pid = single
        .child(CloneFlags::empty(), || do_work(work, &cwd, (owned, watched, filter), to_first))
        .map_err(Error::step("fork"))?;
    close_stdio(work);
    let awaits_listener = filter.is_some_and(Filter::listens);
    let mut told = Told {
        from_work: Some(from_work),
        awaits_listener,
        listener: None,
        unknown: UnknownCalls::default(),
        supervisor,
        report: None,
    };
    let ended = watch(job, pid, &children, &mut told, start);
    kill_all(pid, alone, owned);
    let Some((how, mut usage, timed_out)) = ended else { return Ok(None) };
    usage.real = start.elapsed();
    while told.from_work.is_some() {
        told.hear();
    }
    let files = &job.files;
    if told.report.is_some() {
        return Ok(told.report);
    }
    if matches!(job.work, Work::Function { .. }) {
        let why = if timed_out { "not done in time".to_owned() } else { format!("ended without result: {how:?}") };
        return Ok(Some(Report::Refused(why)));
    }
    let good = how == How::Exited(0) && !timed_out;
    let outputs = [&files.object, &files.dwo].map(|path| if good { output(path) } else { Ok(None) });
    if files.clean {
        clean(files);
    } else if outputs.iter().any(|output| matches!(output, Ok(Some(_)))) {
        empty_tmp(Path::new("/tmp"));
    }
    let [object, dwo] = outputs;
    let (object, dwo) = (object?, dwo?);
    let files = told
        .supervisor
        .map(|supervisor| supervisor.end().map(Box::new))
        .transpose()
        .map_err(Error::step("collect what was written"))?;
    let out_of_memory = job.group.is_some_and(|g| g.kills() > kills);
    let unknown = told.unknown.calls();
    Ok(Some(Report::Ended(Ended { how, usage, out_of_memory, timed_out, object, dwo, unknown, files })))
}

/// Who watches a job of files mode, whose plan has kept its upper layer open.
fn supervise(tree: Tree, upper: Option<OwnedFd>) -> Result<Supervisor, Error> {
    let upper = upper.ok_or_else(|| "nothing can be written".to_owned());
    upper.and_then(|upper| Supervisor::new(tree, upper)).map_err(Error::refused("watch the job"))
}

/// The launcher's descriptors that a sandbox keeps.
fn kept_descriptors(job: &Job<'_>) -> Vec<i32> {
    let mut keep = vec![job.answer.as_raw_fd()];
    match &job.work {
        Work::Program { stdio, .. } => keep.extend(stdio.iter().flatten().map(AsRawFd::as_raw_fd)),
        Work::Function { input, .. } => keep.extend(input.iter().map(AsRawFd::as_raw_fd)),
    }
    keep.extend(job.group.iter().flat_map(|g| g.fds()));
    keep.extend(job.tree.iter().map(|tree| tree.asks.as_raw_fd()));
    keep
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Closes the first process's copies of the job's pipes, so that their other ends see the job's end.
fn close_stdio(work: &mut Work) {
    match work {
        Work::Program { stdio, .. } => *stdio = None,
        Work::Function { input, .. } => *input = None,
    }
}

/// Runs the work in its own process: executes the program, or calls the function. Messages to the first process are a
/// tag byte and a text.
fn do_work(work: &mut Work, cwd: &Path, kind: (bool, bool, Option<&Filter>), to_first: OwnedFd) -> i32 {
    let (owned, watched, filter) = kind;
    // Makes a process group, to kill all of the job where nothing better is available. It cannot fail: a fresh process
    // leads no group.
    let _ = setsid();
    if !owned {
        // Without a pid namespace it would survive the first process.
        let _ = apply::perform(&[Step::DieWithParent]);
    }
    if watched {
        // The first process reads the paths of its calls. Nobody else is in the sandbox yet.
        let _ = apply::perform(&[Step::Dumpable]);
    }
    let send = |tag: u8, text: &[u8]| {
        let text = &text[..text.len().min(TEXT_MAX)];
        let _ = nix::unistd::write(&to_first, &[&[tag][..], text].concat());
    };
    match filter.map_or(Ok(None), Filter::install) {
        Ok(None) => {}
        // Without it nobody would answer, and the program wait for ever.
        Ok(Some(listener)) if channel::send(to_first.as_fd(), &[LISTENER], &[listener.as_fd()]).is_err() => return 0,
        Ok(Some(_)) => {}
        Err(e) => {
            send(b'R', format!("cannot filter system calls: {e}").as_bytes());
            return 0;
        }
    }
    match work {
        Work::Program { path, argv, env, stdio } => {
            if let Err(e) = prepare(stdio.as_ref(), cwd) {
                send(b'R', format!("cannot prepare for {}: {e}", path.to_string_lossy()).as_bytes());
                return 0;
            }
            let Err(e) = execve(path, argv, env);
            if matches!(e, Errno::ENOMEM | Errno::EAGAIN | Errno::EMFILE | Errno::ENFILE | Errno::EIO) {
                // A temporary failure of this host, which says nothing about the program.
                send(b'R', format!("cannot start {} now: {e}", path.to_string_lossy()).as_bytes());
                return 0;
            }
            // ENOENT is also returned if the program exists but its loader does not.
            let missing = access(path.as_c_str(), AccessFlags::F_OK) == Err(Errno::ENOENT);
            let text = format!("cannot start {}: {e}", path.to_string_lossy());
            send(if missing { b'M' } else { b'N' }, text.as_bytes());
        }
        Work::Function { input, body } => {
            let body = std::mem::replace(body, Box::new(|_| Ok(Vec::new())));
            match body(input.take()) {
                Ok(bytes) => send(b'D', &bytes),
                Err(text) => send(b'R', text.as_bytes()),
            }
        }
    }
    0
}

/// Sets up standard descriptors, working directory and signals before exec.
fn prepare(stdio: Option<&[OwnedFd; 3]>, cwd: &Path) -> io::Result<()> {
    let stdio = stdio.ok_or_else(|| io::Error::other("no standard descriptors"))?;
    apply::place(stdio.each_ref().map(AsRawFd::as_raw_fd))?;
    nix::unistd::chdir(cwd)?;
    apply::default_signals()
}

/// Waits until the work has ended, hears what it tells, and kills it at the deadline. `None`: the owner hung up first.
fn watch(job: &Job<'_>, pid: Pid, children: &SignalFd, told: &mut Told, start: Instant) -> Option<(How, Usage, bool)> {
    let (mut timed_out, mut some_ended) = (false, true);
    loop {
        while let Some((who, status, usage)) = if some_ended { apply::reap(false) } else { None } {
            if who == pid {
                return Some((exit_of(status), usage_of(&usage), timed_out));
            }
        }
        let left = job.wall.saturating_sub(start.elapsed());
        if left.is_zero() && !timed_out {
            timed_out = true;
            signal_all(pid, job.plan.alone);
        }
        let ms = if timed_out { 1000 } else { left.as_millis().saturating_add(1) };
        let timeout = i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::MAX);
        // Where there is nothing to hear any more, the owner stands in.
        let answer = job.answer.as_fd();
        let words = told.from_work.as_ref().filter(|_| told.awaits_listener).map(AsFd::as_fd);
        let calls = told.listener.as_ref().map(AsFd::as_fd);
        let mut fds = [
            PollFd::new(answer, PollFlags::empty()),
            PollFd::new(children.as_fd(), PollFlags::POLLIN),
            PollFd::new(words.unwrap_or(answer), if words.is_some() { PollFlags::POLLIN } else { PollFlags::empty() }),
            PollFd::new(calls.unwrap_or(answer), if calls.is_some() { PollFlags::POLLIN } else { PollFlags::empty() }),
        ];
        // No interruption can occur, as all signals are blocked; other errors show in the next round or at the
        // deadline.
        let _ = poll(&mut fds, timeout);
        let [hung_up, ended, speaks, asks] = fds.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        if !hung_up.is_empty() {
            return None;
        }
        // A job of files mode makes thousands of calls that come this way: nothing is done for one but answer it.
        some_ended = !ended.is_empty();
        while some_ended && matches!(children.read_signal(), Ok(Some(_))) {}
        if !speaks.is_empty() {
            told.hear();
        }
        if asks.contains(PollFlags::POLLIN) {
            if !told.answer(answer) {
                signal_all(pid, job.plan.alone);
            }
        } else if !asks.is_empty() {
            // Nobody is left under the filter.
            told.listener = None;
        }
    }
}

/// Kills everything that the job left running, before its files are inspected. `owned`: it has a pid namespace.
fn kill_all(pid: Pid, alone: bool, owned: bool) {
    // Whoever else is left in a pid namespace is a child of its first process, or of such a child. Nobody is as a rule,
    // and to signal everybody the kernel would look at every process of the host.
    if owned && !apply::has_children() {
        return;
    }
    // Processes that fork while they are killed are killed in a later round. In a pid namespace the kernel kills
    // whatever is left when this process ends.
    for _ in 0..KILL_ROUNDS {
        signal_all(pid, alone);
        while apply::reap(false).is_some() {}
        if !apply::has_children() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Maximum number of rounds of killing, one millisecond apart.
const KILL_ROUNDS: u32 = 1000;

/// Kills the job's processes. Killing all processes of the user is only right if no other job has the same user id.
fn signal_all(pid: Pid, alone: bool) {
    let _ = if alone { kill(Pid::from_raw(-1), Signal::SIGKILL) } else { killpg(pid, Signal::SIGKILL) };
}

/// Translates a wait status.
fn exit_of(status: i32) -> How {
    if libc::WIFSIGNALED(status) {
        How::Signalled(libc::WTERMSIG(status))
    } else {
        How::Exited(libc::WEXITSTATUS(status))
    }
}

/// Translates the kernel's resource usage.
fn usage_of(usage: &libc::rusage) -> Usage {
    let count = |n: libc::c_long| u64::try_from(n).unwrap_or(0);
    #[allow(clippy::unnecessary_cast)] // the width differs between platforms
    let time = |t: &libc::timeval| {
        Duration::from_micros(count(t.tv_sec as libc::c_long) * 1_000_000 + count(t.tv_usec as libc::c_long))
    };
    Usage {
        real: Duration::ZERO,
        user: time(&usage.ru_utime),
        system: time(&usage.ru_stime),
        resident_kib: count(usage.ru_maxrss),
        page_faults: count(usage.ru_majflt) + count(usage.ru_minflt),
    }
}

/// Tag of the message that has the listener of the work's filter with it.
const LISTENER: u8 = b'L';
/// Longest text of a message.
const TEXT_MAX: usize = 4000;

/// What the work's process tells, until its program starts or it ends.
struct Told {
    /// The end by which it does; `None`: it says nothing more.
    from_work: Option<OwnedFd>,
    /// The listener comes first. All else is heard at the end: to wake up for it would cost more than the rest.
    awaits_listener: bool,
    /// Where its program's calls are told that the filter does not decide.
    listener: Option<Listener>,
    /// The unknown ones.
    unknown: UnknownCalls,
    /// Decides about the others.
    supervisor: Option<Supervisor>,
    /// What it said of itself.
    report: Option<Report>,
}

impl Told {
    /// Takes a message, or the end of all.
    fn hear(&mut self) {
        self.awaits_listener = false;
        let packet = self.from_work.as_ref().and_then(|from| channel::receive(from.as_fd(), TEXT_MAX + 1).ok());
        match packet {
            Some(packet) if packet.bytes == [LISTENER] => {
                self.listener = packet.fds.into_iter().next().map(Listener::new);
                self.listener.iter().filter(|_| self.supervisor.is_some()).for_each(Listener::wake_at_once);
            }
            Some(packet) if !packet.bytes.is_empty() => self.report = parse_message(&packet.bytes),
            _ => self.from_work = None,
        }
    }
}

impl Told {
    /// Answers a call that waits, if it still does. `false`: the job must end.
    fn answer(&mut self, owner: BorrowedFd<'_>) -> bool {
        let Some(listener) = &self.listener else { return true };
        let Ok(call) = listener.next() else { return true };
        let reply = self.supervisor.as_mut().and_then(|supervisor| supervisor.reply(listener, &call, owner));
        if self.supervisor.as_ref().is_some_and(Supervisor::refuses) {
            // Whoever waits for the answer is killed, and does not say that something failed.
            return false;
        }
        let reply = reply.unwrap_or_else(|| {
            self.unknown.count(call.machine, call.number);
            Reply::Fail(Errno::ENOSYS)
        });
        listener.answer(&call, reply);
        true
    }
}

/// Translates the worker's message to a report.
fn parse_message(message: &[u8]) -> Option<Report> {
    let (tag, rest) = message.split_first()?;
    let text = || String::from_utf8_lossy(rest).into_owned();
    match tag {
        b'D' => Some(Report::Done(rest.to_vec())),
        b'R' => Some(Report::Refused(text())),
        tag => Some(Report::NotStarted { text: text(), missing: *tag == b'M' }),
    }
}
