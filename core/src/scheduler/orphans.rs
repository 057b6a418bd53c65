//! The removal of a host and the end of its orphaned jobs.
//!
//! A submitter may leave tens of thousands of jobs behind. They leave the queue at once, so that none of them is
//! assigned, but they end a few hundred at a time, so that other hosts need not wait for all of them.

use super::monitor::offline;
use super::{CloseReason, Note, Scheduler, State, Timer};
use crate::ids::HostId;
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
        let Some(host) = self.ledger.forget_host(id) else { return };
        let (peer, name) = (host.said().peer, host.said().name.clone());
        self.note(Level::Info, || Note::RemoveDaemon { host: id, name });
        self.tell_monitors(&Message::MonStats(offline(id)));
        self.cancel_timer(host.probing().timer(), Timer::Host(id));
        self.peers.remove(&peer);
        self.host_without_internals(id);
        self.end_orphans();
        for job in host.work().local() {
            self.tell_monitors(&Message::JobLocalDone { id: job.0 });
        }
        if let Some(reason) = close {
            self.close(peer, reason);
        }
    }

    /// Ends the next portion of orphaned jobs.
    pub(super) fn end_orphans(&mut self) {
        for _ in 0..AT_ONCE {
            let Some((id, job)) = self.ledger.next_orphan() else { return };
            let note = match job.state() {
                State::Pending => Note::StopQueued { job: id },
                State::Waiting { .. } | State::Compiling { .. } => Note::StopRunning { job: id },
            };
            self.lose_job(id, note);
        }
        self.set_timer(self.now + PAUSE, Timer::Orphans);
    }
}
