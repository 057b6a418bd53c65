//! One peer as all threads see it: its outbox, its credits, and whether it is being closed.
//!
//! Bytes for a peer go through its outbox alone, under its lock, so that any thread may write what is at the front: the loop when there
//! is room at once, the outbox thread when there was none, the peer's own thread when its handler waits for room. No lock is held
//! while anybody waits.

use std::sync::Arc;
use std::time::Instant;

use ice_core::ids::PeerId;
use ice_core::version::Version;
use nix::poll::PollFlags;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::budget::{Account, Excess, Sum};
use super::outbox::Outboxes;
use super::{CloseReason, HubConfig};
use crate::deadline::{Deadline, Step};
use crate::error::ConnError;
use crate::stream::Stream;

/// An outbox larger than this is given back when it is empty.
const OUTBOX_KEEP: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// Address, for the caps and the log; empty for unix sockets.
    pub(super) address: String,
    state: Mutex<State>,
    /// A credit came back, the outbox got empty, or the peer is being closed.
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    /// None while it is dialled, and after its thread has ended.
    stream: Option<Arc<Stream>>,
    pub(super) version: Version,
    queue: Vec<u8>,
    /// Bytes at the front of `queue` that were written.
    written: usize,
    pub(super) queue_max: usize,
    /// When a byte was last written, or the first one began to wait.
    pub(super) progress: Instant,
    /// Whether the outbox thread looks after it.
    pub(super) watched: bool,
    credits: u32,
    /// Bytes of its messages that the loop has not dealt with.
    under_way: usize,
    /// Bytes that its own thread holds: a frame that is not whole, what a handler keeps.
    kept: usize,
    /// What it holds of the limits of all; none for those we dialled: few, our own choice, and bounded by their outbox.
    account: Option<Account>,
    /// Whether a handler has the thread now.
    pub(super) borrowed: bool,
    pub(super) closing: Option<Closing>,
}

#[derive(Debug)]
pub(super) struct Closing {
    pub(super) reason: CloseReason,
    /// What is left is written until then, and the peer may take that long to go.
    pub(super) until: Instant,
    /// Whether the peer may read our last words before the connection is gone.
    patient: bool,
    /// Whether the peer was told that no more comes.
    pub(super) said: bool,
    /// Whether what was queued is lost.
    cut: bool,
}

/// What may be sent: appends to the queue at the peer's version.
pub(super) type Fill<'a> = &'a dyn Fn(&mut Vec<u8>, Version) -> Result<(), ConnError>;

