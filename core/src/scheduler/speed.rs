//! How fast a host is and how heavy a file is, learned from finished jobs.
//!
//! Two figures that do not know each other: [`Shown`] is 1.4's speed, which `listcs` and monitors print;
//! [`Pace`] and [`Files`] are ours, which choose. Ours measures wall time against what the same file took elsewhere, so
//! that debug builds and templates do not make a host look fast.

use crate::ids::JobId;
use crate::job::JobStats;
use crate::message::arg_flags as flag;
use crate::text::Text;
use std::collections::{BTreeMap, VecDeque};

/// Samples 1.4 keeps per host.
const SHOWN_MAX: usize = 200;
/// Smallest object that 1.4 counts.
const SHOWN_OUT_MIN: u32 = 4096;

#[derive(Clone, Copy, Debug)]
struct Sample {
    job: JobId,
    size: u32,
    user_ms: u32,
}

/// 1.4's speed of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    samples: VecDeque<Sample>,
    size: u64,
    user_ms: u64,
}

impl Shown {
    /// Takes a finished job; false if 1.4 would not count it.
    pub fn learn(&mut self, job: JobId, exit_code: i32, stats: &JobStats, arg_flags: u32) -> bool {
        if exit_code != 0 || stats.out_uncompressed < SHOWN_OUT_MIN {
            return false;
        }
        let user_ms = stats.user_ms;
        let mut size = adjusted_size(stats.out_uncompressed, arg_flags);
        if self.samples.len() >= 7 {
            // A job counts as a fifth faster or slower than what is known at most, and for nothing where no time is known.
            let known = if self.user_ms == 0 { 0.0 } else { self.size as f64 / self.user_ms as f64 };
            let usual = known * f64::from(user_ms);
            size = f64::from(size).clamp(usual / 1.2, usual * 1.2) as u32;
        }
        self.samples.push_back(Sample { job, size, user_ms });
        self.size += u64::from(size);
        self.user_ms += u64::from(user_ms);
        if self.samples.len() > SHOWN_MAX {
            if let Some(old) = self.samples.pop_front() {
                self.size -= u64::from(old.size);
                self.user_ms -= u64::from(old.user_ms);
            }
        }
        true
    }

    /// The figure shown: bytes per user millisecond, with 1.4's favour for hosts with few samples.
    pub fn value(&self) -> f64 {
        if self.user_ms == 0 {
            return 0.0;
        }
        let value = self.size as f64 / self.user_ms as f64;
        match self.samples.len() {
            k @ 1..=6 => value * (4.5 - 0.5 * k as f64),
            _ => value,
        }
    }

    /// The oldest 17 jobs, for the "matched job" of USE_CS.
    pub fn oldest(&self) -> impl Iterator<Item = JobId> + '_ {
        self.samples.iter().take(17).map(|s| s.job)
    }
}

/// The size of an object as if it had been compiled plainly.
pub(super) fn adjusted_size(out: u32, arg_flags: u32) -> u32 {
    let mut size = u64::from(out);
    if arg_flags & flag::DEBUG != 0 {
        size = size * 10 / 36;
    } else if arg_flags & flag::DEBUG3 != 0 {
        size = size * 10 / 45;
    }
    if arg_flags & (flag::OPT1 | flag::OPT2 | flag::OPT_OTHER) != 0 {
        size = size * 58 / 35;
    }
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// How fast a host really is: weight done per millisecond of wall time; 1.0 is the host that was measured first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    weight: f64,
    wall_ms: f64,
    /// Jobs in these sums: older ones are fractions.
    jobs: f64,
    samples: u32,
}

/// Each new sample makes the older ones count this much less.
const PACE_KEEP: f64 = 1.0 - 1.0 / 32.0;
/// Whatever hosts claim: no host is slower or faster than this, no file lighter or heavier (ms), none makes fewer or more bytes
/// of object per millisecond. Without these bounds a few lies grow into infinities, which are no order to choose by.
const PACES: (f64, f64) = (1e-4, 1e4);
const WEIGHTS: (f64, f64) = (0.1, 1e8);
const BYTES_PER_WEIGHT: (f64, f64) = (1e-3, 1e7);

