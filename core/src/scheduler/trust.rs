//! What the ends of its jobs show about a host: environments that it lacks, and whether its jobs succeed.
//!
//! A host that fails its jobs is free again at once and would get one after the other: a single broken machine could
//! spoil a whole build. So a host whose jobs fail in a row gets one at a time, with growing pauses, until one succeeds.
//! No job starves: if no other host could take it, a pausing one gets it.

use super::{Note, Scheduler};
use crate::ids::{HostId, JobId};
use crate::level::Level;
use crate::time::{Duration, Instant};

/// Failures in a row after which a host gets fewer jobs; one or two may be the jobs' fault.
const FAILURES: u32 = 3;
/// The first pause; each further failure doubles it.
const REST: Duration = Duration::from_secs(1);
/// The longest pause.
const REST_MAX: Duration = Duration::from_secs(60);

/// How the recent jobs of one host have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trust {
    /// Failures in a row. Those during a pause do not count: their jobs had begun before it.
    failures: u32,
    rests_until: Option<Instant>,
}

impl Trust {
    /// Whether the host gets only one job at a time.
    pub fn is_on_trial(&self) -> bool {
        self.failures >= FAILURES
    }

    /// When its pause ends, if it has one.
    pub fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// One of its jobs succeeded.
    fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// One of its jobs failed by the host's fault. Returns the pause that begins, if any.
    fn failed(&mut self, now: Instant) -> Option<Duration> {
        if self.rests_until.is_some() {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let doubled = self.failures.checked_sub(FAILURES)?;
        let pause = REST.saturating_mul(1u32.checked_shl(doubled).unwrap_or(u32::MAX)).min(REST_MAX);
        self.rests_until = Some(now + pause);
        Some(pause)
    }

    /// Ends its pause if that is over. Returns whether it is.
    fn end_rest(&mut self, now: Instant) -> bool {
        self.rests_until.take_if(|until| *until <= now).is_some()
    }
}

impl Scheduler {
    /// Evaluates a server's report of a job's end.
    pub(super) fn host_answered(&mut self, id: HostId, job: JobId, exit_code: i32) {
        if exit_code == NO_ENVIRONMENT {
            if let Some(key) = self.ledger.job(job).and_then(|job| job.environment()) {
                self.ledger.lacks(id, key);
            }
        }
        let now = self.now;
        let pause = match exit_code {
            0 => self.ledger.trust(id, Trust::succeeded).and(None),
            _ if is_hosts_fault(exit_code) => self.ledger.trust(id, |trust| trust.failed(now)).flatten(),
            _ => None,
        };
        let (Some(pause), Some(host)) = (pause, self.ledger.host(id)) else { return };
        let name = host.said().name.clone();
        self.note(Level::Warning, || Note::Failing { name, pause_s: pause.as_secs() });
        // Jobs that waited for this host must be compared with the others.
        self.ledger.shrink();
        self.arm(id);
    }

    /// Ends a host's pause when it is over.
    pub(super) fn tick_trust(&mut self, id: HostId) {
        let now = self.now;
        if self.ledger.trust(id, |trust| trust.end_rest(now)).unwrap_or_default() {
            self.ledger.free(id);
        }
    }
}

/// Exit code: the environment is missing or its compiler does not start, and the host has removed it.
const NO_ENVIRONMENT: i32 = 110;

/// Whether an exit code means that the host itself failed (`net/PROTOCOL.md`, JOB_DONE). Codes below 100 are the
/// compiler's and concern the source; the other codes of ours concern the client, or mean that the host stops.
fn is_hosts_fault(exit_code: i32) -> bool {
    const GENERAL: i32 = 100;
    const OUT_OF_MEMORY: i32 = 105;
    const NO_FORK: i32 = 117;
    const NO_REPORT: i32 = 151;
    exit_code < 0 || [GENERAL, OUT_OF_MEMORY, NO_ENVIRONMENT, NO_FORK, NO_REPORT].contains(&exit_code)
}

#[cfg(test)]
mod tests {
    use super::is_hosts_fault;

    #[test]
    fn some_exit_codes_are_the_hosts_fault() {
        let faults: Vec<i32> = (-300..1000).filter(|code| is_hosts_fault(*code)).collect();
        let expected: Vec<i32> = (-300..0).chain([100, 105, 110, 117, 151]).collect();
        assert_eq!(faults, expected);
    }
}
