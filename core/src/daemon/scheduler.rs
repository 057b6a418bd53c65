//! What the scheduler says, and what it is told.

use super::peer::{Peer, SessionJob, State, Work};
use super::{Daemon, Note, Output};
use crate::env::{EnvId, EnvRef};
use crate::ids::JobId;
use crate::limits::STATUS_TEXT_MAX;
use crate::message::{JobDone, JobLocalBegin, Login, Message, done_flags};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;

impl Daemon {
    /// A scheduler is connected: logs in and reports the current work.
    pub(super) fn scheduler_connected(&mut self, now: Instant, version: Version, known_as: Text) {
        if self.terminate_at.is_some() {
            self.outputs.push_back(Output::CloseScheduler);
            return;
        }
        self.note(Note::Connected(known_as.clone()));
        self.session.connected(version, known_as);
        let login = Login {
            port: self.config.port,
            slots: self.config.slots,
            platform: self.config.platform.clone(),
            chroot_possible: u32::from(self.config.chroot_possible),
            no_remote: u32::from(self.config.no_remote),
            ..self.further_login()
        };
        self.log_in(now, login);
        self.load.report_again();
        self.resume_on_scheduler();
    }

    /// The environments that can be used, as in LOGIN.
    pub fn environments(&self) -> Vec<EnvRef> {
        let named = |id: &EnvId| EnvRef { platform: id.platform.as_str().into(), name: id.name.as_str().into() };
        self.envs.installed().map(named).collect()
    }

    /// LOGIN of a host that is logged in already; it tells the environments.
    fn further_login(&self) -> Login {
        Login {
            port: 0,
            slots: 0,
            environments: self.environments(),
            node_name: self.config.node_name.clone(),
            platform: Text::new(),
            chroot_possible: 1,
            no_remote: 0,
            features: self.config.features,
        }
    }

    fn log_in(&mut self, now: Instant, login: Login) {
        let announced = self.envs.installed().cloned().collect();
        self.outputs.extend(self.session.log_in(now, login, announced));
    }

    /// Reports waiting requests and running local jobs to a new scheduler.
    fn resume_on_scheduler(&mut self) {
        let session = self.session.current();
        let connections = self.connections();
        let mut messages = Vec::new();
        for peer in self.peers.values_mut() {
            match &mut peer.state {
                State::WaitForCs { request, asked } => {
                    *asked = session;
                    request.client_count = connections;
                    messages.push(Message::GetCs((**request).clone()));
                }
                State::ClientWork(Work::Local { output, full, started, announced }) => {
                    *announced = session;
                    messages.push(local_begin(*started, output, peer.client.0, *full));
                }
                _ => {}
            }
        }
        for message in messages {
            self.send_to_scheduler(message);
        }
    }

    /// Sends LOGIN again if the environments differ from those announced. This is the only place that does so, and it
    /// runs after each event: code that changes environments need not do anything.
    pub(super) fn announce_changes(&mut self, now: Instant) {
        let is_known = self.session.announced().is_some_and(|announced| self.envs.installed().eq(announced));
        if !is_known && self.session.current().is_some() {
            let login = self.further_login();
            self.log_in(now, login);
        }
    }

    /// Checks that the announced environments are the installed ones.
    pub(super) fn check_announced(&self) -> Result<(), String> {
        let announced = self.session.announced().unwrap_or_default();
        if self.session.current().is_some() && !self.envs.installed().eq(announced) {
            return Err("the scheduler was told of other environments".to_owned());
        }
        Ok(())
    }

    /// The connection to the scheduler was closed.
    pub(super) fn scheduler_lost(&mut self, now: Instant) {
        if self.session.lost(now) {
            self.note(Note::SchedulerGone);
        }
    }

    /// The scheduler sent a message. An unexpected one ends the connection.
    pub(super) fn scheduler_message(&mut self, now: Instant, message: Message) {
        if self.session.current().is_none() {
            return; // sent before the scheduler saw that we closed
        }
        match message {
            Message::UseCs(use_cs) => self.use_cs(use_cs),
            Message::NoCs { job, client } => self.no_cs(job, client),
            Message::CsConf(conf) => {
                self.load.set_interval(conf.max_pong);
                self.outputs.extend(self.session.release());
            }
            Message::Ping => {
                if self.session.version().is_some_and(|v| !v.has_keepalive()) {
                    self.send_to_scheduler(Message::Ping);
                }
            }
            Message::GetInternals => {
                let mut text = Text::from(self.internals(now));
                text.keep_start(STATUS_TEXT_MAX);
                self.send_to_scheduler(Message::StatusText { text });
            }
            _ => {
                self.note(Note::UnknownSchedulerMessage);
                self.note(Note::SchedulerGone);
                self.outputs.push_back(self.session.close(now));
            }
        }
    }

    /// Sends a message to the scheduler, if connected; it may be held back while LOGIN has not been answered.
    pub(super) fn send_to_scheduler(&mut self, message: Message) {
        self.outputs.extend(self.session.send(message));
    }

    /// Reports a job that failed here, if the current scheduler assigned it.
    pub(super) fn job_failed(&mut self, job: SessionJob, code: i32, flags: u32) {
        if self.session.is_current(job.session) {
            let done = JobDone { job: job.job.0, exit_code: code, flags, ..JobDone::default() };
            self.job_done(done);
        }
    }

    /// Sends JOB_DONE with the number of connections filled in.
    pub(super) fn job_done(&mut self, done: JobDone) {
        let client_count = self.connections();
        self.send_to_scheduler(Message::JobDone(JobDone { client_count, ..done }));
    }

    /// Reports a job that was assigned to a client that is gone, so that the scheduler frees the server's slot.
    pub(super) fn report_unclaimed(&mut self, job: JobId) {
        let session = self.session.current();
        self.job_failed(SessionJob { job, session }, 107, done_flags::FROM_SUBMITTER);
    }

    /// When requests that wait for a lost scheduler are answered locally, if there are any.
    pub(super) fn local_answer_due(&self) -> Option<Instant> {
        let waits = |p: &Peer| matches!(p.state, State::WaitForCs { .. });
        self.session.expected_until().filter(|_| self.peers.values().any(waits))
    }
}

/// JOB_LOCAL_BEGIN for the scheduler.
pub(super) fn local_begin(start_time: u32, output: &Text, id: u32, full: bool) -> Message {
    Message::JobLocalBegin(JobLocalBegin { start_time, output_file: output.clone(), id, full: u32::from(full) })
}
