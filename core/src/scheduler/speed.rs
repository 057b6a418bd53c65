//! Speed of hosts and weight of files, learned from finished jobs.
//!
//! There are two independent measures. [`Shown`] is 1.4's speed, which `listcs` and monitors show. [`Pace`] and
//! [`Files`] are ours and used for choosing hosts: they compare wall time with what the same file took elsewhere, so
//! that debug builds and templates do not make a host look fast.

use crate::ids::JobId;
use crate::job::JobStats;
use crate::message::arg_flags as flag;
use crate::text::Text;
use std::collections::{BTreeMap, VecDeque};

/// Number of samples that 1.4 keeps per host.
const SHOWN_MAX: usize = 200;
/// Size of the smallest object that 1.4 counts, in bytes.
const SHOWN_OUT_MIN: u32 = 4096;

#[derive(Clone, Copy, Debug)]
struct Sample {
    job: JobId,
    size: u32,
    user_ms: u32,
}

/// 1.4's speed of a host, for display only.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    samples: VecDeque<Sample>,
    size: u64,
    user_ms: u64,
}

impl Shown {
    /// Adds a finished job. Returns false if 1.4 would not count it.
    pub fn learn(&mut self, job: JobId, exit_code: i32, stats: &JobStats, arg_flags: u32) -> bool {
        if exit_code != 0 || stats.out_uncompressed < SHOWN_OUT_MIN {
            return false;
        }
        let user_ms = stats.user_ms;
        let mut size = adjusted_size(stats.out_uncompressed, arg_flags);
        if self.samples.len() >= 7 {
            // A job is clamped to 20 % around the known speed; it counts as 0 bytes if no time is known.
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

    /// The speed: bytes of object per millisecond of user time, with 1.4's bonus for hosts with few samples. 0 if
    /// unknown.
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

/// The size of an object, corrected for debug information and optimisation as 1.4 does.
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

/// Measured speed of a host: weight per millisecond of wall time. The first host measured has about 1.0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    weight: f64,
    wall_ms: f64,
    /// Number of jobs in these sums; older jobs count as fractions.
    jobs: f64,
    samples: u32,
}

/// Decay factor of the older samples at each new one.
const PACE_KEEP: f64 = 1.0 - 1.0 / 32.0;
/// Range of paces. Hosts may report any times and sizes: without these ranges a few false reports would grow into
/// infinities, by which hosts cannot be ordered.
pub(super) const PACES: (f64, f64) = (1e-4, 1e4);
/// Range of weights, in milliseconds.
const WEIGHTS: (f64, f64) = (0.1, 1e8);
/// Range of bytes of object per weight.
const BYTES_PER_WEIGHT: (f64, f64) = (1e-3, 1e7);

/// Clamps `n`; NaN and infinities become a bound.
pub(super) fn within(n: f64, (least, most): (f64, f64)) -> f64 {
    n.max(least).min(most)
}

impl Pace {
    /// Adds a finished job of known weight. With enough samples an outlier is clamped to a factor of 3.
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

    /// Mean wall time of its jobs in milliseconds; 0 if unknown.
    pub fn job_ms(&self) -> f64 {
        self.wall_ms / self.jobs.max(1.0)
    }

    /// The pace, if the host has been measured.
    pub fn value(&self) -> Option<f64> {
        (self.samples > 0).then(|| within(self.weight / self.wall_ms, PACES))
    }
}

#[derive(Clone, Copy, Debug)]
struct Weight {
    weight: f32,
    samples: u16,
}

/// Maximum number of files in one generation; two generations are kept.
const FILES_MAX: usize = 20_000;

/// Weights of files: the milliseconds that they take on a host of pace 1.0.
#[derive(Debug)]
pub(super) struct Files {
    young: BTreeMap<Text, Weight>,
    /// The previous generation: read only, dropped when the young one is full.
    old: BTreeMap<Text, Weight>,
    mean: f64,
    /// Adjusted bytes of object per weight, to estimate the weight of new files.
    bytes_per_weight: f64,
    bytes_samples: u32,
}

impl Default for Files {
    fn default() -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), mean: 1000.0, bytes_per_weight: 0.0, bytes_samples: 0 }
    }
}

impl Files {
    /// Weight of a file: the measured one, or the mean.
    pub fn weight(&self, file: &Text) -> f64 {
        self.known(file).map_or(self.mean, |w| f64::from(w.weight))
    }

    /// Mean weight of recent jobs.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Adds a successful job: updates the pace of its host and the weight of its file. A job without time is ignored.
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
