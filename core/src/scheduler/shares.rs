//! Room for the environments of hosts: bounded for all hosts together, and for those of one address.
//!
//! Hosts themselves are few, as their connections are; but each may name thousands of environments.

use crate::env::EnvRef;
use crate::limits::{HELD_ENVIRONMENTS_MAX, HELD_ENVIRONMENTS_PER_ADDRESS_MAX};
use crate::text::Text;
use std::collections::BTreeMap;

/// What an environment of a host costs beside its names: entries of the indexes.
const ENTRY: usize = 256;
/// So often names are kept: with the host, and as key and value of the indexes.
const COPIES: usize = 3;

/// What is taken of the room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    all: usize,
    by_address: BTreeMap<Text, usize>,
}

impl Shares {
    /// Takes room for environments of a host at `address`, in their order. Those for which there is none are left out; returns
    /// how many.
    pub fn take(&mut self, address: &Text, environments: &mut Vec<EnvRef>) -> usize {
        let own = self.by_address.get(address).copied().unwrap_or(0);
        let room =
            HELD_ENVIRONMENTS_MAX.saturating_sub(self.all).min(HELD_ENVIRONMENTS_PER_ADDRESS_MAX.saturating_sub(own));
        let mut taken = 0;
        let fits = |env: &EnvRef| {
            taken += cost(env);
            taken <= room
        };
        let kept = environments.iter().map(fits).take_while(|fits| *fits).count();
        let left_out = environments.len() - kept;
        environments.truncate(kept);
        let taken: usize = environments.iter().map(cost).sum();
        if taken > 0 {
            self.all += taken;
            self.by_address.insert(address.clone(), own + taken);
        }
        left_out
    }

    /// Gives the room of a host's environments back.
    pub fn give_back(&mut self, address: &Text, environments: &[EnvRef]) {
        let given: usize = environments.iter().map(cost).sum();
        self.all = self.all.saturating_sub(given);
        if let Some(own) = self.by_address.get_mut(address) {
            *own = own.saturating_sub(given);
            if *own == 0 {
                self.by_address.remove(address);
            }
        }
    }
}

fn cost(env: &EnvRef) -> usize {
    ENTRY + COPIES * (env.platform.len() + env.name.len())
}
