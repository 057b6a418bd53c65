//! What a new monitor is shown of what is there: in pieces, as all others wait while one is made.
//!
//! Until it has been shown a host or a job, it hears nothing of it: it is as if it had logged in just before.

use super::job::State;
use super::listing::{self, PAUSE};
use super::{Scheduler, Timer, monitor};
use crate::ids::{HostId, JobId, PeerId};
use crate::message::{Message, MonJobBegin};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;
use std::ops::Bound::{Excluded, Unbounded};

/// Bytes of a message to a monitor, without its text.
const BYTES_OF_ANY: usize = 24;

/// A monitor that is logged in.
#[derive(Debug)]
pub(super) struct Monitor {
    address: Text,
    version: Version,
    shown: Shown,
    /// When it is shown the next piece.
    next_at: Option<Instant>,
}

/// What a monitor has been shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// Hosts up to this one.
    Hosts(HostId),
    /// All hosts, and jobs up to this one.
    Jobs(JobId),
    All,
}

impl Shown {
    /// Whether what a message is about was shown, or comes after all that is there.
    fn covers(self, message: &Message) -> bool {
        let job = match message {
            Message::MonStats(stats) => return !matches!(self, Self::Hosts(last) if stats.host > last),
            Message::MonGetCs(asked) => asked.job,
            Message::MonJobBegin(begin) => begin.job,
            Message::MonJobDone(done) => JobId(done.job),
            Message::MonLocalJobBegin(begin) => begin.job,
            Message::JobLocalDone { id } => JobId(*id),
            _ => JobId(0),
        };
        match self {
            Self::Hosts(_) => false,
            Self::Jobs(last) => job <= last,
            Self::All => true,
        }
    }
}

impl Monitor {
    /// A new one, which has been shown nothing.
    pub fn new(address: Text, version: Version) -> Self {
        Self { address, version, shown: Shown::Hosts(HostId(0)), next_at: None }
    }

    /// Its address.
    pub fn address(&self) -> &Text {
        &self.address
    }

    /// The version agreed on.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it hears of this.
    pub fn hears(&self, message: &Message) -> bool {
        self.shown.covers(message)
    }
}

/// A piece of what is there.
#[derive(Default)]
struct Piece {
    messages: Vec<Message>,
    /// Records looked at.
    rows: usize,
    bytes: usize,
}

impl Piece {
    fn is_full(&self) -> bool {
        listing::is_full(self.rows, self.bytes)
    }
}

impl Scheduler {
    /// Shows a monitor the next piece, unless its address was sent too much.
    pub(super) fn show(&mut self, peer: PeerId) {
        let Some(monitor) = self.monitors.get_mut(&peer) else { return };
        monitor.next_at = None;
        let (address, mut shown) = (monitor.address.clone(), monitor.shown);
        let mut wait = self.allowances.spend(self.now, &address, 0);
        if wait.is_none() {
            let mut piece = Piece::default();
            shown = self.piece(&mut piece, shown);
            wait = self.allowances.spend(self.now, &address, piece.bytes).or(Some(self.now + PAUSE));
            for message in piece.messages {
                self.send(peer, message);
            }
        }
        let next_at = wait.filter(|_| shown != Shown::All);
        self.set_timer(next_at, Timer::Monitor(peer));
        if let Some(monitor) = self.monitors.get_mut(&peer) {
            monitor.shown = shown;
            monitor.next_at = next_at;
        }
    }

    /// Makes the next piece. Returns what has been shown then.
    fn piece(&self, piece: &mut Piece, shown: Shown) -> Shown {
        let mut last = match shown {
            Shown::Hosts(mut last) => {
                for host in self.ledger.cluster().hosts_after(last) {
                    if piece.is_full() {
                        return Shown::Hosts(last);
                    }
                    last = host.id();
                    let stats = monitor::host_stats(host, false);
                    piece.rows += 1;
                    piece.bytes += BYTES_OF_ANY + stats.text.len();
                    piece.messages.push(Message::MonStats(stats));
                }
                JobId(0)
            }
            Shown::Jobs(last) => last,
            Shown::All => return Shown::All,
        };
        for (id, job) in self.ledger.jobs().range((Excluded(last), Unbounded)) {
            if piece.is_full() {
                return Shown::Jobs(last);
            }
            last = *id;
            piece.rows += 1;
            match job.state() {
                State::Compiling { server, start_time } if !self.ledger.is_orphan(job) => {
                    piece.bytes += BYTES_OF_ANY;
                    piece.messages.push(Message::MonJobBegin(MonJobBegin { job: *id, start_time, host: server }));
                }
                _ => {}
            }
        }
        Shown::All
    }

    /// Removes a monitor and its timer.
    pub(super) fn forget_monitor(&mut self, peer: PeerId) {
        let next_at = self.monitors.remove(&peer).and_then(|monitor| monitor.next_at);
        self.cancel_timer(next_at, Timer::Monitor(peer));
    }
}
