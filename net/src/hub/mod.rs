//! Many peers, one loop: a reader thread per peer into one bounded channel, one outbox thread for all writes.
//!
//! ```text
//!  accept threads ──► reader thread per peer ──► events (bounded) ──► the loop: one thread that owns the machine
//!                        │  └ PeerHandler: may keep the peer                    │ send, close
//!                        ▼                                                      ▼
//!                     the peer's socket ◄── written at once if there is room, else by the outbox thread (poll)
//! ```
//!
//! - Nobody waits for a slow peer but its own thread. A reader has [`HubConfig::credits`] messages on their way to the loop at most;
//!   a [`Credit`] returns when the loop drops the event, so it cannot be forgotten. A peer that does not read fills its outbox and
//!   is closed. What is held for all peers, and for those of one address, has a limit too; past it the one that holds most is cut.
//! - After each `Opened` or `TextOpened` comes exactly one `Closed`, the last event of that peer. A peer is known to the loop only from its
//!   opening on; who fails before that is logged here.
//! - Nothing wakes up while nothing happens: an idle hub sleeps for ever.
//!
//! Out of scope: what messages mean, and timers: the loop receives with its own deadline.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use ice_core::ids::PeerId;
use ice_core::limits;
use ice_core::message::Message;
use ice_core::version::Version;
use log::{Level, log_enabled, trace};
use parking_lot::Mutex;

use crate::allow::Allow;
use crate::conn;
use crate::deadline::Deadline;
use crate::dial::{DialError, Target};
use crate::error::ConnError;
use crate::listen::Listener;
use crate::wire;

mod accept;
mod budget;
mod lines;
mod outbox;
mod peer;
mod peer_conn;
mod reader;
mod roll;

use accept::Door;
use budget::Excess;
use outbox::Outboxes;
use peer::Peer;
pub use peer_conn::PeerConn;
use reader::Speech;
use roll::Roll;

/// How long peers that were cut may take to be gone: their threads only have to wake up.
const CUT_TIME: Duration = Duration::from_secs(1);

/// Sizes and times of a hub.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Events that wait for the loop; beyond that readers wait. Room for all is there from the start, also in an idle process.
    pub events_max: usize,
    /// Messages of one peer on their way to the loop (decision: credits).
    pub credits: u32,
    /// Bytes that may wait to be written to a peer; more closes it. See [`Hub::limit_outbox`].
    pub outbox_max: usize,
    /// Who may connect.
    pub allow: Allow,
    /// Connections accepted at once by TCP, and as many others.
    pub peers_max: usize,
    /// Connections accepted at once from one address.
    pub peers_per_address_max: usize,
    /// Bytes held for all accepted peers together; more cuts the one that holds most.
    pub held_max: usize,
    /// The same for the peers of one address; local ones count as one.
    pub held_per_address_max: usize,
    /// Time for a frame, from its first byte to its last.
    pub frame: Duration,
    /// Time for the whole handshake of an accepted connection.
    pub handshake: Duration,
    /// Time in which a peer that has something to read must read something.
    pub send_stall: Duration,
    /// Time to write what is left, and for the peer to go, after [`Hub::close`].
    pub linger: Duration,
    /// Longest line of a text peer.
    pub line_max: usize,
    /// Stack of a reader thread. Handlers run on it.
    pub stack: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            events_max: 128,
            credits: 16,
            outbox_max: 4 << 20,
            allow: Allow::default(),
            peers_max: 10_000,
            peers_per_address_max: 2_000,
            held_max: limits::HELD_MAX,
            held_per_address_max: limits::HELD_PER_ADDRESS_MAX,
            frame: limits::FRAME,
            handshake: limits::HANDSHAKE,
            send_stall: limits::SEND,
            linger: Duration::from_secs(2),
            line_max: 4096,
            stack: 64 * 1024,
        }
    }
}

