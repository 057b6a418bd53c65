//! The outbox thread: one `poll` over all peers with unwritten data.
//!
//! It also watches peers that are being closed, until they have gone or their time has passed. It keeps only peers with
//! something to do, and sleeps for ever if there are none.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, poll};

use super::HubConfig;
use super::peer::{Outboxes, Peer};
use crate::stream::{Stream, poll_timeout};
use crate::wake::Wakeup;

impl Outboxes {
    /// The thread.
    pub(super) fn run(&self, wakeup: &Wakeup, config: &HubConfig) {
        let mut peers: Vec<Arc<Peer>> = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            wakeup.clear();
            peers.append(&mut self.added.lock());
            let now = Instant::now();
            peers.retain(|peer| service(peer, now, config));
            sleep(&peers, wakeup, config);
        }
    }
}

/// Does what is possible for a peer now. `false`: nothing is left to do.
fn service(peer: &Peer, now: Instant, config: &HubConfig) -> bool {
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

/// Sleeps until a peer has room or exceeds a time limit, or something has changed.
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
    // An error can only be a lack of memory or a signal; the next round tries again.
    let _ = poll(&mut fds, poll_timeout(left));
}

/// The earlier one of two optional times.
fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
