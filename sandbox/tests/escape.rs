//! Tests what a hostile job can do in a sandbox: nothing. The rows are the catalogue of SECURITY.md.
//!
//! This program is its own attacker: it copies itself and its libraries into an environment and runs itself in the
//! sandbox with the name of an attack. An attack exits with 0 if it was refused as it should be, and otherwise prints
//! what it achieved. As root the rows are run as root first and then, in another process, as an ordinary user.

use ice_sandbox::apply::{SingleThread, block_signals, reap};
use ice_sandbox::calls::Purpose;
use ice_sandbox::channel;
use ice_sandbox::child::{self, Files, Job, Work};
use ice_sandbox::factory::{Needs, SandboxFactory, Setup};
use ice_sandbox::files_trial::try_files;
use ice_sandbox::guarantees::Guarantee::{self, Calls, Memory, Network, OwnId, PrivateTmp, Processes, ReadOnly, Root};
use ice_sandbox::plan::{Plan, c};
use ice_sandbox::report::{Ended, How, Report};
use ice_sandbox::unknown::UnknownCall;
use nix::sched::CloneFlags;
use std::error::Error;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

mod tricks;
mod watched;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const AS_USER: &str = "ESCAPE_TEST_BASE";
const USER: u32 = 41_000;
const LONG: Duration = Duration::from_secs(60);

/// The expected end of an attack as seen from outside.
#[derive(Clone, Copy)]
enum Expect {
    /// The attack itself reports that it was refused.
    Refused,
    /// Killed by the deadline.
    TimedOut,
    /// Killed by the kernel at the memory limit.
    OutOfMemory,
    /// Ended by a signal.
    Signal(i32),
    /// Its output is not handed over.
    NoOutput,
    /// Of everything that it wrote only the output is left.
    OutputAlone,
    /// Refused, and its unknown calls are reported.
    Counted,
}

use Expect::{Counted, NoOutput, OutOfMemory, OutputAlone, Refused, Signal, TimedOut};

/// Name of the attack, the guarantee that it tests, and how its failure looks.
const ROWS: &[(&str, Guarantee, Expect)] = &[
    ("read-shadow", Root, Refused),
    ("read-base", Root, Refused),
    ("proc", Root, Refused),
    ("dot-dot", Root, Refused),
    ("inherited-descriptors", Root, Refused),
    ("identity", Root, Refused),
    ("signals", Root, Refused),
    ("environment", Root, Refused),
    ("write-env", ReadOnly, Refused),
    ("remount-env", ReadOnly, Refused),
    ("umount-env", ReadOnly, Refused),
    ("chroot-again", Root, Refused),
    ("mknod", Root, Refused),
    ("execute-in-tmp", PrivateTmp, Refused),
    ("leave-file", PrivateTmp, Refused),
    ("find-file", PrivateTmp, Refused),
    ("fill-tmp", PrivateTmp, Refused),
    ("many-files", PrivateTmp, Refused),
    ("kill-all", Processes, Refused),
    ("kill-first", Processes, Refused),
    ("daemonise", Processes, Refused),
    ("trace-first", Processes, Refused),
    ("fork-bomb", Root, Refused),
    ("connect", Network, Refused),
    ("netlink", Network, Refused),
    ("socket", Calls, Refused),
    ("user-namespace", Calls, Refused),
    ("clone-namespace", Calls, Refused),
    ("clone3", Calls, Refused),
    ("rare-calls", Calls, Refused),
    ("unknown-calls", Calls, Counted),
    ("execute-memory", Calls, Refused),
    ("lease", Calls, Refused),
    ("limit-first", Calls, Refused),
    ("tiocsti", Calls, Refused),
    ("x32-call", Calls, Signal(libc::SIGSYS)),
    ("set-id", Root, Refused),
    ("core-dump", Root, Signal(libc::SIGABRT)),
    ("huge-file", Root, Signal(libc::SIGXFSZ)),
    ("ignore-term-and-loop", Root, TimedOut),
    ("all-memory", Memory, OutOfMemory),
    ("symlink-output", Root, NoOutput),
    ("fifo-output", Root, NoOutput),
    ("folder-output", Root, NoOutput),
    ("much-beside-output", PrivateTmp, OutputAlone),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args.first().is_some_and(|a| a == tricks::PROGRAM) {
        return tricks::play(args.get(1).map_or("", String::as_str));
    }
    if args.iter().any(|a| a == "--list") {
        if !args.iter().any(|a| a == "--ignored") {
            println!("escape: test");
        }
        return ExitCode::SUCCESS;
    }
    let code = report(run());
    if code == ExitCode::SUCCESS {
        println!("test result: ok. 1 passed;");
    }
    code
}

fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("escape: FAILED: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let single = SingleThread::check()?;
    if let Some(base) = std::env::var_os(AS_USER) {
        return all(&single, Path::new(&base), "ordinary user");
    }
    let dir = tempfile::Builder::new().prefix("escape").tempdir()?;
    let base = dir.path().join("envs");
    plant(&base.join("target=x/env"))?;
    if fs::metadata(&base)?.uid() != 0 {
        return apart(&single, || all(&single, &base, "ordinary user"));
    }
    give(dir.path(), USER)?;
    created_in_group(&single)?;
    apart(&single, || all(&single, &base, "root"))?;
    let own = base.join("target=x/env").join(tricks::PROGRAM.trim_start_matches('/'));
    apart(&single, || Err(Command::new(own).env(AS_USER, &base).uid(USER).gid(USER).exec().into()))?;
    apart(&single, || {
        only_chroot(dir.path())?;
        all(&single, Path::new("/envs"), "root without mounts")
    })
}

/// Checks that a child can be created in a control group. Where the host cannot do that, it prints why.
fn created_in_group(single: &SingleThread) -> Outcome {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let Some(mount) = mount else {
        println!("skipped: created in a control group: no cgroup2 is mounted");
        return Ok(());
    };
    let name = format!("escape-test-{}", std::process::id());
    let group = Path::new(mount).join(&name);
    if let Err(e) = fs::create_dir(&group) {
        println!("skipped: created in a control group: {}: {e}", group.display());
        return Ok(());
    }
    let there = || fs::read_to_string("/proc/self/cgroup").is_ok_and(|own| own.contains(&name));
    let created = fs::File::open(&group)
        .and_then(|dir| single.child_in(dir.as_fd(), CloneFlags::empty(), || i32::from(!there())));
    let ended = created.map(|pid| nix::sys::wait::waitpid(pid, None));
    fs::remove_dir(&group)?;
    match ended {
        Ok(Ok(nix::sys::wait::WaitStatus::Exited(_, 0))) => Ok(()),
        Ok(other) => Err(format!("not created in its control group: {other:?}").into()),
        Err(e) => {
            println!("skipped: created in a control group: clone3: {e}");
            Ok(())
        }
    }
}

/// Runs `body` in a process of its own, as the preparation of a factory cannot be undone.
fn apart(single: &SingleThread, body: impl FnOnce() -> Outcome) -> Outcome {
    let pid = single.fork(|| i32::from(report(body()) != ExitCode::SUCCESS))?;
    match nix::sys::wait::waitpid(pid, None)? {
        nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(()),
        status => Err(format!("{status:?}").into()),
    }
}

/// Leaves only chroot usable: without the capability to mount, and in a chroot, where user namespaces are refused.
fn only_chroot(new_root: &Path) -> Outcome {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    nix::unistd::chroot(new_root)?;
    nix::unistd::chdir("/")?;
    let mut sets = capabilities(None)?;
    sets.effective.remove(CapabilitySet::SYS_ADMIN);
    sets.permitted.remove(CapabilitySet::SYS_ADMIN);
    Ok(set_capabilities(None, sets)?)
}

/// An environment that holds this program and its libraries.
fn plant(env: &Path) -> Outcome {
    for dir in ["tmp", "dev", "usr/bin"] {
        fs::create_dir_all(env.join(dir))?;
    }
    // As in an installed environment, writable for the group that all jobs share.
    fs::set_permissions(env.join("tmp"), fs::Permissions::from_mode(0o1775))?;
    // The loader in the sandbox will look for what is mapped here, and is itself requested by another name.
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut libraries: Vec<&str> = maps.lines().filter_map(|l| l.split_whitespace().nth(5)).collect();
    libraries.retain(|l| l.contains(".so"));
    libraries.extend(["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux-armhf.so.3"]);
    libraries.dedup();
    for library in libraries.into_iter().filter(|l| Path::new(l).exists()) {
        let to = env.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().ok_or("no parent")?)?;
        fs::copy(library, &to)?;
    }
    let program = env.join(tricks::PROGRAM.trim_start_matches('/'));
    fs::copy(std::env::current_exe()?, &program)?;
    Ok(())
}

