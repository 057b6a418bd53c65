//! Free memory of the host.

use std::fs;

use crate::cgroup::{OwnGroup, field};

/// Bytes that jobs may still use: the minimum of the host's available memory and, for each control group around us, its
/// limit less its usage. Page cache counts as free. `None` if the available memory is unknown.
pub fn headroom() -> Option<u64> {
    let available = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?.saturating_mul(1024);
    let around = OwnGroup::of("memory").map(|p| p.headrooms()).unwrap_or_default();
    around.into_iter().chain([available]).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_is_below_the_hosts_memory() {
        let total = fs::read_to_string("/proc/meminfo").ok().and_then(|t| field(&t, "MemTotal:")).unwrap_or(0) * 1024;
        assert!(headroom().is_some_and(|h| h > 0 && h <= total));
    }
}
