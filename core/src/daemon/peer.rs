//! A client's connection: its state and what it holds.

use super::job::{Ended, Own, SessionJob, clamp_niceness, local_begin};
use super::served::{Served, Task};
use super::{CloseReason, Origin};
use crate::env::EnvId;
use crate::ids::{ClientId, JobId};
use crate::limits::{IDLE, IDLE_WITH_ENVIRONMENT};
use crate::message::{GetCs, Message, done_flags};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;
use std::fmt::Write;

/// Maximum number of copies of a job in one request.
const COUNT_MAX: u32 = 16;

/// A connection. Each event that changes its state is a method here.
#[derive(Debug)]
pub(super) struct Peer {
    /// This daemon's number of the client.
    client: ClientId,
    /// The version agreed on.
    version: Version,
    /// Its address as text, without port, or `local unix domain socket`.
    address: Text,
    origin: Origin,
    /// When its last message arrived, or its environment was installed.
    active: Instant,
    state: State,
    /// Jobs of this connection whose end this daemon must still report.
    jobs: Vec<SessionJob>,
    /// Answers to GET_CS still to come; more than one in repeat mode.
    awaited: u32,
    /// Environment that this connection sent, verified or uses; it is not evicted before the connection ends.
    pinned: Option<EnvId>,
    /// The last environment that it sent, if that was not installed, and why; kept for its VERIFY_ENV.
    refusal: Option<(EnvId, Text)>,
    /// Bytes of memory that its result takes until the client has read it.
    unread: u64,
}

/// State of a connection. Names in the dump are 1.4's ([`State::name`]).
#[derive(Debug)]
enum State {
    /// New, or its last work is over.
    Unknown,
    /// Waits for its native environment.
    WaitCreateEnv,
    /// Got the path of its native environment.
    GotNative,
    /// GET_CS was forwarded, or is kept until a scheduler is there again.
    WaitForCs {
        request: Box<GetCs>,
        /// The session to which it was sent.
        asked: Option<u32>,
        /// A server was refused, and another one asked for.
        again: bool,
    },
    /// The client shall compile itself and waits for a slot. More than one job only in repeat mode.
    PendingUseCs {
        jobs: Vec<JobId>,
        /// Platform for the client's USE_CS: the scheduler's, or without one the requested target.
        platform: Text,
        /// Whether no host could take the job.
        no_host: bool,
        niceness: u32,
    },
    /// Was sent to a compile server.
    WaitCompile { host: Text },
    /// A local job waits for a slot.
    LinkJob { output: Text, full: bool },
    /// The client has a slot and works itself.
    ClientWork(Work),
    /// The client reported its job.
    JobDone,
    /// Sends an environment, which is being installed.
    ToInstall(EnvId),
    /// COMPILE_FILE or FILES_JOB arrived; the job waits for a slot or runs.
    Served(Served),
    /// The job has ended and was reported; the result is being sent.
    Sending,
}

/// What a client with a slot does.
#[derive(Debug)]
enum Work {
    /// A compile, assigned by the scheduler or made up here.
    Own,
    /// A local job, with its start in Unix seconds and the session that knows it.
    Local { output: Text, full: bool, started: u32, announced: Option<u32> },
}

impl State {
    /// The name in the dump, which is 1.4's.
    fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::WaitCreateEnv => "waitcreateenv",
            Self::GotNative => "gotnative",
            Self::WaitForCs { .. } => "waitforcs",
            Self::PendingUseCs { .. } => "pending_use_cs",
            Self::WaitCompile { .. } => "waitcompile",
            Self::LinkJob { .. } => "linkjob",
            Self::ClientWork(_) => "clientwork",
            Self::JobDone => "jobdone",
            Self::ToInstall(_) => "toinstall",
            Self::Served(served) => served.name(),
            Self::Sending => "sending",
        }
    }
}

impl Peer {
    /// A new connection.
    pub fn new(now: Instant, client: ClientId, version: Version, address: Text, origin: Origin) -> Self {
        Self {
            client,
            version,
            address,
            origin,
            active: now,
            state: State::Unknown,
            jobs: Vec::new(),
            awaited: 0,
            pinned: None,
            refusal: None,
            unread: 0,
        }
    }

    /// This daemon's number of the client.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// The version agreed on.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its address, for logs and limits.
    pub fn address(&self) -> &Text {
        &self.address
    }

    /// Whether the client runs on this host.
    pub fn is_of_this_host(&self) -> bool {
        self.origin != Origin::OtherHost
    }

