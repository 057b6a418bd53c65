//! Compile servers of which a client of this host got a false result: no job of this host goes there for an hour, whatever the
//! scheduler thinks of them, whose own bans are shorter and for an environment each.

use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// How long a host is not trusted: a build is over then, or somebody has looked.
const DISTRUST: Duration = Duration::from_secs(3600);
/// Maximum number of hosts; more are false at a time in no network that anybody uses.
const HOSTS_MAX: usize = 256;

/// The hosts, by address, and until when.
#[derive(Debug, Default)]
pub(super) struct Distrusted(BTreeMap<Text, Instant>);

impl Distrusted {
    /// A host sent a false result.
    pub fn add(&mut self, now: Instant, host: Text) {
        self.0.retain(|_, until| *until > now);
        if self.0.len() < HOSTS_MAX || self.0.contains_key(&host) {
            self.0.insert(host, now + DISTRUST);
        }
    }

    /// Whether a host gets no jobs of this one.
    pub fn has(&self, now: Instant, host: &Text) -> bool {
        self.0.get(host).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_forgiven_after_an_hour_and_there_is_a_bound() {
        let (mut all, start) = (Distrusted::default(), Instant::ZERO);
        let host = |n: usize| Text::from(format!("10.0.0.{n}"));
        (0..=HOSTS_MAX).for_each(|n| all.add(start, host(n)));
        assert!(all.has(start, &host(0)) && !all.has(start, &host(HOSTS_MAX)));
        let later = start + Duration::from_secs(3599);
        all.add(later, host(1));
        let end = start + Duration::from_secs(3600);
        assert!(all.has(later, &host(0)) && !all.has(end, &host(0)) && all.has(end, &host(1)));
        all.add(end, host(HOSTS_MAX));
        assert!(all.has(end, &host(HOSTS_MAX)), "those of before are gone");
    }
}
