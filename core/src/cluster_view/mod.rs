//! What a monitor knows of a cluster, from the feed of its scheduler, 1.4's too (`net/PROTOCOL.md`, Monitors): hosts with
//! their slots, jobs, what waits, and the last minutes.
//!
//! A feed begins in the middle: it tells ends of jobs that it never told of, and 1.4's never tells how the local jobs of a
//! host end that has left. What is kept is bounded, whatever a scheduler says.

mod history;
mod host;
mod job;
mod status;

pub use history::{HISTORY, History, Sample};
pub use host::HostView;
pub use job::{Finished, JobView, Place};
pub use status::{HostStatus, JobStatus, Status};

use crate::ids::{HostId, JobId};
use crate::job::Language;
use crate::message::{JobDone, Message, MonGetCs, MonJobBegin, MonLocalJobBegin, MonStats};
use crate::text::Text;
use crate::time::{Duration, Instant};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Maximum number of hosts.
const HOSTS_MAX: usize = 4096;
/// Maximum number of jobs that have not ended.
const JOBS_MAX: usize = 65_536;
/// Maximum number of ended jobs that are remembered.
const FINISHED_MAX: usize = 1000;
/// After this time a job is taken to have ended: its end was not told.
const LOST_AFTER: Duration = Duration::from_secs(3600);

/// The view.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    hosts: BTreeMap<HostId, HostView>,
    jobs: BTreeMap<JobId, JobView>,
    finished: VecDeque<Finished>,
    totals: Totals,
    history: History,
}

/// Counts since the feed began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Jobs that were asked for.
    pub asked: u64,
    /// Jobs that hosts did for others, or for themselves as the scheduler chose.
    pub done: u64,
    /// Those of them that ended with another status than 0.
    pub failed: u64,
    /// Jobs that hosts kept for themselves.
    pub local: u64,
    /// Bytes of sources as they were sent.
    pub bytes_in: u64,
    /// Bytes of objects as they were sent.
    pub bytes_out: u64,
    /// Wall time of the jobs, in milliseconds.
    pub real_ms: u64,
}

impl ClusterView {
    /// A view of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a message of the feed. Others mean nothing.
    pub fn hear(&mut self, now: Instant, message: &Message) {
        match message {
            Message::MonStats(stats) => self.host_says(now, stats),
            Message::MonGetCs(asked) => self.asked(now, asked),
            Message::MonJobBegin(begin) => self.begun(now, begin),
            Message::MonJobDone(done) => self.done(now, done),
            Message::MonLocalJobBegin(begin) => self.local_begun(now, begin),
            Message::JobLocalDone { id } => self.local_done(now, JobId(*id)),
            _ => {}
        }
    }

    /// Time has passed: to be called about once a second, for the history.
    pub fn pass(&mut self, now: Instant) {
        let lost = |job: &JobView| now.since(job.since) > LOST_AFTER;
        let ids: Vec<JobId> = self.jobs.iter().filter(|(_, job)| lost(job)).map(|(id, _)| *id).collect();
        for id in ids {
            self.forget(id);
        }
        let sample = self.sample();
        self.history.add(now, sample, self.totals.done + self.totals.local);
    }

    /// All hosts by their numbers, those that have left not.
    pub fn hosts(&self) -> &BTreeMap<HostId, HostView> {
        &self.hosts
    }

    /// All jobs that have not ended.
    pub fn jobs(&self) -> &BTreeMap<JobId, JobView> {
        &self.jobs
    }

