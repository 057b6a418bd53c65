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
    /// On a machine, if it (or its daemon, if it is for that) has not been started anew since; later, if it is frozen.
    At {
        host: usize,
        generation: u32,
        what: What,
    },
    /// A client's connection to a compile server arrives.
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
    /// A client of another host said something, or closed its connection.
    Said {
        peer: PeerId,
        message: Message,
    },
    HungUp(PeerId),
    Received {
        peer: PeerId,
        env: EnvId,
        ok: bool,
    },
    Verified {
        env: EnvId,
        ok: bool,
    },
    /// A job's machine wants to be asked.
    ServingTimer {
        peer: PeerId,
        at: Instant,
    },
    /// The compiler has taken what there was of its source.
    Took(PeerId),
    /// The compiler ends, if it still runs.
    Compiled(PeerId),
    /// The result is sent, or was not read.
    Delivered {
        peer: PeerId,
        ok: bool,
    },
    /// Something in a client's process.
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
    /// All connections of other hosts' clients break. Often one end is not told.
    Break(usize),
    /// Nothing passes between the host and other hosts' clients for a while.
    Darken(usize, Instant),
    Slow(usize),
    Fill(usize),
    Lie(usize),
    /// Its daemon is told to stop.
    Terminate(usize),
    /// The scheduler ends, and all hosts see it at once; or each when it finds that another was elected.
    SchedulerRestart,
    Election,
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
