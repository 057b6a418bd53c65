//! The connection to the scheduler: reconnecting, logging in, and when messages must be held back.

use super::peer::{Peer, SessionJob, State, Work};
use super::{Daemon, Note, Output};
use crate::env::{EnvId, EnvRef};
use crate::ids::JobId;
use crate::limits::STATUS_TEXT_MAX;
use crate::message::{JobDone, JobLocalBegin, Login, Message, done_flags};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;

/// First wait before a lost scheduler is searched again; it doubles with each failure.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// Longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(20);
/// Fixed wait with `ICECC_TESTS`, as in 1.4.
const BACKOFF_TEST: Duration = Duration::from_secs(3);
/// How long messages are held back for the scheduler's answer to LOGIN (decision: login-again).
const HOLD: Duration = Duration::from_secs(1);
/// Maximum number of messages held back for that answer; more are sent at once.
const HELD_MAX: usize = 1000;

/// The connection to the scheduler, and what it was last told.
#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    /// Number of the session: job ids of an earlier one are invalid for the current scheduler.
    number: u32,
    failures: u32,
    /// State of the xorshift generator for the jitter.
    random: u64,
    test_reconnect: bool,
    /// Until when requests wait for a scheduler that has just been lost.
    pub(super) expected_until: Option<Instant>,
    /// The environments in the last LOGIN; `None` if they must be announced again in any case.
    announced: Option<Vec<EnvId>>,
}

#[derive(Debug)]
enum Link {
    /// Not connected; the next search begins at this time.
    Absent(Instant),
    /// The shell searches a scheduler.
    Looking,
    /// Logged in.
    Up { version: Version, known_as: Text, hold: Option<Hold> },
    /// The shell closes the connection; `SchedulerLost` follows.
    Closing,
}

/// Messages held back: LOGIN was sent and CS_CONF has not arrived.
#[derive(Debug)]
struct Hold {
    until: Instant,
    held: Vec<Message>,
}

impl Session {
    /// A session that searches a scheduler at once. `seed` is for the jitter; see [`super::Config::test_reconnect`].
    pub fn new(now: Instant, seed: u64, test_reconnect: bool) -> Self {
        Self {
            link: Link::Absent(now),
            number: 0,
            failures: 0,
            random: seed | 1,
            test_reconnect,
            expected_until: None,
            announced: None,
        }
    }

    /// Number of the current session, if connected.
    pub fn current(&self) -> Option<u32> {
        matches!(self.link, Link::Up { .. }).then_some(self.number)
    }

    /// Whether a job number of this session is valid for the current scheduler.
    pub fn is_current(&self, session: Option<u32>) -> bool {
        session.is_some() && session == self.current()
    }

    /// Version agreed on with the scheduler, if connected.
    pub fn version(&self) -> Option<Version> {
        match &self.link {
            Link::Up { version, .. } => Some(*version),
            _ => None,
        }
    }

    /// This host's address on the connection to the scheduler, if connected.
    pub fn known_as(&self) -> Option<&Text> {
        match &self.link {
            Link::Up { known_as, .. } => Some(known_as),
            _ => None,
        }
    }

    /// No scheduler was found: waits before the next search.
    pub fn not_found(&mut self, now: Instant) {
        if matches!(self.link, Link::Looking) {
            let wait = self.backoff();
            self.link = Link::Absent(now + wait);
        }
    }

    /// When [`Daemon::session_timeout`] must be called.
    pub fn timeout(&self) -> Option<Instant> {
        match &self.link {
            Link::Absent(at) => Some(*at),
            Link::Up { hold: Some(hold), .. } => Some(hold.until),
            _ => None,
        }
    }

    /// The next wait: doubles with each failure, with jitter between half and the whole of it.
    fn backoff(&mut self) -> Duration {
        if self.test_reconnect {
            return BACKOFF_TEST;
        }
        let whole = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(6)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let per_mille = u32::try_from(500 + self.random % 501).unwrap_or(1000);
        whole * per_mille / 1000
    }
}

impl Daemon {
    /// Starts a search, or sends the messages held back, if that is due.
    pub(super) fn session_timeout(&mut self, now: Instant) {
        match &self.session.link {
            Link::Absent(at) if *at <= now && self.terminate_at.is_none() => {
                self.session.link = Link::Looking;
                self.outputs.push_back(Output::Connect);
            }
            Link::Absent(at) if *at <= now => self.session.link = Link::Closing,
            Link::Up { hold: Some(hold), .. } if hold.until <= now => self.release_held(),
            _ => {}
        }
    }

