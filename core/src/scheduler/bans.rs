//! A submitter's bans of hosts for environments (BLACKLIST_HOST_ENV). Each holds for a limited time.

use super::requirement::Requirement;
use crate::env::EnvRef;
use crate::ids::HostId;
use crate::time::Instant;
use std::collections::BTreeMap;

/// Maximum number of bans of one submitter for one host.
const BANS_MAX: usize = 64;
/// Maximum number of bans of one submitter in total.
const BANS_ALL_MAX: usize = 1024;

/// A ban of a host for one environment.
#[derive(Clone, Debug)]
pub(super) struct Ban {
    environment: EnvRef,
    until: Instant,
}

impl Ban {
    /// Whether any of these bans forbids an environment of a requirement, by its index.
    pub fn forbids(bans: &[Self], requirement: &Requirement, environment: usize) -> bool {
        let Some(env) = requirement.environments.get(environment) else { return true };
        // 1.4 compares the job's platform with the one in BLACKLIST_HOST_ENV, which is the client's target; either may
        // match.
        let same = |ban: &Self| {
            ban.environment.name == env.name
                && (ban.environment.platform == env.platform || ban.environment.platform == requirement.target)
        };
        bans.iter().any(same)
    }
}

/// The bans of one submitter.
#[derive(Debug, Default)]
pub(super) struct Bans(BTreeMap<HostId, Vec<Ban>>);

impl Bans {
    /// The bans of one host.
    pub fn against(&self, host: HostId) -> &[Ban] {
        self.0.get(&host).map_or(&[], Vec::as_slice)
    }

    /// Bans a host until then, unless there are too many bans.
    pub fn add(&mut self, host: HostId, environment: &EnvRef, until: Instant) {
        let bans = self.0.entry(host).or_default();
        // A ban that is renewed does not count against itself.
        bans.retain(|ban| ban.environment != *environment);
        let of_host = bans.len();
        let all: usize = self.0.values().map(Vec::len).sum();
        if of_host < BANS_MAX && all < BANS_ALL_MAX {
            self.0.entry(host).or_default().push(Ban { environment: environment.clone(), until });
        }
    }

    /// Removes the bans that are over. Returns their hosts.
    pub fn expire(&mut self, now: Instant) -> Vec<HostId> {
        let mut forgiven = Vec::new();
        self.0.retain(|host, bans| {
            forgiven.extend(bans.iter().filter(|ban| ban.until <= now).map(|_| *host));
            bans.retain(|ban| ban.until > now);
            !bans.is_empty()
        });
        forgiven
    }

    /// When the next ban is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.values().flatten().map(|ban| ban.until).min()
    }

    /// A host has left.
    pub fn forget(&mut self, host: HostId) {
        self.0.remove(&host);
    }
}
