//! The scheduler's books: jobs, queue, hosts with what occupies them, and how many jobs have each requirement.
//!
//! Whatever happens to a job concerns several of these records. The verbs of [`Ledger`] keep them in agreement, and
//! nothing else can change them: all others get shared references. Hosts that became free are remembered here until
//! [`Ledger::next_freed`] takes them, so that no caller can lose one. `check.rs` recomputes all that is counted here.

mod late;

use super::bans::Bans;
use super::cluster::Cluster;
use super::host::Host;
use super::job::Job;
use super::policy;
use super::probing::Probing;
use super::punctuality::Punctuality;
use super::queue::Queue;
use super::requirement::{EnvKey, Requirement, RequirementId};
use super::speed::{Files, adjusted_size};
use super::trust::Trust;
use super::work::{Installing, Work};
use crate::env::EnvRef;
use crate::ids::{HostId, JobId};
use crate::limits::{JOBS_MAX, JOBS_PER_HOST_MAX, LOCAL_JOBS_MAX};
use crate::message::{JobDone, JobLocalBegin, Stats};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(super) use late::{Late, Patience};

/// The books.
#[derive(Debug)]
pub(super) struct Ledger {
    jobs: BTreeMap<JobId, Job>,
    queue: Queue,
    cluster: Cluster,
    punctuality: Punctuality,
    /// Jobs whose submitter or server has left and that have not been ended yet.
    orphans: VecDeque<JobId>,
    /// Hosts that may now take a job they could not take before.
    freed: BTreeSet<HostId>,
    /// Fewer hosts take jobs than before: queued jobs may have lost the last host that could run them.
    shrunk: bool,
    last_number: u32,
    /// Records that were missing although others name them.
    faults: Vec<String>,
}

/// Lookups.
impl Ledger {
    /// Books without jobs and hosts. `seed` orders equal hosts.
    pub fn new(seed: u64) -> Self {
        Self {
            jobs: BTreeMap::new(),
            queue: Queue::default(),
            cluster: Cluster::new(seed),
            punctuality: Punctuality::default(),
            orphans: VecDeque::new(),
            freed: BTreeSet::new(),
            shrunk: false,
            last_number: 0,
            faults: Vec::new(),
        }
    }

    /// All hosts.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The pending jobs.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// All jobs by id.
    pub fn jobs(&self) -> &BTreeMap<JobId, Job> {
        &self.jobs
    }

    /// A host that may have left.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.cluster.host(id)
    }

    /// A job that may have ended.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// A host that must be there: if it is not, that is a fault.
    pub fn known_host(&mut self, id: HostId) -> Option<&Host> {
        self.host_mut(id).map(|host| &*host)
    }

    /// A job that must be there: if it is not, that is a fault.
    pub fn known_job(&mut self, id: JobId) -> Option<&Job> {
        self.job_mut(id).map(|job| &*job)
    }

    /// The faults since the last call: the caller logs them and carries on.
    pub fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    /// Whether a job's submitter or server has left.
    pub fn is_orphan(&self, job: &Job) -> bool {
        let gone = |host: HostId| self.host(host).is_none();
        gone(job.submitter()) || job.server().is_some_and(gone)
    }

    /// Whether a job waits to be ended because its submitter or server has left.
    pub fn ends_soon(&self, id: JobId) -> bool {
        self.orphans.contains(&id)
    }

    /// Whether a limit on jobs or requirements forbids `count` more jobs of this submitter.
    pub fn refuses(&self, submitter: &Host, count: usize, requirement: &Requirement) -> bool {
        submitter.work().submitted().len() + count > JOBS_PER_HOST_MAX
            || self.jobs.len() + count > JOBS_MAX
            || self.cluster.requirements().refuses(requirement)
    }

    /// The highest number given to a job or local job so far.
    pub fn last_number(&self) -> u32 {
        self.last_number
    }

    /// The next number for a job or local job. 0 is never used: it means "none" on the wire.
    pub fn next_number(&mut self) -> JobId {
        loop {
            self.last_number = self.last_number.checked_add(1).unwrap_or(1);
            let id = JobId(self.last_number);
            // Numbers wrap after 2^32 jobs; those of jobs that still exist are skipped.
            if !self.jobs.contains_key(&id) {
                return id;
            }
        }
    }

    fn job_mut(&mut self, id: JobId) -> Option<&mut Job> {
        found(&mut self.faults, self.jobs.get_mut(&id), "job", id.0)
    }

    fn host_mut(&mut self, id: HostId) -> Option<&mut Host> {
        found(&mut self.faults, self.cluster.host_mut(id), "host", id.0)
    }

    fn work(&mut self, id: HostId) -> Option<&mut Work> {
        self.host_mut(id).map(Host::work_mut)
    }
}

