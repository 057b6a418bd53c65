//! A virtual clock, a heap of events, the scheduler's shell, and the faults.
//!
//! Nothing here decides anything: it carries what the machines say to each other, late, and breaks things.

use crate::checkers::Checkers;
use crate::clients::{self, Conn};
use crate::hosts::{self, Host, Link};
use crate::network::{Lane, Network};
use crate::rng::Rng;
use crate::workload::{self, Build, End};
use ice_core::daemon;
use ice_core::env::EnvId;
use ice_core::ids::{HostId, JobId, PeerId};
use ice_core::message::Message;
use ice_core::scheduler::{self, Scheduler};
use ice_core::time::{Duration, Instant};
use ice_core::version::Version;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;

/// Everything is checked after so many events; what an event touched, after each.
const FULL_CHECK_EVERY: u64 = 10_000;
/// Virtual time that the quiet phase may take.
const QUIET_MAX: Duration = Duration::from_secs(3 * 3600);

/// What happens at a moment.
pub enum Event {
    ToScheduler {
        peer: PeerId,
        message: Message,
    },
    SchedulerClosed {
        peer: PeerId,
    },
    SchedulerTimer(Instant),
    Probed {
        epoch: u32,
        host: HostId,
        reachable: bool,
    },
    /// On a machine, if it has not been started anew since; later, if it is frozen.
    At {
        host: usize,
        generation: u32,
        what: What,
    },
    /// A connection of a client to a compile server arrives.
    Arrive {
        server: usize,
        build: usize,
        attempt: u32,
    },
    Fault(Fault),
    /// The faults are over: everything is repaired.
    Repair,
}

/// What happens on a machine.
pub enum What {
    Timer(Instant),
    FromScheduler {
        peer: PeerId,
        message: Message,
    },
    LinkLost {
        peer: PeerId,
    },
    Connect,
    Measured,
    /// A connection of its daemon is gone.
    PeerClosed(PeerId),
    Received {
        peer: PeerId,
        env: EnvId,
        ok: bool,
    },
    Verified {
        env: EnvId,
        ok: bool,
    },
    Compiled(PeerId),
    /// The daemon of a client or of its server said something to it.
    Hears {
        peer: PeerId,
        message: Message,
    },
    Build {
        build: usize,
        attempt: u32,
        event: clients::Event,
    },
}

/// What breaks.
#[derive(Clone, Copy)]
pub enum Fault {
    Crash(usize),
    Restart(usize),
    Freeze(usize),
    Thaw(usize),
    Cut(usize),
    Mend(usize),
    /// The link breaks and can be made again at once.
    Reset(usize),
    SchedulerRestart,
    Cancel(usize),
}

