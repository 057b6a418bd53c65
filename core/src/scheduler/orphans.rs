//! The removal of a host and the end of its orphaned jobs.
//!
//! A submitter may leave tens of thousands of jobs behind. They leave the queue at once, so that none of them is
//! assigned, but they end a few hundred at a time, so that other hosts need not wait for all of them. Until then an
//! orphaned job is in `Scheduler::jobs` and `Scheduler::orphans` only.

use super::jobs::Job;
use super::monitor::offline;
use super::{CloseReason, Note, Scheduler, State, Timer};
use crate::ids::{HostId, JobId};
use crate::level::Level;
use crate::message::Message;
use crate::time::Duration;

/// Number of orphaned jobs ended at a time; that takes a millisecond or two.
const AT_ONCE: usize = 500;
/// Pause before the next portion, in which other peers are served.
const PAUSE: Duration = Duration::from_millis(1);

impl Scheduler {
    /// Removes a host that has gone, or closes its connection with `close`. Its jobs end, and monitors are informed.
    pub(super) fn host_left(&mut self, id: HostId, close: Option<CloseReason>) {
        let Some(host) = self.cluster.host_mut(id) else { return };
        let (peer, name, tick) = (host.peer, host.name.clone(), host.tick.take());
        let mut others: Vec<JobId> = std::mem::take(&mut host.submitted).into_iter().collect();
        others.extend(std::mem::take(&mut host.jobs));
        others.sort_unstable();
        let local: Vec<JobId> = host.local.values().map(|l| l.job).collect();
        self.note(Level::Info, || Note::RemoveDaemon { host: id, name });
        self.tell_monitors(&Message::MonStats(offline(id)));
        self.end_installs(id, |_, _| true);
        if let Some(at) = tick {
            self.timers.remove(&(at, Timer::Host(id)));
        }
        self.cluster.remove(id);
        self.freed.remove(&id);
        self.shrunk = true;
        self.peers.remove(&peer);
        self.host_without_internals(id);
        let mut queued = Vec::new();
        for (requirement, jobs) in self.queue.remove_submitter(id) {
            if let Some(known) = self.cluster.requirements.get_mut(requirement) {
                known.waiting -= jobs.len();
            }
            queued.extend(jobs);
        }
        queued.sort_unstable();
        // The queued jobs come first. They occur again in `others`, where they are skipped because they have ended by
        // then.
        self.orphans.extend(queued.into_iter().chain(others));
        self.end_orphans();
        for job in local {
            self.tell_monitors(&Message::JobLocalDone { id: job.0 });
        }
        if let Some(reason) = close {
            self.close(peer, reason);
        }
    }

    /// Ends the next portion of orphaned jobs.
    pub(super) fn end_orphans(&mut self) {
        let mut ended = 0;
        while ended < AT_ONCE {
            let Some(id) = self.orphans.pop_front() else { return };
            let Some(job) = self.jobs.get(&id) else { continue };
            let note = match job.state {
                State::Pending => Note::StopQueued { job: id },
                State::Waiting { .. } | State::Compiling { .. } => Note::StopRunning { job: id },
            };
            self.lose_job(id, note);
            ended += 1;
        }
        self.timers.insert((self.now + PAUSE, Timer::Orphans));
    }

    /// Whether a job's submitter or server has left.
    pub(super) fn is_orphan(&self, job: &Job) -> bool {
        let gone = |host: HostId| self.cluster.host(host).is_none();
        gone(job.submitter) || job.server().is_some_and(gone)
    }
}
