//! The sets of facts that submitters sent: the next job tells the difference to one of them.

use ice_core::files::{Digest, Facts, Token};
use std::collections::VecDeque;

/// Most bytes of all sets. Who sends many makes others send theirs again, and no more.
const BYTES_MAX: usize = 32 << 20;

/// The last ones, encoded. A submitter knows only its own.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: VecDeque<((Token, Digest), Vec<u8>)>,
    bytes: usize,
}

impl Sets {
    /// The set of this digest that this submitter sent, if it is known. It stays known for longer then.
    pub fn get(&mut self, token: Token, digest: &Digest) -> Option<Facts> {
        let at = self.sets.iter().position(|(known, _)| *known == (token, *digest))?;
        let set = self.sets.remove(at)?;
        let facts = Facts::decode(&set.1).ok();
        self.sets.push_back(set);
        facts
    }

    /// Keeps a set. Those that were not used for longest go.
    pub fn keep(&mut self, token: Token, digest: Digest, encoded: Vec<u8>) {
        if self.sets.iter().any(|(known, _)| *known == (token, digest)) {
            return;
        }
        self.bytes += encoded.len();
        self.sets.push_back(((token, digest), encoded));
        while self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.sets.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }
}
