//! The scheduler's record of one host, put together of parts that change for different reasons.
//!
//! It does not know other hosts. What its daemon announced at LOGIN never changes; [`Probing`] is what its silence and
//! its probes show, [`Work`] what occupies it, [`Standing`] its place among all hosts, [`Trust`] and [`Pace`] what its
//! jobs have shown.

use super::bans::Bans;
use super::probing::Probing;
use super::speed::{Pace, Shown};
use super::standing::Standing;
use super::trust::Trust;
use super::work::Work;
use crate::ids::{HostId, JobId, PeerId};
use crate::message::{Login, Stats};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;
use std::collections::VecDeque;

/// Upper bound on the slots that a host may announce.
const SLOTS_MAX: u32 = 10_000;
/// Number of jobs kept in a submitter's history.
const HISTORY_MAX: usize = 200;
/// Load of a host that takes no jobs.
pub(super) const FULL_LOAD: u32 = 1000;

/// What a host is, since its first LOGIN: a plain value, which never changes.
#[derive(Clone, Debug)]
pub(super) struct Said {
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
    /// Whether it can sandbox foreign compilers; without that it gets no jobs.
    pub chroot: bool,
    /// Whether it refuses jobs of other submitters.
    pub no_remote: bool,
    /// [`crate::message::features`] bits.
    pub features: u32,
}

impl Said {
    /// What LOGIN says, and its connection. `versions` are the one that it offered and the one agreed on.
    pub fn new(id: HostId, peer: PeerId, address: Text, versions: (Version, Version), login: &Login) -> Self {
        Self {
            id,
            peer,
            name: if login.node_name.is_empty() { address.clone() } else { login.node_name.clone() },
            address,
            platform: login.platform.clone(),
            offer: versions.0,
            version: versions.1,
            port: login.port,
            chroot: login.chroot_possible != 0,
            no_remote: login.no_remote != 0,
            features: login.features,
        }
    }

    /// Whether this is its node name or address.
    pub fn is_named(&self, name: &Text) -> bool {
        *name == self.name || *name == self.address
    }
}

/// A daemon that is logged in.
#[derive(Debug)]
pub(super) struct Host {
    said: Said,
    stats: Option<Stats>,
    client_count: u32,
    probing: Probing,
    work: Work,
    bans: Bans,
    shown: Shown,
    history: VecDeque<JobId>,
    pace: Pace,
    trust: Trust,
    standing: Standing,
}

impl Host {
    /// A host that has just logged in: fully loaded until its first STATS, and not probed yet.
    pub fn new(said: Said, slots: u32, now: Instant) -> Self {
        Self {
            stats: None,
            client_count: 0,
            probing: Probing::new(said.version, said.no_remote, now),
            work: Work::new(slots.min(SLOTS_MAX), now),
            bans: Bans::default(),
            shown: Shown::default(),
            history: VecDeque::new(),
            pace: Pace::default(),
            trust: Trust::default(),
            standing: Standing::default(),
            said,
        }
    }

    /// What it announced.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// Its number.
    pub fn id(&self) -> HostId {
        self.said.id
    }

    /// Load, 0 to 1000; with 1000 it takes no jobs.
    pub fn load(&self) -> u32 {
        self.stats.map_or(FULL_LOAD, |stats| stats.load.min(FULL_LOAD))
    }

    /// Its last STATS.
    pub fn stats(&self) -> Option<Stats> {
        self.stats
    }

    /// It sent STATS.
    pub fn set_stats(&mut self, stats: Stats) {
        self.stats = Some(stats);
    }

    /// Connected clients of its daemon, as last reported; 0 if unknown.
    pub fn client_count(&self) -> u32 {
        self.client_count
    }

    /// It sent a message with a count of clients, which means something from the version on that has it.
    pub fn count_clients(&mut self, count: u32) {
        if self.said.version.has_client_count() {
            self.client_count = count;
        }
    }

    /// What its silence and its probes show of whether it can be reached.
    pub fn probing(&self) -> &Probing {
        &self.probing
    }

    /// The same, for changes.
    pub fn probing_mut(&mut self) -> &mut Probing {
        &mut self.probing
    }

    /// What occupies it.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// The same, for changes.
    pub fn work_mut(&mut self) -> &mut Work {
        &mut self.work
    }

    /// Hosts that it does not want for some environments, as submitter.
    pub fn bans(&self) -> &Bans {
        &self.bans
    }

    /// The same, for changes.
    pub fn bans_mut(&mut self) -> &mut Bans {
        &mut self.bans
    }

    /// 1.4's figure of its speed, for display.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// The same, for changes.
    pub fn shown_mut(&mut self) -> &mut Shown {
        &mut self.shown
    }

    /// The last jobs that it submitted, oldest first, for the "matched job" of USE_CS.
    pub fn history(&self) -> &VecDeque<JobId> {
        &self.history
    }

    /// A job that it submitted has ended.
    pub fn remember(&mut self, job: JobId) {
        self.history.push_back(job);
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }

    /// Its measured pace, used for choosing.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Sets its pace. Returns the previous one.
    pub fn set_pace(&mut self, pace: Pace) -> Pace {
        std::mem::replace(&mut self.pace, pace)
    }

    /// How its jobs have ended lately.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The same, for changes.
    pub fn trust_mut(&mut self) -> &mut Trust {
        &mut self.trust
    }

    /// Its place among all hosts.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Its address, and its place for changes.
    pub fn place_mut(&mut self) -> (&Text, &mut Standing) {
        (&self.said.address, &mut self.standing)
    }

    /// Its place among all hosts, for changes.
    pub fn standing_mut(&mut self) -> &mut Standing {
        &mut self.standing
    }
}
