//! Whose process is at the other end of a local connection: it gets the user's sources, and what it answers lands in the build.

use ice_net::conn::Conn;
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Uid, User};
use socket2::SockRef;
use std::net::{IpAddr, SocketAddr};
use std::{fs, io};

use crate::background::DEFAULT_USER;

/// Below are accounts of services: a daemon started by root becomes one of them (`-u NAME`).
const FIRST_USER: u32 = 1000;
/// What a service without an account becomes; and who is not known in this user namespace.
const NOBODY: u32 = 65_534;
/// State of a connection in the kernel's tables.
const ESTABLISHED: &str = "01";

/// Why the other end is not taken for this host's daemon.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTrusted {
    /// Anybody may listen on a free port, or make a socket in a folder of his own.
    #[error("the process that answers belongs to uid {0}, an ordinary user")]
    OrdinaryUser(u32),
    /// The kernel's tables do not show it.
    #[error("nothing shows whose process answers")]
    Unknown,
    /// Nor can they be read.
    #[error("cannot find out whose process answers")]
    Unreadable(#[source] io::Error),
}

/// Whether root, we ourselves or a service is at the other end. To be asked after the handshake: until somebody has taken a
/// connection it counts as root's.
pub(super) fn check(conn: &Conn) -> Result<(), NotTrusted> {
    let uid = if conn.is_unix() { of_unix(conn)? } else { of_tcp(conn)? };
    if is_trusted(uid) { Ok(()) } else { Err(NotTrusted::OrdinaryUser(uid)) }
}

fn is_trusted(uid: u32) -> bool {
    let is_icecc = || User::from_name(DEFAULT_USER).ok().flatten().is_some_and(|user| user.uid.as_raw() == uid);
    uid < FIRST_USER || uid == NOBODY || uid == Uid::current().as_raw() || is_icecc()
}

fn of_unix(conn: &Conn) -> Result<u32, NotTrusted> {
    let peer = getsockopt(conn, sockopt::PeerCredentials).map_err(|e| NotTrusted::Unreadable(e.into()))?;
    Ok(peer.uid())
}

fn of_tcp(conn: &Conn) -> Result<u32, NotTrusted> {
    let socket = SockRef::from(conn);
    let ends = socket.local_addr().and_then(|own| Ok((socket.peer_addr()?.as_socket(), own.as_socket())));
    let (Some(peer), Some(own)) = ends.map_err(NotTrusted::Unreadable)? else { return Err(NotTrusted::Unknown) };
    let mut unreadable = None;
    // A listener for both families has its connections in the second one.
    for path in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        match fs::read_to_string(path) {
            Ok(table) => {
                if let Some(uid) = owner(&table, peer, own) {
                    return Ok(uid);
                }
            }
            Err(e) => unreadable = Some(e),
        }
    }
    Err(unreadable.map_or(NotTrusted::Unknown, NotTrusted::Unreadable))
}

/// The owner of the socket `here` that is connected to `there`. Sockets that no process holds any more have none: they would
/// count as root's.
fn owner(table: &str, here: SocketAddr, there: SocketAddr) -> Option<u32> {
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, remote, state, _, _, _, uid, _, inode, ..] = fields[..] else { return None };
        let ends = is_end(local, here) && is_end(remote, there);
        (ends && state == ESTABLISHED && inode != "0").then(|| uid.parse().ok())?
    })
}

/// Whether the kernel's spelling is that of this address, perhaps as a mapped one.
fn is_end(spelt: &str, end: SocketAddr) -> bool {
    let Some((ip, port)) = spelt.split_once(':') else { return false };
    if u16::from_str_radix(port, 16) != Ok(end.port()) {
        return false;
    }
    match end.ip() {
        IpAddr::V4(v4) => ip == hex(&v4.octets()) || ip == hex(&v4.to_ipv6_mapped().octets()),
        IpAddr::V6(v6) => ip == hex(&v6.octets()),
    }
}

/// Words of four bytes, each in the byte order of the machine.
fn hex(bytes: &[u8]) -> String {
    let word = |word: &[u8]| format!("{:08X}", word.try_into().map_or(0, u32::from_ne_bytes));
    bytes.chunks(4).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ice_core::version::Version;
    use ice_net::deadline::{Deadline, Step};
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn shake_hands(stream: impl Into<ice_net::stream::Stream>) -> Conn {
        let deadline = Deadline::after(Step::Connect, Duration::from_secs(60));
        Conn::establish(stream, Version::TO_CLIENT, deadline).unwrap()
    }

    #[test]
    fn the_kernel_tells_who_answers() {
        for ip in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            let Ok(listener) = TcpListener::bind((ip, 0)) else { continue };
            let port = listener.local_addr().unwrap().port();
            let served = std::thread::spawn(move || shake_hands(listener.accept().unwrap().0));
            let client = shake_hands(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
            let server = served.join().unwrap();
            assert_eq!(of_tcp(&client).unwrap(), Uid::current().as_raw());
            drop(server);
            assert!(matches!(of_tcp(&client), Err(NotTrusted::Unknown)), "nobody's socket");
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        let served = std::thread::spawn(move || shake_hands(theirs));
        assert_eq!(of_unix(&shake_hands(ours)).unwrap(), Uid::current().as_raw());
        drop(served.join());
    }

    #[test]
    fn a_socket_that_nobody_has_taken_is_not_roots() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
        assert_eq!(owner(&table, client.peer_addr().unwrap(), client.local_addr().unwrap()), None);
    }

    #[test]
    fn ordinary_users_are_not_trusted() {
        for uid in [0, 101, NOBODY, Uid::current().as_raw()] {
            assert!(is_trusted(uid), "{uid}");
        }
        assert!(!is_trusted(4_000_000_000));
    }
}
