//! Errors of a connection.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::deadline::{Deadline, Step};
use crate::handshake::HandshakeError;
use crate::wire::frame::FrameError;
use crate::wire::{DecodeError, EncodeError};

/// Why an operation on a connection failed. The connection cannot be used any more, except after
/// [`ConnError::TimedOut`] of a `recv`.
#[derive(Debug, Error)]
pub enum ConnError {
    /// The connection was closed between two messages, by the peer or by another thread of ours.
    #[error("connection closed")]
    Closed,
    /// The peer closed in the middle of a message or of the handshake.
    #[error("connection closed in the middle of a message")]
    Cut,
    /// A step took longer than the limit of its [`Deadline`].
    #[error("{step} did not come within {} s", limit.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        step: Step,
        /// The limit.
        limit: Duration,
    },
    /// A system call failed.
    #[error("{doing} failed")]
    Io {
        /// Its name: `read`, `write`, `poll`…
        doing: &'static str,
        /// Its error.
        #[source]
        source: io::Error,
    },
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A frame announces an invalid length.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame cannot be decoded.
    #[error("cannot read {0}")]
    Decode(#[from] DecodeError),
    /// A message cannot be encoded. Nothing was sent.
    #[error("cannot write {0}")]
    Encode(#[from] EncodeError),
    /// Another message was received than expected.
    #[error("{found} came instead of {step}")]
    Unexpected {
        /// What was waited for.
        step: Step,
        /// The name of the received message.
        found: &'static str,
    },
}

impl ConnError {
    /// Wraps an error of the system call `doing`; a lost connection becomes [`ConnError::Closed`].
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => Self::Closed,
            _ => Self::Io { doing, source },
        }
    }

    /// The error for a deadline that has passed.
    pub(crate) fn timed_out(deadline: &Deadline) -> Self {
        Self::TimedOut { step: deadline.step(), limit: deadline.limit().unwrap_or_default() }
    }
}
