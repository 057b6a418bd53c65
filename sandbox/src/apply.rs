//! Carries out a plan in a fresh single-threaded process, and the system calls around forking. Most of the `unsafe`
//! code of this crate is here.

use crate::error::Error;
use crate::plan::{Limit, Lower, Step, c};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Pid, Uid, chdir, chroot, fchdir, pivot_root, setgroups, setresgid, setresuid};
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Proof that this process had one thread when it was checked; the owner must start no other.
///
/// Forking copies only the calling thread. Locks that other threads hold, such as the allocator's, would stay locked in
/// the child.
#[derive(Debug)]
pub struct SingleThread(PhantomData<*const ()>);

impl SingleThread {
    /// Checks that there is one thread. Fails with [`Error::Threads`] otherwise.
    pub fn check() -> Result<Self, Error> {
        let threads = fs::read_dir("/proc/self/task").map_err(Error::step("count the threads"))?.count();
        if threads == 1 { Ok(Self(PhantomData)) } else { Err(Error::Threads { threads }) }
    }

    /// Forks a child that runs `body` and exits with its result.
    pub fn fork(&self, body: impl FnOnce() -> i32) -> io::Result<Pid> {
        self.child(CloneFlags::empty(), body)
    }

    /// Forks a child that runs `body` and exits with its result. If `namespaces` is not empty, the child is the first
    /// process in new namespaces of these types.
    pub fn child(&self, namespaces: CloneFlags, body: impl FnOnce() -> i32) -> io::Result<Pid> {
        let flags = libc::c_long::from(namespaces.bits() | libc::SIGCHLD);
        let none: libc::c_long = 0;
        // SAFETY: without a stack and CLONE_VM this is fork(2); the process has one thread, so that no lock is held.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
        after_fork(pid, body)
    }

    /// As [`Self::child`], but created in the control group (v2) of this directory: moving it there later makes the
    /// kernel wait for all processors. Fails on kernels before 5.7, and where a call filter around us forbids it.
    pub fn child_in(
        &self,
        group: BorrowedFd<'_>,
        namespaces: CloneFlags,
        body: impl FnOnce() -> i32,
    ) -> io::Result<Pid> {
        let args = CloneArgs {
            flags: u64::from(namespaces.bits().unsigned_abs()) | CLONE_INTO_CGROUP,
            exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
            cgroup: u64::from(group.as_raw_fd().unsigned_abs()),
            ..CloneArgs::default()
        };
        // SAFETY: as above; the structure has the size that is given and is only read.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
        after_fork(pid, body)
    }
}

/// Handles both sides of a fork: the child runs `body` and exits.
fn after_fork(pid: libc::c_long, body: impl FnOnce() -> i32) -> io::Result<Pid> {
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED);
            // SAFETY: ends the child at once; destructors and buffers belong to the parent.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))),
    }
}

/// `struct clone_args` of Linux 5.7, which some versions of libc lack.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
    /// Namespaces and other flags.
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    /// The signal sent to the parent at the end.
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    /// Descriptor of the control group's directory.
    cgroup: u64,
}

/// From `linux/sched.h`; it does not fit libc's type of flags.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Exit status of a child whose body panicked.
const PANICKED: i32 = 101;

/// Carries out the steps in order. The error names the first one that fails.
pub fn perform(steps: &[Step]) -> Result<(), Error> {
    perform_keeping(steps).map(drop)
}

/// As [`perform`]. Returns the directory that was to be kept open.
pub(crate) fn perform_keeping(steps: &[Step]) -> Result<Option<OwnedFd>, Error> {
    let mut kept = None;
    for step in steps {
        match step {
            Step::Keep(at) => kept = Some(nix::fcntl::open(at.as_c_str(), DIRECTORY, Mode::empty())),
            step => perform_one(step).map_err(Error::step(step.to_string()))?,
        }
    }
    kept.transpose().map_err(Error::step("keep a directory open"))
}

/// How a directory is opened that is only a place.
const DIRECTORY: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// An absent argument of mount(2).
const NO_PATH: Option<&CStr> = None;

