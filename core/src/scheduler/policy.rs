//! The choice of a host for a job: the file to experiment in.
//!
//! From a bounded number of candidates it chooses the one that would finish the job first. What that costs, how many
//! jobs a host gets beyond its slots, and the order of hosts and jobs are decided here. It reads the cluster and changes
//! nothing. It does not know the queue: its caller decides whether a job may wait.

use super::cluster::Cluster;
use super::host::{FULL_LOAD, Host};
use super::probing::Accepting;
use super::rank::Rank;
use super::requirement::{Requester, RequirementEntry};
use super::speed::{PACES, within};
use crate::ids::HostId;
use crate::time::{Duration, Instant};

/// A job for which a host is chosen: a plain value.
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

/// The chosen host: a plain value.
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

/// Waiting time after which a queued job becomes one level more urgent.
pub(super) const AGEING: Duration = Duration::from_secs(60);
/// A host's slots count as turning over if a job was assigned or ended within this time. It is long enough that jobs
/// handed out together count as one change.
const MOVES: Duration = Duration::from_millis(250);
/// A measured host gets jobs beyond its full slots (preload) only if a slot is expected to be free within this time, in
/// milliseconds. Preload saves the host the short wait for its next job, but binds the jobs to it: at the end of a
/// build other hosts would be idle.
const PRELOAD_MS: f64 = 1000.0;
/// Factor on the estimated wait on a busy host: the jobs that run there may be longer than the mean.
const PRELOAD_RISK: f64 = 1.5;
/// Factor by which a host without measurements is assumed to be faster than the mean, so that it is tried.
const NEW_HOST: f64 = 1.1;
/// Fraction by which each slot is slower when all slots of a host are taken.
const CROWD: f64 = 0.3;
/// Maximum number of entries of one index that are examined.
const LOOK_MAX: usize = 64;
/// Hosts that are told to who asks where a job would go.
const NEXT_MAX: usize = 8;
/// Assumed time to send and unpack an environment, in milliseconds; it is not measured.
const INSTALL_MS: f64 = 4000.0;
/// The transfer cost of an environment is divided by the number of jobs that require it, clamped to this range: more
/// jobs will follow the first ones.
const SHARE: (usize, usize) = (8, 20);
/// Factor on the pace of a submitter that has not been measured: its cores also preprocess.
const HOME_UNKNOWN: f64 = 0.5;
/// The submitter keeps its first job if its speed is at least this fraction of the best host's.
const HOME_SHARE: f64 = 0.7;

/// The tier ([`Rank::tier`]) in which a host accepts jobs of other submitters; `None` if it accepts none.
pub(super) fn tier(host: &Host) -> Option<u8> {
    let said = host.said();
    if host.work().slots() == 0 || !said.chroot || said.no_remote || host.probing().is_pinged() {
        return None;
    }
    match host.probing().accepting() {
        Accepting::Yes => Some(u8::from(host.trust().rests_until().is_some())),
        Accepting::Unknown => Some(1),
        Accepting::No => None,
    }
}

/// The rank of a host of this tier; `None` if it could take no job now.
pub(super) fn rank(cluster: &Cluster, host: &Host, tier: u8) -> Option<Rank> {
    if !has_room(host) {
        return None;
    }
    let cost = (finish_ms(cluster, host, cluster.mean_weight()) * 16.0) as u64;
    Some(Rank { tier, cost, tie: mix(cluster.seed(), host.id()), host: host.id() })
}

/// Whether a host could take a job now, as far as that does not depend on the job.
pub(super) fn has_room(host: &Host) -> bool {
    !host.probing().is_silent() && host.load() < FULL_LOAD && host.work().busy() < capacity(host)
}

/// Maximum of busy slots of a host for a new job: all slots, plus 1.4's preload, so that the host need not wait for its
/// next job.
pub(super) fn capacity(host: &Host) -> u32 {
    let (slots, local) = (host.work().slots(), host.work().local_slots());
    if host.trust().is_on_trial() {
        return slots.min(local + 1);
    }
    let next_slot_ms = host.pace().job_ms() / f64::from(slots.max(1));
    if local >= slots || next_slot_ms > PRELOAD_MS { slots } else { slots + 1 + slots / 4 }
}

/// Whether a job assigned now would start soon: a slot is free, or slots are turning over. Otherwise the job had better
/// wait in the queue: on the host it may be behind long jobs, or the host may have just stopped.
fn turns_over(host: &Host, now: Instant) -> bool {
    host.work().has_free_slot() || now.since(host.work().moved()) <= MOVES
}

/// Measured pace of a host, or an estimate if it has not been measured.
fn pace(cluster: &Cluster, host: &Host) -> f64 {
    let pace = host.pace().value().unwrap_or_else(|| match cluster.paces() {
        (_, 0) => 1.0,
        (sum, known) => NEW_HOST * sum / f64::from(known),
    });
    within(pace, PACES)
}

/// Expected milliseconds until a job of this weight would be done on a host that has the environment.
fn finish_ms(cluster: &Cluster, host: &Host, weight: f64) -> f64 {
    let slots = f64::from(host.work().slots().max(1));
    let busy = f64::from(host.work().busy());
    let rate = pace(cluster, host) * free_share(host).max(0.05) * (1.0 - CROWD * (busy / slots).min(1.0));
    let over = busy - slots + 1.0;
    let wait = if over > 0.0 { PRELOAD_RISK * cluster.mean_weight() * (1.0 + over) / slots } else { 0.0 };
    (wait + weight) / rate
}

