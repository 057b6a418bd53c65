//! What many peers cost a process: `cargo bench -p ice-bins --bench hub`. Prints a table; nothing is asserted.
//!
//! The peers live in a second process (this program again), so that memory and wake-ups are those of the hub alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use ice_core::message::{Message, Stats};
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial;
use ice_net::hub::{Hub, HubConfig, HubEvent, no_handlers};
use ice_net::listen::Listener;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const LONG: Duration = Duration::from_secs(60);
/// Messages per throughput run, by one peer and by all together.
const MESSAGES: usize = 100_000;
/// Round trips measured.
const ROUNDS: usize = 5_000;
const IDLE: Duration = Duration::from_secs(3);

fn main() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--peers") {
        peers(args[at + 1].parse().unwrap(), args[at + 2].parse().unwrap());
    } else {
        for count in [1, 100, 2000] {
            measure(count);
        }
    }
}

/// The other process: `count` connections, driven by lines on standard input.
fn peers(port: u16, count: usize) {
    let connect = |_| dial::tcp("127.0.0.1", port, Version::TO_SCHEDULER, deadline(Step::Connect)).unwrap();
    let mut conns: Vec<Conn> = (0..count).map(connect).collect();
    println!("connected");
    for line in std::io::stdin().lock().lines() {
        let started = Instant::now();
        match line.unwrap().as_str() {
            "talk" => {
                let each = MESSAGES / count;
                let messages = vec![Message::Stats(Stats::default()); 50];
                for _ in 0..each.div_ceil(messages.len()) {
                    conns.iter_mut().for_each(|conn| conn.send_all(&messages, deadline(Step::Send)).unwrap());
                }
            }
            _ => {
                for _ in 0..ROUNDS {
                    conns[0].send(&Message::Ping, deadline(Step::Send)).unwrap();
                    conns[0].recv(deadline(Step::Message)).unwrap();
                }
            }
        }
        println!("{}", started.elapsed().as_micros());
    }
}

struct Others {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Others {
    fn start(port: u16, count: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--peers", &port.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }

    fn say(&mut self, what: &str) {
        writeln!(self.to, "{what}").unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

fn measure(count: usize) {
    let (hub, events) = Hub::<()>::new(HubConfig::default()).unwrap();
    let listener = Listener::tcp(0).unwrap();
    let port = listener.port();
    hub.listen(listener, Version::TO_SCHEDULER, no_handlers()).unwrap();
    let before = resident_kib();
    let started = Instant::now();
    let mut others = Others::start(port, count);
    for _ in 0..count {
        assert!(matches!(events.recv_timeout(LONG).unwrap(), HubEvent::Opened { .. }));
    }
    let connected = started.elapsed();
    others.hear();
    let grown = resident_kib() - before;

    let switches = context_switches();
    thread::sleep(IDLE);
    // Its own sleep is one.
    let wakes = context_switches().saturating_sub(switches + 1);

    others.say("talk");
    let started = Instant::now();
    let expected = (MESSAGES / count).div_ceil(50) * 50 * count;
    (0..expected).for_each(|_| drop(events.recv_timeout(LONG).unwrap()));
    let rate = expected as f64 / started.elapsed().as_secs_f64();
    others.hear();

    others.say("ping");
    answer(&hub, &events);
    let round: f64 = others.hear().parse::<f64>().unwrap() / ROUNDS as f64;

    println!(
        "{count:5} peers: {grown:6} KiB ({:.1} each), connected in {:4} ms, {wakes} wake-ups in {} s idle, {rate:.0} messages/s, {round:.1} µs a round trip",
        grown as f64 / count as f64,
        connected.as_millis(),
        IDLE.as_secs(),
    );
    drop(others.to);
    others.child.wait().unwrap();
    hub.shutdown(LONG);
}

fn answer(hub: &Hub, events: &Receiver<HubEvent>) {
    for _ in 0..ROUNDS {
        if let HubEvent::Message { peer, message, .. } = events.recv_timeout(LONG).unwrap() {
            hub.send(peer, &message);
        }
    }
}

fn deadline(step: Step) -> Deadline {
    Deadline::after(step, LONG)
}

fn resident_kib() -> u64 {
    status("/proc/self/status", "VmRSS:")
}

/// Of all threads together: an idle process has none.
fn context_switches() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("status"));
    tasks.map(|task| status(&task.display().to_string(), "voluntary_ctxt_switches:")).sum()
}

fn status(path: &str, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