fn give(path: &Path, uid: u32) -> Outcome {
    lchown(path, Some(uid), Some(uid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid)?;
        }
    }
    Ok(())
}

fn all(single: &SingleThread, base: &Path, who: &str) -> Outcome {
    block_signals()?;
    let root = who != "ordinary user";
    // For the row "set-id": the bit must have no effect. If the file belonged to root, it would have the greatest.
    let copy = base.join("target=x/env/usr/bin/set-id");
    let program = base.join("target=x/env").join(tricks::PROGRAM.trim_start_matches('/'));
    fs::remove_file(&copy).or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    fs::copy(program, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755))?;
    let setup = Setup {
        base: base.to_path_buf(),
        owner: root.then_some((USER, USER)),
        job_uid_base: root.then_some(43_000),
        slots: 2,
        own_tasks: 0,
        nice: 0,
    };
    // Listen before the factory leaves the host's network.
    let outside = Outside::listen()?;
    let factory = SandboxFactory::prepare(single, setup)?;
    println!("escape as {who}:\n{}", factory.guarantees());
    if let Err(reason) = factory.guarantees().accepts_jobs() {
        println!("skipped: escape as {who}: {reason}");
        return Ok(());
    }
    println!("a sandbox:\n{}", factory.job(&needs(LONG))?);
    // Where mounts are missing there is no files mode.
    let tried = try_files(single, &factory);
    let watched = tried.is_ok();
    if let Some(reason) = tried.err().filter(|_| who != "root without mounts") {
        println!("skipped: escape as {who}: watched: {reason}");
    }
    let mut failed = Vec::new();
    for &(trick, guarantee, expect) in ROWS {
        if let Some(reason) = factory.guarantees().reason(guarantee) {
            if !beyond(who).contains(&guarantee) {
                println!("skipped: escape as {who}: {trick}: {reason}");
            }
            continue;
        }
        let wall = if matches!(expect, TimedOut) { Duration::from_millis(300) } else { LONG };
        // The filter refuses sockets too, so the network's isolation is also tested without it.
        let mut ways = vec![Way::Filtered];
        ways.extend((guarantee == Network).then_some(Way::Unfiltered));
        ways.extend((watched && watched::ROWS.contains(&trick)).then_some(Way::Watched));
        for way in ways {
            let (report, words) = attack(single, &factory, &outside, trick, (wall, way))?;
            let good = is_good(&report, trick, expect, way)?;
            let without = way.name();
            println!("row: escape as {who}: {trick}{without}: {}", if good { "ok" } else { "NOT REFUSED" });
            if !good {
                failed.push(format!("{trick}{without}: {report:?} {words}"));
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("as {who}:\n  {}", failed.join("\n  ")).into()) }
}

/// Whether an attack ended as it should.
fn is_good(report: &Report, trick: &str, expect: Expect, way: Way) -> Outcome<bool> {
    Ok(match (report, expect) {
        (Report::Ended(e), _) if way == Way::Watched && trick == watched::EXECUTE_MEMORY => {
            e.files.as_ref().and_then(|files| files.refused.as_ref()).is_some_and(|why| why.contains("/proc"))
        }
        (Report::Ended(Ended { how: How::Exited(0), timed_out: false, .. }), Refused) => true,
        (Report::Ended(e @ Ended { how: How::Exited(0), .. }), Counted) => counted(&e.unknown),
        (Report::Ended(e), TimedOut) => e.timed_out,
        (Report::Ended(e), OutOfMemory) => e.out_of_memory,
        (Report::Ended(e), Signal(signal)) => e.how == How::Signalled(signal),
        (Report::Ended(Ended { how: How::Exited(0), object: Some(object), .. }), OutputAlone) => {
            let left = nix::sys::statvfs::fstatvfs(object)?;
            let blocks = (left.blocks() - left.blocks_free()) * left.fragment_size();
            // Two files: the output and `/tmp` itself.
            left.files() - left.files_free() == 2 && blocks <= 64 << 10
        }
        (Report::Refused(text), NoOutput) => text.contains("hand over"),
        _ => false,
    })
}

/// Whether the row "unknown-calls" was counted: each call by its name, and one twice. A host may have somebody above us
/// who listens already.
fn counted(calls: &[UnknownCall]) -> bool {
    let told: Vec<(String, u64)> = calls.iter().map(|call| (call.name(), call.count)).collect();
    let times = |name: &str| told.iter().find(|(told, _)| told == name).map(|(_, count)| *count);
    if told.is_empty() {
        println!("skipped: escape: unknown-calls are not counted: another listener, or Linux before 5.0");
        return true;
    }
    (times("open_tree_attr"), times("memfd_create"), times("number 4000")) == (Some(2), Some(1), Some(1))
}

