//! How a client tells a server that is gone from one that only takes its time (decision: silent-server): one that is
//! silent is probed. A probe is a second connection to its port, which must bring the offer of its protocol version. All
//! its times stand here; `bins/src/icecc/probe.rs` carries it out.

use crate::time::{Duration, Instant};

/// How long connecting for a probe may take: that is done by the other host's kernel, so it is there at once or not at
/// all.
pub const PROBE_CONNECT: Duration = Duration::from_secs(5);

/// When a silent server is probed, and how long that takes.
#[derive(Debug)]
pub(super) struct ProbeTimes {
    /// Silence before the first probe.
    pub silence: Duration,
    /// Pause after the answer to a probe before the next one.
    pub pause: Duration,
    /// How long the answer may take.
    pub answer: Duration,
    /// Probes in a row without an answer after which the server is given up.
    pub misses: u32,
}

impl ProbeTimes {
    /// A server of ours answers beside its work, so that 13 s tell a dead one.
    pub const OF_OURS: Self = Self {
        silence: Duration::from_secs(5),
        pause: Duration::from_secs(2),
        answer: Duration::from_secs(3),
        misses: 2,
    };
    /// A daemon of 1.4 serves one peer after the other, and may be busy with one of them for 30 s. So it is asked once
    /// and has time for that; 50 s after its last word it is given up.
    pub const OF_1_4: Self = Self {
        silence: Duration::from_secs(10),
        pause: Duration::from_secs(10),
        answer: Duration::from_secs(40),
        misses: 1,
    };
}

/// A server that is waited for: whether it shows life, and how long that helps.
#[derive(Debug)]
pub(super) struct Watch {
    times: &'static ProbeTimes,
    /// When it is given up all the same.
    due: Instant,
    is_asked: bool,
    missed: u32,
}

impl Watch {
    /// It has `limit` from now.
    pub fn new(now: Instant, limit: Duration, times: &'static ProbeTimes) -> Self {
        Self { times, due: now + limit, is_asked: false, missed: 0 }
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// It is asked for a sign, which may take so long.
    pub fn ask(&mut self) -> Duration {
        self.is_asked = true;
        self.times.answer
    }

    /// It has answered, or not. When it is to be asked again; `None`: it is given up.
    pub fn answered(&mut self, now: Instant, alive: bool) -> Option<Instant> {
        self.is_asked = false;
        self.missed = if alive { 0 } else { self.missed + 1 };
        (self.missed < self.times.misses && !self.is_over(now)).then(|| now + self.times.pause)
    }

    /// Whether an answer is awaited.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }
}
