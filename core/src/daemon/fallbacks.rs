//! Counts how often clients of this host gave up a compile server and compiled locally (decision: fallbacks-shown).
//!
//! A client that gives up drops its connection without END and requests a local slot on a new one. No message says that
//! both are the same compile: a local job counts as fallback if it comes shortly after a dropped connection.

use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// Time within which a client comes back: some milliseconds, more on a busy host.
const WINDOW: Duration = Duration::from_secs(1);
/// Maximum number of dropped connections remembered; no usual number of processors has more at a time.
const PENDING_MAX: usize = 256;

/// The counter and recently dropped connections.
#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    /// When connections with a job on a compile server were dropped, oldest first.
    dropped: VecDeque<Instant>,
    count: u64,
}

impl Fallbacks {
    /// A client dropped a connection whose job was on a compile server.
    pub fn dropped(&mut self, now: Instant) {
        if self.dropped.len() == PENDING_MAX {
            self.dropped.pop_front();
        }
        self.dropped.push_back(now);
    }

    /// A client requested a local job.
    pub fn local_asked(&mut self, now: Instant) {
        while self.dropped.front().is_some_and(|at| now.since(*at) > WINDOW) {
            self.dropped.pop_front();
        }
        // Each dropped connection counts once.
        if self.dropped.pop_front().is_some() {
            self.count += 1;
        }
    }

    /// Number of fallbacks since the start.
    pub fn count(&self) -> u64 {
        self.count
    }
}
