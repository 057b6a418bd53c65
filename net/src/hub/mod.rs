//! A hub serves many peers with one event loop: one reader thread per peer sends events into a bounded channel, and one
//! outbox thread writes what cannot be written at once.
//!
//! ```text
//!  accept threads -> reader thread per peer -> events (bounded) -> the loop: the thread with the state machine
//!                    |  `- PeerHandler: may process messages itself      | send, close
//!                    v                                                   v
//!                  the peer's socket <- written at once if there is room, else by the outbox thread (poll)
//! ```
//!
//! - Only its own thread waits for a slow peer. A reader has at most `HubConfig::credits` messages in flight to the
//!   loop; a `Credit` returns when the loop drops the event, so it cannot be lost. A peer that does not read fills
//!   its outbox and is closed. The memory held for all peers, and for those of one address, is limited too; beyond the
//!   limit the peer that holds most is cut.
//! - Each `Opened` or `TextOpened` is followed by exactly one `Closed`, which is the peer's last event. The loop knows
//!   a peer only after its opening; a failure before that is logged here.
//! - There are no periodic wake-ups: an idle hub sleeps for ever. The thread of a peer that has gone serves another one.
//!
//! Out of scope: what messages mean, and timers: the loop receives with its own deadline.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use ice_core::ids::PeerId;
use ice_core::message::Message;
use ice_core::version::Version;
use log::{Level, log_enabled, trace};
use parking_lot::Mutex;

use crate::conn;
use crate::deadline::Deadline;
use crate::dial::{DialError, Target};
use crate::error::ConnError;
use crate::listen::Listener;
use crate::stream::Stream;
use crate::wire;

mod acceptor;
mod budget;
mod config;
mod connection_bounds;
mod lines;
mod outbox;
mod peer;
mod peer_conn;
mod reader;
mod registry;
mod threads;

use acceptor::ActiveListener;
use budget::Excess;
pub use config::HubConfig;
pub use connection_bounds::ConnectionBounds;
use peer::{Outboxes, Peer};
pub use peer_conn::PeerConn;
use reader::Protocol;
use registry::Registry;
use threads::Threads;

/// How long to wait for the threads of peers that were cut. They only have to wake up.
const CUT_TIME: Duration = Duration::from_secs(1);

/// What the connection tells about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its address without port, IPv4-mapped ones dotted; empty for Unix sockets.
    pub address: String,
    /// Its port; 0 for Unix sockets.
    pub port: u16,
    /// Our own address on this connection; empty for Unix sockets.
    pub own_address: String,
    /// Whether it uses a Unix socket.
    pub local: bool,
    /// The path of that socket if it connected to us.
    pub socket: Option<PathBuf>,
    /// The user that used it then.
    pub user: Option<u32>,
    /// Whether we dialled it.
    pub dialled: bool,
    /// The highest version that it offered.
    pub offer: Version,
    /// The agreed version.
    pub version: Version,
}

/// An event for the loop. `N` is the type of the handlers' notes ([`PeerConn::note`]).
#[derive(Debug)]
pub enum HubEvent<N = ()> {
    /// A peer has completed its handshake.
    Opened {
        /// Its number.
        peer: PeerId,
        /// What is known about it.
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
    Message {
        /// The peer.
        peer: PeerId,
        /// Its content.
        message: Message,
        /// Allows the peer another message when it is dropped.
        credit: Credit,
    },
    /// A text peer sent a line.
    Line {
        /// The peer.
        peer: PeerId,
        /// The line without its end and without leading blanks; invalid UTF-8 is replaced.
        text: String,
        /// Allows the peer another message when it is dropped.
        credit: Credit,
    },
    /// A text peer has ended its direction but still reads. The loop should send what is left and close it.
    HalfClosed {
        /// The peer.
        peer: PeerId,
    },
    /// A note from a handler, in order with the peer's other events.
    Note {
        /// The handler's peer.
        peer: PeerId,
        /// Its content.
        note: N,
    },
    /// An opened peer is gone. It is the peer's last event.
    Closed {
        /// The peer.
        peer: PeerId,
        /// The reason.
        reason: CloseReason,
    },
    /// A [`Hub::dial`] failed. It is the only event with that number.
    DialFailed {
        /// The number that `dial` returned.
        peer: PeerId,
        /// The reason.
        error: DialError,
    },
}

/// A reader's right to have one more message in flight. Dropping it returns the right.
pub struct Credit {
    peer: Arc<Peer>,
    /// The size of the message in bytes.
    bytes: usize,
    /// With the last message of a peer ([`Verdict::Last`]): its connection, which closes when nobody has it any more.
    _connection: Option<Arc<Stream>>,
}

impl Credit {
    /// For a message that has taken its credit from the peer.
    fn new(peer: &Arc<Peer>, bytes: usize, connection: Option<Arc<Stream>>) -> Self {
        Self { peer: Arc::clone(peer), bytes, _connection: connection }
    }
}

impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credit")
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.peer.give_credit(self.bytes);
    }
}

