//! The daemon's state as text, for the scheduler's `internals` command.

use super::Daemon;
use crate::message::features;
use crate::time::Instant;
use std::fmt::Write;

impl Daemon {
    /// The dump. Unlike in 1.4, requesting it does not affect the measurement of load.
    pub(super) fn internals(&self, now: Instant) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_internals(now, &mut text);
        text
    }

    fn write_internals(&self, now: Instant, out: &mut String) -> std::fmt::Result {
        writeln!(out, "Node Name: {}", self.config.node_name)?;
        if let Some(known_as) = self.session.known_as() {
            writeln!(out, "  Remote name: {known_as}")?;
        }
        for peer in self.peers.iter() {
            peer.write(now, out)?;
        }
        let cache = self.cache_size();
        if cache > 0 {
            writeln!(out, "  Cache Size: {cache}")?;
        }
        writeln!(out, "  Architecture: {}", self.config.platform)?;
        for (key, archive) in self.natives.list() {
            match archive {
                Some(a) => {
                    writeln!(out, "  NativeEnv ({}:{}): {}, size {}", key.compression, key.compiler, a.path, a.size)?
                }
                None => writeln!(out, "  NativeEnv ({}:{}): (creating)", key.compression, key.compiler)?,
            }
        }
        if self.envs.number() > 0 {
            writeln!(out, "  Now: {}", self.unix(now))?;
        }
        for (id, size, last_use) in self.envs.list() {
            writeln!(out, "  ReceivedEnv[{}/{}] last_use {last_use}, size {size}", id.platform, id.name)?;
        }
        if self.fallbacks.count() > 0 {
            writeln!(out, "  Fallbacks to local builds: {}", self.fallbacks.count())?;
        }
        if !self.unknown_calls.is_empty() {
            writeln!(out, "  System calls of jobs answered as unknown: {}", self.unknown_calls)?;
        }
        writeln!(out, "  Current kids: {} (max: {})", self.peers.children(), self.config.slots)?;
        writeln!(out, "  Supported features: {}", feature_names(self.config.features))?;
        if let Some(version) = self.session.version() {
            writeln!(out, "  Scheduler protocol: {version}")?;
        }
        self.load.write(out)
    }
}

/// Names of feature bits; `--` if none is set.
pub fn feature_names(bits: u32) -> String {
    let names = [(features::ENV_XZ, "env_xz"), (features::ENV_ZSTD, "env_zstd")];
    let known: Vec<&str> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    if known.is_empty() { "--".to_owned() } else { known.join(" ") }
}
