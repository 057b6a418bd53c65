//! Discovery of schedulers by netname, and the election between them (`net/PROTOCOL.md`, Discovery and election).
//!
//! Queries (`find`) and announcements (`announce`) are calls that take a bounded time. A scheduler answers on a
//! thread (`Responder`) that sleeps until a datagram arrives. Choice and election are plain functions.

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
use nix::sys::socket::SockaddrIn;
use socket2::{Domain, Protocol, Socket, Type};

use crate::allow::Allow;
use crate::listen::{ListenError, device_address};
use crate::wake::{self, Waker, Wakeup};
use crate::wire::udp::{Announce, Datagram, Reply, ReplyFormat};

/// The netname if none is configured.
pub const DEFAULT_NETNAME: &str = "ICECREAM";
/// The scheduler's default port, TCP and UDP.
pub const DEFAULT_PORT: u16 = 8765;

/// How long to wait for a better answer after the first one.
const GRACE: Duration = Duration::from_millis(100);
/// Maximum number of answers to a query; more are an attack.
const ANSWERS_MAX: usize = 256;
/// Maximum size of a datagram in bytes; longer ones are truncated and so malformed.
const DATAGRAM_MAX: usize = 300;
/// The version assumed for the short answer of an old scheduler, which has none: the last one that answered so.
const LAST_SHORT: u32 = 32;
/// Stack size of the answering thread in bytes.
const STACK_SIZE: usize = 64 * 1024;
/// Pause after an error of the socket, so that a permanent one causes no busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Where broadcasts are sent, and whose datagrams are heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Whether to send to 127.0.0.1 only (`ICECC_TESTS`).
    pub loopback_only: bool,
    /// Restricts them to this network device.
    pub device: Option<String>,
    /// Restricts both to these networks.
    pub allow: Allow,
    /// A pair of ports; what is sent to one is also sent to the other (`ICECC_TEST_SCHEDULER_PORTS`).
    pub twin_ports: Option<(u16, u16)>,
}

impl Reach {
    /// What may be reached by a device, or all, and in these networks; the tests' variables are read here.
    pub fn new(device: Option<String>, allow: Allow) -> Self {
        let twin_ports = std::env::var("ICECC_TEST_SCHEDULER_PORTS").ok().and_then(|ports| {
            let (a, b) = ports.split_once(':')?;
            Some((a.parse().ok()?, b.parse().ok()?))
        });
        Self { loopback_only: std::env::var_os("ICECC_TESTS").is_some(), device, allow, twin_ports }
    }
}

/// A query for schedulers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The netname, compared without case.
    pub netname: Text,
    /// The port to send to.
    pub port: u16,
    /// The version to state in the query.
    pub version: Version,
    /// Where the query is sent.
    pub reach: Reach,
}

/// A scheduler that answered a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its address, to connect to.
    pub from: SocketAddr,
    /// Its version.
    pub version: u32,
    /// Its start time in seconds since 1970; 0 if it is too old to report it.
    pub start_time: u64,
    /// Its netname.
    pub netname: Text,
}

/// A datagram that was ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The sender.
    pub from: SocketAddr,
    /// The reason.
    pub why: WhyIgnored,
}

/// Why an answer was ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyIgnored {
    /// The scheduler serves another netname.
    Netname(Text),
    /// Its version is 0 or above 127.
    BogusVersion(u32),
    /// It is not an answer to our query.
    Unreadable {
        /// Its length in bytes.
        length: usize,
        /// Its first byte.
        first: Option<u8>,
    },
}

/// The result of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The scheduler to use, if any.
    pub best: Option<Answer>,
    /// All schedulers with a valid answer, of any netname, in the order of their answers.
    pub answers: Vec<Answer>,
    /// What was ignored.
    pub ignored: Vec<Ignored>,
}

/// How a scheduler presents itself to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its version.
    pub version: Version,
    /// Its start time in seconds since 1970.
    pub start_time: u64,
    /// Its netname.
    pub netname: Text,
}

/// What a [`Responder`] received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryEvent {
    /// A query, which was answered.
    Query {
        /// The sender.
        from: SocketAddr,
        /// Its version.
        version: u32,
    },
    /// An announcement of a scheduler, possibly our own.
    Announcement {
        /// The sender.
        from: SocketAddr,
        /// The announced scheduler, with its raw version number.
        identity: Identity,
        /// Whether we lose the election to it ([`defeats`]).
        defeats_us: bool,
    },
}

