//! Assignment of jobs to hosts: queueing, assigning, informing the submitter.
//!
//! Invariant: after each input no job is pending that some host could take. So a new job is only compared with the
//! hosts, and a host that became free only with the queue; nothing iterates over hosts × jobs.

use super::host::Host;
use super::job::{Job, State};
use super::jobs::{SubmitterReason, build_it_yourself};
use super::policy::{self, AGEING, Ask, Choice, Why};
use super::queue::{Bucket, Place};
use super::requirement::{EnvKey, Requester, Requirement};
use super::{Note, Scheduler, Timer};
use crate::env::EnvRef;
use crate::extension;
use crate::ids::{HostId, JobId};
use crate::level::Level;
use crate::limits::QUEUED_MAX;
use crate::message::{HostCan, Message, UseCs};
use crate::text::Text;
use std::collections::BTreeSet;

/// Number of buckets that are tried for a free host before it is left free; bounds the work per input.
const BUCKETS_MAX: usize = 64;
/// Maximum number of buckets: all are searched when hosts leave.
const BUCKETS_KNOWN_MAX: usize = 8192;

impl Scheduler {
    /// Assigns a new pending job: to a host at once if possible, to its submitter if no host ever could take it;
    /// otherwise queues it.
    pub(super) fn try_new(&mut self, id: JobId) {
        let Some(bucket) = self.ledger.known_job(id).map(Job::bucket) else { return };
        // If equal jobs wait already, no host can take this one.
        let alike_wait = self.ledger.queue().jobs_in(bucket) > 0;
        if !alike_wait && self.place_or_refuse(id, None) {
            return;
        }
        let queue = self.ledger.queue();
        if queue.len() >= QUEUED_MAX || (!alike_wait && queue.buckets_len() >= BUCKETS_KNOWN_MAX) {
            self.assign_to_submitter(id);
            return;
        }
        if !alike_wait {
            self.note(Level::Debug, || Note::Delaying);
        }
        let timer = self.ledger.enqueue(id, self.now + AGEING);
        self.set_timer(timer, Timer::Age(id));
    }

    /// A queued job has waited for another [`AGEING`]: moves it to the next more urgent level.
    pub(super) fn age(&mut self, id: JobId) {
        let timer = self.ledger.age(id, self.now + AGEING);
        self.set_timer(timer, Timer::Age(id));
    }

