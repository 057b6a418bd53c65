//! A job from GET_CS to JOB_DONE: requested, queued, assigned, begun, ended.
//!
//! ```text
//! GET_CS ─► Pending ─► Waiting (USE_CS or NO_CS is out) ─► Compiling ─► gone
//!              └─ cancelled ──────┴──── JOB_DONE, a host left ───┘
//! ```
//! `dispatch.rs` assigns jobs to hosts.

use super::host::{Host, Installing};
use super::monitor::{asked, environment_list, last_three, lost};
use super::queue::Bucket;
use super::requirement::{EnvKey, Requester, Requirement, RequirementId};
use super::speed::adjusted_size;
use super::{Note, Scheduler};
use crate::ids::{ClientId, HostId, JobId};
use crate::job::Language;
use crate::level::Level;
use crate::limits::{
    FILE_NAME_MAX, JOBS_MAX, JOBS_PER_HOST_MAX, JOBS_PER_REQUEST_MAX, LOCAL_JOBS_MAX, NAME_MAX,
    REQUEST_ENVIRONMENTS_MAX,
};
use crate::message::{
    GetCs, JobBegin, JobDone, JobLocalBegin, LOCALHOST, Message, MonJobBegin, MonLocalJobBegin, UseCs, done_flags,
    features,
};
use crate::text::Text;
use crate::time::Instant;

/// A job that has been requested and has not ended.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The host that requested it.
    pub submitter: HostId,
    /// What it requires of a host.
    pub requirement: RequirementId,
    /// The submitter's number of the client.
    pub client: ClientId,
    /// Name of the source file.
    pub file: Text,
    /// [`crate::message::arg_flags`] of its command line.
    pub arg_flags: u32,
    /// Its level in the queue: the niceness, reduced by one for each minute of waiting.
    pub level: u8,
    /// Number of further jobs of the same request, whose ids follow; set for the first job of a request only.
    pub siblings: u8,
    /// Where it is.
    pub state: State,
    /// The environment with which it was assigned, present on the server or to be sent there; `None` if its submitter
    /// builds it.
    pub environment: Option<EnvKey>,
    /// It did not begin in time and occupies no slot ([`Host::dormant`]).
    pub dormant: bool,
    /// When it becomes more urgent, while it is queued.
    pub age_at: Option<Instant>,
}

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Queued.
    Pending,
    /// Assigned to a server, JOB_BEGIN has not arrived.
    Waiting { server: HostId, since: Instant },
    /// Begun, at the server's `start_time` in Unix seconds.
    Compiling { server: HostId, start_time: u32 },
}

impl Job {
    /// Its bucket in the queue.
    pub fn bucket(&self) -> Bucket {
        Bucket { submitter: self.submitter, level: self.level, requirement: self.requirement }
    }

    /// The host it is assigned to, if any.
    pub fn server(&self) -> Option<HostId> {
        match self.state {
            State::Pending => None,
            State::Waiting { server, .. } | State::Compiling { server, .. } => Some(server),
        }
    }

    /// What choosing a host for it depends on.
    pub fn requester(&self) -> Requester {
        Requester { requirement: self.requirement, submitter: self.submitter }
    }
}

/// Largest niceness: the least urgent level.
const NICENESS_MAX: i32 = 20;
/// Number of jobs kept in a submitter's history.
const HISTORY_MAX: usize = 200;

impl Scheduler {
    /// GET_CS: creates the requested jobs and assigns or queues them.
    pub(super) fn requested(&mut self, submitter: HostId, mut request: GetCs) {
        bound(&mut request);
        let request = &request;
        let Some(host) = self.cluster.host_mut(submitter) else { return };
        let name = host.name.clone();
        if host.version.has_client_count() {
            host.client_count = request.client_count;
        }
        if request.count > JOBS_PER_REQUEST_MAX {
            let why = format!("{} jobs at once, at most {JOBS_PER_REQUEST_MAX}", request.count);
            self.note(Level::Warning, || Note::RequestRefused { name, why });
            return;
        }
        let requirement = Requirement::of(request);
        let (known, count) = (host.submitted.len(), request.count as usize);
        if known + count > JOBS_PER_HOST_MAX
            || self.jobs.len() + count > JOBS_MAX
            || self.cluster.requirements.refuses(&requirement)
        {
            return self.refuse_jobs(submitter, request);
        }
        let requirement = self.cluster.requirement(requirement);
        let level = (request.niceness as i32).clamp(0, NICENESS_MAX) as u8;
        let mut jobs = Vec::new();
        for n in 0..request.count {
            let job = JobId(self.next_number());
            let siblings = if n == 0 { (request.count - 1) as u8 } else { 0 };
            self.insert_job(
                job,
                Job {
                    submitter,
                    requirement,
                    client: request.client,
                    file: request.file.clone(),
                    arg_flags: request.arg_flags,
                    level,
                    siblings,
                    state: State::Pending,
                    environment: None,
                    dormant: false,
                    age_at: None,
                },
            );
            self.note(Level::Info, || Note::NewJob {
                job,
                submitter: name.clone(),
                versions: environment_list(&request.environments),
                file: request.file.clone(),
                language: language_name(request.language),
                niceness: level,
            });
            self.tell_monitors_by_version(|version| Message::MonGetCs(asked(request, job, submitter, version)));
            jobs.push(job);
        }
        for job in jobs {
            self.try_new(job);
        }
    }

