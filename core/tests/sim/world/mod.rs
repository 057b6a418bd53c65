//! A virtual clock and what happens by it, to the end of a run.
//!
//! Nothing here decides anything: it carries what the machines say to each other, late, and breaks things.

mod event;
mod faults;
mod machines;
mod report;
mod scheduler;

use crate::checkers::Checkers;
use crate::clients;
use crate::conns::Conn;
use crate::hosts::Host;
use crate::network::Network;
use crate::rng::Rng;
use crate::workload::{self, Build};
pub use event::{Event, Fault, What};
use ice_core::ids::PeerId;
use ice_core::scheduler::{Input, Scheduler};
use ice_core::time::{Duration, Instant};
pub use report::Report;
use std::collections::{BTreeMap, VecDeque};

/// Everything is checked after so many events; what an event touched, after each.
const FULL_CHECK_EVERY: u64 = 20_000;
/// Virtual time that the quiet phase may take.
const QUIET_MAX: Duration = Duration::from_secs(10 * 60);

/// The cluster.
pub struct World {
    seed: u64,
    pub now: Instant,
    queue: event::Queue,
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
        let count = (hosts / 20).max(3);
        let hosts: Vec<Host> = (0..hosts)
            .map(|index| {
                let platform = *[&"x86_64", &"x86_64", &"x86_64", &"i686", &"aarch64"][rng.below(5) as usize];
                // Who submits can do all by himself within minutes, if it comes to that.
                let (slots, speed) = if index < count { (2, 10) } else { (0, 4) };
                Host::new(index, rng.between(slots, 8) as u32, rng.between(speed, 25), platform, rng.next())
            })
            .collect();
        let submitters: Vec<_> = (0..count).map(|n| (n, hosts[n].platform.clone())).collect();
        let builds = workload::draw(&mut rng, &submitters, jobs);
        let mut waiting: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
        for (n, build) in builds.iter().enumerate() {
            waiting.entry(build.submitter).or_default().push_back(n);
        }
        let mut world = Self {
            seed,
            now: Instant::ZERO,
            queue: event::Queue::default(),
            network,
            scheduler: scheduler::new(seed, Instant::ZERO),
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
            let Some((at, event)) = self.queue.pop() else {
                panic!("nothing happens any more, {} builds left", self.left)
            };
            self.now = at;
            if matches!(event, Event::Repair) {
                quiet_since = Some(self.now);
            }
            if let Some(since) = quiet_since {
                if self.now.since(since) > QUIET_MAX {
                    self.checkers.drained(&self.builds);
                }
            }
            self.step(event);
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
            troubles: self.checkers.troubles,
        }
    }

    pub fn schedule(&mut self, at: Instant, event: Event) {
        self.queue.push(at.max(self.now), event);
    }

    /// Something on the machine as it is started now.
    pub fn schedule_on(&mut self, host: usize, at: Instant, what: What) {
        let generation = self.hosts[host].generation_for(&what);
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
            let fault = if self.rng.per_mille(500) { Fault::SchedulerRestart } else { Fault::Election };
            self.schedule(at, Event::Fault(fault));
        }
        self.schedule(end, Event::Repair);
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
                    self.tell_scheduler(Input::Probed { host, reachable });
                    self.expect(self.scheduler.check_host(host));
                }
            }
            Event::At { host, generation, what } => {
                let machine = &self.hosts[host];
                if machine.alive && machine.generation_for(&what) == generation {
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
        while let Some((at, event)) = self.queue.pop_until(until) {
            self.now = at;
            self.step(event);
        }
    }
}
