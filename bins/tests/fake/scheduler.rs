//! A started scheduler: ours or Debian's 1.4.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::daemon::{Daemon, Setup};
use super::monitor::Monitor;
use super::process::{Ended, Process, run};
use super::text::TextPeer;
use super::{LIMIT, holds_within};

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
    nudge: Option<Nudge>,
    process: Process,
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
        let mut command = Command::new(kind.path());
        command.args(["-p", &port.to_string(), "-n", &netname]);
        if !options.quiet {
            command.arg("-vvv");
        }
        command.args(&options.args).env("ICECC_TESTS", "1").envs(options.env.iter().cloned());
        let process = Process::start(command, scratch(&format!("scheduler-{port}.log")));
        let mut started = Self { port, netname, kind, nudge: None, process };
        let mut ended = false;
        let ready = holds_within(LIMIT, || {
            ended = started.ended().is_some();
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

impl Deref for Scheduler {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Scheduler {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// 1.4 looks for new connections only when something else wakes it: a datagram it ignores does.
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

/// Runs a scheduler that ends by itself; killed, and without a code, if it does not.
#[track_caller]
pub fn run_to_end(kind: Kind, args: &[&str], limit: Duration) -> Ended {
    let mut command = Command::new(kind.path());
    command.args(args).env("ICECC_TESTS", "1");
    run(command, limit)
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
