//! `/api/jobs`: what became of jobs since a change that the page knows, or all that is known.

use ice_core::cluster_view::{Finished, HISTORY, JobView, Place};
use ice_core::ids::{HostId, JobId};
use ice_core::text::Text;
use serde::Serialize;

use super::changes::Change;
use super::feed::Feed;
use super::known::Known;
use super::status::{Figures, millis};

/// Maximum number of changes of one answer; the next one has what follows. Pages read one in a millisecond.
const CHANGES_MAX: usize = 1024;

#[derive(Serialize)]
struct Jobs<'a> {
    now_ms: u64,
    /// Number of the last change that is told.
    seq: u64,
    /// Whether there are more changes.
    more: bool,
    /// Whether these are all jobs, not the changes alone.
    full: bool,
    /// Jobs that run.
    running: Vec<Job<'a>>,
    /// Jobs that ended.
    ended: Vec<Job<'a>>,
    /// Jobs that ended without a beginning here.
    gone: Vec<u32>,
    /// How far the last minutes go back.
    history_s: u64,
    /// The last minutes, if this is everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<Figures>,
}

/// A job. What is not known is left out.
#[derive(Serialize)]
struct Job<'a> {
    id: u32,
    /// The host on which it is.
    host: u32,
    /// Its place there.
    #[serde(skip_serializing_if = "Option::is_none")]
    seat: Option<usize>,
    /// The host that asked for it; 0 if that is not known.
    by: u32,
    /// Its host kept it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    local: bool,
    file: &'a Text,
    began_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
}

impl<'a> Job<'a> {
    /// A job that has a place.
    fn running(id: JobId, job: &'a JobView) -> Option<Self> {
        let (HostId(host), local) = match job.place {
            Place::Waiting => return None,
            Place::On(host) => (host, false),
            Place::Local => (job.submitter, true),
        };
        Some(Self {
            id: id.0,
            host,
            seat: job.seat,
            by: job.submitter.0,
            local,
            file: &job.file,
            began_ms: millis(job.since),
            ended_ms: None,
            status: None,
        })
    }

    fn ended(finished: &'a Finished) -> Option<Self> {
        let job = Self::running(finished.id, &finished.job)?;
        Some(Self { ended_ms: Some(millis(finished.ended)), status: finished.status, ..job })
    }
}

/// The answer.
pub fn jobs(feed: &Feed, since: Option<u64>) -> serde_json::Result<String> {
    let known = feed.known();
    let now_ms = millis(feed.now());
    let changes = since.and_then(|since| changes(&known, since, now_ms));
    serde_json::to_string(&changes.unwrap_or_else(|| everything(&known, now_ms)))
}

fn changes(known: &Known, since: u64, now_ms: u64) -> Option<Jobs<'_>> {
    let told = known.log().since(since)?.take(CHANGES_MAX);
    let (mut running, mut ended, mut gone, mut seq) = (Vec::new(), Vec::new(), Vec::new(), since);
    for change in told {
        seq += 1;
        match change {
            // One that has ended meanwhile is told by its end.
            Change::Began(id) => {
                running.extend(known.view().jobs().get(id).and_then(|job| Job::running(*id, job)));
            }
            Change::Ended(finished) => ended.extend(Job::ended(finished)),
            Change::Gone(id) => gone.push(id.0),
        }
    }
    let more = seq < known.log().last();
    let (history_s, history) = (HISTORY.as_secs(), Vec::new());
    Some(Jobs { now_ms, seq, more, full: false, running, ended, gone, history_s, history })
}

fn everything(known: &Known, now_ms: u64) -> Jobs<'_> {
    let view = known.view();
    Jobs {
        now_ms,
        seq: known.log().last(),
        more: false,
        full: true,
        running: view.jobs().iter().filter_map(|(id, job)| Job::running(*id, job)).collect(),
        ended: view.finished().filter_map(Job::ended).collect(),
        gone: Vec::new(),
        history_s: HISTORY.as_secs(),
        history: view.history().samples().map(|(at, sample)| Figures::of(*at, sample)).collect(),
    }
}
