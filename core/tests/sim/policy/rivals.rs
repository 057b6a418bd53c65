//! The other columns: 1.4's queue, and over it 1.4's walk or a simple rule.
//!
//! As submitters have no slots here, what 1.4 does for a submitter that competes with the servers is left out.

use super::model::{Answer, Report, Scheduling, Setup};
use crate::rng::Rng;
use ice_core::time::Instant;
use std::collections::{BTreeSet, VecDeque};

/// How a host is chosen among those that could take the job now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// 1.4: 5.6.
    Walk,
    /// The emptiest, without preload; of those the one picked longest ago.
    LeastLoaded,
    Random,
}

/// Samples kept of a host.
const SAMPLES_MAX: usize = 200;
/// From so many on a sample moves the speed a little only.
const SAMPLES_SETTLED: usize = 7;
/// Smaller objects teach nothing.
const SIZE_MIN: u32 = 4096;

struct Host {
    machine: usize,
    slots: u32,
    platform: &'static str,
    load: u32,
    installed: bool,
    installing: bool,
    assigned: BTreeSet<u32>,
    last_picked: Option<u32>,
    /// Bytes and user time in ms.
    samples: VecDeque<(f64, f64)>,
    /// Of all samples.
    sum: (f64, f64),
}

/// A request that waits.
struct Request {
    job: u32,
    file: usize,
}

pub struct Rival<'a> {
    setup: &'a Setup,
    rule: Rule,
    rng: Rng,
    /// In the order of their logins.
    hosts: Vec<Host>,
    /// By submitter, next turn first.
    groups: VecDeque<(usize, VecDeque<Request>)>,
    last_job: u32,
    sampled: bool,
}

impl<'a> Rival<'a> {
    pub fn new(setup: &'a Setup, rule: Rule, seed: u64) -> Self {
        Self {
            setup,
            rule,
            rng: Rng::new(seed),
            hosts: Vec::new(),
            groups: VecDeque::new(),
            last_job: 0,
            sampled: false,
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Joins { machine } => {
                let m = &self.setup.machines[machine];
                self.hosts.push(Host {
                    machine,
                    slots: m.slots,
                    platform: m.platform,
                    load: m.load,
                    installed: m.installed,
                    installing: false,
                    assigned: BTreeSet::new(),
                    last_picked: None,
                    samples: VecDeque::new(),
                    sum: (0.0, 0.0),
                });
            }
            Report::Leaves { machine } => self.hosts.retain(|h| h.machine != machine),
            Report::Installed { machine } => {
                if let Some(host) = self.host(machine) {
                    host.installed = true;
                    host.installing = false;
                }
            }
            Report::Asks { submitter, file } => {
                self.last_job += 1;
                let request = Request { job: self.last_job, file };
                match self.groups.iter_mut().find(|(owner, _)| *owner == submitter) {
                    Some((_, group)) => group.push_back(request),
                    None => self.groups.push_back((submitter, VecDeque::from([request]))),
                }
            }
            Report::Begins { .. } => {}
            Report::Ends { machine, job, size, user_ms, .. } => {
                let Some(host) = self.host(machine) else { return };
                host.assigned.remove(&job);
                if size >= SIZE_MIN {
                    host.learn(f64::from(size), f64::from(user_ms));
                    self.sampled = true;
                }
            }
        }
    }

    fn host(&mut self, machine: usize) -> Option<&mut Host> {
        self.hosts.iter_mut().find(|h| h.machine == machine)
    }

    /// Hands out from the head on. A head that nobody can take now keeps all others waiting.
    fn hand_out(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some((submitter, group)) = self.groups.front() {
            let Some(Request { job, file }) = group.front().map(|r| Request { ..*r }) else { break };
            let submitter = *submitter;
            let Some(chosen) = self.choose(job, self.setup.submitters[submitter].platform) else { break };
            let host = &mut self.hosts[chosen];
            let install = !host.installed;
            host.installing |= install;
            host.assigned.insert(job);
            host.last_picked = Some(job);
            answers.push(Answer { file: (submitter, file), job, machine: host.machine, install });
            if let Some((submitter, mut group)) = self.groups.pop_front() {
                group.pop_front();
                if !group.is_empty() {
                    self.groups.push_back((submitter, group));
                }
            }
        }
        answers
    }

    /// The place of the chosen host in the list.
    fn choose(&mut self, job: u32, platform: &str) -> Option<usize> {
        let able = |(_, h): &(usize, &Host)| h.platform == platform && h.load < 1000 && !h.installing && h.has_room();
        let able: Vec<usize> = self.hosts.iter().enumerate().filter(able).map(|(n, _)| n).collect();
        match self.rule {
            Rule::LeastLoaded => {
                let free = able.into_iter().filter(|n| self.hosts[*n].busy() < self.hosts[*n].slots);
                free.min_by_key(|n| {
                    let host = &self.hosts[*n];
                    (u64::from(host.busy()) * 1_000_000 / u64::from(host.slots), host.last_picked)
                })
            }
            Rule::Walk if self.sampled => self.walk(job, &able),
            Rule::Walk | Rule::Random => {
                let n = self.rng.below(able.len() as u64) as usize;
                able.get(n).copied()
            }
        }
    }