/// Carries out one step.
fn perform_one(step: &Step) -> io::Result<()> {
    match step {
        Step::UserNamespace { uid, gid, outside } => user_namespace((*uid, *gid), *outside)?,
        Step::Unshare(flags) => unshare(*flags)?,
        Step::Private => mount(NO_PATH, c"/", NO_PATH, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NO_PATH)?,
        Step::Bind { from, to, all } => {
            let flags = if *all { MsFlags::MS_BIND | MsFlags::MS_REC } else { MsFlags::MS_BIND };
            mount(Some(from.as_c_str()), to.as_c_str(), NO_PATH, flags, NO_PATH)?;
        }
        Step::Remount { at, flags } => {
            let flags = *flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
            mount(NO_PATH, at.as_c_str(), NO_PATH, flags, NO_PATH)?;
        }
        Step::Tmpfs { at, options } => {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some(c"tmpfs"), at.as_c_str(), Some(c"tmpfs"), flags, Some(options.as_c_str()))?;
        }
        Step::Proc(at) => {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some(c"proc"), at.as_c_str(), Some(c"proc"), flags, Some(c"subset=pid"))?;
        }
        Step::Overlay { at, lower, upper, proc, of_user } => overlay(at, lower, upper, proc, *of_user)?,
        Step::Keep(_) => {}
        Step::MakeDir(at) => match nix::unistd::mkdir(at.as_c_str(), Mode::from_bits_truncate(0o755)) {
            Err(Errno::EEXIST) => {}
            result => result?,
        },
        Step::MakeFile(at) => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
            nix::fcntl::open(at.as_c_str(), flags, Mode::from_bits_truncate(0o444)).map(drop)?;
        }
        Step::PivotRoot { new, old: Some(old) } => {
            pivot_root(new.as_c_str(), old.as_c_str())?;
            chdir(c"/")?;
        }
        Step::PivotRoot { new, old: None } => {
            chdir(new.as_c_str())?;
            // The old root is mounted over the new one, where it can be detached without a mount point of its own.
            pivot_root(c".", c".")?;
            umount2(c".", MntFlags::MNT_DETACH)?;
            chdir(c"/")?;
        }
        Step::Detach(at) => umount2(at.as_c_str(), MntFlags::MNT_DETACH)?,
        Step::Chroot { base, below } => change_root(base, below)?,
        Step::Chdir(to) => chdir(to.as_c_str())?,
        Step::Umask(mask) => drop(umask(Mode::from_bits_truncate(*mask))),
        Step::Nice(by) => nice(*by)?,
        Step::Limit(what, to) => {
            // Raising a limit needs a privilege, so a lower one stays.
            let to = (*to).min(getrlimit(resource(*what))?.1);
            setrlimit(resource(*what), to, to)?;
        }
        Step::Ids { uid, gid } => {
            setgroups(&[])?;
            let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
            setresgid(gid, gid, gid)?;
            setresuid(uid, uid, uid)?;
        }
        Step::NoBounds => no_bounds()?,
        Step::NoCapabilities => no_capabilities()?,
        Step::NoNewPrivileges => control(libc::PR_SET_NO_NEW_PRIVS, 1)?,
        Step::NotDumpable => control(libc::PR_SET_DUMPABLE, 0)?,
        Step::Dumpable => control(libc::PR_SET_DUMPABLE, 1)?,
        Step::DieWithParent => control(libc::PR_SET_PDEATHSIG, libc::SIGKILL)?,
        Step::RefuseUncounted => crate::filter::refuse_uncounted()?,
        Step::Adopt => control(libc::PR_SET_CHILD_SUBREAPER, 1)?,
    }
    Ok(())
}

