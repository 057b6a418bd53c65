//! What trees may take of the disk, all together and each.

use super::TreeError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds, and what is taken.
#[derive(Debug)]
pub(super) struct Ledger {
    pub limit: u64,
    taken: AtomicU64,
}

/// What something takes. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    /// Of all.
    ledger: Arc<Ledger>,
    /// Of one submitter.
    share: Arc<AtomicU64>,
    taken: AtomicU64,
}

impl Ledger {
    pub fn new(limit: u64) -> Self {
        Self { limit, taken: AtomicU64::new(0) }
    }

    /// What one submitter may take.
    pub fn share(&self) -> u64 {
        self.limit / 2
    }
}

impl Room {
    pub fn new(ledger: &Arc<Ledger>, share: &Arc<AtomicU64>) -> Self {
        Self { ledger: Arc::clone(ledger), share: Arc::clone(share), taken: AtomicU64::new(0) }
    }

    /// Takes so many bytes more, if they are free.
    pub fn take(&self, bytes: u64) -> Result<(), TreeError> {
        add(&self.share, bytes, self.ledger.share()).ok_or(TreeError::Share)?;
        if add(&self.ledger.taken, bytes, self.ledger.limit).is_none() {
            self.share.fetch_sub(bytes, Ordering::Relaxed);
            return Err(TreeError::NoRoom);
        }
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Gives bytes back that were taken.
    pub fn give_back(&self, bytes: u64) {
        for sum in [&self.taken, &self.share, &self.ledger.taken] {
            sum.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Hands bytes over that were taken here.
    pub fn hand_over(&self, bytes: u64, to: &Self) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        to.taken.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(self.taken.load(Ordering::Relaxed));
    }
}

/// Adds within a limit.
fn add(sum: &AtomicU64, bytes: u64, limit: u64) -> Option<u64> {
    let more = |sum: u64| sum.checked_add(bytes).filter(|sum| *sum <= limit);
    sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()
}