    /// A limit on jobs or requirements is reached: the submitter builds these jobs itself, and they are not recorded.
    fn refuse_jobs(&mut self, submitter: HostId, request: &GetCs) {
        for _ in 0..request.count {
            let job = JobId(self.next_number());
            let Some(host) = self.cluster.host(submitter) else { return };
            let (peer, message) = (host.peer, build_it_yourself(host, job, request.client, SubmitterReason::Last));
            self.note(Level::Info, || Note::AssigningSubmitter);
            self.send(peer, message);
        }
    }

    fn insert_job(&mut self, id: JobId, job: Job) {
        if let Some(known) = self.cluster.requirements.get_mut(job.requirement) {
            known.jobs += 1;
            known.waiting += 1;
        }
        if let Some(host) = self.cluster.host_mut(job.submitter) {
            host.submitted.insert(id);
        }
        self.jobs.insert(id, job);
    }

    /// JOB_BEGIN: a server starts a job.
    pub(super) fn begun(&mut self, sender: HostId, begin: JobBegin) {
        let Some(host) = self.cluster.host_mut(sender) else { return };
        let address = host.address.clone();
        let Some(job) = self.jobs.get_mut(&begin.job).filter(|job| job.server().is_some()) else {
            self.note(Level::Debug, || Note::BeginUnknown { job: begin.job });
            return;
        };
        if job.server() != Some(sender) {
            self.note(Level::Debug, || Note::BeginElsewhere { address });
            return;
        }
        if host.version.has_client_count() {
            host.client_count = begin.client_count;
        }
        if matches!(job.state, State::Waiting { .. }) {
            host.running += 1;
            host.dormant -= u32::from(job.dormant);
        }
        let was_dormant = job.dormant;
        job.state = State::Compiling { server: sender, start_time: begin.start_time };
        let (server, platform) = (host.name.clone(), host.platform.clone());
        let (submitter, requirement) = (job.submitter, job.requirement);
        if was_dormant {
            self.cluster.rerank(sender);
        }
        let submitter = self.cluster.host(submitter).map(|h| h.name.clone()).unwrap_or_default();
        let target =
            self.cluster.requirements.get(requirement).map(|k| k.requirement.target.clone()).unwrap_or_default();
        self.tell_monitors(&Message::MonJobBegin(MonJobBegin {
            job: begin.job,
            start_time: begin.start_time,
            host: sender,
        }));
        self.note(Level::Debug, || Note::Begin { job: begin.job, submitter, target, server, platform });
    }

