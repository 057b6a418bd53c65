//! Messages on one blocking stream.
//!
//! A `Conn` consists of a `Sender` and a `Receiver`, which can be split. Every wait has a `Deadline` for the
//! whole message. A receiver without one (`Deadline::never`) can be woken by a `Closer`. This module does not
//! interpret messages.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ice_core::limits;
use ice_core::message::Message;
use ice_core::version::Version;
use log::{Level, log_enabled, trace};
use nix::poll::PollFlags;

use crate::deadline::{Deadline, Step};
use crate::error::ConnError;
use crate::handshake::{Agreed, Handshake, WORD};
use crate::stream::Stream;
use crate::wire::frame::Frames;
use crate::wire::{self, Reading};

/// A sender's buffer with a larger capacity in bytes is freed after use.
const SCRATCH_KEEP: usize = 256 * 1024;

/// A connection that has completed its handshake.
#[derive(Debug)]
pub struct Conn {
    sender: Sender,
    receiver: Receiver,
    peer_offer: Version,
}

impl Conn {
    /// Performs the handshake on a new stream, offering `own`. `deadline` covers both steps.
    pub fn establish(stream: impl Into<Stream>, own: Version, deadline: Deadline) -> Result<Self, ConnError> {
        let stream = Arc::new(stream.into());
        stream.tune();
        let mut receiver = Receiver::new(Arc::clone(&stream));
        let agreed = shake_hands(&mut receiver, own, deadline)?;
        Ok(Self { sender: Sender::new(stream, agreed.version), receiver, peer_offer: agreed.peer_offer })
    }

    /// Sends one message.
    pub fn send(&mut self, message: &Message, deadline: Deadline) -> Result<(), ConnError> {
        self.sender.send(message, deadline)
    }

    /// Sends messages in one write.
    pub fn send_all(&mut self, messages: &[Message], deadline: Deadline) -> Result<(), ConnError> {
        self.sender.send_all(messages, deadline)
    }

    /// Puts messages behind what waits to be sent, for [`Conn::write_now`].
    pub fn post(&mut self, messages: &[Message]) -> Result<(), ConnError> {
        self.sender.post(messages)
    }

    /// Writes what there is room for, without waiting. `true`: nothing is left.
    pub fn write_now(&mut self) -> Result<bool, ConnError> {
        self.sender.write_now()
    }

    /// Whether something waits to be sent: then [`Conn::as_fd`] is to be polled for writing too.
    pub fn is_blocked(&self) -> bool {
        self.sender.is_blocked()
    }

    /// Waits for the next message. After [`ConnError::TimedOut`] it may be called again; nothing is lost.
    pub fn recv(&mut self, deadline: Deadline) -> Result<Message, ConnError> {
        self.receiver.recv(deadline)
    }

    /// Returns the next message if it has arrived, without waiting.
    pub fn try_recv(&mut self) -> Result<Option<Message>, ConnError> {
        self.receiver.try_recv()
    }

    /// Decodes as a monitor from now on: two message numbers have another meaning for it.
    pub fn read_as(&mut self, reading: Reading) {
        self.receiver.read_as(reading);
    }

    /// Splits the connection into its halves, for use by two threads.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// A handle by which another thread can end the connection.
    pub fn closer(&self) -> Closer {
        self.receiver.closer()
    }

    /// The agreed protocol version.
    pub fn version(&self) -> Version {
        self.receiver.version
    }

    /// The highest version that the peer knows, as it offered.
    pub fn peer_offer(&self) -> Version {
        self.peer_offer
    }

    /// The peer's address as text without port, IPv4-mapped ones dotted; empty for Unix sockets.
    pub fn peer_address(&self) -> String {
        self.stream().peer_address()
    }

    /// The peer's port; 0 for Unix sockets.
    pub fn peer_port(&self) -> u16 {
        self.stream().peer_port()
    }

    /// Our own address on this connection; empty for Unix sockets.
    pub fn own_address(&self) -> String {
        self.stream().own_address()
    }

    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        self.stream().is_unix()
    }

    /// Whether a complete message was read already. Polling [`Conn::as_fd`] would miss it, so call [`Conn::try_recv`]
    /// first.
    pub fn has_buffered(&self) -> bool {
        self.receiver.has_buffered()
    }

    /// True once a partially received message has passed its deadline. Poll loops need this, because
    /// [`Conn::try_recv`], which reports the same, is only called when the socket is readable.
    pub fn is_late(&self) -> bool {
        self.receiver.is_late()
    }

    /// Restarts the time limit of a partially received message, after a time in which we did not read.
    pub fn resume(&mut self) {
        self.receiver.resume();
    }

    fn stream(&self) -> &Stream {
        &self.receiver.stream
    }
}

