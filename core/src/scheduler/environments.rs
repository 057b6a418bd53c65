//! The environments that hosts have or requirements name: a number for each, and its owners.

use super::env_quota::EnvQuota;
use super::rank::Rank;
use super::requirement::EnvKey;
use super::standing::Standing;
use crate::env::EnvRef;
use crate::ids::HostId;
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// The hosts that have one environment.
#[derive(Debug, Default)]
pub(super) struct Owners {
    environment: EnvRef,
    hosts: BTreeSet<HostId>,
    demand: usize,
    ready: BTreeSet<Rank>,
}

impl Owners {
    /// The environment, under its target platform.
    pub fn environment(&self) -> &EnvRef {
        &self.environment
    }

    /// Hosts that have it.
    pub fn hosts(&self) -> &BTreeSet<HostId> {
        &self.hosts
    }

    /// Number of requirements that name it.
    pub fn demand(&self) -> usize {
        self.demand
    }

    /// Owners that could take a job now, best first; maintained only while [`Self::demand`] is not 0.
    pub fn ready(&self) -> &BTreeSet<Rank> {
        &self.ready
    }
}

/// All environments.
#[derive(Debug, Default)]
pub(super) struct Environments {
    keys: BTreeMap<EnvRef, EnvKey>,
    owners: BTreeMap<EnvKey, Owners>,
    quota: EnvQuota,
    next: u32,
}

impl Environments {
    /// The owners of each environment.
    pub fn owners(&self) -> &BTreeMap<EnvKey, Owners> {
        &self.owners
    }

    /// Number of environments that have a number.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Memory that the environments of all hosts take.
    pub fn quota(&self) -> &EnvQuota {
        &self.quota
    }

    /// Takes a host's environments away and gives it others; its rank stays. Returns the number of those that exceed
    /// the quota and are ignored.
    pub fn replace(
        &mut self,
        id: HostId,
        address: &Text,
        standing: &mut Standing,
        mut environments: Vec<EnvRef>,
    ) -> usize {
        self.quota.release(address, standing.environments());
        let left_out = self.quota.take(address, &mut environments);
        self.rank(standing.active(), standing.rank(), None);
        for key in standing.keys() {
            if let Some(owners) = self.owners.get_mut(key) {
                owners.hosts.remove(&id);
            }
            self.forget_unused(*key);
        }
        let keys: Vec<EnvKey> = environments.iter().map(|env| self.key(env)).collect();
        let mut active = BTreeSet::new();
        for key in &keys {
            let Some(owners) = self.owners.get_mut(key) else { continue };
            owners.hosts.insert(id);
            if owners.demand > 0 {
                active.insert(*key);
            }
        }
        self.rank(&active, None, standing.rank());
        standing.set_environments(environments, keys, active);
        left_out
    }

    /// Replaces the rank of a host among the owners of these environments.
    pub fn rank<'k>(&mut self, keys: impl IntoIterator<Item = &'k EnvKey>, old: Option<Rank>, new: Option<Rank>) {
        for key in keys {
            let Some(owners) = self.owners.get_mut(key) else { continue };
            if let Some(old) = &old {
                owners.ready.remove(old);
            }
            owners.ready.extend(new);
        }
    }

    /// Counts a requirement that names an environment. Returns its number and, if it is the first, the hosts that have
    /// it, which are to be ranked.
    pub fn add_demand(&mut self, env: &EnvRef) -> (EnvKey, Vec<HostId>) {
        let key = self.key(env);
        let Some(owners) = self.owners.get_mut(&key) else { return (key, Vec::new()) };
        owners.demand += 1;
        let hosts = if owners.demand > 1 { Vec::new() } else { owners.hosts.iter().copied().collect() };
        (key, hosts)
    }

    /// A requirement that named an environment is forgotten. If it was the last, the owners are not ranked any longer:
    /// returns them.
    pub fn remove_demand(&mut self, key: EnvKey) -> Vec<HostId> {
        let Some(owners) = self.owners.get_mut(&key) else { return Vec::new() };
        owners.demand -= 1;
        if owners.demand > 0 {
            return Vec::new();
        }
        owners.ready.clear();
        let hosts = owners.hosts.iter().copied().collect();
        self.forget_unused(key);
        hosts
    }

    fn key(&mut self, env: &EnvRef) -> EnvKey {
        if let Some(key) = self.keys.get(env) {
            return *key;
        }
        let key = EnvKey::nth(&mut self.next);
        self.keys.insert(env.clone(), key);
        self.owners.insert(key, Owners { environment: env.clone(), ..Owners::default() });
        key
    }

    fn forget_unused(&mut self, key: EnvKey) {
        let is_unused = self.owners.get(&key).is_some_and(|o| o.demand == 0 && o.hosts.is_empty());
        if !is_unused {
            return;
        }
        if let Some(owners) = self.owners.remove(&key) {
            self.keys.remove(&owners.environment);
        }
    }
}

/// For tests that break the index.
#[cfg(test)]
impl Environments {
    /// Numbers and owners.
    pub fn parts(&mut self) -> (&mut BTreeMap<EnvRef, EnvKey>, &mut BTreeMap<EnvKey, Owners>) {
        (&mut self.keys, &mut self.owners)
    }
}
