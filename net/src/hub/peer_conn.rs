//! A peer's connection while a handler uses the peer's thread.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ice_core::ids::PeerId;
use ice_core::message::Message;
use ice_core::version::Version;

use super::peer::Peer;
use super::{Credit, HubEvent, PeerInfo, Shared};
use crate::conn::{self, Receiver};
use crate::deadline::Deadline;
use crate::error::ConnError;
use crate::stream::Stream;

/// A peer's connection for its handler. Its messages are sent in order with those of the loop.
pub struct PeerConn<N = ()> {
    shared: Arc<Shared<N>>,
    peer: Arc<Peer>,
    info: PeerInfo,
    receiver: Receiver,
    /// Bytes that the handler holds of what the peer sent.
    handler_held: usize,
    /// Bytes last reported to the peer's account.
    reported: usize,
}

impl<N> PeerConn<N> {
    /// The connection of an opened peer.
    pub(super) fn new(shared: Arc<Shared<N>>, peer: Arc<Peer>, info: PeerInfo, mut receiver: Receiver) -> Self {
        receiver.limit_rest(shared.config.frame);
        Self { shared, peer, info, receiver, handler_held: 0, reported: 0 }
    }

    /// Waits for the next message. After [`ConnError::TimedOut`] it may be called again; nothing is lost.
    pub fn recv(&mut self, deadline: Deadline) -> Result<Message, ConnError> {
        self.check_open()?;
        if deadline.is_never() {
            self.receiver.release();
        }
        loop {
            self.update_account();
            if let Some(message) = self.receiver.advance(deadline)? {
                return Ok(message);
            }
        }
    }

    /// Returns the next message if it has arrived, without waiting.
    pub fn try_recv(&mut self) -> Result<Option<Message>, ConnError> {
        self.check_open()?;
        let message = self.receiver.try_recv();
        self.update_account();
        message
    }

    /// Restarts the time limit of a partially received message, after a time in which we did not read.
    pub fn resume(&mut self) {
        self.receiver.resume();
    }

    /// Sets how many bytes the handler holds of what this peer sent. They count for the peer like bytes that wait to be
    /// sent to it.
    pub fn set_held(&mut self, bytes: usize) {
        self.handler_held = bytes;
        self.update_account();
    }

    /// Sends one message and waits until it is written.
    pub fn send(&mut self, message: &Message, deadline: Deadline) -> Result<(), ConnError> {
        self.send_all(std::slice::from_ref(message), deadline)
    }

    /// Sends messages in one write and waits until they are written.
    pub fn send_all(&mut self, messages: &[Message], deadline: Deadline) -> Result<(), ConnError> {
        let fill = |out: &mut Vec<u8>, version| conn::encode_all(messages, version, out);
        self.peer.post_and_wait(&fill, &|| self.shared.enforce_limits(&self.peer), &deadline)
    }

    /// Sends a message to the loop as if the peer had just sent it. Waits for a credit.
    pub fn forward(&mut self, message: Message) -> Result<(), ConnError> {
        self.forward_with(message, None)
    }

    /// The same with the peer's last message (see [`Verdict::Last`](super::Verdict::Last)).
    pub(super) fn forward_last(&mut self, message: Message) -> Result<(), ConnError> {
        let connection = self.peer.lock().stream().cloned();
        self.forward_with(message, connection)
    }

    fn forward_with(&mut self, message: Message, connection: Option<Arc<Stream>>) -> Result<(), ConnError> {
        let bytes = self.receiver.taken();
        let open = self.peer.take_credit(bytes);
        let credit = Credit::new(&self.peer, bytes, connection);
        self.shared.enforce_limits(&self.peer);
        if !open {
            return Err(ConnError::Closed);
        }
        let event = HubEvent::Message { peer: self.peer.id, message, credit };
        self.shared.events.send(event).map_err(|_| ConnError::Closed)
    }

    /// Sends a note to the loop, in order with this peer's other events. It takes no credit.
    pub fn note(&mut self, note: N) {
        // The loop may have ended; then nobody needs the note.
        let _ = self.shared.events.send(HubEvent::Note { peer: self.peer.id, note });
    }

    /// Whether the peer is being closed. A handler that waits for something other than the connection must check it
    /// regularly.
    pub fn is_closing(&self) -> bool {
        self.peer.is_closing()
    }

    /// The peer's number.
    pub fn peer(&self) -> PeerId {
        self.peer.id
    }

    /// What is known about the peer.
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// The agreed version.
    pub fn version(&self) -> Version {
        self.info.version
    }

    /// Whether a complete message was read already. Polling [`PeerConn::as_fd`] would miss it, so call
    /// [`PeerConn::try_recv`] first.
    pub fn has_buffered(&self) -> bool {
        self.receiver.has_buffered()
    }

    /// Updates the peer's account if its own thread holds another number of bytes.
    fn update_account(&mut self) {
        let held = self.receiver.held() + self.handler_held;
        if held != self.reported {
            self.reported = held;
            self.peer.set_held(held);
            self.shared.enforce_limits(&self.peer);
        }
    }

    /// Fails if the peer is being closed.
    fn check_open(&self) -> Result<(), ConnError> {
        if self.peer.is_closing() { Err(ConnError::Closed) } else { Ok(()) }
    }
}

impl<N> fmt::Debug for PeerConn<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConn").field("peer", &self.peer.id).field("info", &self.info).finish_non_exhaustive()
    }
}

/// For polling together with other descriptors. Do not read or write it: that would break the framing.
impl<N> AsFd for PeerConn<N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
