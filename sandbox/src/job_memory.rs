//! How the memory of jobs is bounded: each job and all together by control groups, or else process by process.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use crate::apply::SingleThread;
use crate::cgroup::{Group, Groups};
use crate::guarantees::{Guarantee, Guarantees, attempt};
use crate::memory::Memory;
use crate::oom::Marker;
use crate::plan::{Limit, Step};

/// Which part of its memory a job may have as `/tmp` where no group counts both.
const TMP_SHARE: u64 = 4;

/// How long a limit of all jobs is kept: to find another one takes as long as several steps of a sandbox.
const BOUND_KEPT: Duration = Duration::from_secs(3);

/// What this host has for it.
#[derive(Debug)]
pub(crate) struct JobMemory {
    /// The slots' control groups, or why there are none.
    groups: Result<Groups, String>,
    /// Marks sandboxes as the first to be ended when memory runs out, where that is possible.
    marker: io::Result<Marker>,
    /// What all slots share, and when their limit was last set by it.
    shared: Option<Memory>,
    bounded: Cell<Instant>,
}

impl JobMemory {
    /// Opens what is out of reach once the root changes.
    pub(crate) fn open(slots: u16) -> Self {
        let groups = Groups::make(usize::from(slots) + 1);
        let memory = Self { groups, marker: Marker::new(), shared: Memory::open(), bounded: Cell::new(Instant::now()) };
        match memory.bound_all() {
            Ok(()) => memory,
            Err(e) => Self { groups: Err(format!("cannot limit all jobs together: {e}")), ..memory },
        }
    }

    /// Limits what all jobs use together: to what they use now and what they may still use.
    fn bound_all(&self) -> io::Result<()> {
        let Ok(groups) = &self.groups else { return Ok(()) };
        self.bounded.set(Instant::now());
        self.shared.as_ref().and_then(Memory::headroom).map_or(Ok(()), |left| groups.bound_all(left))
    }

    /// Limits the next job of a slot, and now and then all jobs together, as what others use changes.
    pub(crate) fn limit_slot(&self, slot: u16, bytes: u64) -> io::Result<()> {
        let Some(group) = self.group(slot) else { return Ok(()) };
        if self.bounded.get().elapsed() > BOUND_KEPT {
            // v1 refuses a limit that it cannot reach by giving up page cache. The earlier one holds.
            let _ = self.bound_all();
        }
        group.limit(bytes)
    }

    /// Tries the marker, and says what is not guaranteed. To be called in the launcher's final place.
    pub(crate) fn check(&mut self, single: &SingleThread, guarantees: &mut Guarantees) {
        if let Ok(marker) = &self.marker {
            if let Err(reason) = attempt(single, || marker.be_first().map_err(|e| e.to_string())) {
                self.marker = Err(io::Error::other(reason));
            }
        }
        let marks = self.marker.as_ref().err().map(|e| format!("; the kernel may end the daemon before jobs: {e}"));
        if let Err(reason) = &self.groups {
            guarantees.lose(Guarantee::Memory, format!("{reason}{}", marks.unwrap_or_default()));
        }
    }

    /// The control group of a slot.
    pub(crate) fn group(&self, slot: u16) -> Option<&Group> {
        self.groups.as_ref().ok()?.slot(slot.into())
    }

    /// What marks a sandbox as the first to be ended.
    pub(crate) fn marker(&self) -> Option<&Marker> {
        self.marker.as_ref().ok()
    }

    /// The most bytes of the `/tmp` of a job with so much memory. Where no group counts both, `/tmp` is a part of that.
    pub(crate) fn tmp_max(&self, memory: u64, wanted: u64) -> u64 {
        if self.groups.is_ok() { wanted } else { wanted.min(memory / TMP_SHARE) }
    }

    /// The limit of each process of a job, where no group has one for all of them.
    pub(crate) fn limit(&self, memory: u64, tmp: u64) -> Option<Step> {
        let left = memory.saturating_sub(self.tmp_max(memory, tmp));
        self.groups.is_err().then_some(Step::Limit(Limit::AddressSpace, left))
    }
}
