//! How environments and native archives go: when they are broken, or when a limit is reached (decision: cache-shares).

use super::envs::Idle;
use super::{Daemon, Note, Output};
use crate::env::EnvId;
use crate::limits::{ENVIRONMENTS_MAX, FRAME_MAX, NAME_MAX};
use crate::text::Text;
use crate::time::Instant;

/// Which limit is exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Excess {
    /// Number of environments: every LOGIN lists them all, and a list that exceeds a frame would end the connection to
    /// the scheduler.
    Number,
    /// Bytes of environments and native archives.
    Bytes,
}

/// Which environments make room for another one, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Brought by the same address, of no use to others, and not used lately.
    Own,
    /// Nobody used it for long.
    Old,
    /// Nobody used it lately.
    Idle,
    /// Brought by the same address, of no use to others.
    OwnLately,
}

/// Seconds after which an environment that nobody used makes room for anything: others use it by the hour, not by the
/// minute.
const LONG: u32 = 3600;

// While environments are in use the limits may be exceeded by a factor of 2; even then LOGIN fits into a frame.
const _: () = assert!(2 * ENVIRONMENTS_MAX * 2 * (NAME_MAX + 8) < FRAME_MAX / 4 * 3);

impl Daemon {
    /// Removes broken environments in which no job runs any more.
    pub(super) fn sweep_broken(&mut self) {
        let gone: Vec<EnvId> = self.envs.broken().filter(|env| !self.peers.run_in(env)).cloned().collect();
        for env in gone {
            self.remove_env(&env, "broken");
        }
    }

    pub(super) fn remove_env(&mut self, env: &EnvId, why: &'static str) {
        self.outputs.push_back(Output::Remove(env.clone()));
        self.note(Note::Removed(env.clone(), why));
        self.env_gone(env, "");
    }

    /// Removes the least recently used environments and archives until the limits are met, except those in use.
    /// Recently used ones stay up to twice the limits, and while somebody has brought more than a share, what others
    /// brought.
    pub(super) fn keep_cache_limit(&mut self, now: Instant) {
        let kept_since = self.unix(now).saturating_sub(self.config.cache_kept);
        while let Some(excess) = self.excess(1) {
            let is_urgent = self.excess(2).is_some();
            let unused_since = if is_urgent { u32::MAX } else { kept_since };
            let all_may_go = is_urgent || self.envs.idle().all(|env| self.is_within_share(&env));
            if excess == Excess::Bytes && all_may_go {
                if let Some((key, path)) = self.natives.evict(now) {
                    self.outputs.push_back(Output::RemoveNative(key, path));
                    continue;
                }
            }
            let unused = self.evictable().filter(|env| env.uses.last() <= unused_since);
            let going = unused.filter(|env| all_may_go || !self.is_within_share(env));
            let Some(env) = going.min_by_key(|env| env.uses.order()).map(|env| env.id.clone()) else { break };
            self.remove_env(&env, "cache limit");
        }
    }

    /// Makes room for an environment of an address: what that brought itself goes first, then what nobody used for
    /// long, and within its share what others do not use at present. Nothing goes if that is not enough. Returns why,
    /// then.
    pub(super) fn make_room(&mut self, now: Instant, address: &Text, size: u64) -> Result<(), &'static str> {
        let unix = self.unix(now);
        let (kept_since, long_ago) = (unix.saturating_sub(self.config.cache_kept), unix.saturating_sub(LONG));
        let (number, bytes) = self.envs.brought_by(address);
        let is_within = self.is_share(number + 1, bytes.saturating_add(size));
        while is_within && self.excess_with(size, 0, 0, 1) == Some(Excess::Bytes) {
            let Some((key, path)) = self.natives.evict(now) else { break };
            self.outputs.push_back(Output::RemoveNative(key, path));
        }
        let turn = |env: &Idle<'_>| {
            let is_idle = env.uses.last() <= kept_since;
            if *env.bringer == *address && env.uses.by_others(address) <= long_ago {
                Some(if is_idle { Turn::Own } else { Turn::OwnLately })
            } else if env.uses.last() <= long_ago {
                Some(Turn::Old)
            } else {
                (is_idle && is_within).then_some(Turn::Idle)
            }
        };
        let mut candidates: Vec<_> = self.evictable().filter_map(|env| Some((turn(&env)?, env))).collect();
        candidates.sort_by_key(|(turn, env)| (*turn, env.uses.order()));
        let (mut going, mut freed) = (Vec::new(), 0);
        for (turn, env) in candidates {
            // What was used lately stays up to twice the limits.
            let times = if turn == Turn::OwnLately { 2 } else { 1 };
            if self.excess_with(size, freed, going.len(), times).is_some() {
                freed += env.size;
                going.push(env.id.clone());
            }
        }
        if self.excess_with(size, freed, going.len(), 2).is_some() && self.envs.number() > going.len() {
            return Err("no room: what is here is used by others, or in use");
        }
        for env in going {
            self.remove_env(&env, "cache limit");
        }
        Ok(())
    }

    /// What could go: nobody uses it at this moment.
    fn evictable(&self) -> impl Iterator<Item = Idle<'_>> {
        self.envs.idle().filter(|env| !self.peers.have_pinned(env.id))
    }

    /// Whether the one who brought it, if that is known, has brought no more than a share.
    fn is_within_share(&self, env: &Idle<'_>) -> bool {
        let is_share = |(number, bytes)| self.is_share(number, bytes);
        env.bringer.is_empty() || is_share(self.envs.brought_by(env.bringer))
    }

    /// Whether one address may bring so much where others need the room: half of the limits.
    fn is_share(&self, number: usize, bytes: u64) -> bool {
        number <= ENVIRONMENTS_MAX / 2 && bytes <= self.config.cache_limit / 2
    }

    /// The limit that is exceeded more than `times`-fold, if any.
    fn excess(&self, times: u8) -> Option<Excess> {
        self.excess_of(self.envs.number(), self.cache_size(), times)
    }

    /// The same with one more environment of this size, and without some of those that are here.
    fn excess_with(&self, size: u64, freed: u64, going: usize, times: u8) -> Option<Excess> {
        let bytes = self.cache_size().saturating_add(size).saturating_sub(freed);
        self.excess_of(self.envs.number() + 1 - going, bytes, times)
    }

    fn excess_of(&self, number: usize, bytes: u64, times: u8) -> Option<Excess> {
        if number > ENVIRONMENTS_MAX * usize::from(times) {
            return Some(Excess::Number);
        }
        (bytes > self.config.cache_limit.saturating_mul(times.into())).then_some(Excess::Bytes)
    }

    /// Bytes of environments and native archives.
    pub(super) fn cache_size(&self) -> u64 {
        self.envs.size().saturating_add(self.natives.size())
    }
}