/// Broadcasts a query and collects answers until `timeout`, or until shortly after the first matching answer.
///
/// # Errors
/// If no socket can be created. An unreachable network is no error: nothing is found.
pub fn find(query: &Query, timeout: Duration) -> io::Result<Found> {
    ask(query, timeout, Some(GRACE))
}

/// Broadcasts a query and collects all answers until `timeout`, to list all netnames.
///
/// # Errors
/// As [`find`].
pub fn survey(query: &Query, timeout: Duration) -> io::Result<Found> {
    ask(query, timeout, None)
}

/// Broadcasts the announcement in both formats.
///
/// # Errors
/// If no socket can be created.
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

/// The better of two answers: the one with the higher version, then with the earlier start time.
pub fn better<'a>(a: &'a Answer, b: &'a Answer) -> &'a Answer {
    let rank = |x: &Answer| (Reverse(x.version), x.start_time);
    if rank(b) < rank(a) { b } else { a }
}

/// Whether a scheduler that receives the announcement `other` must drop its peers in favour of it.
pub fn defeats(other: &Identity, own: &Identity) -> bool {
    other.version.has_election()
        && other.netname == own.netname
        && (other.version > own.version || other.version == own.version && other.start_time < own.start_time)
}

/// Binds a socket for a [`Responder`], on all IPv4 addresses or for one network device only.
///
/// # Errors
/// If the port is in use or the device has no IPv4 address.
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
    // A socket bound to an address receives no broadcasts, so binding to the device is better. Not every kernel permits
    // that to everybody.
    match at(Ipv4Addr::UNSPECIFIED, device) {
        Err(ListenError::Bind { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => at(address, None),
        other => other,
    }
}

/// Answers queries and receives announcements, on a thread that sleeps until a datagram arrives.
#[derive(Debug)]
pub struct Responder {
    /// Ends the thread.
    stop: Waker,
    /// The thread.
    thread: JoinHandle<()>,
}

impl Responder {
    /// Starts on a socket of [`bind`], deaf to hosts that `allow` does not admit. If the channel `events` is full, an event is dropped; queries and announcements
    /// are repeated anyway.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(socket: UdpSocket, own: Identity, allow: Allow, events: Sender<DiscoveryEvent>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (stop, stopped) = wake::pair()?;
        let thread = thread::Builder::new()
            .name("discovery".into())
            .stack_size(STACK_SIZE)
            .spawn(move || respond(&socket, &own, &allow, &events, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Stops the thread and waits for its end.
    pub fn stop(self) {
        self.stop.wake();
        let _ = self.thread.join();
    }
}

/// Broadcasts a query and collects answers until `timeout`, or until `grace` after the first matching one.
fn ask(query: &Query, timeout: Duration, grace: Option<Duration>) -> io::Result<Found> {
    let version = u8::try_from(query.version.number()).unwrap_or(u8::MAX);
    let socket = broadcaster()?;
    broadcast(&socket, &Datagram::Query { version }.to_bytes(), &targets(query.port, &query.reach));
    let mut found = Found::default();
    let mut end = Instant::now() + timeout;
    let mut buf = [0; DATAGRAM_MAX];
    while found.answers.len() + found.ignored.len() < ANSWERS_MAX {
        let left = end.saturating_duration_since(Instant::now());
        // A datagram that arrived in time counts even if a busy host kept us from reading it.
        let is_over = left.is_zero();
        if is_over {
            socket.set_nonblocking(true)?;
        } else {
            socket.set_read_timeout(Some(left))?;
        }
        // Errors are those of the network (nobody listens there), or the timeout, which the clock shows.
        let (n, from) = match socket.recv_from(&mut buf) {
            Ok(received) => received,
            Err(_) if is_over => break,
            Err(_) => continue,
        };
        // What these hosts send counts for nothing, also not against the number of answers.
        if !query.reach.allow.admits(from.ip()) {
            debug!("an answer of {from} ignored: not in --allow");
            if is_over {
                break;
            }
            continue;
        }
        let had_none = found.best.is_none();
        found.take(query, version, from, buf.get(..n).unwrap_or_default());
        if let (true, Some(_), Some(grace)) = (had_none, &found.best, grace) {
            end = end.min(Instant::now() + grace);
        }
    }
    Ok(found)
}

impl Found {
    /// Evaluates one datagram.
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

/// Compares without case. The answer's netname may have been truncated by its format.
fn same_netname(answered: &Text, asked: &Text, format: ReplyFormat) -> bool {
    let kept = match format {
        ReplyFormat::Short => 14,
        ReplyFormat::Little32 => 18,
        ReplyFormat::Little268 | ReplyFormat::Big268 => 254,
    };
    let asked = asked.as_bytes();
    answered.as_bytes().eq_ignore_ascii_case(asked.get(..kept).unwrap_or(asked))
}

/// The responder's thread.
fn respond(socket: &UdpSocket, own: &Identity, allow: &Allow, events: &Sender<DiscoveryEvent>, stopped: &Wakeup) {
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
            Ok((_, from)) if !allow.admits(from.ip()) => debug!("a datagram of {from} ignored: not in --allow"),
            Ok((n, from)) => handle_datagram(socket, own, events, from, buf.get(..n).unwrap_or_default()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => {
                warn!("discovery socket: {e}");
                thread::sleep(ERROR_PAUSE);
            }
        }
    }
}

/// Handles one datagram. An answer that cannot be sent is lost, like any datagram: the client asks again.
fn handle_datagram(
    socket: &UdpSocket,
    own: &Identity,
    events: &Sender<DiscoveryEvent>,
    from: SocketAddr,
    bytes: &[u8],
) {
    match Datagram::parse(bytes) {
        Some(Datagram::Query { version }) => {
            let reply = Reply::to(version, own.version.number(), own.start_time, own.netname.clone());
            let Some(reply) = reply else { return };
            let _ = socket.send_to(&Datagram::Reply(reply).to_bytes(), from);
            let _ = events.try_send(DiscoveryEvent::Query { from, version: version.into() });
        }
        Some(Datagram::Announce(announce)) => {
            let identity = Identity {
                version: Version::new(announce.version.into()),
                start_time: announce.start_time,
                netname: announce.netname,
            };
            let defeats_us = defeats(&identity, own);
            let _ = events.try_send(DiscoveryEvent::Announcement { from, identity, defeats_us });
        }
        _ => debug!("no use for a datagram of {} bytes from {from}", bytes.len()),
    }
}

/// A socket that can broadcast.
fn broadcaster() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(false)?;
    Ok(socket)
}

/// Sends a datagram to all targets.
fn broadcast(socket: &UdpSocket, bytes: &[u8], targets: &[SocketAddr]) {
    for target in targets {
        if let Err(e) = socket.send_to(bytes, target) {
            debug!("cannot broadcast to {target}: {e}");
        }
    }
}

/// The broadcast addresses of all devices, or of one, that are up and neither loopback nor point-to-point; with both
/// ports if there is a pair.
fn targets(port: u16, reach: &Reach) -> Vec<SocketAddr> {
    let addresses = if reach.loopback_only {
        vec![Ipv4Addr::LOCALHOST]
    } else {
        broadcast_addresses(getifaddrs().into_iter().flatten(), reach)
    };
    let twin = match reach.twin_ports {
        Some((a, b)) if a == port => Some(b),
        Some((a, b)) if b == port => Some(a),
        _ => None,
    };
    let ports = || [Some(port), twin].into_iter().flatten();
    addresses.into_iter().flat_map(|address| ports().map(move |port| (address, port).into())).collect()
}

/// The broadcast addresses of `entries`, without duplicates.
fn broadcast_addresses(entries: impl Iterator<Item = InterfaceAddress>, reach: &Reach) -> Vec<Ipv4Addr> {
    let is_wanted = |device: &str| reach.device.as_ref().is_none_or(|wanted| wanted == device);
    let unwanted = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_POINTOPOINT;
    let wanted = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_BROADCAST;
    let mut addresses: Vec<Ipv4Addr> = entries
        // Another address of a device may have a label like `eth0:1`.
        .filter(|entry| entry.interface_name.split(':').next().is_some_and(is_wanted))
        .filter(|entry| entry.flags.contains(wanted) && !entry.flags.intersects(unwanted))
        .filter_map(|entry| {
            let [address, mask, broadcast] = [entry.address?, entry.netmask?, entry.broadcast?]
                .map(|address| address.as_sockaddr_in().map(SockaddrIn::ip));
            reach.allow.meets(address?, mask?).then_some(broadcast?)
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests;
