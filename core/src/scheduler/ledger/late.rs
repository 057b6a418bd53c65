//! Assigned jobs that do not begin: they give their slots back, and if others wait their submitters get no servers for
//! a while.

use super::super::host::Host;
use super::Ledger;
use crate::ids::{HostId, JobId};
use crate::text::Text;
use crate::time::{Duration, Instant};

/// How long an assigned job may take to begin: plain values.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Patience {
    /// In general.
    pub usual: Duration,
    /// If submitters of other addresses wait for servers.
    pub others_wait: Duration,
}

/// What was done about jobs that did not begin: plain values.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Late {
    /// So many jobs gave their slots back.
    pub count: u32,
    /// Submitters get servers again at this time, if some do not until then.
    pub held_until: Option<Instant>,
}

impl Ledger {
    /// Makes those jobs of a host dormant that have not begun for so long, if a slot was free throughout.
    pub fn make_dormant(&mut self, id: HostId, now: Instant, patience: Patience) -> Late {
        let mut done = Late::default();
        let free_since = self.cluster.host_mut(id).and_then(|host| host.work_mut().free_since(now));
        let (Some(free_since), Some(host)) = (free_since, self.cluster.host(id)) else { return done };
        // A job that is still sending its environment is not late.
        let installs = |id: &JobId| host.work().installs().any(|install| install.job == *id);
        let waits = |id: &JobId| {
            let job = self.jobs.get(id).filter(|job| !job.was_dormant())?;
            Some((*id, job.submitter(), job.waits_since()?.max(free_since)))
        };
        let waiting = host.work().jobs().iter().filter(|id| !installs(id)).filter_map(waits);
        let late: Vec<_> = waiting.filter(|(.., since)| now >= *since + patience.others_wait).collect();
        for (job, submitter, since) in late {
            let others_wait = self.others_wait(submitter);
            if !others_wait && now < since + patience.usual {
                continue;
            }
            if let Some(job) = self.jobs.get_mut(&job) {
                job.become_dormant();
                done.count += 1;
            }
            if others_wait {
                done.held_until = self.hold(submitter, now).or(done.held_until);
            }
        }
        if let Some(host) = self.cluster.host_mut(id).filter(|_| done.count > 0) {
            host.work_mut().become_dormant(done.count);
            self.free(id);
        }
        done
    }

    /// Whether a submitter of another address waits for a server.
    fn others_wait(&self, submitter: HostId) -> bool {
        let address = |id: HostId| self.host(id).map(|host| &host.said().address);
        self.queue.submitters().any(|other| address(other) != address(submitter))
    }

    /// Gives the hosts of a submitter's address no servers for now. Returns until when, unless that is known.
    fn hold(&mut self, submitter: HostId, now: Instant) -> Option<Instant> {
        let address = self.host(submitter)?.said().address.clone();
        let until = self.punctuality.late(now, &address)?;
        self.set_held(&address, true);
        Some(until)
    }

    fn set_held(&mut self, address: &Text, is_held: bool) {
        let alike = self.cluster.named(address).filter(|host| host.said().address == *address);
        for host in alike.map(Host::id) {
            self.queue.hold(host, is_held);
        }
        if !is_held {
            self.freed.extend(self.cluster.hosts().map(Host::id));
        }
    }

    /// A submitter's job began.
    pub(super) fn note_begin(&mut self, submitter: HostId) {
        let Some(host) = self.cluster.host(submitter) else { return };
        if self.punctuality.begun(&host.said().address) {
            let address = host.said().address.clone();
            self.set_held(&address, false);
        }
    }

    /// Gives servers again to the addresses whose time without is over.
    pub fn end_holds(&mut self, now: Instant) {
        for address in self.punctuality.over(now) {
            self.set_held(&address, false);
        }
    }

    /// Checks that the queue holds the jobs of those hosts back that get no servers.
    pub fn check_held(&self) -> Result<(), String> {
        let wrong = |host: &&Host| self.queue.is_held(host.id()) != self.punctuality.is_held(&host.said().address);
        match self.cluster.hosts().find(wrong) {
            Some(host) => Err(format!("host {}: held={}", host.id(), self.queue.is_held(host.id()))),
            None => Ok(()),
        }
    }
}
