//! One host as the scheduler knows it: what its daemon said, what it has to do, and what follows from that.
//!
//! It does not know other hosts; [`super::cluster::Cluster`] keeps the fields behind `class` true.

use super::cluster::Rank;
use super::need::{ClassId, EnvKey, NeedId};
use super::speed::{Pace, Shown};
use super::trust::Trust;
use crate::env::EnvRef;
use crate::ids::{HostId, JobId, PeerId};
use crate::message::{Login, Stats};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Whether a host takes connections on its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    /// Not probed yet: used if nobody else could.
    Unknown,
    Yes,
    No,
}

/// Probes of one host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probing {
    /// Started, not answered.
    pub out_since: Option<Instant>,
    /// When the last one ended.
    pub last: Option<Instant>,
    /// When the next one is due anyway.
    pub next: Option<Instant>,
    pub failures: u32,
}

/// An environment on its way to a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installing {
    pub since: Instant,
    pub job: JobId,
    pub need: NeedId,
}

/// A host's own job.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalJob {
    pub job: JobId,
    pub full: bool,
}

/// "Not with this environment", until then.
#[derive(Clone, Debug)]
pub(super) struct Ban {
    pub environment: EnvRef,
    pub until: Instant,
}

/// A daemon that is logged in.
#[derive(Debug)]
pub(super) struct Host {
    pub id: HostId,
    pub peer: PeerId,
    pub address: Text,
    pub name: Text,
    pub platform: Text,
    pub offer: Version,
    pub version: Version,
    pub port: u32,
    pub slots: u32,
    pub chroot: bool,
    pub no_remote: bool,
    pub features: u32,
    pub environments: Vec<EnvRef>,
    pub load: u32,
    pub stats: Option<Stats>,
    pub client_count: u32,
    pub accepting: Accepting,
    /// Jobs were given to it and then it fell silent: nothing more until it shows life.
    pub suspect: bool,
    /// Jobs it is the server of, in order of assignment.
    pub jobs: VecDeque<JobId>,
    pub running: u32,
    /// Jobs of it that did not begin in their time, although there was a slot: they take none.
    pub dormant: u32,
    /// Since when there has been a slot for one more of its jobs to begin, as often as it was looked at.
    pub free_since: Option<Instant>,
    /// When it was last given a job or ended one.
    pub moved: Instant,
    pub local: BTreeMap<u32, LocalJob>,
    /// Jobs it asked for, in any state.
    pub asked: BTreeSet<JobId>,
    pub installing: BTreeMap<EnvKey, Installing>,
    pub bans: BTreeMap<HostId, Vec<Ban>>,
    pub last_heard: Instant,
    /// Last sign of life in the sense of protocols below 27.
    pub last_life: Instant,
    pub ping_out: Option<Instant>,
    pub probing: Probing,
    /// When its timer runs out.
    pub tick: Option<Instant>,
    pub shown: Shown,
    /// Its last jobs as submitter.
    pub history: VecDeque<JobId>,
    pub pace: Pace,
    pub trust: Trust,
    pub class: ClassId,
    pub keys: Vec<EnvKey>,
    pub key_set: BTreeSet<EnvKey>,
    /// Of `keys`, those that some need asks for.
    pub active: BTreeSet<EnvKey>,
    /// Where it stands in the indexes: `Cluster::rerank` alone writes it.
    pub rank: Option<Rank>,
}

/// What a new host says of itself.
#[derive(Debug)]
pub(super) struct NewHost {
    pub id: HostId,
    pub peer: PeerId,
    pub address: Text,
    pub offer: Version,
    pub version: Version,
    pub login: Login,
}

/// Slots are moving if one was filled or freed within this time: what is handed out together counts as one move.
const MOVES: Duration = Duration::from_millis(250);
/// A measured host has jobs beside its full slots only where one slot is expected to be free within this time. They save it the
/// wait for its next job, which is shorter by far; but they are bound to it, and at the end of a build others stand idle.
const PRELOAD_MS: f64 = 1000.0;
/// Most slots of a host that are believed.
const SLOTS_MAX: u32 = 10_000;

impl Host {
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
            asked: BTreeSet::new(),
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

    /// Slots taken: jobs given to it and not ended, and its own.
    pub fn busy(&self) -> u32 {
        let jobs = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        jobs.saturating_sub(self.dormant).saturating_add(self.local_slots())
    }

    /// Whether a job that was given to it could begin.
    pub fn could_begin(&self) -> bool {
        self.running.saturating_add(self.local_slots()) < self.slots
    }

    fn local_slots(&self) -> u32 {
        if self.local.values().any(|l| l.full) {
            return self.slots.max(1);
        }
        u32::try_from(self.local.len()).unwrap_or(u32::MAX)
    }

    /// At most so many slots may be taken: all, and 1.4's preload, so that a host need not wait for its next job.
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

    /// Whether a job that goes there beside full slots will not wait for long: they are moving now. Where they are not, the
    /// job waits better here: it may sit behind long ones, or on a host that has just stopped.
    pub fn turns_over(&self, now: Instant) -> bool {
        self.busy() < self.slots || now.since(self.moved) <= MOVES
    }

    /// Whether it has a slot for a job of its own.
    pub fn own_free(&self) -> bool {
        self.busy() < self.slots
    }

    /// Whether it takes jobs of others at all; the number is the tier, lower is better.
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

    /// The tests of "now" that are the same for all jobs.
    pub fn has_room(&self) -> bool {
        self.ping_out.is_none() && !self.suspect && self.load < 1000 && self.busy() < self.capacity()
    }

    /// Whether it has an environment.
    pub fn has(&self, key: EnvKey) -> bool {
        self.key_set.contains(&key)
    }
}