/// Why a peer is gone.
#[derive(Debug, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed, or the connection or the protocol was broken.
    #[error(transparent)]
    Peer(#[from] ConnError),
    /// [`Hub::close`] or its handler closed it for this reason.
    #[error("{0}")]
    Asked(String),
    /// It did not read what was sent to it.
    #[error("{waiting} bytes wait to be sent to it")]
    OutboxFull {
        /// Bytes in its outbox.
        waiting: usize,
    },
    /// Too many bytes are held for all peers or for those of its address, and most of them for this peer.
    #[error(
        "too much is held for {}, most of it, {held} bytes, for this one",
        if *.address { "its address" } else { "all peers" }
    )]
    HoldsTooMuch {
        /// Number of bytes held for it.
        held: usize,
        /// Whether the limit of its address is exceeded, not that of all peers.
        address: bool,
    },
    /// A line of a text peer is too long.
    #[error("line of more than {max} bytes")]
    LineTooLong {
        /// The limit.
        max: usize,
    },
}

/// What to do with a message that a handler has seen.
#[derive(Debug)]
pub enum Verdict {
    /// Send it to the loop.
    Forward(Message),
    /// Send it to the loop; the peer neither says nor gets anything more. Its thread is done, and the connection closes
    /// when the message's [`Credit`] is dropped: a peer that waits for that knows that the loop has seen the message.
    Last(Message),
    /// Nothing: the handler has processed it.
    Handled,
    /// Close the peer for this reason.
    Close(String),
}

/// Receives the messages of one peer before the loop, on that peer's own thread. It may use that thread for a whole
/// dialogue; only its own peer waits then. [`Hub::close`] ends every wait on its [`PeerConn`].
pub trait PeerHandler<N = ()>: Send {
    /// Handles a message.
    fn message(&mut self, message: Message, conn: &mut PeerConn<N>) -> Verdict;
}

/// Creates the handler of a newly opened peer. `None`: all its messages go to the loop.
pub type Handlers<N = ()> = Arc<dyn Fn(PeerId, &PeerInfo) -> Option<Box<dyn PeerHandler<N>>> + Send + Sync>;

/// Creates no handlers.
pub fn no_handlers<N>() -> Handlers<N> {
    Arc::new(|_, _| None)
}

/// The peers of a process. Clones share one hub; when the last one is dropped, all peers are cut.
pub struct Hub<N = ()> {
    owner: Arc<Owner<N>>,
}

