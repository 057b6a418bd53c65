//! A view as data, for programs that read JSON: what `icetop --json` prints.

use super::{ClusterView, JobView, Place, Sample, Totals};
use crate::ids::{HostId, JobId};
use crate::text::Text;
use crate::time::{Duration, Instant};
use serde::Serialize;

/// Time over which the rate of ended jobs is taken.
const RATE_OVER: Duration = Duration::from_secs(60);

/// All that is so now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Counts of now.
    #[serde(flatten)]
    pub now: Sample,
    /// Jobs that ended in the last minute, in a second.
    pub jobs_per_second: f64,
    /// Counts since the feed began.
    pub totals: Totals,
    /// Hosts, in the order of their numbers.
    pub hosts: Vec<HostStatus>,
    /// Jobs that have not ended, in the order of their numbers.
    pub jobs: Vec<JobStatus>,
}

/// A host. What its scheduler has not told is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostStatus {
    /// The scheduler's number of it.
    pub id: u32,
    /// Its node name.
    pub name: Text,
    /// Its address.
    pub address: Text,
    /// Its platform.
    pub platform: Text,
    /// The protocol version of its daemon.
    pub protocol: Option<u32>,
    /// How many jobs it takes.
    pub slots: u32,
    /// Whether it refuses jobs of others.
    pub no_remote: bool,
    /// Jobs that are on it, its own ones too.
    pub busy: usize,
    /// 1.4's figure.
    pub speed: Option<f64>,
    /// 0 to 1000; with 1000 it takes no jobs.
    pub load: Option<u32>,
    /// Free memory in MiB.
    pub free_mem: Option<u32>,
    /// Jobs that it asked for since the feed began.
    pub submitted: u64,
    /// Jobs that it did.
    pub done: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Jobs that it kept for itself.
    pub local: u64,
}

/// A job that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobStatus {
    /// The scheduler's number of it.
    pub id: u32,
    /// `waiting`, `running` or `local`.
    pub state: &'static str,
    /// The name of the host that asked for it; `None` if that was before the feed began.
    pub submitter: Option<String>,
    /// The name of the host that does it.
    pub host: Option<String>,
    /// Its slot there, counted from 0.
    pub slot: Option<usize>,
    /// The end of its file's path.
    pub file: Text,
    /// Its language, if it was told.
    pub language: Option<String>,
    /// How long it has been in this state.
    pub seconds: f64,
}

impl Status {
    /// Of a view.
    pub fn new(view: &ClusterView, now: Instant) -> Self {
        Self {
            now: view.sample(),
            jobs_per_second: rounded(view.history().rate(now, RATE_OVER)),
            totals: view.totals(),
            hosts: view.hosts().keys().filter_map(|id| HostStatus::new(view, *id)).collect(),
            jobs: view.jobs().iter().map(|(id, job)| JobStatus::new(view, now, *id, job)).collect(),
        }
    }
}

impl HostStatus {
    fn new(view: &ClusterView, id: HostId) -> Option<Self> {
        let host = view.hosts().get(&id)?;
        Some(Self {
            id: id.0,
            name: host.name.clone(),
            address: host.address.clone(),
            platform: host.platform.clone(),
            protocol: host.version,
            slots: host.slots,
            no_remote: host.no_remote,
            busy: host.busy(),
            speed: host.speed,
            load: host.load,
            free_mem: host.free_mem,
            submitted: host.submitted,
            done: host.done,
            failed: host.failed,
            local: host.local,
        })
    }
}

impl JobStatus {
    fn new(view: &ClusterView, now: Instant, id: JobId, job: &JobView) -> Self {
        let (state, host) = match job.place {
            Place::Waiting => ("waiting", None),
            Place::On(host) => ("running", Some(host)),
            Place::Local => ("local", Some(job.submitter)),
        };
        Self {
            id: id.0,
            state,
            submitter: (job.submitter != HostId(0)).then(|| view.name(job.submitter)),
            host: host.map(|host| view.name(host)),
            slot: job.seat,
            file: job.file.clone(),
            language: job.language.map(|language| language.to_string()),
            seconds: rounded(now.since(job.since).as_secs_f64()),
        }
    }
}

/// To thousandths.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
