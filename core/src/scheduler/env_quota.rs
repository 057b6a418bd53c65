//! Quota for the memory that the scheduler spends on hosts' environments: one for all hosts, one per address.
//!
//! The number of hosts is bounded by their connections, but each may announce thousands of environments.

use crate::env::EnvRef;
use crate::limits::{HELD_ENVIRONMENTS_MAX, HELD_ENVIRONMENTS_PER_ADDRESS_MAX};
use crate::text::Text;
use std::collections::BTreeMap;

/// Bytes that an environment of a host takes in the indexes, without its names.
const ENTRY: usize = 256;
/// Number of copies of its names: with the host, and as key and value of the indexes.
const COPIES: usize = 3;

/// Memory in use, in bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct EnvQuota {
    all: usize,
    by_address: BTreeMap<Text, usize>,
}

impl EnvQuota {
    /// Reserves memory for the environments of a host at `address`, in their order. Removes those that exceed the quota
    /// and returns their number.
    pub fn take(&mut self, address: &Text, environments: &mut Vec<EnvRef>) -> usize {
        let own = self.by_address.get(address).copied().unwrap_or(0);
        let room =
            HELD_ENVIRONMENTS_MAX.saturating_sub(self.all).min(HELD_ENVIRONMENTS_PER_ADDRESS_MAX.saturating_sub(own));
        let sums = environments.iter().scan(0, |sum, env| {
            *sum += cost(env);
            Some(*sum)
        });
        let (kept, taken) = sums.take_while(|sum| *sum <= room).fold((0, 0), |(kept, _), sum| (kept + 1, sum));
        let left_out = environments.len() - kept;
        environments.truncate(kept);
        if taken > 0 {
            self.all += taken;
            self.by_address.insert(address.clone(), own + taken);
        }
        left_out
    }

    /// Releases the memory of a host's environments.
    pub fn release(&mut self, address: &Text, environments: &[EnvRef]) {
        let given: usize = environments.iter().map(cost).sum();
        self.all = self.all.saturating_sub(given);
        if let Some(own) = self.by_address.get_mut(address) {
            *own = own.saturating_sub(given);
            if *own == 0 {
                self.by_address.remove(address);
            }
        }
    }
}

fn cost(env: &EnvRef) -> usize {
    ENTRY + COPIES * (env.platform.len() + env.name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environments(count: usize) -> Vec<EnvRef> {
        vec![environment(256); count]
    }

    fn environment(bytes: usize) -> EnvRef {
        EnvRef { platform: "x86_64".into(), name: "n".repeat(bytes - 6).into() }
    }

    #[test]
    fn of_long_names_65536_fit_at_an_address_and_four_times_as_many_in_all() {
        let mut env_quota = EnvQuota::default();
        let mut take = |address: &str, count: usize| {
            let mut environments = environments(count);
            let left_out = env_quota.take(&address.into(), &mut environments);
            assert_eq!(environments.len() + left_out, count);
            left_out
        };
        assert_eq!([take("a", 65_535), take("a", 1), take("a", 1)], [0, 0, 1]);
        assert_eq!([take("b", 65_537), take("c", 65_536), take("d", 65_535)], [1, 0, 0]);
        assert_eq!([take("e", 2), take("f", 1)], [1, 1]);
        env_quota.release(&"a".into(), &environments(10));
        for (address, left_out) in [("f", 90), ("a", 100)] {
            assert_eq!(env_quota.take(&address.into(), &mut environments(100)), left_out);
        }
        env_quota.release(&"a".into(), &environments(65_526));
        assert!(!env_quota.by_address.contains_key(&Text::from("a")));
    }

    /// Two environments whose sum exceeds the quota by one byte.
    #[test]
    fn a_byte_too_many_is_left_out() {
        let mut env_quota = EnvQuota::default();
        let mut take = |address: &str, long: usize, others: [usize; 2]| {
            let mut environments = environments(long);
            environments.extend(others.map(environment));
            env_quota.take(&address.into(), &mut environments)
        };
        // Per address, then in total.
        assert_eq!(["a", "b", "c"].map(|address| take(address, 65_535, [85, 86])), [1, 1, 1]);
        assert_eq!([take("d", 65_533, [85, 86]), take("e", 0, [512, 513])], [0, 1]);
    }
}
