//! `/api/status`: what is so now.

use std::time::Duration;

use ice_core::cluster_view::{ClusterView, HostView, Sample, Totals};
use ice_core::ids::HostId;
use ice_core::scheduler::{HostRow, HostState};
use ice_core::text::Text;
use serde::Serialize;

use super::Identity;
use super::feed::Feed;
use super::known::Known;

/// Jobs of the queue that are named.
const WAITING_MAX: usize = 50;

#[derive(Serialize)]
struct Status<'a> {
    version: &'a str,
    netname: &'a str,
    /// Time since the scheduler began, as all times here.
    now_ms: u64,
    /// Number of the last change of a job, for `/api/jobs?since=`.
    seq: u64,
    /// The newest figures of the chart.
    now: Figures,
    /// Jobs that ended in a second, of the last ten and of the last minute.
    jobs_per_second: [f64; 2],
    counts: Counts,
    waiting: Vec<Waiting<'a>>,
    hosts: Vec<Host<'a>>,
    /// What the words of hosts mean, and what to do.
    states: Vec<State>,
}

/// Slots, jobs of others, jobs that hosts kept, and the queue.
#[derive(Serialize)]
pub struct Figures {
    at_ms: u64,
    slots: usize,
    running: usize,
    local: usize,
    waiting: usize,
    finished: u64,
}

impl Figures {
    /// Of a sample.
    pub fn of(at: ice_core::time::Instant, sample: &Sample) -> Self {
        Self {
            at_ms: millis(at),
            slots: sample.slots,
            running: sample.running,
            local: sample.local,
            waiting: sample.waiting,
            finished: sample.finished,
        }
    }
}

/// Since the scheduler began; what is not known is `null`.
#[derive(Serialize)]
struct Counts {
    requested: Option<u64>,
    placed: Option<u64>,
    succeeded: Option<u64>,
    failed: Option<u64>,
    cancelled: Option<u64>,
    lost: Option<u64>,
    local: u64,
    source_bytes: u64,
    object_bytes: u64,
    compile_ms: u64,
}

impl Counts {
    fn of(known: &Known) -> Self {
        let totals: Totals = known.view().totals();
        Self {
            requested: known.count("jobs_total"),
            placed: known.count("jobs_placed"),
            succeeded: known.count("jobs_succeeded"),
            failed: known.count("jobs_failed"),
            cancelled: known.count("jobs_cancelled"),
            lost: known.count("jobs_lost"),
            local: totals.local,
            source_bytes: totals.bytes_in,
            object_bytes: totals.bytes_out,
            compile_ms: totals.real_ms,
        }
    }
}

#[derive(Serialize)]
struct Waiting<'a> {
    id: u32,
    by: u32,
    file: &'a Text,
    asked_ms: u64,
}

#[derive(Serialize)]
struct Host<'a> {
    id: u32,
    name: &'a Text,
    address: &'a Text,
    platform: &'a Text,
    version: Option<u32>,
    slots: u32,
    state: Option<HostState>,
    load: Option<u32>,
    free_mem_mib: Option<u32>,
    pace: Option<f64>,
    jobs: usize,
    submitted: u64,
    done: u64,
    failed: u64,
    local: u64,
}

impl<'a> Host<'a> {
    fn of(id: HostId, host: &'a HostView, row: Option<&HostRow>) -> Self {
        Self {
            id: id.0,
            name: &host.name,
            address: &host.address,
            platform: &host.platform,
            version: host.version,
            slots: host.slots,
            state: row.map(|row| row.state),
            load: load(host),
            free_mem_mib: host.free_mem,
            pace: row.and_then(pace),
            jobs: host.busy(),
            submitted: host.submitted,
            done: host.done,
            failed: host.failed,
            local: host.local,
        }
    }
}

/// Its load, once it has reported one: until then it counts as full.
pub fn load(host: &HostView) -> Option<u32> {
    host.free_mem.and(host.load)
}

/// Its pace, once it was measured.
pub fn pace(row: &HostRow) -> Option<f64> {
    Some(row.pace).filter(|pace| *pace > 0.0)
}

#[derive(Serialize)]
struct State {
    word: &'static str,
    sentence: &'static str,
    remedy: &'static str,
}

impl State {
    fn of(state: HostState) -> Self {
        Self { word: state.word(), sentence: state.sentence(), remedy: state.remedy() }
    }
}

/// Milliseconds since the scheduler began.
pub fn millis(at: ice_core::time::Instant) -> u64 {
    at.as_micros() / 1000
}

/// The answer.
pub fn status(identity: &Identity, feed: &Feed) -> serde_json::Result<String> {
    let known = feed.known();
    let (now, view) = (feed.now(), known.view());
    let rate = |seconds| view.history().rate(now, Duration::from_secs(seconds));
    serde_json::to_string(&Status {
        version: identity.version,
        netname: &identity.netname,
        now_ms: millis(now),
        seq: known.log().last(),
        now: Figures::of(now, &view.sample()),
        jobs_per_second: [rate(10), rate(60)],
        counts: Counts::of(&known),
        waiting: waiting(view),
        hosts: hosts(&known),
        states: HostState::ALL.map(State::of).into(),
    })
}

fn waiting(view: &ClusterView) -> Vec<Waiting<'_>> {
    let jobs = view.waiting().take(WAITING_MAX);
    jobs.map(|(id, job)| Waiting { id: id.0, by: job.submitter.0, file: &job.file, asked_ms: millis(job.asked) })
        .collect()
}

fn hosts(known: &Known) -> Vec<Host<'_>> {
    known.view().hosts().iter().map(|(id, host)| Host::of(*id, host, known.row(*id))).collect()
}
