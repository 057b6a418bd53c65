//! Schedulers that claimed precedence: which of them is believed.
//!
//! A claim that is believed costs all connections. A scheduler that has precedence takes our hosts over, so they stay
//! away; if they are here again at once, nobody serves them there, and another claim would cost the same again.

use crate::text::Text;
use crate::time::{Duration, Instant};

/// How soon after a claim hosts are back whose new scheduler does not serve them.
const BACK: Duration = Duration::from_secs(60);
/// How long a scheduler whose claim failed is not believed again.
const DISTRUST: Duration = Duration::from_secs(3600);
/// Number of schedulers whose claims failed from which on no other is believed either: one machine has many addresses.
const FAILED_MAX: usize = 8;

/// What is known of schedulers that claimed precedence.
#[derive(Debug, Default)]
pub(super) struct Elections {
    last: Option<Claim>,
    /// Addresses whose claims failed, and until when they are not believed.
    failed: Vec<(Text, Instant)>,
}

/// A claim that was believed.
#[derive(Debug)]
struct Claim {
    address: Text,
    at: Instant,
    /// Hosts that were sent away.
    sent: usize,
    /// Hosts that logged in here since.
    back: usize,
}

/// A claim that failed: a plain value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// The scheduler's address.
    pub address: Text,
    /// Hosts that were sent away.
    pub sent: usize,
    /// Hosts that are back.
    pub back: usize,
}

impl Elections {
    /// Whether a scheduler's claim is believed; `hosts` are then sent away.
    pub fn believe(&mut self, now: Instant, address: &Text, hosts: usize) -> bool {
        self.failed.retain(|(_, until)| *until > now);
        if self.failed.len() >= FAILED_MAX || self.failed.iter().any(|(failed, _)| failed == address) {
            return false;
        }
        // Without a host nothing is lost, and nothing is learned.
        if hosts > 0 {
            self.last = Some(Claim { address: address.clone(), at: now, sent: hosts, back: 0 });
        }
        true
    }

    /// A host logged in. Returns the claim that has failed by that, if one has.
    pub fn logged_in(&mut self, now: Instant) -> Option<Failed> {
        let claim = self.last.as_mut().filter(|claim| now.since(claim.at) <= BACK)?;
        claim.back += 1;
        if claim.back * 2 <= claim.sent {
            return None;
        }
        let Claim { address, sent, back, .. } = self.last.take()?;
        self.failed.push((address.clone(), now + DISTRUST));
        Some(Failed { address, sent, back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_scheduler_whose_hosts_come_back_at_once_is_not_believed_for_an_hour() {
        let mut elections = Elections::default();
        let (thief, other) = ("10.0.0.3".into(), "10.0.0.4".into());
        assert!(elections.believe(at(0), &thief, 4));
        assert_eq!([1, 2].map(|second| elections.logged_in(at(second))), [None, None]);
        assert_eq!(elections.logged_in(at(3)), Some(Failed { address: thief.clone(), sent: 4, back: 3 }));
        assert_eq!(elections.logged_in(at(4)), None);
        assert!(!elections.believe(at(3602), &thief, 4));
        assert!(elections.believe(at(3602), &other, 4), "another one may be right");
        assert!(elections.believe(at(3603), &thief, 4));
    }

    #[test]
    fn hosts_that_come_back_later_were_served() {
        let mut elections = Elections::default();
        let address = "10.0.0.3".into();
        assert!(elections.believe(at(0), &address, 2));
        assert_eq!([61, 62, 63].map(|second| elections.logged_in(at(second))), [None, None, None]);
        assert!(elections.believe(at(70), &address, 2));
    }

    #[test]
    fn a_claim_without_hosts_proves_nothing() {
        let mut elections = Elections::default();
        let address = "10.0.0.3".into();
        assert!(elections.believe(at(0), &address, 0));
        assert_eq!(elections.logged_in(at(1)), None);
        assert!(elections.believe(at(2), &address, 1));
    }

    #[test]
    fn many_addresses_do_not_help() {
        let mut elections = Elections::default();
        for n in 0..FAILED_MAX {
            assert!(elections.believe(at(0), &format!("10.0.0.{n}").into(), 1));
            assert!(elections.logged_in(at(1)).is_some());
        }
        assert!(!elections.believe(at(2), &"10.0.1.1".into(), 1));
        assert!(elections.believe(at(3602), &"10.0.1.1".into(), 1));
    }
}
