//! Which job goes where when: queueing, handing out, telling the submitter.
//!
//! Invariant: after each input no job is pending that some host could take. So a new job is only compared with the hosts, and
//! a host that became free only with the queue; nothing walks over hosts × jobs.

use super::host::{Host, Installing};
use super::jobs::{Home, Job, State, home_message};
use super::need::{Asker, Need};
use super::policy::{self, Ask, Choice, Why};
use super::queue::{Lane, Place};
use super::{Note, Scheduler, Timer};
use crate::ids::{HostId, JobId};
use crate::level::Level;
use crate::limits::QUEUED_MAX;
use crate::message::{Message, UseCs};
use crate::text::Text;
use crate::time::Duration;
use std::collections::BTreeSet;

/// One step of ageing.
const AGEING: Duration = Duration::from_secs(60);
/// So many lanes that cannot use a free host are passed over before it is left alone.
const LANES_MAX: usize = 64;
/// Lanes there may be: all are looked at when hosts become fewer.
const LANES_KNOWN_MAX: usize = 8192;

impl Scheduler {
    /// A pending job that is not in the queue yet: placed at once if possible, refused if nobody ever could, else queued.
    pub(super) fn try_new(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let lane = job.lane();
        // Jobs like this one wait already: nobody can take it.
        let alike_wait = self.queue.jobs_in(lane) > 0;
        if !alike_wait && self.place_or_refuse(id, None) {
            return;
        }
        if self.queue.len() >= QUEUED_MAX || (!alike_wait && self.queue.lanes_len() >= LANES_KNOWN_MAX) {
            self.send_home(id);
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
        let lane = job.lane();
        self.queue.push(lane, id);
    }

    /// A job has waited another minute.
    pub(super) fn age(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let lane = job.lane();
        if !self.dequeue(id) {
            return; // its submitter has left
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.level = lane.level.saturating_sub(1);
        }
        self.enqueue(id);
    }

    /// Takes a job out of the queue, if it is there.
    pub(super) fn dequeue(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if let Some(at) = job.age_at.take() {
            self.timers.remove(&(at, Timer::Age(id)));
        }
        let lane = job.lane();
        self.queue.remove(lane, id)
    }

    /// Places a job, or sends it home if nobody could ever do it; false if it must wait.
    fn place_or_refuse(&mut self, id: JobId, hint: Option<HostId>) -> bool {
        let Some(job) = self.jobs.get(&id) else { return true };
        let asker = job.asker();
        let first = self.cluster.host(asker.submitter).is_some_and(|h| h.asked.len() == 1);
        let ask = Ask { asker, weight: self.files.weight(&job.file), first, now: self.now };
        if let Some(choice) = policy::choose(&self.cluster, &ask, hint) {
            self.place(id, choice);
            return true;
        }
        if self.could_ever(asker) {
            return false;
        }
        self.send_home(id);
        true
    }

    fn could_ever(&self, asker: Asker) -> bool {
        self.cluster.ever(asker, 0) || self.cluster.ever(asker, 1) || self.cluster.ever_itself(asker)
    }

    fn send_home(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let host = job.submitter;
        self.note(Level::Info, || Note::AssigningSubmitter);
        self.place(id, Choice { host, why: Why::NobodyElse });
    }

    /// Gives a pending job to a host and tells its submitter.
    fn place(&mut self, id: JobId, choice: Choice) {
        self.dequeue(id);
        let Some(job) = self.jobs.get(&id) else { return };
        let (asker, level, client, siblings) = (job.asker(), job.level, job.client, job.siblings);
        self.queue.rotate(asker.submitter, level);
        let Some(submitter) = self.cluster.host(asker.submitter) else { return };
        let Some(server) = self.cluster.host(choice.host) else { return };
        let home = choice.host == asker.submitter;
        let present = if home { None } else { self.cluster.present(asker, server) };
        let chosen = present.or_else(|| self.cluster.environment(asker, server));
        let known = self.cluster.needs.known(asker.need);
        let env = chosen.and_then(|i| known?.need.environments.get(i));
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
            home_message(submitter, id, client, self.home(asker, choice.why))
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
        if let Some(known) = self.cluster.needs.known_mut(asker.need) {
            known.waiting -= 1;
            known.installing += usize::from(install.is_some());
        }
        if let Some(host) = self.cluster.host_mut(choice.host) {
            host.jobs.push_back(id);
            host.moved = since;
            if let Some(key) = install {
                host.installing.insert(key, Installing { since, job: id, need: asker.need });
            }
        }
        self.cluster.rerank(choice.host);
        self.verify_life(choice.host, home);
        self.cut_siblings(id, siblings, &server_platform);
    }

    /// Why a job goes to its submitter: a user who prefers that host needs no other.
    fn home(&self, asker: Asker, why: Why) -> Home {
        let has_others = self.cluster.ever(asker, 0) || self.cluster.ever(asker, 1);
        if why == Why::Preferred || has_others { Home::Chosen } else { Home::Last }
    }

    /// All jobs of a request shall run the same compiler: once the first has a server, the others are bound to its platform.
    fn cut_siblings(&mut self, first: JobId, siblings: u8, platform: &Text) {
        let Some(job) = self.jobs.get(&first) else { return };
        let Some(known) = self.cluster.needs.known(job.need) else { return };
        if known.need.environments.len() == 1 {
            return;
        }
        let Some(env) = known.need.environments.iter().find(|e| e.platform == *platform).cloned() else { return };
        let sibling = |j: &Job| j.state == State::Pending && j.submitter == job.submitter && j.need == job.need;
        let ids = (1..=u32::from(siblings)).map(|n| JobId(first.0.wrapping_add(n)));
        let ids: Vec<JobId> = ids.filter(|id| self.jobs.get(id).is_some_and(sibling)).collect();
        if ids.is_empty() {
            return;
        }
        let need = Need { environments: vec![env], ..Need::clone(&known.need) };
        if self.cluster.needs.refuses(&need) {
            return;
        }
        let new = self.cluster.need(need);
        for id in ids {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let lane = job.lane();
            job.need = new;
            let new_lane = job.lane();
            if self.queue.remove(lane, id) {
                self.queue.push(new_lane, id);
            }
            if let Some(known) = self.cluster.needs.known_mut(lane.need) {
                known.jobs -= 1;
                known.waiting -= 1;
            }
            if let Some(known) = self.cluster.needs.known_mut(new) {
                known.jobs += 1;
                known.waiting += 1;
            }
        }
    }

    /// Offers every host that became free to the queue, until it is full or nobody waiting can use it.
    pub(super) fn hand_out(&mut self) {
        if self.shrunk {
            self.shrunk = false;
            self.refuse_hopeless();
            // Where the better hosts are gone those count that were passed over for them.
            self.freed.extend(self.cluster.second_choice());
        }
        while let Some(id) = self.freed.pop_first() {
            let mut tried = BTreeSet::new();
            while tried.len() < LANES_MAX {
                let Some(host) = self.cluster.host(id) else { break };
                let Some(place) = self.next_for(host, &tried) else { break };
                if !self.place_or_refuse(place.job, Some(id)) {
                    tried.insert(place.lane);
                }
            }
        }
    }

    /// The job that is next among those this host could take.
    fn next_for(&self, host: &Host, tried: &BTreeSet<Lane>) -> Option<Place> {
        let fresh = |place: &Place| !tried.contains(&place.lane);
        let own = |place: &Place| {
            let asker = Asker { need: place.lane.need, submitter: host.id };
            host.own_free() && self.cluster.own_environment(asker).is_some()
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
                let asker = Asker { need: place.lane.need, submitter: place.lane.submitter };
                host.id != asker.submitter && self.wants(asker, host) && policy::can_start(&self.cluster, asker, host)
            };
            let found = self.queue.places(first.lane.need).take(LANES_MAX).filter(fresh).find(takes);
            best = [best, found].into_iter().flatten().min();
        }
        best
    }

    /// Whether a preferred host, if there is one, is this one.
    fn wants(&self, asker: Asker, host: &Host) -> bool {
        let preferred = self.cluster.needs.known(asker.need).map(|k| &k.need.preferred);
        preferred.is_some_and(|p| p.is_empty() || *p == host.name || *p == host.address)
    }

    /// Hosts became fewer: jobs that nobody can do any more go to their submitters.
    fn refuse_hopeless(&mut self) {
        let hopeless = |lane: &Lane| !self.could_ever(Asker { need: lane.need, submitter: lane.submitter });
        let lanes: Vec<Lane> = self.queue.lanes().filter(hopeless).collect();
        for lane in lanes {
            let jobs: Vec<JobId> = self.queue.jobs(lane).collect();
            for job in jobs {
                self.place_or_refuse(job, None);
            }
        }
    }
}

/// An earlier job of this submitter on this server: 1.4 looks among the oldest 17 of both.
fn matched_job(submitter: &Host, server: &Host) -> JobId {
    let mut ours = submitter.history.iter().take(17).copied();
    ours.find(|job| server.shown.oldest().any(|other| other == *job)).unwrap_or(JobId(0))
}