    /// Whether the client knows the extension.
    pub fn knows_extension(&self) -> bool {
        self.origin == Origin::Extension
    }

    /// The name of its state, which is 1.4's.
    pub fn state(&self) -> &'static str {
        self.state.name()
    }

    /// A message arrived.
    pub fn heard(&mut self, now: Instant) {
        self.active = now;
    }

    /// When it is closed for being idle; clients of this host never are.
    pub fn idle_end(&self) -> Option<Instant> {
        let limit = if self.pinned.is_some() { IDLE_WITH_ENVIRONMENT } else { IDLE };
        (!self.is_of_this_host() && matches!(self.state, State::Unknown)).then(|| self.active + limit)
    }

    /// Whether the connection's own thread handles its messages, so that none may arrive here.
    pub fn is_taken_over(&self) -> bool {
        matches!(self.state, State::ToInstall(_) | State::Served(_) | State::Sending)
    }

    /// Its work ends, as the connection is closed or starts something new. Returns what is to be reported.
    pub fn end_work(&mut self, reason: CloseReason) -> Vec<Ended> {
        let code = reason.code();
        let jobs = std::mem::take(&mut self.jobs);
        self.awaited = 0;
        match std::mem::replace(&mut self.state, State::Unknown) {
            State::Unknown | State::GotNative | State::WaitCreateEnv | State::LinkJob { .. } => Vec::new(),
            // An arriving environment ends when its thread has reported.
            State::JobDone | State::ToInstall(_) | State::Sending => Vec::new(),
            State::WaitForCs { asked, .. } => {
                let request = SessionJob { job: JobId(self.client.0), session: asked };
                vec![request.failed(code, done_flags::FROM_SUBMITTER | done_flags::UNKNOWN_JOB)]
            }
            State::ClientWork(Work::Local { announced, .. }) => vec![Ended::Local(announced, self.client)],
            // After END the compile server reports the job.
            State::WaitCompile { .. } if reason == CloseReason::End => Vec::new(),
            State::PendingUseCs { .. } | State::WaitCompile { .. } | State::ClientWork(Work::Own) => {
                jobs.into_iter().map(|job| job.failed(code, done_flags::FROM_SUBMITTER)).collect()
            }
            State::Served(served) => vec![served.job().failed(code, 0)],
        }
    }
}

/// Requests for a compile server.
impl Peer {
    /// GET_CS, forwarded in this session or kept until there is one: waits for the scheduler's answers.
    pub fn ask(&mut self, request: GetCs, asked: Option<u32>) {
        self.awaited = request.count.clamp(1, COUNT_MAX);
        self.state = State::WaitForCs { request: Box::new(request), asked, again: false };
    }

    /// Its server is refused: the request, to be made once more. `None`: that was done before, or it is for several copies.
    pub fn ask_again(&mut self) -> Option<GetCs> {
        let State::WaitForCs { request, again, .. } = &mut self.state else { return None };
        let may_ask = request.count <= 1 && !std::mem::replace(again, true);
        may_ask.then(|| (**request).clone())
    }

    /// Whether it waits for the first answer of the scheduler.
    pub fn is_asking(&self) -> bool {
        matches!(self.state, State::WaitForCs { .. })
    }

    /// Whether the scheduler still owes it an answer.
    pub fn awaits_answer(&self) -> bool {
        self.awaited > 0
    }

    /// Answers its request without a scheduler: the client compiles itself, as there is none or as `no_host` of the network can.
    /// Returns whether there was a request.
    pub fn answer_here(&mut self, no_host: bool) -> bool {
        let State::WaitForCs { request, .. } = &self.state else { return false };
        let job = SessionJob { job: JobId(self.client.0), session: None };
        let copies = usize::try_from(std::mem::take(&mut self.awaited)).unwrap_or(1);
        self.jobs.extend(std::iter::repeat_n(job, copies));
        self.state = State::PendingUseCs {
            jobs: vec![job.job; copies],
            platform: if no_host { Text::new() } else { request.target.clone() },
            no_host,
            niceness: clamp_niceness(request.niceness),
        };
        true
    }

    /// The scheduler assigned a job of this client to another host.
    pub fn assigned_elsewhere(&mut self, job: SessionJob, host: Text) {
        self.answered(job);
        if matches!(self.state, State::WaitForCs { .. } | State::WaitCompile { .. }) {
            self.state = State::WaitCompile { host };
        }
    }

