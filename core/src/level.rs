//! Importance of log lines.

/// Importance of a log line. `-v` shows warnings, `-vv` info, `-vvv` debug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An administrator must act.
    Error,
    /// Something works only partly, and why.
    Warning,
    /// Rare events, and a line per job that 1.4 has at this level.
    Info,
    /// Everything else.
    Debug,
}