    /// JOB_DONE: a server or submitter reports the end of a job, or a submitter cancels one.
    pub(super) fn done(&mut self, sender: HostId, mut done: JobDone) {
        let Some(host) = self.cluster.host_mut(sender) else { return };
        let old = !host.version.has_client_count();
        let name = host.name.clone();
        let names_client = done.flags & done_flags::UNKNOWN_JOB != 0 || (old && done.exit_code == 200);
        let by_submitter = done.flags & done_flags::FROM_SUBMITTER != 0;
        done.flags &= !done_flags::UNKNOWN_JOB;
        if names_client && by_submitter && done.job != 0 {
            self.cancelled(sender, done);
            return;
        }
        let id = JobId(done.job);
        if names_client {
            self.note(Level::Debug, || Note::DoneUnknown { job: id.0 });
            return;
        }
        let Some(job) = self.jobs.get(&id).filter(|job| !self.is_orphan(job)) else {
            self.note(Level::Debug, || Note::DoneUnknown { job: id.0 });
            return;
        };
        let Some(server) = job.server() else {
            self.note(Level::Debug, || Note::DonePending { job: id });
            return;
        };
        let (expected, submitter) = (if by_submitter { job.submitter } else { server }, job.submitter);
        if expected != sender {
            let known = self.cluster.host(expected).map(|h| h.name.clone()).unwrap_or_default();
            self.note(Level::Info, || match by_submitter {
                false => Note::WrongServer { job: id, server: known, sender: name },
                true => Note::WrongSubmitter { job: id, submitter: known, sender: name },
            });
            // 1.4 removes the sender. But a host forwards what its clients report: anyone who can connect to it and
            // knows the number of another host's job could have it removed, with all its jobs.
            return;
        }
        if !old {
            if let Some(host) = self.cluster.host_mut(sender) {
                host.client_count = done.client_count;
            }
        }
        let server_name = self.cluster.host(server).map(|h| h.name.clone()).unwrap_or_default();
        self.note(Level::Debug, || Note::End { done, server: server_name });
        if !by_submitter {
            self.host_answered(server, id, done.exit_code);
        }
        self.learn(id, server, submitter, &done);
        self.drop_job(id);
        self.counts.ended(done.exit_code);
        self.tell_monitors(&Message::MonJobDone(done));
    }

    /// A cancellation that names a client: every job of that client that has not begun ends.
    fn cancelled(&mut self, submitter: HostId, done: JobDone) {
        let client = ClientId(done.job);
        let Some(host) = self.cluster.host_mut(submitter) else { return };
        if host.version.has_client_count() {
            host.client_count = done.client_count;
        }
        let Some(host) = self.cluster.host(submitter) else { return };
        let meant = |id: &JobId| {
            let not_begun = |job: &Job| job.client == client && !matches!(job.state, State::Compiling { .. });
            self.jobs.get(id).is_some_and(not_begun)
        };
        let jobs: Vec<JobId> = host.submitted.iter().copied().filter(meant).collect();
        if jobs.is_empty() {
            self.note(Level::Debug, || Note::DoneUnknown { job: done.job });
        }
        for id in jobs {
            self.note(Level::Debug, || Note::StopWaiting { job: id });
            self.drop_job(id);
            self.counts.cancelled += 1;
            self.tell_monitors(&Message::MonJobDone(JobDone { job: id.0, ..done }));
        }
    }

    fn learn(&mut self, id: JobId, server: HostId, submitter: HostId, done: &JobDone) {
        let Some(job) = self.jobs.get(&id) else { return };
        let stats = &done.stats;
        let (file, arg_flags) = (job.file.clone(), job.arg_flags);
        let Some(host) = self.cluster.host_mut(server) else { return };
        let counted = host.shown.learn(id, done.exit_code, stats, arg_flags);
        let mut pace = host.pace;
        if done.exit_code == 0 {
            let wall_ms = stats.real_ms.max(stats.user_ms.saturating_add(stats.sys_ms));
            self.files.learn(&file, adjusted_size(stats.out_uncompressed, arg_flags), wall_ms, &mut pace);
            self.cluster.set_pace(server, pace);
            self.cluster.mean_weight = self.files.mean();
        }
        if let Some(host) = self.cluster.host_mut(submitter).filter(|_| counted) {
            host.history.push_back(id);
            if host.history.len() > HISTORY_MAX {
                host.history.pop_front();
            }
        }
    }

    /// Removes a job from all records. Its server may then take another one.
    pub(super) fn drop_job(&mut self, id: JobId) {
        let queued = self.dequeue(id);
        let Some(job) = self.jobs.remove(&id) else { return };
        if let Some(known) = self.cluster.requirements.get_mut(job.requirement) {
            known.jobs -= 1;
            known.waiting -= usize::from(queued);
        }
        if let Some(host) = self.cluster.host_mut(job.submitter) {
            host.submitted.remove(&id);
        }
        let Some(server) = job.server() else { return };
        let now = self.now;
        if let Some(host) = self.cluster.host_mut(server) {
            host.moved = now;
            // Jobs end roughly in the order of assignment, so the search is short.
            if let Some(at) = host.jobs.iter().position(|other| *other == id) {
                host.jobs.remove(at);
            }
            let begun = matches!(job.state, State::Compiling { .. });
            host.running -= u32::from(begun);
            host.dormant -= u32::from(job.dormant && !begun);
        }
        self.end_installs(server, |_, install| install.job == id);
        self.freed(server);
    }