    /// The client shall compile a job itself. Returns whether it has a slot already, for another copy of the job.
    pub fn assigned_here(&mut self, job: SessionJob, platform: &Text, no_host: bool) -> bool {
        self.answered(job);
        let niceness = match &mut self.state {
            State::ClientWork(Work::Own) => return true,
            State::PendingUseCs { jobs, .. } => {
                jobs.push(job.job);
                return false;
            }
            State::WaitForCs { request, .. } => clamp_niceness(request.niceness),
            _ => 0,
        };
        self.state = State::PendingUseCs { jobs: vec![job.job], platform: platform.clone(), no_host, niceness };
        false
    }

    fn answered(&mut self, job: SessionJob) {
        self.jobs.push(job);
        self.awaited = self.awaited.saturating_sub(1);
    }

    /// Whether its job is at a compile server.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self.state, State::WaitCompile { .. })
    }

    /// JOB_LOCAL_BEGIN: a local job waits for a slot.
    pub fn wait_with_local_job(&mut self, output: Text, full: bool) {
        self.state = State::LinkJob { output, full };
    }

    /// When its own work gets a slot: local jobs come first, then compiles by niceness.
    pub fn own_turn(&self) -> Option<(bool, u32, ClientId)> {
        match self.state {
            State::LinkJob { .. } => Some((false, 0, self.client)),
            State::PendingUseCs { niceness, .. } => Some((true, niceness, self.client)),
            _ => None,
        }
    }

    /// It got a slot for its own work at this Unix time; a local job is announced in this session.
    pub fn start_own(&mut self, started: u32, announced: Option<u32>) -> Option<Own> {
        match std::mem::replace(&mut self.state, State::Unknown) {
            State::PendingUseCs { jobs, platform, no_host, .. } => {
                self.state = State::ClientWork(Work::Own);
                Some(Own::Compile { jobs, platform, no_host })
            }
            State::LinkJob { output, full } => {
                let begin = local_begin(started, &output, self.client, full);
                self.state = State::ClientWork(Work::Local { output, full, started, announced });
                Some(Own::Local(begin))
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The job with this number, if the client has a slot to compile it itself.
    pub fn own_job(&self, job: JobId) -> Option<SessionJob> {
        let is_own = matches!(self.state, State::ClientWork(Work::Own));
        self.jobs.iter().find(|j| is_own && j.job == job).copied()
    }

    /// JOB_DONE of one of its jobs. Returns the job, and whether the client compiled it itself.
    pub fn job_done(&mut self, job: JobId) -> Option<(SessionJob, bool)> {
        let index = self.jobs.iter().position(|j| j.job == job)?;
        let job = self.jobs.remove(index);
        let is_own = matches!(self.state, State::ClientWork(Work::Own));
        if self.jobs.is_empty() {
            self.state = State::JobDone;
        }
        Some((job, is_own))
    }

    /// What a new scheduler must hear of its work.
    pub fn resume(&mut self, session: Option<u32>, client_count: u32) -> Option<Message> {
        match &mut self.state {
            State::WaitForCs { request, asked, .. } => {
                *asked = session;
                request.client_count = client_count;
                Some(Message::GetCs((**request).clone()))
            }
            State::ClientWork(Work::Local { output, full, started, announced }) => {
                *announced = session;
                Some(local_begin(*started, output, self.client, *full))
            }
            _ => None,
        }
    }

    /// Whether the client compiles this job itself, or waits for a slot to do so.
    pub fn has_own(&self, job: SessionJob) -> bool {
        let own = matches!(self.state, State::PendingUseCs { .. } | State::ClientWork(Work::Own));
        own && self.jobs.contains(&job)
    }
}

/// Remote jobs and slots.
impl Peer {
    /// COMPILE_FILE or FILES_JOB: a job waits for a slot.
    pub fn wait_for_slot(&mut self, now: Instant, job: SessionJob, env: Option<EnvId>, task: Task) {
        self.pinned = env.clone();
        self.state = State::Served(Served::new(now, job, env, task));
    }

    /// The job that it brought to be compiled here.
    pub fn served(&self) -> Option<&Served> {
        match &self.state {
            State::Served(served) => Some(served),
            _ => None,
        }
    }

    /// The same, to change it.
    pub fn served_mut(&mut self) -> Option<&mut Served> {
        match &mut self.state {
            State::Served(served) => Some(served),
            _ => None,
        }
    }

    /// Its job got a slot.
    pub fn start(&mut self, now: Instant, slot: u16) -> Option<(SessionJob, Option<EnvId>, Task)> {
        let State::Served(served) = &mut self.state else { return None };
        let task = served.start(now, slot)?;
        Some((served.job(), served.env().cloned(), task))
    }

    /// The compiler of its job has ended; the result takes so many bytes until the client has read it.
    pub fn job_ended(&mut self, held: u64) -> Option<(SessionJob, Option<EnvId>)> {
        let served = self.served().filter(|served| !served.waits())?;
        let ended = (served.job(), served.env().cloned());
        self.state = State::Sending;
        self.unread = held;
        self.pinned = None;
        Some(ended)
    }

    /// The slot in which its job runs, and the environment if it has one.
    pub fn runs(&self) -> Option<(u16, Option<&EnvId>)> {
        let served = self.served()?;
        served.runs().map(|(slot, _)| (slot, served.env()))
    }

    /// Number of slots that it holds; `all` is the number of slots.
    pub fn slots_held(&self, all: u32) -> u32 {
        match &self.state {
            State::ClientWork(Work::Local { full: true, .. }) => all,
            State::ClientWork(_) | State::ToInstall(_) => 1,
            State::Served(served) => u32::from(!served.waits()),
            _ => 0,
        }
    }

    /// Whether its work may end after SIGTERM: a remote job, or sending its result.
    pub fn may_finish(&self) -> bool {
        self.runs().is_some() || matches!(self.state, State::Sending)
    }

    /// Bytes of memory that its result takes until the client has read it.
    pub fn unread(&self) -> u64 {
        self.unread
    }
}

/// Environments.
impl Peer {
    /// GET_NATIVE_ENV: waits for the path of the archive.
    pub fn wait_for_native(&mut self) {
        self.state = State::WaitCreateEnv;
    }

    /// Whether it waits for the path of an archive.
    pub fn waits_for_native(&self) -> bool {
        matches!(self.state, State::WaitCreateEnv)
    }

    /// It got the path.
    pub fn got_native(&mut self) {
        self.state = State::GotNative;
    }

    /// Keeps this environment for the connection.
    pub fn pin(&mut self, env: &EnvId) {
        self.pinned = Some(env.clone());
    }

    /// Whether this environment is kept for the connection.
    pub fn has_pinned(&self, env: &EnvId) -> bool {
        self.pinned.as_ref() == Some(env)
    }

    /// It sends this environment.
    pub fn receive(&mut self, env: EnvId) {
        self.state = State::ToInstall(env);
    }

    /// The environment that it sends.
    pub fn receives(&self) -> Option<&EnvId> {
        match &self.state {
            State::ToInstall(env) => Some(env),
            _ => None,
        }
    }

    /// The environment that it sent is installed, or was refused.
    pub fn received(&mut self, now: Instant) {
        if matches!(self.state, State::ToInstall(_)) {
            self.state = State::Unknown;
            self.active = now;
        }
    }

    /// The environment that it sent was not installed.
    pub fn refused(&mut self, env: &EnvId, reason: &Text) {
        self.refusal = Some((env.clone(), reason.clone()));
    }

    /// Takes the last environment that was not installed, and why.
    pub fn take_refusal(&mut self) -> Option<(EnvId, Text)> {
        self.refusal.take()
    }
}

impl Peer {
    /// Its line of the dump.
    pub fn write(&self, now: Instant, out: &mut String) -> std::fmt::Result {
        write!(out, "  client {}: {} {} ClientID: {}", self.client, self.state(), self.address, self.client)?;
        if let Some(job) = self.jobs.last() {
            write!(out, " Job ID: {}", job.job)?;
        }
        match &self.state {
            State::WaitCompile { host } => write!(out, " CompileServer: {host}")?,
            State::LinkJob { output, full } | State::ClientWork(Work::Local { output, full, .. }) => {
                write!(out, " {output}{}", if *full { " (full)" } else { "" })?;
            }
            State::PendingUseCs { niceness, .. } if *niceness > 0 => write!(out, " Nice: {niceness}")?,
            State::Served(served) => {
                if let Some((slot, since)) = served.runs() {
                    let (job, ms) = (served.job().job, now.since(since).as_millis());
                    write!(out, " Job ID: {job} Slot: {slot} Since: {ms} ms")?;
                }
            }
            _ => {}
        }
        writeln!(out)
    }
}
