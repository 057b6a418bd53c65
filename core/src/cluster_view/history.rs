//! The last minutes of a cluster, a sample a second.

use crate::time::{Duration, Instant};
use serde::Serialize;
use std::collections::VecDeque;

/// How far it goes back.
pub const HISTORY: Duration = Duration::from_secs(600);
/// Samples are not taken more often than this.
const STEP: Duration = Duration::from_millis(900);
/// Number of samples in [`HISTORY`].
const SAMPLES_MAX: usize = HISTORY.as_secs() as usize;

/// What was so at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Slots of all hosts that take jobs of others.
    pub slots: usize,
    /// Jobs that hosts had from the scheduler.
    pub running: usize,
    /// Jobs that hosts kept for themselves.
    pub local: usize,
    /// Jobs that waited.
    pub waiting: usize,
    /// Jobs that ended since the sample before.
    #[serde(skip)]
    pub finished: u64,
}

/// The samples.
#[derive(Clone, Debug, Default)]
pub struct History {
    samples: VecDeque<(Instant, Sample)>,
    /// Jobs that had ended at the last sample.
    ended: u64,
}

impl History {
    /// All samples with their times, the oldest first.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = &(Instant, Sample)> + ExactSizeIterator {
        self.samples.iter()
    }

    /// Jobs that ended in the last `period`, in a second.
    pub fn rate(&self, now: Instant, period: Duration) -> f64 {
        let recent = self.samples.iter().rev().take_while(|(at, _)| now.since(*at) < period);
        let finished: u64 = recent.map(|(_, sample)| sample.finished).sum();
        finished as f64 / period.as_secs_f64().max(1.0)
    }

    /// Adds a sample unless there was one just now. `ended` counts all jobs that ever ended.
    pub(super) fn add(&mut self, now: Instant, sample: Sample, ended: u64) {
        if self.samples.back().is_some_and(|(last, _)| now.since(*last) < STEP) {
            return;
        }
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        let finished = ended.saturating_sub(std::mem::replace(&mut self.ended, ended));
        self.samples.push_back((now, Sample { finished, ..sample }));
    }
}
