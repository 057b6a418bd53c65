//! What clients say, and the end of their connections.

use super::job::{Ended, SessionJob};
use super::served::Task;
use super::{CloseReason, Daemon, JobReport, Note, Origin, Output};
use crate::env::EnvId;
use crate::ids::{JobId, PeerId};
use crate::job::Language;
use crate::limits::{ARGUMENT_BYTES_MAX, ARGUMENTS_MAX, FILE_NAME_MAX, NAME_MAX, PATH_MAX, REQUEST_MAX};
use crate::message::{BlacklistHostEnv, CompileFile, FilesJob, GetCs, JobDone, JobLocalBegin, Message, done_flags};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;

/// Environment name of a job that the client compiles itself.
const OWN_CLIENT: &str = "__client";

impl Daemon {
    /// A client connected. While the daemon stops, it is closed at once.
    pub(super) fn opened(&mut self, now: Instant, peer: PeerId, version: Version, address: Text, origin: Origin) {
        if self.terminate_at.is_some() {
            self.outputs.push_back(Output::Close(peer, CloseReason::Stopping));
            return;
        }
        let client = self.peers.open(now, peer, version, address.clone(), origin);
        self.note(Note::Accepted(client.0, address));
        self.load.wake(now);
    }

    /// A client's connection was closed.
    pub(super) fn closed(&mut self, now: Instant, peer: PeerId) {
        let Some(entry) = self.peers.get(peer) else { return };
        if entry.is_elsewhere() {
            self.fallbacks.dropped(now);
        }
        let reason = if entry.runs().is_some() { CloseReason::NoReport } else { CloseReason::Closed };
        self.forget(peer, reason);
    }

    /// A client sent a message.
    pub(super) fn client_message(&mut self, now: Instant, peer: PeerId, message: Message) {
        let Some(entry) = self.peers.get_mut(peer) else {
            return; // sent before the client saw that we closed
        };
        entry.heard(now);
        if entry.is_taken_over() {
            // The connection's own thread handles its messages and forwards none.
            return self.unexpected(peer);
        }
        if !entry.is_of_this_host() && is_for_own_clients(&message) {
            self.send(peer, Message::End);
            return self.close(peer, CloseReason::NotLocal);
        }
        match message {
            Message::GetNativeEnv(_) => self.want_native(peer),
            Message::GetCs(request) => self.request_server(now, peer, request),
            Message::CompileFile(file) => self.compile_file(now, peer, file),
            Message::FilesJob(job) => self.files_job(now, peer, *job),
            Message::TransferEnv(target) => self.transfer_env(now, peer, &target),
            Message::VerifyEnv(target) => self.verify_env(now, peer, &target),
            Message::BlacklistHostEnv(entry) => self.blacklist(now, entry),
            Message::JobLocalBegin(begin) => self.want_local_slot(now, peer, begin),
            Message::JobDone(done) => self.client_job_done(peer, &done),
            Message::End => self.close(peer, CloseReason::End),
            _ => self.unexpected(peer),
        }
    }

