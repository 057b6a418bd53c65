//! One peer as all threads share it: its outbox, its credits, and whether it is being closed. [`Outboxes`] hands it to
//! the outbox thread.
//!
//! Data for a peer is only written through its outbox, under its lock. So any thread may write the front of it: the
//! loop if there is room at once, the outbox thread if there was none, the peer's own thread if its handler waits for
//! room. No thread holds a lock while it waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ice_core::ids::PeerId;
use ice_core::version::Version;
use nix::poll::PollFlags;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::budget::{Account, Excess, Sum};
use super::{CloseReason, HubConfig};
use crate::deadline::{Deadline, Step};
use crate::error::ConnError;
use crate::stream::Stream;
use crate::wake::{self, Waker, Wakeup};

/// An empty outbox with a larger capacity in bytes is freed.
const OUTBOX_KEEP: usize = 16 * 1024;

/// A peer of a hub.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its number.
    pub(super) id: PeerId,
    /// The address, for limits and log; empty for Unix sockets and dialled peers.
    pub(super) address: String,
    /// Everything that changes.
    state: Mutex<State>,
    /// Notified when a credit has returned, the outbox is empty, or the peer is being closed.
    changed: Condvar,
}

/// What the lock protects.
#[derive(Debug)]
pub(super) struct State {
    /// `None` while it is dialled, and after its thread has ended.
    stream: Option<Arc<Stream>>,
    /// The agreed version.
    pub(super) version: Version,
    /// The outbox.
    queue: Vec<u8>,
    /// Number of bytes at the front of `queue` that are written.
    written: usize,
    /// Maximum number of unwritten bytes.
    pub(super) queue_max: usize,
    /// When a byte was last written, or the queue last became non-empty.
    pub(super) progress: Instant,
    /// Whether the outbox thread watches the peer.
    pub(super) watched: bool,
    /// Messages that may still be sent to the loop.
    credits: u32,
    /// Bytes of its messages that the loop has not processed.
    in_flight: usize,
    /// Bytes held by its own thread: incomplete frames, and what a handler holds.
    held_by_thread: usize,
    /// Its part of the common limits. `None` for dialled peers: they are few, chosen by us, and limited by
    /// their outbox.
    account: Option<Account>,
    /// Whether a handler is using the thread.
    pub(super) in_handler: bool,
    /// Set once the peer is being closed.
    pub(super) closing: Option<Closing>,
}

/// How a peer is being closed.
#[derive(Debug)]
pub(super) struct Closing {
    /// The reason that is reported.
    pub(super) reason: CloseReason,
    /// Until when unwritten data is still written, and the peer may take to close.
    pub(super) until: Instant,
    /// Whether to wait for the peer to read everything and close.
    awaits_peer: bool,
    /// Whether our direction was shut down, which tells the peer that no more follows.
    pub(super) end_sent: bool,
    /// Whether unwritten data was discarded.
    cut: bool,
}

/// Appends data to the queue in the peer's version.
pub(super) type Fill<'a> = &'a dyn Fn(&mut Vec<u8>, Version) -> Result<(), ConnError>;

/// The interface of the outbox thread for others.
#[derive(Debug)]
pub(super) struct Outboxes {
    /// Peers handed over that the thread has not taken yet.
    pub(super) added: Mutex<Vec<Arc<Peer>>>,
    /// Whether the thread must end.
    pub(super) stop: AtomicBool,
    /// Wakes the thread.
    waker: Waker,
}

impl Outboxes {
    /// The interface, and the end that the thread waits on.
    pub(super) fn new() -> io::Result<(Self, Wakeup)> {
        let (waker, wakeup) = wake::pair()?;
        Ok((Self { added: Mutex::default(), stop: AtomicBool::new(false), waker }, wakeup))
    }

    /// Hands a peer over to the thread until nothing is left to do for it.
    pub(super) fn watch(&self, peer: Arc<Peer>) {
        let mut added = self.added.lock();
        added.push(peer);
        if added.len() == 1 {
            self.waker.wake();
        }
    }

