//! How environments and native archives go: when they are broken, or when a limit is reached.

use super::{Daemon, Note, Output};
use crate::env::EnvId;
use crate::limits::{ENVIRONMENTS_MAX, FRAME_MAX, NAME_MAX};
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

    /// Removes the least recently used environments and archives until the limits are met, except those in use and
    /// `just_came`. Recently used ones stay up to twice the limits.
    pub(super) fn keep_cache_limit(&mut self, now: Instant, just_came: Option<&EnvId>) {
        let kept_since = self.unix(now).saturating_sub(self.config.cache_kept);
        while let Some(excess) = self.excess(1) {
            let unused_since = if self.excess(2).is_none() { kept_since } else { u32::MAX };
            let may_go = |env: &EnvId| Some(env) != just_came && !self.peers.have_pinned(env);
            let oldest = self.envs.oldest(unused_since, may_go);
            let native = if excess == Excess::Bytes { self.natives.evict(now) } else { None };
            if let Some((key, path)) = native {
                self.outputs.push_back(Output::RemoveNative(key, path));
            } else if let Some(env) = oldest {
                self.remove_env(&env, "cache limit");
            } else {
                break;
            }
        }
        // All others are in use, possibly by clients that send more and more of them.
        if let Some(env) = just_came.filter(|_| self.envs.number() > 1 && self.excess(2).is_some()) {
            self.remove_env(env, "cache limit, all others are in use");
        }
    }

    /// The limit that is exceeded more than `times`-fold, if any.
    fn excess(&self, times: u8) -> Option<Excess> {
        if self.envs.number() > ENVIRONMENTS_MAX * usize::from(times) {
            return Some(Excess::Number);
        }
        (self.cache_size() > self.config.cache_limit.saturating_mul(times.into())).then_some(Excess::Bytes)
    }

    /// Bytes of environments and native archives.
    pub(super) fn cache_size(&self) -> u64 {
        self.envs.size().saturating_add(self.natives.size())
    }
}
