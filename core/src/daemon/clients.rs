//! Messages of clients, and the end of their connections.

use super::peer::{Peer, SessionJob, State, Work};
use super::scheduler::local_begin;
use super::{CloseReason, Daemon, JobReport, Note, Output};
use crate::env::EnvId;
use crate::ids::{ClientId, JobId, PeerId};
use crate::job::Language;
use crate::limits::{ARGUMENT_BYTES_MAX, ARGUMENTS_MAX, FILE_NAME_MAX, NAME_MAX, PATH_MAX, REQUEST_MAX};
use crate::message::{CompileFile, GetCs, JobDone, JobLocalBegin, LOCALHOST, Message, UseCs, done_flags};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;

/// Environment name of a job that the client compiles itself.
const OWN_CLIENT: &str = "__client";
/// Maximum number of copies of a job in one request.
const COUNT_MAX: u32 = 16;
/// Largest niceness; the smallest is 0.
const NICENESS_MAX: u32 = 20;

impl Daemon {
    /// A client connected. While the daemon stops, it is closed at once.
    pub(super) fn opened(&mut self, now: Instant, peer: PeerId, version: Version, address: Text, of_this_host: bool) {
        if self.terminate_at.is_some() {
            self.outputs.push_back(Output::Close(peer, CloseReason::Stopping));
            return;
        }
        self.clients_seen = self.clients_seen.wrapping_add(1).max(1);
        let client = ClientId(self.clients_seen);
        let state = State::Unknown;
        self.note(Note::Accepted(client.0, address.clone()));
        let new = Peer {
            client,
            version,
            address,
            of_this_host,
            active: now,
            state,
            jobs: Vec::new(),
            awaited: 0,
            pinned: None,
            refusal: None,
            sending: 0,
        };
        self.peers.insert(peer, new);
        self.load.wake(now);
    }

    /// A client's connection was closed.
    pub(super) fn closed(&mut self, now: Instant, peer: PeerId) {
        if self.peers.get(&peer).is_some_and(|p| matches!(p.state, State::WaitCompile { .. })) {
            self.fallbacks.dropped(now);
        }
        let reason = match self.peers.get(&peer).map(|p| &p.state) {
            Some(State::WaitForChild { .. }) => CloseReason::NoReport,
            _ => CloseReason::Closed,
        };
        self.forget(peer, reason);
    }

