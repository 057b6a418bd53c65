//! Assignment of jobs to hosts: queueing, assigning, informing the submitter.
//!
//! Invariant: after each input no job is pending that some host could take. So a new job is only compared with the
//! hosts, and a host that became free only with the queue; nothing iterates over hosts × jobs.

use super::host::{Host, Installing};
use super::jobs::{Job, State, SubmitterReason, build_it_yourself};
use super::policy::{self, Ask, Choice, Why};
use super::queue::{Bucket, Place};
use super::requirement::{Requester, Requirement};
use super::{Note, Scheduler, Timer};
use crate::ids::{HostId, JobId};
use crate::level::Level;
use crate::limits::QUEUED_MAX;
use crate::message::{Message, UseCs};
use crate::text::Text;
use crate::time::Duration;
use std::collections::BTreeSet;

/// Waiting time after which a queued job becomes one level more urgent.
const AGEING: Duration = Duration::from_secs(60);
/// Number of buckets that are tried for a free host before it is left free; bounds the work per input.
const BUCKETS_MAX: usize = 64;
/// Maximum number of buckets: all are searched when hosts leave.
const BUCKETS_KNOWN_MAX: usize = 8192;

impl Scheduler {
    /// Assigns a new pending job: to a host at once if possible, to its submitter if no host ever could take it;
    /// otherwise queues it.
    pub(super) fn try_new(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let bucket = job.bucket();
        // If equal jobs wait already, no host can take this one.
        let alike_wait = self.queue.jobs_in(bucket) > 0;
        if !alike_wait && self.place_or_refuse(id, None) {
            return;
        }
        if self.queue.len() >= QUEUED_MAX || (!alike_wait && self.queue.buckets_len() >= BUCKETS_KNOWN_MAX) {
            self.assign_to_submitter(id);
            return;
        }
        if !alike_wait {
            self.note(Level::Debug, || Note::Delaying);
        }
        self.enqueue(id);
    }

    fn enqueue(&mut self, id: JobId) {
        let age_at = self.now + AGEING;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.level > 0 {
            job.age_at = Some(age_at);
            self.timers.insert((age_at, Timer::Age(id)));
        }
        let bucket = job.bucket();
        self.queue.push(bucket, id);
    }

    /// A queued job has waited for another [`AGEING`]: moves it to the next more urgent level.
    pub(super) fn age(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let bucket = job.bucket();
        if !self.dequeue(id) {
            return; // its submitter has left
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.level = bucket.level.saturating_sub(1);
        }
        self.enqueue(id);
    }

    /// Removes a job from the queue. Returns whether it was there.
    pub(super) fn dequeue(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if let Some(at) = job.age_at.take() {
            self.timers.remove(&(at, Timer::Age(id)));
        }
        let bucket = job.bucket();
        self.queue.remove(bucket, id)
    }

    /// Assigns a job to a host, or to its submitter if no host ever could take it. Returns false if it must wait.
    fn place_or_refuse(&mut self, id: JobId, hint: Option<HostId>) -> bool {
        let Some(job) = self.jobs.get(&id) else { return true };
        let requester = job.requester();
        let first = self.cluster.host(requester.submitter).is_some_and(|h| h.submitted.len() == 1);
        let ask = Ask { requester, weight: self.files.weight(&job.file), first, now: self.now };
        if let Some(choice) = policy::choose(&self.cluster, &ask, hint) {
            self.place(id, choice);
            return true;
        }
        if self.could_ever(requester) {
            return false;
        }
        self.assign_to_submitter(id);
        true
    }

    fn could_ever(&self, requester: Requester) -> bool {
        self.cluster.others_could_ever(requester, 0)
            || self.cluster.others_could_ever(requester, 1)
            || self.cluster.submitter_could_ever(requester)
    }

    fn assign_to_submitter(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let host = job.submitter;
        self.note(Level::Info, || Note::AssigningSubmitter);
        self.place(id, Choice { host, why: Why::NobodyElse });
    }