/// Hosts.
impl Ledger {
    /// A host logs in. Returns the number of its environments that exceed the quota and are ignored.
    pub fn log_in(&mut self, host: Host, environments: Vec<EnvRef>) -> usize {
        let id = host.id();
        self.queue.hold(id, self.punctuality.is_held(&host.said().address));
        let left_out = self.cluster.insert(host, environments);
        self.free(id);
        left_out
    }

    /// A host announced its environments again. Returns the number that exceed the quota and are ignored.
    pub fn set_environments(&mut self, id: HostId, environments: Vec<EnvRef>) -> usize {
        let left_out = self.cluster.set_environments(id, environments);
        // 1.4 ends all installations at any LOGIN. But a LOGIN may only report that another environment was removed, so
        // only those end that it names.
        let has: BTreeSet<EnvKey> = self.host(id).into_iter().flat_map(|h| h.standing().keys()).copied().collect();
        self.end_installs(id, |key, _| has.contains(&key));
        self.free(id);
        left_out
    }

    /// Notes what a host said in STATS; with another load it may be free.
    pub fn set_stats(&mut self, id: HostId, stats: Stats) {
        if let Some(host) = self.host_mut(id) {
            host.set_stats(stats);
            self.free(id);
        }
    }

    /// Notes how many clients a host has.
    pub fn count_clients(&mut self, id: HostId, count: u32) {
        if let Some(host) = self.host_mut(id) {
            host.count_clients(count);
        }
    }

    /// Changes a host's signs of life; its rank follows.
    pub fn probing<R>(&mut self, id: HostId, change: impl FnOnce(&mut Probing) -> R) -> Option<R> {
        let probing = self.host_mut(id)?.probing_mut();
        let before = probing.takes_jobs();
        let result = change(probing);
        if probing.takes_jobs() != before {
            self.rerank(id);
        }
        Some(result)
    }

    /// Changes what is thought of a host by the ends of its jobs; its rank follows.
    pub fn trust<R>(&mut self, id: HostId, change: impl FnOnce(&mut Trust) -> R) -> Option<R> {
        let trust = self.host_mut(id)?.trust_mut();
        let before = *trust;
        let result = change(trust);
        if *trust != before {
            self.rerank(id);
        }
        Some(result)
    }

    /// The bans of a submitter, for changes.
    pub fn bans(&mut self, submitter: HostId) -> Option<&mut Bans> {
        self.host_mut(submitter).map(Host::bans_mut)
    }

