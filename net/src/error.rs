//! What can go wrong on a connection.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::deadline::{Deadline, Step};
use crate::handshake::HandshakeError;
use crate::wire::frame::FrameError;
use crate::wire::{DecodeError, EncodeError};

/// Why a connection is over. After any of these but [`ConnError::TimedOut`] of a `recv` it cannot be used any more.
#[derive(Debug, Error)]
pub enum ConnError {
    /// The peer closed (or we did, from another thread) between two messages.
    #[error("connection closed")]
    Closed,
    /// The peer closed in the middle of a message or of the handshake.
    #[error("connection closed in the middle of a message")]
    Cut,
    /// A step took too long. The limit is the one given to the [`Deadline`].
    #[error("{step} did not come within {} s", limit.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        step: Step,
        /// How long.
        limit: Duration,
    },
    /// The system says no.
    #[error("{doing} failed")]
    Io {
        /// The call: `read`, `write`, `poll`…
        doing: &'static str,
        /// Its error.
        #[source]
        source: io::Error,
    },
    /// There is no agreement on a version.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A frame announces a length that cannot be.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame cannot be read.
    #[error("cannot read {0}")]
    Decode(#[from] DecodeError),
    /// A message cannot be written. Nothing was sent.
    #[error("cannot write {0}")]
    Encode(#[from] EncodeError),
    /// Another message came than the dialogue has room for.
    #[error("{found} came instead of {step}")]
    Unexpected {
        /// What was waited for.
        step: Step,
        /// The name of what came.
        found: &'static str,
    },
}

impl ConnError {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => Self::Closed,
            _ => Self::Io { doing, source },
        }
    }

    pub(crate) fn timed_out(deadline: &Deadline) -> Self {
        Self::TimedOut { step: deadline.step(), limit: deadline.limit().unwrap_or_default() }
    }
}
