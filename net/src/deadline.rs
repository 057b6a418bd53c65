//! Deadlines, each for a named step.
//!
//! A `Deadline` limits a whole step, such as all bytes of a message, never a single system call; so a peer that sends
//! one byte per second gains nothing. It carries its `Step`, which the error names.

use std::fmt;
use std::time::{Duration, Instant};

/// What is waited for, as errors and logs name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Resolving a host name.
    Resolve,
    /// Connecting.
    Connect,
    /// The peer's offer, its highest version.
    Offer,
    /// The peer's confirmation of the agreed version.
    Confirm,
    /// Room in the socket's send buffer.
    Send,
    /// The next message of any kind.
    Message,
    /// The rest of a partially received message.
    Rest,
    /// The path of a native environment.
    NativeEnv,
    /// A compile server, or the answer to compile locally.
    UseCs,
    /// A local slot.
    LocalSlot,
    /// The result of the verification of an environment.
    VerifyResult,
    /// The compiler's result.
    CompileResult,
    /// The next chunk of a file.
    Chunk,
    /// The end of the connection by the peer.
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

/// The time at which a step is given up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    step: Step,
    /// The time allowed and when it ends; `None`: unlimited.
    end: Option<(Duration, Instant)>,
}

impl Deadline {
    /// A deadline `limit` from now. A limit too large to represent is no limit.
    pub fn after(step: Step, limit: Duration) -> Self {
        Self::since(step, Instant::now(), limit)
    }

    /// A deadline `limit` after `begun`.
    pub fn since(step: Step, begun: Instant, limit: Duration) -> Self {
        Self { step, end: begun.checked_add(limit).map(|at| (limit, at)) }
    }

    /// An unlimited deadline, only for idle connections, which end by keepalive or by a [`crate::conn::Closer`]
    /// (decision: bounded-waits).
    pub fn never(step: Step) -> Self {
        Self { step, end: None }
    }

    /// The same time for another step of the same operation.
    pub fn for_step(self, step: Step) -> Self {
        Self { step, ..self }
    }

    /// The step that it is for.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The time that was allowed; `None`: unlimited.
    pub fn limit(&self) -> Option<Duration> {
        self.end.map(|(limit, _)| limit)
    }

    /// The time left, zero if it has passed; `None`: unlimited.
    pub fn left(&self) -> Option<Duration> {
        self.end.map(|(_, at)| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it is unlimited.
    pub fn is_never(&self) -> bool {
        self.end.is_none()
    }

    /// Whether it has passed.
    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// A deadline for one of `tries` attempts that share the time left equally.
    pub fn share(&self, tries: usize) -> Self {
        let tries = u32::try_from(tries.max(1)).unwrap_or(u32::MAX);
        match self.left() {
            Some(left) => Self::after(self.step, left / tries),
            None => *self,
        }
    }
}
