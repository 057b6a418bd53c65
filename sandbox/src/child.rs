//! The first process of a box: starts the work, watches its end, its deadline and its owner, then reports.

use crate::apply::{self, SingleThread};
use crate::error::Error;
use crate::memory::Group;
use crate::plan::{Plan, Step};
use crate::report::{Ended, How, Report, Usage};
use crate::stage::TMP_FILES;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{AccessFlags, Pid, access, execve, pipe2, setsid};
use std::ffi::CString;
use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is done in a box.
pub enum Work {
    /// A program of the environment.
    Program {
        /// Its path in the box.
        path: CString,
        /// All arguments, its own name first.
        argv: Vec<CString>,
        /// Its whole environment.
        env: Vec<CString>,
        /// Standard input, output and error.
        stdio: [OwnedFd; 3],
    },
    /// A function of ours.
    Function {
        /// The one descriptor it may keep.
        input: Option<OwnedFd>,
        /// Its result goes into the report; at most 4000 bytes of it.
        body: Box<Body>,
    },
}

/// A function run in a box.
pub type Body = dyn FnOnce(Option<OwnedFd>) -> Result<Vec<u8>, String>;

/// Folders and outputs of a job; all paths are below `/tmp` of the box and were checked by the caller.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Folders to make.
    pub dirs: Vec<Vec<u8>>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// Handed over after exit status 0, if not empty.
    pub object: Vec<u8>,
    /// Handed over after exit status 0, if it exists.
    pub dwo: Vec<u8>,
    /// `/tmp` outlives the job: what it made there is removed.
    pub clean: bool,
}

/// A box and what is to be done in it.
pub struct Job<'a> {
    /// How the box is made.
    pub plan: Plan,
    /// What is done in it.
    pub work: Work,
    /// Where.
    pub files: Files,
    /// The report goes here; when the other end closes, the box ends.
    pub answer: OwnedFd,
    /// Most time.
    pub wall: Duration,
    /// The control group it shall be in.
    pub group: Option<&'a Group>,
}

/// Exit status of a box's first process that has reported a failure, or had nobody to report to.
pub const FAILED: i32 = 3;

/// Starts a box. The caller reaps the process, and keeps the answer socket so that it can report in its stead if the
/// process ended in another way than with 0 (reported an end) or [`FAILED`].
pub fn start(single: &SingleThread, mut job: Job<'_>) -> io::Result<(Pid, OwnedFd)> {
    let namespaces = job.plan.namespaces;
    let cradle = job.group.and_then(Group::cradle);
    let born_there =
        cradle.and_then(|cradle| single.child_in(cradle, namespaces, || live(single, &mut job, true)).ok());
    let pid = match born_there {
        Some(pid) => pid,
        None => single.child(namespaces, || live(single, &mut job, false))?,
    };
    Ok((pid, job.answer))
}

/// The life of the first process; its exit status.
fn live(single: &SingleThread, job: &mut Job<'_>, in_group: bool) -> i32 {
    let report = first_process(single, job, in_group).unwrap_or_else(|e| Some(Report::Refused(e.to_string())));
    report.iter().for_each(|r| r.send(job.answer.as_fd()));
    if matches!(report, Some(Report::Ended(_) | Report::Done(_))) { 0 } else { FAILED }
}

/// Makes the box, starts the work, waits for its end. `None`: nobody wants to know any more.
fn first_process(single: &SingleThread, job: &mut Job<'_>, in_group: bool) -> Result<Option<Report>, Error> {
    apply::close_others(&kept(job));
    if let Some(group) = job.group.filter(|_| !in_group) {
        group.join().map_err(Error::step("join the control group"))?;
    }
    apply::perform(&job.plan.steps)?;
    make_folders(&job.files)?;
    let (from_work, to_first) = pipe2(OFlag::O_CLOEXEC).map_err(Error::step("make a pipe"))?;
    let children = SigSet::from_iter([Signal::SIGCHLD]);
    let children = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(Error::step("watch children"))?;
    let owned = job.plan.namespaces.contains(CloneFlags::CLONE_NEWPID);
    let alone = job.plan.alone;
    let kills = job.group.map_or(0, Group::kills);
    let start = Instant::now();
    let Job { work, files, .. } = job;
    let pid =
        single.child(CloneFlags::empty(), || do_work(work, files, owned, to_first)).map_err(Error::step("fork"))?;
    close_stdio(work);
    let Some((how, mut usage, timed_out)) = watch(job, pid, &children, start) else {
        kill_all(pid, alone);
        return Ok(None);
    };
    kill_all(pid, alone);
    usage.real = start.elapsed();
    let said = said(from_work);
    let files = &job.files;
    if let Some(report) = said.and_then(|said| answer(&said)) {
        return Ok(Some(report));
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
        empty(Path::new("/tmp"));
    }
    let [object, dwo] = outputs;
    let (object, dwo) = (object?, dwo?);
    let out_of_memory = job.group.is_some_and(|g| g.kills() > kills);
    Ok(Some(Report::Ended(Ended { how, usage, out_of_memory, timed_out, object, dwo })))
}

