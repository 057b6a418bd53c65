//! The hosts, and the indexes over them that keep a decision cheap.
//!
//! All changes of a host that matter to a choice end in [`Cluster::rerank`], the one place that keeps the indexes true. Hosts
//! that no need can tell apart form a [`Class`]; in it, and under each environment that some job asks for, the hosts that
//! could take a job now stand in order of how soon they would finish one. It does not know jobs, messages or the clock.

use super::host::{Accepting, Ban, Host};
use super::need::{Asker, ClassId, EnvKey, Need, NeedId, Needs};
use super::shares::Shares;
use super::speed::Pace;
use crate::env::EnvRef;
use crate::ids::HostId;
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// Where a host stands among those that could take a job now: the least is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// 0: known to be reachable; 1: not probed yet, or resting after failures. Those count only where no other could do the job.
    pub tier: u8,
    /// Milliseconds until a job of mean weight would be done there.
    cost: u64,
    /// Seeded, so that equal hosts are not always taken in the same order.
    tie: u32,
    pub host: HostId,
}

/// Hosts that no need can tell apart.
#[derive(Debug)]
pub(super) struct Class {
    pub platform: Text,
    offer: u32,
    features: u32,
    pub members: usize,
    /// Hosts that take jobs of others at all, by tier.
    pub open: [BTreeSet<HostId>; 2],
    /// Those of them that could take one now.
    pub ready: BTreeSet<Rank>,
}

impl Class {
    pub fn fits(&self, need: &Need) -> Option<usize> {
        if need.minimal_version > self.offer || need.features & !self.features != 0 {
            return None;
        }
        need.runnable(&self.platform).next()
    }
}

/// Who has an environment.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub environment: EnvRef,
    pub hosts: BTreeSet<HostId>,
    /// Needs that ask for it.
    pub asked: usize,
    /// Owners that could take a job now; only kept while somebody asks.
    pub ready: BTreeSet<Rank>,
}

/// All hosts.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    seed: u64,
    hosts: BTreeMap<HostId, Host>,
    /// By node name and by address text.
    pub named: BTreeMap<Text, BTreeSet<HostId>>,
    pub classes: BTreeMap<ClassId, Class>,
    class_ids: BTreeMap<(Text, u32, u32), ClassId>,
    pub env_keys: BTreeMap<EnvRef, EnvKey>,
    pub owners: BTreeMap<EnvKey, Owners>,
    shares: Shares,
    next_class: u32,
    next_key: u32,
    /// Mean weight of files; the caller keeps it fresh.
    pub mean_weight: f64,
    /// Sum and number of known paces, for hosts nothing is known of.
    pub pace_sum: f64,
    pub pace_known: u32,
    pub needs: Needs,
}

/// A new host is believed to be this much faster than the mean, so that it is tried.
const NEW_HOST: f64 = 1.1;
/// How much a host with all slots taken slows each of them down.
const CROWD: f64 = 0.3;
/// Waiting on a busy host is worse than the estimate says: what runs there may be longer than the mean.
const PRELOAD_RISK: f64 = 1.5;

impl Cluster {
    pub fn new(seed: u64) -> Self {
        Self { seed, mean_weight: 1000.0, ..Self::default() }
    }

