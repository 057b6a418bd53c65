//! A cluster as far as a choice of hosts can tell: machines with slots and a speed, submitters with files, messages that take a
//! while. Every policy is tried on the same one.
//!
//! Submitters only submit: no job is compiled at home. Nothing fails but a machine that leaves; what it had is asked for again.

use crate::rng::Rng;
use ice_core::text::Text;
use ice_core::time::{Duration, Instant};
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// Machines log in at zero; builds begin when all have been heard and probed.
pub const START: Instant = Instant::from_micros(2_000_000);
/// Events of a run. One that needs more hangs.
const EVENTS_MAX: u64 = 1_000_000;

/// A compile server.
#[derive(Clone)]
pub struct Machine {
    pub slots: u32,
    /// Tenths: 10 = as fast as the files' unit.
    pub speed: u64,
    pub platform: &'static str,
    /// What its owner takes of it, as it reports: 0 to 999.
    pub load: u32,
    /// Whether it has the environment from the start.
    pub installed: bool,
    /// After [`START`], if not there before.
    pub joins: Option<Duration>,
    pub leaves: Option<Duration>,
}

/// A file to compile.
#[derive(Clone)]
pub struct File {
    pub name: Text,
    /// CPU time on a machine of speed 10.
    pub work: Duration,
    /// Bytes of its object.
    pub size: u32,
}

/// `make -jN` on a machine without slots.
pub struct Submitter {
    pub platform: &'static str,
    /// Files at once.
    pub parallel: usize,
    /// After [`START`].
    pub begins: Duration,
    pub files: Vec<File>,
}

/// What is tried.
pub struct Setup {
    pub machines: Vec<Machine>,
    pub submitters: Vec<Submitter>,
    /// Of every message.
    pub delay: Duration,
    /// Of a source on its way to the server, beside the delay.
    pub transfer: Duration,
    /// Of an environment on its way to a server, until it is installed.
    pub install: Duration,
    /// All is built twice and the second time counts.
    pub again: bool,
}

/// What a scheduler hears.
#[derive(Clone, Debug)]
pub enum Report {
    Joins { machine: usize },
    Leaves { machine: usize },
    Installed { machine: usize },
    Asks { submitter: usize, file: usize },
    Begins { machine: usize, job: u32 },
    Ends { machine: usize, job: u32, size: u32, user_ms: u32, wall_ms: u32 },
}

/// What it answers: this file there.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// As in [`Report::Asks`].
    pub file: (usize, usize),
    /// The scheduler's number of it.
    pub job: u32,
    pub machine: usize,
    /// The environment must be sent first.
    pub install: bool,
}

/// Whoever chooses. Of the setup it may know what machines say of themselves, but neither speeds nor work.
pub trait Scheduling {
    /// Hears something, or that the time of [`Self::wakes`] has come.
    fn handle(&mut self, now: Instant, report: Option<Report>) -> Vec<Answer>;

    /// When it wants to act although nobody says anything.
    fn wakes(&self) -> Option<Instant> {
        None
    }
}

/// How a submitter fared.
pub struct Fared {
    pub took: Duration,
    /// From a question to the begin of its compile, at the longest.
    pub waited: Duration,
}

/// A file on its way: events of an earlier try are void.
#[derive(Clone, Copy)]
struct Try {
    file: (usize, usize),
    number: u32,
    job: u32,
    machine: usize,
}

enum Event {
    Joins(usize),
    Leaves(usize),
    Begins(usize),
    Heard(Report),
    Wakes,
    Told(Answer),
    Installed(Try),
    Arrives(Try),
    Compiled(Try),
    Lost(Try),
    Returned(Try),
}

#[derive(Default)]
struct Server {
    here: bool,
    running: u32,
    waiting: VecDeque<Try>,
}

struct Build {
    began: Instant,
    ended: Instant,
    next: usize,
    open: usize,
    asked: Vec<Instant>,
    tries: Vec<u32>,
    waited: Duration,
}

/// One run.
pub struct Model<'a> {
    setup: &'a Setup,
    scheduling: &'a mut dyn Scheduling,
    now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    count: u64,
    servers: Vec<Server>,
    /// Tries that a machine has or is about to get.
    placed: BTreeMap<(usize, usize), Try>,
    builds: Vec<Build>,
    woken: Option<Instant>,
}

impl<'a> Model<'a> {
    pub fn new(setup: &'a Setup, scheduling: &'a mut dyn Scheduling) -> Self {
        let mut model = Self {
            setup,
            scheduling,
            now: Instant::ZERO,
            events: BTreeMap::new(),
            count: 0,
            servers: setup.machines.iter().map(|_| Server::default()).collect(),
            placed: BTreeMap::new(),
            builds: Vec::new(),
            woken: None,
        };
        for (n, machine) in setup.machines.iter().enumerate() {
            model.at(machine.joins.map_or(Instant::ZERO, |after| START + after), Event::Joins(n));
            if let Some(after) = machine.leaves {
                model.at(START + after, Event::Leaves(n));
            }
        }
        model
    }

