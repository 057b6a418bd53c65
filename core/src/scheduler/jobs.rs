//! A job from GET_CS to JOB_DONE: requested, queued, assigned, begun, ended.
//!
//! ```text
//! GET_CS ─► Pending ─► Waiting (USE_CS or NO_CS is out) ─► Compiling ─► gone
//!              └─ cancelled ──────┴──── JOB_DONE, a host left ───┘
//! ```
//! `dispatch.rs` assigns jobs to hosts.

use super::host::Said;
use super::hosts::is_environment;
use super::job::Job;
use super::monitor::{asked, environment_list, last_three, lost};
use super::requirement::Requirement;
use super::{Note, Scheduler, Timer};
use crate::ids::{ClientId, HostId, JobId};
use crate::job::Language;
use crate::level::Level;
use crate::limits::{FILE_NAME_MAX, JOBS_PER_REQUEST_MAX, NAME_MAX, REQUEST_ENVIRONMENTS_MAX};
use crate::message::{
    GetCs, JobBegin, JobDone, JobLocalBegin, LOCALHOST, Message, MonJobBegin, MonLocalJobBegin, UseCs, done_flags,
    features,
};
use crate::text::Text;

impl Scheduler {
    /// GET_CS: creates the requested jobs and assigns or queues them.
    pub(super) fn requested(&mut self, submitter: HostId, mut request: GetCs) {
        bound(&mut request);
        let request = &request;
        self.ledger.count_clients(submitter, request.client_count);
        let Some(host) = self.ledger.host(submitter) else { return };
        let name = host.said().name.clone();
        if request.count > JOBS_PER_REQUEST_MAX {
            let why = format!("{} jobs at once, at most {JOBS_PER_REQUEST_MAX}", request.count);
            self.note(Level::Warning, || Note::RequestRefused { name, why });
            return;
        }
        let requirement = Requirement::of(request);
        if self.ledger.refuses(host, request.count as usize, &requirement) {
            return self.refuse_jobs(submitter, request);
        }
        let requirement = self.ledger.requirement(requirement);
        let mut jobs = Vec::new();
        for n in 0..request.count {
            let siblings = if n == 0 { (request.count - 1) as u8 } else { 0 };
            let job = Job::new(submitter, requirement, request, siblings);
            let niceness = job.level();
            let job = self.ledger.ask(job);
            self.note(Level::Info, || Note::NewJob {
                job,
                submitter: name.clone(),
                versions: environment_list(&request.environments),
                file: request.file.clone(),
                language: language_name(request.language),
                niceness,
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
            let job = self.ledger.next_number();
            let Some(host) = self.ledger.known_host(submitter) else { return };
            let message = build_it_yourself(host.said(), job, request.client, SubmitterReason::Last);
            let peer = host.said().peer;
            self.note(Level::Info, || Note::AssigningSubmitter);
            self.send(peer, message);
        }
    }

    /// JOB_BEGIN: a server starts a job.
    pub(super) fn begun(&mut self, sender: HostId, begin: JobBegin) {
        let Some(job) = self.ledger.job(begin.job).filter(|job| job.server().is_some()) else {
            self.note(Level::Debug, || Note::BeginUnknown { job: begin.job });
            return;
        };
        let (server, requester) = (job.server(), job.requester());
        let Some(host) = self.ledger.known_host(sender).map(|host| host.said().clone()) else { return };
        if server != Some(sender) {
            self.note(Level::Debug, || Note::BeginElsewhere { address: host.address });
            return;
        }
        self.ledger.count_clients(sender, begin.client_count);
        self.ledger.begin(begin.job, sender, begin.start_time);
        self.tell_monitors(&Message::MonJobBegin(MonJobBegin {
            job: begin.job,
            start_time: begin.start_time,
            host: sender,
        }));
        let submitter = self.name(requester.submitter);
        let target = self.ledger.cluster().requirements().get(requester.requirement);
        let target = target.map(|known| known.requirement().target.clone()).unwrap_or_default();
        let (server, platform) = (host.name, host.platform);
        self.note(Level::Debug, || Note::Begin { job: begin.job, submitter, target, server, platform });
    }

    /// JOB_DONE: a server or submitter reports the end of a job, or a submitter cancels one.
    pub(super) fn done(&mut self, sender: HostId, mut done: JobDone) {
        let Some(host) = self.ledger.known_host(sender) else { return };
        let old = !host.said().version.has_client_count();
        let names_client = done.flags & done_flags::UNKNOWN_JOB != 0 || (old && done.exit_code == 200);
        let by_submitter = done.flags & done_flags::FROM_SUBMITTER != 0;
        done.flags &= !done_flags::UNKNOWN_JOB;
        if names_client && by_submitter && done.job != 0 {
            self.cancelled(sender, done);
            return;
        }
        let id = JobId(done.job);
        let known = self.ledger.job(id).filter(|job| !names_client && !self.ledger.is_orphan(job));
        let Some(job) = known else {
            self.note(Level::Debug, || Note::DoneUnknown { job: id.0 });
            return;
        };
        let Some(server) = job.server() else {
            self.note(Level::Debug, || Note::DonePending { job: id });
            return;
        };
        let expected = if by_submitter { job.submitter() } else { server };
        if expected != sender {
            let (known, sender) = (self.name(expected), self.name(sender));
            self.note(Level::Info, || match by_submitter {
                false => Note::WrongServer { job: id, server: known, sender },
                true => Note::WrongSubmitter { job: id, submitter: known, sender },
            });
            // 1.4 removes the sender. But a host forwards what its clients report: anyone who can connect to it and
            // knows the number of another host's job could have it removed, with all its jobs.
            return;
        }
        self.ledger.count_clients(sender, done.client_count);
        let server_name = self.name(server);
        self.note(Level::Debug, || Note::End { done, server: server_name });
        if !by_submitter {
            self.host_answered(server, id, done.exit_code);
        }
        self.ledger.learn(id, &done, &mut self.files);
        self.drop_job(id);
        self.counts.ended(done.exit_code);
        self.tell_monitors(&Message::MonJobDone(done));
    }

    /// A cancellation that names a client: every job of that client that has not begun ends.
    fn cancelled(&mut self, submitter: HostId, done: JobDone) {
        let client = ClientId(done.job);
        self.ledger.count_clients(submitter, done.client_count);
        let Some(host) = self.ledger.host(submitter) else { return };
        let not_begun = |job: &Job| job.client() == client && !job.has_begun();
        let meant = |id: &JobId| self.ledger.job(*id).is_some_and(not_begun);
        let jobs: Vec<JobId> = host.work().submitted().iter().copied().filter(meant).collect();
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

    /// Removes a job from all records. Its server may then take another one.
    fn drop_job(&mut self, id: JobId) {
        let timer = self.ledger.end(id, self.now);
        self.cancel_timer(timer, Timer::Age(id));
    }

    /// The node name of a host; nothing if it has left.
    fn name(&self, id: HostId) -> Text {
        self.ledger.host(id).map(|host| host.said().name.clone()).unwrap_or_default()
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
        let Some(job) = self.ledger.begin_local(host, begin) else { return };
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
        let job = self.ledger.end_local(host, id).unwrap_or(JobId(0));
        self.tell_monitors(&Message::JobLocalDone { id: job.0 });
    }
}

/// Shortens the texts of a request, which are kept as long as its jobs exist and are sent to monitors. Names longer
/// than any host's keep one byte more than allowed, so that they still match no host.
fn bound(request: &mut GetCs) {
    request.file.keep_end(FILE_NAME_MAX);
    request.target.keep_start(NAME_MAX + 1);
    request.preferred_host.keep_start(NAME_MAX + 1);
    request.environments.retain(is_environment);
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
pub(super) fn build_it_yourself(host: &Said, job: JobId, client: ClientId, why: SubmitterReason) -> Message {
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
