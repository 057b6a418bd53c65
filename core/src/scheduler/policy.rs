//! The choice of a host for a job: the file to experiment in.
//!
//! From a bounded number of candidates it chooses the one that would finish the job first. It reads the cluster and
//! changes nothing. It does not know the queue: its caller decides whether a job may wait.

use super::cluster::Cluster;
use super::host::Host;
use super::rank::Rank;
use super::requirement::{Requester, RequirementEntry};
use crate::ids::HostId;
use crate::time::Instant;

/// A job for which a host is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// Its requirement and submitter.
    pub requester: Requester,
    /// Expected weight of its file, in milliseconds on a host of pace 1.0.
    pub weight: f64,
    /// Whether the submitter has no other job.
    pub first: bool,
    /// The current time.
    pub now: Instant,
}

/// The chosen host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The host.
    pub host: HostId,
    /// Why it was chosen.
    pub why: Why,
}

/// Why a host was chosen; shown in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The user asked for that host.
    Preferred,
    /// It is expected to finish first.
    Soonest,
    /// It is the submitter, which is nearly as fast as the best host, and has no other job.
    FirstAtHome,
    /// It is the submitter, and no other host can take the job now.
    LastResort,
    /// It is the submitter, and no other host can ever take the job.
    NobodyElse,
}

impl Why {
    /// The word in the log.
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

/// Maximum number of entries of one index that are examined.
const LOOK_MAX: usize = 64;
/// Assumed time to send and unpack an environment, in milliseconds; it is not measured.
const INSTALL_MS: f64 = 4000.0;
/// The transfer cost of an environment is divided by the number of jobs that require it, clamped to this range: more
/// jobs will follow the first ones.
const SHARE: (usize, usize) = (8, 20);
/// Factor on the pace of a submitter that has not been measured: its cores also preprocess.
const HOME_UNKNOWN: f64 = 0.5;
/// The submitter keeps its first job if its speed is at least this fraction of the best host's.
const HOME_SHARE: f64 = 0.7;

/// The host for a job now, or `None` if it must wait. `hint` is a host that has just become free; it is always
/// examined.
pub(super) fn choose(cluster: &Cluster, ask: &Ask, hint: Option<HostId>) -> Option<Choice> {
    let known = cluster.requirements.get(ask.requester.requirement)?;
    if !known.requirement.preferred.is_empty() {
        let usable = |h: &&Host| usable_now(cluster, ask.requester, h);
        return cluster
            .named(&known.requirement.preferred)
            .find(usable)
            .map(|h| Choice { host: h.id, why: Why::Preferred });
    }
    let mut best = Best::default();
    // Hosts of tier 1 count only if none of tier 0 could ever take the job.
    let tier_max = u8::from(!cluster.others_could_ever(ask.requester, 0));
    let hinted = hint.and_then(|id| cluster.host(id)).and_then(|h| h.rank);
    if let Some(rank) = hinted {
        best.consider(cluster, ask, known, rank, tier_max);
    }
    for key in &known.keys {
        best.walk(cluster, ask, known, cluster.ready_with(*key), tier_max);
    }
    for class in cluster.classes_for(ask.requester.requirement) {
        best.walk(cluster, ask, known, class.ready.iter().copied(), tier_max);
    }
    let home = cluster.host(ask.requester.submitter);
    let home = home.filter(|h| h.own_free() && cluster.own_environment(ask.requester).is_some());
    let Some(home) = home else { return best.choice() };
    if keeps_first_job(cluster, ask, home, best.host.and_then(|id| cluster.host(id))) {
        return Some(Choice { host: home.id, why: Why::FirstAtHome });
    }
    if usable_now(cluster, ask.requester, home) {
        best.offer(home.id, cluster.finish_ms(home, ask.weight) / home_factor(home));
    }
    best.choice().or(Some(Choice { host: home.id, why: Why::LastResort }))
}

/// Whether a host could take this job now.
pub(super) fn usable_now(cluster: &Cluster, requester: Requester, host: &Host) -> bool {
    let itself = host.id == requester.submitter;
    let open = if itself { cluster.submitter_could_ever(requester) && host.own_free() } else { host.rank.is_some() };
    open && host.has_room() && can_start(cluster, requester, host)
}

/// Whether a host fits the job, and has the environment or could be sent it now.
pub(super) fn can_start(cluster: &Cluster, requester: Requester, host: &Host) -> bool {
    let Some(environment) = cluster.environment(requester, host) else { return false };
    if host.id == requester.submitter || cluster.present(requester, host).is_some() {
        return true;
    }
    let key = cluster.requirements.get(requester.requirement).and_then(|known| known.keys.get(environment));
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

    /// Examines the best entries of an index. They are ordered by when a job of mean weight would be done, so the
    /// search ends at the first that has a free slot: all that follow are worse.
    fn walk(
        &mut self,
        cluster: &Cluster,
        ask: &Ask,
        known: &RequirementEntry,
        ranks: impl Iterator<Item = Rank>,
        tier_max: u8,
    ) {
        for rank in ranks.take(LOOK_MAX) {
            if self.consider(cluster, ask, known, rank, tier_max) {
                return;
            }
        }
    }

    /// Examines one host. Returns true if it can start the job at once.
    fn consider(&mut self, cluster: &Cluster, ask: &Ask, known: &RequirementEntry, rank: Rank, tier_max: u8) -> bool {
        let requester = ask.requester;
        if rank.tier > tier_max || rank.host == requester.submitter {
            return false;
        }
        let Some(host) = cluster.host(rank.host) else { return false };
        if !host.turns_over(ask.now) {
            return false;
        }
        let Some(environment) = cluster.environment(requester, host) else { return false };
        let mut finish_ms = cluster.finish_ms(host, ask.weight);
        if cluster.present(requester, host).is_none() {
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

/// Whether the submitter keeps its first job. 1.4's manual: "the scheduler prefers the submitter's own machine when it
/// is free and has at least 70 % of the speed of the fastest one available; that holds for the first job". It promises
/// nothing for a machine that has not been measured.
fn keeps_first_job(cluster: &Cluster, ask: &Ask, home: &Host, best: Option<&Host>) -> bool {
    let Some(pace) = home.pace.value() else { return false };
    let free = |host: &Host| f64::from(1000 - host.load.min(1000));
    let idle = ask.first && home.busy() == 0 && usable_now(cluster, ask.requester, home);
    idle && best.is_none_or(|best| pace * free(home) >= HOME_SHARE * cluster.pace(best) * free(best))
}

/// Fraction of the submitter's speed that remains beside preprocessing for its clients.
fn home_factor(home: &Host) -> f64 {
    let clients = match home.client_count {
        0 => u32::try_from(home.submitted.len()).unwrap_or(u32::MAX),
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