struct Entry {
    at: Instant,
    seq: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// The cluster.
pub struct World {
    seed: u64,
    pub now: Instant,
    seq: u64,
    heap: BinaryHeap<Entry>,
    pub rng: Rng,
    pub network: Network,
    scheduler: Scheduler,
    epoch: u32,
    timer: Option<Instant>,
    monitor: PeerId,
    console: String,
    /// Which machine a connection of the scheduler leads to.
    links: BTreeMap<PeerId, usize>,
    /// LOGINs on their way to the scheduler.
    logins: BTreeMap<PeerId, u32>,
    pub hosts: Vec<Host>,
    deferred: Vec<VecDeque<What>>,
    pub conns: BTreeMap<PeerId, Conn>,
    pub builds: Vec<Build>,
    /// What each submitter has not begun yet.
    pub waiting: BTreeMap<usize, VecDeque<usize>>,
    next_peer: u64,
    pub checkers: Checkers,
    events: u64,
    pub left: usize,
}

impl World {
    pub fn new(seed: u64, hosts: usize, jobs: usize) -> Self {
        let mut rng = Rng::new(seed);
        let network = Network::new(&mut rng);
        let hosts: Vec<Host> = (0..hosts)
            .map(|index| {
                let platform = *[&"x86_64", &"x86_64", &"x86_64", &"i686", &"aarch64"][rng.below(5) as usize];
                Host::new(index, rng.below(9) as u32, rng.between(4, 25), platform, rng.next())
            })
            .collect();
        let count = (hosts.len() / 20).max(3);
        let submitters: Vec<_> = (0..count).map(|n| (n, hosts[n].platform.clone())).collect();
        let builds = workload::draw(&mut rng, &submitters, jobs);
        let mut waiting: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
        for (n, build) in builds.iter().enumerate() {
            waiting.entry(build.submitter).or_default().push_back(n);
        }
        let mut world = Self {
            seed,
            now: Instant::ZERO,
            seq: 0,
            heap: BinaryHeap::new(),
            network,
            scheduler: new_scheduler(seed, Instant::ZERO),
            epoch: 0,
            timer: None,
            monitor: PeerId(0),
            console: String::new(),
            links: BTreeMap::new(),
            logins: BTreeMap::new(),
            deferred: hosts.iter().map(|_| VecDeque::new()).collect(),
            hosts,
            conns: BTreeMap::new(),
            left: builds.len(),
            builds,
            waiting,
            next_peer: 1,
            checkers: Checkers::default(),
            events: 0,
            rng,
        };
        world.monitor_logs_in();
        world.plan();
        world
    }

    /// Runs it to its end: all that was asked for has ended, and nothing is left over.
    pub fn run(mut self) -> Report {
        let mut quiet_since = None;
        while self.left > 0 || quiet_since.is_none() {
            let Some(entry) = self.heap.pop() else { panic!("nothing happens any more, {} builds left", self.left) };
            self.now = entry.at;
            if matches!(entry.event, Event::Repair) {
                quiet_since = Some(self.now);
            }
            if let Some(since) = quiet_since {
                if self.now.since(since) > QUIET_MAX {
                    self.checkers.drained(&self.builds);
                }
            }
            self.step(entry.event);
        }
        let makespan = self.now;
        self.drain();
        let jobs = self.ask("listjobs");
        assert_eq!(jobs.trim(), "200 done", "jobs are left over at the scheduler");
        self.checkers.drained(&self.builds);
        self.check_all();
        Report {
            seed: self.seed,
            events: self.events,
            makespan,
            ends: self.checkers.ends,
            remote_begins: self.checkers.remote_begins,
            removed: self.checkers.removed,
            asked_again: self.checkers.asked_again,
            lost: self.checkers.lost,
            trace: self.checkers.trace,
        }
    }

    pub fn schedule(&mut self, at: Instant, event: Event) {
        self.seq += 1;
        self.heap.push(Entry { at: at.max(self.now), seq: self.seq, event });
    }

    /// Something on the machine as it is started now.
    pub fn schedule_on(&mut self, host: usize, at: Instant, what: What) {
        let generation = self.hosts[host].generation;
        self.schedule(at, Event::At { host, generation, what });
    }

    pub fn peer(&mut self) -> PeerId {
        self.next_peer += 1;
        PeerId(self.next_peer)
    }

    pub fn later(&mut self) -> Instant {
        self.now + self.network.delay(&mut self.rng)
    }

    /// First starts and faults.
    fn plan(&mut self) {
        for index in 0..self.hosts.len() {
            self.arm(index);
        }
        let submitters: Vec<usize> = self.waiting.keys().copied().collect();
        for submitter in submitters {
            // `make -jN`
            let parallel = self.rng.between(5, 200);
            for _ in 0..parallel {
                let at = self.now + Duration::from_millis(self.rng.between(1_000, 6_000));
                self.schedule_on(
                    submitter,
                    at,
                    What::Build { build: usize::MAX, attempt: 0, event: clients::Event::Next },
                );
            }
        }
        let hosts = self.hosts.len() as u64;
        let end = Instant::ZERO + Duration::from_secs(60);
        for _ in 0..self.rng.below(hosts / 4 + 2) {
            self.plan_fault(end);
        }
        for _ in 0..self.rng.below(self.builds.len() as u64 / 20 + 1) {
            let build = self.rng.below(self.builds.len() as u64) as usize;
            let at = self.moment(end);
            self.schedule(at, Event::Fault(Fault::Cancel(build)));
        }
        if self.rng.per_mille(500) {
            let at = self.moment(end);
            self.schedule(at, Event::Fault(Fault::SchedulerRestart));
        }
        self.schedule(end, Event::Repair);
    }

