//! How often this host's own clients gave up another host and compiled here (decision: fallbacks-shown).
//!
//! A client that gives up drops its connection without END and asks for a local slot on a new one. Nothing says that both
//! are the same compile; that the second comes at once is what tells it from any other local job.

use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// A client needs some milliseconds to come back; a busy host more.
const WINDOW: Duration = Duration::from_secs(1);
/// More than these cannot be on their way at the same time with any usual number of processors.
const PENDING_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    /// When connections with a job at another host were dropped, oldest first.
    dropped: VecDeque<Instant>,
    count: u64,
}

impl Fallbacks {
    /// A client has dropped a connection whose job was at another host.
    pub fn dropped(&mut self, now: Instant) {
        if self.dropped.len() == PENDING_MAX {
            self.dropped.pop_front();
        }
        self.dropped.push_back(now);
    }

    /// A local job was asked for.
    pub fn local_asked(&mut self, now: Instant) {
        while self.dropped.front().is_some_and(|at| now.since(*at) > WINDOW) {
            self.dropped.pop_front();
        }
        // Each counts once.
        if self.dropped.pop_front().is_some() {
            self.count += 1;
        }
    }

    /// Since the start.
    pub fn count(&self) -> u64 {
        self.count
    }
}
