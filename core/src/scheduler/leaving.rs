//! The end of a host, and of the jobs it leaves behind.
//!
//! A submitter may leave tens of thousands of jobs. They are out of the queue at once, so that none of them is handed out, but end
//! a few hundred at a time: no other host waits for all of them. Until then such a job is known to nobody but the records here.

use super::jobs::Job;
use super::monitor::offline;
use super::{CloseReason, Note, Scheduler, State, Timer};
use crate::ids::{HostId, JobId};
use crate::level::Level;
use crate::message::Message;
use crate::time::Duration;

/// Jobs left behind that end in one go: a millisecond or two.
const AT_ONCE: usize = 500;
/// Then others have their turn.
const PAUSE: Duration = Duration::from_millis(1);

impl Scheduler {
    /// A host is gone, or is to go: its jobs end, monitors hear of it.
    pub(super) fn host_left(&mut self, id: HostId, close: Option<CloseReason>) {
        let Some(host) = self.cluster.host_mut(id) else { return };
        let (peer, name, tick) = (host.peer, host.name.clone(), host.tick.take());
        let mut others: Vec<JobId> = std::mem::take(&mut host.asked).into_iter().collect();
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
        for (need, jobs) in self.queue.remove_submitter(id) {
            if let Some(known) = self.cluster.needs.known_mut(need) {
                known.waiting -= jobs.len();
            }
            queued.extend(jobs);
        }
        queued.sort_unstable();
        // The queued ones come first; when they are met again they have ended.
        self.left.extend(queued.into_iter().chain(others));
        self.end_left();
        for job in local {
            self.tell_monitors(&Message::JobLocalDone { id: job.0 });
        }
        if let Some(reason) = close {
            self.close(peer, reason);
        }
    }

    /// Ends some of the jobs that were left behind.
    pub(super) fn end_left(&mut self) {
        let mut ended = 0;
        while ended < AT_ONCE {
            let Some(id) = self.left.pop_front() else { return };
            let Some(job) = self.jobs.get(&id) else { continue };
            let note = match job.state {
                State::Pending => Note::StopQueued { job: id },
                State::Waiting { .. } | State::Compiling { .. } => Note::StopRunning { job: id },
            };
            self.lose_job(id, note);
            ended += 1;
        }
        self.timers.insert((self.now + PAUSE, Timer::Left));
    }

    /// Whether a job was left behind by its submitter or its server.
    pub(super) fn is_left(&self, job: &Job) -> bool {
        let gone = |host: HostId| self.cluster.host(host).is_none();
        gone(job.submitter) || job.server().is_some_and(gone)
    }
}