/// The descriptors that a box keeps of the launcher's.
fn kept(job: &Job<'_>) -> Vec<i32> {
    let mut keep = vec![job.answer.as_raw_fd()];
    match &job.work {
        Work::Program { stdio, .. } => keep.extend(stdio.iter().map(AsRawFd::as_raw_fd)),
        Work::Function { input, .. } => keep.extend(input.iter().map(AsRawFd::as_raw_fd)),
    }
    keep.extend(job.group.iter().flat_map(|g| g.fds()));
    keep
}

/// A path below the box's `/tmp`.
fn below_tmp(path: &[u8]) -> PathBuf {
    Path::new("/tmp").join(std::ffi::OsStr::from_bytes(path))
}

fn make_folders(files: &Files) -> Result<(), Error> {
    for dir in files.dirs.iter().chain([&files.cwd]).filter(|d| !d.is_empty()) {
        let path = below_tmp(dir);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(Error::step(format!("make folder {}", path.display())))?;
    }
    Ok(())
}

/// The first process must not keep the ends of the job's pipes open.
fn close_stdio(work: &mut Work) {
    match work {
        Work::Program { stdio, .. } => {
            // Replaced by harmless ones: dropping the old closes them.
            for fd in stdio.iter_mut() {
                if let Ok((a, _)) = pipe2(OFlag::O_CLOEXEC) {
                    *fd = a;
                }
            }
        }
        Work::Function { input, .. } => *input = None,
    }
}

/// The worker: becomes the program, or calls the function. What it says on the pipe is tag and text.
fn do_work(work: &mut Work, files: &Files, owned: bool, to_first: OwnedFd) -> i32 {
    // A group to be killed by, where that is all there is. It cannot fail: a fresh process leads no group.
    let _ = setsid();
    if !owned {
        // No namespace takes it down with the first process.
        let _ = apply::perform(&[Step::DieWithParent]);
    }
    let mut pipe = File::from(to_first);
    let mut say = |tag: u8, text: &[u8]| {
        let text = &text[..text.len().min(4000)];
        let _ = pipe.write_all(&[&[tag][..], text].concat());
    };
    match work {
        Work::Program { path, argv, env, stdio } => {
            let cwd = below_tmp(&files.cwd);
            if let Err(e) = prepare(stdio, &cwd) {
                say(b'R', format!("cannot prepare for {}: {e}", path.to_string_lossy()).as_bytes());
                return 0;
            }
            let Err(e) = execve(path, argv, env);
            if matches!(e, Errno::ENOMEM | Errno::EAGAIN | Errno::EMFILE | Errno::ENFILE | Errno::EIO) {
                // Trouble of this host, which says nothing of the program.
                say(b'R', format!("cannot start {} now: {e}", path.to_string_lossy()).as_bytes());
                return 0;
            }
            // ENOENT is also said when the program is there, but its loader is not.
            let missing = access(path.as_c_str(), AccessFlags::F_OK) == Err(Errno::ENOENT);
            let text = format!("cannot start {}: {e}", path.to_string_lossy());
            say(if missing { b'M' } else { b'N' }, text.as_bytes());
        }
        Work::Function { input, body } => {
            let body = std::mem::replace(body, Box::new(|_| Ok(Vec::new())));
            match body(input.take()) {
                Ok(bytes) => say(b'D', &bytes),
                Err(text) => say(b'R', text.as_bytes()),
            }
        }
    }
    0
}

fn prepare(stdio: &[OwnedFd; 3], cwd: &Path) -> io::Result<()> {
    apply::place(stdio.each_ref().map(AsRawFd::as_raw_fd))?;
    nix::unistd::chdir(cwd)?;
    apply::default_signals()
}

/// Waits until the work has ended, killing it at the deadline. `None` if the owner hung up first.
fn watch(job: &Job<'_>, pid: Pid, children: &SignalFd, start: Instant) -> Option<(How, Usage, bool)> {
    let mut timed_out = false;
    loop {
        while let Some((who, status, usage)) = apply::reap(false) {
            if who == pid {
                return Some((how(status), used(&usage), timed_out));
            }
        }
        let left = job.wall.saturating_sub(start.elapsed());
        if left.is_zero() && !timed_out {
            timed_out = true;
            signal_all(pid, job.plan.alone);
        }
        let ms = if timed_out { 1000 } else { left.as_millis().saturating_add(1) };
        let timeout = i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::MAX);
        let mut fds =
            [PollFd::new(job.answer.as_fd(), PollFlags::empty()), PollFd::new(children.as_fd(), PollFlags::POLLIN)];
        // Interruption cannot happen, all signals are blocked; other errors end in the next round or at the deadline.
        let _ = poll(&mut fds, timeout);
        if fds[0].revents().is_some_and(|r| !r.is_empty()) {
            return None;
        }
        while let Ok(Some(_)) = children.read_signal() {}
    }
}

