//! All hosts, with indexes that make choosing one cheap.
//!
//! Every change of a host that affects a choice ends in [`Cluster::rerank`], the only place that updates the ranks.
//! Hosts that no requirement can distinguish form a [`Class`]. Each class, and each environment that some job requires,
//! keeps its hosts that could take a job now, ordered by expected time of completion. This module does not know jobs,
//! messages or the clock.

use super::env_quota::EnvQuota;
use super::host::{Accepting, Ban, Host};
use super::rank::Rank;
use super::requirement::{ClassId, EnvKey, Requester, Requirement, RequirementId, Requirements};
use super::speed::Pace;
use crate::env::EnvRef;
use crate::ids::HostId;
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// Hosts that no requirement can distinguish: same platform, version offer and features.
#[derive(Debug)]
pub(super) struct Class {
    /// Platform of all members.
    pub platform: Text,
    offer: u32,
    features: u32,
    /// Number of member hosts.
    pub members: usize,
    /// Members that accept jobs of other submitters at all, by tier.
    pub open: [BTreeSet<HostId>; 2],
    /// Members that could take a job now, best first.
    pub ready: BTreeSet<Rank>,
}

impl Class {
    /// Index of the first environment of `requirement` that members can run; `None` if version, features or platform do
    /// not fit.
    pub fn fits(&self, requirement: &Requirement) -> Option<usize> {
        if requirement.minimal_version > self.offer || requirement.features & !self.features != 0 {
            return None;
        }
        requirement.runnable(&self.platform).next()
    }
}

/// The hosts that have one environment.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The environment, under its target platform.
    pub environment: EnvRef,
    /// Hosts that have it.
    pub hosts: BTreeSet<HostId>,
    /// Number of requirements that name it.
    pub demand: usize,
    /// Owners that could take a job now, best first; maintained only while `demand` is not 0.
    pub ready: BTreeSet<Rank>,
}

/// All hosts and their indexes.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    seed: u64,
    hosts: BTreeMap<HostId, Host>,
    /// Hosts by node name and by address text.
    pub named: BTreeMap<Text, BTreeSet<HostId>>,
    /// All classes that have members.
    pub classes: BTreeMap<ClassId, Class>,
    class_ids: BTreeMap<(Text, u32, u32), ClassId>,
    /// The key of each environment that a host has or a requirement names.
    pub env_keys: BTreeMap<EnvRef, EnvKey>,
    /// The owners of each environment in `env_keys`.
    pub owners: BTreeMap<EnvKey, Owners>,
    env_quota: EnvQuota,
    next_class: u32,
    next_key: u32,
    /// Mean weight of recent jobs, in ms; the caller updates it.
    pub mean_weight: f64,
    /// Sum of the paces of measured hosts; their mean is the estimate for hosts that have not been measured.
    pub pace_sum: f64,
    /// Number of measured hosts.
    pub pace_known: u32,
    /// The requirements of jobs.
    pub requirements: Requirements,
}

impl Cluster {
    /// A cluster without hosts. `seed` orders equal hosts.
    pub fn new(seed: u64) -> Self {
        Self { seed, mean_weight: 1000.0, ..Self::default() }
    }

    /// Adds a host. Returns the number of its environments that exceed the quota and are ignored.
    pub fn insert(&mut self, mut host: Host) -> usize {
        let id = host.id;
        host.class = self.class_of(&host);
        for name in [host.name.clone(), host.address.clone()] {
            self.named.entry(name).or_default().insert(id);
        }
        let environments = std::mem::take(&mut host.environments);
        self.hosts.insert(id, host);
        self.set_environments(id, environments)
    }