/// For polling together with other descriptors. Do not read or write it: that would break the framing.
impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream().as_fd()
    }
}

/// Ends a connection from another thread: pending waits fail with [`ConnError::Closed`]. It does not keep the
/// connection open.
#[derive(Clone, Debug)]
pub struct Closer(Weak<Stream>);

impl Closer {
    /// Shuts down both directions.
    pub fn shutdown(&self) {
        if let Some(stream) = self.0.upgrade() {
            stream.shutdown();
        }
    }
}

/// The sending half.
#[derive(Debug)]
pub struct Sender {
    stream: Arc<Stream>,
    version: Version,
    /// What waits to be sent, and how much of it is.
    outbox: Vec<u8>,
    written: usize,
}

impl Sender {
    fn new(stream: Arc<Stream>, version: Version) -> Self {
        Self { stream, version, outbox: Vec::new(), written: 0 }
    }

    /// Sends one message.
    pub fn send(&mut self, message: &Message, deadline: Deadline) -> Result<(), ConnError> {
        self.send_all(std::slice::from_ref(message), deadline)
    }

    /// Sends messages in one write, behind what waits.
    pub fn send_all(&mut self, messages: &[Message], deadline: Deadline) -> Result<(), ConnError> {
        self.post(messages)?;
        let sent = self.stream.write_all(self.outbox.get(self.written..).unwrap_or_default(), &deadline);
        self.forget();
        sent
    }

    /// See [`Conn::post`].
    pub fn post(&mut self, messages: &[Message]) -> Result<(), ConnError> {
        encode_all(messages, self.version, &mut self.outbox)?;
        if log_enabled!(Level::Trace) {
            for message in messages {
                trace!("to {}: {}", self.stream.peer_text(), wire::print::line(message));
            }
        }
        Ok(())
    }

    /// See [`Conn::write_now`].
    pub fn write_now(&mut self) -> Result<bool, ConnError> {
        while self.is_blocked() {
            match self.stream.write_now(self.outbox.get(self.written..).unwrap_or_default())? {
                0 => return Ok(false),
                n => self.written += n,
            }
        }
        self.forget();
        Ok(true)
    }

    /// See [`Conn::is_blocked`].
    pub fn is_blocked(&self) -> bool {
        self.written < self.outbox.len()
    }

    fn forget(&mut self) {
        self.written = 0;
        self.outbox.clear();
        if self.outbox.capacity() > SCRATCH_KEEP {
            self.outbox = Vec::new();
        }
    }

    /// The agreed protocol version.
    pub fn version(&self) -> Version {
        self.version
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver {
    stream: Arc<Stream>,
    version: Version,
    reading: Reading,
    frames: Frames,
    /// When the incomplete frame began.
    begun: Instant,
    /// Time limit for the rest of a frame if the deadline is unlimited.
    rest: Duration,
    /// Length of the last frame in bytes.
    taken: usize,
}

impl Receiver {
    /// A receiver before the handshake.
    pub(crate) fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            version: Version::LOWEST,
            reading: Reading::Peer,
            frames: Frames::new(),
            begun: Instant::now(),
            rest: limits::FRAME,
            taken: 0,
        }
    }

    /// Waits for the next message. After [`ConnError::TimedOut`] it may be called again; nothing is lost. Even without
    /// a limit a message may take at most [`limits::FRAME`] from its first byte to its last.
    pub fn recv(&mut self, deadline: Deadline) -> Result<Message, ConnError> {
        loop {
            if let Some(message) = self.advance(deadline)? {
                return Ok(message);
            }
        }
    }

    /// Returns the next message if it was read already; otherwise waits for some bytes and returns `None`.
    pub(crate) fn advance(&mut self, mut deadline: Deadline) -> Result<Option<Message>, ConnError> {
        if let Some(message) = self.take()? {
            return Ok(Some(message));
        }
        if deadline.is_never() {
            if self.frames.pending() > 0 {
                deadline = Deadline::since(Step::Rest, self.begun, self.rest);
            } else {
                // An idle peer should cost no buffer: it is allocated when something has arrived.
                self.frames.release();
                self.stream.wait(PollFlags::POLLIN, &deadline)?;
            }
        }
        let n = self.stream.read(self.frames.space(), &deadline)?;
        self.received(n)?;
        Ok(None)
    }

