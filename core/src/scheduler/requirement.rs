//! What jobs require of a host. Each distinct requirement is stored once and has a number.

use crate::env::EnvRef;
use crate::ids::HostId;
use crate::message::GetCs;
use crate::platform;
use crate::text::Text;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of a [`Requirement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RequirementId(u32);

impl RequirementId {
    /// The lower end of a range over all ids.
    pub const MIN: Self = Self(0);
    /// The upper end of a range over all ids.
    pub const MAX: Self = Self(u32::MAX);
}

/// Number of a pair of environment name and target platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EnvKey(u32);

impl EnvKey {
    /// The next number of a counter.
    pub fn nth(next: &mut u32) -> Self {
        Self(next_number(next))
    }
}

/// Number of a [`super::class::Class`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClassId(u32);

impl ClassId {
    /// The next number of a counter.
    pub fn nth(next: &mut u32) -> Self {
        Self(next_number(next))
    }
}

fn next_number(next: &mut u32) -> u32 {
    let number = *next;
    *next = number.wrapping_add(1);
    number
}

/// What a job requires of a host: a plain value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Requirement {
    /// The environments in which it can run, each with the host platform that it needs; at most one per platform.
    pub environments: Vec<EnvRef>,
    /// The submitter's platform, under which environments are installed.
    pub target: Text,
    /// Lowest protocol version that the server must have offered; 0 for any.
    pub minimal_version: u32,
    /// [`crate::message::features`] that the server must have.
    pub features: u32,
    /// Node name or address of the only host that may take it; empty for any.
    pub preferred: Text,
}

impl Requirement {
    /// The requirement of the jobs of a request.
    pub fn of(request: &GetCs) -> Self {
        let mut environments: Vec<EnvRef> = Vec::new();
        for env in &request.environments {
            // USE_CS names only a platform, and the client uses its first environment for that.
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

    /// Indexes of the environments that run on `platform`, in the job's order.
    pub fn runnable<'a>(&'a self, platform: &'a Text) -> impl Iterator<Item = usize> + 'a {
        let runs =
            move |(i, env): (usize, &EnvRef)| platform::runs(platform.as_bytes(), env.platform.as_bytes()).then_some(i);
        self.environments.iter().enumerate().filter_map(runs)
    }
}

/// A requirement with what follows from it and how many jobs have it.
#[derive(Debug)]
pub(super) struct RequirementEntry {
    requirement: Arc<Requirement>,
    keys: Vec<EnvKey>,
    fits: BTreeMap<ClassId, Option<usize>>,
    jobs: usize,
    installing: usize,
}

impl RequirementEntry {
    /// The requirement.
    pub fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// The key of each of its environments.
    pub fn keys(&self) -> &[EnvKey] {
        &self.keys
    }

    /// For each class of hosts: index of the first environment that its members can run; `None` if the class does not
    /// fit.
    pub fn fits(&self) -> &BTreeMap<ClassId, Option<usize>> {
        &self.fits
    }

    /// Number of jobs with this requirement, in any state.
    pub fn jobs(&self) -> usize {
        self.jobs
    }

    /// Number of installations under way for jobs with this requirement.
    pub fn installing(&self) -> usize {
        self.installing
    }
}

/// The requirements of all existing jobs, and some recent ones.
#[derive(Debug, Default)]
pub(super) struct Requirements {
    ids: BTreeMap<Arc<Requirement>, RequirementId>,
    known: BTreeMap<RequirementId, RequirementEntry>,
    next: u32,
}

/// Maximum number of requirements without jobs that are kept. A build that has one job at a time would register its
/// requirement anew for each without them.
const IDLE_MAX: usize = 256;

/// Upper bound on distinct requirements; binding the jobs of a request to one platform checks it too. A large cluster
/// has a few hundred.
const REQUIREMENTS_MAX: usize = 1024;

impl Requirements {
    /// The id of a requirement, if it is registered.
    pub fn find(&self, requirement: &Requirement) -> Option<RequirementId> {
        self.ids.get(requirement).copied()
    }

    /// Registers a new requirement; `keys` are those of its environments, `fits` says which classes can run which.
    pub fn add(
        &mut self,
        requirement: Requirement,
        keys: Vec<EnvKey>,
        fits: BTreeMap<ClassId, Option<usize>>,
    ) -> RequirementId {
        let id = RequirementId(next_number(&mut self.next));
        let requirement = Arc::new(requirement);
        self.ids.insert(Arc::clone(&requirement), id);
        self.known.insert(id, RequirementEntry { requirement, keys, fits, jobs: 0, installing: 0 });
        id
    }

    /// Whether `requirement` is new and the maximum is reached. Each requirement is compared with every class of hosts.
    pub fn refuses(&self, requirement: &Requirement) -> bool {
        let idle = || self.known.values().filter(|k| k.jobs == 0).count();
        self.known.len() >= REQUIREMENTS_MAX && !self.ids.contains_key(requirement) && idle() <= IDLE_MAX
    }

    /// Removes requirements without jobs if there are too many. Returns the keys of their environments.
    pub fn evict(&mut self) -> Vec<EnvKey> {
        let mut idle: Vec<RequirementId> = self.known.iter().filter(|(_, k)| k.jobs == 0).map(|(id, _)| *id).collect();
        if idle.len() <= IDLE_MAX {
            return Vec::new();
        }
        idle.truncate(IDLE_MAX / 2);
        let mut keys = Vec::new();
        for id in idle {
            if let Some(known) = self.known.remove(&id) {
                self.ids.remove(&known.requirement);
                keys.extend(known.keys);
            }
        }
        keys
    }

    /// The entry with this id.
    pub fn get(&self, id: RequirementId) -> Option<&RequirementEntry> {
        self.known.get(&id)
    }

    /// Counts a new job.
    pub fn add_job(&mut self, id: RequirementId) {
        self.count(id, |known| known.jobs += 1);
    }

    /// A job has ended, or has another requirement now.
    pub fn end_job(&mut self, id: RequirementId) {
        self.count(id, |known| known.jobs -= 1);
    }

    /// Counts a new installation.
    pub fn begin_install(&mut self, id: RequirementId) {
        self.count(id, |known| known.installing += 1);
    }

    /// An installation is over. If its job has ended, the requirement may have been evicted.
    pub fn end_install(&mut self, id: RequirementId) {
        self.count(id, |known| known.installing = known.installing.saturating_sub(1));
    }

    fn count(&mut self, id: RequirementId, change: impl Fn(&mut RequirementEntry)) {
        if let Some(known) = self.known.get_mut(&id) {
            change(known);
        }
    }

    /// All entries by id.
    pub fn all(&self) -> impl Iterator<Item = (RequirementId, &RequirementEntry)> {
        self.known.iter().map(|(id, known)| (*id, known))
    }

    /// Removes a class that has no members any more.
    pub fn forget_class(&mut self, class: ClassId) {
        for known in self.known.values_mut() {
            known.fits.remove(&class);
        }
    }

    /// Adds a new class. `fits` returns the index of the first environment that its members can run.
    pub fn learn_class(&mut self, class: ClassId, fits: impl Fn(&Requirement) -> Option<usize>) {
        for known in self.known.values_mut() {
            let answer = fits(&known.requirement);
            known.fits.insert(class, answer);
        }
    }
}

/// Who requests what, the part of a job on which the choice of a host depends: a plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Requester {
    /// What the job requires.
    pub requirement: RequirementId,
    /// The host that requests it.
    pub submitter: HostId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(n: usize) -> Requirement {
        Requirement { preferred: format!("h{n}").into(), ..Requirement::default() }
    }

    /// So many needs, the first of them without jobs. Each has a key of its own number.
    fn requirements(all: usize, idle: usize) -> Requirements {
        let mut requirements = Requirements::default();
        for n in 0..all {
            let id = requirements.add(requirement(n), vec![EnvKey(n as u32)], BTreeMap::new());
            if n >= idle {
                requirements.add_job(id);
            }
        }
        requirements
    }

    #[test]
    fn of_1024_needs_that_have_jobs_no_more_are_learned() {
        for (all, idle, refused) in
            [(1023, 0, false), (1024, 0, true), (1025, 0, true), (1024, 256, true), (1024, 257, false), (0, 0, false)]
        {
            let requirements = requirements(all, idle);
            assert_eq!(requirements.refuses(&requirement(9999)), refused, "{idle} of {all}");
            assert!(all == 0 || !requirements.refuses(&requirement(all - 1)), "one that is known");
        }
    }

    #[test]
    fn of_more_than_256_needs_without_jobs_the_128_oldest_are_forgotten() {
        for (all, idle, forgotten) in [(256, 256, 0), (900, 256, 0), (257, 257, 128), (900, 300, 128)] {
            let mut requirements = requirements(all, idle);
            let keys: Vec<u32> = requirements.evict().into_iter().map(|key| key.0).collect();
            assert_eq!(keys, (0..forgotten).collect::<Vec<u32>>(), "{idle} of {all}");
            assert_eq!(requirements.all().count(), all - keys.len());
            assert!((0..all).all(|n| requirements.find(&requirement(n)).is_none() == (n < keys.len())));
        }
    }
}