    /// Assigns a job to a host, or to its submitter if no host ever could take it. Returns false if it must wait.
    fn place_or_refuse(&mut self, id: JobId, hint: Option<HostId>) -> bool {
        let Some(job) = self.ledger.known_job(id) else { return true };
        let requester = job.requester();
        let weight = self.files.weight(job.file());
        let submitter = self.ledger.host(requester.submitter);
        let first = submitter.is_some_and(|h| h.work().submitted().len() == 1);
        let ask = Ask { requester, weight, first, now: self.now };
        let choice = if self.ledger.queue().is_held(requester.submitter) {
            None
        } else {
            policy::choose(self.ledger.cluster(), &ask, hint)
        };
        if let Some(choice) = choice {
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
        let cluster = self.ledger.cluster();
        cluster.others_of_any_tier_could_ever(requester) || cluster.submitter_could_ever(requester)
    }

    fn assign_to_submitter(&mut self, id: JobId) {
        let Some(host) = self.ledger.known_job(id).map(Job::submitter) else { return };
        self.note(Level::Info, || Note::AssigningSubmitter);
        self.place(id, Choice { host, why: Why::NobodyElse });
    }

    /// Assigns a pending job to a host and informs its submitter.
    fn place(&mut self, id: JobId, choice: Choice) {
        let Some(job) = self.ledger.known_job(id) else { return };
        let (requester, client) = (job.requester(), job.client());
        let (submitter, server) = (self.ledger.host(requester.submitter), self.ledger.host(choice.host));
        let (Some(submitter), Some(server)) = (submitter, server) else {
            // Otherwise it would be tried for ever.
            self.ledger.known_host(requester.submitter);
            return self.lose_job(id, Note::StopQueued { job: id });
        };
        let is_home = choice.host == requester.submitter;
        let run = if is_home { None } else { self.run(requester, server) };
        let installs = run.as_ref().is_some_and(|run| run.installs);
        let key = run.as_ref().map(|run| run.key);
        let message = if is_home && submitter.said().version.has_no_cs() {
            build_it_yourself(submitter.said(), id, client, self.home(requester, choice.why))
        } else {
            let said = server.said();
            Message::UseCs(UseCs {
                job: id,
                port: said.port,
                host: said.address.clone(),
                host_platform: run.map_or_else(|| said.platform.clone(), |run| run.platform),
                env_present: u32::from(!installs),
                client,
                matched_job: matched_job(submitter, server),
            })
        };
        // Before its submitter knows it: the job shall not come first.
        let abilities = extension::abilities_to_tell(submitter.said().features, server.said().features);
        let can = abilities.filter(|_| !is_home).map(|abilities| HostCan { job: id, client, abilities });
        let told = (!is_home && extension::takes_job_given(server.said().features)).then_some(server.said().peer);
        let (peer, server) = (submitter.said().peer, server.said().name.clone());
        let timer = self.ledger.assign(id, choice.host, self.now, key, installs);
        self.cancel_timer(timer, Timer::Age(id));
        if let Some(server) = told {
            self.send(server, Message::JobGiven { job: id });
        }
        if let Some(can) = can {
            self.send(peer, Message::HostCan(can));
        }
        self.send(peer, message);
        self.note(Level::Debug, || Note::Put { job: id, server, install: installs, why: choice.why.word() });
        self.counts.placed += 1;
        self.probe_if_silent(choice.host, is_home);
        self.cut_siblings(id, choice.host);
    }

    /// How a job would run on a server that is not its submitter.
    fn run(&self, requester: Requester, server: &Host) -> Option<Run> {
        let cluster = self.ledger.cluster();
        let present = cluster.present(requester, server);
        let index = present.or_else(|| cluster.environment(requester, server))?;
        let known = cluster.requirements().get(requester.requirement)?;
        let platform = known.requirement().environments.get(index)?.platform.clone();
        Some(Run { key: *known.keys().get(index)?, installs: present.is_none(), platform })
    }

    /// Why a job is assigned to its submitter. A user who prefers that host needs no other.
    fn home(&self, requester: Requester, why: Why) -> SubmitterReason {
        let cluster = self.ledger.cluster();
        let has_others = cluster.others_of_any_tier_could_ever(requester);
        if why == Why::Preferred || has_others { SubmitterReason::Chosen } else { SubmitterReason::Last }
    }

    /// Restricts the other jobs of a request to the platform of the first one's server: all shall use the same
    /// compiler.
    fn cut_siblings(&mut self, first: JobId, server: HostId) {
        let Some(job) = self.ledger.job(first).filter(|job| job.siblings() > 0) else { return };
        let Some(known) = self.ledger.cluster().requirements().get(job.requirement()) else { return };
        let Some(server) = self.ledger.host(server).filter(|_| known.keys().len() > 1) else { return };
        let fits = |env: &&EnvRef| env.platform == server.said().platform;
        let Some(env) = known.requirement().environments.iter().find(fits) else { return };
        let is_alike = |other: &Job| other.state() == State::Pending && other.requester() == job.requester();
        let ids = (1..=u32::from(job.siblings())).map(|n| JobId(first.0.wrapping_add(n)));
        let ids: Vec<JobId> = ids.filter(|id| self.ledger.job(*id).is_some_and(is_alike)).collect();
        if !ids.is_empty() {
            let requirement = Requirement { environments: vec![env.clone()], ..known.requirement().clone() };
            self.ledger.narrow(&ids, requirement);
        }
    }

    /// Offers every host that became free to the queue, until it is full or no waiting job can use it.
    pub(super) fn hand_out(&mut self) {
        if self.ledger.take_shrunk() {
            self.refuse_hopeless();
            // If hosts of tier 0 have left, those of tier 1 may be used, which were passed over before.
            self.ledger.free_second_choice();
        }
        while let Some(id) = self.ledger.next_freed() {
            let mut tried = BTreeSet::new();
            while tried.len() < BUCKETS_MAX {
                let Some(host) = self.ledger.host(id) else { break };
                let Some(place) = self.next_for(host, &tried) else { break };
                if !self.place_or_refuse(place.job, Some(id)) {
                    tried.insert(place.bucket);
                }
            }
        }
        for what in self.ledger.take_faults() {
            self.note(Level::Warning, || Note::RecordsDisagree { what });
        }
    }

    /// The first job in queue order that this host could take.
    fn next_for(&self, host: &Host, tried: &BTreeSet<Bucket>) -> Option<Place> {
        let fresh = |place: &Place| !tried.contains(&place.bucket);
        let (cluster, queue) = (self.ledger.cluster(), self.ledger.queue());
        let own =
            |place: &Place| host.work().has_free_slot() && cluster.own_environment(place.bucket.requester()).is_some();
        let mut best = queue.own_places(host.id()).filter(fresh).filter(own).min();
        if host.standing().rank().is_none() {
            return best;
        }
        for first in queue.firsts() {
            if best.is_some_and(|best| best < first) {
                break;
            }
            let takes = |place: &Place| {
                let requester = place.bucket.requester();
                host.id() != requester.submitter
                    && cluster.wants(requester, host)
                    && policy::can_start(cluster, requester, host)
            };
            let found = queue.places(first.bucket.requirement).take(BUCKETS_MAX).filter(fresh).find(takes);
            best = [best, found].into_iter().flatten().min();
        }
        best
    }

    /// Assigns jobs that no host can ever take any more to their submitters. Called when hosts have left.
    fn refuse_hopeless(&mut self) {
        let hopeless = |bucket: &Bucket| !self.could_ever(bucket.requester());
        let buckets: Vec<Bucket> = self.ledger.queue().buckets().filter(hopeless).collect();
        for bucket in buckets {
            let jobs: Vec<JobId> = self.ledger.queue().jobs(bucket).collect();
            for job in jobs {
                self.place_or_refuse(job, None);
            }
        }
    }
}

/// How a job runs on a server.
struct Run {
    /// The environment.
    key: EnvKey,
    /// Whether the submitter must send that first.
    installs: bool,
    /// The platform under which it names the environment.
    platform: Text,
}

/// An earlier job of this submitter on this server, for USE_CS; 0 if there is none. 1.4 searches the oldest 17 of both.
fn matched_job(submitter: &Host, server: &Host) -> JobId {
    let mut ours = submitter.history().iter().take(17).copied();
    ours.find(|job| server.shown().oldest().any(|other| other == *job)).unwrap_or(JobId(0))
}