/// Enters a user namespace in which one user and one group exist.
fn user_namespace(inside: (u32, u32), outside: (u32, u32)) -> io::Result<()> {
    // A process that changed its ids is not dumpable, and then may not write its own maps.
    control(libc::PR_SET_DUMPABLE, 1)?;
    match unshare(CloneFlags::CLONE_NEWUSER) {
        // The kernel's text, "No space left on device", would suggest a full disk.
        Err(Errno::ENOSPC) => return Err(io::Error::other("the limit user.max_user_namespaces is reached")),
        result => result?,
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{} {} 1", inside.0, outside.0))?;
    fs::write("/proc/self/gid_map", format!("{} {} 1", inside.1, outside.1))
}

/// Opens a directory without following links below `base`.
fn open_below(base: &CStr, below: &[CString]) -> io::Result<OwnedFd> {
    let mut at = nix::fcntl::open(base, DIRECTORY, Mode::empty())?;
    for name in below {
        at = openat(&at, name.as_c_str(), DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

/// Mounts an overlay. Its layers are named by their descriptors, so that no link is followed to them, and no name has a
/// meaning in the list.
fn overlay(at: &CStr, lower: &Lower, [upper, work]: &[CString; 2], proc: &CStr, of_user: bool) -> io::Result<()> {
    let dir = open_below(&lower.base, &lower.below)?;
    let open = |name: &CString| openat(&dir, name.as_c_str(), DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty());
    let layers = lower.layers.iter().map(open).collect::<Result<Vec<OwnedFd>, Errno>>()?;
    let name = |layer: &OwnedFd| [proc.to_bytes(), format!("/self/fd/{}", layer.as_raw_fd()).as_bytes()].concat();
    let options = [
        b"lowerdir=".to_vec(),
        layers.iter().map(name).collect::<Vec<_>>().join(&b':'),
        [b",upperdir=", upper.to_bytes(), b",workdir=", work.to_bytes()].concat(),
        // Layers may not lead elsewhere.
        b",redirect_dir=nofollow,metacopy=off".to_vec(),
        if of_user { b",userxattr".to_vec() } else { Vec::new() },
    ];
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount(Some(c"overlay"), at, Some(c"overlay"), flags, Some(c(options.concat()).as_c_str()))?)
}

/// Changes the root without following links below `base`.
fn change_root(base: &CStr, below: &[CString]) -> io::Result<()> {
    let at = open_below(base, below)?;
    fchdir(&at)?;
    chroot(c".")?;
    Ok(chdir(c"/")?)
}

/// The kernel's resource for a limit.
fn resource(limit: Limit) -> Resource {
    match limit {
        Limit::AddressSpace => Resource::RLIMIT_AS,
        Limit::Cpu => Resource::RLIMIT_CPU,
        Limit::File => Resource::RLIMIT_FSIZE,
        Limit::Descriptors => Resource::RLIMIT_NOFILE,
        Limit::Processes => Resource::RLIMIT_NPROC,
        Limit::Core => Resource::RLIMIT_CORE,
    }
}

/// Adds niceness to this process.
fn nice(by: i32) -> io::Result<()> {
    Errno::clear();
    // SAFETY: takes and returns plain numbers. -1 is a valid result, so errno decides.
    match unsafe { libc::nice(by) } {
        -1 if Errno::last_raw() != 0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Calls prctl(2) with one number.
fn control(option: libc::c_int, to: libc::c_int) -> io::Result<()> {
    let (to, none): (libc::c_ulong, libc::c_ulong) = (to.unsigned_abs().into(), 0);
    // SAFETY: these options take numbers only.
    let result = unsafe { libc::prctl(option, to, none, none, none) };
    Errno::result(result).map(drop).map_err(Into::into)
}

/// Empties the bounding set, as far as permitted.
fn no_bounds() -> io::Result<()> {
    for n in 0..64 {
        match control(libc::PR_CAPBSET_DROP, n) {
            Ok(()) => {}
            // The kernel has no more capabilities.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => break,
            // Without CAP_SETPCAP. no_new_privs makes the bounding set irrelevant.
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Empties all capability sets: bounding (a new user namespace has a full one), ambient, and the three of this process.
fn no_capabilities() -> io::Result<()> {
    no_bounds()?;
    // Linux before 4.3 has no ambient set to clear.
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = rustix::thread::CapabilitySet::empty();
    let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Whether this process has a capability in its effective set.
pub fn has(capability: rustix::thread::CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// Blocks all signals: the launcher and its sandboxes end when their sockets close, not by keys typed in a terminal.
pub fn block_signals() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?)
}

/// Resets all signals to their defaults and unblocks them, as a program expects at its start. (1.4's compilers ignore
/// SIGPIPE.)
pub fn default_signals() -> io::Result<()> {
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default needs no handler.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
    }
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Closes all descriptors but 0, 1, 2 and `keep`. Only for processes in which nothing owns the others: fresh children,
/// and programs that have just started.
pub fn close_others(keep: &[RawFd]) {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    keep.dedup();
    keep.push(RawFd::MAX);
    let mut from = 3;
    for fd in keep {
        if from < fd {
            close_range(from, fd - 1);
        }
        from = fd.saturating_add(1);
    }
}

/// Closes a range of descriptors.
fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: callers own none of these descriptors: they are fresh processes that never return to the copied owners,
    // or have opened nothing yet.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result != 0 {
        // Linux before 5.9 lacks the call. This program has no descriptors beyond the usual soft limit.
        for fd in first..=last.min(4096) {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

/// Duplicates three descriptors to 0, 1 and 2, which stay open across exec.
pub fn place(three: [RawFd; 3]) -> io::Result<()> {
    for (from, to) in three.into_iter().zip(0..) {
        // SAFETY: plain numbers; 0 to 2 of this fresh process belong to nobody. Sources are above 2.
        Errno::result(unsafe { libc::dup2(from, to) })?;
    }
    Ok(())
}

/// Whether this process has any child, running or not yet reaped.
pub(crate) fn has_children() -> bool {
    // SAFETY: all-zero is a valid siginfo_t, and a place for one is all that the call wants.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a live local of the right type.
    unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) == 0 }
}

/// Reaps a child that has ended, waiting for one if `block`. Returns its pid, wait status and resource usage; `None`:
/// no such child.
pub fn reap(block: bool) -> Option<(Pid, libc::c_int, libc::rusage)> {
    let mut status = 0;
    // SAFETY: all-zero is a valid rusage, it is plain numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        let options = if block { 0 } else { libc::WNOHANG };
        // SAFETY: both pointers are to live locals of the right type.
        let pid = unsafe { libc::wait4(-1, &raw mut status, options, &raw mut usage) };
        match pid {
            -1 if Errno::last() == Errno::EINTR => {}
            pid if pid > 0 => return Some((Pid::from_raw(pid), status, usage)),
            _ => return None,
        }
    }
}
