//! Carries out a plan in a fresh single-threaded process, then executes the program. All that is unsafe about a box.

use crate::error::Error;
use crate::plan::{Limit, Step};
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
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Proof that this process had one thread when it was asked, which its holder keeps so.
///
/// Forking copies only the calling thread; locks that others hold (the allocator's) would stay locked in the child.
#[derive(Debug)]
pub struct SingleThread(PhantomData<*const ()>);

impl SingleThread {
    /// Counts the threads.
    pub fn check() -> Result<Self, Error> {
        let threads = fs::read_dir("/proc/self/task").map_err(Error::step("count the threads"))?.count();
        if threads == 1 { Ok(Self(PhantomData)) } else { Err(Error::Threads { threads }) }
    }

    /// Makes an ordinary child that runs `body` and exits with what it returns.
    pub fn fork(&self, body: impl FnOnce() -> i32) -> io::Result<Pid> {
        self.child(CloneFlags::empty(), body)
    }

    /// Makes a child that runs `body` and exits with what it returns. With namespaces: the first process of those.
    pub fn child(&self, namespaces: CloneFlags, body: impl FnOnce() -> i32) -> io::Result<Pid> {
        let flags = libc::c_long::from(namespaces.bits() | libc::SIGCHLD);
        let none: libc::c_long = 0;
        // SAFETY: without a stack and CLONE_VM this is fork(2); the process has one thread, so that no lock is held.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
        born(pid, body)
    }

    /// As [`Self::child`], but born in the control group (v2) of this folder: entering it later makes the kernel wait for all
    /// processors. Kernels before 5.7, and filters of calls around us, refuse this.
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
        born(pid, body)
    }
}

/// Both sides of a fork: the child runs `body` and ends.
fn born(pid: libc::c_long, body: impl FnOnce() -> i32) -> io::Result<Pid> {
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

/// `struct clone_args` of Linux 5.7, which libc does not have everywhere.
#[derive(Default)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `linux/sched.h`; too wide for libc's type of flags.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Exit status of a child whose body panicked.
const PANICKED: i32 = 101;

/// Carries out steps in order; the first that fails is in the error.
pub fn perform(steps: &[Step]) -> Result<(), Error> {
    steps.iter().try_for_each(|step| perform_one(step).map_err(Error::step(step.to_string())))
}

const NO_PATH: Option<&CStr> = None;

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
            // The old root lands on top of the new one, where it can be taken off without a folder for it.
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
            // Raising needs a right; what is lower already may stay.
            let to = (*to).min(getrlimit(resource(*what))?.1);
            setrlimit(resource(*what), to, to)?;
        }
        Step::Ids { uid, gid } => {
            setgroups(&[])?;
            let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
            setresgid(gid, gid, gid)?;
            setresuid(uid, uid, uid)?;
        }
        Step::NoCapabilities => no_capabilities()?,
        Step::NoNewPrivileges => control(libc::PR_SET_NO_NEW_PRIVS, 1)?,
        Step::NotDumpable => control(libc::PR_SET_DUMPABLE, 0)?,
        Step::DieWithParent => control(libc::PR_SET_PDEATHSIG, libc::SIGKILL)?,
        Step::Adopt => control(libc::PR_SET_CHILD_SUBREAPER, 1)?,
        Step::FilterCalls { foreign } => crate::filter::install(*foreign)?,
    }
    Ok(())
}

/// Enters a user namespace in which one user and one group exist.
fn user_namespace(inside: (u32, u32), outside: (u32, u32)) -> io::Result<()> {
    // A process that changed its ids is not dumpable, and then may not write its own maps.
    control(libc::PR_SET_DUMPABLE, 1)?;
    match unshare(CloneFlags::CLONE_NEWUSER) {
        // "No space left on device" would send its reader to df.
        Err(Errno::ENOSPC) => return Err(io::Error::other("the limit user.max_user_namespaces is reached")),
        result => result?,
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{} {} 1", inside.0, outside.0))?;
    fs::write("/proc/self/gid_map", format!("{} {} 1", inside.1, outside.1))
}

/// chroot without following any link below `base`.
fn change_root(base: &CStr, below: &[CString]) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut at = nix::fcntl::open(base, flags, Mode::empty())?;
    for name in below {
        at = openat(&at, name.as_c_str(), flags | OFlag::O_NOFOLLOW, Mode::empty())?;
    }
    fchdir(&at)?;
    chroot(c".")?;
    Ok(chdir(c"/")?)
}

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

fn nice(by: i32) -> io::Result<()> {
    Errno::clear();
    // SAFETY: takes and returns plain numbers. -1 is a valid result, so errno decides.
    match unsafe { libc::nice(by) } {
        -1 if Errno::last_raw() != 0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn control(option: libc::c_int, to: libc::c_int) -> io::Result<()> {
    let (to, none): (libc::c_ulong, libc::c_ulong) = (to.unsigned_abs().into(), 0);
    // SAFETY: these options take numbers only.
    let result = unsafe { libc::prctl(option, to, none, none, none) };
    Errno::result(result).map(drop).map_err(Into::into)
}

/// Empties every set: bounding (while that is allowed), ambient, and the three of this process.
fn no_capabilities() -> io::Result<()> {
    for n in 0..64 {
        match control(libc::PR_CAPBSET_DROP, n) {
            Ok(()) => {}
            // The kernel has no more of them.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => break,
            // After the change of ids the right to do so is gone; no_new_privs makes the bounding set idle then.
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => break,
            Err(e) => return Err(e),
        }
    }
    // No ambient set (Linux before 4.3): nothing to clear.
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = rustix::thread::CapabilitySet::empty();
    let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Whether this process has a capability now.
pub fn has(capability: rustix::thread::CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// Blocks every signal that can be: the launcher and its boxes end by hang-up, not by a terminal's keys.
pub fn block_signals() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?)
}

/// Every signal to its default, none blocked: what a program expects at its start. (1.4's compilers ignore SIGPIPE.)
pub fn default_signals() -> io::Result<()> {
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default needs no handler.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
    }
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Closes every descriptor but 0, 1, 2 and those named. For processes whose other descriptors have no owner any more, or
/// not yet one: fresh children, and programs that have just started.
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

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: callers own none of these: they are fresh processes that never return to the copied owners, or have opened nothing yet.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result != 0 {
        // Linux before 5.9. Nothing was opened past the soft limit by this program.
        for fd in first..=last.min(4096) {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

/// Puts descriptors in the places of 0, 1 and 2, open across exec.
pub fn place(three: [RawFd; 3]) -> io::Result<()> {
    for (from, to) in three.into_iter().zip(0..) {
        // SAFETY: plain numbers; 0 to 2 of this fresh process belong to nobody. Sources are above 2.
        Errno::result(unsafe { libc::dup2(from, to) })?;
    }
    Ok(())
}

/// Whether this process has any child, ended or not.
pub(crate) fn has_children() -> bool {
    // SAFETY: all-zero is a valid siginfo_t, and a place for one is all that the call wants.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a live local of the right type.
    unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) == 0 }
}

/// Looks for a child that has ended, or waits for one: its pid, status and use. `None`: no such child.
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
