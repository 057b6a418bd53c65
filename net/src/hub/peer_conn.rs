//! What a handler holds while it has its peer's thread: the connection, and the way to the loop.

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

/// A peer's connection in the hands of its handler. What it sends goes out in order with what the loop sends.
pub struct PeerConn<N = ()> {
    shared: Arc<Shared<N>>,
    peer: Arc<Peer>,
    info: PeerInfo,
    receiver: Receiver,
    /// What the handler keeps of what the peer sent.
    handler_keeps: usize,
    /// What was last said to be kept.
    kept: usize,
}

impl<N> PeerConn<N> {
    pub(super) fn new(shared: Arc<Shared<N>>, peer: Arc<Peer>, info: PeerInfo, mut receiver: Receiver) -> Self {
        receiver.limit_rest(shared.config.frame);
        Self { shared, peer, info, receiver, handler_keeps: 0, kept: 0 }
    }

    /// The next message. After [`ConnError::TimedOut`] it may be asked again; nothing is lost.
    pub fn recv(&mut self, deadline: Deadline) -> Result<Message, ConnError> {
        self.open()?;
        if deadline.is_never() {
            self.receiver.release();
        }
        loop {
            self.settle();
            if let Some(message) = self.receiver.advance(deadline)? {
                return Ok(message);
            }
        }
    }

    /// The next message if it is there, without waiting.
    pub fn try_recv(&mut self) -> Result<Option<Message>, ConnError> {
        self.open()?;
        let message = self.receiver.try_recv();
        self.settle();
        message
    }

    /// Nothing was read for a while, which was not the peer's fault: a message that has begun gets its whole time again.
    pub fn resume(&mut self) {
        self.receiver.resume();
    }

    /// The handler keeps so many bytes of what this peer sent from now on: they count for it as what waits to be sent to it does.
    pub fn keeps(&mut self, bytes: usize) {
        self.handler_keeps = bytes;
        self.settle();
    }

    /// Sends one message; waits until it is written.
    pub fn send(&mut self, message: &Message, deadline: Deadline) -> Result<(), ConnError> {
        self.send_all(std::slice::from_ref(message), deadline)
    }

    /// Sends messages by one write; waits until they are written.
    pub fn send_all(&mut self, messages: &[Message], deadline: Deadline) -> Result<(), ConnError> {
        let fill = |out: &mut Vec<u8>, version| conn::encode_all(messages, version, out);
        self.peer.post_and_wait(&fill, &|| self.shared.relieve(&self.peer), &deadline)
    }

    /// Hands a message to the loop as if the peer had just sent it; waits for a credit.
    pub fn forward(&mut self, message: Message) -> Result<(), ConnError> {
        let bytes = self.receiver.taken();
        let open = self.peer.take_credit(bytes);
        let credit = Credit(Arc::clone(&self.peer), bytes);
        self.shared.relieve(&self.peer);
        if !open {
            return Err(ConnError::Closed);
        }
        let said = HubEvent::Said { peer: self.peer.id, message, credit };
        self.shared.events.send(said).map_err(|_| ConnError::Closed)
    }

    /// Tells the loop something, in order with this peer's other events. Takes no credit.
    pub fn note(&mut self, note: N) {
        // Without a loop there is nobody to tell.
        let _ = self.shared.events.send(HubEvent::Noted { peer: self.peer.id, note });
    }

    /// Whether the loop wants the peer closed: a handler that waits for something else than the connection asks now and then.
    pub fn is_closing(&self) -> bool {
        self.peer.is_closing()
    }

    /// The peer's number.
    pub fn peer(&self) -> PeerId {
        self.peer.id
    }

    /// Who it is.
    pub fn info(&self) -> &PeerInfo {
        &self.info
    }

    /// The version spoken.
    pub fn version(&self) -> Version {
        self.info.version
    }

    /// Whether a whole message was read already: then polling [`PeerConn::as_fd`] would miss it; ask [`PeerConn::try_recv`] first.
    pub fn has_buffered(&self) -> bool {
        self.receiver.has_buffered()
    }

    /// Says what is held for the peer by its own thread, if that changed.
    fn settle(&mut self) {
        let keeps = self.receiver.held() + self.handler_keeps;
        if keeps != self.kept {
            self.kept = keeps;
            self.peer.keep(keeps);
            self.shared.relieve(&self.peer);
        }
    }

    fn open(&self) -> Result<(), ConnError> {
        if self.peer.is_closing() { Err(ConnError::Closed) } else { Ok(()) }
    }
}

impl<N> fmt::Debug for PeerConn<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConn").field("peer", &self.peer.id).field("info", &self.info).finish_non_exhaustive()
    }
}

/// For polling beside other descriptors. Only to be waited on: reading or writing it breaks the framing.
impl<N> AsFd for PeerConn<N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
