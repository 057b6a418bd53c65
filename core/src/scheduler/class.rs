//! Classes of hosts that no requirement can distinguish, each with those of its members that take jobs.

use super::host::Said;
use super::rank::Rank;
use super::requirement::{ClassId, Requirement};
use crate::ids::HostId;
use crate::text::Text;
use std::collections::{BTreeMap, BTreeSet};

/// What the members of a class have in common: platform, version offer and features.
type Kind = (Text, u32, u32);

/// Hosts that no requirement can distinguish.
#[derive(Debug)]
pub(super) struct Class {
    kind: Kind,
    members: usize,
    /// By tier.
    open: [BTreeSet<HostId>; 2],
    ready: BTreeSet<Rank>,
}

impl Class {
    /// Number of member hosts.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Members that accept jobs of other submitters at all, in this tier.
    pub fn open(&self, tier: u8) -> &BTreeSet<HostId> {
        let [first, second] = &self.open;
        if tier == 0 { first } else { second }
    }

    fn open_mut(&mut self, tier: u8) -> &mut BTreeSet<HostId> {
        let [first, second] = &mut self.open;
        if tier == 0 { first } else { second }
    }

    /// Members that could take a job now, best first.
    pub fn ready(&self) -> &BTreeSet<Rank> {
        &self.ready
    }

    /// Index of the first environment of `requirement` that members can run; `None` if version, features or platform do
    /// not fit.
    pub fn fits(&self, requirement: &Requirement) -> Option<usize> {
        let (platform, offer, features) = &self.kind;
        if requirement.minimal_version > *offer || requirement.features & !features != 0 {
            return None;
        }
        requirement.runnable(platform).next()
    }

    /// A member's tier and rank were replaced.
    pub fn place(&mut self, id: HostId, tiers: [Option<u8>; 2], ranks: [Option<Rank>; 2]) {
        if tiers[0] != tiers[1] {
            if let Some(old) = tiers[0] {
                self.open_mut(old).remove(&id);
            }
            if let Some(new) = tiers[1] {
                self.open_mut(new).insert(id);
            }
        }
        if let Some(old) = &ranks[0] {
            self.ready.remove(old);
        }
        self.ready.extend(ranks[1]);
    }
}

/// All classes that have members.
#[derive(Debug, Default)]
pub(super) struct Classes {
    known: BTreeMap<ClassId, Class>,
    ids: BTreeMap<Kind, ClassId>,
    next: u32,
}

impl Classes {
    /// All classes by id.
    pub fn all(&self) -> &BTreeMap<ClassId, Class> {
        &self.known
    }

    /// The class with this id, for a change of a member.
    pub fn get_mut(&mut self, id: ClassId) -> Option<&mut Class> {
        self.known.get_mut(&id)
    }

    /// Counts a host in its class. Returns the class, and whether it is new.
    pub fn join(&mut self, said: &Said) -> (ClassId, bool) {
        let kind = (said.platform.clone(), said.offer.number(), said.features);
        let (id, is_new) = match self.ids.get(&kind) {
            Some(id) => (*id, false),
            None => (ClassId::nth(&mut self.next), true),
        };
        if is_new {
            self.ids.insert(kind.clone(), id);
            let class = Class { kind, members: 0, open: [BTreeSet::new(), BTreeSet::new()], ready: BTreeSet::new() };
            self.known.insert(id, class);
        }
        if let Some(class) = self.known.get_mut(&id) {
            class.members += 1;
        }
        (id, is_new)
    }

    /// A host leaves its class. Returns whether it was the last member, and the class is gone.
    pub fn leave(&mut self, id: ClassId) -> bool {
        let Some(class) = self.known.get_mut(&id) else { return false };
        class.members -= 1;
        if class.members > 0 {
            return false;
        }
        self.ids.remove(&class.kind);
        self.known.remove(&id);
        true
    }
}
