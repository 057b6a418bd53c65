//! The scheduler's record of one host: what its daemon announced, its jobs, and what follows from both.
//!
//! It does not know other hosts. [`super::cluster::Cluster`] maintains `class` and the fields after it.

use super::rank::Rank;
use super::requirement::{ClassId, EnvKey, RequirementId};
use super::speed::{Pace, Shown};
use super::trust::Trust;
use crate::env::EnvRef;
use crate::ids::{HostId, JobId, PeerId};
use crate::message::{Login, Stats};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Whether a host accepts connections on its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    /// Not probed yet: used only if no other host could run the job.
    Unknown,
    /// The last probe succeeded.
    Yes,
    /// The last probe failed.
    No,
}

/// State of the probes of one host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probing {
    /// When the current probe began, if one is under way.
    pub out_since: Option<Instant>,
    /// When the last probe ended.
    pub last: Option<Instant>,
    /// When the next regular probe is due.
    pub next: Option<Instant>,
    /// Failed probes in a row.
    pub failures: u32,
}

/// An environment that a submitter is sending to a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installing {
    /// When the job was assigned that brings it.
    pub since: Instant,
    /// The job.
    pub job: JobId,
    /// That job's requirement.
    pub requirement: RequirementId,
}

/// A local job that runs on its host.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalJob {
    /// The job.
    pub job: JobId,
    /// Whether it takes all slots of the host.
    pub full: bool,
}

/// A submitter's ban of a host for one environment (BLACKLIST_HOST_ENV).
#[derive(Clone, Debug)]
pub(super) struct Ban {
    /// The environment.
    pub environment: EnvRef,
    /// When the ban expires.
    pub until: Instant,
}

/// A daemon that is logged in.
#[derive(Debug)]
pub(super) struct Host {
    /// Its number.
    pub id: HostId,
    /// Its connection.
    pub peer: PeerId,
    /// Its address as text, without port.
    pub address: Text,
    /// Node name; the address if it gave none.
    pub name: Text,
    /// Its platform.
    pub platform: Text,
    /// The version that it offered, unclamped.
    pub offer: Version,
    /// The version agreed on.
    pub version: Version,
    /// Port for jobs, as announced.
    pub port: u32,
    /// Number of jobs that it runs at a time.
    pub slots: u32,
    /// Whether it can sandbox foreign compilers; without that it gets no jobs.
    pub chroot: bool,
    /// Whether it refuses jobs of other submitters.
    pub no_remote: bool,
    /// [`crate::message::features`] bits.
    pub features: u32,
    /// Environments that it has, in the order of its LOGIN and within the quota.
    pub environments: Vec<EnvRef>,
    /// Load, 0 to 1000; with 1000 it takes no jobs.
    pub load: u32,
    /// Its last STATS.
    pub stats: Option<Stats>,
    /// Connected clients of its daemon, as last reported; 0 if unknown.
    pub client_count: u32,
    /// Whether its port accepts connections.
    pub accepting: Accepting,
    /// It had jobs and then neither sent anything nor answered a probe: it gets no more until it shows life.
    pub suspect: bool,
    /// Jobs assigned to it as compile server and not ended, in the order of assignment.
    pub jobs: VecDeque<JobId>,
    /// Number of `jobs` that have begun.
    pub running: u32,
    /// Number of `jobs` that did not begin in time although a slot was free: they occupy no slot.
    pub dormant: u32,
    /// Since when every periodic check has found a free slot for one more of its jobs.
    pub free_since: Option<Instant>,
    /// When a job was last assigned to it or ended on it.
    pub moved: Instant,
    /// Its local jobs, by the number that the daemon gave them.
    pub local: BTreeMap<u32, LocalJob>,
    /// Jobs that it submitted, in any state.
    pub submitted: BTreeSet<JobId>,
    /// Environments on their way to it.
    pub installing: BTreeMap<EnvKey, Installing>,
    /// Hosts that it does not want for some environments, as submitter.
    pub bans: BTreeMap<HostId, Vec<Ban>>,
    /// When it last sent any message.
    pub last_heard: Instant,
    /// When it last sent a message that counts as a sign of life below protocol 27.
    pub last_life: Instant,
    /// When PING was sent to it (below protocol 27), if it has not been answered.
    pub ping_out: Option<Instant>,
    /// State of its probes.
    pub probing: Probing,
    /// When its timer expires.
    pub tick: Option<Instant>,
    /// 1.4's figure of its speed, for display.
    pub shown: Shown,
    /// The last jobs that it submitted, for the "matched job" of USE_CS.
    pub history: VecDeque<JobId>,
    /// Its measured pace, used for choosing.
    pub pace: Pace,
    /// How its jobs have ended lately.
    pub trust: Trust,
    /// Its class.
    pub class: ClassId,
    /// Keys of `environments`, in the same order.
    pub keys: Vec<EnvKey>,
    /// The same keys as a set.
    pub key_set: BTreeSet<EnvKey>,
    /// The `keys` that some requirement names.
    pub active: BTreeSet<EnvKey>,
    /// Its rank in the indexes, `None` if it can take no job now. Written by `Cluster::rerank` only.
    pub rank: Option<Rank>,
}