impl<N> Clone for Hub<N> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<N: Send + 'static> Hub<N> {
    /// Creates a hub without peers, and the receiver of its events, to use with `recv_timeout` or `select!`.
    ///
    /// # Errors
    /// If the outbox thread cannot be started.
    pub fn new(config: HubConfig) -> io::Result<(Self, Receiver<HubEvent<N>>)> {
        let (events, receiver) = bounded(config.events_max);
        let (outboxes, wakeup) = Outboxes::new()?;
        let outboxes = Arc::new(outboxes);
        let shared = Shared {
            config: config.clone(),
            events,
            outboxes: Arc::clone(&outboxes),
            registry: Registry::default(),
            threads: Threads::new(config.stack),
        };
        let owner = Owner {
            shared: Arc::new(shared),
            event_receiver: receiver.clone(),
            listeners: Mutex::default(),
            writer: Mutex::default(),
        };
        let writer = thread::Builder::new()
            .name("outboxes".into())
            .stack_size(config.stack)
            .spawn(move || outboxes.run(&wakeup, &config))?;
        *owner.writer.lock() = Some(writer);
        Ok((Self { owner: Arc::new(owner) }, receiver))
    }

    /// Accepts peers of the binary protocol, offering version `offer`, until [`Hub::stop_listening`].
    ///
    /// # Errors
    /// If the accept thread cannot be started.
    pub fn listen(&self, listener: Listener, offer: Version, handlers: Handlers<N>) -> io::Result<()> {
        self.start_listener(listener, Protocol::Binary { offer, handlers })
    }

    /// Accepts text peers until [`Hub::stop_listening`].
    ///
    /// # Errors
    /// If the accept thread cannot be started.
    pub fn listen_text(&self, listener: Listener) -> io::Result<()> {
        self.start_listener(listener, Protocol::Text)
    }

    /// Connects to `target` on a new thread, which then reads. The result is an `Opened` or a `DialFailed`.
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
        let peer = shared.registry.add_dialled(&shared.config);
        reader::start_dialling(shared, &peer, target, offer, deadline, handlers)?;
        Ok(peer.id)
    }

    /// Sends a message: at once as far as there is room, the rest by the outbox thread. Never waits. A peer that is
    /// closed or closing is ignored; its `Closed` will follow.
    pub fn send(&self, peer: PeerId, message: &Message) {
        self.send_all(peer, std::slice::from_ref(message));
    }

    /// Sends messages in one write.
    pub fn send_all(&self, peer: PeerId, messages: &[Message]) {
        if log_enabled!(Level::Trace) {
            messages.iter().for_each(|message| trace!("to peer {peer}: {}", wire::print::line(message)));
        }
        self.post(peer, &|out, version| conn::encode_all(messages, version, out));
    }

    /// Sends text to a text peer unchanged.
    pub fn send_text(&self, peer: PeerId, text: &str) {
        self.post(peer, &|out, _| {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        });
    }

    /// Sets how many bytes may wait to be written to this peer.
    pub fn limit_outbox(&self, peer: PeerId, bytes: usize) {
        if let Some(peer) = self.shared().registry.find(peer) {
            peer.lock().queue_max = bytes;
        }
    }

    /// Writes what is left for at most [`HubConfig::linger`], then closes. Input from the peer is discarded meanwhile;
    /// a handler that uses its thread finds the connection closed. `Closed` follows.
    pub fn close(&self, peer: PeerId, reason: impl Into<String>) {
        let shared = self.shared();
        if let Some(peer) = shared.registry.find(peer) {
            peer.close(reason.into(), Instant::now() + shared.config.linger, &shared.outboxes);
        }
    }

    /// Closes at once; what is left to write is lost. `Closed` follows.
    pub fn cut(&self, peer: PeerId, reason: impl Into<String>) {
        if let Some(peer) = self.shared().registry.find(peer) {
            peer.cut(CloseReason::Asked(reason.into()));
        }
    }

    /// Stops accepting connections. Waits for the accept threads, which end at once.
    pub fn stop_listening(&self) {
        self.owner.close_listeners();
    }

    /// Stops listening, writes what is left to peers, closes them, and waits until their threads have ended; after
    /// `limit` the rest is cut. Events are discarded meanwhile.
    pub fn shutdown(&self, limit: Duration) {
        self.owner.close_listeners();
        let shared = self.shared();
        let until = Instant::now() + limit;
        for peer in shared.registry.all() {
            peer.close_hastily("shutting down".into(), until, &shared.outboxes);
        }
        // Readers may wait for room in the channel. It is emptied, as they would otherwise wait for ever.
        shared.registry.wait_until_empty(until, || while self.owner.event_receiver.try_recv().is_ok() {});
        self.owner.end();
        shared
            .registry
            .wait_until_empty(Instant::now() + CUT_TIME, || while self.owner.event_receiver.try_recv().is_ok() {});
    }

    /// The number of connections, including those in their handshake.
    pub fn peer_count(&self) -> usize {
        self.shared().registry.len()
    }

    /// Starts an accept thread.
    fn start_listener(&self, listener: Listener, protocol: Protocol<N>) -> io::Result<()> {
        let active = acceptor::start(self.shared(), listener, protocol)?;
        self.owner.listeners.lock().push(active);
        Ok(())
    }

    /// Adds bytes to a peer's outbox.
    fn post(&self, peer: PeerId, fill: peer::Fill<'_>) {
        let shared = self.shared();
        if let Some(peer) = shared.registry.find(peer) {
            peer.post(fill, &shared.outboxes);
            shared.enforce_limits(&peer);
        }
    }

    fn shared(&self) -> &Arc<Shared<N>> {
        &self.owner.shared
    }
}

/// The state that all threads of a hub share.
struct Shared<N> {
    config: HubConfig,
    events: Sender<HubEvent<N>>,
    outboxes: Arc<Outboxes>,
    registry: Registry,
    threads: Threads,
}

impl<N> Shared<N> {
    /// Cuts the peer that holds most while a limit is exceeded that `peer` counts for.
    fn enforce_limits(&self, peer: &Peer) {
        if peer.excess(&self.config).is_none() {
            return;
        }
        // Only one thread at a time: two that see the same excess would cut two peers.
        let _turn = self.registry.enforcement();
        while let Some((excess, address)) = peer.excess(&self.config) {
            let of_address = excess == Excess::Address;
            let Some((heaviest, held)) = self.registry.heaviest(of_address.then_some(&address)) else { return };
            heaviest.cut(CloseReason::HoldsTooMuch { held, address: of_address });
        }
    }
}

/// The part owned by the user's handles alone: when they are dropped, everything ends.
struct Owner<N> {
    shared: Arc<Shared<N>>,
    /// The receiving end of the events, to discard them at the end.
    event_receiver: Receiver<HubEvent<N>>,
    /// The listeners with an accept thread.
    listeners: Mutex<Vec<ActiveListener>>,
    /// The outbox thread.
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl<N> Owner<N> {
    /// Ends all accept threads.
    fn close_listeners(&self) {
        let listeners = std::mem::take(&mut *self.listeners.lock());
        listeners.into_iter().for_each(ActiveListener::close);
    }

    /// Cuts the remaining peers and ends the outbox thread.
    fn end(&self) {
        for peer in self.shared.registry.all() {
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
        self.close_listeners();
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The channel allocates its memory at the start. It was half of what an idle daemon used.
    #[test]
    fn an_idle_hub_is_small() {
        assert!(HubConfig::default().events_max * size_of::<HubEvent<()>>() <= 32 << 10);
    }
}