    /// A client sent a message.
    pub(super) fn client_message(&mut self, now: Instant, peer: PeerId, message: Message) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            return; // sent before the client saw that we closed
        };
        entry.active = now;
        if entry.state.is_taken_over() {
            // The connection's own thread handles its messages and forwards none.
            return self.unexpected(peer);
        }
        if !entry.of_this_host && is_for_own_clients(&message) {
            self.send(peer, Message::End);
            return self.close(peer, CloseReason::NotLocal);
        }
        match message {
            Message::GetNativeEnv(request) => {
                self.release(peer);
                self.natives.waiter_gone(peer);
                self.set_state(peer, State::WaitCreateEnv);
                self.outputs.push_back(Output::Examine(peer, request));
            }
            Message::GetCs(request) => self.request_server(now, peer, request),
            Message::CompileFile(file) => self.compile_file(now, peer, file),
            Message::TransferEnv(target) => self.transfer_env(now, peer, &target),
            Message::VerifyEnv(target) => self.verify_env(peer, &target),
            Message::BlacklistHostEnv(entry) => {
                if [&entry.environment, &entry.target, &entry.host].iter().all(|name| name.len() <= NAME_MAX) {
                    self.send_to_scheduler(Message::BlacklistHostEnv(entry));
                }
            }
            Message::JobLocalBegin(mut begin) => {
                self.fallbacks.local_asked(now);
                self.release(peer);
                begin.output_file.keep_end(FILE_NAME_MAX);
                self.set_state(peer, State::LinkJob { output: begin.output_file, full: begin.full != 0 });
            }
            Message::JobDone(done) => self.client_job_done(peer, &done),
            Message::End => self.close(peer, CloseReason::End),
            _ => self.unexpected(peer),
        }
    }

    /// Closes idle clients of other hosts, or a few hosts could occupy all connections.
    pub(super) fn close_idle(&mut self, now: Instant) {
        let idle = self.peers.iter().filter(|(_, p)| p.idle_end().is_some_and(|end| end <= now));
        for peer in idle.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(peer, CloseReason::Idle);
        }
    }

    /// When the first client is closed for being idle.
    pub(super) fn idle_due(&self) -> Option<Instant> {
        self.peers.values().filter_map(Peer::idle_end).min()
    }

    fn request_server(&mut self, now: Instant, peer: PeerId, mut request: GetCs) {
        // A request that fits into a frame of the client's version may exceed one of the scheduler's, which would end
        // that connection.
        if request_bytes(&request) > REQUEST_MAX {
            return self.refuse(peer, "request too long", CloseReason::BadJob);
        }
        self.release(peer);
        let client_count = self.connections();
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        request.client = entry.client;
        request.client_count = client_count;
        entry.awaited = request.count.clamp(1, COUNT_MAX);
        let asked = self.session.current();
        if asked.is_none() && self.session.expected_until().is_none_or(|until| until <= now) {
            answer_here(entry, &request);
            return;
        }
        entry.state = State::WaitForCs { request: Box::new(request.clone()), asked };
        self.send_to_scheduler(Message::GetCs(request));
    }

    /// Has the clients of requests that have waited long enough for a lost scheduler compile themselves.
    pub(super) fn answer_locally_if_due(&mut self, now: Instant) {
        if self.local_answer_due().is_none_or(|due| now < due) {
            return;
        }
        self.session.give_up();
        let mut answered = Vec::new();
        for peer in self.peers.values_mut() {
            if let State::WaitForCs { request, .. } = &peer.state {
                let request = request.clone();
                answer_here(peer, &request);
                answered.push(peer.client.0);
            }
        }
        for client in answered {
            self.note(Note::AnsweredLocally(client));
        }
    }

    /// USE_CS: the scheduler assigned a job of a client, to this host or another.
    pub(super) fn use_cs(&mut self, use_cs: UseCs) {
        let session = self.session.current();
        let no_host = use_cs.host == LOCALHOST && use_cs.host_platform.is_empty() && use_cs.env_present == 0;
        let here = no_host || self.session.known_as() == Some(&use_cs.host) && use_cs.port == self.config.port;
        let Some(peer) = self.requester(use_cs.client) else {
            return self.report_unclaimed(use_cs.job);
        };
        let job = SessionJob { job: use_cs.job, session };
        if here {
            return self.build_here(peer, job, use_cs.host_platform, no_host);
        }
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.jobs.push(job);
        entry.awaited -= 1;
        if matches!(entry.state, State::WaitForCs { .. } | State::WaitCompile { .. }) {
            entry.state = State::WaitCompile { host: use_cs.host.clone() };
        }
        self.send(peer, Message::UseCs(use_cs));
    }

    /// NO_CS: the client shall compile the job itself.
    pub(super) fn no_cs(&mut self, job: JobId, client: ClientId) {
        let session = self.session.current();
        match self.requester(client) {
            Some(peer) => self.build_here(peer, SessionJob { job, session }, Text::new(), false),
            None => self.report_unclaimed(job),
        }
    }

    /// The connection of a client that waits for an answer to GET_CS.
    fn requester(&self, client: ClientId) -> Option<PeerId> {
        self.peers.iter().find(|(_, p)| p.client == client && p.awaited > 0).map(|(id, _)| *id)
    }

    fn build_here(&mut self, peer: PeerId, job: SessionJob, platform: Text, no_host: bool) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        entry.jobs.push(job);
        entry.awaited -= 1;
        match &mut entry.state {
            State::PendingUseCs { jobs, .. } => jobs.push(job.job),
            // A further copy of a job that already has its slot.
            State::ClientWork(Work::Own) => {
                let told = self.own_use_cs(job.job, platform, no_host);
                self.send(peer, told);
            }
            state => {
                let niceness = match &state {
                    State::WaitForCs { request, .. } => clamp_niceness(request.niceness),
                    _ => 0,
                };
                *state = State::PendingUseCs { jobs: vec![job.job], platform, no_host, niceness };
            }
        }
    }

    /// The USE_CS that makes a client compile the job itself. `env_present` 0 tells our client that no host could take
    /// the job; 1.4's client ignores it.
    fn own_use_cs(&self, job: JobId, host_platform: Text, no_host: bool) -> Message {
        Message::UseCs(UseCs {
            job,
            port: self.config.port,
            host: LOCALHOST.into(),
            host_platform,
            env_present: u32::from(!no_host),
            client: ClientId(1),
            matched_job: JobId(0),
        })
    }

    fn compile_file(&mut self, now: Instant, peer: PeerId, file: CompileFile) {
        let Some(entry) = self.peers.get(&peer) else { return };
        if file.environment == *OWN_CLIENT {
            let job = entry.jobs.iter().find(|j| j.job == file.job).copied();
            return match (&entry.state, job) {
                (State::ClientWork(Work::Own), Some(job)) => self.job_begin(now, job),
                _ => self.unexpected(peer),
            };
        }
        let target = if file.target.is_empty() { &self.config.platform } else { &file.target };
        let env = match EnvId::new(target.as_bytes(), file.environment.as_bytes()) {
            Ok(env) => env,
            Err(error) => {
                self.note(Note::BadName(error.to_string().into()));
                return self.refuse(peer, "bad environment name", CloseReason::BadEnvironment);
            }
        };
        if self.config.no_remote {
            return self.refuse(peer, "no remote jobs accepted", CloseReason::BadJob);
        }
        let bytes: usize = file.arguments.iter().map(|(_, text)| text.len()).sum();
        if file.arguments.len() > ARGUMENTS_MAX || bytes > ARGUMENT_BYTES_MAX {
            return self.refuse(peer, "too many arguments", CloseReason::BadJob);
        }
        let names = [&file.compiler, &file.input_file, &file.working_directory, &file.output_file];
        if names.iter().any(|name| name.len() > PATH_MAX) {
            return self.refuse(peer, "path too long", CloseReason::BadJob);
        }
        if Language::from_number(file.language).is_none() {
            return self.refuse(peer, "language not supported", CloseReason::BadJob);
        }
        self.release(peer);
        self.note(Note::RequestForJob(file.job.0));
        let session = self.session.current().filter(|_| !self.is_taken(file.job, peer));
        let job = SessionJob { job: file.job, session };
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.pinned = Some(env.clone());
            entry.state = State::ToCompile { job, env, file: Box::new(file) };
        }
    }

    /// Whether another connection already serves or builds the job with this number here. A client may have guessed the
    /// number; it must not report the end of that job.
    fn is_taken(&self, job: JobId, by: PeerId) -> bool {
        let job = SessionJob { job, session: self.session.current() };
        let own = self.peers.get(&by).is_some_and(|p| p.of_this_host);
        self.peers.values().any(|p| match &p.state {
            State::ToCompile { job: other, .. } | State::WaitForChild { job: other, .. } => *other == job,
            // A client of this host may have its own job served by this daemon.
            State::PendingUseCs { .. } | State::ClientWork(Work::Own) => !own && p.jobs.contains(&job),
            _ => false,
        })
    }

    /// The compiler of a granted job has ended: reports the job and frees its slot.
    pub(super) fn job_ended(&mut self, now: Instant, peer: PeerId, report: &JobReport) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let State::WaitForChild { job, env, .. } = &entry.state else { return };
        let (job, env) = (*job, env.clone());
        entry.state = State::Sending;
        entry.sending = report.held;
        entry.pinned = None;
        self.load.own_work(report.stats.user_ms, report.stats.sys_ms);
        self.envs.touch(&env, self.unix(now));
        if report.broken {
            self.env_broken(&env);
        }
        self.sweep_broken();
        // Before the job's end is reported: otherwise its slot could be filled by a job for an environment that was
        // just removed.
        self.announce_changes(now);
        if self.session.is_current(job.session) {
            self.job_done(JobDone {
                job: job.job.0,
                exit_code: report.exit_code,
                stats: report.stats,
                flags: 0,
                client_count: 0,
            });
        }
        self.keep_unread_limit();
    }

    fn client_job_done(&mut self, peer: PeerId, done: &JobDone) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let own = (done.flags & done_flags::UNKNOWN_JOB == 0)
            .then(|| entry.jobs.iter().position(|j| j.job.0 == done.job))
            .flatten();
        let Some(index) = own else {
            return self.refuse(peer, "", CloseReason::ForeignJob);
        };
        let job = entry.jobs.remove(index);
        if matches!(entry.state, State::ClientWork(Work::Own)) {
            self.load.own_work_of_client(done.stats.real_ms, done.stats.user_ms, done.stats.sys_ms);
        }
        if entry.jobs.is_empty() {
            entry.state = State::JobDone;
        }
        if self.session.is_current(job.session) {
            self.job_done(*done);
        }
    }

    /// Reports the begin of a job, if the current scheduler knows it.
    pub(super) fn job_begin(&mut self, now: Instant, job: SessionJob) {
        if self.session.is_current(job.session) {
            let begin =
                crate::message::JobBegin { job: job.job, start_time: self.unix(now), client_count: self.connections() };
            self.send_to_scheduler(Message::JobBegin(begin));
        }
    }

    /// Grants a slot to a client for its own work.
    pub(super) fn start_own(&mut self, now: Instant, peer: PeerId) {
        let started = self.unix(now);
        let announced = self.session.current();
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        match std::mem::replace(&mut entry.state, State::Unknown) {
            State::PendingUseCs { jobs, platform, no_host, .. } => {
                entry.state = State::ClientWork(Work::Own);
                for job in jobs {
                    let told = self.own_use_cs(job, platform.clone(), no_host);
                    self.send(peer, told);
                }
            }
            State::LinkJob { output, full } => {
                let told = local_begin(started, &output, entry.client.0, full);
                entry.state = State::ClientWork(Work::Local { output, full, started, announced });
                self.send_to_scheduler(told);
                self.note(Note::LocalBegins);
                self.send(
                    peer,
                    Message::JobLocalBegin(JobLocalBegin { start_time: started, ..JobLocalBegin::default() }),
                );
            }
            other => entry.state = other,
        }
    }

    /// Sets the state of a connection, if it exists.
    pub(super) fn set_state(&mut self, peer: PeerId, state: State) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.state = state;
        }
    }

    /// Handles a message that is invalid in this state: sends END and closes.
    pub(super) fn unexpected(&mut self, peer: PeerId) {
        self.send(peer, Message::End);
        self.close(peer, CloseReason::Unexpected);
    }

    /// Closes a connection, with a text for the client's log if its version has STATUS_TEXT.
    pub(super) fn refuse(&mut self, peer: PeerId, text: &str, reason: CloseReason) {
        if !text.is_empty() && self.peers.get(&peer).is_some_and(|p| p.version.has_status_text()) {
            self.send(peer, Message::StatusText { text: text.into() });
        }
        self.close(peer, reason);
    }

    /// Removes a connection and informs the scheduler of its jobs.
    pub(super) fn forget(&mut self, peer: PeerId, reason: CloseReason) {
        let Some(entry) = self.peers.remove(&peer) else { return };
        self.note(Note::Ends(entry.client.0, entry.address.clone(), reason));
        self.verifier_gone(peer);
        self.natives.waiter_gone(peer);
        self.report_end(entry.client, entry.state, entry.jobs, reason);
    }

    /// Ends the current work of a client that starts something new, as if it had sent END.
    pub(super) fn release(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let state = std::mem::replace(&mut entry.state, State::Unknown);
        let jobs = std::mem::take(&mut entry.jobs);
        entry.awaited = 0;
        let client = entry.client;
        self.report_end(client, state, jobs, CloseReason::End);
    }

    fn report_end(&mut self, client: ClientId, state: State, jobs: Vec<SessionJob>, reason: CloseReason) {
        let code = reason.code();
        match state {
            State::Unknown
            | State::GotNative
            | State::WaitCreateEnv
            | State::LinkJob { .. }
            | State::JobDone
            // An arriving environment ends with `Received`.
            | State::ToInstall(_)
            | State::Sending => {}
            State::WaitForCs { asked, .. } => {
                if self.session.is_current(asked) {
                    let flags = done_flags::FROM_SUBMITTER | done_flags::UNKNOWN_JOB;
                    self.job_done(JobDone { job: client.0, exit_code: code, flags, ..JobDone::default() });
                }
            }
            State::ClientWork(Work::Local { announced, .. }) => {
                if self.session.is_current(announced) {
                    self.send_to_scheduler(Message::JobLocalDone { id: client.0 });
                }
            }
            // After END the compile server reports the job.
            State::WaitCompile { .. } if reason == CloseReason::End => {}
            State::PendingUseCs { .. } | State::WaitCompile { .. } | State::ClientWork(Work::Own) => {
                for job in jobs {
                    self.job_failed(job, code, done_flags::FROM_SUBMITTER);
                }
            }
            State::ToCompile { job, .. } | State::WaitForChild { job, .. } => self.job_failed(job, code, 0),
        }
    }
}