/// Fraction of a host that other work leaves free.
fn free_share(host: &Host) -> f64 {
    f64::from(FULL_LOAD - host.load()) / f64::from(FULL_LOAD)
}

/// A hash of seed and host (SplitMix64).
fn mix(seed: u64, id: HostId) -> u32 {
    let mut x = seed ^ u64::from(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as u32
}

/// The host for a job now, or `None` if it must wait. `hint` is a host that has just become free; it is always
/// examined.
pub(super) fn choose(cluster: &Cluster, ask: &Ask, hint: Option<HostId>) -> Option<Choice> {
    let known = cluster.requirements().get(ask.requester.requirement)?;
    if !known.requirement().preferred.is_empty() {
        let usable = |h: &&Host| usable_now(cluster, ask.requester, h);
        return cluster
            .named(&known.requirement().preferred)
            .find(usable)
            .map(|h| Choice { host: h.id(), why: Why::Preferred });
    }
    let mut best = Best::default();
    // Hosts of tier 1 count only if none of tier 0 could ever take the job.
    let tier_max = u8::from(!cluster.others_could_ever(ask.requester, 0));
    let hinted = hint.and_then(|id| cluster.host(id)).and_then(|h| h.standing().rank());
    if let Some(rank) = hinted {
        best.consider(cluster, ask, known, rank, tier_max);
    }
    for key in known.keys() {
        best.walk(cluster, ask, known, cluster.ready_with(*key), tier_max);
    }
    for class in cluster.classes_for(ask.requester.requirement) {
        best.walk(cluster, ask, known, class.ready().iter().copied(), tier_max);
    }
    let home = cluster.host(ask.requester.submitter);
    let home = home.filter(|h| h.work().has_free_slot() && cluster.own_environment(ask.requester).is_some());
    let Some(home) = home else { return best.choice() };
    if keeps_first_job(cluster, ask, home, best.host.and_then(|id| cluster.host(id))) {
        return Some(Choice { host: home.id(), why: Why::FirstAtHome });
    }
    if usable_now(cluster, ask.requester, home) {
        best.offer(home.id(), finish_ms(cluster, home, ask.weight) / home_factor(home));
    }
    best.choice().or(Some(Choice { host: home.id(), why: Why::LastResort }))
}

/// Hosts that would get jobs of others now, the first one first, as far as that does not depend on the job.
pub(super) fn next(cluster: &Cluster) -> impl Iterator<Item = &Host> {
    let ready = cluster.classes().all().values().flat_map(|class| class.ready().iter().take(NEXT_MAX));
    let mut ranks: Vec<Rank> = ready.copied().collect();
    ranks.sort();
    ranks.into_iter().take(NEXT_MAX).filter_map(|rank| cluster.host(rank.host))
}

/// Whether a host could take this job now.
fn usable_now(cluster: &Cluster, requester: Requester, host: &Host) -> bool {
    let itself = host.id() == requester.submitter;
    let open = if itself {
        cluster.submitter_could_ever(requester) && host.work().has_free_slot()
    } else {
        host.standing().rank().is_some()
    };
    open && has_room(host) && can_start(cluster, requester, host)
}

/// Whether a host fits the job, and has the environment or could be sent it now.
pub(super) fn can_start(cluster: &Cluster, requester: Requester, host: &Host) -> bool {
    let Some(environment) = cluster.environment(requester, host) else { return false };
    if host.id() == requester.submitter || cluster.present(requester, host).is_some() {
        return true;
    }
    let key = cluster.requirements().get(requester.requirement).and_then(|known| known.keys().get(environment));
    key.is_some_and(|key| !host.work().is_installing(*key))
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
        if !turns_over(host, ask.now) {
            return false;
        }
        let Some(environment) = cluster.environment(requester, host) else { return false };
        let mut finish_ms = finish_ms(cluster, host, ask.weight);
        if cluster.present(requester, host).is_none() {
            let installs = known.keys().get(environment).is_some_and(|key| host.work().is_installing(*key));
            if installs {
                return false;
            }
            finish_ms += INSTALL_MS * (1 + known.installing()) as f64 / known.jobs().clamp(SHARE.0, SHARE.1) as f64;
        }
        self.offer(host.id(), finish_ms);
        host.work().has_free_slot()
    }

    fn choice(&self) -> Option<Choice> {
        self.host.map(|host| Choice { host, why: Why::Soonest })
    }
}

/// Whether the submitter keeps its first job. 1.4's manual: "the scheduler prefers the submitter's own machine when it
/// is free and has at least 70 % of the speed of the fastest one available; that holds for the first job". It promises
/// nothing for a machine that has not been measured.
fn keeps_first_job(cluster: &Cluster, ask: &Ask, home: &Host, best: Option<&Host>) -> bool {
    let Some(home_pace) = home.pace().value() else { return false };
    let idle = ask.first && home.work().busy() == 0 && usable_now(cluster, ask.requester, home);
    idle && best.is_none_or(|best| home_pace * free_share(home) >= HOME_SHARE * pace(cluster, best) * free_share(best))
}

/// Fraction of the submitter's speed that remains beside preprocessing for its clients.
fn home_factor(home: &Host) -> f64 {
    let clients = match home.client_count() {
        0 => u32::try_from(home.work().submitted().len()).unwrap_or(u32::MAX),
        n => n,
    };
    let left = if clients > home.work().slots() {
        0.1
    } else if clients == home.work().slots() {
        0.8
    } else if clients <= home.work().slots() / 2 {
        1.1
    } else {
        1.0
    };
    if home.pace().value().is_some() { left } else { left * HOME_UNKNOWN }
}
