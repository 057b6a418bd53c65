//! Values about jobs that connections, the session and the slots exchange.

use crate::ids::{ClientId, JobId};
use crate::message::{JobDone, JobLocalBegin, Message};
use crate::text::Text;

/// Largest niceness; the smallest is 0.
const NICENESS_MAX: u32 = 20;

/// A job's number together with the scheduler session that assigned it (decision: job-ids). A plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionJob {
    /// The number.
    pub job: JobId,
    /// The session; `None` if the number was made up here or comes from an unknown scheduler.
    pub session: Option<u32>,
}

/// The end of work that the scheduler of a session must hear of. A plain value.
#[derive(Debug)]
pub(super) enum Ended {
    /// A job.
    Job(Option<u32>, JobDone),
    /// A local job of this client.
    Local(Option<u32>, ClientId),
}

/// What a client does with the slot it got. A plain value.
#[derive(Debug)]
pub(super) enum Own {
    /// It compiles these jobs itself.
    Compile {
        /// Their numbers.
        jobs: Vec<JobId>,
        /// Platform for its USE_CS.
        platform: Text,
        /// Whether no host could take the job.
        no_host: bool,
    },
    /// It runs a local job, which the scheduler hears of by this message.
    Local(Message),
}

impl SessionJob {
    /// Its end without a result.
    pub fn failed(self, exit_code: i32, flags: u32) -> Ended {
        Ended::Job(self.session, JobDone { job: self.job.0, exit_code, flags, ..JobDone::default() })
    }
}

/// JOB_LOCAL_BEGIN for the scheduler.
pub(super) fn local_begin(start_time: u32, output: &Text, client: ClientId, full: bool) -> Message {
    Message::JobLocalBegin(JobLocalBegin {
        start_time,
        output_file: output.clone(),
        id: client.0,
        full: u32::from(full),
    })
}

/// Niceness clamped to 0..=20. Negative values arrive wrapped and count as 0.
pub(super) fn clamp_niceness(n: u32) -> u32 {
    if i32::try_from(n).is_err() { 0 } else { n.min(NICENESS_MAX) }
}
