//! Whose fault a reason is.

/// Who can do something about a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nobody: it is as it should be.
    Nobody,
    /// The command line, and so its author.
    CommandLine,
    /// The set-up of the submitter's host.
    SetUp,
    /// The cluster as a whole.
    Cluster,
    /// One compile server.
    Host,
}