    /// Notes what the end of a job shows of its server's speed and of its file.
    pub fn learn(&mut self, id: JobId, done: &JobDone, files: &mut Files) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(server) = job.server().and_then(|id| self.cluster.host_mut(id)) else { return };
        let is_shown = server.shown_mut().learn(id, done.exit_code, &done.stats, job.arg_flags());
        let (server, mut pace) = (server.id(), server.pace());
        if done.exit_code == 0 {
            let stats = &done.stats;
            let wall_ms = stats.real_ms.max(stats.user_ms.saturating_add(stats.sys_ms));
            files.learn(job.file(), adjusted_size(stats.out_uncompressed, job.arg_flags()), wall_ms, &mut pace);
            self.cluster.set_pace(server, pace);
            self.cluster.set_mean_weight(files.mean());
        }
        if let Some(submitter) = self.cluster.host_mut(job.submitter()).filter(|_| is_shown) {
            submitter.remember(id);
        }
    }

    /// A host turned out not to have an environment.
    pub fn lacks(&mut self, id: HostId, key: EnvKey) {
        self.cluster.lacks(id, key);
    }

    /// A host leaves. Its queued jobs leave the queue, and all jobs that concern it are orphans from now on.
    pub fn forget_host(&mut self, id: HostId) -> Option<Host> {
        self.end_installs(id, |_, _| true);
        let host = self.cluster.remove(id)?;
        self.freed.remove(&id);
        self.shrunk = true;
        let mut queued: Vec<JobId> = self.queue.remove_submitter(id).into_iter().flatten().collect();
        queued.sort_unstable();
        // The queued jobs come first. They occur again among all jobs, where they are skipped because they have ended
        // by then.
        self.orphans.extend(queued.into_iter().chain(host.work().all_jobs()));
        Some(host)
    }

    /// The next job that is to be ended because its submitter or server has left.
    pub fn next_orphan(&mut self) -> Option<(JobId, &Job)> {
        while !self.jobs.contains_key(self.orphans.front()?) {
            self.orphans.pop_front();
        }
        let id = self.orphans.pop_front()?;
        Some((id, self.jobs.get(&id)?))
    }

    /// Marks the environments for which `is_over` returns true as no longer on their way to a host.
    pub fn end_installs(&mut self, id: HostId, is_over: impl Fn(EnvKey, &Installing) -> bool) {
        let over = self.work(id).map(|work| work.end_installs(is_over)).unwrap_or_default();
        for requirement in over {
            self.cluster.requirements_mut().end_install(requirement);
        }
    }

    /// Marks the environments that jobs of this submitter bring as no longer on their way to a host.
    pub fn end_installs_of(&mut self, id: HostId, submitter: HostId) {
        let is_theirs = |job: &JobId| self.job(*job).is_some_and(|job| job.submitter() == submitter);
        let installs = self.host(id).into_iter().flat_map(|host| host.work().installs());
        let theirs: Vec<JobId> = installs.map(|install| install.job).filter(is_theirs).collect();
        self.end_installs(id, |_, install| theirs.contains(&install.job));
    }

    /// A local job begins on a host. Returns its number, unless the host has too many.
    pub fn begin_local(&mut self, id: HostId, begin: &JobLocalBegin) -> Option<JobId> {
        self.known_host(id).filter(|host| host.work().local().len() < LOCAL_JOBS_MAX)?;
        let job = self.next_number();
        self.work(id)?.begin_local(begin.id, job, begin.full != 0);
        self.rerank(id);
        Some(job)
    }

    /// A local job has ended on a host, which is free for another job. Returns its number; `None` if it is unknown.
    pub fn end_local(&mut self, id: HostId, local: u32) -> Option<JobId> {
        let job = self.work(id)?.end_local(local);
        self.free(id);
        job
    }

    /// Notes that a host may be able to take a job it could not take before, and updates its rank.
    pub fn free(&mut self, id: HostId) {
        self.rerank(id);
        self.freed.insert(id);
    }

    /// Updates a host's place among all after a change.
    fn rerank(&mut self, id: HostId) {
        let Some(host) = self.cluster.host(id) else { return };
        let tier = policy::tier(host);
        let rank = tier.and_then(|tier| policy::rank(&self.cluster, host, tier));
        self.cluster.set_rank(id, tier, rank);
    }

    /// Notes that all hosts of tier 1 may be used, which were passed over while there were others.
    pub fn free_second_choice(&mut self) {
        self.freed.extend(self.cluster.second_choice());
    }

    /// The next host that may take a job it could not take before.
    pub fn next_freed(&mut self) -> Option<HostId> {
        self.freed.pop_first()
    }

    /// Notes that fewer hosts take jobs than before: queued jobs may have lost the last host that could run them.
    pub fn shrink(&mut self) {
        self.shrunk = true;
    }

    /// Whether fewer hosts take jobs than at the last call.
    pub fn take_shrunk(&mut self) -> bool {
        std::mem::take(&mut self.shrunk)
    }

    /// Whether no host became free, or was lost, that has not been considered yet.
    pub fn is_settled(&self) -> bool {
        self.freed.is_empty() && !self.shrunk
    }
}

/// A job's way. Verbs that take a job out of the queue return when it would have become more urgent, if it would: that
/// timer is to be cancelled.
impl Ledger {
    /// The id of a requirement; a new requirement is registered.
    pub fn requirement(&mut self, requirement: Requirement) -> RequirementId {
        self.cluster.requirement(requirement)
    }

    /// Enters a pending job.
    pub fn ask(&mut self, job: Job) -> JobId {
        let id = self.next_number();
        self.cluster.requirements_mut().add_job(job.requirement());
        if let Some(work) = self.work(job.submitter()) {
            work.ask(id);
        }
        self.jobs.insert(id, job);
        id
    }

    /// Puts a pending job into the queue, where it becomes more urgent at `at`. Returns that time, unless it is most
    /// urgent already.
    pub fn enqueue(&mut self, id: JobId, at: Instant) -> Option<Instant> {
        let job = self.job_mut(id)?;
        let (age_at, bucket) = (job.enqueue(at), job.bucket());
        self.queue.push(bucket, id);
        age_at
    }

