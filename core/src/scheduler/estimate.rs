//! Estimates of how fast a host is and when it would finish a job.

use super::cluster::Cluster;
use super::host::Host;

/// Factor by which a host without measurements is assumed to be faster than the mean, so that it is tried.
const NEW_HOST: f64 = 1.1;
/// Fraction by which each slot is slower when all slots of a host are taken.
const CROWD: f64 = 0.3;
/// Factor on the estimated wait on a busy host: the jobs that run there may be longer than the mean.
const PRELOAD_RISK: f64 = 1.5;

impl Cluster {
    /// Measured pace of a host, or an estimate if it has not been measured.
    pub fn pace(&self, host: &Host) -> f64 {
        let pace = host.pace.value().unwrap_or_else(|| {
            if self.pace_known == 0 { 1.0 } else { NEW_HOST * self.pace_sum / f64::from(self.pace_known) }
        });
        pace.clamp(1e-4, 1e4)
    }

    /// Expected milliseconds until a job of this weight would be done on a host that has the environment.
    pub fn finish_ms(&self, host: &Host, weight: f64) -> f64 {
        let slots = f64::from(host.slots.max(1));
        let busy = f64::from(host.busy());
        let free = f64::from(1000 - host.load.min(1000)) / 1000.0;
        let rate = self.pace(host) * free.max(0.05) * (1.0 - CROWD * (busy / slots).min(1.0));
        let over = busy - slots + 1.0;
        let wait = if over > 0.0 { PRELOAD_RISK * self.mean_weight * (1.0 + over) / slots } else { 0.0 };
        (wait + weight) / rate
    }
}