    /// Returns the next message if it has arrived, without waiting.
    pub fn try_recv(&mut self) -> Result<Option<Message>, ConnError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.stream.read_now(self.frames.space())? {
                Some(n) => self.received(n)?,
                None if self.is_late() => return Err(ConnError::TimedOut { step: Step::Rest, limit: self.rest }),
                None => return Ok(None),
            }
        }
    }

    /// Decodes as a monitor from now on: two message numbers have another meaning for it.
    pub fn read_as(&mut self, reading: Reading) {
        self.reading = reading;
    }

    /// See [`Conn::resume`].
    pub(crate) fn resume(&mut self) {
        self.begun = Instant::now();
    }

    /// Whether an incomplete frame has passed its time limit.
    fn is_late(&self) -> bool {
        self.frames.pending() > 0 && self.begun.elapsed() >= self.rest
    }

    /// Sets the time limit for the rest of a frame.
    pub(crate) fn limit_rest(&mut self, rest: Duration) {
        self.rest = rest;
    }

    /// Frees the buffer if it is empty.
    pub(crate) fn release(&mut self) {
        self.frames.release();
    }

    /// Bytes held in memory for incomplete messages.
    pub(crate) fn held(&self) -> usize {
        self.frames.held()
    }

    /// Length of the frame of the last message in bytes.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Whether a complete message was read already.
    pub fn has_buffered(&self) -> bool {
        self.frames.is_ready()
    }

    /// A handle by which another thread can end the connection.
    pub fn closer(&self) -> Closer {
        Closer(Arc::downgrade(&self.stream))
    }

    /// The agreed protocol version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Decodes the next message if its frame is complete.
    fn take(&mut self) -> Result<Option<Message>, ConnError> {
        let Some(body) = self.frames.take()? else { return Ok(None) };
        self.taken = body.len();
        let message = wire::decode(body, self.version, self.reading)?;
        if log_enabled!(Level::Trace) {
            trace!("{} says {}", self.stream.peer_text(), wire::print::line(&message));
        }
        // What was read of the next frame has just arrived.
        self.begun = Instant::now();
        Ok(Some(message))
    }

    /// Accounts for `n` bytes that were read; 0 is the end of the stream.
    fn received(&mut self, n: usize) -> Result<(), ConnError> {
        if self.frames.pending() == 0 {
            self.begun = Instant::now();
        }
        self.frames.filled(n);
        match (n, self.frames.pending()) {
            (0, 0) => Err(ConnError::Closed),
            (0, _) => Err(ConnError::Cut),
            _ => Ok(()),
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Performs the handshake on `receiver`'s stream, which uses the agreed version from then on.
pub(crate) fn shake_hands(receiver: &mut Receiver, own: Version, deadline: Deadline) -> Result<Agreed, ConnError> {
    let stream = &receiver.stream;
    let handshake = Handshake::new(own);
    let deadline = deadline.for_step(Step::Offer);
    stream.write_all(&handshake.offer(), &deadline)?;
    let confirming = handshake.offered(read_word(stream, &deadline)?)?;
    stream.write_all(&confirming.confirm(), &deadline)?;
    let agreed = confirming.confirmed(read_word(stream, &deadline.for_step(Step::Confirm))?)?;
    receiver.version = agreed.version;
    Ok(agreed)
}

/// Reads exactly one number of the handshake.
pub(crate) fn read_word(stream: &Stream, deadline: &Deadline) -> Result<[u8; WORD], ConnError> {
    let mut word = [0; WORD];
    let mut have = 0;
    while let Some(room) = word.get_mut(have..).filter(|room| !room.is_empty()) {
        match stream.read(room, deadline)? {
            0 if have == 0 => return Err(ConnError::Closed),
            0 => return Err(ConnError::Cut),
            n => have += n,
        }
    }
    Ok(word)
}

/// Appends the frames of all messages. On error `out` is unchanged.
pub(crate) fn encode_all(messages: &[Message], version: Version, out: &mut Vec<u8>) -> Result<(), ConnError> {
    let before = out.len();
    for message in messages {
        if let Err(error) = wire::encode(message, version, out) {
            out.truncate(before);
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
