//! Scripted peers on real sockets: daemons, monitors, text peers, clients, compile servers, schedulers, each of any
//! version, and started schedulers to try them on.
//!
//! Every wait has a bound, ports are free ones, programs are ended by their own number, and what fails says what it
//! waited for. It stands below `tests` and not in the library because it panics where a program must not, and so that a
//! change here builds no program anew; a test takes it by `mod fake;`, a benchmark by `#[path =
//! "../tests/fake/mod.rs"]`. It knows no test.

#![allow(dead_code, reason = "each test program uses another part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where its peer does not do what the script says"
)]

mod daemon;
mod datagram;
mod door;
mod monitor;
mod process;
mod remote;
mod scheduler;
mod text;

#[allow(unused_imports, reason = "as above")]
pub use daemon::{Answer, Daemon, Setup, ask, env};
#[allow(unused_imports, reason = "as above")]
pub use datagram::{Claim, announcement, answering, query};
#[allow(unused_imports, reason = "as above")]
pub use door::{Door, silent_port, unused_port};
#[allow(unused_imports, reason = "as above")]
pub use monitor::{Monitor, fields};
#[allow(unused_imports, reason = "as above")]
pub use process::{Ended, Process, children, processes_with, run};
#[allow(unused_imports, reason = "as above")]
pub use remote::{Client, CompileServer, Link, SchedulerDouble};
#[allow(unused_imports, reason = "as above")]
pub use scheduler::{Kind, Options, Scheduler, free_ports, run_to_end, scratch};
#[allow(unused_imports, reason = "as above")]
pub use text::TextPeer;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};

/// How long a peer waits for what the script says must come: long, since the machine may be busy; nothing waits that
/// long when all is well.
pub const LIMIT: Duration = Duration::from_secs(40);

/// A deadline for whatever comes next.
pub fn within(limit: Duration) -> Deadline {
    Deadline::after(Step::Message, limit)
}

/// A connection from one of this host's loopback addresses, before anything is said.
pub fn connect_from(from: Ipv4Addr, port: u16) -> TcpStream {
    connect_with(from, port, None)
}

/// The same with a bound on what the system takes in unread.
pub fn connect_with(from: Ipv4Addr, port: u16, unread_max: Option<usize>) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    if let Some(bytes) = unread_max {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    socket.bind(&SocketAddr::new(IpAddr::V4(from), 0).into()).unwrap();
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.connect_timeout(&to.into(), LIMIT).unwrap_or_else(|e| panic!("cannot connect to port {port}: {e}"));
    socket.into()
}

/// A connection after its handshake.
pub fn dial(from: Ipv4Addr, port: u16, offer: u32) -> Conn {
    shake_hands(connect_from(from, port), port, offer)
}

/// Shakes hands.
pub fn shake_hands(stream: TcpStream, port: u16, offer: u32) -> Conn {
    let deadline = Deadline::after(Step::Offer, LIMIT);
    Conn::establish(stream, Version::new(offer), deadline)
        .unwrap_or_else(|e| panic!("no handshake at {offer} on port {port}: {e}"))
}

/// A connection after its handshake, for bytes that are no message.
pub fn raw(port: u16, offer: u32) -> TcpStream {
    use std::io::{Read, Write};
    let mut stream = connect_from(Ipv4Addr::LOCALHOST, port);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut word = [0; 4];
    stream.write_all(&offer.to_le_bytes()).unwrap();
    stream.read_exact(&mut word).unwrap();
    let agreed = offer.min(u32::from_le_bytes(word));
    stream.write_all(&agreed.to_le_bytes()).unwrap();
    stream.read_exact(&mut word).unwrap();
    assert_eq!(u32::from_le_bytes(word), agreed);
    stream
}

/// Waits until something holds, looking often; false if it never did.
pub fn holds_within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    assert!(holds_within(LIMIT, holds), "not within {LIMIT:?}: {what}");
}
