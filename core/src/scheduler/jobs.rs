//! One job from GET_CS to JOB_DONE: asked for, queued, handed out, begun, ended.
//!
//! ```text
//! GET_CS ─► Pending ─► Waiting (USE_CS or NO_CS is out) ─► Compiling ─► gone
//!              └─ cancelled ──────┴──── JOB_DONE, a host left ───┘
//! ```
//! Who gets it is decided in `dispatch.rs`.

use super::host::{Host, Installing};
use super::monitor::{asked, environment_list, last_three, lost};
use super::need::{Asker, EnvKey, Need, NeedId};
use super::queue::Lane;
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

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub submitter: HostId,
    pub need: NeedId,
    pub client: ClientId,
    pub file: Text,
    pub arg_flags: u32,
    /// Its place in the queue's order: the niceness, less one for each minute it waited.
    pub level: u8,
    /// Jobs after it that came with the same request; only the first of a request knows.
    pub siblings: u8,
    pub state: State,
    /// What it was given to its server with: what that one has, or is to be sent. None where its submitter builds it.
    pub environment: Option<EnvKey>,
    /// It did not begin in its time ([`Host::dormant`]).
    pub dormant: bool,
    /// When it becomes more urgent.
    pub age_at: Option<Instant>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Waiting { server: HostId, since: Instant },
    Compiling { server: HostId, start_time: u32 },
}

impl Job {
    pub fn lane(&self) -> Lane {
        Lane { submitter: self.submitter, level: self.level, need: self.need }
    }

    pub fn server(&self) -> Option<HostId> {
        match self.state {
            State::Pending => None,
            State::Waiting { server, .. } | State::Compiling { server, .. } => Some(server),
        }
    }

    pub fn asker(&self) -> Asker {
        Asker { need: self.need, submitter: self.submitter }
    }
}

/// Lowest urgency.
const NICENESS_MAX: i32 = 20;
/// Jobs a submitter's history remembers.
const HISTORY_MAX: usize = 200;