/// Who a peer is, as far as the connection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its address without port, v4-mapped ones dotted; empty for unix sockets.
    pub address: String,
    /// Its port; 0 for unix sockets.
    pub port: u16,
    /// Our own address on this connection ("I am known as"); empty for unix sockets.
    pub own_address: String,
    /// Whether it came by a unix socket.
    pub local: bool,
    /// Whether we dialled it.
    pub dialled: bool,
    /// The highest version it knows.
    pub offer: Version,
    /// The version spoken.
    pub version: Version,
}

/// What the loop hears. `N` is what handlers tell it ([`PeerConn::note`]).
#[derive(Debug)]
pub enum HubEvent<N = ()> {
    /// A peer shook hands.
    Opened {
        /// Its number.
        peer: PeerId,
        /// Who it is.
        info: PeerInfo,
    },
    /// A text peer connected.
    TextOpened {
        /// Its number.
        peer: PeerId,
        /// Its address without port.
        address: String,
    },
    /// A peer sent a message.
    Said {
        /// Who.
        peer: PeerId,
        /// What.
        message: Message,
        /// Lets the peer say more when it is dropped.
        credit: Credit,
    },
    /// A text peer sent a line.
    Line {
        /// Who.
        peer: PeerId,
        /// The line without its end and without leading blanks; bytes that are not UTF-8 are replaced.
        text: String,
        /// Lets the peer say more when it is dropped.
        credit: Credit,
    },
    /// A text peer says no more but still reads. The loop says farewell and closes it.
    HalfClosed {
        /// Who.
        peer: PeerId,
    },
    /// A handler tells the loop something, in order with the peer's other events.
    Noted {
        /// Whose handler.
        peer: PeerId,
        /// What.
        note: N,
    },
    /// A peer that was opened is gone. Nothing comes from it any more.
    Closed {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// A [`Hub::dial`] came to nothing. Nothing else comes from that number.
    DialFailed {
        /// The number `dial` gave.
        peer: PeerId,
        /// Why.
        error: DialError,
    },
}

/// The right of a reader to have one more message, of so many bytes, on its way. It returns by being dropped.
pub struct Credit(Arc<Peer>, usize);

impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credit")
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.0.give_credit(self.1);
    }
}

/// Why a peer is gone.
#[derive(Debug, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed, or broke the connection or the rules.
    #[error(transparent)]
    Peer(#[from] ConnError),
    /// [`Hub::close`] or its handler asked for it, for this reason.
    #[error("{0}")]
    Asked(String),
    /// It did not read what it was sent.
    #[error("{waiting} bytes wait to be sent to it")]
    OutboxFull {
        /// Bytes in its outbox.
        waiting: usize,
    },
    /// All peers, or those of its address, make us hold too much, and this one most of it.
    #[error("too much is held for {}, most of it, {held} bytes, for this one", if *.address { "its address" } else { "all peers" })]
    Hoarding {
        /// Bytes held for it.
        held: usize,
        /// Whether the limit of its address is passed, not that of all peers.
        address: bool,
    },
    /// A line of a text peer is too long.
    #[error("line of more than {max} bytes")]
    LineTooLong {
        /// The limit.
        max: usize,
    },
}

/// What a handler wants done with a message it was shown.
#[derive(Debug)]
pub enum Verdict {
    /// It goes to the loop.
    Forward(Message),
    /// It was dealt with.
    Kept,
    /// The peer is closed for this reason.
    Close(String),
}

/// Sees the messages of one peer first, on that peer's own thread. It may keep that thread for a whole dialogue: then only its peer waits.
/// [`Hub::close`] wakes it out of every wait on its [`PeerConn`].
pub trait PeerHandler<N = ()>: Send {
    /// A message came.
    fn said(&mut self, message: Message, conn: &mut PeerConn<N>) -> Verdict;
}

/// Makes the handler of a peer that was just opened; `None` = all its messages go to the loop.
pub type Handlers<N = ()> = Arc<dyn Fn(PeerId, &PeerInfo) -> Option<Box<dyn PeerHandler<N>>> + Send + Sync>;

