//! Who gets a job: the file to experiment in.
//!
//! Of a bounded number of candidates the one where the job would be done first. Pure: it looks at the cluster and changes
//! nothing. It does not know the queue: whether a job may wait is decided by its caller.

use super::cluster::{Cluster, Rank};
use super::host::Host;
use super::need::{Asker, Known};
use crate::ids::HostId;
use crate::time::Instant;

/// A job to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub asker: Asker,
    /// What the file is expected to weigh.
    pub weight: f64,
    /// The submitter has no other job.
    pub first: bool,
    /// The time.
    pub now: Instant,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub host: HostId,
    pub why: Why,
}

/// Why it goes there: shown in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The user asked for that host.
    Preferred,
    /// It will be done there first.
    Soonest,
    /// The submitter is nearly as fast as the best, and it is its first job.
    FirstAtHome,
    /// Nobody else can now.
    LastResort,
    /// Nobody else ever can.
    NobodyElse,
}

impl Why {
    pub fn word(self) -> &'static str {
        match self {
            Self::Preferred => "preferred",
            Self::Soonest => "soonest",
            Self::FirstAtHome => "first-at-home",
            Self::LastResort => "last-resort",
            Self::NobodyElse => "nobody-else",
        }
    }
}

/// So many entries of an index are looked at before it is given up.
const LOOK_MAX: usize = 64;
/// Sending and unpacking an environment, in milliseconds, as long as nothing better is known.
const INSTALL_MS: f64 = 4000.0;
/// The cost of an environment is shared by the jobs that are there, but not by fewer (some will follow) nor more than so many.
const SHARE: (usize, usize) = (8, 20);
/// A submitter nobody has measured is taken for half as fast as the others: its cores preprocess.
const HOME_UNKNOWN: f64 = 0.5;
/// The submitter keeps its first job if it is at least so fast compared with the best.
const HOME_SHARE: f64 = 0.7;

/// The host for a job now, or nobody. `hint` is a host that has just become free: it is looked at in any case.
pub(super) fn choose(cluster: &Cluster, ask: &Ask, hint: Option<HostId>) -> Option<Choice> {
    let known = cluster.needs.known(ask.asker.need)?;
    if !known.need.preferred.is_empty() {
        let usable = |h: &&Host| usable_now(cluster, ask.asker, h);
        return cluster.named(&known.need.preferred).find(usable).map(|h| Choice { host: h.id, why: Why::Preferred });
    }
    let mut best = Best::default();
    // Hosts not probed yet count only where no other could ever do the job.
    let tier_max = u8::from(!cluster.ever(ask.asker, 0));
    let hinted = hint.and_then(|id| cluster.host(id)).and_then(|h| h.rank);
    if let Some(rank) = hinted {
        best.consider(cluster, ask, known, rank, tier_max);
    }
    for key in &known.keys {
        best.walk(cluster, ask, known, cluster.ready_with(*key), tier_max);
    }
    for class in cluster.classes_for(ask.asker.need) {
        best.walk(cluster, ask, known, class.ready.iter().copied(), tier_max);
    }
    let home = cluster.host(ask.asker.submitter);
    let home = home.filter(|h| h.own_free() && cluster.own_environment(ask.asker).is_some());
    let Some(home) = home else { return best.choice() };
    if stays_home(cluster, ask, home, best.host.and_then(|id| cluster.host(id))) {
        return Some(Choice { host: home.id, why: Why::FirstAtHome });
    }
    if usable_now(cluster, ask.asker, home) {
        best.offer(home.id, cluster.finish_ms(home, ask.weight) / home_factor(home));
    }
    best.choice().or(Some(Choice { host: home.id, why: Why::LastResort }))
}

/// Whether a host could take this job now, all considered.
pub(super) fn usable_now(cluster: &Cluster, asker: Asker, host: &Host) -> bool {
    let itself = host.id == asker.submitter;
    let open = if itself { cluster.ever_itself(asker) && host.own_free() } else { host.rank.is_some() };
    open && host.has_room() && can_start(cluster, asker, host)
}

/// Whether the host fits the job, and has the environment or could be sent it now.
pub(super) fn can_start(cluster: &Cluster, asker: Asker, host: &Host) -> bool {
    let Some(environment) = cluster.environment(asker, host) else { return false };
    if host.id == asker.submitter || cluster.present(asker, host).is_some() {
        return true;
    }
    let key = cluster.needs.known(asker.need).and_then(|known| known.keys.get(environment));
    key.is_some_and(|key| !host.installing.contains_key(key))
}

#[derive(Debug, Default)]
struct Best {
    host: Option<HostId>,
    finish_ms: f64,
}

impl Best {
    fn offer(&mut self, host: HostId, finish_ms: f64) {
        if self.host.is_none() || finish_ms < self.finish_ms {
            *self = Self { host: Some(host), finish_ms };
        }
    }

    /// Looks at the best entries of an index. They are ordered by when a job of mean weight would be done, so the first
    /// that has a free slot ends the walk: behind it only worse ones follow.
    fn walk(&mut self, cluster: &Cluster, ask: &Ask, known: &Known, ranks: impl Iterator<Item = Rank>, tier_max: u8) {
        for rank in ranks.take(LOOK_MAX) {
            if self.consider(cluster, ask, known, rank, tier_max) {
                return;
            }
        }
    }

    /// Looks at one host; true if it can take the job at once.
    fn consider(&mut self, cluster: &Cluster, ask: &Ask, known: &Known, rank: Rank, tier_max: u8) -> bool {
        let asker = ask.asker;
        if rank.tier > tier_max || rank.host == asker.submitter {
            return false;
        }
        let Some(host) = cluster.host(rank.host) else { return false };
        if !host.turns_over(ask.now) {
            return false;
        }
        let Some(environment) = cluster.environment(asker, host) else { return false };
        let mut finish_ms = cluster.finish_ms(host, ask.weight);
        if cluster.present(asker, host).is_none() {
            let installs = known.keys.get(environment).is_some_and(|key| host.installing.contains_key(key));
            if installs {
                return false;
            }
            finish_ms += INSTALL_MS * (1 + known.installing) as f64 / known.jobs.clamp(SHARE.0, SHARE.1) as f64;
        }
        self.offer(host.id, finish_ms);
        host.busy() < host.slots
    }

    fn choice(&self) -> Option<Choice> {
        self.host.map(|host| Choice { host, why: Why::Soonest })
    }
}

/// 1.4's manual: "the scheduler prefers the submitter's own machine when it is free and has at least 70 % of the speed
/// of the fastest one available; that holds for the first job". Nothing is promised of a machine nobody has measured.
fn stays_home(cluster: &Cluster, ask: &Ask, home: &Host, best: Option<&Host>) -> bool {
    let Some(pace) = home.pace.value() else { return false };
    let free = |host: &Host| f64::from(1000 - host.load.min(1000));
    let idle = ask.first && home.busy() == 0 && usable_now(cluster, ask.asker, home);
    idle && best.is_none_or(|best| pace * free(home) >= HOME_SHARE * cluster.pace(best) * free(best))
}

/// How much of its speed the submitter has left beside preprocessing for its clients.
fn home_factor(home: &Host) -> f64 {
    let clients = match home.client_count {
        0 => u32::try_from(home.asked.len()).unwrap_or(u32::MAX),
        n => n,
    };
    let left = if clients > home.slots {
        0.1
    } else if clients == home.slots {
        0.8
    } else if clients <= home.slots / 2 {
        1.1
    } else {
        1.0
    };
    if home.pace.value().is_some() { left } else { left * HOME_UNKNOWN }
}