    /// Removes a host from all indexes and returns it; `None` if it is unknown.
    pub fn remove(&mut self, id: HostId) -> Option<Host> {
        self.set_environments(id, Vec::new());
        self.unrank(id);
        let host = self.hosts.remove(&id)?;
        if let Some(pace) = host.pace.value() {
            self.pace_sum -= pace;
            self.pace_known -= 1;
        }
        for name in [&host.name, &host.address] {
            if let Some(ids) = self.named.get_mut(name) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.named.remove(name);
                }
            }
        }
        for other in self.hosts.values_mut() {
            other.bans.remove(&id);
        }
        if let Some(class) = self.classes.get_mut(&host.class) {
            class.open[0].remove(&id);
            class.open[1].remove(&id);
            class.members -= 1;
            if class.members == 0 {
                let key = (class.platform.clone(), class.offer, class.features);
                self.class_ids.remove(&key);
                self.classes.remove(&host.class);
                self.requirements.forget_class(host.class);
            }
        }
        Some(host)
    }

    /// Replaces the environments of a host. Returns the number that exceed the quota and are ignored.
    pub fn set_environments(&mut self, id: HostId, mut environments: Vec<EnvRef>) -> usize {
        self.unrank(id);
        let Some(host) = self.hosts.get_mut(&id) else { return 0 };
        self.env_quota.release(&host.address, &host.environments);
        let left_out = self.env_quota.take(&host.address, &mut environments);
        for key in std::mem::take(&mut host.keys) {
            if let Some(owners) = self.owners.get_mut(&key) {
                owners.hosts.remove(&id);
            }
            self.release_key(key);
        }
        let keys: Vec<EnvKey> = environments.iter().map(|env| self.key(env)).collect();
        let mut active = BTreeSet::new();
        for key in &keys {
            if let Some(owners) = self.owners.get_mut(key) {
                owners.hosts.insert(id);
                if owners.demand > 0 {
                    active.insert(*key);
                }
            }
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            host.environments = environments;
            host.key_set = keys.iter().copied().collect();
            host.keys = keys;
            host.active = active;
        }
        self.rerank(id);
        left_out
    }

    /// Removes one environment from a host, because a job found that the host does not have it.
    pub fn lacks(&mut self, id: HostId, key: EnvKey) {
        let (Some(host), Some(owners)) = (self.hosts.get(&id), self.owners.get(&key)) else { return };
        let is_other = |env: &&EnvRef| **env != owners.environment;
        let others: Vec<EnvRef> = host.environments.iter().filter(is_other).cloned().collect();
        self.set_environments(id, others);
    }

    /// Sets the measured pace of a host. The caller must call [`Self::rerank`] afterwards.
    pub fn set_pace(&mut self, id: HostId, pace: Pace) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if let Some(old) = host.pace.value() {
            self.pace_sum -= old;
            self.pace_known -= 1;
        }
        if let Some(new) = pace.value() {
            self.pace_sum += new;
            self.pace_known += 1;
        }
        host.pace = pace;
    }

    /// The id of a requirement; a new requirement is registered.
    pub fn requirement(&mut self, requirement: Requirement) -> RequirementId {
        if let Some(id) = self.requirements.find(&requirement) {
            return id;
        }
        for key in self.requirements.evict() {
            self.remove_demand(key);
        }
        let keys: Vec<EnvKey> = requirement
            .environments
            .iter()
            .map(|env| EnvRef { platform: requirement.target.clone(), name: env.name.clone() })
            .map(|env| self.key(&env))
            .collect();
        for key in &keys {
            self.add_demand(*key);
        }
        let fits: BTreeMap<ClassId, Option<usize>> =
            self.classes.iter().map(|(id, class)| (*id, class.fits(&requirement))).collect();
        let id = self.requirements.add(requirement, keys);
        if let Some(known) = self.requirements.get_mut(id) {
            known.fits = fits;
        }
        id
    }

    /// Updates a host's place in all indexes after a change.
    pub fn rerank(&mut self, id: HostId) {
        let rank = self.hosts.get(&id).and_then(|host| self.rank_of(host));
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if let Some(class) = self.classes.get_mut(&host.class) {
            let open = host.open();
            for tier in 0..=1u8 {
                if open == Some(tier) {
                    class.open[usize::from(tier)].insert(id);
                } else {
                    class.open[usize::from(tier)].remove(&id);
                }
            }
        }
        if host.rank == rank {
            return;
        }
        self.unrank(id);
        let (Some(rank), Some(host)) = (rank, self.hosts.get_mut(&id)) else { return };
        host.rank = Some(rank);
        if let Some(class) = self.classes.get_mut(&host.class) {
            class.ready.insert(rank);
        }
        for key in &host.active {
            if let Some(owners) = self.owners.get_mut(key) {
                owners.ready.insert(rank);
            }
        }
    }

    /// The host with this id, if it is logged in.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// The host with this id, for changes. Call [`Self::rerank`] afterwards if the change affects a choice.
    pub fn host_mut(&mut self, id: HostId) -> Option<&mut Host> {
        self.hosts.get_mut(&id)
    }

    /// All hosts in login order.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// Number of hosts.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Memory that the environments of all hosts take.
    pub fn env_quota(&self) -> &EnvQuota {
        &self.env_quota
    }

    /// Hosts of tier 1 that could take a job now.
    pub fn second_choice(&self) -> impl Iterator<Item = HostId> {
        let open = self.classes.values().flat_map(|class| class.open[1].iter().copied());
        open.filter(|id| self.hosts.get(id).is_some_and(|host| host.rank.is_some()))
    }

    /// Hosts with this node name or address, in the order of their logins.
    pub fn named<'a>(&'a self, name: &Text) -> impl Iterator<Item = &'a Host> {
        self.named.get(name).into_iter().flatten().filter_map(|id| self.hosts.get(id))
    }

    /// The classes that a requirement fits.
    pub fn classes_for(&self, requirement: RequirementId) -> impl Iterator<Item = &Class> {
        let fits = self.requirements.get(requirement).map(|k| &k.fits);
        fits.into_iter().flatten().filter(|(_, env)| env.is_some()).filter_map(|(id, _)| self.classes.get(id))
    }

    /// The owners of an environment that could take a job now, best first.
    pub fn ready_with(&self, key: EnvKey) -> impl Iterator<Item = Rank> {
        self.owners.get(&key).into_iter().flat_map(|o| o.ready.iter().copied())
    }

    /// Index of the first environment of the requirement that `host` may run for this submitter, bans considered.
    pub fn environment(&self, requester: Requester, host: &Host) -> Option<usize> {
        let known = self.requirements.get(requester.requirement)?;
        let first = (*known.fits.get(&host.class)?)?;
        let bans = self.hosts.get(&requester.submitter).and_then(|s| s.bans.get(&host.id));
        match bans {
            None => Some(first),
            Some(bans) => known.requirement.runnable(&host.platform).find(|i| !banned(bans, &known.requirement, *i)),
        }
    }

    /// The same for the submitter itself as last resort: its version and features do not matter.
    pub fn own_environment(&self, requester: Requester) -> Option<usize> {
        let known = self.requirements.get(requester.requirement)?;
        let host = self.hosts.get(&requester.submitter)?;
        let none = Vec::new();
        let bans = host.bans.get(&host.id).unwrap_or(&none);
        known.requirement.runnable(&host.platform).find(|i| !banned(bans, &known.requirement, *i))
    }

    /// Index of the environment of the requirement that `host` already has. If it has several, the first in the order
    /// of its LOGIN.
    pub fn present(&self, requester: Requester, host: &Host) -> Option<usize> {
        let known = self.requirements.get(requester.requirement)?;
        if !known.keys.iter().any(|key| host.has(*key)) {
            return None;
        }
        let none = Vec::new();
        let bans = self.hosts.get(&requester.submitter).and_then(|s| s.bans.get(&host.id)).unwrap_or(&none);
        let key = |i: usize| known.keys.get(i).filter(|key| host.has(**key));
        let usable = |i: &usize| key(*i).is_some() && !banned(bans, &known.requirement, *i);
        let mut usable = known.requirement.runnable(&host.platform).filter(usable);
        let (first, second) = (usable.next()?, usable.next());
        // The order matters only if there is a choice; finding it is slow, as a host may have thousands of
        // environments.
        let Some(second) = second else { return Some(first) };
        let mut by_key = BTreeMap::new();
        for i in [first, second].into_iter().chain(usable) {
            by_key.entry(key(i)?).or_insert(i);
        }
        host.keys.iter().find_map(|key| by_key.get(key).copied())
    }

    /// Whether any host of this tier, other than the submitter, could ever run the job.
    pub fn others_could_ever(&self, requester: Requester, tier: u8) -> bool {
        let can = |id: &HostId| {
            *id != requester.submitter && self.hosts.get(id).is_some_and(|h| self.environment(requester, h).is_some())
        };
        let preferred =
            self.requirements.get(requester.requirement).map(|k| &k.requirement.preferred).filter(|p| !p.is_empty());
        if let Some(preferred) = preferred {
            return self.named(preferred).any(|h| h.open() == Some(tier) && can(&h.id));
        }
        self.classes_for(requester.requirement).any(|class| class.open[usize::from(tier)].iter().any(can))
    }

    /// Whether the submitter itself could ever run the job as a compile server.
    pub fn submitter_could_ever(&self, requester: Requester) -> bool {
        let Some(host) = self.hosts.get(&requester.submitter) else { return false };
        let preferred = self.requirements.get(requester.requirement).map(|k| &k.requirement.preferred);
        preferred.is_some_and(|p| p.is_empty() || *p == host.name || *p == host.address)
            && host.slots > 0
            && host.ping_out.is_none()
            && host.accepting != Accepting::No
            && self.environment(requester, host).is_some()
    }

    fn rank_of(&self, host: &Host) -> Option<Rank> {
        let tier = host.open()?;
        if !host.has_room() {
            return None;
        }
        let cost = (self.finish_ms(host, self.mean_weight) * 16.0) as u64;
        Some(Rank { tier, cost, tie: mix(self.seed, host.id), host: host.id })
    }

    fn unrank(&mut self, id: HostId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Some(rank) = host.rank.take() else { return };
        if let Some(class) = self.classes.get_mut(&host.class) {
            class.ready.remove(&rank);
        }
        for key in &host.active {
            if let Some(owners) = self.owners.get_mut(key) {
                owners.ready.remove(&rank);
            }
        }
    }

    fn class_of(&mut self, host: &Host) -> ClassId {
        let key = (host.platform.clone(), host.offer.number(), host.features);
        let id = match self.class_ids.get(&key) {
            Some(id) => *id,
            None => {
                let id = ClassId(self.next_class);
                self.next_class = self.next_class.wrapping_add(1);
                let (platform, offer, features) = key.clone();
                let class = Class {
                    platform,
                    offer,
                    features,
                    members: 0,
                    open: [BTreeSet::new(), BTreeSet::new()],
                    ready: BTreeSet::new(),
                };
                self.requirements.learn_class(id, |requirement| class.fits(requirement));
                self.classes.insert(id, class);
                self.class_ids.insert(key, id);
                id
            }
        };
        if let Some(class) = self.classes.get_mut(&id) {
            class.members += 1;
        }
        id
    }

    fn key(&mut self, env: &EnvRef) -> EnvKey {
        if let Some(key) = self.env_keys.get(env) {
            return *key;
        }
        let key = EnvKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        self.env_keys.insert(env.clone(), key);
        self.owners.insert(key, Owners { environment: env.clone(), ..Owners::default() });
        key
    }

    fn release_key(&mut self, key: EnvKey) {
        let unused = self.owners.get(&key).is_some_and(|o| o.demand == 0 && o.hosts.is_empty());
        if unused {
            if let Some(owners) = self.owners.remove(&key) {
                self.env_keys.remove(&owners.environment);
            }
        }
    }

    fn add_demand(&mut self, key: EnvKey) {
        let Some(owners) = self.owners.get_mut(&key) else { return };
        owners.demand += 1;
        if owners.demand > 1 {
            return;
        }
        for id in &owners.hosts {
            if let Some(host) = self.hosts.get_mut(id) {
                host.active.insert(key);
                owners.ready.extend(host.rank);
            }
        }
    }

    fn remove_demand(&mut self, key: EnvKey) {
        let Some(owners) = self.owners.get_mut(&key) else { return };
        owners.demand -= 1;
        if owners.demand > 0 {
            return;
        }
        owners.ready.clear();
        for id in &owners.hosts {
            if let Some(host) = self.hosts.get_mut(id) {
                host.active.remove(&key);
            }
        }
        self.release_key(key);
    }
}

fn banned(bans: &[Ban], requirement: &Requirement, environment: usize) -> bool {
    let Some(env) = requirement.environments.get(environment) else { return true };
    // 1.4 compares the job's platform with the one in BLACKLIST_HOST_ENV, which is the client's target; either may
    // match.
    let same = |ban: &Ban| {
        ban.environment.name == env.name
            && (ban.environment.platform == env.platform || ban.environment.platform == requirement.target)
    };
    bans.iter().any(same)
}

/// A hash of seed and host (SplitMix64).
fn mix(seed: u64, id: HostId) -> u32 {
    let mut x = seed ^ u64::from(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as u32
}