/// No handler for anybody.
pub fn no_handlers<N>() -> Handlers<N> {
    Arc::new(|_, _| None)
}

/// The peers of a process. Clones are the same hub; when the last one is gone all peers are cut.
pub struct Hub<N = ()> {
    owner: Arc<Owner<N>>,
}

impl<N> Clone for Hub<N> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<N: Send + 'static> Hub<N> {
    /// A hub without peers, and where its events come out: for `recv_timeout` or `select!` beside other channels.
    ///
    /// # Errors
    /// If the outbox thread cannot be started.
    pub fn new(config: HubConfig) -> io::Result<(Self, Receiver<HubEvent<N>>)> {
        let (events, heard) = bounded(config.events_max);
        let (outboxes, wakeup) = Outboxes::new()?;
        let outboxes = Arc::new(outboxes);
        let shared = Shared { config: config.clone(), events, outboxes: Arc::clone(&outboxes), roll: Roll::default() };
        let owner =
            Owner { shared: Arc::new(shared), heard: heard.clone(), doors: Mutex::default(), writer: Mutex::default() };
        let writer = thread::Builder::new()
            .name("outboxes".into())
            .stack_size(config.stack)
            .spawn(move || outboxes.run(&wakeup, &config))?;
        *owner.writer.lock() = Some(writer);
        Ok((Self { owner: Arc::new(owner) }, heard))
    }

    /// Accepts peers of the binary protocol, to whom we offer `offer`, until [`Hub::stop_listening`].
    ///
    /// # Errors
    /// If the accept thread cannot be started.
    pub fn listen(&self, listener: Listener, offer: Version, handlers: Handlers<N>) -> io::Result<()> {
        self.open_door(listener, Speech::Binary { offer, handlers })
    }

    /// Accepts text peers until [`Hub::stop_listening`].
    ///
    /// # Errors
    /// If the accept thread cannot be started.
    pub fn listen_text(&self, listener: Listener) -> io::Result<()> {
        self.open_door(listener, Speech::Text)
    }

    /// Dials on a thread of its own, which then reads. Comes out as `Opened` or `DialFailed`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn dial(
        &self,
        target: Target,
        offer: Version,
        deadline: Deadline,
        handlers: Handlers<N>,
    ) -> io::Result<PeerId> {
        let shared = self.shared();
        let peer = shared.roll.dialled(&shared.config);
        reader::start_dialling(shared, &peer, target, offer, deadline, handlers)?;
        Ok(peer.id)
    }

    /// Sends a message: at once as far as there is room, the rest by the outbox thread. Never waits. A peer that is gone or going is
    /// ignored: its `Closed` is on its way.
    pub fn send(&self, peer: PeerId, message: &Message) {
        self.send_all(peer, std::slice::from_ref(message));
    }

    /// Sends messages by one write.
    pub fn send_all(&self, peer: PeerId, messages: &[Message]) {
        if log_enabled!(Level::Trace) {
            messages.iter().for_each(|message| trace!("to peer {peer}: {}", wire::print::line(message)));
        }
        self.post(peer, &|out, version| conn::encode_all(messages, version, out));
    }

    /// Sends text to a text peer, as it is.
    pub fn send_text(&self, peer: PeerId, text: &str) {
        self.post(peer, &|out, _| {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        });
    }

    /// Sets how many bytes may wait for this peer.
    pub fn limit_outbox(&self, peer: PeerId, bytes: usize) {
        if let Some(peer) = self.shared().roll.find(peer) {
            peer.lock().queue_max = bytes;
        }
    }

    /// Writes what is left for at most [`HubConfig::linger`] and closes. What the peer says meanwhile is thrown away; a handler that has its
    /// thread finds the connection closed. `Closed` follows.
    pub fn close(&self, peer: PeerId, reason: impl Into<String>) {
        let shared = self.shared();
        if let Some(peer) = shared.roll.find(peer) {
            peer.close(reason.into(), Instant::now() + shared.config.linger, &shared.outboxes);
        }
    }

    /// Closes at once, what is left to write is lost. `Closed` follows.
    pub fn cut(&self, peer: PeerId, reason: impl Into<String>) {
        if let Some(peer) = self.shared().roll.find(peer) {
            peer.cut(CloseReason::Asked(reason.into()));
        }
    }

    /// No new connections any more. Waits for the accept threads, which end at once.
    pub fn stop_listening(&self) {
        self.owner.close_doors();
    }

    /// Stops listening, writes what is left to peers, closes them, and waits until their threads have ended; after `limit` the rest is cut.
    /// Events that come meanwhile are thrown away.
    pub fn shutdown(&self, limit: Duration) {
        self.owner.close_doors();
        let shared = self.shared();
        let until = Instant::now() + limit;
        for peer in shared.roll.all() {
            peer.close_hastily("shutting down".into(), until, &shared.outboxes);
        }
        // Readers may wait for room in the channel: without this they would wait for ever.
        shared.roll.wait_until_empty(until, || while self.owner.heard.try_recv().is_ok() {});
        self.owner.end();
        shared.roll.wait_until_empty(Instant::now() + CUT_TIME, || while self.owner.heard.try_recv().is_ok() {});
    }

    /// Connections there are, also those that still shake hands.
    pub fn peer_count(&self) -> usize {
        self.shared().roll.len()
    }

    fn open_door(&self, listener: Listener, speech: Speech<N>) -> io::Result<()> {
        let door = accept::open(self.shared(), listener, speech)?;
        self.owner.doors.lock().push(door);
        Ok(())
    }

    fn post(&self, peer: PeerId, fill: peer::Fill<'_>) {
        let shared = self.shared();
        if let Some(peer) = shared.roll.find(peer) {
            peer.post(fill, &shared.outboxes);
            shared.relieve(&peer);
        }
    }

    fn shared(&self) -> &Arc<Shared<N>> {
        &self.owner.shared
    }
}