/// What is known of a host at its first LOGIN.
#[derive(Debug)]
pub(super) struct NewHost {
    /// Its number.
    pub id: HostId,
    /// Its connection.
    pub peer: PeerId,
    /// Its address as text, without port.
    pub address: Text,
    /// The version that it offered, unclamped.
    pub offer: Version,
    /// The version agreed on.
    pub version: Version,
    /// Its LOGIN.
    pub login: Login,
}

/// A host's slots count as turning over if a job was assigned or ended within this time. It is long enough that jobs
/// handed out together count as one change.
const MOVES: Duration = Duration::from_millis(250);
/// A measured host gets jobs beyond its full slots (preload) only if a slot is expected to be free within this time, in
/// milliseconds. Preload saves the host the short wait for its next job, but binds the jobs to it: at the end of a
/// build other hosts would be idle.
const PRELOAD_MS: f64 = 1000.0;
/// Upper bound on the slots that a host may announce.
const SLOTS_MAX: u32 = 10_000;

impl Host {
    /// A host that has just logged in: fully loaded until its first STATS, and not probed yet.
    pub fn new(new: NewHost, now: Instant) -> Self {
        let NewHost { id, peer, address, offer, version, login } = new;
        let no_remote = login.no_remote != 0;
        Self {
            id,
            peer,
            name: if login.node_name.is_empty() { address.clone() } else { login.node_name },
            address,
            platform: login.platform,
            offer,
            version,
            port: login.port,
            slots: login.slots.min(SLOTS_MAX),
            chroot: login.chroot_possible != 0,
            no_remote,
            features: login.features,
            environments: login.environments,
            load: 1000,
            stats: None,
            client_count: 0,
            accepting: if no_remote { Accepting::Yes } else { Accepting::Unknown },
            suspect: false,
            jobs: VecDeque::new(),
            running: 0,
            dormant: 0,
            free_since: None,
            moved: now,
            local: BTreeMap::new(),
            submitted: BTreeSet::new(),
            installing: BTreeMap::new(),
            bans: BTreeMap::new(),
            last_heard: now,
            last_life: now,
            ping_out: None,
            probing: Probing::default(),
            tick: None,
            shown: Shown::default(),
            history: VecDeque::new(),
            pace: Pace::default(),
            trust: Trust::default(),
            class: ClassId(0),
            keys: Vec::new(),
            key_set: BTreeSet::new(),
            active: BTreeSet::new(),
            rank: None,
        }
    }

    /// Occupied slots: assigned jobs that have not ended, without dormant ones, and local jobs.
    pub fn busy(&self) -> u32 {
        let jobs = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        jobs.saturating_sub(self.dormant).saturating_add(self.local_slots())
    }

    /// Whether a slot is free for an assigned job to begin.
    pub fn could_begin(&self) -> bool {
        self.running.saturating_add(self.local_slots()) < self.slots
    }

    fn local_slots(&self) -> u32 {
        if self.local.values().any(|l| l.full) {
            return self.slots.max(1);
        }
        u32::try_from(self.local.len()).unwrap_or(u32::MAX)
    }

    /// Maximum of [`Self::busy`] for a new job: all slots, plus 1.4's preload, so that the host need not wait for its
    /// next job.
    pub fn capacity(&self) -> u32 {
        if self.trust.is_on_trial() {
            return self.slots.min(self.local_slots() + 1);
        }
        let next_slot_ms = self.pace.job_ms() / f64::from(self.slots.max(1));
        if self.local_slots() >= self.slots || next_slot_ms > PRELOAD_MS {
            self.slots
        } else {
            self.slots + 1 + self.slots / 4
        }
    }

    /// Whether a job assigned now would start soon: a slot is free, or slots are turning over. Otherwise the job had
    /// better wait in the queue: on the host it may be behind long jobs, or the host may have just stopped.
    pub fn turns_over(&self, now: Instant) -> bool {
        self.busy() < self.slots || now.since(self.moved) <= MOVES
    }

    /// Whether it has a free slot for a job that it submitted itself.
    pub fn own_free(&self) -> bool {
        self.busy() < self.slots
    }

    /// The tier ([`Rank::tier`]) in which it accepts jobs of other submitters; `None` if it accepts none.
    pub fn open(&self) -> Option<u8> {
        if self.slots == 0 || !self.chroot || self.no_remote || self.ping_out.is_some() {
            return None;
        }
        match self.accepting {
            Accepting::Yes => Some(u8::from(self.trust.rests_until().is_some())),
            Accepting::Unknown => Some(1),
            Accepting::No => None,
        }
    }

    /// Whether it could take a job now, as far as that does not depend on the job.
    pub fn has_room(&self) -> bool {
        self.ping_out.is_none() && !self.suspect && self.load < 1000 && self.busy() < self.capacity()
    }

    /// Whether it has an environment.
    pub fn has(&self, key: EnvKey) -> bool {
        self.key_set.contains(&key)
    }
}