    fn plan_fault(&mut self, end: Instant) {
        let hosts = self.hosts.len() as u64;
        let submitters = self.waiting.len() as u64;
        // Mostly servers: a dead submitter takes its builds with it.
        let host =
            if self.rng.per_mille(50) { self.rng.below(submitters) } else { self.rng.between(submitters, hosts - 1) };
        let host = host as usize;
        let (breaks, mends) = match self.rng.below(4) {
            0 => (Fault::Crash(host), Fault::Restart(host)),
            1 => (Fault::Freeze(host), Fault::Thaw(host)),
            2 => (Fault::Cut(host), Fault::Mend(host)),
            _ => (Fault::Reset(host), Fault::Mend(host)),
        };
        let at = self.moment(end);
        let until = at + Duration::from_millis(self.rng.between(100, 40_000));
        self.schedule(at, Event::Fault(breaks));
        self.schedule(until.min(end), Event::Fault(mends));
    }

    fn moment(&mut self, end: Instant) -> Instant {
        Instant::from_micros(self.rng.between(2_000_000, end.as_micros()))
    }

    fn step(&mut self, event: Event) {
        self.events += 1;
        self.checkers.mix(self.now.as_micros());
        match event {
            Event::ToScheduler { peer, message } => self.hand_to_scheduler(peer, message),
            Event::SchedulerClosed { peer } => self.scheduler_closed(peer),
            Event::SchedulerTimer(at) => self.scheduler_timer(at),
            Event::Probed { epoch, host, reachable } => {
                if epoch == self.epoch {
                    self.tell_scheduler(scheduler::Input::Probed { host, reachable });
                    self.expect(self.scheduler.check_host(host));
                }
            }
            Event::At { host, generation, what } => {
                let machine = &self.hosts[host];
                if machine.alive && machine.generation == generation {
                    if machine.frozen {
                        self.deferred[host].push_back(what);
                    } else {
                        self.on_host(host, what);
                    }
                }
            }
            Event::Arrive { server, build, attempt } => self.arrive(server, build, attempt),
            Event::Fault(fault) => self.fault(fault),
            Event::Repair => {
                for host in 0..self.hosts.len() {
                    self.fault(Fault::Mend(host));
                    self.fault(Fault::Thaw(host));
                    self.fault(Fault::Restart(host));
                }
            }
        }
        if self.events % FULL_CHECK_EVERY == 0 {
            self.check_all();
        }
    }

    fn expect(&self, outcome: Result<(), String>) {
        if let Err(broken) = outcome {
            panic!("{broken} (event {} at {})", self.events, self.now);
        }
    }

    fn check_all(&self) {
        self.expect(self.scheduler.check());
        for host in self.hosts.iter().filter(|h| h.alive) {
            self.expect(host.daemon.check());
        }
    }

    /// Lets what is still on its way arrive.
    fn drain(&mut self) {
        let until = self.now + Duration::from_secs(60);
        while self.heap.peek().is_some_and(|e| e.at <= until) {
            if let Some(entry) = self.heap.pop() {
                self.now = entry.at;
                self.step(entry.event);
            }
        }
    }

    // The scheduler's shell.

    fn monitor_logs_in(&mut self) {
        self.monitor = self.peer();
        let (peer, version) = (self.monitor, Version::TO_SCHEDULER);
        self.tell_scheduler(scheduler::Input::Opened { peer, address: "127.0.0.1".into(), offer: version, version });
        self.tell_scheduler(scheduler::Input::Said { peer, message: Message::MonLogin });
    }

