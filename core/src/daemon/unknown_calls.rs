//! Counts the system calls that jobs made in vain, as the call filter knows none such (decision: allowed-calls).

use crate::text::Text;
use std::collections::BTreeMap;
use std::fmt;

/// Maximum number of different calls. A job may try every number there is; others are not counted then.
const NAMES_MAX: usize = 64;

/// How often jobs of this host tried each call.
#[derive(Debug, Default)]
pub(super) struct UnknownCalls {
    counts: BTreeMap<Text, u64>,
}

impl UnknownCalls {
    /// A job tried the call so often. `true`: no job did before.
    pub(super) fn add(&mut self, name: &Text, count: u64) -> bool {
        if let Some(sum) = self.counts.get_mut(name) {
            *sum = sum.saturating_add(count);
            return false;
        }
        let has_room = self.counts.len() < NAMES_MAX;
        if has_room {
            self.counts.insert(name.clone(), count);
        }
        has_room
    }

    /// Whether there was none.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// `NAME 3, NAME 1`.
impl fmt::Display for UnknownCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, count)) in self.counts.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count}")?;
        }
        Ok(())
    }
}
