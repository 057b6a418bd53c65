//! Sums over jobs. Times are in microseconds.

use super::note::{Note, Part, Place};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Maximum number of hosts that are counted apart. The rest is one entry without a name.
const HOSTS_MAX: usize = 256;
/// Maximum number of reasons that are counted apart: more than there are in any version.
const REASONS_MAX: usize = 256;

/// Sums over the jobs of a period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// When the first of them began, since 1970.
    pub begun: u64,
    /// When the last of them ended.
    pub ended: u64,
    /// Jobs done by compile servers.
    pub elsewhere: u64,
    /// Jobs done here alone.
    pub here: u64,
    /// Jobs done here after a compile server had done them.
    pub twice: u64,
    /// Jobs that a compile server failed: they went to another, or were done here.
    pub failed_over: u64,
    /// Jobs whose command ended with another status than 0.
    pub failed: u64,
    /// Why jobs were done here, by the words of the reasons.
    pub reasons: BTreeMap<String, u64>,
    /// Compile servers by their addresses.
    pub hosts: BTreeMap<String, HostCount>,
    /// How long all jobs took.
    pub total: u64,
    /// How long jobs were with other hosts: in their queue, and compiled.
    pub bought: u64,
    /// What those jobs cost beyond that: preparing, waiting, sending, receiving.
    pub overhead: u64,
    /// How long jobs were compiled here.
    pub compiled_here: u64,
    /// Bytes that went to servers, as packed.
    pub sent: u64,
    /// Bytes that came from them.
    pub received: u64,
}

/// What a compile server did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCount {
    /// Jobs.
    pub jobs: u64,
    /// How long it had them.
    pub bought: u64,
}

impl Counters {
    /// All jobs.
    pub fn jobs(&self) -> u64 {
        self.elsewhere.saturating_add(self.here).saturating_add(self.twice)
    }

    /// Time bought on other hosts less what it cost to buy it; negative if it did not pay.
    pub fn saved(&self) -> i64 {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        signed(self.bought).saturating_sub(signed(self.overhead))
    }

    pub(super) fn add(&mut self, note: &Note) {
        self.begun = if self.jobs() == 0 { note.begun } else { self.begun.min(note.begun) };
        self.ended = self.ended.max(note.ended());
        add(&mut self.failed, u64::from(note.status != 0));
        add(&mut self.failed_over, u64::from(note.has_failed_over()));
        add(&mut self.sent, note.sent);
        add(&mut self.received, note.received);
        add(&mut self.total, note.spans.total());
        add(&mut self.compiled_here, note.spans.of(Part::Here));
        match note.place {
            Place::Elsewhere => self.add_elsewhere(note),
            Place::Here => add(&mut self.here, 1),
            Place::Twice => add(&mut self.twice, 1),
        }
        if note.place != Place::Elsewhere && !note.reason.is_empty() {
            add(bounded(&mut self.reasons, &note.reason, REASONS_MAX), 1);
        }
    }

    fn add_elsewhere(&mut self, note: &Note) {
        let bought = note.spans.of(Part::Compile);
        add(&mut self.elsewhere, 1);
        add(&mut self.bought, bought);
        add(&mut self.overhead, note.spans.overhead());
        let host = bounded(&mut self.hosts, &note.host, HOSTS_MAX);
        add(&mut host.jobs, 1);
        add(&mut host.bought, bought);
    }
}

/// What comes from a file or a client has no bound.
fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

/// The entry of a key, or the one without a name where there are too many.
fn bounded<'m, T: Default>(map: &'m mut BTreeMap<String, T>, key: &str, max: usize) -> &'m mut T {
    let key = if map.len() < max || map.contains_key(key) { key } else { "" };
    map.entry(key.to_owned()).or_default()
}
