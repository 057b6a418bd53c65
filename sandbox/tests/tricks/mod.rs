//! The attacks, run inside the sandbox. `Ok` means refused as it should be; `Err` says what was achieved.

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::{ForkResult, Pid, fork, getppid, getresgid, getresuid, setsid};
use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// The path of this program in the sandbox.
pub const PROGRAM: &str = "/usr/bin/escape";

type Got = Result<(), String>;

/// Runs an attack; exit status 0 means refused.
pub fn play(name: &str) -> ExitCode {
    match trick(name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(got) => {
            let _ = writeln!(std::io::stderr(), "{got}");
            ExitCode::FAILURE
        }
    }
}

fn trick(name: &str) -> Got {
    match name {
        "read-shadow" => ["/etc/shadow", "/etc/passwd", "/etc/hostname"].iter().try_for_each(|f| absent(f)),
        "read-base" => ["/base", "/host", "/box", "/root", "/home", "/var"].iter().try_for_each(|f| absent(f)),
        "proc" => proc(),
        "dot-dot" => dot_dot(),
        "inherited-descriptors" => inherited_descriptors(),
        "identity" => identity(),
        "signals" => signals(),
        "environment" => environment(),
        "write-env" => write_env(),
        "remount-env" => remount_env(),
        "umount-env" => umount_env(),
        "chroot-again" => eperm(nix::unistd::chroot(c"/tmp")),
        "mknod" => mknod(),
        "execute-in-tmp" => execute_in_tmp(),
        "leave-file" => fs::write("/tmp/left", "for the next").map_err(|e| e.to_string()),
        "find-file" => absent("/tmp/left"),
        "fill-tmp" => fill_tmp(),
        "many-files" => many_files(),
        "kill-all" => kill_all(),
        "kill-first" => kill_first(),
        "trace-first" => call(libc::SYS_ptrace, [libc::PTRACE_ATTACH.into(), 1, 0], Errno::EPERM),
        "daemonise" => daemonise(),
        "fork-bomb" => fork_bomb(),
        "connect" => connect(),
        "netlink" => netlink(),
        "socket" => socket(),
        "user-namespace" => eperm(nix::sched::unshare(CloneFlags::CLONE_NEWUSER)),
        "clone-namespace" => clone_namespace(),
        "clone3" => call(libc::SYS_clone3, [0, 0, 0], Errno::ENOSYS),
        "rare-calls" => rare_calls(),
        "unknown-calls" => unknown_calls(),
        "execute-memory" => execute_memory(),
        "lease" => call(libc::SYS_fcntl, [0, libc::F_SETLEASE.into(), libc::F_RDLCK.into()], Errno::EINVAL),
        "limit-first" => call(libc::SYS_prlimit64, [1, libc::RLIMIT_NOFILE.into(), 0], Errno::EPERM),
        "tiocsti" => call(libc::SYS_ioctl, [0, i64::try_from(libc::TIOCSTI).unwrap_or(0), 0], Errno::ENOTTY),
        // getpid in the x32 table.
        "x32-call" if cfg!(target_arch = "x86_64") => call(0x4000_0000 + libc::SYS_getpid, [0, 0, 0], Errno::EPERM),
        "x32-call" => Err(format!("{:?}", signal_self(Signal::SIGSYS))),
        "set-id" => set_id(),
        "core-dump" => Err(format!("{:?}", signal_self(Signal::SIGABRT))),
        "huge-file" => huge_file(),
        "ignore-term-and-loop" => ignore_term_and_loop(),
        "all-memory" => all_memory(),
        "symlink-output" => symlink(PROGRAM, "/tmp/object.o").map_err(|e| e.to_string()),
        "fifo-output" => fifo_output(),
        "folder-output" => fs::create_dir("/tmp/object.o").map_err(|e| e.to_string()),
        "much-beside-output" => much_beside_output().map_err(|e| e.to_string()),
        other => Err(format!("no trick {other:?}")),
    }
}

fn proc() -> Got {
    ["/proc/1/root", "/proc/self/exe", "/sys/kernel", "/dev/vda", "/dev/tty"].iter().try_for_each(|f| absent(f))
}