    /// Wakes the thread because a watched peer has changed.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

impl Peer {
    /// A peer; `stream` is `None` if it is to be dialled.
    pub(super) fn new(
        id: PeerId,
        address: String,
        stream: Option<Arc<Stream>>,
        account: Option<Account>,
        config: &HubConfig,
    ) -> Self {
        let state = State {
            stream,
            version: Version::LOWEST,
            queue: Vec::new(),
            written: 0,
            queue_max: config.outbox_max,
            progress: Instant::now(),
            watched: false,
            credits: config.credits,
            in_flight: 0,
            held_by_thread: 0,
            account,
            in_handler: false,
            closing: None,
        };
        Self { id, address, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Locks the state.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Queues data and writes as much as there is room for; the outbox thread writes the rest. Never waits.
    pub(super) fn post(self: &Arc<Self>, fill: Fill<'_>, outboxes: &Outboxes) {
        let mut state = self.lock();
        if state.closing.is_some() {
            return;
        }
        if let Err(error) = self.push(&mut state, fill) {
            return self.fail(&mut state, error.into());
        }
        // If the peer is watched, bytes are waiting and there is no room; writing would only delay the outbox thread.
        if !state.watched {
            if let Err(error) = state.write_now() {
                return self.fail(&mut state, error.into());
            }
        }
        let waiting = state.waiting();
        if waiting > state.queue_max {
            self.fail(&mut state, CloseReason::OutboxFull { waiting });
        } else if waiting > 0 {
            self.watch(&mut state, outboxes);
        }
    }

    /// Queues data and waits until the queue is written. `queued` is called before each wait.
    pub(super) fn post_and_wait(
        &self,
        fill: Fill<'_>,
        queued: &dyn Fn(),
        deadline: &Deadline,
    ) -> Result<(), ConnError> {
        let mut state = self.lock();
        self.push(&mut state, fill)?;
        loop {
            state.write_now()?;
            if state.closing.as_ref().is_some_and(|closing| closing.cut) {
                return Err(ConnError::Closed);
            }
            if state.waiting() == 0 {
                return Ok(());
            }
            let stream = state.stream.clone().ok_or(ConnError::Closed)?;
            drop(state);
            queued();
            stream.wait(PollFlags::POLLOUT, deadline)?;
            state = self.lock();
        }
    }

    /// Closes the peer: queued data is written first, and then the peer gets time to close.
    pub(super) fn close(self: &Arc<Self>, reason: String, until: Instant, outboxes: &Outboxes) {
        if let Some(mut state) = self.begin_closing(reason, until, true) {
            self.leave_to(outboxes, &mut state);
        }
    }

    /// The same by the peer's own thread, which waits for the peer to close from now on, and not longer than it may.
    pub(super) fn close_and_wait(self: &Arc<Self>, reason: String, until: Instant, outboxes: &Outboxes) {
        if let Some(mut state) = self.begin_closing(reason, until, true).filter(|state| state.waiting() > 0) {
            self.leave_to(outboxes, &mut state);
        }
    }

    /// Closes the peer once queued data is written, without waiting for the peer to close.
    pub(super) fn close_hastily(self: &Arc<Self>, reason: String, until: Instant, outboxes: &Outboxes) {
        if let Some(mut state) = self.begin_closing(reason, until, false) {
            self.leave_to(outboxes, &mut state);
        }
    }

    /// Begins closing. `None`: nothing is left to do.
    fn begin_closing(&self, reason: String, until: Instant, awaits_peer: bool) -> Option<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return None;
        }
        let reason = CloseReason::Asked(reason);
        state.closing = Some(Closing { reason, until, awaits_peer, end_sent: false, cut: false });
        self.changed.notify_all();
        (!state.finish_writing(Instant::now())).then_some(state)
    }

    /// Leaves the rest of closing to the outbox thread.
    fn leave_to(self: &Arc<Self>, outboxes: &Outboxes, state: &mut State) {
        if state.watched {
            // The thread sleeps until the peer's stall limit, which may be later.
            outboxes.wake();
        }
        self.watch(state, outboxes);
    }

    /// Closes the peer at once.
    pub(super) fn cut(&self, reason: CloseReason) {
        self.fail(&mut self.lock(), reason);
    }

    /// Closes the peer at once; its own thread wakes up and reports it. The first reason is kept.
    pub(super) fn fail(&self, state: &mut State, reason: CloseReason) {
        match &mut state.closing {
            Some(closing) => (closing.end_sent, closing.cut) = (true, true),
            none => {
                *none = Some(Closing { reason, until: Instant::now(), awaits_peer: false, end_sent: true, cut: true })
            }
        }
        state.clear_queue();
        if let Some(stream) = &state.stream {
            stream.shutdown();
        }
        self.changed.notify_all();
    }

    /// Sets the stream after dialling. `false`: the peer was closed meanwhile.
    pub(super) fn connected(&self, stream: Arc<Stream>) -> bool {
        let mut state = self.lock();
        state.stream = Some(stream);
        state.closing.is_none()
    }

    /// Takes a credit for a message of `bytes` bytes, waiting for one if necessary. `false`: the peer is being closed.
    pub(super) fn take_credit(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        while state.credits == 0 && state.closing.is_none() {
            self.changed.wait(&mut state);
        }
        state.credits = state.credits.saturating_sub(1);
        state.in_flight += bytes;
        state.update_account();
        state.closing.is_none()
    }

    /// Returns the credit for a message of `bytes` bytes.
    pub(super) fn give_credit(&self, bytes: usize) {
        let mut state = self.lock();
        state.credits += 1;
        state.in_flight = state.in_flight.saturating_sub(bytes);
        state.update_account();
        if state.credits == 1 {
            self.changed.notify_all();
        }
    }

    /// Whether the peer is being closed.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing.is_some()
    }

