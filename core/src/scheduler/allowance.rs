//! How much the text port answers to one address: bytes per second, whatever it asks and by however many connections.

use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Bytes per second in the long run.
const RATE: u64 = 1 << 20;
/// Bytes that may be answered at once.
const BURST: u64 = 1 << 20;

/// What was answered to each address and is not paid off yet.
#[derive(Debug, Default)]
pub(super) struct Allowances(BTreeMap<Text, Debt>);

#[derive(Clone, Copy, Debug)]
struct Debt {
    bytes: u64,
    at: Instant,
}

impl Debt {
    fn left(self, now: Instant) -> u64 {
        let paid = now.since(self.at).as_micros().saturating_mul(u128::from(RATE)) / 1_000_000;
        self.bytes.saturating_sub(u64::try_from(paid).unwrap_or(u64::MAX))
    }
}

impl Allowances {
    /// So many bytes were answered to an address. Returns when it may be answered again, if that is not now.
    pub fn spend(&mut self, now: Instant, address: &Text, bytes: usize) -> Option<Instant> {
        self.0.retain(|_, debt| debt.left(now) > 0);
        let debt = self.0.entry(address.clone()).or_insert(Debt { bytes: 0, at: now });
        *debt = Debt { bytes: debt.left(now).saturating_add(bytes as u64), at: now };
        let over = debt.bytes.saturating_sub(BURST);
        // Rounded up: whoever asks again at that time has none left.
        (over > 0).then(|| now + Duration::from_micros(over.saturating_mul(1_000_000).div_ceil(RATE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_again_when_told_is_answered() {
        for over in 1..100 {
            let mut all = Allowances::default();
            let one = "10.0.0.1".into();
            let until = all.spend(Instant::ZERO, &one, (1 << 20) + over).unwrap();
            assert_eq!((until > Instant::ZERO, all.spend(until, &one, 0)), (true, None), "{over}");
        }
    }

    #[test]
    fn an_address_has_a_mebibyte_and_one_more_each_second() {
        let mut all = Allowances::default();
        let (one, other) = ("10.0.0.1".into(), "10.0.0.2".into());
        let at = |seconds: u64| Instant::ZERO + Duration::from_secs(seconds);
        assert_eq!(all.spend(at(0), &one, 1 << 20), None);
        assert_eq!(all.spend(at(0), &one, 3 << 20), Some(at(3)));
        assert_eq!(all.spend(at(0), &other, 1), None, "another address");
        assert_eq!(all.spend(at(2), &one, 0), Some(at(3)));
        assert_eq!(all.spend(at(3), &one, 0), None);
        assert_eq!(all.spend(at(100), &other, 0), None);
        assert_eq!(all.0.len(), 1, "nothing is kept of who owes nothing: {all:?}");
    }
}