fn dot_dot() -> Got {
    std::env::set_current_dir("../../../../..").map_err(|e| e.to_string())?;
    absent("etc/shadow")
}

fn inherited_descriptors() -> Got {
    let open = |fd: &i32| call(libc::SYS_fcntl, [i64::from(*fd), libc::F_GETFD.into(), 0], Errno::EBADF).is_err();
    let more: Vec<i32> = (3..1024).filter(open).collect();
    if more.is_empty() { Ok(()) } else { Err(format!("descriptors {more:?}")) }
}

fn environment() -> Got {
    let all: Vec<_> = std::env::vars().map(|(k, v)| format!("{k}={v}")).collect();
    if all == ["PATH=/usr/bin", "TMPDIR=/tmp"] { Ok(()) } else { Err(format!("{all:?}")) }
}

fn write_env() -> Got {
    for (what, result) in [
        ("make", File::create("/usr/bin/new").map(drop)),
        ("change", OpenOptions::new().write(true).open(PROGRAM).map(drop)),
        ("remove", fs::remove_file("/usr/bin/set-id")),
        ("link", fs::hard_link(PROGRAM, "/usr/bin/new")),
        ("mode", fs::set_permissions(PROGRAM, fs::Permissions::from_mode(0o777))),
        ("dev", File::create("/dev/new").map(drop)),
    ] {
        if !matches!(&result, Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem || what == "change") {
            return Err(format!("{what}: {result:?}"));
        }
    }
    Ok(())
}

fn remount_env() -> Got {
    let none: Option<&CStr> = None;
    eperm(mount(none, c"/", none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, none))?;
    eperm(mount(Some(c"x"), c"/tmp", Some(c"tmpfs"), MsFlags::empty(), none))
}

fn umount_env() -> Got {
    eperm(umount2(c"/", MntFlags::MNT_DETACH)).and_then(|()| eperm(umount2(c"/tmp", MntFlags::empty())))
}

fn mknod() -> Got {
    let (kind, mode) = (nix::sys::stat::SFlag::S_IFBLK, nix::sys::stat::Mode::from_bits_truncate(0o666));
    eperm(nix::sys::stat::mknod(c"/tmp/disk", kind, mode, nix::sys::stat::makedev(254, 0)))
}

