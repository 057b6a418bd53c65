//! Accept threads: each accepts connections on one listener and gives each a thread or refuses it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{debug, error, warn};
use nix::errno::Errno;

use super::Shared;
use super::reader::{self, Protocol};
use crate::listen::Listener;
use crate::stream::Stream;

/// Pause in accepting when the host has no descriptors or memory left. The connection stays in the queue, so an
/// immediate retry would be a busy loop.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Minimum time between log lines about refused connections.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A listener with its accept thread.
pub(super) struct ActiveListener {
    listener: Arc<Listener>,
    closed: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl ActiveListener {
    /// Stops accepting and waits for the thread.
    pub(super) fn close(self) {
        self.closed.store(true, Ordering::Relaxed);
        self.listener.shutdown();
        let _ = self.thread.join();
    }
}

/// Starts an accept thread.
pub(super) fn start<N: Send + 'static>(
    shared: &Arc<Shared<N>>,
    listener: Listener,
    protocol: Protocol<N>,
) -> io::Result<ActiveListener> {
    let listener = Arc::new(listener);
    let closed = Arc::new(AtomicBool::new(false));
    let acceptor =
        Acceptor { shared: Arc::clone(shared), protocol, closed: Arc::clone(&closed), refused: 0, last_logged: None };
    let thread = thread::Builder::new().name("accept".into()).stack_size(shared.config.stack).spawn({
        let listener = Arc::clone(&listener);
        move || acceptor.run(&listener)
    })?;
    Ok(ActiveListener { listener, closed, thread })
}

/// The state of an accept thread.
struct Acceptor<N> {
    shared: Arc<Shared<N>>,
    protocol: Protocol<N>,
    closed: Arc<AtomicBool>,
    /// Number of refused connections.
    refused: u64,
    /// When that was last logged.
    last_logged: Option<Instant>,
}

impl<N: Send + 'static> Acceptor<N> {
    /// The thread.
    fn run(mut self, listener: &Listener) {
        let mut pausing = false;
        loop {
            let accepted = listener.accept();
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            match accepted {
                Ok(stream) => {
                    pausing = false;
                    self.admit(stream);
                }
                Err(e) => match e.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                        if !pausing {
                            warn!("cannot accept connections for now: {e}");
                        }
                        pausing = true;
                        thread::sleep(RETRY_PAUSE);
                    }
                    Some(Errno::EINVAL | Errno::EBADF | Errno::ENOTSOCK | Errno::EOPNOTSUPP) => {
                        return error!("cannot accept connections any more: {e}");
                    }
                    // These are errors of the peer (it has gone, its network is down), not of the listener.
                    _ => debug!("a connection was lost before it was accepted: {e}"),
                },
            }
        }
    }

    /// Registers a connection and starts its thread, or refuses it.
    fn admit(&mut self, stream: Stream) {
        stream.tune();
        let stream = Arc::new(stream);
        match self.shared.registry.add_accepted(Arc::clone(&stream), &self.shared.config) {
            Ok(peer) => reader::start_accepted(&self.shared, &peer, stream, self.protocol.clone()),
            Err(refusal) => {
                self.refused += 1;
                let now = Instant::now();
                if should_log(self.last_logged, now) {
                    self.last_logged = Some(now);
                    warn!("refused {}: {refusal} refused={}", stream.peer_text(), self.refused);
                }
            }
        }
    }
}

/// Whether to log a refusal now. A flood of connections must not cause a flood of lines.
fn should_log(last_logged: Option<Instant>, now: Instant) -> bool {
    last_logged.is_none_or(|last_logged| now >= last_logged + LOG_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Hub, HubConfig};

    #[test]
    fn refusals_are_logged_once_a_minute() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        assert!(should_log(None, now));
        assert!(!should_log(Some(now), now));
        assert!(!should_log(Some(now), now + minute - Duration::from_nanos(1)));
        assert!(should_log(Some(now), now + minute));
    }

    #[test]
    fn an_accept_thread_ends_with_its_listener() {
        let (hub, _events) = Hub::<()>::new(HubConfig::default()).unwrap();
        let active = start(hub.shared(), Listener::tcp(0).unwrap(), Protocol::Text).unwrap();
        active.listener.shutdown();
        while !active.thread.is_finished() {
            thread::yield_now();
        }
        active.close();
    }
}
