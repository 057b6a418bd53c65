//! The outbox thread: one `poll` over all peers that have something left to read.
//!
//! It also watches over peers that are being closed, until they have gone or their time is over. It has no list of all peers, only
//! of those with something to do, and sleeps for ever when there are none.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, poll};
use parking_lot::Mutex;

use super::HubConfig;
use super::peer::Peer;
use crate::stream::{Stream, poll_timeout};
use crate::wake::{self, Waker, Wakeup};

/// How others reach the outbox thread.
#[derive(Debug)]
pub(super) struct Outboxes {
    fresh: Mutex<Vec<Arc<Peer>>>,
    stop: AtomicBool,
    waker: Waker,
}

impl Outboxes {
    pub(super) fn new() -> io::Result<(Self, Wakeup)> {
        let (waker, wakeup) = wake::pair()?;
        Ok((Self { fresh: Mutex::default(), stop: AtomicBool::new(false), waker }, wakeup))
    }

    /// Hands a peer over until it has nothing left.
    pub(super) fn watch(&self, peer: Arc<Peer>) {
        let mut fresh = self.fresh.lock();
        fresh.push(peer);
        if fresh.len() == 1 {
            self.waker.wake();
        }
    }

    /// A watched peer changed.
    pub(super) fn look(&self) {
        self.waker.wake();
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// The thread.
    pub(super) fn run(&self, wakeup: &Wakeup, config: &HubConfig) {
        let mut peers: Vec<Arc<Peer>> = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            wakeup.clear();
            peers.append(&mut self.fresh.lock());
            let now = Instant::now();
            peers.retain(|peer| keep(peer, now, config));
            sleep(&peers, wakeup, config);
        }
    }
}

/// Does what can be done for a peer now. `false` = nothing is left to do.
fn keep(peer: &Peer, now: Instant, config: &HubConfig) -> bool {
    let mut state = peer.lock();
    if let Err(error) = state.write_now() {
        peer.fail(&mut state, error.into());
    } else if let Some(reason) = state.stalled(now, config) {
        peer.fail(&mut state, reason);
    }
    let more = if state.closing.is_some() { !state.finish_writing(now) } else { state.waiting() > 0 };
    state.watched = more;
    if state.waiting() == 0 {
        peer.notify();
    }
    more
}

/// Sleeps until a peer has room, one is over its time, or something changed.
fn sleep(peers: &[Arc<Peer>], wakeup: &Wakeup, config: &HubConfig) {
    let mut until: Option<Instant> = None;
    let mut streams: Vec<Arc<Stream>> = Vec::new();
    for peer in peers {
        let state = peer.lock();
        let mut limit = state.closing.as_ref().map(|closing| closing.until);
        if state.waiting() > 0 {
            streams.extend(state.stream().cloned());
            limit = earlier(limit, Some(state.progress + config.send_stall));
        }
        until = earlier(until, limit);
    }
    let mut fds = Vec::with_capacity(streams.len() + 1);
    fds.push(PollFd::new(wakeup.as_fd(), PollFlags::POLLIN));
    fds.extend(streams.iter().map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLOUT)));
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    // An error here can only be a lack of memory or a signal: the next round tries again.
    let _ = poll(&mut fds, poll_timeout(left));
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