    /// Jobs that wait for a host, the oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = (JobId, &JobView)> {
        self.jobs.iter().filter(|(_, job)| job.place == Place::Waiting).map(|(id, job)| (*id, job))
    }

    /// The last jobs that ended, the latest last.
    pub fn finished(&self) -> impl DoubleEndedIterator<Item = &Finished> {
        self.finished.iter()
    }

    /// Counts since the feed began.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The last minutes.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The name of a host, or its number if it was never told.
    pub fn name(&self, host: HostId) -> String {
        self.hosts.get(&host).map_or_else(|| format!("host {host}"), |host| host.name.to_string())
    }

    /// What is so now.
    pub fn sample(&self) -> Sample {
        let hosts = self.hosts.values();
        let count = |place: fn(&Place) -> bool| self.jobs.values().filter(|job| place(&job.place)).count();
        Sample {
            slots: hosts.filter(|host| !host.no_remote).map(|host| host.slots as usize).sum(),
            running: count(|place| matches!(place, Place::On(_))),
            local: count(|place| matches!(place, Place::Local)),
            waiting: count(|place| matches!(place, Place::Waiting)),
            finished: 0,
        }
    }

    fn host_says(&mut self, now: Instant, stats: &MonStats) {
        let text = stats.text.lossy();
        if text.lines().any(|line| line == "State:Offline") {
            return self.left(stats.host);
        }
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&stats.host) {
            return;
        }
        self.hosts.entry(stats.host).or_default().says(now, &text);
    }

    /// A host has left. Its jobs end without a word.
    fn left(&mut self, host: HostId) {
        self.hosts.remove(&host);
        let is_its = |job: &JobView| match job.place {
            Place::Local | Place::Waiting => job.submitter == host,
            Place::On(server) => server == host,
        };
        let ids: Vec<JobId> = self.jobs.iter().filter(|(_, job)| is_its(job)).map(|(id, _)| *id).collect();
        for id in ids {
            self.forget(id);
        }
    }

    fn asked(&mut self, now: Instant, asked: &MonGetCs) {
        self.totals.asked += 1;
        if let Some(host) = self.hosts.get_mut(&asked.host) {
            host.submitted += 1;
        }
        let language = Language::from_number(asked.language);
        self.add(asked.job, JobView::new(now, asked.host, &asked.file, language, Place::Waiting));
    }

    fn begun(&mut self, now: Instant, begin: &MonJobBegin) {
        if !self.jobs.contains_key(&begin.job) {
            // It was asked for before the feed began, by nobody knows whom.
            self.add(begin.job, JobView::new(now, HostId(0), &Text::new(), None, Place::Waiting));
        }
        let Some(job) = self.jobs.get_mut(&begin.job) else { return };
        let seat = self.hosts.get_mut(&begin.host).map(|host| host.sit(begin.job));
        job.begin(now, begin.host, seat);
    }

    fn done(&mut self, now: Instant, done: &JobDone) {
        let id = JobId(done.job);
        let job = self.forget(id);
        self.totals.done += 1;
        self.totals.failed += u64::from(done.exit_code != 0);
        self.totals.bytes_in += u64::from(done.stats.in_compressed);
        self.totals.bytes_out += u64::from(done.stats.out_compressed);
        self.totals.real_ms += u64::from(done.stats.real_ms);
        if let Some(Place::On(server)) = job.as_ref().map(|job| job.place) {
            if let Some(host) = self.hosts.get_mut(&server) {
                host.done += 1;
                host.failed += u64::from(done.exit_code != 0);
            }
        }
        self.remember(job.map(|job| Finished::new(id, job, now, Some(done))));
    }

    fn local_begun(&mut self, now: Instant, begin: &MonLocalJobBegin) {
        let mut job = JobView::new(now, begin.host, &begin.file, None, Place::Local);
        job.seat = self.hosts.get_mut(&begin.host).map(|host| host.sit(begin.job));
        self.add(begin.job, job);
    }

    fn local_done(&mut self, now: Instant, id: JobId) {
        let job = self.forget(id);
        self.totals.local += 1;
        if let Some(host) = job.as_ref().and_then(|job| self.hosts.get_mut(&job.submitter)) {
            host.local += 1;
        }
        self.remember(job.map(|job| Finished::new(id, job, now, None)));
    }

    /// Adds a job; where there are too many, the oldest is forgotten.
    fn add(&mut self, id: JobId, job: JobView) {
        self.forget(id);
        if self.jobs.len() >= JOBS_MAX {
            // Numbers of jobs only grow.
            let oldest = self.jobs.keys().next().copied();
            oldest.map(|id| self.forget(id));
        }
        self.jobs.insert(id, job);
    }

    /// Takes out a job, and frees its seat.
    fn forget(&mut self, id: JobId) -> Option<JobView> {
        let job = self.jobs.remove(&id)?;
        let at = match job.place {
            Place::On(server) => server,
            Place::Local | Place::Waiting => job.submitter,
        };
        if let Some(host) = self.hosts.get_mut(&at) {
            host.stand(id);
        }
        Some(job)
    }

    fn remember(&mut self, finished: Option<Finished>) {
        let Some(finished) = finished else { return };
        if self.finished.len() >= FINISHED_MAX {
            self.finished.pop_front();
        }
        self.finished.push_back(finished);
    }
}

#[cfg(test)]
mod tests;
