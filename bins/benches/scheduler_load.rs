//! 500 scripted daemons and 20,000 queued requests over real sockets, against our scheduler and 1.4's, one after the other.
//!
//! It prints decisions per second, how long the control port takes to answer meanwhile, memory and CPU, and what a submitter that stops
//! reading costs another one; then whether that is what we promise (`scripts/prove.sh dropin.6`). Hosts end each job at
//! once. It fails if a promise is not kept. `--hosts N`, `--jobs N`, `--seconds N`, `--watch N` (seconds of the frozen
//! submitter) make it smaller;
//! `--ours` leaves 1.4 out, `--program PATH` measures another build of ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement ends where its peer fails")]

#[path = "../tests/fake/mod.rs"]
mod fake;

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fake::{
    Answer, Daemon, Door, Kind, LIMIT, Options, Scheduler, Setup, TextPeer, ask, connect_from, env, until, within,
};
use ice_core::job::JobStats;
use ice_core::message::{GetCs, JobDone, Message};
use ice_core::version::Version;
use ice_net::conn::{Conn, Receiver, Sender};
use ice_net::deadline::{Deadline, Step};
use parking_lot::Mutex;

const OURS: Kind = Kind::Ours(env!("CARGO_BIN_EXE_icecc-scheduler"));
/// Submitters that share the requests.
const SUBMITTERS: usize = 4;
/// Jobs a submitter asks for and reads nothing: their answers are more than any socket takes in.
const STUCK: usize = 80_000;

#[derive(Clone, Copy)]
struct Size {
    hosts: usize,
    jobs: usize,
    limit: Duration,
    /// How long a submitter that stops reading is watched.
    watch: Duration,
}

#[derive(Debug)]
struct Figures {
    login: Duration,
    decided: usize,
    took: Duration,
    control: Vec<Duration>,
    idle_kib: u64,
    peak_kib: u64,
    cpu_ms: u64,
    frozen: Frozen,
}

#[derive(Debug, Default)]
struct Frozen {
    before: Duration,
    during: Duration,
    control: Duration,
    dropped: bool,
}

impl Figures {
    fn per_second(&self) -> f64 {
        self.decided as f64 / self.took.as_secs_f64()
    }

    fn control_max(&self) -> Duration {
        self.control.iter().max().copied().unwrap_or_default()
    }

