//! What a handler holds while it has its peer's thread: the connection, and the way to the loop.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use ice_core::ids::PeerId;
use ice_core::message::Message;
use ice_core::version::Version;

use super::PeerInfo;
use crate::conn::Receiver;
use crate::deadline::Deadline;
use crate::error::ConnError;

/// A peer's connection in the hands of its handler. What it sends goes out in order with what the loop sends.
#[derive(Debug)]
pub struct PeerConn<N = ()> {
    peer: PeerId,
    info: PeerInfo,
    receiver: Receiver,
    note: PhantomData<N>,
}

impl<N> PeerConn<N> {
    /// The next message. After [`ConnError::TimedOut`] it may be asked again; nothing is lost.
    pub fn recv(&mut self, deadline: Deadline) -> Result<Message, ConnError> {
        self.receiver.recv(deadline)
    }

    /// The next message if it is there, without waiting.
    pub fn try_recv(&mut self) -> Result<Option<Message>, ConnError> {
        self.receiver.try_recv()
    }

    /// Sends one message; waits until it is written.
    pub fn send(&mut self, _message: &Message, _deadline: Deadline) -> Result<(), ConnError> {
        unimplemented!()
    }

    /// Sends messages by one write; waits until they are written.
    pub fn send_all(&mut self, _messages: &[Message], _deadline: Deadline) -> Result<(), ConnError> {
        unimplemented!()
    }

    /// Hands a message to the loop as if the peer had just sent it; waits for a credit.
    pub fn forward(&mut self, _message: Message) -> Result<(), ConnError> {
        unimplemented!()
    }

    /// Tells the loop something, in order with this peer's other events. Takes no credit.
    pub fn note(&mut self, _note: N) {
        unimplemented!()
    }

    /// Whether the loop wants the peer closed: a handler that waits for something else than the connection asks now and then.
    pub fn is_closing(&self) -> bool {
        unimplemented!()
    }

    /// The peer's number.
    pub fn peer(&self) -> PeerId {
        self.peer
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
}

/// For polling beside other descriptors. Only to be waited on: reading or writing it breaks the framing.
impl<N> AsFd for PeerConn<N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
