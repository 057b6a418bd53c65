//! What came of a run, as a line of a table.

use crate::workload::End;
use ice_core::time::Instant;
use std::collections::BTreeMap;
use std::fmt;

/// What came of a run.
pub struct Report {
    pub(super) seed: u64,
    pub(super) events: u64,
    pub(super) makespan: Instant,
    pub(super) ends: BTreeMap<End, u64>,
    pub(super) remote_begins: u64,
    /// Environments that were removed.
    pub removed: u64,
    /// Jobs that asked for a server again, as theirs had lost the environment.
    pub asked_again: u64,
    /// Jobs that were built at home for that reason.
    pub lost: u64,
    pub trace: u64,
    /// Why jobs came home, by number.
    pub(super) troubles: BTreeMap<u32, u64>,
}

impl Report {
    pub fn head() -> &'static str {
        "  seed     events  virtual s   remote      own fallback    alone cancelled    gone  granted  removed   again  lost  digest            came home for error:jobs"
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |end| self.ends.get(&end).copied().unwrap_or(0);
        write!(
            f,
            "{:6} {:10} {:10.1} {:8} {:8} {:8} {:8} {:9} {:7} {:8} {:8} {:7} {:5}  {:016x} ",
            self.seed,
            self.events,
            self.makespan.as_micros() as f64 / 1e6,
            of(End::Remote),
            of(End::Own),
            of(End::Fallback),
            of(End::Alone),
            of(End::Cancelled),
            of(End::SubmitterGone),
            self.remote_begins,
            self.removed,
            self.asked_again,
            self.lost,
            self.trace
        )?;
        self.troubles.iter().try_for_each(|(number, jobs)| write!(f, " {number}:{jobs}"))
    }
}