impl Scheduler {
    /// GET_CS.
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
        let need = Need::of(request);
        let (known, count) = (host.asked.len(), request.count as usize);
        if known + count > JOBS_PER_HOST_MAX || self.jobs.len() + count > JOBS_MAX || self.cluster.needs.refuses(&need)
        {
            return self.turn_away(submitter, request);
        }
        let need = self.cluster.need(need);
        let level = (request.niceness as i32).clamp(0, NICENESS_MAX) as u8;
        let mut jobs = Vec::new();
        for n in 0..request.count {
            let job = JobId(self.next_number());
            let siblings = if n == 0 { (request.count - 1) as u8 } else { 0 };
            self.insert_job(
                job,
                Job {
                    submitter,
                    need,
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

    /// There is no room for more jobs: these are built by their submitter, and not kept in mind.
    fn turn_away(&mut self, submitter: HostId, request: &GetCs) {
        for _ in 0..request.count {
            let job = JobId(self.next_number());
            let Some(host) = self.cluster.host(submitter) else { return };
            let (peer, message) = (host.peer, home_message(host, job, request.client, Home::Last));
            self.note(Level::Info, || Note::AssigningSubmitter);
            self.send(peer, message);
        }
    }

    fn insert_job(&mut self, id: JobId, job: Job) {
        if let Some(known) = self.cluster.needs.known_mut(job.need) {
            known.jobs += 1;
            known.waiting += 1;
        }
        if let Some(host) = self.cluster.host_mut(job.submitter) {
            host.asked.insert(id);
        }
        self.jobs.insert(id, job);
    }

    /// JOB_BEGIN.
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
        let (submitter, need) = (job.submitter, job.need);
        if was_dormant {
            self.cluster.rerank(sender);
        }
        let submitter = self.cluster.host(submitter).map(|h| h.name.clone()).unwrap_or_default();
        let target = self.cluster.needs.known(need).map(|k| k.need.target.clone()).unwrap_or_default();
        self.tell_monitors(&Message::MonJobBegin(MonJobBegin {
            job: begin.job,
            start_time: begin.start_time,
            host: sender,
        }));
        self.note(Level::Debug, || Note::Begin { job: begin.job, submitter, target, server, platform });
    }

    /// JOB_DONE.
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
        let Some(job) = self.jobs.get(&id).filter(|job| !self.is_left(job)) else {
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
            // 1.4 ends the sender. But a host reports what its clients tell it: whoever can connect to it and knows the number of
            // another host's job could have it thrown out, with all its jobs.
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

    /// A cancel that names the client: every job of that client that has not begun ends.
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
        let jobs: Vec<JobId> = host.asked.iter().copied().filter(meant).collect();
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

    /// Forgets a job wherever it is. Its server may take another.
    pub(super) fn drop_job(&mut self, id: JobId) {
        let queued = self.dequeue(id);
        let Some(job) = self.jobs.remove(&id) else { return };
        if let Some(known) = self.cluster.needs.known_mut(job.need) {
            known.jobs -= 1;
            known.waiting -= usize::from(queued);
        }
        if let Some(host) = self.cluster.host_mut(job.submitter) {
            host.asked.remove(&id);
        }
        let Some(server) = job.server() else { return };
        let now = self.now;
        if let Some(host) = self.cluster.host_mut(server) {
            host.moved = now;
            // Jobs end roughly in the order they came, so it stands near the front.
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

    /// Environments are no longer on their way to a host.
    pub(super) fn end_installs(&mut self, server: HostId, ended: impl Fn(EnvKey, &Installing) -> bool) {
        let Some(host) = self.cluster.host_mut(server) else { return };
        let mut needs = Vec::new();
        host.installing.retain(|key, install| {
            let is_over = ended(*key, install);
            if is_over {
                needs.push(install.need);
            }
            !is_over
        });
        for need in needs {
            if let Some(known) = self.cluster.needs.known_mut(need) {
                known.installing = known.installing.saturating_sub(1);
            }
        }
    }

    /// A host may be able to take a job it could not take before.
    pub(super) fn freed(&mut self, host: HostId) {
        self.cluster.rerank(host);
        self.freed.insert(host);
    }

    /// Ends a job because a host left, or because nothing was heard of it for too long.
    pub(super) fn lose_job(&mut self, id: JobId, note: Note) {
        self.tell_monitors(&Message::MonJobDone(lost(id)));
        self.note(note.level(), || note);
        self.counts.lost += 1;
        self.drop_job(id);
    }

    /// JOB_LOCAL_BEGIN.
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

    /// JOB_LOCAL_DONE.
    pub(super) fn local_done(&mut self, host: HostId, id: u32) {
        self.note(Level::Debug, || Note::LocalDone { id });
        let local = self.cluster.host_mut(host).and_then(|h| h.local.remove(&id));
        self.freed(host);
        self.tell_monitors(&Message::JobLocalDone { id: local.map_or(0, |l| l.job.0) });
    }
}

/// Cuts what is kept of a request for as long as its jobs live, and what monitors are told. Names that no host can have stay
/// names that no host has.
fn bound(request: &mut GetCs) {
    request.file.keep_end(FILE_NAME_MAX);
    request.target.keep_start(NAME_MAX + 1);
    request.preferred_host.keep_start(NAME_MAX + 1);
    request.environments.retain(|env| env.name.len() <= NAME_MAX && env.platform.len() <= NAME_MAX);
    request.environments.truncate(REQUEST_ENVIRONMENTS_MAX);
}

/// Why a job goes to its submitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// Other hosts could take it as well.
    Chosen,
    /// No other host can take it.
    Last,
}

/// "Build it yourself."
pub(super) fn home_message(host: &Host, job: JobId, client: ClientId, why: Home) -> Message {
    if why == Home::Last && host.features & features::TELLS_NO_HOST != 0 {
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

/// A language as `NEW` lines name it.
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
