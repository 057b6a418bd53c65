//! How important what a machine notes is to a person.

/// How important a line is. `-v` shows warnings, `-vv` info, `-vvv` debug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A person must act.
    Error,
    /// Something is degraded, and why.
    Warning,
    /// Rare events, and a line per job that 1.4 has at this level.
    Info,
    /// Everything else.
    Debug,
}
