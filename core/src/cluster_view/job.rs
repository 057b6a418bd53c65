//! A job as a monitor sees it.

use crate::ids::{HostId, JobId};
use crate::job::{JobStats, Language};
use crate::message::JobDone;
use crate::text::Text;
use crate::time::{Duration, Instant};

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It waits for a host.
    Waiting,
    /// On this host.
    On(HostId),
    /// On its submitter, which kept it.
    Local,
}

/// A job that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Who asked for it; 0 if that was before the feed began.
    pub submitter: HostId,
    /// Its file: at most the last three parts of the path.
    pub file: Text,
    /// Its language, if it was told.
    pub language: Option<Language>,
    /// Where it is.
    pub place: Place,
    /// Its seat there.
    pub seat: Option<usize>,
    /// When it was asked for, or first heard of.
    pub asked: Instant,
    /// Since when it is in its place.
    pub since: Instant,
}

impl JobView {
    pub(super) fn new(now: Instant, submitter: HostId, file: &Text, language: Option<Language>, place: Place) -> Self {
        Self { submitter, file: file.clone(), language, place, seat: None, asked: now, since: now }
    }

    pub(super) fn begin(&mut self, now: Instant, host: HostId, seat: Option<usize>) {
        self.place = Place::On(host);
        self.seat = seat;
        self.since = now;
    }
}

/// A job that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its number.
    pub id: JobId,
    /// What it was.
    pub job: JobView,
    /// When it ended.
    pub ended: Instant,
    /// Its exit status, if it was told.
    pub status: Option<i32>,
    /// What it took, if that was told.
    pub stats: Option<JobStats>,
}

impl Finished {
    pub(super) fn new(id: JobId, job: JobView, ended: Instant, done: Option<&JobDone>) -> Self {
        Self { id, job, ended, status: done.map(|done| done.exit_code), stats: done.map(|done| done.stats) }
    }

    /// How long it was in its place.
    pub fn took(&self) -> Duration {
        self.ended.since(self.job.since)
    }
}