    /// Waits until the peer is closed by somebody, or `until`.
    pub(super) fn wait_for_close(&self, until: Instant) {
        let mut state = self.lock();
        while state.closing.is_none() {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// Waits until the outbox is empty, or `until`.
    pub(super) fn wait_for_flush(&self, until: Instant) {
        let mut state = self.lock();
        while state.watched && state.waiting() > 0 {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// Sets the number of bytes held by its own thread.
    pub(super) fn set_held(&self, bytes: usize) {
        let mut state = self.lock();
        state.held_by_thread = bytes;
        state.update_account();
    }

    /// Which sum that this peer counts for exceeds its limit, with the sum of its address.
    pub(super) fn excess(&self, config: &HubConfig) -> Option<(Excess, Sum)> {
        let state = self.lock();
        let account = state.account.as_ref()?;
        account.excess(config).map(|excess| (excess, Arc::clone(account.address())))
    }

    /// The bytes held for it, if it counts for `address`.
    pub(super) fn held(&self, address: &Sum) -> Option<usize> {
        let state = self.lock();
        let account = state.account.as_ref()?;
        account.counts_for(address).then(|| account.held())
    }

    /// Handles the end of the peer's thread: releases the descriptor. Returns the reason if we closed the peer, and
    /// whether the outbox thread watches it.
    pub(super) fn ended(&self) -> (Option<CloseReason>, bool) {
        let mut state = self.lock();
        state.stream = None;
        state.clear_queue();
        state.held_by_thread = 0;
        state.update_account();
        (state.closing.take().map(|closing| closing.reason), state.watched)
    }

    /// Wakes threads that wait for a change.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Appends to the queue.
    fn push(&self, state: &mut State, fill: Fill<'_>) -> Result<(), ConnError> {
        if state.closing.is_some() || state.stream.is_none() {
            return Err(ConnError::Closed);
        }
        if state.written > state.queue.len() / 2 {
            state.queue.drain(..state.written);
            state.written = 0;
        }
        let before = state.queue.len();
        if before == state.written {
            state.progress = Instant::now();
        }
        let version = state.version;
        let filled = fill(&mut state.queue, version);
        if filled.is_err() {
            state.queue.truncate(before);
        }
        state.update_account();
        filled
    }

    /// Hands the peer to the outbox thread, unless that watches it already.
    fn watch(self: &Arc<Self>, state: &mut State, outboxes: &Outboxes) {
        if !state.watched {
            state.watched = true;
            outboxes.watch(Arc::clone(self));
        }
    }
}

impl State {
    /// Number of bytes not written yet.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() - self.written
    }

    /// The stream, if there is one.
    pub(super) fn stream(&self) -> Option<&Arc<Stream>> {
        self.stream.as_ref()
    }

    /// Writes as much as there is room for.
    pub(super) fn write_now(&mut self) -> Result<(), ConnError> {
        let stream = self.stream.as_ref().ok_or(ConnError::Closed)?;
        while self.written < self.queue.len() {
            let n = stream.write_now(self.queue.get(self.written..).unwrap_or_default())?;
            if n == 0 {
                return Ok(());
            }
            self.written += n;
            self.progress = Instant::now();
        }
        self.written = 0;
        self.queue.clear();
        if self.queue.capacity() > OUTBOX_KEEP {
            self.clear_queue();
        }
        Ok(())
    }

    /// Discards the queue and frees it.
    fn clear_queue(&mut self) {
        self.queue = Vec::new();
        self.written = 0;
        self.update_account();
    }

    /// Updates the account. A peer that was cut counts for nothing: its memory is freed as soon as its thread wakes up,
    /// and must not cost another peer its connection until then.
    fn update_account(&mut self) {
        let cut = self.closing.as_ref().is_some_and(|closing| closing.cut);
        let held = if cut { 0 } else { self.queue.capacity() + self.in_flight + self.held_by_thread };
        if let Some(account) = &mut self.account {
            account.set(held);
        }
    }

    /// Performs the next step of closing. `true`: the outbox thread has nothing more to do.
    pub(super) fn finish_writing(&mut self, now: Instant) -> bool {
        let waiting = self.waiting();
        let (Some(stream), Some(closing)) = (&self.stream, &mut self.closing) else { return true };
        if now >= closing.until || (waiting == 0 && (self.in_handler || !closing.awaits_peer)) {
            stream.shutdown();
            return true;
        }
        if waiting == 0 && !closing.end_sent {
            // Only our direction: with both, unread bytes of the peer would reset the connection and lose data on its
            // way.
            closing.end_sent = true;
            stream.shutdown_write();
        }
        false
    }

    /// The reason to close a peer that has not read for too long; `None`: it reads.
    pub(super) fn stalled(&self, now: Instant, config: &HubConfig) -> Option<CloseReason> {
        let stalled = self.waiting() > 0 && now >= self.progress + config.send_stall;
        stalled.then(|| ConnError::TimedOut { step: Step::Send, limit: config.send_stall }.into())
    }
}

#[cfg(test)]
mod tests;