/// What all threads of a hub share.
struct Shared<N> {
    config: HubConfig,
    events: Sender<HubEvent<N>>,
    outboxes: Arc<Outboxes>,
    roll: Roll,
}

impl<N> Shared<N> {
    /// Cuts who holds most while the limits are passed that `peer` counts for.
    fn relieve(&self, peer: &Peer) {
        if peer.excess(&self.config).is_none() {
            return;
        }
        // One thread after the other: two that see the same excess would cut two peers.
        let _turn = self.roll.relief();
        while let Some((excess, address)) = peer.excess(&self.config) {
            let of_address = excess == Excess::Address;
            let Some((heaviest, held)) = self.roll.heaviest(of_address.then_some(&address)) else { return };
            heaviest.cut(CloseReason::Hoarding { held, address: of_address });
        }
    }
}

/// What only the user's handles own: when they are gone, everything ends.
struct Owner<N> {
    shared: Arc<Shared<N>>,
    heard: Receiver<HubEvent<N>>,
    doors: Mutex<Vec<Door>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl<N> Owner<N> {
    fn close_doors(&self) {
        let doors = std::mem::take(&mut *self.doors.lock());
        doors.into_iter().for_each(Door::close);
    }

    /// Cuts who is left and ends the outbox thread.
    fn end(&self) {
        for peer in self.shared.roll.all() {
            peer.cut(CloseReason::Asked("shutting down".into()));
        }
        self.shared.outboxes.stop();
        if let Some(writer) = self.writer.lock().take() {
            let _ = writer.join();
        }
    }
}

impl<N> Drop for Owner<N> {
    fn drop(&mut self) {
        self.close_doors();
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The channel fills its room at the start: it was half of what an idle daemon had in memory.
    #[test]
    fn an_idle_hub_is_small() {
        assert!(HubConfig::default().events_max * size_of::<HubEvent<()>>() <= 32 << 10);
    }
}
