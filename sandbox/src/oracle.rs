//! What a job of files mode is told of the submitter's file system: the interface to whoever knows it.

/// What stands at a canonical path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory {
        /// The user may read its names.
        readable: bool,
    },
    /// A link, and what it says.
    Link(Vec<u8>),
    /// A regular file.
    File,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// To something: its canonical path.
    Found(Vec<u8>),
    /// To nothing.
    Absent,
    /// Through something that is no directory.
    NotADirectory,
    /// Through a directory that the user may not search.
    Denied,
    /// Through too many links.
    Loop,
    /// Its name is too long.
    TooLong,
    /// That is not known: the canonical path of which nothing was told.
    Unknown(Vec<u8>),
}

/// What stands at some paths, whatever the oracle says of them.
pub trait Own {
    /// What stands there, if this one knows.
    fn at(&self, path: &[u8]) -> Option<Stands>;
}

/// What was told of the submitter's file system. It remembers what was looked up.
pub trait Oracle {
    /// What stands at a canonical path; `None`: nothing was told of it.
    fn at(&mut self, path: &[u8]) -> Option<Stands>;
    /// The names in a directory, sorted, if they were told.
    fn names(&mut self, dir: &[u8]) -> Option<&[Vec<u8>]>;
    /// Follows a path from a canonical directory. A link at its end is followed too if `follow`. What `own` knows
    /// comes before what was told.
    fn walk(&mut self, own: &dyn Own, start: &[u8], path: &[u8], follow: bool) -> Walk;
    /// Takes what was told in answer to a question.
    fn learn(&mut self, more: &[u8]) -> Result<(), String>;
    /// All that was looked up: canonical paths, and those of directories whose names were read with `/` behind them.
    fn used(&self) -> Vec<Vec<u8>>;
}
