//! The place of one host among all: its class, its environments and its rank. Only [`super::cluster::Cluster`] changes
//! it, together with its indexes.

use super::rank::Rank;
use super::requirement::{ClassId, EnvKey};
use crate::env::EnvRef;
use std::collections::BTreeSet;

/// The place of a host.
#[derive(Debug, Default)]
pub(super) struct Standing {
    class: ClassId,
    environments: Vec<EnvRef>,
    keys: Vec<EnvKey>,
    key_set: BTreeSet<EnvKey>,
    active: BTreeSet<EnvKey>,
    tier: Option<u8>,
    rank: Option<Rank>,
}

impl Standing {
    /// Its class.
    pub fn class(&self) -> ClassId {
        self.class
    }

    /// Environments that it has, in the order of its LOGIN and within the quota.
    pub fn environments(&self) -> &[EnvRef] {
        &self.environments
    }

    /// Keys of [`Self::environments`], in the same order.
    pub fn keys(&self) -> &[EnvKey] {
        &self.keys
    }

    /// Whether it has an environment.
    pub fn has(&self, key: EnvKey) -> bool {
        self.key_set.contains(&key)
    }

    /// Its keys that some requirement names.
    pub fn active(&self) -> &BTreeSet<EnvKey> {
        &self.active
    }

    /// The tier ([`Rank::tier`]) in which it accepts jobs of other submitters; `None` if it accepts none.
    pub fn tier(&self) -> Option<u8> {
        self.tier
    }

    /// Its rank, `None` if it can take no job now.
    pub fn rank(&self) -> Option<Rank> {
        self.rank
    }

    /// Sets its class.
    pub fn set_class(&mut self, class: ClassId) {
        self.class = class;
    }

    /// Replaces its environments, their keys, and those of them that some requirement names.
    pub fn set_environments(&mut self, environments: Vec<EnvRef>, keys: Vec<EnvKey>, active: BTreeSet<EnvKey>) {
        self.environments = environments;
        self.key_set = keys.iter().copied().collect();
        self.keys = keys;
        self.active = active;
    }

    /// Whether some requirement names one of its environments.
    pub fn set_active(&mut self, key: EnvKey, is_active: bool) {
        if is_active {
            self.active.insert(key);
        } else {
            self.active.remove(&key);
        }
    }

    /// Sets tier and rank. Returns the previous ones.
    pub fn set_rank(&mut self, tier: Option<u8>, rank: Option<Rank>) -> (Option<u8>, Option<Rank>) {
        (std::mem::replace(&mut self.tier, tier), std::mem::replace(&mut self.rank, rank))
    }
}
