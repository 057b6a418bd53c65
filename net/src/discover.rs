//! Finding a scheduler by netname, and the election between schedulers (`spec/wire.md` 7, `spec/scheduler.md` 2).
//!
//! Asking ([`find`]) and announcing ([`announce`]) are calls with a bound; answering is a thread of a scheduler ([`Responder`]) that sleeps until a
//! datagram comes. Choice and election are plain functions.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crossbeam::channel::Sender;
use ice_core::version::Version;

/// The netname of those who name none.
pub const DEFAULT_NETNAME: &str = "ICECREAM";
/// The scheduler's port, TCP and UDP.
pub const DEFAULT_PORT: u16 = 8765;

/// Where broadcasts go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// To 127.0.0.1 only (`ICECC_TESTS`).
    pub loopback_only: bool,
    /// What goes to one of these ports goes to the other too (`ICECC_TEST_SCHEDULER_PORTS`).
    pub twin_ports: Option<(u16, u16)>,
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Compared without case.
    pub netname: String,
    /// The port asked on.
    pub port: u16,
    /// The version we say we are.
    pub version: Version,
    /// Where to.
    pub reach: Reach,
}

/// A scheduler that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where it answers from: the address to dial.
    pub from: SocketAddr,
    /// Its version.
    pub version: u32,
    /// When it started, Unix seconds; 0 if it is too old to tell.
    pub start_time: u64,
    /// Its netname.
    pub netname: String,
}

/// A datagram that did not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Where it came from.
    pub from: SocketAddr,
    /// Why.
    pub why: WhyIgnored,
}

/// Why an answer did not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyIgnored {
    /// It serves another netname.
    Netname(String),
    /// Its version is 0 or over 127.
    BogusVersion(u32),
    /// It is no answer to our query.
    Unreadable {
        /// Its length.
        length: usize,
        /// Its first byte.
        first: Option<u8>,
    },
}

/// What a query brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The scheduler to use.
    pub best: Option<Answer>,
    /// All schedulers that answered properly, of whatever netname, in the order of their answers.
    pub answers: Vec<Answer>,
    /// What did not count.
    pub ignored: Vec<Ignored>,
}

/// A scheduler as it shows itself to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its version.
    pub version: Version,
    /// When it started, Unix seconds.
    pub start_time: u64,
    /// Its netname.
    pub netname: String,
}

/// What a [`Responder`] heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A query, which was answered.
    Query {
        /// Who asked.
        from: SocketAddr,
        /// Its version.
        version: u32,
    },
    /// An announcement of a scheduler, perhaps our own.
    Announcement {
        /// Who announced.
        from: SocketAddr,
        /// Who it says it is; the version is its raw number.
        identity: Identity,
        /// Whether we lose to it ([`defeats`]).
        defeats_us: bool,
    },
}

/// Broadcasts a query and collects answers: until `timeout`, but no longer than a moment after the first one that matches.
pub fn find(_query: &Query, _timeout: Duration) -> io::Result<Found> {
    unimplemented!()
}

/// Broadcasts a query and collects all answers until `timeout`: the netnames around.
pub fn survey(_query: &Query, _timeout: Duration) -> io::Result<Found> {
    unimplemented!()
}

/// Broadcasts both announcements.
pub fn announce(_own: &Identity, _port: u16, _reach: &Reach) -> io::Result<()> {
    unimplemented!()
}

/// Whether a scheduler that hears `other` announced has to drop its peers in favour of it (`spec/scheduler.md` 2.3).
pub fn defeats(other: &Identity, own: &Identity) -> bool {
    other.version >= Version::new(36)
        && other.netname == own.netname
        && (other.version > own.version || other.version == own.version && other.start_time < own.start_time)
}

/// Answers queries and hears announcements.
#[derive(Debug)]
pub struct Responder(());

impl Responder {
    /// Starts the thread on a socket of [`bind`]. If `heard` is full, what was heard is lost: it is told again.
    pub fn start(_socket: UdpSocket, _own: Identity, _heard: Sender<Heard>) -> io::Result<Self> {
        unimplemented!()
    }

    /// Ends the thread and waits for its end.
    pub fn stop(self) {
        unimplemented!()
    }
}

/// A socket to answer on: on all addresses, or on one.
pub fn bind(address: Ipv4Addr, port: u16) -> io::Result<UdpSocket> {
    UdpSocket::bind((address, port))
}
