//! The sets of facts that a submitter sent: the next job tells the difference to one of them.

use ice_core::files::{Digest, Facts};
use std::collections::VecDeque;

/// Most bytes of a submitter's sets.
const BYTES_MAX: usize = 16 << 20;

/// The last ones, encoded.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: VecDeque<(Digest, Vec<u8>)>,
    bytes: usize,
}

impl Sets {
    /// The set of this digest, if it is known. It stays known for longer then.
    pub fn get(&mut self, digest: &Digest) -> Option<Facts> {
        let at = self.sets.iter().position(|(known, _)| known == digest)?;
        let set = self.sets.remove(at)?;
        let facts = Facts::decode(&set.1).ok();
        self.sets.push_back(set);
        facts
    }

    /// Keeps a set. Those that were not used for longest go.
    pub fn keep(&mut self, digest: Digest, encoded: Vec<u8>) {
        if self.sets.iter().any(|(known, _)| *known == digest) {
            return;
        }
        self.bytes += encoded.len();
        self.sets.push_back((digest, encoded));
        while self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.sets.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }
}
