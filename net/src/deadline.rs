//! Which step may take how long.
//!
//! A [`Deadline`] bounds a whole step (all bytes of a message), never a single system call, so that a peer that sends a byte a
//! second gains nothing. It carries the [`Step`] it stands for: the error says which one was over.

use std::fmt;
use std::time::{Duration, Instant};

/// What is waited for. It names the wait in errors and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The address of a host name.
    Resolve,
    /// A connection.
    Connect,
    /// The peer's first word, its highest version.
    Offer,
    /// The peer's second word, the version agreed.
    Confirm,
    /// Room to send.
    Send,
    /// The next message, whatever it is.
    Message,
    /// The rest of a message that has begun.
    Rest,
    /// The path of a native environment.
    NativeEnv,
    /// A compile server (or "build it yourself").
    UseCs,
    /// A local slot.
    LocalSlot,
    /// The outcome of a check of an environment.
    VerifyResult,
    /// The compiler's result.
    CompileResult,
    /// The next piece of a file.
    Chunk,
    /// The peer's end of the connection.
    End,
    /// Answers to a broadcast.
    Discovery,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the address of the host",
            Self::Connect => "the connection",
            Self::Offer => "the peer's version",
            Self::Confirm => "the agreed version",
            Self::Send => "room to send",
            Self::Message => "a message",
            Self::Rest => "the rest of a message",
            Self::NativeEnv => "the native environment",
            Self::UseCs => "a compile server",
            Self::LocalSlot => "a local slot",
            Self::VerifyResult => "the check of the environment",
            Self::CompileResult => "the result of the compiler",
            Self::Chunk => "a piece of the file",
            Self::End => "the end of the connection",
            Self::Discovery => "an answer of a scheduler",
        })
    }
}

/// The moment at which a step is given up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    step: Step,
    /// The time allowed, and when it is over; `None` = never.
    end: Option<(Duration, Instant)>,
}

impl Deadline {
    /// `limit` from now. A limit too long to be counted is no limit.
    pub fn after(step: Step, limit: Duration) -> Self {
        Self::since(step, Instant::now(), limit)
    }

    /// `limit` from `begun`.
    pub fn since(step: Step, begun: Instant, limit: Duration) -> Self {
        Self { step, end: begun.checked_add(limit).map(|at| (limit, at)) }
    }

    /// No limit: for idle links alone, which end by keepalive or by a [`crate::conn::Closer`]
    /// (decision: bounded-waits).
    pub fn never(step: Step) -> Self {
        Self { step, end: None }
    }

    /// The same moment, for another step of the same errand.
    pub fn for_step(self, step: Step) -> Self {
        Self { step, ..self }
    }

    /// What is waited for.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The time that was allowed, `None` = any.
    pub fn limit(&self) -> Option<Duration> {
        self.end.map(|(limit, _)| limit)
    }

    /// Time left, zero if it is over; `None` = any.
    pub fn left(&self) -> Option<Duration> {
        self.end.map(|(_, at)| at.saturating_duration_since(Instant::now()))
    }

    /// Whether there is no limit.
    pub fn is_never(&self) -> bool {
        self.end.is_none()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// The part of the time left that one of `tries` equal tries may take.
    pub fn share(&self, tries: usize) -> Self {
        let tries = u32::try_from(tries.max(1)).unwrap_or(u32::MAX);
        match self.left() {
            Some(left) => Self::after(self.step, left / tries),
            None => *self,
        }
    }
}
