//! How long a compile server may let us wait with what we have to send it, over all writes together.
//!
//! Each write has its own bound, but a server that takes a piece every half minute would keep a job for hours.

use ice_core::limits;
use ice_net::deadline::{Deadline, Step};
use std::time::{Duration, Instant};

/// Time for writes that is left.
#[derive(Debug)]
pub(super) struct Budget(Duration);

impl Budget {
    pub(super) const fn new(limit: Duration) -> Self {
        Self(limit)
    }

    /// Writes once: for as long as one write may take, and as long as time is left.
    pub(super) fn spend<T>(&mut self, write: impl FnOnce(Deadline) -> T) -> T {
        let start = Instant::now();
        let done = write(Deadline::after(Step::Send, limits::SEND.min(self.0)));
        self.0 = self.0.saturating_sub(start.elapsed());
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_slow_writes_use_it_up() {
        let mut budget = Budget::new(limits::SEND * 2);
        assert_eq!(budget.spend(|deadline| deadline.limit()), Some(limits::SEND));
        let mut budget = Budget::new(Duration::from_millis(20));
        for _ in 0..4 {
            budget.spend(|_| std::thread::sleep(Duration::from_millis(5)));
        }
        assert!(budget.spend(|deadline| deadline.is_over()));
    }
}