impl Peer {
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
            under_way: 0,
            kept: 0,
            account,
            borrowed: false,
            closing: None,
        };
        Self { id, address, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Queues and writes what there is room for; the rest is the outbox thread's. Never waits.
    pub(super) fn post(self: &Arc<Self>, fill: Fill<'_>, outboxes: &Outboxes) {
        let mut state = self.lock();
        if state.closing.is_some() {
            return;
        }
        if let Err(error) = self.push(&mut state, fill) {
            return self.fail(&mut state, error.into());
        }
        // Behind waiting bytes there is no room either: the outbox thread, if it is on its way, would only be slowed down.
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

    /// Queues and waits until all that is queued is written; `queued` is called when that may take a while.
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

    /// Asks for the end: what is queued is written first, and then the peer may take its time to go.
    pub(super) fn close(self: &Arc<Self>, reason: String, until: Instant, outboxes: &Outboxes) {
        self.part(reason, until, true, outboxes);
    }

    /// Asks for the end: what is queued is written first.
    pub(super) fn close_hastily(self: &Arc<Self>, reason: String, until: Instant, outboxes: &Outboxes) {
        self.part(reason, until, false, outboxes);
    }

    fn part(self: &Arc<Self>, reason: String, until: Instant, patient: bool, outboxes: &Outboxes) {
        let mut state = self.lock();
        if state.closing.is_some() {
            return;
        }
        let reason = CloseReason::Asked(reason);
        state.closing = Some(Closing { reason, until, patient, said: false, cut: false });
        self.changed.notify_all();
        if !state.finish_writing(Instant::now()) {
            if state.watched {
                // It sleeps until the peer stalls, which may be later.
                outboxes.look();
            }
            self.watch(&mut state, outboxes);
        }
    }

    /// Ends it at once.
    pub(super) fn cut(&self, reason: CloseReason) {
        self.fail(&mut self.lock(), reason);
    }

    /// Ends it at once; its own thread wakes up and reports. The first reason counts.
    pub(super) fn fail(&self, state: &mut State, reason: CloseReason) {
        match &mut state.closing {
            Some(closing) => (closing.said, closing.cut) = (true, true),
            none => *none = Some(Closing { reason, until: Instant::now(), patient: false, said: true, cut: true }),
        }
        state.clear_queue();
        if let Some(stream) = &state.stream {
            stream.shutdown();
        }
        self.changed.notify_all();
    }

    /// Gives the peer its stream after dialling; `false` if it was closed meanwhile.
    pub(super) fn connected(&self, stream: Arc<Stream>) -> bool {
        let mut state = self.lock();
        state.stream = Some(stream);
        state.closing.is_none()
    }

    /// Takes a credit for a message of `bytes`, waits for one if need be; `false` if the peer is being closed.
    pub(super) fn take_credit(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        while state.credits == 0 && state.closing.is_none() {
            self.changed.wait(&mut state);
        }
        state.credits = state.credits.saturating_sub(1);
        state.under_way += bytes;
        state.settle();
        state.closing.is_none()
    }

    pub(super) fn give_credit(&self, bytes: usize) {
        let mut state = self.lock();
        state.credits += 1;
        state.under_way = state.under_way.saturating_sub(bytes);
        state.settle();
        if state.credits == 1 {
            self.changed.notify_all();
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing.is_some()
    }

    /// Waits until somebody closes it, or `until`.
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

    /// Its thread holds so many bytes from now on.
    pub(super) fn keep(&self, bytes: usize) {
        let mut state = self.lock();
        state.kept = bytes;
        state.settle();
    }

    /// Whether this peer's address, or all peers, hold too much.
    pub(super) fn excess(&self, config: &HubConfig) -> Option<(Excess, Sum)> {
        let state = self.lock();
        let account = state.account.as_ref()?;
        account.excess(config).map(|excess| (excess, Arc::clone(account.address())))
    }

    /// How much it holds, if it counts for `address`.
    pub(super) fn held(&self, address: &Sum) -> Option<usize> {
        let state = self.lock();
        let account = state.account.as_ref()?;
        account.is_beside(address).then(|| account.held())
    }

    /// The peer's thread has ended: gives the descriptor away and says why, if we wanted it.
    pub(super) fn ended(&self) -> (Option<CloseReason>, bool) {
        let mut state = self.lock();
        state.stream = None;
        state.clear_queue();
        state.kept = 0;
        state.settle();
        (state.closing.take().map(|closing| closing.reason), state.watched)
    }

    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

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
        state.settle();
        filled
    }

    fn watch(self: &Arc<Self>, state: &mut State, outboxes: &Outboxes) {
        if !state.watched {
            state.watched = true;
            outboxes.watch(Arc::clone(self));
        }
    }
}

impl State {
    /// Bytes not yet written.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() - self.written
    }

    pub(super) fn stream(&self) -> Option<&Arc<Stream>> {
        self.stream.as_ref()
    }

    /// Writes what there is room for.
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

    fn clear_queue(&mut self) {
        self.queue = Vec::new();
        self.written = 0;
        self.settle();
    }

    /// Tells the account what is held now. Who was cut holds nothing any more: the rest goes as fast as its thread wakes up, and must not
    /// cost another peer its connection meanwhile.
    fn settle(&mut self) {
        let cut = self.closing.as_ref().is_some_and(|closing| closing.cut);
        let held = if cut { 0 } else { self.queue.capacity() + self.under_way + self.kept };
        if let Some(account) = &mut self.account {
            account.set(held);
        }
    }

    /// One step of closing. `true` = the outbox thread need not look after it any more.
    pub(super) fn finish_writing(&mut self, now: Instant) -> bool {
        let waiting = self.waiting();
        let (Some(stream), Some(closing)) = (&self.stream, &mut self.closing) else { return true };
        if now >= closing.until || (waiting == 0 && (self.borrowed || !closing.patient)) {
            stream.shutdown();
            return true;
        }
        if waiting == 0 && !closing.said {
            // Not both directions: unread bytes of the peer would reset the connection and lose our last words on their way.
            closing.said = true;
            stream.shutdown_write();
        }
        false
    }

    /// What the outbox thread found over its time; `None` = all is well.
    pub(super) fn stalled(&self, now: Instant, config: &HubConfig) -> Option<CloseReason> {
        let stalled = self.waiting() > 0 && now >= self.progress + config.send_stall;
        stalled.then(|| ConnError::TimedOut { step: Step::Send, limit: config.send_stall }.into())
    }
}

#[cfg(test)]
mod tests;
