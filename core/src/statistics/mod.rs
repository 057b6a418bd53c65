//! What came of a user's jobs: counts since ever, of today and of the last build, and the records of that build.
//!
//! A submitter's daemon keeps them for each user. Clients tell it a note of each job; `icecc --stats` and
//! `icecc --trace` ask for them. All times are of clocks of the submitter, in microseconds.

mod counters;
mod note;
/// A build as a picture.
pub mod trace;

pub use counters::{Counters, HostCount};
pub use note::{Beside, Note, Part, Place, Spans};

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A build has ended when no job of it was there for so long.
const PAUSE: u64 = 30_000_000;
/// Length of a day.
const DAY: u64 = 24 * 3600 * 1_000_000;

/// Which jobs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Those of the last build, which may still go on.
    Last,
    /// Those of today, by the clock of UTC.
    Today,
    /// All that were ever counted.
    All,
}

impl Period {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Today => "today",
            Self::All => "all",
        }
    }
}

/// The statistics of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statistics {
    all: Counters,
    today: Counters,
    build: Counters,
    /// Jobs of the last build, as they ended.
    records: VecDeque<Note>,
}

impl Statistics {
    /// Counts a job. At most `records_max` jobs of a build are remembered one by one.
    pub fn add(&mut self, note: Note, records_max: usize) {
        let note = note.bounded();
        if note.ended() / DAY > self.today.ended / DAY {
            self.today = Counters::default();
        }
        if note.begun > self.build.ended.saturating_add(PAUSE) {
            self.build = Counters::default();
            self.records.clear();
        }
        for counters in [&mut self.all, &mut self.today, &mut self.build] {
            counters.add(&note);
        }
        self.records.push_back(note);
        while self.records.len() > records_max {
            self.records.pop_front();
        }
    }

    /// The sums of a period, at a time since 1970.
    pub fn counters(&self, period: Period, now: u64) -> Counters {
        match period {
            Period::Last => self.build.clone(),
            Period::Today if now / DAY > self.today.ended / DAY => Counters::default(),
            Period::Today => self.today.clone(),
            Period::All => self.all.clone(),
        }
    }

    /// The jobs of the last build that are remembered, as they ended.
    pub fn records(&self) -> impl Iterator<Item = &Note> {
        self.records.iter()
    }

    /// Those that took longest, the first of all first.
    pub fn slowest(&self, count: usize) -> Vec<&Note> {
        let mut slowest: Vec<&Note> = self.records.iter().collect();
        slowest.sort_by_key(|note| std::cmp::Reverse(note.spans.total()));
        slowest.truncate(count);
        slowest
    }
}

#[cfg(test)]
mod tests;