    /// Runs until everything is built.
    pub fn run(mut self) -> Vec<Fared> {
        self.build(START);
        if self.setup.again {
            self.build(self.now);
        }
        let fared = |b: &Build| Fared { took: b.ended.since(b.began), waited: b.waited };
        self.builds.iter().map(fared).collect()
    }

    fn build(&mut self, start: Instant) {
        self.builds.clear();
        for (n, submitter) in self.setup.submitters.iter().enumerate() {
            let (began, files) = (start + submitter.begins, submitter.files.len());
            self.builds.push(Build {
                began,
                ended: began,
                next: 0,
                open: 0,
                asked: vec![began; files],
                tries: vec![0; files],
                waited: Duration::ZERO,
            });
            self.at(began, Event::Begins(n));
        }
        let mut left: usize = self.setup.submitters.iter().map(|s| s.files.len()).sum();
        while left > 0 {
            let Some(((at, _), event)) = self.events.pop_first() else { panic!("{left} files are forgotten") };
            assert!(self.count < EVENTS_MAX, "{left} files are never built");
            self.now = at;
            left -= usize::from(matches!(event, Event::Returned(_)));
            self.step(event);
        }
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    fn after(&mut self, after: Duration, event: Event) {
        self.at(self.now + after, event);
    }

    fn report(&mut self, report: Report) {
        self.after(self.setup.delay, Event::Heard(report));
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Joins(machine) => {
                self.servers[machine].here = true;
                self.report(Report::Joins { machine });
            }
            Event::Leaves(machine) => self.leaves(machine),
            Event::Begins(submitter) => self.asks(submitter),
            Event::Heard(report) => self.scheduler_acts(Some(report)),
            Event::Wakes => {
                self.woken = None;
                self.scheduler_acts(None);
            }
            Event::Told(answer) => self.told(answer),
            Event::Installed(this) if self.is_current(&this) => {
                self.report(Report::Installed { machine: this.machine });
                self.after(self.setup.transfer, Event::Arrives(this));
            }
            Event::Arrives(this) if self.is_current(&this) => {
                self.servers[this.machine].waiting.push_back(this);
                self.fill_slots(this.machine);
            }
            Event::Compiled(this) if self.is_current(&this) => self.compiled(this),
            Event::Lost(this) => self.ask(this.file),
            Event::Returned(this) => {
                let (submitter, _) = this.file;
                self.builds[submitter].open -= 1;
                self.builds[submitter].ended = self.now;
                self.asks(submitter);
            }
            Event::Installed(_) | Event::Arrives(_) | Event::Compiled(_) => {}
        }
    }

    /// `make` begins as many files as it may.
    fn asks(&mut self, submitter: usize) {
        let Submitter { parallel, files, .. } = &self.setup.submitters[submitter];
        loop {
            let build = &mut self.builds[submitter];
            if build.open == *parallel || build.next == files.len() {
                return;
            }
            let file = build.next;
            build.asked[file] = self.now;
            build.open += 1;
            build.next += 1;
            self.ask((submitter, file));
        }
    }

    fn ask(&mut self, (submitter, file): (usize, usize)) {
        self.builds[submitter].tries[file] += 1;
        self.report(Report::Asks { submitter, file });
    }

    fn scheduler_acts(&mut self, report: Option<Report>) {
        for answer in self.scheduling.handle(self.now, report) {
            self.after(self.setup.delay, Event::Told(answer));
        }
        let Some(at) = self.scheduling.wakes() else { return };
        let at = at.max(self.now);
        if self.woken.is_none_or(|woken| at < woken) {
            self.woken = Some(at);
            self.at(at, Event::Wakes);
        }
    }

    fn told(&mut self, answer: Answer) {
        let Answer { file, job, machine, install } = answer;
        let this = Try { file, number: self.builds[file.0].tries[file.1], job, machine };
        let Setup { delay, transfer, install: install_time, .. } = *self.setup;
        if !self.servers[machine].here {
            return self.after(delay, Event::Lost(this));
        }
        self.placed.insert(file, this);
        if install {
            self.after(delay + install_time, Event::Installed(this));
        } else {
            self.after(delay + transfer, Event::Arrives(this));
        }
    }

