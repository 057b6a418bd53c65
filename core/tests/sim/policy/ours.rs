//! The column "ours": the real scheduler, told by daemons that are played here.

use super::model::{Answer, Report, Scheduling, Setup};
use ice_core::env::EnvRef;
use ice_core::ids::{ClientId, JobId, PeerId};
use ice_core::job::JobStats;
use ice_core::level::Level;
use ice_core::message::{GetCs, JobBegin, JobDone, Login, Message, Stats, UseCs};
use ice_core::scheduler::{Config, Input, Output, Scheduler};
use ice_core::text::Text;
use ice_core::time::{Duration, Instant};
use ice_core::version::Version;
use std::collections::VecDeque;

/// A probe is answered after this time.
const PROBE: Duration = Duration::from_millis(10);

pub struct Ours<'a> {
    setup: &'a Setup,
    scheduler: Scheduler,
    /// Probes on their way back.
    probes: VecDeque<(Instant, Input)>,
    /// Which of the machines are logged in.
    here: Vec<bool>,
}

impl<'a> Ours<'a> {
    pub fn new(setup: &'a Setup, seed: u64) -> Self {
        let config = Config { seed, notes: Level::Error, ..Config::default() };
        let mut ours = Self {
            setup,
            scheduler: Scheduler::new(config, Instant::ZERO),
            probes: VecDeque::new(),
            here: vec![false; setup.machines.len()],
        };
        for (n, submitter) in setup.submitters.iter().enumerate() {
            let login = Login { no_remote: 1, ..ours.login(ours.submitter(n), 0, submitter.platform, true) };
            ours.log_in(Instant::ZERO, ours.submitter(n), login);
        }
        ours
    }

    /// Machines and submitters are the scheduler's peers, in this order.
    fn submitter(&self, n: usize) -> usize {
        self.setup.machines.len() + n
    }

    fn login(&self, peer: usize, slots: u32, platform: &str, installed: bool) -> Login {
        Login {
            port: 10245,
            slots,
            environments: if installed { vec![environment(platform)] } else { Vec::new() },
            node_name: format!("h{peer}").as_str().into(),
            platform: platform.into(),
            chroot_possible: 1,
            no_remote: 0,
            features: 3,
        }
    }

    fn log_in(&mut self, now: Instant, peer: usize, login: Login) {
        let (offer, version) = (Version::TO_SCHEDULER, Version::TO_SCHEDULER);
        self.scheduler.handle(now, Input::Opened { peer: PeerId(peer as u64), address: address(peer), offer, version });
        self.say(now, peer, Message::Login(login));
    }

    fn say(&mut self, now: Instant, peer: usize, message: Message) {
        self.scheduler.handle(now, Input::Message { peer: PeerId(peer as u64), kind: '?', message });
    }

    fn hear(&mut self, now: Instant, report: Report) {
        match report {
            Report::Joins { machine } => {
                let m = &self.setup.machines[machine];
                self.log_in(now, machine, self.login(machine, m.slots, m.platform, m.installed));
                self.say(now, machine, Message::Stats(Stats { load: m.load, ..Stats::default() }));
                self.here[machine] = true;
            }
            Report::Leaves { machine } => {
                self.here[machine] = false;
                self.scheduler.handle(now, Input::Closed { peer: PeerId(machine as u64) });
            }
            Report::Installed { machine } => {
                let platform = self.setup.machines[machine].platform;
                let login = Login { environments: vec![environment(platform)], ..Login::default() };
                self.say(now, machine, Message::Login(login));
            }
            Report::Asks { submitter, file } => {
                let Self { setup: Setup { submitters, .. }, .. } = *self;
                let platform = submitters[submitter].platform;
                let request = GetCs {
                    environments: vec![environment(platform)],
                    file: submitters[submitter].files[file].name.clone(),
                    language: 1,
                    count: 1,
                    target: platform.into(),
                    client: ClientId(file as u32),
                    ..GetCs::default()
                };
                self.say(now, self.submitter(submitter), Message::GetCs(request));
            }
            Report::Begins { machine, job } => {
                let begin = JobBegin { job: JobId(job), start_time: 0, client_count: 0 };
                self.say(now, machine, Message::JobBegin(begin));
            }
            Report::Ends { machine, job, size, user_ms, wall_ms } => {
                let stats = JobStats { real_ms: wall_ms, user_ms, out_uncompressed: size, ..JobStats::default() };
                self.say(now, machine, Message::JobDone(JobDone { job, stats, ..JobDone::default() }));
            }
        }
    }

    /// What came out, as far as it is for clients.
    fn answers(&mut self, now: Instant) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Send { peer, message: Message::UseCs(UseCs { job, host, env_present, client, .. }) } => {
                    let machine = (0..self.here.len()).find(|m| address(*m) == host).expect("a machine");
                    let submitter = peer.0 as usize - self.here.len();
                    let file = (submitter, client.0 as usize);
                    answers.push(Answer { file, job: job.0, machine, install: env_present == 0 });
                }
                Output::Send { message: Message::CsConf(_), .. } => {}
                Output::Probe { host, address, .. } => {
                    let reachable = (0..self.here.len()).any(|m| self.here[m] && self::address(m) == address);
                    self.probes.push_back((now + PROBE, Input::Probed { host, reachable }));
                }
                other => panic!("nobody here wants {other:?}"),
            }
        }
        answers
    }
}

impl Scheduling for Ours<'_> {
    fn handle(&mut self, now: Instant, report: Option<Report>) -> Vec<Answer> {
        while self.probes.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, probed)) = self.probes.pop_front() {
                self.scheduler.handle(now, probed);
            }
        }
        if self.scheduler.poll_timeout().is_some_and(|at| at <= now) {
            self.scheduler.handle_timeout(now);
        }
        if let Some(report) = report {
            self.hear(now, report);
        }
        self.answers(now)
    }

    fn wakes(&self) -> Option<Instant> {
        let probe = self.probes.front().map(|(at, _)| *at);
        [probe, self.scheduler.poll_timeout()].into_iter().flatten().min()
    }
}

fn environment(platform: &str) -> EnvRef {
    EnvRef { platform: platform.into(), name: "gcc".into() }
}

fn address(peer: usize) -> Text {
    crate::hosts::address(peer)
}