/// Infinities and what is no number become a bound.
fn within(n: f64, (least, most): (f64, f64)) -> f64 {
    n.max(least).min(most)
}

impl Pace {
    /// Takes a finished job of known weight. One job out of line moves a settled pace little.
    pub fn learn(&mut self, weight: f64, wall_ms: f64) {
        let wall_ms = match self.value() {
            Some(pace) if self.samples >= 7 => wall_ms.clamp(weight / (pace * 3.0), weight / (pace / 3.0)),
            _ => wall_ms,
        };
        self.weight = self.weight * PACE_KEEP + weight;
        self.wall_ms = self.wall_ms * PACE_KEEP + wall_ms;
        self.jobs = self.jobs * PACE_KEEP + 1.0;
        self.samples = self.samples.saturating_add(1);
    }

    /// Wall time of a job there, in the mean; 0 as long as nothing is known.
    pub fn job_ms(&self) -> f64 {
        self.wall_ms / self.jobs.max(1.0)
    }

    /// The pace, if anything is known.
    pub fn value(&self) -> Option<f64> {
        (self.samples > 0).then(|| within(self.weight / self.wall_ms, PACES))
    }
}

#[derive(Clone, Copy, Debug)]
struct Weight {
    weight: f32,
    samples: u16,
}

/// Files in one generation; two are kept.
const FILES_MAX: usize = 20_000;

/// How heavy files are: milliseconds they take on a host of pace 1.0.
#[derive(Debug)]
pub(super) struct Files {
    young: BTreeMap<Text, Weight>,
    /// The generation before: read only, dropped when the young one is full.
    old: BTreeMap<Text, Weight>,
    mean: f64,
    /// Adjusted bytes of object per weight, for files not seen yet.
    bytes_per_weight: f64,
    bytes_samples: u32,
}

impl Default for Files {
    fn default() -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), mean: 1000.0, bytes_per_weight: 0.0, bytes_samples: 0 }
    }
}

impl Files {
    /// Weight of a file: what it took before, else the mean of all.
    pub fn weight(&self, file: &Text) -> f64 {
        self.known(file).map_or(self.mean, |w| f64::from(w.weight))
    }

    /// Mean weight of the jobs of late.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Learns from a job that ended well: adjusts the pace of its host and the weight of its file.
    pub fn learn(&mut self, file: &Text, size: u32, wall_ms: u32, pace: &mut Pace) {
        if wall_ms == 0 {
            return;
        }
        let wall = f64::from(wall_ms);
        let known = self.known(file);
        let expected = match known {
            Some(w) => f64::from(w.weight),
            None if size > 0 && self.bytes_samples > 0 => f64::from(size) / self.bytes_per_weight,
            None => wall * pace.value().unwrap_or(1.0),
        };
        pace.learn(within(expected, WEIGHTS), wall);
        let seen = within(wall * pace.value().unwrap_or(1.0), WEIGHTS);
        self.mean += (seen - self.mean) / 32.0;
        if size > 0 {
            self.bytes_samples = self.bytes_samples.saturating_add(1);
            let share = 1.0 / f64::from(self.bytes_samples.min(64));
            let mean = self.bytes_per_weight + (f64::from(size) / seen - self.bytes_per_weight) * share;
            self.bytes_per_weight = within(mean, BYTES_PER_WEIGHT);
        }
        let mut weight = known.unwrap_or(Weight { weight: 0.0, samples: 0 });
        weight.samples = weight.samples.saturating_add(1);
        weight.weight += (seen as f32 - weight.weight) / f32::from(weight.samples.min(4));
        if self.young.len() >= FILES_MAX && !self.young.contains_key(file) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(file.clone(), weight);
    }

    fn known(&self, file: &Text) -> Option<Weight> {
        self.young.get(file).or_else(|| self.old.get(file)).copied()
    }
}

#[cfg(test)]
mod tests;
