//! Whether the hosts of an address begin the jobs that they get servers for.
//!
//! An assigned job holds a slot before it begins. An address whose jobs did not begin in time, though others waited for
//! their slots, gets no servers for a while, which becomes longer each time. A job that begins ends that.

use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// How long an address gets no servers for the first time; it doubles each time.
const FIRST: Duration = Duration::from_secs(6);
/// How many times it doubles: to 96 s.
const DOUBLES_MAX: u32 = 4;
/// Number of addresses from which on those that get servers are forgotten.
const ADDRESSES_MAX: usize = 4096;

/// The addresses whose jobs were late.
#[derive(Debug, Default)]
pub(super) struct Punctuality(BTreeMap<Text, Account>);

/// An address whose jobs were late.
#[derive(Clone, Copy, Debug)]
struct Account {
    /// How often, since a job began.
    times: u32,
    /// It gets no servers until then.
    until: Option<Instant>,
}

impl Punctuality {
    /// Jobs of an address did not begin in time. Returns until when it gets no servers; `None` if that is known.
    pub fn late(&mut self, now: Instant, address: &Text) -> Option<Instant> {
        if self.0.len() >= ADDRESSES_MAX {
            self.0.retain(|_, account| account.until.is_some());
        }
        let account = self.0.entry(address.clone()).or_insert(Account { times: 0, until: None });
        if account.until.is_some() {
            return None;
        }
        let factor = 1 << account.times.min(DOUBLES_MAX);
        account.times = account.times.saturating_add(1);
        account.until = Some(now + FIRST * factor);
        account.until
    }

    /// A job of an address began. Returns whether it gets servers again by that.
    pub fn begun(&mut self, address: &Text) -> bool {
        self.0.remove(address).is_some_and(|account| account.until.is_some())
    }

    /// The addresses that get servers again as their time is over.
    pub fn over(&mut self, now: Instant) -> Vec<Text> {
        let over = self.0.iter_mut().filter(|(_, account)| account.until.is_some_and(|until| until <= now));
        let end = |(address, account): (&Text, &mut Account)| {
            account.until = None;
            address.clone()
        };
        over.map(end).collect()
    }

    /// Whether an address gets no servers for now.
    pub fn is_held(&self, address: &Text) -> bool {
        self.0.get(address).is_some_and(|account| account.until.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_late_again_waits_longer_until_a_job_begins() {
        let mut all = Punctuality::default();
        let address = Text::from("10.0.0.1");
        let mut now = Instant::ZERO;
        let mut late = |all: &mut Punctuality| {
            let until = all.late(now, &address).unwrap();
            assert!(all.is_held(&address) && all.late(now, &address).is_none());
            assert!(all.over(until - Duration::from_micros(1)).is_empty());
            assert_eq!(all.over(until), std::slice::from_ref(&address));
            let waited = until.since(now).as_secs();
            now = until;
            waited
        };
        assert_eq!([(); 7].map(|()| late(&mut all)), [6, 12, 24, 48, 96, 96, 96]);
        assert!(!all.begun(&address), "it was not held");
        assert_eq!(late(&mut all), 6);
        all.late(now, &address);
        assert!(all.begun(&address) && !all.is_held(&address));
    }
}
