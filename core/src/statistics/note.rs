//! What a client tells of a job that has ended.

use serde::{Deserialize, Serialize};

/// Bytes of a file's name that are kept: its end.
const FILE_MAX: usize = 200;
/// Bytes of a host's address.
const HOST_MAX: usize = 64;
/// Bytes of a reason's word.
const REASON_MAX: usize = 40;

/// Latest beginning, far in the future: no sum of times leaves the numbers.
const LATEST: u64 = 1 << 60;

/// Where a job was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// By a compile server.
    Elsewhere,
    /// On its submitter alone.
    #[default]
    Here,
    /// On its submitter, after a compile server had done it: its result was not taken, or compared.
    Twice,
}

/// A part of a job. They follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The command line is looked at, and the environment asked for.
    Prepare,
    /// Until the scheduler has named a compile server.
    Wait,
    /// Connecting to it, and what it needs of the environment.
    Environment,
    /// Sending the source, or facts of files and what is asked for.
    Send,
    /// All is sent: until the server answers. It waits for a slot there, and compiles.
    Compile,
    /// Receiving what it made.
    Fetch,
    /// Waiting for a slot of this host.
    Slot,
    /// Compiling here.
    Here,
}

impl Part {
    /// All, in their order.
    pub const ALL: [Self; 8] =
        [Self::Prepare, Self::Wait, Self::Environment, Self::Send, Self::Compile, Self::Fetch, Self::Slot, Self::Here];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Wait => "wait",
            Self::Environment => "environment",
            Self::Send => "send",
            Self::Compile => "queue and compile",
            Self::Fetch => "fetch",
            Self::Slot => "wait for a slot",
            Self::Here => "compile here",
        }
    }
}

/// How long each part took, in microseconds, in the order of [`Part::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans([u32; Part::ALL.len()]);

impl Spans {
    /// How long a part took.
    pub fn of(&self, part: Part) -> u64 {
        Part::ALL.iter().zip(self.0).filter(|(one, _)| **one == part).map(|(_, time)| u64::from(time)).sum()
    }

    /// A part took so much longer.
    pub fn add(&mut self, part: Part, us: u64) {
        for (_, time) in Part::ALL.iter().zip(&mut self.0).filter(|(one, _)| **one == part) {
            *time = time.saturating_add(u32::try_from(us).unwrap_or(u32::MAX));
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.0.into_iter().map(u64::from).sum()
    }

    /// What a job costs beyond its compile, if it is done elsewhere.
    pub fn overhead(&self) -> u64 {
        [Part::Prepare, Part::Wait, Part::Environment, Part::Send, Part::Fetch].map(|part| self.of(part)).iter().sum()
    }
}

/// The preprocessor, or the scan for files, which runs beside other parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// When it began, in microseconds after the job.
    pub begun: u32,
    /// How long it took.
    pub took: u32,
}

/// A job that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    /// Its source file or output, or the program of a command without them.
    pub file: String,
    /// Where it was done.
    pub place: Place,
    /// Why it was done here: the word of a [`Reason`](crate::reason::Reason); empty if it was not.
    pub reason: String,
    /// The compile server's address; empty if none was named.
    pub host: String,
    /// How many compile servers were asked for.
    pub tries: u32,
    /// Exit status of the command.
    pub status: i32,
    /// When the job began, in microseconds since 1970.
    pub begun: u64,
    /// Its parts.
    pub spans: Spans,
    /// The preprocessor.
    pub preprocess: Option<Beside>,
    /// The scan of the files of a job by files.
    pub scan: Option<Beside>,
    /// Bytes of source, facts and environment that were sent, as packed.
    pub sent: u64,
    /// Bytes that came, as packed.
    pub received: u64,
}

impl Note {
    /// When it ended, in microseconds since 1970.
    pub fn ended(&self) -> u64 {
        self.begun.saturating_add(self.spans.total())
    }

    /// Whether a compile server failed it: it went to another, or was done here.
    pub fn has_failed_over(&self) -> bool {
        self.tries > 1 || (self.place == Place::Here && !self.host.is_empty())
    }

    /// With names of bounded length, and a possible time.
    pub fn bounded(mut self) -> Self {
        self.begun = self.begun.min(LATEST);
        keep_end(&mut self.file, FILE_MAX);
        keep_end(&mut self.host, HOST_MAX);
        keep_end(&mut self.reason, REASON_MAX);
        self
    }
}

/// Cuts a text from the left.
fn keep_end(text: &mut String, max: usize) {
    let mut from = text.len().saturating_sub(max);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.drain(..from);
}
