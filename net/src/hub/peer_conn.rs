//! What a handler holds while it has its peer's thread: the connection, and the way to the loop.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crossbeam::channel::Sender;
use ice_core::ids::PeerId;
use ice_core::message::Message;
use ice_core::version::Version;

use super::peer::Peer;
use super::{Credit, HubEvent, PeerInfo};
use crate::conn::{self, Receiver};
use crate::deadline::Deadline;
use crate::error::ConnError;

/// A peer's connection in the hands of its handler. What it sends goes out in order with what the loop sends.
#[derive(Debug)]
pub struct PeerConn<N = ()> {
    peer: Arc<Peer>,
    info: PeerInfo,
    receiver: Receiver,
    events: Sender<HubEvent<N>>,
}

impl<N> PeerConn<N> {
    pub(super) fn new(peer: Arc<Peer>, info: PeerInfo, receiver: Receiver, events: Sender<HubEvent<N>>) -> Self {
        Self { peer, info, receiver, events }
    }

    /// The next message. After [`ConnError::TimedOut`] it may be asked again; nothing is lost.
    pub fn recv(&mut self, deadline: Deadline) -> Result<Message, ConnError> {
        self.open()?;
        self.receiver.recv(deadline)
    }

    /// The next message if it is there, without waiting.
    pub fn try_recv(&mut self) -> Result<Option<Message>, ConnError> {
        self.open()?;
        self.receiver.try_recv()
    }

    /// Sends one message; waits until it is written.
    pub fn send(&mut self, message: &Message, deadline: Deadline) -> Result<(), ConnError> {
        self.send_all(std::slice::from_ref(message), deadline)
    }

    /// Sends messages by one write; waits until they are written.
    pub fn send_all(&mut self, messages: &[Message], deadline: Deadline) -> Result<(), ConnError> {
        self.peer.post_and_wait(&|out, version| conn::encode_all(messages, version, out), &deadline)
    }

    /// Hands a message to the loop as if the peer had just sent it; waits for a credit.
    pub fn forward(&mut self, message: Message) -> Result<(), ConnError> {
        if !self.peer.take_credit() {
            return Err(ConnError::Closed);
        }
        let credit = Credit(Arc::clone(&self.peer));
        let said = HubEvent::Said { peer: self.peer.id, message, credit };
        self.events.send(said).map_err(|_| ConnError::Closed)
    }

    /// Tells the loop something, in order with this peer's other events. Takes no credit.
    pub fn note(&mut self, note: N) {
        // Without a loop there is nobody to tell.
        let _ = self.events.send(HubEvent::Noted { peer: self.peer.id, note });
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

    fn open(&self) -> Result<(), ConnError> {
        if self.peer.is_closing() { Err(ConnError::Closed) } else { Ok(()) }
    }
}

/// For polling beside other descriptors. Only to be waited on: reading or writing it breaks the framing.
impl<N> AsFd for PeerConn<N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
