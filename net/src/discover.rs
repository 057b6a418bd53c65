//! Finding a scheduler by netname, and the election between schedulers (`net/PROTOCOL.md`, Discovery and election).
//!
//! Asking ([`find`]) and announcing ([`announce`]) are calls with a bound; answering is a thread of a scheduler ([`Responder`]) that sleeps until a
//! datagram comes. Choice and election are plain functions.

use std::cmp::Reverse;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use ice_core::text::Text;
use ice_core::version::Version;
use log::{debug, warn};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::listen::{ListenError, device_address};
use crate::wake::{self, Waker, Wakeup};
use crate::wire::udp::{Announce, Datagram, Reply, ReplyFormat};

/// The netname of those who name none.
pub const DEFAULT_NETNAME: &str = "ICECREAM";
/// The scheduler's port, TCP and UDP.
pub const DEFAULT_PORT: u16 = 8765;

/// How much later than the first answer a better one may come.
const LATE: Duration = Duration::from_millis(100);
/// Answers that are looked at: more are an attack.
const ANSWERS_MAX: usize = 256;
/// Longest datagram read; longer ones are cut, and so unreadable.
const DATAGRAM_MAX: usize = 300;
/// What the short answer of an old scheduler, which has no version, counts as: the last that gave such answers.
const LAST_SHORT: u32 = 32;
/// Announcements below do not count in an election.
const FIRST_IN_ELECTION: Version = Version::new(36);
/// Stack of the answering thread.
const STACK: usize = 64 * 1024;
/// Rest after an error of the socket, so that a lasting one does not spin.
const REST: Duration = Duration::from_millis(100);

/// Where broadcasts go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// To 127.0.0.1 only (`ICECC_TESTS`).
    pub loopback_only: bool,
    /// By this device alone, if there is one.
    pub device: Option<String>,
    /// What goes to one of these ports goes to the other too (`ICECC_TEST_SCHEDULER_PORTS`).
    pub twin_ports: Option<(u16, u16)>,
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Compared without case.
    pub netname: Text,
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
    pub netname: Text,
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
    Netname(Text),
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
    pub netname: Text,
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

/// Broadcasts a query and collects answers: until `timeout`, but only a moment longer than the first one that matches took.
///
/// # Errors
/// If there is no socket to be had. A network that cannot be reached is no error: then nothing is found.
pub fn find(query: &Query, timeout: Duration) -> io::Result<Found> {
    ask(query, timeout, Some(LATE))
}

/// Broadcasts a query and collects all answers until `timeout`: the netnames around.
///
/// # Errors
/// As [`find`].
pub fn survey(query: &Query, timeout: Duration) -> io::Result<Found> {
    ask(query, timeout, None)
}

/// Broadcasts both announcements.
///
/// # Errors
/// If there is no socket to be had.
pub fn announce(own: &Identity, port: u16, reach: &Reach) -> io::Result<()> {
    let announce = Announce {
        version: u8::try_from(own.version.number()).unwrap_or(u8::MAX),
        start_time: own.start_time,
        netname: own.netname.clone(),
    };
    let socket = broadcaster()?;
    let targets = targets(port, reach);
    for datagram in [announce.legacy(), Datagram::Announce(announce)] {
        broadcast(&socket, &datagram.to_bytes(), &targets);
    }
    Ok(())
}

/// The better of both: higher version, then earlier start.
pub fn better<'a>(a: &'a Answer, b: &'a Answer) -> &'a Answer {
    let rank = |x: &Answer| (Reverse(x.version), x.start_time);
    if rank(b) < rank(a) { b } else { a }
}

/// Whether a scheduler that hears `other` announced has to drop its peers in favour of it.
pub fn defeats(other: &Identity, own: &Identity) -> bool {
    other.version >= FIRST_IN_ELECTION
        && other.netname == own.netname
        && (other.version > own.version || other.version == own.version && other.start_time < own.start_time)
}

