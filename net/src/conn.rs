//! Messages on one blocking stream.
//!
//! A [`Conn`] is a [`Sender`] and a [`Receiver`] that may part. Every wait has a [`Deadline`] for the whole message; a receiver
//! without one ([`Deadline::never`]) is woken by a [`Closer`]. It does not know what messages mean.

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

/// A sender's buffer larger than this is given back after use.
const SCRATCH_KEEP: usize = 256 * 1024;

/// A connection after its handshake.
#[derive(Debug)]
pub struct Conn {
    sender: Sender,
    receiver: Receiver,
    peer_offer: Version,
}

impl Conn {
    /// Shakes hands on a fresh stream, offering `own`; both steps within `deadline`.
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

    /// Sends messages by one write.
    pub fn send_all(&mut self, messages: &[Message], deadline: Deadline) -> Result<(), ConnError> {
        self.sender.send_all(messages, deadline)
    }

    /// The next message. After [`ConnError::TimedOut`] it may be asked again; nothing is lost.
    pub fn recv(&mut self, deadline: Deadline) -> Result<Message, ConnError> {
        self.receiver.recv(deadline)
    }

    /// The next message if it is there, without waiting.
    pub fn try_recv(&mut self) -> Result<Option<Message>, ConnError> {
        self.receiver.try_recv()
    }

    /// Reads as a monitor does from now on: two numbers mean something else to it.
    pub fn read_as(&mut self, reading: Reading) {
        self.receiver.read_as(reading);
    }

    /// Both halves, for two threads.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// A handle by which another thread ends the connection.
    pub fn closer(&self) -> Closer {
        self.receiver.closer()
    }

    /// The version spoken.
    pub fn version(&self) -> Version {
        self.receiver.version
    }

    /// The highest version the peer knows, as it said.
    pub fn peer_offer(&self) -> Version {
        self.peer_offer
    }

    /// The peer's address as text, without port, v4-mapped ones dotted; empty for unix sockets.
    pub fn peer_address(&self) -> String {
        self.stream().peer_address()
    }

    /// The peer's port; 0 for unix sockets.
    pub fn peer_port(&self) -> u16 {
        self.stream().peer_port()
    }

    /// Our own address on this connection ("I am known as"); empty for unix sockets.
    pub fn own_address(&self) -> String {
        self.stream().own_address()
    }

    /// Whether it is a unix socket.
    pub fn is_unix(&self) -> bool {
        self.stream().is_unix()
    }

    /// Whether a whole message was read already: then polling [`Conn::as_fd`] would miss it; ask [`Conn::try_recv`] first.
    pub fn has_buffered(&self) -> bool {
        self.receiver.has_buffered()
    }

    /// Whether a message has begun and takes too long: [`Conn::try_recv`] says so too, but nobody may ask it while nothing comes.
    pub fn is_late(&self) -> bool {
        self.receiver.is_late()
    }

    /// Nothing was read for a while, which was not the peer's fault: a message that has begun gets its whole time again.
    pub fn resume(&mut self) {
        self.receiver.resume();
    }

    fn stream(&self) -> &Stream {
        &self.receiver.stream
    }
}

/// For polling beside other descriptors. Only to be waited on: reading or writing it breaks the framing.
impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream().as_fd()
    }
}

/// Ends a connection from another thread: whoever waits on it gets [`ConnError::Closed`]. It does not keep the connection open.
#[derive(Clone, Debug)]
pub struct Closer(Weak<Stream>);

impl Closer {
    /// Ends both directions.
    pub fn shutdown(&self) {
        if let Some(stream) = self.0.upgrade() {
            stream.shutdown();
        }
    }
}

/// The writing half.
#[derive(Debug)]
pub struct Sender {
    stream: Arc<Stream>,
    version: Version,
    scratch: Vec<u8>,
}

impl Sender {
    fn new(stream: Arc<Stream>, version: Version) -> Self {
        Self { stream, version, scratch: Vec::new() }
    }

    /// Sends one message.
    pub fn send(&mut self, message: &Message, deadline: Deadline) -> Result<(), ConnError> {
        self.send_all(std::slice::from_ref(message), deadline)
    }

