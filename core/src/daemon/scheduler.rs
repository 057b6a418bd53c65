//! What the scheduler says, and what it is told.

use super::job::{Ended, SessionJob};
use super::peer::Peer;
use super::{Daemon, Note, Output};
use crate::env::{EnvId, EnvRef};
use crate::extension::Offers;
use crate::ids::{ClientId, JobId, PeerId};
use crate::limits::STATUS_TEXT_MAX;
use crate::message::{
    BlacklistHostEnv, GetCs, HostCan, JobBegin, JobDone, LOCALHOST, Login, Message, UseCs, done_flags,
};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;

impl Daemon {
    /// A scheduler is connected: logs in and reports waiting requests and running local jobs.
    pub(super) fn scheduler_connected(&mut self, now: Instant, version: Version, address: Text, known_as: Text) {
        if self.terminate_at.is_some() {
            self.outputs.push_back(Output::CloseScheduler);
            return;
        }
        self.note(Note::Connected(known_as.clone()));
        if let Some(before) = self.session.connected(version, address.clone(), known_as) {
            self.note(Note::OtherScheduler { before, address });
        }
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
        for message in self.peers.resume(self.session.current()) {
            self.send_to_scheduler(message);
        }
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
            Message::UseCs(use_cs) => self.use_cs(now, use_cs),
            Message::NoCs { job, client } => {
                let job = SessionJob { job, session: self.session.current() };
                self.build_here(client, job, Text::new(), false);
            }
            Message::CsConf(conf) => {
                self.load.set_interval(conf.max_pong);
                self.given.tells(now, self.session.current(), Offers::of(&conf.extra).gives_jobs);
                self.outputs.extend(self.session.release());
            }
            Message::JobGiven { job } => self.given.add(now, job),
            Message::HostCan(can) => self.host_can(can),
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

    /// HOST_CAN: told to a client that knows the extension, before the USE_CS of the same job.
    fn host_can(&mut self, can: HostCan) {
        let asking = self.peers.requester(can.client).filter(|(_, entry)| entry.knows_extension());
        if let Some((peer, _)) = asking {
            self.send(peer, Message::HostCan(can));
        }
    }

    /// Sends a message to the scheduler, if connected; it may be held back while LOGIN has not been answered.
    pub(super) fn send_to_scheduler(&mut self, message: Message) {
        self.outputs.extend(self.session.send(message));
    }

    /// USE_CS: the scheduler assigned a job of a client, to this host or another.
    fn use_cs(&mut self, now: Instant, use_cs: UseCs) {
        let no_host = use_cs.host == LOCALHOST && use_cs.host_platform.is_empty() && use_cs.env_present == 0;
        let here = no_host || self.session.known_as() == Some(&use_cs.host) && use_cs.port == self.config.port;
        let job = SessionJob { job: use_cs.job, session: self.session.current() };
        if here {
            return self.build_here(use_cs.client, job, use_cs.host_platform, no_host);
        }
        let Some((peer, entry)) = self.peers.requester(use_cs.client) else { return self.report_unclaimed(job) };
        if entry.is_asking() && self.distrusted.has(now, &use_cs.host) {
            let again = entry.ask_again();
            if again.is_none() {
                entry.answer_here(true);
            }
            return self.refuse_server(job, &use_cs.host, again);
        }
        entry.assigned_elsewhere(job, use_cs.host.clone());
        self.send(peer, Message::UseCs(use_cs));
    }

    /// A job was assigned to a host that is not trusted: the scheduler is told so, and asked for another one.
    fn refuse_server(&mut self, job: SessionJob, host: &Text, again: Option<GetCs>) {
        self.report_unclaimed(job);
        let Some(request) = again else { return };
        for EnvRef { name, .. } in &request.environments {
            let ban =
                BlacklistHostEnv { environment: name.clone(), target: request.target.clone(), host: host.clone() };
            self.send_to_scheduler(Message::BlacklistHostEnv(ban));
        }
        self.send_to_scheduler(Message::GetCs(request));
    }

    /// The client shall compile a job itself, as NO_CS says too.
    fn build_here(&mut self, client: ClientId, job: SessionJob, platform: Text, no_host: bool) {
        let Some((peer, entry)) = self.peers.requester(client) else { return self.report_unclaimed(job) };
        if entry.assigned_here(job, &platform, no_host) {
            self.send_own_use_cs(peer, job.job, platform, no_host);
        }
    }

    /// Sends the USE_CS that makes a client compile the job itself. `env_present` 0 tells our client that no host could
    /// take the job; 1.4's client ignores it.
    pub(super) fn send_own_use_cs(&mut self, peer: PeerId, job: JobId, host_platform: Text, no_host: bool) {
        let use_cs = UseCs {
            job,
            port: self.config.port,
            host: LOCALHOST.into(),
            host_platform,
            env_present: u32::from(!no_host),
            client: ClientId(1),
            matched_job: JobId(0),
        };
        self.send(peer, Message::UseCs(use_cs));
    }

    /// When requests that wait for a lost scheduler are answered locally, if there are any.
    pub(super) fn local_answer_due(&self) -> Option<Instant> {
        self.session.expected_until().filter(|_| self.peers.iter().any(Peer::is_asking))
    }

    /// Has the clients of requests that have waited long enough for a lost scheduler compile themselves.
    pub(super) fn answer_locally_if_due(&mut self, now: Instant) {
        if self.local_answer_due().is_none_or(|due| now < due) {
            return;
        }
        self.session.give_up();
        for client in self.peers.answer_here() {
            self.note(Note::AnsweredLocally(client.0));
        }
    }

    /// Reports the begin of a job, if the current scheduler knows it.
    pub(super) fn job_begin(&mut self, now: Instant, job: SessionJob) {
        if self.session.is_current(job.session) {
            let begin = JobBegin { job: job.job, start_time: self.unix(now), client_count: self.connections() };
            self.send_to_scheduler(Message::JobBegin(begin));
        }
    }

    /// Reports an end of work, if the current scheduler knows the work.
    pub(super) fn report(&mut self, ended: Ended) {
        if let Ended::Job(session, done) = &ended {
            self.given.ended(SessionJob { job: JobId(done.job), session: *session });
        }
        match ended {
            Ended::Job(session, done) if self.session.is_current(session) => {
                let client_count = self.connections();
                self.send_to_scheduler(Message::JobDone(JobDone { client_count, ..done }));
            }
            Ended::Local(session, client) if self.session.is_current(session) => {
                self.send_to_scheduler(Message::JobLocalDone { id: client.0 });
            }
            Ended::Job(..) | Ended::Local(..) => {}
        }
    }

    /// Reports ends of work in their order.
    pub(super) fn report_all(&mut self, ended: Vec<Ended>) {
        for ended in ended {
            self.report(ended);
        }
    }

    /// Reports a job whose client is gone or does not go to that server, so that the scheduler frees the server's slot.
    fn report_unclaimed(&mut self, job: SessionJob) {
        self.report(job.failed(107, done_flags::FROM_SUBMITTER));
    }
}