    fn control_median(&self) -> Duration {
        let mut sorted = self.control.clone();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

fn main() -> ExitCode {
    let (size, with_debian, program) = arguments();
    println!("{} scripted daemons of 4 slots, {} requests queued by {SUBMITTERS} submitters", size.hosts, size.jobs);
    println!("machine: {}, {} CPUs, {}", cpu_name(), cpus(), kernel());
    match program {
        Some(path) => println!("ours: {path}"),
        None if cfg!(debug_assertions) => println!("ours: a debug build (its figures mean nothing)"),
        None => println!("ours: release build"),
    }
    let ours = measure(program.map_or(OURS, Kind::Ours), size);
    let theirs = (with_debian && Kind::Debian.is_here()).then(|| measure(Kind::Debian, size));
    table(&ours, theirs.as_ref());
    verdict(&ours, theirs.as_ref())
}

fn arguments() -> (Size, bool, Option<&'static str>) {
    let mut size = Size { hosts: 500, jobs: 20_000, limit: Duration::from_secs(60), watch: Duration::from_secs(12) };
    let (mut with_debian, mut program) = (true, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse::<usize>().ok()).expect("a number");
        match arg.as_str() {
            "--hosts" => size.hosts = number(),
            "--jobs" => size.jobs = number(),
            "--seconds" => size.limit = Duration::from_secs(number() as u64),
            "--watch" => size.watch = Duration::from_secs(number() as u64),
            "--ours" => with_debian = false,
            "--program" => program = args.next().map(|path| &*path.leak()),
            // What `cargo bench` adds.
            _ => {}
        }
    }
    (size, with_debian, program)
}

/// The sending halves of all hosts, by address.
struct Hosts {
    index: HashMap<String, usize>,
    senders: Vec<Mutex<Sender>>,
    _receivers: Vec<Receiver>,
}

fn measure(kind: Kind, size: Size) -> Figures {
    let scheduler = Scheduler::start_with(kind, &Options { quiet: true, ..Options::default() });
    let door = Arc::new(Door::open());
    let began = Instant::now();
    let hosts = log_in(&scheduler, &door, size.hosts);
    let login = began.elapsed();
    if kind.is_ours() {
        until("all hosts probed", || door.visits() >= size.hosts);
    }
    let mut submitters: Vec<Daemon> =
        (0..SUBMITTERS).map(|n| submitter(&scheduler, &door, &format!("submitter{n}"))).collect();
    let idle_kib = scheduler.resident_kib();
    let cpu_before = scheduler.cpu_ms();

    for n in 0..size.jobs {
        let submitter = submitters.get_mut(n % SUBMITTERS).unwrap();
        submitter.request(ask(&format!("dir/file{}.cpp", n % 500), "E"));
    }
    let mut text = TextPeer::connect(&scheduler);
    until("all requests queued", || queued(&mut text) >= size.jobs);

    let decided = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let peak_kib = AtomicUsize::new(idle_kib as usize);
    let began = Instant::now();
    let end = began + size.limit;
    let (took, control) = std::thread::scope(|scope| {
        let control = scope.spawn(|| {
            let mut answers = Vec::new();
            let mut last = false;
            while !last {
                last = over.load(Ordering::Relaxed);
                let asked = Instant::now();
                text.command("help");
                answers.push(asked.elapsed());
                peak_kib.fetch_max(scheduler.resident_kib() as usize, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
            answers
        });
        let readers: Vec<_> = submitters
            .drain(..)
            .map(|submitter| {
                let (hosts, decided) = (&hosts, &decided);
                scope.spawn(move || work(submitter, hosts, decided, size.jobs, end))
            })
            .collect();
        for sender in &hosts.senders {
            let _ = sender.lock().send(&stats(0), within(LIMIT));
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        let took = began.elapsed();
        over.store(true, Ordering::Relaxed);
        (took, control.join().unwrap())
    });
    let cpu_ms = scheduler.cpu_ms() - cpu_before;
    let decided = decided.into_inner();
    drop(hosts);
    drop(scheduler);
    let frozen = frozen(kind, &door, size.watch);
    Figures { login, decided, took, control, idle_kib, peak_kib: peak_kib.into_inner() as u64, cpu_ms, frozen }
}

/// All hosts at once, each from an address of its own, with a load that takes no jobs yet.
fn log_in(scheduler: &Scheduler, door: &Arc<Door>, count: usize) -> Hosts {
    let address = |n: usize| Ipv4Addr::new(127, 1, (n / 250) as u8, (n % 250) as u8 + 1);
    let streams: Vec<TcpStream> = (0..count).map(|n| connect_from(address(n), scheduler.port)).collect();
    let mut hosts = Hosts { index: HashMap::new(), senders: Vec::new(), _receivers: Vec::new() };
    let mut conns = Vec::new();
    for (n, stream) in streams.into_iter().enumerate() {
        let mut conn = Conn::establish(stream, Version::new(43), Deadline::after(Step::Offer, LIMIT * 2)).unwrap();
        let mut login = Setup::new(&format!("host{n}")).slots(4).env("E").login;
        login.port = u32::from(door.port());
        conn.send_all(&[Message::Login(login), stats(1000)], within(LIMIT)).unwrap();
        conns.push(conn);
    }
    for (n, mut conn) in conns.into_iter().enumerate() {
        assert!(matches!(conn.recv(within(LIMIT * 2)), Ok(Message::CsConf(_))));
        let (sender, receiver) = conn.split();
        hosts.index.insert(address(n).to_string(), n);
        hosts.senders.push(Mutex::new(sender));
        hosts._receivers.push(receiver);
    }
    hosts
}

fn submitter(scheduler: &Scheduler, door: &Arc<Door>, name: &str) -> Daemon {
    let setup = Setup { door: Some(Arc::clone(door)), ..Setup::new(name).slots(0) };
    scheduler.host(setup)
}

fn stats(load: u32) -> Message {
    Message::Stats(ice_core::message::Stats { load, ..Default::default() })
}

fn queued(text: &mut TextPeer) -> usize {
    // 1.4 answers late; asking once is asking enough.
    let jobs = text.command("listjobs");
    jobs.lines().filter(|line| line.contains(" PEND ")).count()
}

/// Reads the answers of one submitter, and ends each job at once in the name of its host.
fn work(submitter: Daemon, hosts: &Hosts, decided: &AtomicUsize, all: usize, end: Instant) {
    let (_sender, mut receiver) = submitter.split();
    while decided.load(Ordering::Relaxed) < all && Instant::now() < end {
        match receiver.recv(within(Duration::from_millis(100))) {
            Ok(Message::UseCs(answer)) => {
                decided.fetch_add(1, Ordering::Relaxed);
                let n = hosts.index.get(answer.host.as_str().unwrap()).expect("a host of ours");
                let numbers = JobStats { real_ms: 120, user_ms: 100, out_uncompressed: 20_000, ..JobStats::default() };
                let done = JobDone { job: answer.job.0, stats: numbers, ..JobDone::default() };
                hosts.senders.get(*n).unwrap().lock().send(&Message::JobDone(done), within(LIMIT)).unwrap();
            }
            Ok(Message::NoCs { .. }) => panic!("a job was sent home"),
            Ok(_) | Err(ice_net::error::ConnError::TimedOut { .. }) => {}
            Err(e) => panic!("the scheduler is gone: {e}"),
        }
    }
}

/// A submitter asks for STUCK jobs of large hosts of another platform and reads nothing; another one goes on as ever.
fn frozen(kind: Kind, door: &Arc<Door>, watch: Duration) -> Frozen {
    let scheduler = Scheduler::start_with(kind, &Options { quiet: true, ..Options::default() });
    let shared = |setup: Setup| Setup { door: Some(Arc::clone(door)), ..setup };
    let large = |n: u8| {
        shared(Setup::new(&format!("large{n}")).slots(10_000).env("F").from(20 + n))
            .with(|l| l.platform = "aarch64".into())
    };
    let mut large: Vec<Daemon> = (0..8).map(|n| scheduler.host(large(n))).collect();
    let mut small = scheduler.host(shared(Setup::new("small").slots(4).env("E").from(8)));
    let mut other = submitter(&scheduler, door, "other");
    let mut text = TextPeer::connect(&scheduler);
    std::thread::sleep(Duration::from_millis(500));
    let mut figures = Frozen::default();
    for _ in 0..200 {
        figures.before = figures.before.max(one_job(&mut other, &mut small));
    }
    let mut stuck = scheduler.host(Setup { unread_max: Some(4096), ..shared(Setup::new("stuck").slots(0)) });
    for n in 0..STUCK {
        let request = GetCs { environments: vec![env("aarch64", "F")], ..ask(&format!("stuck{n}.cpp"), "F") };
        if stuck.conn().send(&Message::GetCs(request), within(Duration::from_millis(200))).is_err() {
            break;
        }
    }
    let end = Instant::now() + watch;
    while Instant::now() < end {
        large.iter_mut().for_each(|h| h.stats(0));
        figures.during = figures.during.max(one_job(&mut other, &mut small));
        let asked = Instant::now();
        text.command("help");
        figures.control = figures.control.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    figures.dropped = !text.command("listcs").contains("stuck (");
    figures
}

fn one_job(submitter: &mut Daemon, server: &mut Daemon) -> Duration {
    let asked = Instant::now();
    let answer = submitter.place(GetCs { preferred_host: "small".into(), ..ask("other.cpp", "E") });
    let took = asked.elapsed();
    assert!(matches!(answer, Answer::Use(_)), "{answer:?}");
    server.begin(answer.job());
    server.done(answer.job(), 100, 20_000);
    took
}

fn table(ours: &Figures, theirs: Option<&Figures>) {
    let row = |what: &str, cell: &dyn Fn(&Figures) -> String| {
        let theirs = theirs.map_or_else(|| "not run".into(), cell);
        println!("{what:<52} {:>14} {theirs:>14}", cell(ours));
    };
    let ms = |d: Duration| format!("{:.1} ms", d.as_secs_f64() * 1000.0);
    println!("\n{:<52} {:>14} {:>14}", "", "ours", "1.4");
    row("all hosts logged in after", &|f| ms(f.login));
    row("decisions", &|f| f.decided.to_string());
    row("in", &|f| format!("{:.2} s", f.took.as_secs_f64()));
    row("decisions per second", &|f| format!("{:.0}", f.per_second()));
    row("CPU per decision (queueing included)", &|f| format!("{:.3} ms", f.cpu_ms as f64 / f.decided.max(1) as f64));
    row("control port answers within, median", &|f| ms(f.control_median()));
    row("control port answers within, at most", &|f| ms(f.control_max()));
    row("resident memory, hosts logged in", &|f| format!("{:.1} MiB", f.idle_kib as f64 / 1024.0));
    row("resident memory, at most", &|f| format!("{:.1} MiB", f.peak_kib as f64 / 1024.0));
    row("another's job, all submitters reading, at most", &|f| ms(f.frozen.before));
    row("another's job, one submitter not reading, at most", &|f| ms(f.frozen.during));
    row("control port, one submitter not reading, at most", &|f| ms(f.frozen.control));
    row("the submitter that does not read was dropped", &|f| if f.frozen.dropped { "yes" } else { "no" }.into());
}

fn verdict(ours: &Figures, theirs: Option<&Figures>) -> ExitCode {
    let second = Duration::from_secs(1);
    let mut kept = true;
    let mut say = |what: String, holds: bool| {
        println!("{}: {what}", if holds { "shown" } else { "NOT SHOWN" });
        kept &= holds;
    };
    println!();
    if let Some(theirs) = theirs {
        let times = ours.per_second() / theirs.per_second();
        say(format!("{times:.1} times as many decisions per second as 1.4 (promised: 5)"), times >= 5.0);
    }
    say("the control port answers within a second in the flood".into(), ours.control_max() < second);
    let frozen = ours.frozen.during < second && ours.frozen.control < second;
    say("a submitter that stops reading costs the others nothing".into(), frozen);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    line.unwrap_or("unknown CPU").trim().to_owned()
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}