/// What stops an attack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All of the sandbox.
    Filtered,
    /// All but the filter.
    Unfiltered,
    /// The sandbox of a job of files mode.
    Watched,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Filtered => "",
            Self::Unfiltered => " without the filter",
            Self::Watched => " in files mode",
        }
    }
}

/// The guarantees that this identity has on no host. Memory is guaranteed only where the host provides a control group.
fn beyond(who: &str) -> &'static [Guarantee] {
    match who {
        "ordinary user" => &[OwnId, Memory],
        "root without mounts" => &[ReadOnly, PrivateTmp, Processes, Network, Memory],
        _ => &[],
    }
}

fn needs(wall: Duration) -> Needs<'static> {
    Needs {
        env: ["target=x", "env"],
        slot: 0,
        memory: 256 << 20,
        tmp: 8 << 20,
        file: 4 << 20,
        wall,
        purpose: Purpose::Gcc,
        foreign: false,
    }
}

/// Listeners that a job must not reach: a TCP port of the host's loopback, and an abstract Unix socket.
struct Outside {
    tcp: TcpListener,
    unix: UnixListener,
    port: u16,
    name: String,
}

impl Outside {
    /// Listens, and verifies that both can be reached from here.
    fn listen() -> Outcome<Self> {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let (port, name) = (tcp.local_addr()?.port(), format!("escape-{}", std::process::id()));
        let address = SocketAddr::from_abstract_name(&name)?;
        let unix = UnixListener::bind_addr(&address)?;
        let (_one, _other) = (TcpStream::connect(("127.0.0.1", port))?, UnixStream::connect_addr(&address)?);
        tcp.accept()?;
        unix.accept()?;
        tcp.set_nonblocking(true)?;
        unix.set_nonblocking(true)?;
        Ok(Self { tcp, unix, port, name })
    }

    fn nobody_came(&self) -> Outcome {
        if self.tcp.accept().is_ok() || self.unix.accept().is_ok() {
            return Err("a job has reached the host".into());
        }
        Ok(())
    }
}

/// Runs an attack; returns the report and the attack's output.
fn attack(
    single: &SingleThread,
    factory: &SandboxFactory,
    outside: &Outside,
    trick: &str,
    (wall, way): (Duration, Way),
) -> Outcome<(Report, String)> {
    let (ours, theirs) = channel::pair()?;
    let said = channel::memory()?;
    let (held, stdout) = channel::pair()?;
    factory.limit_memory(0, 256 << 20)?;
    let path = c(tricks::PROGRAM);
    let stdio: [OwnedFd; 3] = [channel::sealed(b"")?, stdout, said.try_clone()?.into()];
    let env = vec![c("PATH=/usr/bin"), c("TMPDIR=/tmp")];
    let tree = if way == Way::Watched { Some(watched::tree()?) } else { None };
    let plan = match way {
        Way::Filtered => factory.job(&needs(wall))?,
        Way::Unfiltered => Plan { filter: None, ..factory.job(&needs(wall))? },
        Way::Watched => factory.files(&watched::needs(&["target=x".to_owned()], &["env".to_owned()], wall))?,
    };
    let argv = vec![path.clone(), c(trick), c(outside.port.to_string()), c(&outside.name)];
    let job = Job {
        plan,
        work: Work::Program { argv, path, env, stdio: Some(stdio) },
        tree,
        files: Files { object: b"object.o".to_vec(), clean: factory.shares_tmp(), ..Files::default() },
        answer: theirs,
        wall,
        group: factory.group(0),
        marker: factory.marker(),
    };
    let (pid, answer) = child::start(single, job)?;
    let report = Report::receive(&ours, LONG)?.ok_or("no report")?;
    drop(answer);
    // A process of the job that is still alive would hold the other end of its stdout.
    if !channel::hung_up(&held, Duration::from_secs(5)) {
        return Err(format!("{trick}: something of the job lives on").into());
    }
    while reap(true).is_some_and(|(who, ..)| who != pid) {}
    outside.nobody_came()?;
    let mut words = vec![0; 500];
    let len = said.read_at(&mut words, 0)?;
    words.truncate(len);
    Ok((report, String::from_utf8_lossy(&words).into_owned()))
}