    /// What the text port answers.
    fn ask(&mut self, line: &str) -> String {
        let peer = self.peer();
        self.tell_scheduler(scheduler::Input::TextOpened { peer });
        self.console.clear();
        self.tell_scheduler(scheduler::Input::Line { peer, text: line.into() });
        std::mem::take(&mut self.console)
    }

    fn hand_to_scheduler(&mut self, peer: PeerId, message: Message) {
        let Some(host) = self.links.get(&peer).copied() else { return };
        let job = match &message {
            Message::JobBegin(begin) => Some(begin.job),
            Message::JobDone(done) => Some(JobId(done.job)),
            _ => None,
        };
        self.checkers.mix(host as u64);
        if let (Message::Login(_), Some(out)) = (&message, self.logins.get_mut(&peer)) {
            *out -= 1;
        }
        self.tell_scheduler(scheduler::Input::Said { peer, message });
        self.check_belief(host);
        if let Some(job) = job {
            self.expect(self.scheduler.check_job(job));
        }
        let id = self.checkers.hosts.iter().find(|(_, index)| **index == host).map(|(id, _)| *id);
        if let Some(id) = id {
            self.expect(self.scheduler.check_host(id));
        }
    }

    fn scheduler_closed(&mut self, peer: PeerId) {
        if self.links.remove(&peer).is_some() {
            self.logins.remove(&peer);
            self.tell_scheduler(scheduler::Input::Closed { peer });
        }
    }

    /// What the scheduler believes of a machine's environments is true, but for a report that is on its way.
    fn check_belief(&self, host: usize) {
        let machine = &self.hosts[host];
        let Some(link) = machine.link.filter(|link| machine.alive && self.links.get(&link.peer) == Some(&host)) else {
            return;
        };
        if self.logins.get(&link.peer).is_some_and(|out| *out > 0) {
            return;
        }
        let id = self.checkers.hosts.iter().find(|(_, index)| **index == host).map(|(id, _)| *id);
        if let Some(believed) = id.and_then(|id| self.scheduler.environments_of(id)) {
            let is = machine.daemon.environments();
            assert_eq!(believed, is, "host {host} is believed to have other environments at {}", self.now);
        }
    }

    fn scheduler_timer(&mut self, at: Instant) {
        if self.timer == Some(at) {
            self.timer = None;
            if self.scheduler.poll_timeout().is_some_and(|due| due <= self.now) {
                self.scheduler.handle_timeout(self.now);
            }
            self.pump_scheduler();
        }
    }

    fn tell_scheduler(&mut self, input: scheduler::Input) {
        self.scheduler.handle(self.now, input);
        self.pump_scheduler();
    }

    fn pump_scheduler(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            self.scheduler_output(output);
        }
        if let Some(at) = self.scheduler.poll_timeout() {
            let at = at.max(self.now);
            if self.timer.is_none_or(|set| at < set) {
                self.timer = Some(at);
                self.schedule(at, Event::SchedulerTimer(at));
            }
        }
    }

    fn scheduler_output(&mut self, output: scheduler::Output) {
        match output {
            scheduler::Output::Send { peer, message } if peer == self.monitor => self.checkers.monitor(&message),
            scheduler::Output::Send { peer, message } => {
                let Some(host) = self.links.get(&peer).copied() else { return };
                let (rng, now) = (&mut self.rng, self.now);
                if let Some(link) = self.hosts[host].link.as_mut().filter(|l| l.peer == peer) {
                    let at = self.network.arrival(rng, now, &mut link.down);
                    self.schedule_on(host, at, What::FromScheduler { peer, message });
                }
            }
            scheduler::Output::SendText { text, .. } => self.console.push_str(&text),
            scheduler::Output::Close { peer, .. } => {
                assert_ne!(peer, self.monitor, "the monitor was thrown out");
                if let Some(host) = self.links.remove(&peer) {
                    let at = self.later();
                    self.schedule_on(host, at, What::LinkLost { peer });
                }
            }
            scheduler::Output::Probe { host, address, .. } => {
                let machine = hosts::index_of(&address).map(|index| &self.hosts[index]);
                let reachable = machine.is_some_and(|m| m.answers() && !m.cut);
                let at = if reachable { self.later() } else { self.now + Duration::from_secs(5) };
                self.schedule(at, Event::Probed { epoch: self.epoch, host, reachable });
            }
            scheduler::Output::Note(_) => {}
        }
    }

