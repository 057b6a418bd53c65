//! What breaks and is repaired: faults are planned by chance, and then happen.

use super::{Event, Fault, What, World, scheduler};
use crate::workload::End;
use ice_core::daemon::Input;
use ice_core::time::{Duration, Instant};

impl World {
    pub(super) fn plan_fault(&mut self, end: Instant) {
        let hosts = self.hosts.len() as u64;
        let submitters = self.waiting.len() as u64;
        // Mostly servers: a dead submitter takes its builds with it.
        let host =
            if self.rng.per_mille(50) { self.rng.below(submitters) } else { self.rng.between(submitters, hosts - 1) };
        let host = host as usize;
        let at = self.moment(end);
        let until = at + Duration::from_millis(self.rng.between(100, 40_000));
        let (breaks, mends) = match self.rng.below(10) {
            0 => (Fault::Crash(host), Fault::Restart(host)),
            1 => (Fault::Freeze(host), Fault::Thaw(host)),
            2 => (Fault::Cut(host), Fault::Mend(host)),
            3 => (Fault::Reset(host), Fault::Mend(host)),
            4 => (Fault::Break(host), Fault::Mend(host)),
            5 => (Fault::Darken(host, until.min(end)), Fault::Mend(host)),
            6 => (Fault::Slow(host), Fault::Mend(host)),
            7 => (Fault::Fill(host), Fault::Mend(host)),
            8 => (Fault::Lie(host), Fault::Mend(host)),
            _ => (Fault::Terminate(host), Fault::Restart(host)),
        };
        self.schedule(at, Event::Fault(breaks));
        self.schedule(until.min(end), Event::Fault(mends));
    }

    pub(super) fn moment(&mut self, end: Instant) -> Instant {
        Instant::from_micros(self.rng.between(2_000_000, end.as_micros()))
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(host) => self.crash(host),
            Fault::Restart(host) if !self.hosts[host].serves => {
                self.hosts[host].start(self.now);
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
            Fault::Break(host) => self.break_connections(host),
            Fault::Darken(host, until) => self.hosts[host].dark_until = until,
            Fault::Slow(host) => self.hosts[host].slow = true,
            Fault::Fill(host) => self.hosts[host].full = true,
            Fault::Lie(host) => {
                self.hosts[host].lies = true;
                self.hosts[host].has_lied = true;
            }
            Fault::Mend(host) => {
                let host = &mut self.hosts[host];
                (host.cut, host.slow, host.full, host.lies) = (false, false, false, false);
            }
            Fault::Terminate(host) => {
                if self.hosts[host].answers() {
                    self.tell(host, Input::Terminate);
                }
            }
            Fault::SchedulerRestart => self.restart_scheduler(Duration::ZERO),
            Fault::Election => self.restart_scheduler(Duration::from_secs(30)),
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
        self.hosts[host].serves = false;
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

    /// A daemon leaves after TERM; it is started again, as a service is that is upgraded.
    pub(super) fn daemon_exits(&mut self, host: usize) {
        self.lose_link(host);
        self.hosts[host].serves = false;
        self.hosts[host].generation += 1;
        self.checkers.dies(host);
        self.daemon_connections_die(host);
        self.schedule(self.now + Duration::from_secs(2), Event::Fault(Fault::Restart(host)));
    }

    /// Another scheduler with empty books; each host learns it within `notice`.
    fn restart_scheduler(&mut self, notice: Duration) {
        self.epoch += 1;
        let links = std::mem::take(&mut self.links);
        self.logins.clear();
        for (peer, host) in links {
            let at = self.later() + Duration::from_millis(self.rng.below(notice.as_millis() as u64 + 1));
            self.schedule_on(host, at, What::LinkLost { peer });
        }
        self.timer = None;
        self.scheduler = scheduler::new(self.seed + u64::from(self.epoch), self.now);
        self.checkers.scheduler_restarted();
        self.monitor_logs_in();
    }
}
