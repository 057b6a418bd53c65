//! What peers make us hold, added up over all of them and over those of one address.
//!
//! Outbox, credits and frame length bound each peer; thousands of peers that each stay below these bounds would still exhaust the
//! memory. So every peer has an [`Account`], and where a sum is over its limit the peer that holds most is cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::HubConfig;

/// Bytes held for several peers.
pub(super) type Sum = Arc<AtomicUsize>;

/// Which sum is over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// All peers together.
    Total,
    /// Those of one address.
    Address,
}

/// The part of one peer in the sums.
#[derive(Debug)]
pub(super) struct Account {
    total: Sum,
    address: Sum,
    held: usize,
}

impl Account {
    pub(super) fn new(total: &Sum, address: &Sum) -> Self {
        Self { total: Arc::clone(total), address: Arc::clone(address), held: 0 }
    }

    /// From now on the peer holds so much.
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

    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether a sum is over its limit, the nearer one first.
    pub(super) fn excess(&self, config: &HubConfig) -> Option<Excess> {
        if self.address.load(Ordering::Relaxed) > config.held_per_address_max {
            Some(Excess::Address)
        } else if self.total.load(Ordering::Relaxed) > config.held_max {
            Some(Excess::Total)
        } else {
            None
        }
    }

    /// Whether both peers count for the same address.
    pub(super) fn is_beside(&self, other: &Sum) -> bool {
        Arc::ptr_eq(&self.address, other)
    }

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
        assert!(one.is_beside(&here) && one.is_beside(two.address()) && !one.is_beside(other.address()));
        drop(one);
        assert_eq!(sums(), [72, 21, 51]);
        drop((two, other));
        assert_eq!(sums(), [0; 3]);
    }
}
