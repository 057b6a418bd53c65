//! What occupies one host: the jobs and local jobs on it, the environments on their way to it, and the jobs that it
//! submitted. Only [`super::ledger::Ledger`] changes it.

use super::job::Job;
use super::requirement::{EnvKey, RequirementId};
use crate::ids::JobId;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An environment that a submitter is sending to a host: a plain value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installing {
    /// When the job was assigned that brings it.
    pub since: Instant,
    /// The job.
    pub job: JobId,
    /// That job's requirement.
    pub requirement: RequirementId,
}

/// A local job that runs on its host.
#[derive(Clone, Copy, Debug)]
struct LocalJob {
    job: JobId,
    /// Whether it takes all slots of the host.
    full: bool,
}

/// What occupies a host.
#[derive(Debug)]
pub(super) struct Work {
    slots: u32,
    /// Jobs assigned to it as compile server and not ended, in the order of assignment.
    jobs: VecDeque<JobId>,
    /// Number of `jobs` that have begun.
    running: u32,
    /// Number of `jobs` that did not begin in time although a slot was free: they occupy no slot.
    dormant: u32,
    /// Since when every periodic check has found a free slot for one more of its jobs.
    free_since: Option<Instant>,
    /// When a job was last assigned to it or ended on it.
    moved: Instant,
    /// Its local jobs, by the number that the daemon gave them.
    local: BTreeMap<u32, LocalJob>,
    /// Jobs that it submitted, in any state.
    submitted: BTreeSet<JobId>,
    installing: BTreeMap<EnvKey, Installing>,
}

impl Work {
    /// A host without jobs.
    pub fn new(slots: u32, now: Instant) -> Self {
        Self {
            slots,
            jobs: VecDeque::new(),
            running: 0,
            dormant: 0,
            free_since: None,
            moved: now,
            local: BTreeMap::new(),
            submitted: BTreeSet::new(),
            installing: BTreeMap::new(),
        }
    }

    /// Number of jobs that the host runs at a time.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Jobs assigned to it as compile server and not ended, in the order of assignment.
    pub fn jobs(&self) -> &VecDeque<JobId> {
        &self.jobs
    }

    /// Number of its jobs that have begun.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// Number of its jobs that did not begin in time although a slot was free: they occupy no slot.
    pub fn dormant(&self) -> u32 {
        self.dormant
    }

    /// When a job was last assigned to it or ended on it.
    pub fn moved(&self) -> Instant {
        self.moved
    }

    /// Jobs that it submitted, in any state.
    pub fn submitted(&self) -> &BTreeSet<JobId> {
        &self.submitted
    }

    /// Its local jobs.
    pub fn local(&self) -> impl ExactSizeIterator<Item = JobId> {
        self.local.values().map(|local| local.job)
    }

    /// The environments on their way to it.
    pub fn installs(&self) -> impl Iterator<Item = &Installing> {
        self.installing.values()
    }

    /// Whether this environment is on its way to it.
    pub fn is_installing(&self, key: EnvKey) -> bool {
        self.installing.contains_key(&key)
    }

    /// Occupied slots: assigned jobs that have not ended, without dormant ones, and local jobs.
    pub fn busy(&self) -> u32 {
        let jobs = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        jobs.saturating_sub(self.dormant).saturating_add(self.local_slots())
    }

    /// Whether a slot is free for a new job.
    pub fn has_free_slot(&self) -> bool {
        self.busy() < self.slots
    }

    /// Slots that local jobs occupy.
    pub fn local_slots(&self) -> u32 {
        if self.local.values().any(|l| l.full) {
            return self.slots.max(1);
        }
        u32::try_from(self.local.len()).unwrap_or(u32::MAX)
    }

    /// Since when every call has found a free slot for an assigned job to begin; `None` if there is none.
    pub fn free_since(&mut self, now: Instant) -> Option<Instant> {
        let is_free = self.running.saturating_add(self.local_slots()) < self.slots;
        self.free_since = is_free.then(|| self.free_since.unwrap_or(now));
        self.free_since
    }

    /// It submitted a job.
    pub fn ask(&mut self, job: JobId) {
        self.submitted.insert(job);
    }

    /// A job that it submitted has ended.
    pub fn ask_no_more(&mut self, job: JobId) {
        self.submitted.remove(&job);
    }

    /// A job is assigned to it, for which its submitter sends the environment `install` if that is some.
    pub fn assign(&mut self, id: JobId, job: &Job, now: Instant, install: Option<EnvKey>) {
        self.jobs.push_back(id);
        self.moved = now;
        if let Some(key) = install {
            self.installing.insert(key, Installing { since: now, job: id, requirement: job.requirement() });
        }
    }

    /// One of its jobs, which waited until now, begins.
    pub fn begin(&mut self, job: &Job) {
        self.running += 1;
        self.dormant -= u32::from(job.was_dormant());
    }

    /// One of its jobs ends.
    pub fn end(&mut self, id: JobId, job: &Job, now: Instant) {
        self.moved = now;
        // Jobs end roughly in the order of assignment, so the search is short.
        if let Some(at) = self.jobs.iter().position(|other| *other == id) {
            self.jobs.remove(at);
        }
        self.running -= u32::from(job.has_begun());
        self.dormant -= u32::from(job.was_dormant() && !job.has_begun());
    }

    /// `count` more of its jobs did not begin in time.
    pub fn become_dormant(&mut self, count: u32) {
        self.dormant += count;
    }

    /// Forgets the installations for which `is_over` returns true. Returns the requirements of their jobs.
    pub fn end_installs(&mut self, is_over: impl Fn(EnvKey, &Installing) -> bool) -> Vec<RequirementId> {
        let mut over = Vec::new();
        self.installing.retain(|key, install| {
            let ends = is_over(*key, install);
            if ends {
                over.push(install.requirement);
            }
            !ends
        });
        over
    }

    /// A local job begins, which the daemon calls `id`.
    pub fn begin_local(&mut self, id: u32, job: JobId, full: bool) {
        self.local.insert(id, LocalJob { job, full });
    }

    /// A local job has ended; `None` if it is unknown.
    pub fn end_local(&mut self, id: u32) -> Option<JobId> {
        self.local.remove(&id).map(|local| local.job)
    }

    /// The jobs on it and those that it submitted, in order of their ids; some are both.
    pub fn all_jobs(&self) -> Vec<JobId> {
        let mut all: Vec<JobId> = self.submitted.iter().chain(&self.jobs).copied().collect();
        all.sort_unstable();
        all
    }
}