    // Machines.

    fn on_host(&mut self, host: usize, what: What) {
        match what {
            What::Timer(at) => {
                let machine = &mut self.hosts[host];
                if machine.timer != Some(at) {
                    return;
                }
                machine.timer = None;
                if machine.daemon.poll_timeout().is_some_and(|due| due <= self.now) {
                    machine.daemon.handle_timeout(self.now);
                }
                self.pump(host);
            }
            What::FromScheduler { peer, message } => {
                if self.hosts[host].link.is_some_and(|l| l.peer == peer) {
                    self.tell(host, daemon::Input::SchedulerSaid(message));
                }
            }
            What::LinkLost { peer } => {
                if self.hosts[host].link.is_some_and(|l| l.peer == peer) {
                    self.hosts[host].link = None;
                    self.tell(host, daemon::Input::SchedulerLost);
                }
            }
            What::Connect => self.connect(host),
            What::Measured => {
                let measurement = hosts::measurement(self.now);
                self.tell(host, daemon::Input::Measured(measurement));
            }
            what => self.client_event(host, what),
        }
    }

    fn connect(&mut self, host: usize) {
        if self.hosts[host].cut {
            return self.tell(host, daemon::Input::SchedulerNotFound);
        }
        let peer = self.peer();
        self.links.insert(peer, host);
        self.hosts[host].link = Some(Link { peer, up: Lane::default(), down: Lane::default() });
        let (address, version) = (self.hosts[host].address(), Version::TO_SCHEDULER);
        self.tell_scheduler(scheduler::Input::Opened { peer, address: address.clone(), offer: version, version });
        self.tell(host, daemon::Input::SchedulerConnected { version, known_as: address });
    }

    pub fn tell(&mut self, host: usize, input: daemon::Input) {
        self.hosts[host].daemon.handle(self.now, input);
        self.pump(host);
    }

