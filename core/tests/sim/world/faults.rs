//! What breaks and is repaired: faults are planned by chance, and then happen.

use super::{Event, Fault, What, World, scheduler};
use crate::workload::End;
use ice_core::time::{Duration, Instant};

impl World {
    pub(super) fn plan_fault(&mut self, end: Instant) {
        let hosts = self.hosts.len() as u64;
        let submitters = self.waiting.len() as u64;
        // Mostly servers: a dead submitter takes its builds with it.
        let host =
            if self.rng.per_mille(50) { self.rng.below(submitters) } else { self.rng.between(submitters, hosts - 1) };
        let host = host as usize;
        let (breaks, mends) = match self.rng.below(4) {
            0 => (Fault::Crash(host), Fault::Restart(host)),
            1 => (Fault::Freeze(host), Fault::Thaw(host)),
            2 => (Fault::Cut(host), Fault::Mend(host)),
            _ => (Fault::Reset(host), Fault::Mend(host)),
        };
        let at = self.moment(end);
        let until = at + Duration::from_millis(self.rng.between(100, 40_000));
        self.schedule(at, Event::Fault(breaks));
        self.schedule(until.min(end), Event::Fault(mends));
    }

    pub(super) fn moment(&mut self, end: Instant) -> Instant {
        Instant::from_micros(self.rng.between(2_000_000, end.as_micros()))
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(host) => self.crash(host),
            Fault::Restart(host) if !self.hosts[host].alive => {
                self.hosts[host].start(self.now);
                self.deferred[host].clear();
                self.arm(host);
            }
            Fault::Freeze(host) => self.hosts[host].frozen = self.hosts[host].alive,
            Fault::Thaw(host) if self.hosts[host].frozen => {
                self.hosts[host].frozen = false;
                for what in std::mem::take(&mut self.deferred[host]) {
                    self.schedule_on(host, self.now, what);
                }
            }
            Fault::Cut(host) => {
                self.hosts[host].cut = true;
                self.lose_link(host);
            }
            Fault::Reset(host) => self.lose_link(host),
            Fault::Mend(host) => self.hosts[host].cut = false,
            Fault::SchedulerRestart => self.restart_scheduler(),
            Fault::Cancel(build) => self.cancel(build),
            Fault::Restart(_) | Fault::Thaw(_) => {}
        }
    }

    /// Both ends notice that the connection is gone.
    fn lose_link(&mut self, host: usize) {
        if let Some(link) = self.hosts[host].link {
            let at = self.later();
            self.schedule(at, Event::SchedulerClosed { peer: link.peer });
            let at = self.later();
            self.schedule_on(host, at, What::LinkLost { peer: link.peer });
        }
    }

    fn crash(&mut self, host: usize) {
        if !self.hosts[host].alive {
            return;
        }
        self.lose_link(host);
        self.hosts[host].alive = false;
        self.hosts[host].frozen = false;
        self.deferred[host].clear();
        self.checkers.dies(host);
        self.connections_die(host);
        self.waiting.remove(&host);
        let own = |n: &usize| self.builds[*n].submitter == host && !self.builds[*n].is_ended();
        let lost: Vec<usize> = (0..self.builds.len()).filter(own).collect();
        for build in lost {
            self.end(build, End::SubmitterGone);
        }
    }

    fn restart_scheduler(&mut self) {
        self.epoch += 1;
        let links = std::mem::take(&mut self.links);
        self.logins.clear();
        for (peer, host) in links {
            let at = self.later();
            self.schedule_on(host, at, What::LinkLost { peer });
        }
        self.timer = None;
        self.scheduler = scheduler::new(self.seed + u64::from(self.epoch), self.now);
        self.checkers.scheduler_restarted();
        self.monitor_logs_in();
    }
}
