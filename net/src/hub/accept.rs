//! Accept threads: one per listener, that takes each connection at once and gives it a thread, or refuses it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{debug, error, warn};
use nix::errno::Errno;

use super::Shared;
use super::reader::{self, Speech};
use crate::listen::Listener;
use crate::stream::Stream;

/// How long accepting rests when the host has no descriptors or memory left: the connection stays in the queue, trying again
/// at once would only burn the processor.
const REST: Duration = Duration::from_millis(100);

/// How often the log is told of connections that are refused.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// A listener at work.
pub(super) struct Door {
    listener: Arc<Listener>,
    closed: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Door {
    /// Ends accepting and waits for the thread.
    pub(super) fn close(self) {
        self.closed.store(true, Ordering::Relaxed);
        self.listener.shutdown();
        let _ = self.thread.join();
    }
}

/// Starts accepting.
pub(super) fn open<N: Send + 'static>(
    shared: &Arc<Shared<N>>,
    listener: Listener,
    speech: Speech<N>,
) -> io::Result<Door> {
    let listener = Arc::new(listener);
    let closed = Arc::new(AtomicBool::new(false));
    let acceptor = Acceptor { shared: Arc::clone(shared), speech, closed: Arc::clone(&closed), refused: 0, told: None };
    let thread = thread::Builder::new().name("accept".into()).stack_size(shared.config.stack).spawn({
        let listener = Arc::clone(&listener);
        move || acceptor.run(&listener)
    })?;
    Ok(Door { listener, closed, thread })
}

struct Acceptor<N> {
    shared: Arc<Shared<N>>,
    speech: Speech<N>,
    closed: Arc<AtomicBool>,
    /// Connections refused.
    refused: u64,
    /// When that was last told.
    told: Option<Instant>,
}

impl<N: Send + 'static> Acceptor<N> {
    fn run(mut self, listener: &Listener) {
        let mut resting = false;
        loop {
            let accepted = listener.accept();
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            match accepted {
                Ok(stream) => {
                    resting = false;
                    self.admit(stream);
                }
                Err(e) => match e.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                        if !resting {
                            warn!("cannot accept connections for now: {e}");
                        }
                        resting = true;
                        thread::sleep(REST);
                    }
                    Some(Errno::EINVAL | Errno::EBADF | Errno::ENOTSOCK | Errno::EOPNOTSUPP) => {
                        return error!("cannot accept connections any more: {e}");
                    }
                    // The peer's errors (it went away, its network is down) are not the listener's.
                    _ => debug!("a connection was lost before it was accepted: {e}"),
                },
            }
        }
    }

    fn admit(&mut self, stream: Stream) {
        stream.tune();
        let stream = Arc::new(stream);
        match self.shared.roll.accepted(Arc::clone(&stream), &self.shared.config) {
            Ok(peer) => reader::start_accepted(&self.shared, &peer, stream, self.speech.clone()),
            Err(refusal) => {
                self.refused += 1;
                let now = Instant::now();
                if is_to_tell(self.told, now) {
                    self.told = Some(now);
                    warn!("refused {}: {refusal} refused={}", stream.peer_text(), self.refused);
                }
            }
        }
    }
}

/// Whether the log is told of a refusal now. A flood of connections shall not become a flood of lines.
fn is_to_tell(told: Option<Instant>, now: Instant) -> bool {
    told.is_none_or(|told| now >= told + TELL_AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Hub, HubConfig};

    #[test]
    fn refusals_are_told_once_a_minute() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        assert!(is_to_tell(None, now));
        assert!(!is_to_tell(Some(now), now));
        assert!(!is_to_tell(Some(now), now + minute - Duration::from_nanos(1)));
        assert!(is_to_tell(Some(now), now + minute));
    }

    #[test]
    fn who_has_nothing_to_accept_on_any_more_ends() {
        let (hub, _events) = Hub::<()>::new(HubConfig::default()).unwrap();
        let door = open(hub.shared(), Listener::tcp(0).unwrap(), Speech::Text).unwrap();
        door.listener.shutdown();
        while !door.thread.is_finished() {
            thread::yield_now();
        }
        door.close();
    }
}
