//! The order in which hosts are chosen.

use crate::ids::HostId;

/// Sort key of a host among those that could take a job now, a plain value: the least is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// 0: known to be reachable. 1: not probed yet, or paused after failures; used only if no host of tier 0 could ever
    /// run the job.
    pub tier: u8,
    /// Time until a job of mean weight would be done there, in 1/16 ms.
    pub cost: u64,
    /// Seeded tie-breaker, so that equal hosts are not always chosen in the same order.
    pub tie: u32,
    /// The host.
    pub host: HostId,
}