    /// Assigns a pending job to a host and informs its submitter.
    fn place(&mut self, id: JobId, choice: Choice) {
        self.dequeue(id);
        let Some(job) = self.jobs.get(&id) else { return };
        let (requester, level, client, siblings) = (job.requester(), job.level, job.client, job.siblings);
        self.queue.rotate(requester.submitter, level);
        let Some(submitter) = self.cluster.host(requester.submitter) else { return };
        let Some(server) = self.cluster.host(choice.host) else { return };
        let home = choice.host == requester.submitter;
        let present = if home { None } else { self.cluster.present(requester, server) };
        let chosen = present.or_else(|| self.cluster.environment(requester, server));
        let known = self.cluster.requirements.get(requester.requirement);
        let env = chosen.and_then(|i| known?.requirement.environments.get(i));
        let key = chosen.and_then(|i| known?.keys.get(i).copied());
        let install = key.filter(|_| !home && present.is_none());
        let platform = match env {
            Some(env) if !home => env.platform.clone(),
            _ => server.platform.clone(),
        };
        let (port, address, server_name) = (server.port, server.address.clone(), server.name.clone());
        let server_platform = server.platform.clone();
        let matched = matched_job(submitter, server);
        let peer = submitter.peer;
        let message = if home && submitter.version.has_no_cs() {
            build_it_yourself(submitter, id, client, self.home(requester, choice.why))
        } else {
            Message::UseCs(UseCs {
                job: id,
                port,
                host: address,
                host_platform: platform,
                env_present: u32::from(install.is_none()),
                client,
                matched_job: matched,
            })
        };
        self.send(peer, message);
        self.note(Level::Debug, || Note::Put {
            job: id,
            server: server_name,
            install: install.is_some(),
            why: choice.why.word(),
        });
        self.counts.placed += 1;
        let since = self.now;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.state = State::Waiting { server: choice.host, since };
            job.environment = key.filter(|_| !home);
        }
        if let Some(known) = self.cluster.requirements.get_mut(requester.requirement) {
            known.waiting -= 1;
            known.installing += usize::from(install.is_some());
        }
        if let Some(host) = self.cluster.host_mut(choice.host) {
            host.jobs.push_back(id);
            host.moved = since;
            if let Some(key) = install {
                host.installing.insert(key, Installing { since, job: id, requirement: requester.requirement });
            }
        }
        self.cluster.rerank(choice.host);
        self.probe_if_silent(choice.host, home);
        self.cut_siblings(id, siblings, &server_platform);
    }

    /// Why a job is assigned to its submitter. A user who prefers that host needs no other.
    fn home(&self, requester: Requester, why: Why) -> SubmitterReason {
        let has_others = self.cluster.others_could_ever(requester, 0) || self.cluster.others_could_ever(requester, 1);
        if why == Why::Preferred || has_others { SubmitterReason::Chosen } else { SubmitterReason::Last }
    }

    /// Restricts the other jobs of a request to the platform of the first one's server: all shall use the same
    /// compiler.
    fn cut_siblings(&mut self, first: JobId, siblings: u8, platform: &Text) {
        let Some(job) = self.jobs.get(&first) else { return };
        let Some(known) = self.cluster.requirements.get(job.requirement) else { return };
        if known.requirement.environments.len() == 1 {
            return;
        }
        let Some(env) = known.requirement.environments.iter().find(|e| e.platform == *platform).cloned() else {
            return;
        };
        let sibling =
            |j: &Job| j.state == State::Pending && j.submitter == job.submitter && j.requirement == job.requirement;
        let ids = (1..=u32::from(siblings)).map(|n| JobId(first.0.wrapping_add(n)));
        let ids: Vec<JobId> = ids.filter(|id| self.jobs.get(id).is_some_and(sibling)).collect();
        if ids.is_empty() {
            return;
        }
        let requirement = Requirement { environments: vec![env], ..Requirement::clone(&known.requirement) };
        if self.cluster.requirements.refuses(&requirement) {
            return;
        }
        let new = self.cluster.requirement(requirement);
        for id in ids {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let bucket = job.bucket();
            job.requirement = new;
            let new_bucket = job.bucket();
            if self.queue.remove(bucket, id) {
                self.queue.push(new_bucket, id);
            }
            if let Some(known) = self.cluster.requirements.get_mut(bucket.requirement) {
                known.jobs -= 1;
                known.waiting -= 1;
            }
            if let Some(known) = self.cluster.requirements.get_mut(new) {
                known.jobs += 1;
                known.waiting += 1;
            }
        }
    }

    /// Offers every host that became free to the queue, until it is full or no waiting job can use it.
    pub(super) fn hand_out(&mut self) {
        if self.shrunk {
            self.shrunk = false;
            self.refuse_hopeless();
            // If hosts of tier 0 have left, those of tier 1 may be used, which were passed over before.
            self.freed.extend(self.cluster.second_choice());
        }
        while let Some(id) = self.freed.pop_first() {
            let mut tried = BTreeSet::new();
            while tried.len() < BUCKETS_MAX {
                let Some(host) = self.cluster.host(id) else { break };
                let Some(place) = self.next_for(host, &tried) else { break };
                if !self.place_or_refuse(place.job, Some(id)) {
                    tried.insert(place.bucket);
                }
            }
        }
    }

    /// The first job in queue order that this host could take.
    fn next_for(&self, host: &Host, tried: &BTreeSet<Bucket>) -> Option<Place> {
        let fresh = |place: &Place| !tried.contains(&place.bucket);
        let own = |place: &Place| {
            let requester = Requester { requirement: place.bucket.requirement, submitter: host.id };
            host.own_free() && self.cluster.own_environment(requester).is_some()
        };
        let mut best = self.queue.own_places(host.id).filter(fresh).filter(own).min();
        if host.rank.is_none() {
            return best;
        }
        for first in self.queue.firsts() {
            if best.is_some_and(|best| best < first) {
                break;
            }
            let takes = |place: &Place| {
                let requester = Requester { requirement: place.bucket.requirement, submitter: place.bucket.submitter };
                host.id != requester.submitter
                    && self.wants(requester, host)
                    && policy::can_start(&self.cluster, requester, host)
            };
            let found = self.queue.places(first.bucket.requirement).take(BUCKETS_MAX).filter(fresh).find(takes);
            best = [best, found].into_iter().flatten().min();
        }
        best
    }

    /// Whether the requirement prefers no host or this one.
    fn wants(&self, requester: Requester, host: &Host) -> bool {
        let preferred = self.cluster.requirements.get(requester.requirement).map(|k| &k.requirement.preferred);
        preferred.is_some_and(|p| p.is_empty() || *p == host.name || *p == host.address)
    }

    /// Assigns jobs that no host can ever take any more to their submitters. Called when hosts have left.
    fn refuse_hopeless(&mut self) {
        let hopeless = |bucket: &Bucket| {
            !self.could_ever(Requester { requirement: bucket.requirement, submitter: bucket.submitter })
        };
        let buckets: Vec<Bucket> = self.queue.buckets().filter(hopeless).collect();
        for bucket in buckets {
            let jobs: Vec<JobId> = self.queue.jobs(bucket).collect();
            for job in jobs {
                self.place_or_refuse(job, None);
            }
        }
    }
}

/// An earlier job of this submitter on this server, for USE_CS; 0 if there is none. 1.4 searches the oldest 17 of both.
fn matched_job(submitter: &Host, server: &Host) -> JobId {
    let mut ours = submitter.history.iter().take(17).copied();
    ours.find(|job| server.shown.oldest().any(|other| other == *job)).unwrap_or(JobId(0))
}