fn execute_in_tmp() -> Got {
    fs::write("/tmp/program", "#!/usr/bin/escape").map_err(|e| e.to_string())?;
    fs::set_permissions("/tmp/program", fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    match Command::new("/tmp/program").status() {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn fill_tmp() -> Got {
    for n in 0..100 {
        if let Err(e) = fs::write(format!("/tmp/{n}"), vec![1; 1 << 20]) {
            return if e.kind() == ErrorKind::StorageFull { Ok(()) } else { Err(e.to_string()) };
        }
    }
    Err("100 MiB written".to_owned())
}

fn many_files() -> Got {
    match (0..100_000).find_map(|n| File::create(format!("/tmp/{n}")).err()) {
        Some(e) if e.kind() == ErrorKind::StorageFull => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn kill_all() -> Got {
    let alone = kill(Pid::from_raw(-1), Signal::SIGKILL);
    if getppid() == Pid::from_raw(1) && alone != Ok(()) { Ok(()) } else { Err(format!("{alone:?}")) }
}

fn kill_first() -> Got {
    let _ = kill(Pid::from_raw(1), Signal::SIGKILL);
    let _ = kill(Pid::from_raw(1), Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(20));
    kill(Pid::from_raw(1), None).map_err(|e| e.to_string())
}

fn daemonise() -> Got {
    if let Ok(ForkResult::Child) = split() {
        let _ = setsid();
        if let Ok(ForkResult::Child) = split() {
            std::thread::sleep(Duration::from_secs(1000));
        }
    }
    Ok(())
}

fn fork_bomb() -> Got {
    for n in 0..10_000 {
        match split() {
            Ok(ForkResult::Child) => std::thread::sleep(Duration::from_secs(1000)),
            Ok(_) => {}
            Err(Errno::EAGAIN) if n < 1000 => return Ok(()),
            Err(e) => return Err(e.to_string()),
        }
    }
    Err("10,000 processes".to_owned())
}

fn netlink() -> Got {
    // With the filter there is no socket; without it a socket must show nothing.
    let interfaces = nix::ifaddrs::getifaddrs().map(|all| all.map(|i| i.interface_name).collect::<Vec<_>>());
    match interfaces {
        Ok(all) if all.iter().any(|i| i != "lo") => Err(format!("{all:?}")),
        _ => Ok(()),
    }
}

fn socket() -> Got {
    [libc::AF_UNIX, libc::AF_INET, libc::AF_NETLINK]
        .iter()
        .try_for_each(|family| call(libc::SYS_socket, [i64::from(*family), libc::SOCK_STREAM.into(), 0], Errno::EPERM))
}

fn clone_namespace() -> Got {
    let flags = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    call(libc::SYS_clone, [flags, 0, 0], Errno::EPERM)
}

fn rare_calls() -> Got {
    [
        libc::SYS_setns,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_add_key,
        libc::SYS_keyctl,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
    ]
    .iter()
    .try_for_each(|n| call(*n, [0, 0, 0], Errno::EPERM))
}

/// Calls that no compiler needs, of this kernel and of later ones: there are none such. 467 is open_tree_attr, with
/// which a list of refused calls had been too old.
fn unknown_calls() -> Got {
    [
        467,
        467,
        4000,
        libc::SYS_memfd_create,
        libc::SYS_execveat,
        libc::SYS_memfd_secret,
        libc::SYS_seccomp,
        libc::SYS_pidfd_open,
        libc::SYS_move_pages,
        libc::SYS_mlockall,
        libc::SYS_socketpair,
        libc::SYS_inotify_init1,
        libc::SYS_mq_open,
        libc::SYS_shmget,
        libc::SYS_shmat,
        libc::SYS_msgget,
        libc::SYS_semget,
        libc::SYS_landlock_create_ruleset,
        457, // statmount
        458, // listmount
        470, // listns
    ]
    .iter()
    .try_for_each(|n| call(*n, [0, 0, 0], Errno::ENOSYS))
}

/// Tries to make a program in memory, and to run one by its descriptor, which needs no path.
fn execute_memory() -> Got {
    let memory = nix::sys::memfd::memfd_create(c"program", nix::sys::memfd::MFdFlags::empty());
    let file = File::open(PROGRAM).map_err(|e| e.to_string())?;
    // The C library uses execveat, else the descriptor's name in /proc, which is not there.
    let executed = nix::unistd::fexecve(file, &[c"program"], &[c""]);
    match (memory, executed) {
        (Err(Errno::ENOSYS), Err(_)) => Ok(()),
        (memory, executed) => Err(format!("{memory:?} {executed:?}")),
    }
}

fn set_id() -> Got {
    let status = Command::new("/usr/bin/set-id").arg0(PROGRAM).arg("identity").status();
    if status.as_ref().is_ok_and(std::process::ExitStatus::success) { Ok(()) } else { Err(format!("{status:?}")) }
}

fn huge_file() -> Got {
    let file = File::create("/tmp/huge").map_err(|e| e.to_string())?;
    file.set_len(1 << 40).map_err(|e| e.to_string())
}

fn ignore_term_and_loop() -> Got {
    for s in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let _ = handle(s, SigHandler::SigIgn);
    }
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn all_memory() -> Got {
    let mut all = Vec::new();
    for _ in 0..2000 {
        all.push(vec![1_u8; 1 << 20]);
    }
    Err(format!("{} MiB", std::hint::black_box(all).len()))
}

fn fifo_output() -> Got {
    nix::unistd::mkfifo(c"/tmp/object.o", nix::sys::stat::Mode::S_IRWXU).map_err(|e| e.to_string())
}

/// Creates much data, deep directories, some without permissions, and names that the cleanup might use.
fn much_beside_output() -> std::io::Result<()> {
    fs::write("/tmp/object.o", [1; 5000])?;
    fs::hard_link("/tmp/object.o", "/tmp/again")?;
    fs::write("/tmp/much", vec![1; 3 << 20])?;
    symlink("/", "/tmp/link")?;
    fs::write("/tmp/moved-1", "a file")?;
    fs::create_dir_all("/tmp/moved-0/in the way")?;
    let shut = fs::Permissions::from_mode(0o000);
    for top in ["/tmp/shut", "/tmp/deep"] {
        fs::create_dir(top)?;
        std::env::set_current_dir(top)?;
        for _ in 0..400 {
            fs::write("file", "x")?;
            fs::create_dir("d")?;
            std::env::set_current_dir("d")?;
        }
    }
    fs::set_permissions("/tmp/shut/d/d/d", shut.clone())?;
    fs::set_permissions("/tmp/shut/d", shut.clone())?;
    fs::set_permissions("/tmp/shut", shut)
}

fn absent(path: &str) -> Got {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => Err(format!("{path}: {other:?}")),
    }
}

fn eperm(result: nix::Result<()>) -> Got {
    if result == Err(Errno::EPERM) { Ok(()) } else { Err(format!("{result:?}")) }
}

fn call(number: libc::c_long, [a, b, c]: [libc::c_long; 3], expected: Errno) -> Got {
    // SAFETY: refused calls do nothing, whatever their arguments; F_GETFD only reads.
    let result = unsafe { libc::syscall(number, a, b, c, 0, 0, 0) };
    let errno = Errno::last();
    if result == -1 && errno == expected { Ok(()) } else { Err(format!("call {number}: {result}, {errno}")) }
}

fn split() -> nix::Result<ForkResult> {
    // SAFETY: this program has one thread.
    unsafe { fork() }
}

fn handle(s: Signal, how: SigHandler) -> nix::Result<SigHandler> {
    // SAFETY: no handler of ours is involved.
    unsafe { signal(s, how) }
}

fn signal_self(signal: Signal) -> nix::Result<()> {
    kill(nix::unistd::getpid(), signal)
}

/// Checks that no id is root's, that all are equal, and that no capability is left, nor can come back.
fn identity() -> Got {
    let (u, g) = (getresuid().map_err(|e| e.to_string())?, getresgid().map_err(|e| e.to_string())?);
    let caps = rustix::thread::capabilities(None).map_err(|e| e.to_string())?;
    let none = rustix::thread::CapabilitySet::empty();
    let groups = nix::unistd::getgroups().unwrap_or_default();
    let foreign = groups.iter().any(|group| *group != g.real);
    let nnp = rustix::thread::no_new_privs().unwrap_or(false);
    if u.real.is_root() || u.real != u.effective || u.real != u.saved || g.real.as_raw() == 0 || g.real != g.saved {
        return Err(format!("{u:?} {g:?}"));
    }
    if caps.effective != none || caps.permitted != none || caps.inheritable != none || !nnp || foreign {
        return Err(format!("{caps:?} {nnp} {groups:?}"));
    }
    // SAFETY: the call takes a number and returns one.
    let bounding = |n: &libc::c_ulong| unsafe { libc::prctl(libc::PR_CAPBSET_READ, *n) } == 1;
    if let Some(left) = (0..64).find(bounding) {
        return Err(format!("capability {left} is in the bounding set"));
    }
    Ok(())
}

/// Tries to connect to the test program outside, which listens on a loopback port and an abstract name given as
/// arguments.
fn connect() -> Got {
    let mut arguments = std::env::args().skip(2);
    let (port, name) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let port = port.parse().map_err(|_| format!("no port: {port:?}"))?;
    let address = SocketAddr::from_abstract_name(name).map_err(|e| e.to_string())?;
    match (TcpStream::connect(("127.0.0.1", port)), UnixStream::connect_addr(&address)) {
        (Err(_), Err(_)) => Ok(()),
        connected => Err(format!("{connected:?}")),
    }
}

/// Checks that all signals have their defaults and none is blocked.
fn signals() -> Got {
    let mask = nix::sys::signal::SigSet::thread_get_mask().map_err(|e| e.to_string())?;
    if mask.iter().next().is_some() {
        return Err(format!("blocked: {mask:?}"));
    }
    // Rust's start-up code ignores SIGPIPE itself, so that one cannot be checked.
    for s in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD, Signal::SIGUSR1] {
        let before = handle(s, SigHandler::SigDfl);
        if !matches!(before, Ok(SigHandler::SigDfl)) {
            return Err(format!("{s}: {before:?}"));
        }
    }
    Ok(())
}