/// Whether a message uses this host's slots or causes messages to the scheduler. Such messages are accepted from
/// clients of this host only; 1.4 accepts them from anyone.
fn is_for_own_clients(message: &Message) -> bool {
    match message {
        Message::CompileFile(file) => file.environment == *OWN_CLIENT,
        Message::GetNativeEnv(_)
        | Message::GetCs(_)
        | Message::JobLocalBegin(_)
        | Message::JobDone(_)
        | Message::BlacklistHostEnv(_) => true,
        _ => false,
    }
}

/// Answers a request without a scheduler: the client compiles itself.
fn answer_here(peer: &mut Peer, request: &GetCs) {
    let job = SessionJob { job: JobId(peer.client.0), session: None };
    let copies = usize::try_from(std::mem::take(&mut peer.awaited)).unwrap_or(1);
    peer.jobs.extend(std::iter::repeat_n(job, copies));
    peer.state = State::PendingUseCs {
        jobs: vec![job.job; copies],
        platform: request.target.clone(),
        no_host: false,
        niceness: clamp_niceness(request.niceness),
    };
}

/// Size of all texts of a request in bytes.
fn request_bytes(request: &GetCs) -> usize {
    let environments =
        request.environments.iter().map(|env| 2 * size_of::<u32>() + env.platform.len() + env.name.len());
    environments.sum::<usize>() + request.file.len() + request.target.len() + request.preferred_host.len()
}

/// Niceness clamped to 0..=20. Negative values arrive wrapped and count as 0.
fn clamp_niceness(n: u32) -> u32 {
    if i32::try_from(n).is_err() { 0 } else { n.min(NICENESS_MAX) }
}
