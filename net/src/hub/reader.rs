//! The thread of a peer: it connects or gets an accepted connection, performs the handshake, reads, and reports the
//! end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ice_core::version::Version;
use log::{debug, info, warn};
use nix::poll::PollFlags;

use super::lines::Lines;
use super::peer::Peer;
use super::{CloseReason, Credit, Handlers, HubEvent, PeerConn, PeerHandler, PeerInfo, Shared, Verdict};
use crate::conn::{self, Receiver};
use crate::deadline::{Deadline, Step};
use crate::dial::{DialError, Target};
use crate::error::ConnError;
use crate::handshake::Agreed;
use crate::stream::Stream;

/// How long the loop does not hear of an accepted peer that says nothing.
const FIRST_WORD: Duration = Duration::from_millis(10);

/// The protocol of an accepted peer.
pub(super) enum Protocol<N> {
    /// Frames after a handshake.
    Binary { offer: Version, handlers: Handlers<N> },
    /// Lines of text.
    Text,
}

impl<N> Clone for Protocol<N> {
    fn clone(&self) -> Self {
        match self {
            Self::Binary { offer, handlers } => Self::Binary { offer: *offer, handlers: Arc::clone(handlers) },
            Self::Text => Self::Text,
        }
    }
}

/// Starts the thread of an accepted peer.
pub(super) fn start_accepted<N: Send + 'static>(
    shared: &Arc<Shared<N>>,
    peer: &Arc<Peer>,
    stream: Arc<Stream>,
    protocol: Protocol<N>,
) {
    let started = start(shared, peer, move |thread| match protocol {
        Protocol::Binary { offer, handlers } => {
            let deadline = Deadline::after(Step::Offer, thread.shared.config.handshake);
            let mut receiver = Receiver::new(Arc::clone(&stream));
            match conn::shake_hands(&mut receiver, offer, deadline) {
                Ok(agreed) => thread.serve(receiver, &stream, agreed, false, &handlers),
                // A probe (`net/PROTOCOL.md`, Transports) closes here; it is not worth a line in the log.
                Err(ConnError::Closed) => debug!("{} went before the handshake was over", stream.peer_text()),
                Err(error) => info!("refused {}: {error}", stream.peer_text()),
            }
        }
        Protocol::Text => thread.serve_text(&stream),
    });
    if let Err(error) = started {
        warn!("no thread for a connection: {error}");
    }
}

/// Starts the thread of a peer that is to be dialled.
pub(super) fn start_dialling<N: Send + 'static>(
    shared: &Arc<Shared<N>>,
    peer: &Arc<Peer>,
    target: Target,
    offer: Version,
    deadline: Deadline,
    handlers: Handlers<N>,
) -> io::Result<()> {
    start(shared, peer, move |thread| {
        let connected = target.connect(deadline).and_then(|stream| {
            let stream = Arc::new(stream);
            let failed = |source| DialError::Handshake { target: target.to_string(), source };
            if !thread.peer.connected(Arc::clone(&stream)) {
                return Err(failed(ConnError::Closed));
            }
            let mut receiver = Receiver::new(Arc::clone(&stream));
            let agreed = conn::shake_hands(&mut receiver, offer, deadline).map_err(failed)?;
            Ok((receiver, stream, agreed))
        });
        match connected {
            Ok((receiver, stream, agreed)) => thread.serve(receiver, &stream, agreed, true, &handlers),
            Err(error) => thread.end = End::DialFailed(error),
        }
    })
}

/// Starts the thread of a peer.
fn start<N: Send + 'static>(
    shared: &Arc<Shared<N>>,
    peer: &Arc<Peer>,
    body: impl FnOnce(&mut PeerThread<N>) + Send + 'static,
) -> io::Result<()> {
    let mut thread = PeerThread { shared: Arc::clone(shared), peer: Arc::clone(peer), end: End::Unannounced };
    // If no thread can be started, the closure is dropped, and with it the record, which removes the peer.
    shared.threads.start(Box::new(move || body(&mut thread)))
}

/// What to report to the loop when the thread ends.
enum End {
    /// Nothing: the loop does not know the peer.
    Unannounced,
    /// `DialFailed` for this reason.
    DialFailed(DialError),
    /// `Closed` for this reason, unless we closed the peer.
    Announced(CloseReason),
}

/// A peer's thread. The end is reported when it is dropped, so that every exit reports it.
struct PeerThread<N> {
    shared: Arc<Shared<N>>,
    peer: Arc<Peer>,
    end: End,
}

