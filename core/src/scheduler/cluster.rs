//! All hosts, with indexes that make choosing one cheap.
//!
//! Hosts that no requirement can distinguish form a class. Each class, and each environment that some job requires,
//! keeps its hosts that could take a job now, in the order of their ranks, which `policy.rs` makes. Only
//! [`super::ledger::Ledger`] changes a cluster. This module does not know jobs, messages or the clock.

use super::bans::Ban;
use super::class::{Class, Classes};
use super::environments::Environments;
use super::host::Host;
use super::probing::Accepting;
use super::rank::Rank;
use super::requirement::{EnvKey, Requester, Requirement, RequirementEntry, RequirementId, Requirements};
use super::speed::Pace;
use crate::env::EnvRef;
use crate::ids::HostId;
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

/// All hosts and their indexes.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    seed: u64,
    hosts: BTreeMap<HostId, Host>,
    named: BTreeMap<Text, BTreeSet<HostId>>,
    classes: Classes,
    environments: Environments,
    requirements: Requirements,
    mean_weight: f64,
    /// Sum of the paces of measured hosts.
    pace_sum: f64,
    /// Number of measured hosts.
    pace_known: u32,
}

impl Cluster {
    /// A cluster without hosts. `seed` orders equal hosts.
    pub fn new(seed: u64) -> Self {
        Self { seed, mean_weight: 1000.0, ..Self::default() }
    }

    /// Adds a host, without rank. Returns the number of its environments that exceed the quota and are ignored.
    pub fn insert(&mut self, mut host: Host, environments: Vec<EnvRef>) -> usize {
        let id = host.id();
        let (class, is_new) = self.classes.join(host.said());
        host.standing_mut().set_class(class);
        if let Some(known) = self.classes.all().get(&class).filter(|_| is_new) {
            self.requirements.learn_class(class, |requirement| known.fits(requirement));
        }
        for name in [&host.said().name, &host.said().address] {
            self.named.entry(name.clone()).or_default().insert(id);
        }
        self.hosts.insert(id, host);
        self.set_environments(id, environments)
    }

    /// Removes a host from all indexes and returns it; `None` if it is unknown.
    pub fn remove(&mut self, id: HostId) -> Option<Host> {
        self.set_environments(id, Vec::new());
        self.set_rank(id, None, None);
        self.set_pace(id, Pace::default());
        let host = self.hosts.remove(&id)?;
        for name in [&host.said().name, &host.said().address] {
            let Some(ids) = self.named.get_mut(name) else { continue };
            ids.remove(&id);
            if ids.is_empty() {
                self.named.remove(name);
            }
        }
        for other in self.hosts.values_mut() {
            other.bans_mut().forget(id);
        }
        let class = host.standing().class();
        if self.classes.leave(class) {
            self.requirements.forget_class(class);
        }
        Some(host)
    }

    /// Replaces the environments of a host. Returns the number that exceed the quota and are ignored.
    pub fn set_environments(&mut self, id: HostId, environments: Vec<EnvRef>) -> usize {
        let Some(host) = self.hosts.get_mut(&id) else { return 0 };
        let (address, standing) = host.place_mut();
        self.environments.replace(id, address, standing, environments)
    }

    /// Removes one environment from a host, because a job found that the host does not have it.
    pub fn lacks(&mut self, id: HostId, key: EnvKey) {
        let (Some(host), Some(owners)) = (self.hosts.get(&id), self.environments.owners().get(&key)) else { return };
        let is_other = |env: &&EnvRef| *env != owners.environment();
        let others: Vec<EnvRef> = host.standing().environments().iter().filter(is_other).cloned().collect();
        self.set_environments(id, others);
    }

