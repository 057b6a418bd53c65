//! The jobs that the scheduler gave this host, as far as it tells that.
//!
//! Anyone who reaches the port can bring a job without asking the scheduler. Such a job holds a slot that the scheduler
//! believes to be free, and jobs that it sends here wait.

use super::job::SessionJob;
use crate::ids::JobId;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// How long after a job its announcement may come: scheduler and client use different connections.
const ANNOUNCED: Duration = Duration::from_secs(5);
/// How long a job that never comes is remembered; by then the scheduler has forgotten it too.
const KEPT: Duration = Duration::from_secs(3600);
/// Maximum number of jobs that are remembered. A scheduler gives a host few more than its slots.
const JOBS_MAX: usize = 4096;

/// What a job is to the scheduler: a plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It gave the job to this host.
    Given,
    /// It did not, and may still say that it did until then.
    Unknown(Instant),
    /// It cannot be told: the job belongs to another session, or came before the scheduler told its jobs.
    Elsewhere,
}

/// The jobs of the present session.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The session whose scheduler tells its jobs, and since when.
    told: Option<(u32, Instant)>,
    jobs: BTreeMap<JobId, Instant>,
}

impl Given {
    /// The scheduler of a session answered LOGIN: it tells its jobs, or does not.
    pub fn tells(&mut self, now: Instant, session: Option<u32>, tells: bool) {
        let session = session.filter(|_| tells);
        if self.told.map(|(told, _)| told) != session {
            self.told = session.map(|session| (session, now));
            self.jobs.clear();
        }
    }

    /// The scheduler gave this job to this host.
    pub fn add(&mut self, now: Instant, job: JobId) {
        if self.jobs.len() >= JOBS_MAX {
            self.jobs.retain(|_, at| now.since(*at) < KEPT);
        }
        if self.told.is_some() && self.jobs.len() < JOBS_MAX {
            self.jobs.insert(job, now);
        }
    }

    /// A job has ended: its number counts no more.
    pub fn ended(&mut self, job: SessionJob) {
        if self.told.map(|(session, _)| session) == job.session {
            self.jobs.remove(&job.job);
        }
    }

    /// Whether the scheduler of this session tells its jobs.
    pub fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Whether the scheduler gave none that has not ended.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// What a job is that came then.
    pub fn standing(&self, job: SessionJob, came: Instant) -> Standing {
        match self.told {
            Some((session, since)) if Some(session) == job.session && came >= since => {
                if self.jobs.contains_key(&job.job) { Standing::Given } else { Standing::Unknown(came + ANNOUNCED) }
            }
            _ => Standing::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_remembered_for_an_hour_and_their_number_has_a_bound() {
        let (mut given, start) = (Given::default(), Instant::ZERO);
        let job = |number| SessionJob { job: JobId(number), session: Some(1) };
        given.add(start, JobId(7));
        assert!(given.is_empty(), "nobody tells");
        given.tells(start, Some(1), true);
        assert_eq!(given.standing(job(7), start), Standing::Unknown(start + Duration::from_secs(5)));
        (1..=4096).for_each(|number| given.add(start, JobId(number)));
        assert_eq!([7, 4096].map(|number| given.standing(job(number), start)), [Standing::Given; 2]);
        given.add(start + Duration::from_secs(3599), JobId(5000));
        assert_ne!(given.standing(job(5000), start), Standing::Given);
        given.add(start + Duration::from_secs(3600), JobId(5000));
        assert_eq!(given.standing(job(5000), start), Standing::Given);
        assert_ne!(given.standing(job(7), start), Standing::Given);
    }
}