    fn pump(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].daemon.poll_output() {
            self.daemon_output(host, output);
        }
        self.check_belief(host);
        self.arm(host);
    }

    fn arm(&mut self, host: usize) {
        if let Some(at) = self.hosts[host].daemon.poll_timeout() {
            let at = at.max(self.now);
            if self.hosts[host].timer.is_none_or(|set| at < set) {
                self.hosts[host].timer = Some(at);
                self.schedule_on(host, at, What::Timer(at));
            }
        }
    }

    fn daemon_output(&mut self, host: usize, output: daemon::Output) {
        match output {
            daemon::Output::ToScheduler(message) => {
                let (rng, now) = (&mut self.rng, self.now);
                if let Some(link) = &mut self.hosts[host].link {
                    let (peer, at) = (link.peer, self.network.arrival(rng, now, &mut link.up));
                    if let Message::Login(_) = message {
                        *self.logins.entry(peer).or_default() += 1;
                    }
                    self.schedule(at, Event::ToScheduler { peer, message });
                }
            }
            daemon::Output::Connect => {
                let at = self.later();
                self.schedule_on(host, at, What::Connect);
            }
            daemon::Output::CloseScheduler => {
                if let Some(link) = self.hosts[host].link {
                    let at = self.later();
                    self.schedule(at, Event::SchedulerClosed { peer: link.peer });
                    self.schedule_on(host, self.now, What::LinkLost { peer: link.peer });
                }
            }
            daemon::Output::Measure => self.schedule_on(host, self.now + Duration::from_millis(1), What::Measured),
            daemon::Output::Note(_) => {}
            other => self.client_output(host, other),
        }
    }

    // Faults.

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(host) => self.crash(host),
            Fault::Restart(host) if !self.hosts[host].alive => {
                self.hosts[host].start(self.now);
                self.deferred[host].clear();
                self.arm(host);
            }
            Fault::Freeze(host) => self.hosts[host].frozen = self.hosts[host].alive,
            Fault::Thaw(host) if self.hosts[host].frozen => {
                self.hosts[host].frozen = false;
                for what in std::mem::take(&mut self.deferred[host]) {
                    self.schedule_on(host, self.now, what);
                }
            }
            Fault::Cut(host) => {
                self.hosts[host].cut = true;
                self.lose_link(host);
            }
            Fault::Reset(host) => self.lose_link(host),
            Fault::Mend(host) => self.hosts[host].cut = false,
            Fault::SchedulerRestart => self.restart_scheduler(),
            Fault::Cancel(build) => self.cancel(build),
            Fault::Restart(_) | Fault::Thaw(_) => {}
        }
    }

    /// Both ends notice that the connection is gone.
    fn lose_link(&mut self, host: usize) {
        if let Some(link) = self.hosts[host].link {
            let at = self.later();
            self.schedule(at, Event::SchedulerClosed { peer: link.peer });
            let at = self.later();
            self.schedule_on(host, at, What::LinkLost { peer: link.peer });
        }
    }

    fn crash(&mut self, host: usize) {
        if !self.hosts[host].alive {
            return;
        }
        self.lose_link(host);
        self.hosts[host].alive = false;
        self.hosts[host].frozen = false;
        self.deferred[host].clear();
        self.checkers.dies(host);
        self.connections_die(host);
        self.waiting.remove(&host);
        let own = |n: &usize| self.builds[*n].submitter == host && !self.builds[*n].is_ended();
        let lost: Vec<usize> = (0..self.builds.len()).filter(own).collect();
        for build in lost {
            self.end(build, End::SubmitterGone);
        }
    }

    fn restart_scheduler(&mut self) {
        self.epoch += 1;
        let links = std::mem::take(&mut self.links);
        self.logins.clear();
        for (peer, host) in links {
            let at = self.later();
            self.schedule_on(host, at, What::LinkLost { peer });
        }
        self.timer = None;
        self.scheduler = new_scheduler(self.seed + u64::from(self.epoch), self.now);
        self.checkers.scheduler_restarted();
        self.monitor_logs_in();
    }
}

fn new_scheduler(seed: u64, now: Instant) -> Scheduler {
    Scheduler::new(
        scheduler::Config { seed, notes: ice_core::level::Level::Error, ..scheduler::Config::default() },
        now,
    )
}

/// What came of a run.
pub struct Report {
    seed: u64,
    events: u64,
    makespan: Instant,
    ends: BTreeMap<End, u64>,
    remote_begins: u64,
    /// Environments that were removed.
    pub removed: u64,
    /// Jobs that asked for a server again, as theirs had lost the environment.
    pub asked_again: u64,
    /// Jobs that were built at home for that reason.
    pub lost: u64,
    pub trace: u64,
}

impl Report {
    pub fn head() -> &'static str {
        "  seed     events  virtual s   remote      own fallback    alone cancelled    gone  granted  removed   again  lost  digest"
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |end| self.ends.get(&end).copied().unwrap_or(0);
        write!(
            f,
            "{:6} {:10} {:10.1} {:8} {:8} {:8} {:8} {:9} {:7} {:8} {:8} {:7} {:5}  {:016x}",
            self.seed,
            self.events,
            self.makespan.as_micros() as f64 / 1e6,
            of(End::Remote),
            of(End::Own),
            of(End::Fallback),
            of(End::Alone),
            of(End::Cancelled),
            of(End::SubmitterGone),
            self.remote_begins,
            self.removed,
            self.asked_again,
            self.lost,
            self.trace
        )
    }
}