/// Ends whatever the job left running, before its files are looked at.
fn kill_all(pid: Pid, alone: bool) {
    // Processes that fork while they are killed are met in a later round. In a pid namespace the first does it, and what
    // might be left there ends with this process.
    for _ in 0..KILL_ROUNDS {
        signal_all(pid, alone);
        while apply::reap(false).is_some() {}
        if !apply::has_children() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Rounds of killing, a millisecond apart.
const KILL_ROUNDS: u32 = 1000;

/// Not simply all: the first process of a box with a shared id must not hit its neighbours.
fn signal_all(pid: Pid, alone: bool) {
    let _ = if alone { kill(Pid::from_raw(-1), Signal::SIGKILL) } else { killpg(pid, Signal::SIGKILL) };
}

fn how(status: i32) -> How {
    if libc::WIFSIGNALED(status) {
        How::Signalled(libc::WTERMSIG(status))
    } else {
        How::Exited(libc::WEXITSTATUS(status))
    }
}

fn used(usage: &libc::rusage) -> Usage {
    let count = |n: libc::c_long| u64::try_from(n).unwrap_or(0);
    #[allow(clippy::unnecessary_cast)] // its width differs between machines
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

/// What the worker said before it ended or became the program. Everybody with the other end is dead or has exec'ed.
fn said(pipe: OwnedFd) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let len = File::from(pipe).read(&mut bytes).ok()?;
    bytes.truncate(len);
    (len > 0).then_some(bytes)
}

fn answer(said: &[u8]) -> Option<Report> {
    let (tag, rest) = said.split_first()?;
    let text = || String::from_utf8_lossy(rest).into_owned();
    match tag {
        b'D' => Some(Report::Done(rest.to_vec())),
        b'R' => Some(Report::Refused(text())),
        tag => Some(Report::NotStarted { text: text(), missing: *tag == b'M' }),
    }
}

/// Opens an output. What is no regular file is refused; a missing one is no output.
fn output(path: &[u8]) -> Result<Option<OwnedFd>, Error> {
    if path.is_empty() {
        return Ok(None);
    }
    let path = below_tmp(path);
    // O_NONBLOCK: a fifo must not hold us up.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
    let what = || format!("hand over {}", path.display());
    match opened {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Step { step: what(), source }),
        Ok(file) if file.metadata().is_ok_and(|m| m.is_file()) => Ok(Some(file.into())),
        Ok(_) => Err(Error::Step { step: what(), source: io::Error::other("not a regular file") }),
    }
}

/// Empties the job's own `/tmp` when its outputs are open: they keep all of it in memory, charged to their slot, for as long as
/// somebody takes to read them. What the environment shows there is of another file system, and stays.
///
/// Nothing of the job runs any more, and this process may do no more than it could: no name can mislead it.
fn empty(tmp: &Path) {
    let Ok(device) = fs::metadata(tmp).map(|m| m.dev()) else { return };
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().collect::<Vec<_>>();
    let open_up = |folder: &Path| fs::set_permissions(folder, Permissions::from_mode(0o700));
    // Folders within folders are moved to the top, each once, so that no depth matters.
    let mut moves = 0..2 * TMP_FILES;
    let mut is_done = false;
    while !std::mem::replace(&mut is_done, true) {
        for entry in list(tmp) {
            let path = entry.path();
            if !is_folder(&entry) {
                let _ = fs::remove_file(path);
            } else if entry.metadata().is_ok_and(|m| m.dev() == device) {
                let _ = open_up(&path);
                for inner in list(&path) {
                    let inner_path = inner.path();
                    if !is_folder(&inner) {
                        let _ = fs::remove_file(inner_path);
                    } else if let Some(number) = moves.next() {
                        let _ = open_up(&inner_path);
                        let _ = fs::rename(inner_path, tmp.join(format!("moved-{number}")));
                        is_done = false;
                    }
                }
                let _ = fs::remove_dir(path);
            }
        }
    }
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|t| t.is_dir())
}

/// Removes what the job had below a `/tmp` that stays. Failures leave what the removal of the environment takes.
fn clean(files: &Files) {
    for path in [&files.object, &files.dwo].into_iter().filter(|p| !p.is_empty()) {
        let _ = fs::remove_file(below_tmp(path));
    }
    for dir in files.dirs.iter().chain([&files.cwd]) {
        let top: Vec<u8> = dir.iter().copied().take_while(|&b| b != b'/').collect();
        if !top.is_empty() {
            let _ = fs::remove_dir_all(below_tmp(&top));
        }
    }
}
