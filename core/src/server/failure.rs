//! Why a job has no result of its compiler, and what the cluster is told of it.

use std::fmt;

/// Exit codes of JOB_DONE that are not a compiler's (`net/PROTOCOL.md`, JOB_DONE).
pub mod code {
    /// Something could not be read or sent.
    pub const GENERAL: i32 = 100;
    /// Memory or disk ran out.
    pub const OUT_OF_MEMORY: i32 = 105;
    /// Input lost or late.
    pub const IO: i32 = 107;
    /// Compiler or environment missing.
    pub const MISSING: i32 = 110;
    /// The client said something after its END.
    pub const CANCELLED: i32 = 118;
}

/// How a compiler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// As a shell tells it.
    pub const fn status(self) -> i32 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// Why a job has no result. Its text is for the log, and for the client where [`Failure::is_told`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The daemon does not grant it a slot.
    Refused,
    /// Its client says nothing, or not all in time.
    Late,
    /// The client's connection is closed.
    ClientGone,
    /// The client's connection failed.
    ClientLost(String),
    /// Another message than a chunk or END before END.
    Protocol,
    /// A message after END.
    Cancelled,
    /// A chunk that cannot be unpacked, or not be kept.
    Damaged(String),
    /// The daemon ends it.
    Stopped,
    /// The system failed us.
    System(String),
    /// The environment lacks what every job needs: it is removed.
    Environment(String),
    /// The job's command cannot be made or run.
    Command(String),
    /// The launcher did not do what it was asked.
    Launcher(String),
    /// The job cannot be run on the submitter's files, or its result not be used.
    Files(String),
    /// The compiler has ended, and its end is no result.
    NoResult {
        /// How it ended.
        exit: Exit,
        /// What is wrong with that.
        reason: &'static str,
    },
}

impl Failure {
    /// For JOB_DONE.
    pub const fn code(&self) -> i32 {
        match self {
            Self::Cancelled => code::CANCELLED,
            Self::Environment(_) => code::MISSING,
            Self::System(_) | Self::Command(_) | Self::Launcher(_) | Self::Files(_) | Self::NoResult { .. } => {
                code::GENERAL
            }
            Self::Refused
            | Self::Late
            | Self::ClientGone
            | Self::ClientLost(_)
            | Self::Protocol
            | Self::Damaged(_)
            | Self::Stopped => code::IO,
        }
    }

    /// Whether the environment is to be removed.
    pub const fn is_environments(&self) -> bool {
        matches!(self, Self::Environment(_))
    }

    /// Whether the client is told why: 1.4's takes a text before the close for a reason to avoid this host.
    pub const fn is_told(&self) -> bool {
        matches!(self, Self::Environment(_) | Self::Command(_) | Self::Files(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("not to be run"),
            Self::Late => f.write_str("timeout while reading preprocessed file"),
            Self::ClientGone => f.write_str("unexpected EOF while reading preprocessed file"),
            Self::ClientLost(error) => write!(f, "client lost: {error}"),
            Self::Protocol => f.write_str("protocol error while reading preprocessed file"),
            Self::Cancelled => f.write_str("client cancelled"),
            Self::Damaged(reason) => write!(f, "damaged preprocessed file: {reason}"),
            Self::Stopped => f.write_str("the daemon stops"),
            Self::System(error) => write!(f, "cannot serve the compiler: {error}"),
            Self::Environment(text) | Self::Command(text) | Self::Launcher(text) | Self::Files(text) => {
                f.write_str(text)
            }
            Self::NoResult { reason, .. } => f.write_str(reason),
        }
    }
}