    fn fill_slots(&mut self, machine: usize) {
        let Machine { slots, speed, load, .. } = self.setup.machines[machine];
        while self.servers[machine].running < slots {
            let Some(this) = self.servers[machine].waiting.pop_front() else { return };
            self.servers[machine].running += 1;
            let (submitter, file) = this.file;
            let build = &mut self.builds[submitter];
            build.waited = build.waited.max(self.now.since(build.asked[file]));
            let user = self.setup.submitters[submitter].files[file].work * 10 / speed as u32;
            self.report(Report::Begins { machine, job: this.job });
            self.after(user * 1000 / (1000 - load), Event::Compiled(this));
        }
    }

    fn compiled(&mut self, this: Try) {
        let Try { file, job, machine, .. } = this;
        let Machine { speed, load, .. } = self.setup.machines[machine];
        let File { work, size, .. } = self.setup.submitters[file.0].files[file.1];
        let user = work * 10 / speed as u32;
        let wall = user * 1000 / (1000 - load);
        let (user_ms, wall_ms) = (user.as_millis() as u32, wall.as_millis() as u32);
        self.placed.remove(&file);
        self.report(Report::Ends { machine, job, size, user_ms, wall_ms });
        self.after(self.setup.delay, Event::Returned(this));
        self.servers[machine].running -= 1;
        self.fill_slots(machine);
    }

    fn leaves(&mut self, machine: usize) {
        self.servers[machine] = Server::default();
        self.report(Report::Leaves { machine });
        let lost: Vec<Try> = self.placed.values().filter(|t| t.machine == machine).copied().collect();
        for this in lost {
            self.placed.remove(&this.file);
            self.after(self.setup.delay, Event::Lost(this));
        }
    }

    fn is_current(&self, this: &Try) -> bool {
        self.placed.get(&this.file).is_some_and(|placed| placed.number == this.number)
    }
}

impl Setup {
    /// No policy can be faster, whatever it knows: all slots that so many jobs at once can use cannot do more, and the longest file must be compiled
    /// somewhere. The platforms are taken one by one.
    pub fn bound(&self) -> f64 {
        let platforms = self.submitters.iter().map(|s| s.platform);
        let bound = |platform| {
            let submitters = || self.submitters.iter().filter(|s| s.platform == platform);
            let parallel = submitters().map(|s| s.parallel).sum();
            self.bound_of(platform, parallel, submitters().flat_map(|s| &s.files))
        };
        platforms.map(bound).fold(0.0, f64::max)
    }

    /// The same for one submitter that has the cluster to itself, however many files it builds at once.
    pub fn bound_alone(&self, submitter: &Submitter) -> f64 {
        self.bound_of(submitter.platform, usize::MAX, submitter.files.iter())
    }

    /// Puts the machines in an order of chance: that of their logins.
    pub fn shuffle(&mut self, rng: &mut Rng) {
        for n in (1..self.machines.len()).rev() {
            self.machines.swap(n, rng.below(n as u64 + 1) as usize);
        }
    }

    fn bound_of<'a>(&self, platform: &str, parallel: usize, files: impl Iterator<Item = &'a File>) -> f64 {
        let work = files.map(|f| f.work.as_secs_f64());
        let (all, longest) = work.fold((0.0, 0.0), |(all, longest): (f64, f64), w| (all + w, longest.max(w)));
        let rates = self.machines.iter().filter(|m| m.platform == platform).map(Machine::rate);
        self.time_for(all, platform, parallel).max(longest * 10_000.0 / rates.max().unwrap_or(1) as f64)
    }

    /// Seconds until the fastest slots that are there could have done the work, so many at once.
    fn time_for(&self, work: f64, platform: &str, parallel: usize) -> f64 {
        let machines = || self.machines.iter().filter(|m| m.platform == platform);
        let mut moments: Vec<Duration> = machines().flat_map(|m| [m.joins, m.leaves]).flatten().collect();
        moments.sort_unstable();
        let (mut left, mut since) = (work, Duration::ZERO);
        for until in moments.into_iter().map(Some).chain([None]) {
            let here = |m: &&Machine| m.joins.is_none_or(|at| at <= since) && m.leaves.is_none_or(|at| at > since);
            let slots = machines().filter(here).flat_map(|m| std::iter::repeat_n(m.rate(), m.slots as usize));
            let mut slots: Vec<u64> = slots.collect();
            slots.sort_unstable_by_key(|rate| Reverse(*rate));
            let rate = slots.iter().take(parallel).sum::<u64>() as f64 / 10_000.0;
            match until {
                Some(until) if rate * (until - since).as_secs_f64() < left => {
                    left -= rate * (until - since).as_secs_f64();
                    since = until;
                }
                _ => return since.as_secs_f64() + left / rate,
            }
        }
        f64::INFINITY
    }
}

impl Machine {
    /// What a slot of it does: 10,000 = as fast as the files' unit.
    fn rate(&self) -> u64 {
        self.speed * u64::from(1000 - self.load)
    }
}
