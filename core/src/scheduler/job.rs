//! The record of one job: what was requested, and where the job is. Only [`super::ledger::Ledger`] changes it.

use super::queue::Bucket;
use super::requirement::{EnvKey, Requester, RequirementId};
use crate::ids::{ClientId, HostId};
use crate::message::GetCs;
use crate::text::Text;
use crate::time::Instant;

/// Largest niceness: the least urgent level.
const NICENESS_MAX: i32 = 20;

/// A job that has been requested and has not ended.
#[derive(Clone, Debug)]
pub(super) struct Job {
    submitter: HostId,
    requirement: RequirementId,
    client: ClientId,
    file: Text,
    arg_flags: u32,
    level: u8,
    siblings: u8,
    state: State,
    environment: Option<EnvKey>,
    dormant: bool,
    age_at: Option<Instant>,
}

/// State of a job: a plain value.
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
    /// A pending job of a request. `siblings` is the number of further jobs of the request, whose ids follow; it is 0
    /// for all but the first.
    pub fn new(submitter: HostId, requirement: RequirementId, request: &GetCs, siblings: u8) -> Self {
        Self {
            submitter,
            requirement,
            client: request.client,
            file: request.file.clone(),
            arg_flags: request.arg_flags,
            level: (request.niceness as i32).clamp(0, NICENESS_MAX) as u8,
            siblings,
            state: State::Pending,
            environment: None,
            dormant: false,
            age_at: None,
        }
    }

    /// The host that requested it.
    pub fn submitter(&self) -> HostId {
        self.submitter
    }

    /// What it requires of a host.
    pub fn requirement(&self) -> RequirementId {
        self.requirement
    }

    /// The submitter's number of the client.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// Name of the source file.
    pub fn file(&self) -> &Text {
        &self.file
    }

    /// [`crate::message::arg_flags`] of its command line.
    pub fn arg_flags(&self) -> u32 {
        self.arg_flags
    }

    /// Its level in the queue: the niceness, reduced by one for each minute of waiting.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Number of further jobs of its request ([`Self::new`]).
    pub fn siblings(&self) -> u8 {
        self.siblings
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The environment with which it was assigned, present on the server or to be sent there; `None` if its submitter
    /// builds it.
    pub fn environment(&self) -> Option<EnvKey> {
        self.environment
    }

    /// Whether it did not begin in time although a slot was free ([`super::work::Work`]).
    pub fn was_dormant(&self) -> bool {
        self.dormant
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        matches!(self.state, State::Compiling { .. })
    }

    /// Since when it is assigned, while it has not begun.
    pub fn waits_since(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { since, .. } => Some(since),
            State::Pending | State::Compiling { .. } => None,
        }
    }

    /// The host it is assigned to, if any.
    pub fn server(&self) -> Option<HostId> {
        match self.state {
            State::Pending => None,
            State::Waiting { server, .. } | State::Compiling { server, .. } => Some(server),
        }
    }

    /// Its bucket in the queue.
    pub fn bucket(&self) -> Bucket {
        Bucket { submitter: self.submitter, level: self.level, requirement: self.requirement }
    }

    /// What choosing a host for it depends on.
    pub fn requester(&self) -> Requester {
        self.bucket().requester()
    }

    /// It enters the queue and becomes more urgent at `at`. Returns that time, unless it is most urgent already.
    pub fn enqueue(&mut self, at: Instant) -> Option<Instant> {
        self.age_at = (self.level > 0).then_some(at);
        self.age_at
    }

    /// It leaves the queue. Returns when it would have become more urgent.
    pub fn dequeue(&mut self) -> Option<Instant> {
        self.age_at.take()
    }

    /// It becomes one level more urgent.
    pub fn age(&mut self) {
        self.level = self.level.saturating_sub(1);
    }

    /// Its requirement becomes a narrower one.
    pub fn narrow(&mut self, requirement: RequirementId) {
        self.requirement = requirement;
    }

    /// It is assigned to a server.
    pub fn assign(&mut self, server: HostId, since: Instant, environment: Option<EnvKey>) {
        self.state = State::Waiting { server, since };
        self.environment = environment;
    }

    /// It begins on its server.
    pub fn begin(&mut self, server: HostId, start_time: u32) {
        self.state = State::Compiling { server, start_time };
    }

    /// It did not begin in time.
    pub fn become_dormant(&mut self) {
        self.dormant = true;
    }
}
