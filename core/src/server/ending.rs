//! What jobs of both kinds have in common: what is to be done for them, texts, and a report and a reason at their end.

use super::failure::Failure;
use super::outcome::{Collected, Ended};
use crate::daemon::JobReport;
use crate::job::JobStats;
use crate::message::{CompileResult, Message};
use crate::version::Version;

/// One of a compiler's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What shall be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Tell the daemon: all of the source is here, and only a slot is missing.
    Complete,
    /// The compiler has all of its source: its input ends.
    CloseInput,
    /// A job that has a slot ends here; kill what runs.
    GiveUp(Failure),
    /// Tell the daemon: from here on the slot is free.
    Report(JobReport),
    /// Say something to the client. It may be gone.
    Say(Message),
    /// Send the client its result, and the files if its status is 0.
    Deliver(Box<CompileResult>),
    /// Close the connection, for this reason. Nothing follows.
    Close(String),
}

/// The compiler's texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    stdout: Said,
    stderr: Said,
}

#[derive(Debug, Default)]
struct Said {
    collected: Collected,
    is_over: bool,
}

impl Texts {
    /// The compiler wrote this.
    pub fn add(&mut self, stream: Stream, read: &[u8]) {
        self.text(stream).collected.add(read);
    }

    /// One of them is over.
    pub fn end(&mut self, stream: Stream) {
        self.text(stream).is_over = true;
    }

    /// Whether both are over.
    pub fn are_over(&self) -> bool {
        self.stdout.is_over && self.stderr.is_over
    }

    /// Standard output and standard error; nothing is left.
    pub fn take(&mut self) -> (Collected, Collected) {
        let Self { stdout, stderr } = std::mem::take(self);
        (stdout.collected, stderr.collected)
    }

    fn text(&mut self, stream: Stream) -> &mut Said {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// What came of the client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Came {
    /// As it came.
    pub compressed: u64,
    /// Unpacked.
    pub plain: u64,
}

impl Came {
    /// The daemon is told that the slot is free.
    pub fn report(self, exit_code: i32, ended: Option<&Ended>, broken: bool) -> Output {
        let short = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let stats = JobStats {
            in_compressed: short(self.compressed),
            in_uncompressed: short(self.plain),
            ..ended.map(|ended| ended.stats).unwrap_or_default()
        };
        let held = ended.map_or(0, |ended| ended.held);
        Output::Report(JobReport { exit_code, stats, held, broken })
    }

    /// A job that has a slot has no result.
    pub fn failed(self, failure: &Failure, ended: Option<&Ended>) -> [Output; 2] {
        let report = self.report(failure.code(), ended, failure.is_environments());
        [Output::GiveUp(failure.clone()), report]
    }
}

/// What a client of this version is told of a failure, if anything.
pub(super) fn told(failure: &Failure, version: Version) -> Option<Output> {
    let text = failure.to_string().as_str().into();
    (failure.is_told() && version.has_status_text()).then_some(Output::Say(Message::StatusText { text }))
}