    /// Takes a host in; returns how many of its environments there was no room for.
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
                self.needs.forget_class(host.class);
            }
        }
        Some(host)
    }

    /// Replaces the environments of a host; returns how many there was no room for.
    pub fn set_environments(&mut self, id: HostId, mut environments: Vec<EnvRef>) -> usize {
        self.unrank(id);
        let Some(host) = self.hosts.get_mut(&id) else { return 0 };
        self.shares.give_back(&host.address, &host.environments);
        let left_out = self.shares.take(&host.address, &mut environments);
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
                if owners.asked > 0 {
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

    /// A host turned out not to have an environment.
    pub fn lacks(&mut self, id: HostId, key: EnvKey) {
        let (Some(host), Some(owners)) = (self.hosts.get(&id), self.owners.get(&key)) else { return };
        let is_other = |env: &&EnvRef| **env != owners.environment;
        let others: Vec<EnvRef> = host.environments.iter().filter(is_other).cloned().collect();
        self.set_environments(id, others);
    }

    /// A host learned something about its speed.
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

    /// The number of a need; made if it is new.
    pub fn need(&mut self, need: Need) -> NeedId {
        if let Some(id) = self.needs.find(&need) {
            return id;
        }
        for key in self.needs.evict() {
            self.unask(key);
        }
        let keys: Vec<EnvKey> = need
            .environments
            .iter()
            .map(|env| EnvRef { platform: need.target.clone(), name: env.name.clone() })
            .map(|env| self.key(&env))
            .collect();
        for key in &keys {
            self.ask(*key);
        }
        let fits: BTreeMap<ClassId, Option<usize>> =
            self.classes.iter().map(|(id, class)| (*id, class.fits(&need))).collect();
        let id = self.needs.add(need, keys);
        if let Some(known) = self.needs.known_mut(id) {
            known.fits = fits;
        }
        id
    }

    /// Brings a host to its place in all indexes.
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

    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// A host to be changed; call [`Self::rerank`] afterwards if anything that matters to a choice changed.
    pub fn host_mut(&mut self, id: HostId) -> Option<&mut Host> {
        self.hosts.get_mut(&id)
    }

    /// All hosts in login order.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// What the environments of all hosts take.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Hosts of the second tier that could take a job now.
    pub fn second_choice(&self) -> impl Iterator<Item = HostId> {
        let open = self.classes.values().flat_map(|class| class.open[1].iter().copied());
        open.filter(|id| self.hosts.get(id).is_some_and(|host| host.rank.is_some()))
    }

    /// Hosts with this node name or address, in login order.
    pub fn named<'a>(&'a self, name: &Text) -> impl Iterator<Item = &'a Host> {
        self.named.get(name).into_iter().flatten().filter_map(|id| self.hosts.get(id))
    }

    /// The classes a need fits.
    pub fn classes_for(&self, need: NeedId) -> impl Iterator<Item = &Class> {
        let fits = self.needs.known(need).map(|k| &k.fits);
        fits.into_iter().flatten().filter(|(_, env)| env.is_some()).filter_map(|(id, _)| self.classes.get(id))
    }

    /// Owners of an environment that could take a job now, best first.
    pub fn ready_with(&self, key: EnvKey) -> impl Iterator<Item = Rank> {
        self.owners.get(&key).into_iter().flat_map(|o| o.ready.iter().copied())
    }

    /// The first environment of the need that this host could run for this submitter.
    pub fn environment(&self, asker: Asker, host: &Host) -> Option<usize> {
        let known = self.needs.known(asker.need)?;
        let first = (*known.fits.get(&host.class)?)?;
        let bans = self.hosts.get(&asker.submitter).and_then(|s| s.bans.get(&host.id));
        match bans {
            None => Some(first),
            Some(bans) => known.need.runnable(&host.platform).find(|i| !banned(bans, &known.need, *i)),
        }
    }

    /// The same for the submitter's last resort: version and features are not asked (4.3).
    pub fn own_environment(&self, asker: Asker) -> Option<usize> {
        let known = self.needs.known(asker.need)?;
        let host = self.hosts.get(&asker.submitter)?;
        let none = Vec::new();
        let bans = host.bans.get(&host.id).unwrap_or(&none);
        known.need.runnable(&host.platform).find(|i| !banned(bans, &known.need, *i))
    }

    /// The environment of the need that this host has already, in the order of its LOGIN (5.3).
    pub fn present(&self, asker: Asker, host: &Host) -> Option<usize> {
        let known = self.needs.known(asker.need)?;
        if !known.keys.iter().any(|key| host.has(*key)) {
            return None;
        }
        let none = Vec::new();
        let bans = self.hosts.get(&asker.submitter).and_then(|s| s.bans.get(&host.id)).unwrap_or(&none);
        let key = |i: usize| known.keys.get(i).filter(|key| host.has(**key));
        let usable = |i: &usize| key(*i).is_some() && !banned(bans, &known.need, *i);
        let mut usable = known.need.runnable(&host.platform).filter(usable);
        let (first, second) = (usable.next()?, usable.next());
        // Only where there is a choice their order matters; a host may have thousands.
        let Some(second) = second else { return Some(first) };
        let mut by_key = BTreeMap::new();
        for i in [first, second].into_iter().chain(usable) {
            by_key.entry(key(i)?).or_insert(i);
        }
        host.keys.iter().find_map(|key| by_key.get(key).copied())
    }

    /// Whether anybody but the submitter could ever do this, among hosts of this tier (5.1).
    pub fn ever(&self, asker: Asker, tier: u8) -> bool {
        let can = |id: &HostId| {
            *id != asker.submitter && self.hosts.get(id).is_some_and(|h| self.environment(asker, h).is_some())
        };
        let preferred = self.needs.known(asker.need).map(|k| &k.need.preferred).filter(|p| !p.is_empty());
        if let Some(preferred) = preferred {
            return self.named(preferred).any(|h| h.open() == Some(tier) && can(&h.id));
        }
        self.classes_for(asker.need).any(|class| class.open[usize::from(tier)].iter().any(can))
    }

    /// Whether the submitter itself is a host that could ever do this (5.1).
    pub fn ever_itself(&self, asker: Asker) -> bool {
        let Some(host) = self.hosts.get(&asker.submitter) else { return false };
        let preferred = self.needs.known(asker.need).map(|k| &k.need.preferred);
        preferred.is_some_and(|p| p.is_empty() || *p == host.name || *p == host.address)
            && host.slots > 0
            && host.ping_out.is_none()
            && host.accepting != Accepting::No
            && self.environment(asker, host).is_some()
    }

    /// Expected pace of a host, known or not.
    pub fn pace(&self, host: &Host) -> f64 {
        let pace = host.pace.value().unwrap_or_else(|| {
            if self.pace_known == 0 { 1.0 } else { NEW_HOST * self.pace_sum / f64::from(self.pace_known) }
        });
        pace.clamp(1e-4, 1e4)
    }

    /// Milliseconds until a job of this weight would be done on a host, the environment being there.
    pub fn finish_ms(&self, host: &Host, weight: f64) -> f64 {
        let slots = f64::from(host.slots.max(1));
        let busy = f64::from(host.busy());
        let free = f64::from(1000 - host.load.min(1000)) / 1000.0;
        let rate = self.pace(host) * free.max(0.05) * (1.0 - CROWD * (busy / slots).min(1.0));
        let over = busy - slots + 1.0;
        let wait = if over > 0.0 { PRELOAD_RISK * self.mean_weight * (1.0 + over) / slots } else { 0.0 };
        (wait + weight) / rate
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
                self.needs.learn_class(id, |need| class.fits(need));
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
        let unused = self.owners.get(&key).is_some_and(|o| o.asked == 0 && o.hosts.is_empty());
        if unused {
            if let Some(owners) = self.owners.remove(&key) {
                self.env_keys.remove(&owners.environment);
            }
        }
    }

    fn ask(&mut self, key: EnvKey) {
        let Some(owners) = self.owners.get_mut(&key) else { return };
        owners.asked += 1;
        if owners.asked > 1 {
            return;
        }
        for id in &owners.hosts {
            if let Some(host) = self.hosts.get_mut(id) {
                host.active.insert(key);
                owners.ready.extend(host.rank);
            }
        }
    }

    fn unask(&mut self, key: EnvKey) {
        let Some(owners) = self.owners.get_mut(&key) else { return };
        owners.asked -= 1;
        if owners.asked > 0 {
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

fn banned(bans: &[Ban], need: &Need, environment: usize) -> bool {
    let Some(env) = need.environments.get(environment) else { return true };
    // 1.4 compares the job's platform with what the client said, which is its target: both are taken.
    let same = |ban: &Ban| {
        ban.environment.name == env.name
            && (ban.environment.platform == env.platform || ban.environment.platform == need.target)
    };
    bans.iter().any(same)
}

/// A number that looks random but is the same for the same seed and host.
fn mix(seed: u64, id: HostId) -> u32 {
    let mut x = seed ^ u64::from(id.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as u32
}
