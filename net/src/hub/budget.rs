//! Accounting of the memory held for peers, in total and per address.
//!
//! Outbox, credits and frame length limit each peer, but thousands of peers below these limits would still exhaust the
//! memory. So every peer has an [`Account`], and when a sum exceeds its limit the peer that holds most is cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::HubConfig;

/// Number of bytes held for several peers.
pub(super) type Sum = Arc<AtomicUsize>;

/// The sum that exceeds its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// The sum over all peers.
    Total,
    /// The sum over the peers of one address.
    Address,
}

/// One peer's part of the sums.
#[derive(Debug)]
pub(super) struct Account {
    total: Sum,
    address: Sum,
    held: usize,
}

impl Account {
    /// An account that holds nothing.
    pub(super) fn new(total: &Sum, address: &Sum) -> Self {
        Self { total: Arc::clone(total), address: Arc::clone(address), held: 0 }
    }

    /// Sets the number of bytes held for the peer.
    pub(super) fn set(&mut self, held: usize) {
        for sum in [&self.total, &self.address] {
            if held >= self.held {
                sum.fetch_add(held - self.held, Ordering::Relaxed);
            } else {
                sum.fetch_sub(self.held - held, Ordering::Relaxed);
            }
        }
        self.held = held;
    }

    /// The number of bytes held for the peer.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Which sum exceeds its limit, if any; the address's is checked first.
    pub(super) fn excess(&self, config: &HubConfig) -> Option<Excess> {
        if self.address.load(Ordering::Relaxed) > config.held_per_address_max {
            Some(Excess::Address)
        } else if self.total.load(Ordering::Relaxed) > config.held_max {
            Some(Excess::Total)
        } else {
            None
        }
    }

    /// Whether the peer counts for this address.
    pub(super) fn counts_for(&self, other: &Sum) -> bool {
        Arc::ptr_eq(&self.address, other)
    }

    /// The sum of the peer's address.
    pub(super) fn address(&self) -> &Sum {
        &self.address
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_what_all_peers_hold() {
        let config = HubConfig { held_max: 100, held_per_address_max: 50, ..HubConfig::default() };
        let (total, here, there) = (Sum::default(), Sum::default(), Sum::default());
        let sums = || [&total, &here, &there].map(|sum| sum.load(Ordering::Relaxed));
        let mut one = Account::new(&total, &here);
        let mut two = Account::new(&total, &here);
        let mut other = Account::new(&total, &there);
        one.set(30);
        two.set(20);
        other.set(50);
        assert_eq!((sums(), one.held(), two.held(), other.held()), ([100, 50, 50], 30, 20, 50));
        assert_eq!([one.excess(&config), other.excess(&config)], [None, None], "at the limits, not past them");
        two.set(21);
        assert_eq!(sums(), [101, 51, 50]);
        assert_eq!([one.excess(&config), other.excess(&config)], [Some(Excess::Address), Some(Excess::Total)]);
        one.set(10);
        assert_eq!(sums(), [81, 31, 50]);
        other.set(51);
        assert_eq!([one.excess(&config), other.excess(&config)], [None, Some(Excess::Address)]);
        assert!(one.counts_for(&here) && one.counts_for(two.address()) && !one.counts_for(other.address()));
        drop(one);
        assert_eq!(sums(), [72, 21, 51]);
        drop((two, other));
        assert_eq!(sums(), [0; 3]);
    }
}