    /// Marks the environments for which `ended` returns true as no longer on their way to a host.
    pub(super) fn end_installs(&mut self, server: HostId, ended: impl Fn(EnvKey, &Installing) -> bool) {
        let Some(host) = self.cluster.host_mut(server) else { return };
        let mut requirements = Vec::new();
        host.installing.retain(|key, install| {
            let is_over = ended(*key, install);
            if is_over {
                requirements.push(install.requirement);
            }
            !is_over
        });
        for requirement in requirements {
            if let Some(known) = self.cluster.requirements.get_mut(requirement) {
                known.installing = known.installing.saturating_sub(1);
            }
        }
    }

    /// Notes that a host may be able to take a job it could not take before, and updates its rank.
    pub(super) fn freed(&mut self, host: HostId) {
        self.cluster.rerank(host);
        self.freed.insert(host);
    }

    /// Ends a job whose host left or that has not been reported for too long. `note` says why.
    pub(super) fn lose_job(&mut self, id: JobId, note: Note) {
        self.tell_monitors(&Message::MonJobDone(lost(id)));
        self.note(note.level(), || note);
        self.counts.lost += 1;
        self.drop_job(id);
    }

    /// JOB_LOCAL_BEGIN: a host starts a local job.
    pub(super) fn local_begun(&mut self, host: HostId, begin: &JobLocalBegin) {
        let known = self.cluster.host(host).map_or(0, |h| h.local.len());
        if known >= LOCAL_JOBS_MAX {
            return;
        }
        let job = JobId(self.next_number());
        if let Some(host) = self.cluster.host_mut(host) {
            host.local.insert(begin.id, super::host::LocalJob { job, full: begin.full != 0 });
        }
        self.cluster.rerank(host);
        let mut output = begin.output_file.clone();
        output.keep_end(FILE_NAME_MAX);
        let file = last_three(&output);
        self.note(Level::Debug, || Note::LocalBegin { file: output, id: begin.id });
        let begin = MonLocalJobBegin { host, job, start_time: begin.start_time, file };
        self.tell_monitors(&Message::MonLocalJobBegin(begin));
    }

    /// JOB_LOCAL_DONE: a local job has ended.
    pub(super) fn local_done(&mut self, host: HostId, id: u32) {
        self.note(Level::Debug, || Note::LocalDone { id });
        let local = self.cluster.host_mut(host).and_then(|h| h.local.remove(&id));
        self.freed(host);
        self.tell_monitors(&Message::JobLocalDone { id: local.map_or(0, |l| l.job.0) });
    }
}

/// Shortens the texts of a request, which are kept as long as its jobs exist and are sent to monitors. Names longer
/// than any host's keep one byte more than allowed, so that they still match no host.
fn bound(request: &mut GetCs) {
    request.file.keep_end(FILE_NAME_MAX);
    request.target.keep_start(NAME_MAX + 1);
    request.preferred_host.keep_start(NAME_MAX + 1);
    request.environments.retain(|env| env.name.len() <= NAME_MAX && env.platform.len() <= NAME_MAX);
    request.environments.truncate(REQUEST_ENVIRONMENTS_MAX);
}

/// Why a job is assigned to its submitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubmitterReason {
    /// It is the chosen host; others could take the job too.
    Chosen,
    /// No other host can ever take it.
    Last,
}

/// The message that tells a submitter to build a job itself.
pub(super) fn build_it_yourself(host: &Host, job: JobId, client: ClientId, why: SubmitterReason) -> Message {
    if why == SubmitterReason::Last && host.features & features::TELLS_NO_HOST != 0 {
        return Message::UseCs(UseCs { job, host: LOCALHOST.into(), port: host.port, client, ..UseCs::default() });
    }
    if host.version.has_no_cs() {
        return Message::NoCs { job, client };
    }
    Message::UseCs(UseCs {
        job,
        port: host.port,
        host: host.address.clone(),
        host_platform: host.platform.clone(),
        env_present: 1,
        client,
        matched_job: JobId(0),
    })
}

/// Name of a language in `NEW` lines of the log.
fn language_name(number: u32) -> &'static str {
    match Language::from_number(number) {
        Some(Language::C) => "C",
        Some(Language::Cxx) => "C++",
        Some(Language::ObjC) => "ObjC",
        Some(Language::ObjCxx) => "ObjC++",
        None if number == 4 => "<custom>",
        None => "???",
    }
}