impl<N: Send + 'static> PeerThread<N> {
    /// Serves a peer of the binary protocol after its handshake.
    fn serve(
        &mut self,
        receiver: Receiver,
        stream: &Arc<Stream>,
        agreed: Agreed,
        dialled: bool,
        handlers: &Handlers<N>,
    ) {
        let info = PeerInfo {
            address: stream.peer_address(),
            port: stream.peer_port(),
            own_address: stream.own_address(),
            local: stream.is_unix(),
            socket: stream.unix_path(),
            user: stream.user(),
            dialled,
            offer: agreed.peer_offer,
            version: agreed.version,
        };
        self.peer.lock().version = agreed.version;
        let mut handler = handlers(self.peer.id, &info);
        if !dialled {
            // Whoever connects speaks first, as a rule at once: then the loop wakes up once for both.
            let _ = stream.wait(PollFlags::POLLIN, &Deadline::after(Step::Message, FIRST_WORD));
        }
        if !self.emit(HubEvent::Opened { peer: self.peer.id, info: info.clone() }) {
            return;
        }
        // A handler that panics leaves this reason; otherwise the real one replaces it.
        self.end = End::Announced(CloseReason::Asked("its thread broke down".into()));
        let mut conn = PeerConn::new(Arc::clone(&self.shared), Arc::clone(&self.peer), info, receiver);
        let reason = self.read(&mut conn, handler.as_deref_mut());
        self.end = End::Announced(reason);
        self.finish(stream);
    }

    /// Reads messages until the end; returns the reason.
    fn read(&self, conn: &mut PeerConn<N>, mut handler: Option<&mut (dyn PeerHandler<N> + 'static)>) -> CloseReason {
        loop {
            // A handler may have used the thread for a long time.
            conn.resume();
            let message = match conn.recv(Deadline::never(Step::Message)) {
                Ok(message) => message,
                Err(error) => return error.into(),
            };
            if self.peer.is_closing() {
                return ConnError::Closed.into();
            }
            let verdict = match &mut handler {
                Some(handler) => {
                    self.peer.lock().in_handler = true;
                    let verdict = handler.message(message, conn);
                    self.peer.lock().in_handler = false;
                    verdict
                }
                None => Verdict::Forward(message),
            };
            match verdict {
                Verdict::Forward(message) => {
                    if let Err(error) = conn.forward(message) {
                        return error.into();
                    }
                }
                Verdict::Last(message) => {
                    return conn.forward_last(message).err().unwrap_or(ConnError::Closed).into();
                }
                Verdict::Handled => {}
                Verdict::Close(reason) => {
                    let until = Instant::now() + self.shared.config.linger;
                    self.peer.close_and_wait(reason.clone(), until, &self.shared.outboxes);
                    return CloseReason::Asked(reason);
                }
            }
        }
    }

    /// Serves a text peer.
    fn serve_text(&mut self, stream: &Arc<Stream>) {
        let (peer, address) = (self.peer.id, stream.peer_address());
        if !self.emit(HubEvent::TextOpened { peer, address }) {
            return;
        }
        let reason = self.read_text(stream);
        self.end = End::Announced(reason);
        self.finish(stream);
    }

    /// Reads lines until the end; returns the reason.
    fn read_text(&self, stream: &Stream) -> CloseReason {
        let (peer, config) = (self.peer.id, &self.shared.config);
        let mut lines = Lines::default();
        let mut bytes = [0; 512];
        loop {
            let n = match stream.read(&mut bytes, &Deadline::never(Step::Message)) {
                Ok(n) => n,
                Err(error) => return error.into(),
            };
            if self.peer.is_closing() {
                return ConnError::Closed.into();
            }
            if n == 0 {
                self.emit(HubEvent::HalfClosed { peer });
                self.peer.wait_for_close(Instant::now() + config.send_stall);
                return ConnError::Closed.into();
            }
            if !lines.feed(bytes.get(..n).unwrap_or_default(), config.line_max) {
                return CloseReason::LineTooLong { max: config.line_max };
            }
            while let Some(text) = lines.next() {
                if !self.peer.take_credit(text.len()) {
                    return ConnError::Closed.into();
                }
                let credit = Credit::new(&self.peer, text.len(), None);
                if !self.emit(HubEvent::Line { peer, text, credit }) {
                    return ConnError::Closed.into();
                }
            }
        }
    }

    /// Ends a connection so that the peer gets everything we sent: it is written, and input is discarded, because
    /// unread bytes would reset the connection. The outbox thread ends this if writing takes too long.
    fn finish(&self, stream: &Stream) {
        let until = Instant::now() + self.shared.config.linger;
        self.peer.wait_for_flush(until);
        if self.peer.is_closing() {
            let deadline = Deadline::after(Step::End, self.shared.config.linger);
            let mut sink = [0; 1024];
            while matches!(stream.read(&mut sink, &deadline), Ok(n) if n > 0) {}
        }
    }

    /// Sends an event to the loop. `false`: the loop has ended.
    fn emit(&self, event: HubEvent<N>) -> bool {
        self.shared.events.send(event).is_ok()
    }
}

impl<N> Drop for PeerThread<N> {
    fn drop(&mut self) {
        let peer = self.peer.id;
        let (asked, watched) = self.peer.ended();
        if watched {
            self.shared.outboxes.wake();
        }
        let event = match std::mem::replace(&mut self.end, End::Unannounced) {
            End::Unannounced => None,
            End::DialFailed(error) => Some(HubEvent::DialFailed { peer, error }),
            End::Announced(reason) => Some(HubEvent::Closed { peer, reason: asked.unwrap_or(reason) }),
        };
        if let Some(event) = event {
            let _ = self.shared.events.send(event);
        }
        self.shared.registry.remove(&self.peer);
    }
}
