//! Why a connection ends, and the code that tells it.

use std::fmt;

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
    /// The scheduler did not give the job to this host, and given ones wait for its slot.
    NotGiven,
    /// The scheduler gave the job to this host, but others hold all slots.
    SlotsHeld,
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
            Self::BadJob | Self::Unread | Self::NotGiven | Self::SlotsHeld => 100,
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
            Self::NotGiven => "its slot is needed by a job of the scheduler's",
            Self::SlotsHeld => "all slots are held by jobs that the scheduler does not know",
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