    /// A scheduler is connected: logs in and reports the current work.
    pub(super) fn scheduler_connected(&mut self, now: Instant, version: Version, known_as: Text) {
        if self.terminate_at.is_some() {
            self.outputs.push_back(Output::CloseScheduler);
            return;
        }
        self.session.number += 1;
        self.session.failures = 0;
        self.session.expected_until = None;
        self.note(Note::Connected(known_as.clone()));
        self.session.link = Link::Up { version, known_as, hold: None };
        let login = Login {
            port: self.config.port,
            slots: self.config.slots,
            environments: self.environments(),
            node_name: self.config.node_name.clone(),
            platform: self.config.platform.clone(),
            chroot_possible: u32::from(self.config.chroot_possible),
            no_remote: u32::from(self.config.no_remote),
            features: self.config.features,
        };
        self.log_in(now, login);
        self.stats.report_again();
        self.resume_on_scheduler();
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

    /// Announces the environments after this event even if they have not changed.
    pub(super) fn announce_anyway(&mut self) {
        self.session.announced = None;
    }

    /// Sends LOGIN again if the environments differ from those announced. This is the only place that does so, and it
    /// runs after each event: code that changes environments need not do anything.
    pub(super) fn announce_changes(&mut self, now: Instant) {
        let announced = self.session.announced.as_ref();
        let is_known = announced.is_some_and(|announced| self.envs.installed().eq(announced));
        if is_known || self.session.current().is_none() {
            return;
        }
        let login = Login {
            port: 0,
            slots: 0,
            environments: self.environments(),
            node_name: self.config.node_name.clone(),
            platform: Text::new(),
            chroot_possible: 1,
            no_remote: 0,
            features: self.config.features,
        };
        // Messages held back for the previous LOGIN must leave first, to keep the order.
        self.release_held();
        self.log_in(now, login);
    }

    /// Checks that the announced environments are the installed ones.
    pub(super) fn check_announced(&self) -> Result<(), String> {
        let announced = self.session.announced.iter().flatten();
        if self.session.current().is_some() && !self.envs.installed().eq(announced) {
            return Err("the scheduler was told of other environments".to_owned());
        }
        Ok(())
    }

    fn log_in(&mut self, now: Instant, login: Login) {
        self.session.announced = Some(self.envs.installed().cloned().collect());
        self.outputs.push_back(Output::ToScheduler(Message::Login(login)));
        if let Link::Up { version, hold, .. } = &mut self.session.link {
            if version.has_cs_conf() {
                *hold = Some(Hold { until: now + HOLD, held: Vec::new() });
            }
        }
    }

    /// The connection to the scheduler was closed: waits before the next search.
    pub(super) fn scheduler_lost(&mut self, now: Instant) {
        let was_up = matches!(self.session.link, Link::Up { .. });
        if was_up {
            self.note(Note::SchedulerGone);
            self.session.expected_until = Some(now + super::LOCAL_ANSWER_AFTER);
        }
        let wait = self.session.backoff();
        self.session.link = Link::Absent(now + wait);
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
                self.stats.set_interval(conf.max_pong);
                self.release_held();
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
                self.session.expected_until = Some(now + super::LOCAL_ANSWER_AFTER);
                self.session.link = Link::Closing;
                self.outputs.push_back(Output::CloseScheduler);
            }
        }
    }

    /// Sends a message to the scheduler, if connected; holds it back while LOGIN has not been answered.
    pub(super) fn send_to_scheduler(&mut self, message: Message) {
        match &mut self.session.link {
            Link::Up { hold: Some(hold), .. } if hold.held.len() < HELD_MAX => hold.held.push(message),
            Link::Up { .. } => {
                self.release_held();
                self.outputs.push_back(Output::ToScheduler(message));
            }
            _ => {}
        }
    }

    fn release_held(&mut self) {
        if let Link::Up { hold, .. } = &mut self.session.link {
            if let Some(hold) = hold.take() {
                self.outputs.extend(hold.held.into_iter().map(Output::ToScheduler));
            }
        }
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

    /// The environments that can be used, as in LOGIN.
    pub fn environments(&self) -> Vec<EnvRef> {
        self.envs
            .installed()
            .map(|id| EnvRef { platform: id.platform.as_str().into(), name: id.name.as_str().into() })
            .collect()
    }

    /// When requests that wait for a lost scheduler are answered locally, if there are any.
    pub(super) fn local_answer_due(&self) -> Option<Instant> {
        let waits = |p: &Peer| matches!(p.state, State::WaitForCs { .. });
        self.session.expected_until.filter(|_| self.peers.values().any(waits))
    }
}

/// JOB_LOCAL_BEGIN for the scheduler.
pub(super) fn local_begin(start_time: u32, output: &Text, id: u32, full: bool) -> Message {
    Message::JobLocalBegin(JobLocalBegin { start_time, output_file: output.clone(), id, full: u32::from(full) })
}
