//! What a compile on the submitter cost, as JOB_DONE reports it.

use ice_core::job::JobStats;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// What all ended children of this process used so far.
#[derive(Debug, Default)]
pub(super) struct Usage {
    user_ms: i64,
    system_ms: i64,
    page_faults: i64,
}

impl Usage {
    /// Now. Zeros if the system does not tell.
    pub(super) fn of_children() -> Self {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Self::default() };
        Self {
            user_ms: usage.user_time().num_milliseconds(),
            system_ms: usage.system_time().num_milliseconds(),
            page_faults: usage.major_page_faults() + usage.minor_page_faults() + usage.full_swaps(),
        }
    }

    /// What came to it since `before`, with the wall time and the size of what was made.
    pub(super) fn stats_since(
        &self,
        before: &Self,
        real: Duration,
        outputs: impl Iterator<Item = Vec<u8>>,
    ) -> JobStats {
        let size = |path: Vec<u8>| std::fs::metadata(OsStr::from_bytes(&path)).map_or(0, |meta| meta.len());
        let delta = |now: i64, then: i64| u32::try_from(now.saturating_sub(then).max(0)).unwrap_or(u32::MAX);
        JobStats {
            real_ms: u32::try_from(real.as_millis()).unwrap_or(u32::MAX),
            user_ms: delta(self.user_ms, before.user_ms),
            sys_ms: delta(self.system_ms, before.system_ms),
            page_faults: delta(self.page_faults, before.page_faults),
            out_uncompressed: u32::try_from(outputs.map(size).sum::<u64>()).unwrap_or(u32::MAX),
            ..JobStats::default()
        }
    }
}
