//! A started scheduler: ours or Debian's 1.4.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::daemon::{Daemon, Setup};
use super::monitor::Monitor;
use super::text::TextPeer;
use super::{LIMIT, holds_within, until};

/// Where Debian puts 1.4's scheduler.
const DEBIAN: &str = "/usr/sbin/icecc-scheduler";
/// Ports below those the system gives to outgoing connections.
const PORTS: std::ops::Range<u32> = 10_400..30_000;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The program of this path, which is ours.
    Ours(&'static str),
    /// 1.4 as Debian installs it.
    Debian,
}

impl Kind {
    /// Whether it can be run here; says so if it cannot.
    pub fn is_here(self) -> bool {
        let here = match self {
            Self::Ours(_) => true,
            Self::Debian => Path::new(DEBIAN).exists(),
        };
        if !here {
            println!("skipped: icecream 1.4's scheduler is not installed ({DEBIAN}, Debian's package icecc)");
        }
        here
    }

    /// Whether it is ours.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Ours(_))
    }

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Ours(path) => path,
            Self::Debian => DEBIAN,
        }
    }
}

/// How it is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further arguments.
    pub args: Vec<String>,
    /// Further variables of the environment.
    pub env: Vec<(String, String)>,
    /// Instead of a name of its own.
    pub netname: Option<String>,
    /// Log nothing but errors.
    pub quiet: bool,
}

/// A scheduler that runs; killed when dropped, with the end of its log shown if the test fails.
#[derive(Debug)]
pub struct Scheduler {
    /// Its port; the text port is the next one.
    pub port: u16,
    /// The netname it serves.
    pub netname: String,
    kind: Kind,
    child: Child,
    log: PathBuf,
    nudge: Option<Nudge>,
}

impl Scheduler {
    /// Starts one on free ports and waits until it is ready.
    #[track_caller]
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, &Options::default())
    }

    /// Starts one with options.
    #[track_caller]
    pub fn start_with(kind: Kind, options: &Options) -> Self {
        for _ in 0..8 {
            if let Some(started) = Self::try_start(kind, options, free_ports()) {
                return started;
            }
        }
        panic!("{} does not start", kind.path());
    }

    /// Starts one on this port; `None` if it ended at once.
    pub fn try_start(kind: Kind, options: &Options, port: u16) -> Option<Self> {
        let netname = options.netname.clone().unwrap_or_else(|| format!("net{port}"));
        let log = scratch(&format!("scheduler-{port}.log"));
        let file = File::create(&log).unwrap();
        let mut command = Command::new(kind.path());
        command.args(["-p", &port.to_string(), "-n", &netname]);
        if !options.quiet {
            command.arg("-vvv");
        }
        command.args(&options.args).env("ICECC_TESTS", "1").envs(options.env.iter().cloned());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let mut started = Self { port, netname, kind, child, log, nudge: None };
        let mut ended = false;
        let ready = holds_within(LIMIT, || {
            ended = started.child.try_wait().unwrap().is_some();
            ended || started.is_ready(options)
        });
        assert!(ready, "{} is not ready: {}", kind.path(), started.log());
        if ended {
            return None;
        }
        started.nudge = (!kind.is_ours()).then(|| Nudge::start(port));
        Some(started)
    }

    fn is_ready(&self, options: &Options) -> bool {
        if options.quiet {
            // It says nothing; its text port is open last but one.
            return std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port + 1)).is_ok();
        }
        self.log().contains("scheduler ready")
    }

    /// Which program it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is ours.
    pub fn is_ours(&self) -> bool {
        self.kind.is_ours()
    }

    /// Its number as a process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits for a line with this text.
    #[track_caller]
    pub fn until_log(&self, text: &str) {
        until(&format!("{text:?} in the log"), || self.log().contains(text));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// How it ended, if it does so in time.
    pub fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        holds_within(limit, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status
    }

    /// Memory it holds, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.proc_number("status", "VmRSS:")
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    /// CPU time used, in milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>() * 10
    }

    /// A number in one of its files below `/proc`.
    pub fn proc_number(&self, file: &str, key: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
        line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// A daemon logs in.
    #[track_caller]
    pub fn host(&self, setup: Setup) -> Daemon {
        Daemon::login(self, setup)
    }

    /// A monitor logs in.
    pub fn monitor(&self) -> Monitor {
        Monitor::login(self, 43)
    }

    /// A text peer connects.
    #[track_caller]
    pub fn text(&self) -> TextPeer {
        TextPeer::connect(self)
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        drop(self.nudge.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("--- end of the log of {}, kept whole as {}:", self.kind.path(), self.log.display());
            lines.iter().rev().take(60).rev().for_each(|line| println!("{line}"));
            return;
        }
        let _ = fs::remove_file(&self.log);
    }
}

/// 1.4 looks for new connections only when something else wakes it (`spec/scheduler.md` 2.1): a datagram it ignores does.
#[derive(Debug)]
struct Nudge {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Nudge {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else { return };
            while !stopped.load(Ordering::Relaxed) {
                let _ = socket.send_to(&[0], (Ipv4Addr::LOCALHOST, port));
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Nudge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Runs a program that ends by itself; killed, and without a code, if it does not.
pub fn run_to_end(kind: Kind, args: &[&str], limit: Duration) -> Ended {
    let path = |name: &str| scratch(&format!("run-{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let (out, err) = (path("out"), path("err"));
    let mut command = Command::new(kind.path());
    command.args(args).env("ICECC_TESTS", "1").stdin(Stdio::null());
    command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let mut child = command.spawn().unwrap();
    let mut code = None;
    let ended = holds_within(limit, || {
        code = child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
    }
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let ended = Ended { code: code.flatten(), stdout: read(&out), stderr: read(&err) };
    let _ = fs::remove_file(out);
    let _ = fs::remove_file(err);
    ended
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port of which the next one is free too, for TCP and UDP.
pub fn free_ports() -> u16 {
    for _ in 0..1000 {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let spread = std::process::id().wrapping_mul(7919).wrapping_add(n.wrapping_mul(2));
        let port = (PORTS.start + spread % (PORTS.end - PORTS.start)) as u16;
        let any = Ipv4Addr::UNSPECIFIED;
        let free = TcpListener::bind((any, port)).is_ok()
            && TcpListener::bind((any, port + 1)).is_ok()
            && UdpSocket::bind((any, port)).is_ok();
        if free {
            return port;
        }
    }
    panic!("no free ports");
}

/// A path for a file of this process.
pub fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ice-fake-{}-{name}", std::process::id()))
}
