//! Tests of the hub on loopback: many peers, slow and silent ones, handlers that use a peer's thread, and nothing left
//! behind.
//!
//! Each case counts the descriptors and the hub's threads of the process at its end, so the cases run one at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};
use ice_core::codec::Codec;
use ice_core::ids::PeerId;
use ice_core::message::{Chunk, Message};
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial::{self, Target};
use ice_net::error::ConnError;
use ice_net::hub::{
    CloseReason, ConnectionBounds, Handlers, Hub, HubConfig, HubEvent, PeerConn, PeerHandler, PeerInfo, Verdict,
    no_handlers,
};
use ice_net::listen::Listener;
use parking_lot::{Mutex, MutexGuard};

mod bounds;
mod ends;
mod handlers;
mod peers;

const LONG: Duration = Duration::from_secs(60);
const OFFER: Version = Version::TO_SCHEDULER;

fn long(step: Step) -> Deadline {
    Deadline::after(step, LONG)
}

fn text(n: usize) -> Message {
    Message::StatusText { text: format!("{n}").into() }
}

fn chunk(len: usize) -> Message {
    Message::FileChunk(Chunk { plain_len: 5, codec: Codec::Zstd, data: vec![7; len] })
}

/// A hub that listens on loopback, and its events.
struct Bench<N: Send + 'static = ()> {
    hub: Hub<N>,
    events: Receiver<HubEvent<N>>,
    port: u16,
}

impl<N: Send + 'static> Bench<N> {
    fn new(config: HubConfig, handlers: Handlers<N>) -> Self {
        let (hub, events) = Hub::new(config).unwrap();
        let listener = Listener::tcp(0).unwrap();
        let port = listener.port();
        hub.listen(listener, OFFER, handlers).unwrap();
        Self { hub, events, port }
    }

    fn dial(&self) -> Conn {
        dial::tcp("127.0.0.1", self.port, OFFER, long(Step::Connect)).unwrap()
    }

    /// A plain socket whose reads and writes have a time limit.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    fn event(&self) -> HubEvent<N> {
        self.events.recv_timeout(LONG).expect("an event")
    }

    fn opened(&self) -> (PeerId, PeerInfo) {
        match self.event() {
            HubEvent::Opened { peer, info } => (peer, info),
            _ => panic!("something else than Opened"),
        }
    }

    fn message(&self) -> (PeerId, Message) {
        match self.event() {
            HubEvent::Message { peer, message, .. } => (peer, message),
            _ => panic!("something else than Message"),
        }
    }

    fn closed(&self) -> (PeerId, CloseReason) {
        match self.event() {
            HubEvent::Closed { peer, reason } => (peer, reason),
            _ => panic!("something else than Closed"),
        }
    }
}

/// The turn of one case. At its end there must be as many descriptors and hub threads as before.
struct Alone {
    before: (usize, usize),
    _turn: MutexGuard<'static, ()>,
}

/// To be held by every case from its beginning.
fn alone() -> Alone {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock();
    // The first use of some functions may open a descriptor permanently.
    drop(Hub::<()>::new(HubConfig::default()));
    let until = Instant::now() + LONG;
    // What its threads hold is closed when they end, soon after the hub.
    while open().1 > 0 {
        assert!(Instant::now() < until, "the hub's threads did not end");
        thread::sleep(Duration::from_millis(1));
    }
    Alone { before: open(), _turn: turn }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let until = Instant::now() + LONG;
        while !thread::panicking() && open() != self.before {
            assert!(Instant::now() < until, "left behind: {:?} became {:?}", self.before, open());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The number of descriptors and hub threads. Threads of other tests, which wait for their turn, do not count.
fn open() -> (usize, usize) {
    let of_a_hub = |name: &str| ["accept", "outboxes", "resolver", "peer"].contains(&name.trim_end());
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("comm"));
    // A thread that is just ending has no name any more.
    let threads = tasks.filter(|comm| fs::read_to_string(comm).is_ok_and(|name| of_a_hub(&name))).count();
    (fs::read_dir("/proc/self/fd").unwrap().count(), threads)
}

/// A peer whose handshake is done by hand, so that it may continue with anything.
fn raw_peer(bench: &Bench) -> (TcpStream, PeerId) {
    let mut raw = bench.connect();
    raw.write_all(&[43, 0, 0, 0, 43, 0, 0, 0]).unwrap();
    (raw, bench.opened().0)
}