    /// Sets the tier ([`Rank::tier`]) in which a host accepts jobs of others, and its rank if it could take one now.
    pub fn set_rank(&mut self, id: HostId, tier: Option<u8>, rank: Option<Rank>) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let (old_tier, old) = host.standing_mut().set_rank(tier, rank);
        if (old_tier, old) == (tier, rank) {
            return;
        }
        if let Some(class) = self.classes.get_mut(host.standing().class()) {
            class.place(id, [old_tier, tier], [old, rank]);
        }
        if old != rank {
            self.environments.rank(host.standing().active(), old, rank);
        }
    }

    /// Sets the measured pace of a host.
    pub fn set_pace(&mut self, id: HostId, pace: Pace) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if let Some(old) = host.set_pace(pace).value() {
            self.pace_sum -= old;
            self.pace_known -= 1;
        }
        if let Some(new) = pace.value() {
            self.pace_sum += new;
            self.pace_known += 1;
        }
    }

    /// Sets the mean weight of recent jobs, in ms.
    pub fn set_mean_weight(&mut self, mean: f64) {
        self.mean_weight = mean;
    }

    /// The id of a requirement; a new requirement is registered.
    pub fn requirement(&mut self, requirement: Requirement) -> RequirementId {
        if let Some(id) = self.requirements.find(&requirement) {
            return id;
        }
        for key in self.requirements.evict() {
            for id in self.environments.remove_demand(key) {
                self.set_active(id, key, false);
            }
        }
        let mut keys = Vec::new();
        for env in &requirement.environments {
            let env = EnvRef { platform: requirement.target.clone(), name: env.name.clone() };
            let (key, owners) = self.environments.add_demand(&env);
            for id in owners {
                self.set_active(id, key, true);
            }
            keys.push(key);
        }
        let fits = self.classes.all().iter().map(|(id, class)| (*id, class.fits(&requirement))).collect();
        self.requirements.add(requirement, keys, fits)
    }

    fn set_active(&mut self, id: HostId, key: EnvKey, is_active: bool) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.standing_mut().set_active(key, is_active);
        if is_active {
            self.environments.rank([&key], None, host.standing().rank());
        }
    }

    /// The requirements of jobs.
    pub fn requirements(&self) -> &Requirements {
        &self.requirements
    }

    /// The same, for the ledger to count.
    pub fn requirements_mut(&mut self) -> &mut Requirements {
        &mut self.requirements
    }

    /// The seed of the order of equal hosts.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Mean weight of recent jobs, in ms.
    pub fn mean_weight(&self) -> f64 {
        self.mean_weight
    }

    /// Sum of the paces of measured hosts, and their number.
    pub fn paces(&self) -> (f64, u32) {
        (self.pace_sum, self.pace_known)
    }

    /// The host with this id, if it is logged in.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// The host with this id, for the ledger to change.
    pub fn host_mut(&mut self, id: HostId) -> Option<&mut Host> {
        self.hosts.get_mut(&id)
    }

    /// All hosts in login order.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// The hosts with higher numbers than this, in order.
    pub fn hosts_after(&self, after: HostId) -> impl Iterator<Item = &Host> {
        self.hosts.range((Excluded(after), Unbounded)).map(|(_, host)| host)
    }

    /// Number of hosts.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// All classes.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// All environments that hosts have or requirements name.
    pub fn environments(&self) -> &Environments {
        &self.environments
    }

    /// Hosts by node name and by address text.
    pub fn names(&self) -> &BTreeMap<Text, BTreeSet<HostId>> {
        &self.named
    }

    /// Hosts of tier 1 that could take a job now.
    pub fn second_choice(&self) -> impl Iterator<Item = HostId> {
        let open = self.classes.all().values().flat_map(|class| class.open(1).iter().copied());
        open.filter(|id| self.hosts.get(id).is_some_and(|host| host.standing().rank().is_some()))
    }

    /// Hosts with this node name or address, in the order of their logins.
    pub fn named<'a>(&'a self, name: &Text) -> impl Iterator<Item = &'a Host> {
        self.named.get(name).into_iter().flatten().filter_map(|id| self.hosts.get(id))
    }

    /// The classes that a requirement fits.
    pub fn classes_for(&self, requirement: RequirementId) -> impl Iterator<Item = &Class> {
        let fits = self.requirements.get(requirement).map(RequirementEntry::fits);
        fits.into_iter().flatten().filter(|(_, env)| env.is_some()).filter_map(|(id, _)| self.classes.all().get(id))
    }

    /// The owners of an environment that could take a job now, best first.
    pub fn ready_with(&self, key: EnvKey) -> impl Iterator<Item = Rank> {
        self.environments.owners().get(&key).into_iter().flat_map(|o| o.ready().iter().copied())
    }

    /// Index of the first environment of the requirement that `host` may run for this submitter, bans considered.
    pub fn environment(&self, requester: Requester, host: &Host) -> Option<usize> {
        let known = self.requirements.get(requester.requirement)?;
        let first = (*known.fits().get(&host.standing().class())?)?;
        match self.bans(requester, host) {
            [] => Some(first),
            bans => first_allowed(known.requirement(), host, bans),
        }
    }

    /// The same for the submitter itself as last resort: its version and features do not matter.
    pub fn own_environment(&self, requester: Requester) -> Option<usize> {
        let known = self.requirements.get(requester.requirement)?;
        let host = self.hosts.get(&requester.submitter)?;
        first_allowed(known.requirement(), host, self.bans(requester, host))
    }

    fn bans(&self, requester: Requester, host: &Host) -> &[Ban] {
        self.hosts.get(&requester.submitter).map_or(&[], |submitter| submitter.bans().against(host.id()))
    }

    /// Index of the environment of the requirement that `host` already has. If it has several, the first in the order
    /// of its LOGIN.
    pub fn present(&self, requester: Requester, host: &Host) -> Option<usize> {
        let known = self.requirements.get(requester.requirement)?;
        if !known.keys().iter().any(|key| host.standing().has(*key)) {
            return None;
        }
        let bans = self.bans(requester, host);
        let key = |i: usize| known.keys().get(i).filter(|key| host.standing().has(**key));
        let usable = |i: &usize| key(*i).is_some() && !Ban::forbids(bans, known.requirement(), *i);
        let mut usable = known.requirement().runnable(&host.said().platform).filter(usable);
        let (first, second) = (usable.next()?, usable.next());
        // The order matters only if there is a choice; finding it is slow, as a host may have thousands of
        // environments.
        let Some(second) = second else { return Some(first) };
        let mut by_key = BTreeMap::new();
        for i in [first, second].into_iter().chain(usable) {
            by_key.entry(key(i)?).or_insert(i);
        }
        host.standing().keys().iter().find_map(|key| by_key.get(key).copied())
    }

    /// Whether any host of this tier, other than the submitter, could ever run the job.
    pub fn others_could_ever(&self, requester: Requester, tier: u8) -> bool {
        let Some(known) = self.requirements.get(requester.requirement) else { return false };
        let can = |id: &HostId| {
            *id != requester.submitter && self.hosts.get(id).is_some_and(|h| self.environment(requester, h).is_some())
        };
        let preferred = &known.requirement().preferred;
        if !preferred.is_empty() {
            return self.named(preferred).any(|h| h.standing().tier() == Some(tier) && can(&h.id()));
        }
        self.classes_for(requester.requirement).any(|class| class.open(tier).iter().any(can))
    }

    /// The same for hosts of any tier.
    pub fn others_of_any_tier_could_ever(&self, requester: Requester) -> bool {
        (0..=1).any(|tier| self.others_could_ever(requester, tier))
    }

    /// Whether the submitter itself could ever run the job as a compile server.
    pub fn submitter_could_ever(&self, requester: Requester) -> bool {
        let Some(host) = self.hosts.get(&requester.submitter) else { return false };
        self.wants(requester, host)
            && host.work().slots() > 0
            && !host.probing().is_pinged()
            && host.probing().accepting() != Accepting::No
            && self.environment(requester, host).is_some()
    }

    /// Whether the requirement prefers no host or this one.
    pub fn wants(&self, requester: Requester, host: &Host) -> bool {
        let preferred = self.requirements.get(requester.requirement).map(|k| &k.requirement().preferred);
        preferred.is_some_and(|name| name.is_empty() || host.said().is_named(name))
    }
}

/// For tests that break the indexes.
#[cfg(test)]
impl Cluster {
    /// The indexes.
    pub fn parts(&mut self) -> (&mut Classes, &mut Environments, &mut BTreeMap<Text, BTreeSet<HostId>>) {
        (&mut self.classes, &mut self.environments, &mut self.named)
    }
}

/// Index of the first environment of a requirement that runs on a host and that no ban forbids.
fn first_allowed(requirement: &Requirement, host: &Host, bans: &[Ban]) -> Option<usize> {
    requirement.runnable(&host.said().platform).find(|i| !Ban::forbids(bans, requirement, *i))
}