    /// Sends messages by one write.
    pub fn send_all(&mut self, messages: &[Message], deadline: Deadline) -> Result<(), ConnError> {
        self.scratch.clear();
        encode_all(messages, self.version, &mut self.scratch)?;
        if log_enabled!(Level::Trace) {
            for message in messages {
                trace!("to {}: {}", self.stream.peer_text(), wire::print::line(message));
            }
        }
        self.stream.write_all(&self.scratch, &deadline)?;
        if self.scratch.capacity() > SCRATCH_KEEP {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    /// The version spoken.
    pub fn version(&self) -> Version {
        self.version
    }
}

/// The reading half.
#[derive(Debug)]
pub struct Receiver {
    stream: Arc<Stream>,
    version: Version,
    reading: Reading,
    frames: Frames,
    /// When the frame began that is not whole yet.
    begun: Instant,
    /// Time for the rest of a frame where nothing else limits it.
    rest: Duration,
    /// Length of the frame taken last.
    taken: usize,
}

impl Receiver {
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

    /// The next message. After [`ConnError::TimedOut`] it may be asked again; nothing is lost. Without a limit a message may still not
    /// take longer than [`limits::FRAME`] from its first byte to its last.
    pub fn recv(&mut self, deadline: Deadline) -> Result<Message, ConnError> {
        loop {
            if let Some(message) = self.advance(deadline)? {
                return Ok(message);
            }
        }
    }

    /// The next message if it was read already; else waits for a piece of it.
    pub(crate) fn advance(&mut self, mut deadline: Deadline) -> Result<Option<Message>, ConnError> {
        if let Some(message) = self.take()? {
            return Ok(Some(message));
        }
        if deadline.is_never() {
            if self.frames.pending() > 0 {
                deadline = Deadline::since(Step::Rest, self.begun, self.rest);
            } else {
                // An idle peer shall cost no buffer: it is made when something has come.
                self.frames.release();
                self.stream.wait(PollFlags::POLLIN, &deadline)?;
            }
        }
        let n = self.stream.read(self.frames.space(), &deadline)?;
        self.came(n)?;
        Ok(None)
    }

    /// The next message if it is there, without waiting.
    pub fn try_recv(&mut self) -> Result<Option<Message>, ConnError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.stream.read_now(self.frames.space())? {
                Some(n) => self.came(n)?,
                None if self.is_late() => return Err(ConnError::TimedOut { step: Step::Rest, limit: self.rest }),
                None => return Ok(None),
            }
        }
    }

    /// Reads as a monitor does from now on: two numbers mean something else to it.
    pub fn read_as(&mut self, reading: Reading) {
        self.reading = reading;
    }

    /// See [`Conn::resume`].
    pub(crate) fn resume(&mut self) {
        self.begun = Instant::now();
    }

    fn is_late(&self) -> bool {
        self.frames.pending() > 0 && self.begun.elapsed() >= self.rest
    }

    /// Sets the time for the rest of a frame.
    pub(crate) fn limit_rest(&mut self, rest: Duration) {
        self.rest = rest;
    }

    /// Gives the buffer back if nothing is in it.
    pub(crate) fn release(&mut self) {
        self.frames.release();
    }

    /// What is held of messages that are not whole.
    pub(crate) fn held(&self) -> usize {
        self.frames.held()
    }

    /// Length of the frame of the last message.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Whether a whole message was read already.
    pub fn has_buffered(&self) -> bool {
        self.frames.is_ready()
    }

    /// A handle by which another thread ends the connection.
    pub fn closer(&self) -> Closer {
        Closer(Arc::downgrade(&self.stream))
    }

    /// The version spoken.
    pub fn version(&self) -> Version {
        self.version
    }

    fn take(&mut self) -> Result<Option<Message>, ConnError> {
        let Some(body) = self.frames.take()? else { return Ok(None) };
        self.taken = body.len();
        let message = wire::decode(body, self.version, self.reading)?;
        if log_enabled!(Level::Trace) {
            trace!("{} says {}", self.stream.peer_text(), wire::print::line(&message));
        }
        // What is there of the next one has come by now.
        self.begun = Instant::now();
        Ok(Some(message))
    }

    /// Notes that `n` bytes were read.
    fn came(&mut self, n: usize) -> Result<(), ConnError> {
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

/// Runs the handshake of `receiver`'s stream, which speaks the agreed version from then on.
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

/// Reads one word of the handshake and not a byte more.
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

/// Appends the frames of all messages, or of none.
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
