//! Free memory of the host.

use std::fs::File;

use crate::cgroup::{Level, OwnGroup, field, read};

/// Which part of the host's memory, and of that of each control group around us, jobs leave free.
const RESERVE_SHARE: u64 = 16;
/// The most bytes that they leave free.
const RESERVE_MAX: u64 = 1 << 30;

/// Bytes that jobs may still use: the minimum of the host's available memory and, for each control group around us, its
/// limit less its usage, each less a reserve for others. Page cache counts as free. `None` if the available memory is
/// unknown.
pub fn headroom() -> Option<u64> {
    Memory::open()?.headroom()
}

/// The memory of the host and of the control groups around us, whose files are kept open.
#[derive(Debug)]
pub(crate) struct Memory {
    host: File,
    around: Vec<Level>,
}

impl Memory {
    /// `None` without `/proc`.
    pub(crate) fn open() -> Option<Self> {
        let around = OwnGroup::of("memory").map(|own| own.levels()).unwrap_or_default();
        Some(Self { host: File::open("/proc/meminfo").ok()?, around })
    }

    /// As [`headroom`].
    pub(crate) fn headroom(&self) -> Option<u64> {
        let host = read(&self.host);
        let [total, available] = ["MemTotal:", "MemAvailable:"].map(|key| field(&host, key));
        let host = left(total?.saturating_mul(1024), available?.saturating_mul(1024));
        let around = self.around.iter().filter_map(|level| level.limit().map(|limit| (limit, level.used())));
        around.map(|(limit, used)| left(limit, limit.saturating_sub(used))).chain([host]).min()
    }
}

/// What is free of so many bytes, less the reserve.
fn left(total: u64, free: u64) -> u64 {
    free.saturating_sub(RESERVE_MAX.min(total / RESERVE_SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_is_below_the_hosts_memory() {
        let memory = Memory::open().unwrap_or_else(|| panic!("no memory"));
        let total = field(&read(&memory.host), "MemTotal:").unwrap_or(0) * 1024;
        assert!(headroom().is_some_and(|h| h > 0 && h < total));
    }

    #[test]
    fn a_part_of_all_memory_is_left_free() {
        assert_eq!(left(1600, 1000), 900);
        assert_eq!(left(1600, 50), 0);
        assert_eq!(left(64 << 30, 50 << 30), 49 << 30);
    }
}
