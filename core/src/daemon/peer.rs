//! A client's connection: its state and what it holds.

use crate::env::EnvId;
use crate::ids::{ClientId, JobId};
use crate::limits::{IDLE, IDLE_WITH_ENVIRONMENT};
use crate::message::{CompileFile, GetCs};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;
use std::fmt;

/// A job's number together with the scheduler session that assigned it (decision: job-ids).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionJob {
    /// The number.
    pub job: JobId,
    /// The session; `None` if the number was made up here or comes from an unknown scheduler.
    pub session: Option<u32>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// This daemon's number of the client.
    pub client: ClientId,
    /// The version agreed on.
    pub version: Version,
    /// Its address as text, without port, or `local unix domain socket`.
    pub address: Text,
    /// Whether the client runs on this host.
    pub of_this_host: bool,
    /// When its last message arrived, or its environment was installed.
    pub active: Instant,
    /// Its state.
    pub state: State,
    /// Jobs of this connection whose end this daemon must still report.
    pub jobs: Vec<SessionJob>,
    /// Answers to GET_CS still to come; more than one in repeat mode.
    pub awaited: u32,
    /// Environment that this connection sent, verified or uses; it is not evicted before the connection ends.
    pub pinned: Option<EnvId>,
    /// The last environment that it sent, if that was not installed, and why; kept for its VERIFY_ENV.
    pub refusal: Option<(EnvId, Text)>,
    /// Bytes of memory that its result takes until the client has read it.
    pub sending: u64,
}

impl Peer {
    /// When it is closed for being idle; clients of this host never are.
    pub fn idle_end(&self) -> Option<Instant> {
        let limit = if self.pinned.is_some() { IDLE_WITH_ENVIRONMENT } else { IDLE };
        (!self.of_this_host && self.state == State::Unknown).then(|| self.active + limit)
    }
}

/// State of a connection. Names in the dump are 1.4's ([`State::name`]).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
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
    },
    /// The client shall compile itself and waits for a slot.
    PendingUseCs {
        /// Its jobs; more than one only in repeat mode.
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
    /// COMPILE_FILE arrived; waits for a slot.
    ToCompile { job: SessionJob, env: EnvId, file: Box<CompileFile> },
    /// Its job runs in a slot.
    WaitForChild { job: SessionJob, env: EnvId, slot: u16, since: Instant },
    /// The job has ended and was reported; the result is being sent.
    Sending,
}

/// What a client with a slot does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    /// A compile, assigned by the scheduler or made up here.
    Own,
    /// A local job, with its start in Unix seconds and the session that knows it.
    Local { output: Text, full: bool, started: u32, announced: Option<u32> },
}

impl State {
    /// The name in the dump, which is 1.4's.
    pub fn name(&self) -> &'static str {
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
            Self::ToCompile { .. } => "tocompile",
            Self::WaitForChild { .. } => "waitforchild",
            Self::Sending => "sending",
        }
    }

    /// Whether the connection's own thread handles its messages, so that none may arrive here.
    pub fn is_taken_over(&self) -> bool {
        matches!(self, Self::ToInstall(_) | Self::ToCompile { .. } | Self::WaitForChild { .. } | Self::Sending)
    }
}

/// Why a connection is closed; its code is reported with the job (`net/PROTOCOL.md`, JOB_DONE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The daemon stops.
    Stopping,
    /// The client closed the connection without END.
    Closed,
    /// The client sent END.
    End,
    /// A message that is invalid in this state.
    Unexpected,
    /// A message that only clients of this host may send, from another host.
    NotLocal,
    /// A client of another host was idle for too long.
    Idle,
    /// The native environment could not be made.
    NativeFailed,
    /// The compiler or an extra file is missing.
    NativeMissing,
    /// An invalid environment or platform name, or an environment that is not accepted.
    BadEnvironment,
    /// The environment is not installed, broken, or could not be verified.
    NoEnvironment,
    /// JOB_DONE for a job that is not the connection's own.
    ForeignJob,
    /// The thread that ran the job ended without a report.
    NoReport,
    /// A COMPILE_FILE or GET_CS that cannot be served: language, sizes, remote jobs not accepted.
    BadJob,
    /// Too many results wait for clients that do not read them, and this one is the largest.
    Unread,
}

impl CloseReason {
    /// The exit code for JOB_DONE.
    pub const fn code(self) -> i32 {
        match self {
            Self::Stopping => 116,
            Self::Closed | Self::Idle => 118,
            Self::End => 119,
            Self::Unexpected | Self::NotLocal | Self::ForeignJob => 120,
            Self::NativeFailed => 121,
            Self::NativeMissing => 122,
            Self::BadEnvironment => 144,
            Self::NoEnvironment => 110,
            Self::NoReport => 151,
            Self::BadJob | Self::Unread => 100,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Stopping => "daemon stops",
            Self::Closed => "connection closed",
            Self::End => "end",
            Self::Unexpected => "unexpected message",
            Self::Idle => "idle for too long",
            Self::NotLocal => "message for clients of this host only",
            Self::NativeFailed => "native environment could not be made",
            Self::NativeMissing => "compiler or extra file missing",
            Self::BadEnvironment => "bad environment name",
            Self::NoEnvironment => "environment missing or broken",
            Self::ForeignJob => "job of somebody else",
            Self::NoReport => "job ended without a report",
            Self::BadJob => "job that cannot be run",
            Self::Unread => "too many objects were not read",
        };
        write!(f, "{what} ({})", self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::CloseReason as R;

    /// The scheduler shows them, and 1.4's operators know them.
    #[test]
    fn each_end_has_its_code() {
        for (code, reason, words) in [
            (100, R::BadJob, "job that cannot be run (100)"),
            (100, R::Unread, "too many objects were not read (100)"),
            (110, R::NoEnvironment, "environment missing or broken (110)"),
            (116, R::Stopping, "daemon stops (116)"),
            (118, R::Closed, "connection closed (118)"),
            (118, R::Idle, "idle for too long (118)"),
            (119, R::End, "end (119)"),
            (120, R::Unexpected, "unexpected message (120)"),
            (120, R::NotLocal, "message for clients of this host only (120)"),
            (120, R::ForeignJob, "job of somebody else (120)"),
            (121, R::NativeFailed, "native environment could not be made (121)"),
            (122, R::NativeMissing, "compiler or extra file missing (122)"),
            (144, R::BadEnvironment, "bad environment name (144)"),
            (151, R::NoReport, "job ended without a report (151)"),
        ] {
            assert_eq!((reason.code(), reason.to_string().as_str()), (code, words));
        }
    }
}