/// A socket for a [`Responder`]: on all IPv4 addresses, or only for what comes by one device.
///
/// # Errors
/// If the port is taken or the device has no address.
pub fn bind(device: Option<&str>, port: u16) -> Result<UdpSocket, ListenError> {
    let at = |address: Ipv4Addr, device: Option<&str>| {
        let address = SocketAddr::from((address, port));
        let bound = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind_device(device.map(str::as_bytes))?;
            socket.bind(&address.into())?;
            Ok(UdpSocket::from(OwnedFd::from(socket)))
        };
        bound().map_err(|source| ListenError::Bind { address, source })
    };
    let Some(name) = device else { return at(Ipv4Addr::UNSPECIFIED, None) };
    let address = device_address(name)?;
    // A socket bound to an address hears no broadcasts, so the device is the better bond; not every kernel allows it to everybody.
    match at(Ipv4Addr::UNSPECIFIED, device) {
        Err(ListenError::Bind { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => at(address, None),
        other => other,
    }
}

/// Answers queries and hears announcements, on a thread that sleeps until something comes.
#[derive(Debug)]
pub struct Responder {
    stop: Waker,
    thread: JoinHandle<()>,
}

impl Responder {
    /// Starts it on a socket of [`bind`]. If `heard` is full, what was heard is lost: it is told again.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(socket: UdpSocket, own: Identity, heard: Sender<Heard>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (stop, stopped) = wake::pair()?;
        let thread = thread::Builder::new()
            .name("discovery".into())
            .stack_size(STACK)
            .spawn(move || respond(&socket, &own, &heard, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread and waits for its end.
    pub fn stop(self) {
        self.stop.wake();
        let _ = self.thread.join();
    }
}

fn ask(query: &Query, timeout: Duration, late: Option<Duration>) -> io::Result<Found> {
    let version = u8::try_from(query.version.number()).unwrap_or(u8::MAX);
    let socket = broadcaster()?;
    broadcast(&socket, &Datagram::Query { version }.to_bytes(), &targets(query.port, &query.reach));
    let mut found = Found::default();
    let mut end = Instant::now() + timeout;
    let mut buf = [0; DATAGRAM_MAX];
    while found.answers.len() + found.ignored.len() < ANSWERS_MAX {
        let left = end.saturating_duration_since(Instant::now());
        // What came in time counts, also if a busy machine has kept us from looking at it.
        let is_over = left.is_zero();
        if is_over {
            socket.set_nonblocking(true)?;
        } else {
            socket.set_read_timeout(Some(left))?;
        }
        // Errors are those of the network (nobody listens there), or that time is over: the clock tells.
        let (n, from) = match socket.recv_from(&mut buf) {
            Ok(received) => received,
            Err(_) if is_over => break,
            Err(_) => continue,
        };
        let had_none = found.best.is_none();
        found.take(query, version, from, buf.get(..n).unwrap_or_default());
        if let (true, Some(_), Some(late)) = (had_none, &found.best, late) {
            end = end.min(Instant::now() + late);
        }
    }
    Ok(found)
}

impl Found {
    /// Judges one datagram that came back.
    fn take(&mut self, query: &Query, own: u8, from: SocketAddr, bytes: &[u8]) {
        let Some(reply) = Reply::parse(own, bytes) else {
            let why = WhyIgnored::Unreadable { length: bytes.len(), first: bytes.first().copied() };
            return self.ignored.push(Ignored { from, why });
        };
        let version = if reply.format == ReplyFormat::Short { LAST_SHORT } else { reply.version };
        if !(1..=127).contains(&version) {
            return self.ignored.push(Ignored { from, why: WhyIgnored::BogusVersion(version) });
        }
        let answer = Answer { from, version, start_time: reply.start_time, netname: reply.netname };
        if !same_netname(&answer.netname, &query.netname, reply.format) {
            let why = WhyIgnored::Netname(answer.netname.clone());
            self.ignored.push(Ignored { from, why });
        } else if self.best.as_ref().is_none_or(|best| better(best, &answer) == &answer) {
            self.best = Some(answer.clone());
        }
        self.answers.push(answer);
    }
}

/// Compares without case; a netname may have been cut by its format.
fn same_netname(answered: &Text, asked: &Text, format: ReplyFormat) -> bool {
    let kept = match format {
        ReplyFormat::Short => 14,
        ReplyFormat::Little32 => 18,
        ReplyFormat::Little268 | ReplyFormat::Big268 => 254,
    };
    let asked = asked.as_bytes();
    answered.as_bytes().eq_ignore_ascii_case(asked.get(..kept).unwrap_or(asked))
}

fn respond(socket: &UdpSocket, own: &Identity, heard: &Sender<Heard>, stopped: &Wakeup) {
    let mut buf = [0; DATAGRAM_MAX];
    loop {
        let mut fds = [PollFd::new(stopped.as_fd(), PollFlags::POLLIN), PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let woken = poll(&mut fds, PollTimeout::NONE);
        let [stop, _] = &fds;
        if stop.any().unwrap_or(false) {
            return;
        }
        let received = woken.map_err(io::Error::from).and_then(|_| socket.recv_from(&mut buf));
        match received {
            Ok((n, from)) => hear(socket, own, heard, from, buf.get(..n).unwrap_or_default()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => {
                warn!("discovery socket: {e}");
                thread::sleep(REST);
            }
        }
    }
}

/// Deals with one datagram. What cannot be sent is lost, as datagrams are: the asker asks again.
fn hear(socket: &UdpSocket, own: &Identity, heard: &Sender<Heard>, from: SocketAddr, bytes: &[u8]) {
    match Datagram::parse(bytes) {
        Some(Datagram::Query { version }) => {
            let reply = Reply::to(version, own.version.number(), own.start_time, own.netname.clone());
            let Some(reply) = reply else { return };
            let _ = socket.send_to(&Datagram::Reply(reply).to_bytes(), from);
            let _ = heard.try_send(Heard::Query { from, version: version.into() });
        }
        Some(Datagram::Announce(announce)) => {
            let identity = Identity {
                version: Version::new(announce.version.into()),
                start_time: announce.start_time,
                netname: announce.netname,
            };
            let defeats_us = defeats(&identity, own);
            let _ = heard.try_send(Heard::Announcement { from, identity, defeats_us });
        }
        _ => debug!("no use for a datagram of {} bytes from {from}", bytes.len()),
    }
}

fn broadcaster() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(false)?;
    Ok(socket)
}

fn broadcast(socket: &UdpSocket, bytes: &[u8], targets: &[SocketAddr]) {
    for target in targets {
        if let Err(e) = socket.send_to(bytes, target) {
            debug!("cannot broadcast to {target}: {e}");
        }
    }
}

/// Broadcast addresses of all devices, or of the one wanted, that are up, neither loopback nor point-to-point; and both ports if there are twins.
fn targets(port: u16, reach: &Reach) -> Vec<SocketAddr> {
    let addresses = if reach.loopback_only {
        vec![Ipv4Addr::LOCALHOST]
    } else {
        broadcast_addresses(getifaddrs().into_iter().flatten(), reach.device.as_deref())
    };
    let twin = match reach.twin_ports {
        Some((a, b)) if a == port => Some(b),
        Some((a, b)) if b == port => Some(a),
        _ => None,
    };
    let ports = || [Some(port), twin].into_iter().flatten();
    addresses.into_iter().flat_map(|address| ports().map(move |port| (address, port).into())).collect()
}

fn broadcast_addresses(entries: impl Iterator<Item = InterfaceAddress>, device: Option<&str>) -> Vec<Ipv4Addr> {
    let unwanted = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_POINTOPOINT;
    let wanted = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_BROADCAST;
    let mut addresses: Vec<Ipv4Addr> = entries
        // A further address of a device may have a label of its own, `eth0:1`.
        .filter(|entry| device.is_none_or(|device| entry.interface_name.split(':').next() == Some(device)))
        .filter(|entry| entry.flags.contains(wanted) && !entry.flags.intersects(unwanted))
        .filter(|entry| entry.address.is_some_and(|address| address.as_sockaddr_in().is_some()))
        .filter_map(|entry| Some(entry.broadcast?.as_sockaddr_in()?.ip()))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests;
