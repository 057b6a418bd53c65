//! One client's connection: its state and what it holds.

use crate::env::EnvId;
use crate::ids::{ClientId, JobId};
use crate::limits::{IDLE, IDLE_WITH_ENVIRONMENT};
use crate::message::{CompileFile, GetCs};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;
use std::fmt;

/// A job's number together with the scheduler session that gave it out (decision: job-ids).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionJob {
    pub job: JobId,
    /// `None`: made up here, or by a scheduler that we don't know.
    pub session: Option<u32>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub client: ClientId,
    pub version: Version,
    pub address: Text,
    pub of_this_host: bool,
    /// When it last said something, or something was found out for it.
    pub active: Instant,
    pub state: State,
    /// Jobs of this connection that the scheduler still counts as ours to report.
    pub jobs: Vec<SessionJob>,
    /// Answers to GET_CS that are still to come: more than one in repeat mode.
    pub awaited: u32,
    /// Environment that this connection brought, checked or uses: not evicted before it ends.
    pub pinned: Option<EnvId>,
    /// Environment that it brought last and that was not installed, and why: its VERIFY_ENV is still to come.
    pub refusal: Option<(EnvId, Text)>,
    /// Bytes that its object takes until it has read it: they stand in memory.
    pub sending: u64,
}

impl Peer {
    /// When it is closed for being idle: clients of this host may take their time.
    pub fn idle_end(&self) -> Option<Instant> {
        let limit = if self.pinned.is_some() { IDLE_WITH_ENVIRONMENT } else { IDLE };
        (!self.of_this_host && self.state == State::Unknown).then(|| self.active + limit)
    }
}

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// New, or an environment transfer is over.
    Unknown,
    /// Its native environment is looked for or made.
    WaitCreateEnv,
    /// It knows its native environment.
    GotNative,
    /// GET_CS passed on, or kept until there is a scheduler again.
    WaitForCs {
        request: Box<GetCs>,
        /// The session that was asked.
        asked: Option<u32>,
    },
    /// To be built here by the client itself; waits for a slot.
    PendingUseCs {
        /// More than one only in repeat mode.
        jobs: Vec<JobId>,
        /// The scheduler's or, without one, what was asked for; what the client is told.
        platform: Text,
        /// No host could take it.
        nobody: bool,
        niceness: u32,
    },
    /// Has been sent to another host.
    WaitCompile { host: Text },
    /// A local job waits for a slot.
    LinkJob { output: Text, full: bool },
    /// The client runs something itself.
    ClientWork(Work),
    /// The job was reported.
    JobDone,
    /// Sends an environment that is unpacked here.
    ToInstall(EnvId),
    /// COMPILE_FILE received, waits for a slot.
    ToCompile { job: SessionJob, env: EnvId, file: Box<CompileFile> },
    /// Its job runs in a slot.
    WaitForChild { job: SessionJob, env: EnvId, slot: u16, since: Instant },
    /// The job has ended and was reported; the object travels.
    Sending,
}

/// What a client in `clientwork` does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    /// A job that the scheduler knows or that was made up here.
    Own,
    /// A local job.
    Local { output: Text, full: bool, started: u32, announced: Option<u32> },
}

impl State {
    /// The name in the dump.
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

    /// Whether the connection's own thread has taken its dialogue over, so that nothing more is expected here.
    pub fn is_taken_over(&self) -> bool {
        matches!(self, Self::ToInstall(_) | Self::ToCompile { .. } | Self::WaitForChild { .. } | Self::Sending)
    }
}

/// Why a connection is ended; its code goes to the scheduler with the job (`net/PROTOCOL.md`, JOB_DONE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The daemon stops.
    Stopping,
    /// The client is gone.
    Closed,
    /// END: the client said good-bye.
    End,
    /// A message that makes no sense here.
    Unexpected,
    /// A message for the host's own clients, from another host.
    Stranger,
    /// A client of another host that wants nothing.
    Idle,
    /// No environment could be made.
    NativeFailed,
    /// Compiler or extra file is missing.
    NativeMissing,
    /// No name of an environment or platform.
    BadEnvironment,
    /// The environment is not here, or broken.
    NoEnvironment,
    /// JOB_DONE for a job that is not the connection's own.
    ForeignJob,
    /// The thread that ran the job ended without a report.
    NoReport,
    /// COMPILE_FILE that cannot be run: language, compiler.
    BadJob,
    /// It does not read its object, and others do not read theirs.
    Unread,
}

impl CloseReason {
    /// The exit code.
    pub const fn code(self) -> i32 {
        match self {
            Self::Stopping => 116,
            Self::Closed | Self::Idle => 118,
            Self::End => 119,
            Self::Unexpected | Self::Stranger | Self::ForeignJob => 120,
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
            Self::Stranger => "message for clients of this host only",
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
            (120, R::Stranger, "message for clients of this host only (120)"),
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
