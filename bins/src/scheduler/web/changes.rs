//! The last changes of jobs, numbered, so that a page asks for those since the ones that it has.

use std::collections::VecDeque;

use ice_core::cluster_view::Finished;
use ice_core::ids::JobId;

/// Changes that are kept. Who comes later is told everything.
const CHANGES_MAX: usize = 32_768;

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A job began.
    Began(JobId),
    /// A job ended.
    Ended(Box<Finished>),
    /// A job ended that never began here.
    Gone(JobId),
}

/// The changes.
#[derive(Clone, Debug, Default)]
pub struct Log {
    changes: VecDeque<Change>,
    /// Number of the last change.
    last: u64,
}

impl Log {
    /// A log whose numbers begin behind `base`.
    pub fn new(base: u64) -> Self {
        Self { changes: VecDeque::new(), last: base }
    }

    /// Number of the last change.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Adds a change.
    pub fn add(&mut self, change: Change) {
        if self.changes.len() >= CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.last += 1;
    }

    /// Whoever has a number from before gets everything again.
    pub fn begin_anew(&mut self) {
        self.changes.clear();
        self.last += 1;
    }

    /// The changes after that of this number; `None` if they are not all kept, or it is none of ours.
    pub fn since(&self, number: u64) -> Option<impl Iterator<Item = &Change>> {
        let count = usize::try_from(self.last.checked_sub(number)?).ok()?;
        let skip = self.changes.len().checked_sub(count)?;
        Some(self.changes.iter().skip(skip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_number_gets_what_came_after_it_or_everything() {
        let mut log = Log::new(100);
        (1..=3).for_each(|job| log.add(Change::Gone(JobId(job))));
        let since = |log: &Log, number| log.since(number).map(Iterator::count);
        assert_eq!(log.last(), 103);
        for (number, count) in [(99, None), (100, Some(3)), (102, Some(1)), (103, Some(0)), (104, None), (0, None)] {
            assert_eq!(since(&log, number), count, "{number}");
        }
        log.begin_anew();
        assert_eq!((since(&log, 103), since(&log, 104)), (None, Some(0)));
        (0..CHANGES_MAX + 5).for_each(|_| log.add(Change::Gone(JobId(1))));
        assert_eq!((since(&log, 108), since(&log, 109)), (None, Some(CHANGES_MAX)));
    }
}