    /// Moves a queued job to the next more urgent level; it becomes more urgent again at `at`. Returns as
    /// [`Self::enqueue`].
    pub fn age(&mut self, id: JobId, at: Instant) -> Option<Instant> {
        let bucket = self.job_mut(id)?.bucket();
        if !self.queue.remove(bucket, id) {
            return None; // its submitter has left
        }
        self.job_mut(id)?.age();
        self.enqueue(id, at)
    }

    fn dequeue(&mut self, id: JobId) -> Option<Instant> {
        let job = self.job_mut(id)?;
        let (age_at, bucket) = (job.dequeue(), job.bucket());
        self.queue.remove(bucket, id);
        age_at
    }

    /// Assigns a pending job to a server, with the environment in which it runs there. `installs` says that its
    /// submitter must send that first.
    pub fn assign(
        &mut self,
        id: JobId,
        server: HostId,
        now: Instant,
        environment: Option<EnvKey>,
        installs: bool,
    ) -> Option<Instant> {
        let timer = self.dequeue(id);
        let job = self.jobs.get_mut(&id)?;
        self.queue.rotate(job.submitter(), job.level());
        job.assign(server, now, environment);
        let install = environment.filter(|_| installs);
        if install.is_some() {
            self.cluster.requirements_mut().begin_install(job.requirement());
        }
        let host = found(&mut self.faults, self.cluster.host_mut(server), "host", server.0)?;
        host.work_mut().assign(id, job, now, install);
        self.rerank(server);
        timer
    }

    /// Notes that a job begins on its server.
    pub fn begin(&mut self, id: JobId, server: HostId, start_time: u32) {
        let Some(job) = found(&mut self.faults, self.jobs.get_mut(&id), "job", id.0) else { return };
        let Some(host) = found(&mut self.faults, self.cluster.host_mut(server), "host", server.0) else { return };
        let had_begun = job.has_begun();
        if !had_begun {
            host.work_mut().begin(job);
        }
        job.begin(server, start_time);
        let submitter = job.submitter();
        if job.was_dormant() {
            self.rerank(server);
        }
        if !had_begun {
            self.note_begin(submitter);
        }
    }

    /// Binds pending jobs to a narrower requirement, unless that is refused.
    pub fn narrow(&mut self, jobs: &[JobId], requirement: Requirement) {
        if self.cluster.requirements().refuses(&requirement) {
            return;
        }
        let new = self.cluster.requirement(requirement);
        for id in jobs {
            let Some(job) = self.job_mut(*id) else { continue };
            let old = job.bucket();
            job.narrow(new);
            let bucket = job.bucket();
            if self.queue.remove(old, *id) {
                self.queue.push(bucket, *id);
            }
            self.cluster.requirements_mut().end_job(old.requirement);
            self.cluster.requirements_mut().add_job(new);
        }
    }

    /// Removes a job. Its server is free for another one.
    pub fn end(&mut self, id: JobId, now: Instant) -> Option<Instant> {
        let timer = self.dequeue(id);
        let job = self.jobs.remove(&id)?;
        self.cluster.requirements_mut().end_job(job.requirement());
        // Submitter and server may have left.
        if let Some(host) = self.cluster.host_mut(job.submitter()) {
            host.work_mut().ask_no_more(id);
        }
        let Some(server) = job.server() else { return timer };
        if let Some(host) = self.cluster.host_mut(server) {
            host.work_mut().end(id, &job, now);
            self.end_installs(server, |_, install| install.job == id);
            self.free(server);
        }
        timer
    }
}

/// The record that must be there. If it is not, that is a fault.
fn found<T>(faults: &mut Vec<String>, record: Option<T>, what: &str, id: u32) -> Option<T> {
    if record.is_none() {
        faults.push(format!("{what} {id} is missing"));
    }
    record
}

/// For tests that break the books.
#[cfg(test)]
impl Ledger {
    /// The parts.
    pub fn parts(&mut self) -> (&mut BTreeMap<JobId, Job>, &mut Queue, &mut Cluster, &mut VecDeque<JobId>) {
        (&mut self.jobs, &mut self.queue, &mut self.cluster, &mut self.orphans)
    }

    /// Sets the highest number given so far.
    pub fn set_last_number(&mut self, last: u32) {
        self.last_number = last;
    }
}
