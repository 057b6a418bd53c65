//! What can happen, and the queue of what will.

use crate::clients;
use ice_core::env::EnvId;
use ice_core::ids::{HostId, PeerId};
use ice_core::message::Message;
use ice_core::time::Instant;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What happens at a moment.
pub enum Event {
    ToScheduler {
        peer: PeerId,
        message: Message,
    },
    SchedulerClosed {
        peer: PeerId,
    },
    SchedulerTimer(Instant),
    Probed {
        epoch: u32,
        host: HostId,
        reachable: bool,
    },
    /// On a machine, if it has not been started anew since; later, if it is frozen.
    At {
        host: usize,
        generation: u32,
        what: What,
    },
    /// A connection of a client to a compile server arrives.
    Arrive {
        server: usize,
        build: usize,
        attempt: u32,
    },
    Fault(Fault),
    /// The faults are over: everything is repaired.
    Repair,
}

/// What happens on a machine.
pub enum What {
    Timer(Instant),
    FromScheduler {
        peer: PeerId,
        message: Message,
    },
    LinkLost {
        peer: PeerId,
    },
    Connect,
    Measured,
    /// A connection of its daemon is gone.
    PeerClosed(PeerId),
    Received {
        peer: PeerId,
        env: EnvId,
        ok: bool,
    },
    Verified {
        env: EnvId,
        ok: bool,
    },
    Compiled(PeerId),
    /// The daemon of a client or of its server said something to it.
    Hears {
        peer: PeerId,
        message: Message,
    },
    Build {
        build: usize,
        attempt: u32,
        event: clients::Event,
    },
}

/// What breaks.
#[derive(Clone, Copy)]
pub enum Fault {
    Crash(usize),
    Restart(usize),
    Freeze(usize),
    Thaw(usize),
    Cut(usize),
    Mend(usize),
    /// The link breaks and can be made again at once.
    Reset(usize),
    SchedulerRestart,
    Cancel(usize),
}
/// What will happen, by its time; of one time, what was planned first.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Entry>,
    seq: u64,
}

impl Queue {
    pub fn push(&mut self, at: Instant, event: Event) {
        self.seq += 1;
        self.heap.push(Entry { at, seq: self.seq, event });
    }

    pub fn pop(&mut self) -> Option<(Instant, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }

    /// The next, if it happens no later than `until`.
    pub fn pop_until(&mut self, until: Instant) -> Option<(Instant, Event)> {
        if self.heap.peek()?.at <= until { self.pop() } else { None }
    }
}

struct Entry {
    at: Instant,
    seq: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