    /// What its files are follows by [`Input::Examined`](super::Input::Examined).
    fn want_native(&mut self, peer: PeerId) {
        self.release(peer);
        self.natives.waiter_gone(peer);
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.wait_for_native();
        }
    }

    /// BLACKLIST_HOST_ENV: the scheduler's, or, without an environment, of a host whose results are false.
    fn blacklist(&mut self, now: Instant, entry: BlacklistHostEnv) {
        if [&entry.environment, &entry.target, &entry.host].iter().any(|name| name.len() > NAME_MAX) {
            return;
        }
        if entry.environment.is_empty() {
            self.note(Note::FalseResult(entry.host.clone()));
            self.distrusted.add(now, entry.host);
        } else {
            self.send_to_scheduler(Message::BlacklistHostEnv(entry));
        }
    }

    fn want_local_slot(&mut self, now: Instant, peer: PeerId, mut begin: JobLocalBegin) {
        self.fallbacks.local_asked(now);
        self.release(peer);
        begin.output_file.keep_end(FILE_NAME_MAX);
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.wait_with_local_job(begin.output_file, begin.full != 0);
        }
    }

    fn request_server(&mut self, now: Instant, peer: PeerId, mut request: GetCs) {
        // A request that fits into a frame of the client's version may exceed one of the scheduler's, which would end
        // that connection.
        if request_bytes(&request) > REQUEST_MAX {
            return self.refuse(peer, "request too long", CloseReason::BadJob);
        }
        self.release(peer);
        request.client_count = self.connections();
        let asked = self.session.current();
        let Some(entry) = self.peers.get_mut(peer) else { return };
        request.client = entry.client();
        entry.ask(request.clone(), asked);
        if asked.is_none() && self.session.expected_until().is_none_or(|until| until <= now) {
            entry.answer_here(false);
        } else {
            self.send_to_scheduler(Message::GetCs(request));
        }
    }

    fn compile_file(&mut self, now: Instant, peer: PeerId, file: CompileFile) {
        if file.environment == *OWN_CLIENT {
            return match self.peers.get(peer).and_then(|entry| entry.own_job(file.job)) {
                Some(job) => self.job_begin(now, job),
                None => self.unexpected(peer),
            };
        }
        let Some(env) = self.env_of(&file.target, &file.environment) else {
            return self.refuse(peer, "bad environment name", CloseReason::BadEnvironment);
        };
        if let Some(why) = self.why_not(&file) {
            return self.refuse(peer, why, CloseReason::BadJob);
        }
        self.serve(now, peer, file.job, Some(env), Task::Text(Box::new(file)));
    }

    fn files_job(&mut self, now: Instant, peer: PeerId, file: FilesJob) {
        let why = if self.config.no_remote {
            Some("no remote jobs accepted")
        } else if !self.config.takes_files {
            Some("no jobs on files of submitters here")
        } else if file.target != self.config.platform {
            Some("files of another platform")
        } else if file.input_file.len() > PATH_MAX {
            Some("path too long")
        } else {
            None
        };
        match why {
            Some(why) => self.refuse(peer, why, CloseReason::BadJob),
            None => self.serve(now, peer, file.job, None, Task::Files(file.input_file)),
        }
    }

    /// A remote job waits for a slot from now on.
    fn serve(&mut self, now: Instant, peer: PeerId, job: JobId, env: Option<EnvId>, task: Task) {
        self.release(peer);
        self.note(Note::RequestForJob(job.0));
        // A client may have guessed the number of another's job; it must not report the end of that one.
        let mut job = SessionJob { job, session: self.session.current() };
        if self.peers.is_taken(job, peer) {
            job.session = None;
        }
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.wait_for_slot(now, job, env, task);
        }
    }

    /// Why a remote job is refused, if it is.
    fn why_not(&self, file: &CompileFile) -> Option<&'static str> {
        let bytes: usize = file.arguments.iter().map(|(_, text)| text.len()).sum();
        let names = [&file.compiler, &file.input_file, &file.working_directory, &file.output_file];
        if self.config.no_remote {
            Some("no remote jobs accepted")
        } else if file.arguments.len() > ARGUMENTS_MAX || bytes > ARGUMENT_BYTES_MAX {
            Some("too many arguments")
        } else if names.iter().any(|name| name.len() > PATH_MAX) {
            Some("path too long")
        } else if Language::from_number(file.language).is_none() {
            Some("language not supported")
        } else {
            None
        }
    }

    /// The environment that a client names; this host's platform is the default.
    pub(super) fn env_of(&mut self, platform: &Text, name: &Text) -> Option<EnvId> {
        let platform = if platform.is_empty() { &self.config.platform } else { platform };
        match EnvId::new(platform.as_bytes(), name.as_bytes()) {
            Ok(env) => Some(env),
            Err(error) => {
                self.note(Note::BadName(error.to_string().into()));
                None
            }
        }
    }

    /// The compiler of a granted job has ended: reports the job and frees its slot.
    pub(super) fn job_ended(&mut self, now: Instant, peer: PeerId, report: &JobReport) {
        let ended = self.peers.get_mut(peer).and_then(|entry| entry.job_ended(report.held));
        let Some((job, env)) = ended else { return };
        self.load.own_work(report.stats.user_ms, report.stats.sys_ms);
        if let Some(env) = &env {
            if let Some(entry) = self.peers.get(peer) {
                self.envs.touch(env, entry.address(), self.unix(now));
            }
            if report.broken {
                self.envs.set_broken(env);
            }
        }
        self.sweep_broken();
        // Before the job's end is reported: otherwise its slot could be filled by a job for an environment that was
        // just removed.
        self.announce_changes(now);
        let done =
            JobDone { job: job.job.0, exit_code: report.exit_code, stats: report.stats, flags: 0, client_count: 0 };
        self.report(Ended::Job(job.session, done));
        while let Some(peer) = self.peers.largest_unread() {
            self.close(peer, CloseReason::Unread);
        }
    }

    /// A job made system calls that its filter does not know. Each is logged once.
    pub(super) fn unknown_calls(&mut self, calls: &[(Text, u64)]) {
        for (name, count) in calls {
            if self.unknown_calls.add(name, *count) {
                self.note(Note::UnknownCall(name.clone()));
            }
        }
    }

    fn client_job_done(&mut self, peer: PeerId, done: &JobDone) {
        let is_known = done.flags & done_flags::UNKNOWN_JOB == 0;
        let entry = self.peers.get_mut(peer).filter(|_| is_known);
        let Some((job, was_own)) = entry.and_then(|entry| entry.job_done(JobId(done.job))) else {
            return self.close(peer, CloseReason::ForeignJob);
        };
        if was_own {
            self.load.own_work_of_client(done.stats.real_ms, done.stats.user_ms, done.stats.sys_ms);
        }
        self.report(Ended::Job(job.session, *done));
    }

    /// Closes idle clients of other hosts, or a few hosts could occupy all connections.
    pub(super) fn close_idle(&mut self, now: Instant) {
        for peer in self.peers.which(|p| p.idle_end().is_some_and(|end| end <= now)) {
            self.close(peer, CloseReason::Idle);
        }
    }

    /// Handles a message that is invalid in this state: sends END and closes.
    pub(super) fn unexpected(&mut self, peer: PeerId) {
        self.send(peer, Message::End);
        self.close(peer, CloseReason::Unexpected);
    }

    /// Closes a connection, with a text for the client's log.
    pub(super) fn refuse(&mut self, peer: PeerId, text: &str, reason: CloseReason) {
        self.explain(peer, text);
        self.close(peer, reason);
    }

    /// Sends a text for the client's log, if its version has STATUS_TEXT.
    pub(super) fn explain(&mut self, peer: PeerId, text: &str) {
        if self.peers.get(peer).is_some_and(|p| p.version().has_status_text()) {
            self.send(peer, Message::StatusText { text: text.into() });
        }
    }

    /// Closes a connection and informs the scheduler of its jobs. The later `Closed` has no effect.
    pub(super) fn close(&mut self, peer: PeerId, reason: CloseReason) {
        if self.peers.get(peer).is_some() {
            self.outputs.push_back(Output::Close(peer, reason));
            self.forget(peer, reason);
        }
    }

    /// Removes a connection and informs the scheduler of its jobs.
    fn forget(&mut self, peer: PeerId, reason: CloseReason) {
        let Some(mut entry) = self.peers.remove(peer) else { return };
        self.note(Note::Ends(entry.client().0, entry.address().clone(), reason));
        self.envs.waiter_gone(peer);
        self.natives.waiter_gone(peer);
        self.report_all(entry.end_work(reason));
    }

    /// Ends the current work of a client that starts something new, as if it had sent END.
    pub(super) fn release(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(peer) {
            let ended = entry.end_work(CloseReason::End);
            self.report_all(ended);
        }
    }
}

/// Whether a message uses this host's slots, has files of this host examined and programs of it run by name, or causes
/// messages to the scheduler. Such messages are accepted from clients of this host only; 1.4 accepts them from anyone.
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

/// Size of all texts of a request in bytes.
fn request_bytes(request: &GetCs) -> usize {
    let environments =
        request.environments.iter().map(|env| 2 * size_of::<u32>() + env.platform.len() + env.name.len());
    environments.sum::<usize>() + request.file.len() + request.target.len() + request.preferred_host.len()
}
