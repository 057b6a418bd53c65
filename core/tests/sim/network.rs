//! What lies between processes: messages arrive late, in order, or not at all because the link was cut.

use crate::rng::Rng;
use ice_core::time::{Duration, Instant};

/// Delays of one run, drawn from its seed.
pub struct Network {
    delay_min_us: u64,
    delay_max_us: u64,
}

/// One direction of a stream: what is sent later never arrives earlier.
#[derive(Clone, Copy, Default)]
pub struct Lane {
    last: Instant,
}

impl Network {
    pub fn new(rng: &mut Rng) -> Self {
        let delay_min_us = rng.between(50, 2_000);
        Self { delay_min_us, delay_max_us: delay_min_us + rng.between(50, 20_000) }
    }

    pub fn delay(&self, rng: &mut Rng) -> Duration {
        Duration::from_micros(rng.between(self.delay_min_us, self.delay_max_us))
    }

    /// When a message sent now arrives.
    pub fn arrival(&self, rng: &mut Rng, now: Instant, lane: &mut Lane) -> Instant {
        lane.last = lane.last.max(now + self.delay(rng));
        lane.last
    }
}