    /// 5.6, for a cluster in which some job has ended.
    fn walk(&self, job: u32, able: &[usize]) -> Option<usize> {
        // Best with the environment, and best without.
        let mut best: [Option<usize>; 2] = [None, None];
        let forgotten = 20 * (self.hosts.len() + self.setup.submitters.len()) as u32;
        for n in able.iter().copied() {
            let host = &self.hosts[n];
            let best_of_its_kind = usize::from(!host.installed);
            if host.samples.is_empty() && host.assigned.is_empty() {
                best[best_of_its_kind] = Some(n);
                break;
            }
            if host.last_picked.is_none_or(|last| job.wrapping_sub(last) > forgotten) {
                best[0] = Some(n);
                break;
            }
            let best = &mut best[best_of_its_kind];
            let wins = best.is_none_or(|known| {
                let known = &self.hosts[known];
                // One that is faster but full is noted only beside a best, so it never wins.
                !known.samples.is_empty() && known.speed() < host.speed() && host.busy() < host.slots
            });
            if wins {
                *best = Some(n);
            }
        }
        best[0].or(best[1])
    }
}

impl Scheduling for Rival<'_> {
    fn handle(&mut self, _: Instant, report: Option<Report>) -> Vec<Answer> {
        if let Some(report) = report {
            self.hear(report);
        }
        self.hand_out()
    }
}

impl Host {
    fn busy(&self) -> u32 {
        self.assigned.len() as u32
    }

    /// Slots and preload (S46).
    fn has_room(&self) -> bool {
        self.busy() < self.slots + 1 + self.slots / 4
    }

    /// 5.4.
    fn learn(&mut self, size: f64, user_ms: f64) {
        let mut size = size;
        if self.samples.len() >= SAMPLES_SETTLED {
            let known = self.bytes_per_ms();
            size = size.clamp((known / 1.2 * user_ms).trunc(), (known * 1.2 * user_ms).trunc());
        }
        self.samples.push_back((size, user_ms));
        self.sum = (self.sum.0 + size, self.sum.1 + user_ms);
        if self.samples.len() > SAMPLES_MAX {
            let (size, user_ms) = self.samples.pop_front().unwrap_or_default();
            self.sum = (self.sum.0 - size, self.sum.1 - user_ms);
        }
    }

    fn bytes_per_ms(&self) -> f64 {
        let (size, user_ms) = self.sum;
        if user_ms > 0.0 { size / user_ms } else { 0.0 }
    }

    /// 5.5, for a job of somebody else.
    fn speed(&self) -> f64 {
        let free = f64::from(1000 - self.load) / 1000.0;
        let room = 1.0 - 0.5 * f64::from(self.busy()) / f64::from(self.slots);
        let favour = match self.samples.len() {
            k if k < SAMPLES_SETTLED => 4.5 - 0.5 * k as f64,
            _ => 1.0,
        };
        self.bytes_per_ms() * free * room * favour
    }
}

/// 1.4's walk does here what the running 1.4 did: S52 and S54.
mod seen_of_1_4 {
    use super::super::rows::servers_of_speed;
    use super::*;

    struct Seen<'a> {
        rival: Rival<'a>,
        user_ms: [u32; 2],
    }

    impl Seen<'_> {
        fn ask(&mut self) -> Option<Answer> {
            self.rival.handle(Instant::ZERO, Some(Report::Asks { submitter: 0, file: 0 })).pop()
        }

        fn end(&mut self, Answer { job, machine, .. }: Answer) {
            let user_ms = self.user_ms[machine];
            let end = Report::Ends { machine, job, size: 100_000, user_ms, wall_ms: user_ms };
            self.rival.handle(Instant::ZERO, Some(end));
        }
    }

    fn seen(setup: &Setup) -> Seen<'_> {
        let mut rival = Rival::new(setup, Rule::Walk, 1);
        for machine in 0..2 {
            rival.handle(Instant::ZERO, Some(Report::Joins { machine }));
        }
        let mut seen = Seen { rival, user_ms: [100, 400] };
        for _ in 0..40 {
            let answer = seen.ask().expect("idle hosts");
            seen.end(answer);
        }
        seen
    }

    #[test]
    fn policy_s54_a_slow_host_is_tried_again_after_20_jobs_a_host() {
        let setup = servers_of_speed([40, 10]);
        let mut seen = seen(&setup);
        let mut slow = Vec::new();
        for _ in 0..200 {
            let answer = seen.ask().expect("idle hosts");
            slow.extend((answer.machine == 1).then_some(answer.job));
            seen.end(answer);
        }
        assert!(slow.len() >= 3);
        assert!(slow.windows(2).all(|pair| pair[1] - pair[0] == 61), "three are logged in: {slow:?}");
    }

    #[test]
    fn policy_s52_ids_out_of_order_lead_to_the_slow_host() {
        let setup = servers_of_speed([40, 10]);
        let seen = seen(&setup);
        let last = seen.rival.hosts[1].last_picked.expect("tried once");
        assert_eq!(seen.rival.walk(last + 1, &[0, 1]), Some(0));
        assert_eq!(seen.rival.walk(last - 1, &[1, 0]), Some(1), "an idle fast one is there");
    }
}
