//! What jobs ask of a host, each distinct wish kept once.

use crate::env::EnvRef;
use crate::ids::HostId;
use crate::message::GetCs;
use crate::platform;
use crate::text::Text;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of a [`Need`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NeedId(u32);

impl NeedId {
    pub const MIN: Self = Self(0);
    pub const MAX: Self = Self(u32::MAX);
}

/// Number of an environment under a target: what a host has, lacks or installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EnvKey(pub u32);

/// Number of a [`super::cluster::Class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClassId(pub u32);

/// What a job asks of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub environments: Vec<EnvRef>,
    pub target: Text,
    pub minimal_version: u32,
    pub features: u32,
    pub preferred: Text,
}

impl Need {
    pub fn of(request: &GetCs) -> Self {
        let mut environments: Vec<EnvRef> = Vec::new();
        for env in &request.environments {
            // A client is told a platform, and uses its first environment for that.
            if environments.iter().all(|known| known.platform != env.platform) {
                environments.push(env.clone());
            }
        }
        Self {
            environments,
            target: request.target.clone(),
            minimal_version: request.minimal_version,
            features: request.required_features,
            preferred: request.preferred_host.clone(),
        }
    }

    /// The environments that run on `platform`, in the job's order.
    pub fn runnable<'a>(&'a self, platform: &'a Text) -> impl Iterator<Item = usize> + 'a {
        let runs =
            move |(i, env): (usize, &EnvRef)| platform::runs(platform.as_bytes(), env.platform.as_bytes()).then_some(i);
        self.environments.iter().enumerate().filter_map(runs)
    }
}

/// A need, and what is known of it.
#[derive(Debug)]
pub(super) struct Known {
    pub need: Arc<Need>,
    /// The key of each environment, under the need's target.
    pub keys: Vec<EnvKey>,
    /// For each class of hosts seen so far: the first environment that runs there; `None` if the class does not fit.
    pub fits: BTreeMap<ClassId, Option<usize>>,
    /// Jobs that exist with this need, in any state.
    pub jobs: usize,
    /// Jobs with this need that are in the queue.
    pub waiting: usize,
    /// Hosts that install an environment of it just now.
    pub installing: usize,
}

/// All needs of living jobs, and some of late.
#[derive(Debug, Default)]
pub(super) struct Needs {
    ids: BTreeMap<Arc<Need>, NeedId>,
    known: BTreeMap<NeedId, Known>,
    next: u32,
}

/// So many needs without jobs are remembered: a build that asks for one job at a time must not pay for each.
const IDLE_MAX: usize = 256;

/// So many needs are known at most, but for some that follow from others. A large cluster has some hundred.
const NEEDS_MAX: usize = 1024;

impl Needs {
    pub fn find(&self, need: &Need) -> Option<NeedId> {
        self.ids.get(need).copied()
    }

    pub fn add(&mut self, need: Need, keys: Vec<EnvKey>) -> NeedId {
        let id = NeedId(self.next);
        self.next = self.next.wrapping_add(1);
        let need = Arc::new(need);
        self.ids.insert(Arc::clone(&need), id);
        self.known.insert(id, Known { need, keys, fits: BTreeMap::new(), jobs: 0, waiting: 0, installing: 0 });
        id
    }

    /// Whether there are so many needs that no new one is to be learnt: each is compared with every kind of host.
    pub fn refuses(&self, need: &Need) -> bool {
        let idle = || self.known.values().filter(|k| k.jobs == 0).count();
        self.known.len() >= NEEDS_MAX && !self.ids.contains_key(need) && idle() <= IDLE_MAX
    }

    /// Forgets needs without jobs if there are too many; tells whose environments are no longer asked for.
    pub fn evict(&mut self) -> Vec<EnvKey> {
        let mut idle: Vec<NeedId> = self.known.iter().filter(|(_, k)| k.jobs == 0).map(|(id, _)| *id).collect();
        if idle.len() <= IDLE_MAX {
            return Vec::new();
        }
        idle.truncate(IDLE_MAX / 2);
        let mut keys = Vec::new();
        for id in idle {
            if let Some(known) = self.known.remove(&id) {
                self.ids.remove(&known.need);
                keys.extend(known.keys);
            }
        }
        keys
    }

    pub fn known(&self, id: NeedId) -> Option<&Known> {
        self.known.get(&id)
    }

    pub fn known_mut(&mut self, id: NeedId) -> Option<&mut Known> {
        self.known.get_mut(&id)
    }

    pub fn all(&self) -> impl Iterator<Item = (NeedId, &Known)> {
        self.known.iter().map(|(id, known)| (*id, known))
    }

    pub fn forget_class(&mut self, class: ClassId) {
        for known in self.known.values_mut() {
            known.fits.remove(&class);
        }
    }

    pub fn learn_class(&mut self, class: ClassId, fits: impl Fn(&Need) -> Option<usize>) {
        for known in self.known.values_mut() {
            let answer = fits(&known.need);
            known.fits.insert(class, answer);
        }
    }
}

/// Who asks: what a choice depends on besides the need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub need: NeedId,
    pub submitter: HostId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(n: usize) -> Need {
        Need { preferred: format!("h{n}").into(), ..Need::default() }
    }

    /// So many needs, the first of them without jobs. Each has a key of its own number.
    fn needs(all: usize, idle: usize) -> Needs {
        let mut needs = Needs::default();
        for n in 0..all {
            let id = needs.add(need(n), vec![EnvKey(n as u32)]);
            needs.known_mut(id).unwrap().jobs = usize::from(n >= idle);
        }
        needs
    }

    #[test]
    fn of_1024_needs_that_have_jobs_no_more_are_learned() {
        for (all, idle, refused) in
            [(1023, 0, false), (1024, 0, true), (1025, 0, true), (1024, 256, true), (1024, 257, false), (0, 0, false)]
        {
            let needs = needs(all, idle);
            assert_eq!(needs.refuses(&need(9999)), refused, "{idle} of {all}");
            assert!(all == 0 || !needs.refuses(&need(all - 1)), "one that is known");
        }
    }

    #[test]
    fn of_more_than_256_needs_without_jobs_the_128_oldest_are_forgotten() {
        for (all, idle, forgotten) in [(256, 256, 0), (900, 256, 0), (257, 257, 128), (900, 300, 128)] {
            let mut needs = needs(all, idle);
            let keys: Vec<u32> = needs.evict().into_iter().map(|key| key.0).collect();
            assert_eq!(keys, (0..forgotten).collect::<Vec<u32>>(), "{idle} of {all}");
            assert_eq!(needs.all().count(), all - keys.len());
            assert!((0..all).all(|n| needs.find(&need(n)).is_none() == (n < keys.len())));
        }
    }
}
