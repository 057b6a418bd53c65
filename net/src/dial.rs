//! Connecting to a peer, with one deadline for all steps.
//!
//! Host names are resolved on a thread of their own, because the system's resolver has no deadline. Addresses need no
//! resolver.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use ice_core::version::Version;
use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use crate::conn::{self, Conn};
use crate::deadline::{Deadline, Step};
use crate::error::ConnError;
use crate::handshake::HandshakeError;
use crate::stream::Stream;

/// Maximum length in bytes of a Unix socket's path.
pub const UNIX_PATH_MAX: usize = 107;
/// Maximum number of addresses of a host name that are tried.
const ADDRESSES_MAX: usize = 8;

/// The peer to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP port of a host, given by name or address (IPv6 without brackets).
    Tcp {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket of this host.
    Unix(PathBuf),
}

/// Why a connection could not be established.
#[derive(Debug, Error)]
pub enum DialError {
    /// The host name cannot be resolved.
    #[error("cannot find host {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's error.
        #[source]
        source: io::Error,
    },
    /// No address of the host accepts the connection.
    #[error("cannot connect to {target}")]
    Connect {
        /// Address and port, or path.
        target: String,
        /// The error of the last attempt.
        #[source]
        source: io::Error,
    },
    /// A step took too long.
    #[error("{step} of {target} did not come within {} s", limit.as_secs_f32())]
    TimedOut {
        /// Host and port, or path.
        target: String,
        /// What was waited for.
        step: Step,
        /// The time limit.
        limit: Duration,
    },
    /// The path is longer than [`UNIX_PATH_MAX`].
    #[error("socket path {} is longer than {} bytes", .0.display(), UNIX_PATH_MAX)]
    PathTooLong(PathBuf),
    /// The connection succeeded, but the handshake failed.
    #[error("{target} does not answer as icecream")]
    Handshake {
        /// Host and port, or path.
        target: String,
        /// The error of the handshake.
        #[source]
        source: ConnError,
    },
}

impl Target {
    /// Connects and performs the handshake within `deadline`.
    pub fn dial(&self, offer: Version, deadline: Deadline) -> Result<Conn, DialError> {
        match self {
            Self::Tcp { host, port } => tcp(host, *port, offer, deadline),
            Self::Unix(path) => unix(path, offer, deadline),
        }
    }

    /// Connects within `deadline`.
    pub(crate) fn connect(&self, deadline: Deadline) -> Result<Stream, DialError> {
        match self {
            Self::Tcp { host, port } => connect_tcp(host, *port, deadline),
            Self::Unix(path) => connect_unix(path, deadline),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } => f.write_str(&host_port_text(host, *port)),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Connects to a host (name, IPv4 or IPv6 address) and performs the handshake, all within `deadline`.
pub fn tcp(host: &str, port: u16, offer: Version, deadline: Deadline) -> Result<Conn, DialError> {
    let stream = connect_tcp(host, port, deadline)?;
    establish(stream, offer, deadline, || host_port_text(host, port))
}

/// Connects to a Unix socket and performs the handshake, all within `deadline`.
pub fn unix(path: &Path, offer: Version, deadline: Deadline) -> Result<Conn, DialError> {
    let stream = connect_unix(path, deadline)?;
    establish(stream, offer, deadline, || path.display().to_string())
}

/// Connects, reads the peer's offer and closes the connection. Success proves that the daemon itself is alive, not only
/// its host's kernel (decision: silent-server).
pub fn probe(host: &str, port: u16, deadline: Deadline) -> Result<Version, DialError> {
    let stream = connect_tcp(host, port, deadline)?;
    let failed = |source| DialError::Handshake { target: host_port_text(host, port), source };
    let deadline = deadline.for_step(Step::Offer);
    let word = conn::read_word(&stream, &deadline).map_err(failed)?;
    let offer = Version::new(u32::from_le_bytes(word));
    match Version::agree(Version::LOWEST, offer) {
        Some(_) => Ok(offer),
        None => Err(failed(HandshakeError::Offer(offer).into())),
    }
}

/// Splits `host`, `host:port`, `:port`, `[v6]` and `[v6]:port` at the last colon; a bare IPv6 address has no port. The
/// port's text is not checked.
pub fn split_host_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.rsplit_once(':') {
        // Two colons without brackets can only be an IPv6 address.
        Some((host, _)) if host.contains(':') && text.parse::<IpAddr>().is_ok() => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// Formats host and port for people, IPv6 addresses in brackets.
pub fn host_port_text(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Performs the handshake on a connected stream.
fn establish(
    stream: Stream,
    offer: Version,
    deadline: Deadline,
    target: impl FnOnce() -> String,
) -> Result<Conn, DialError> {
    Conn::establish(stream, offer, deadline).map_err(|source| DialError::Handshake { target: target(), source })
}

/// Resolves a host and connects.
fn connect_tcp(host: &str, port: u16, deadline: Deadline) -> Result<Stream, DialError> {
    connect_any(&resolve(host, port, deadline)?, deadline.for_step(Step::Connect), || host_port_text(host, port))
}

/// Connects to the first address that accepts. Each attempt may use its share of the time left.
fn connect_any(
    addresses: &[SocketAddr],
    deadline: Deadline,
    target: impl FnOnce() -> String,
) -> Result<Stream, DialError> {
    let mut last = None;
    for (i, address) in addresses.iter().enumerate() {
        let tried = match deadline.share(addresses.len() - i).left() {
            None => TcpStream::connect(address),
            Some(left) if left.is_zero() => break,
            Some(left) => TcpStream::connect_timeout(address, left),
        };
        match tried {
            Ok(tcp) => {
                let stream = Stream::from(tcp);
                stream.tune();
                return Ok(stream);
            }
            Err(e) => last = Some((address, e)),
        }
    }
    Err(match last {
        Some((address, source)) if source.kind() != io::ErrorKind::TimedOut => {
            DialError::Connect { target: address.to_string(), source }
        }
        _ => timed_out(target(), deadline),
    })
}

/// Connects to a Unix socket.
fn connect_unix(path: &Path, deadline: Deadline) -> Result<Stream, DialError> {
    let target = || path.display().to_string();
    let failed = |source: io::Error| match source.kind() {
        // The listener's queue was full during the whole timeout set below.
        io::ErrorKind::WouldBlock => timed_out(target(), deadline.for_step(Step::Connect)),
        _ => DialError::Connect { target: target(), source },
    };
    if path.as_os_str().as_bytes().len() > UNIX_PATH_MAX {
        return Err(DialError::PathTooLong(path.to_path_buf()));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    if let Some(left) = deadline.left() {
        socket.set_write_timeout(Some(left.max(Duration::from_millis(1)))).map_err(failed)?;
    }
    socket.connect(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
    socket.set_write_timeout(None).map_err(failed)?;
    Ok(Stream::Unix(UnixStream::from(std::os::fd::OwnedFd::from(socket))))
}

/// All addresses of `host`, IPv4 first, as 1.4 peers have no others.
fn resolve(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |source| DialError::Resolve { host: host.to_owned(), source };
    let (sender, receiver) = sync_channel(1);
    let name = host.to_owned();
    // A hanging resolver blocks only its own thread; its late answer goes to a channel that nobody reads.
    thread::Builder::new()
        .name("resolver".into())
        .spawn(move || {
            let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            let _ = sender.send(found);
        })
        .map_err(failed)?;
    let deadline = deadline.for_step(Step::Resolve);
    let found = match deadline.left() {
        None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(left) => receiver.recv_timeout(left),
    };
    let mut addresses = match found {
        Ok(found) => found.map_err(failed)?,
        Err(RecvTimeoutError::Timeout) => return Err(timed_out(host_port_text(host, port), deadline)),
        Err(RecvTimeoutError::Disconnected) => return Err(failed(io::ErrorKind::NotFound.into())),
    };
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(addresses) }
}

/// The error for a deadline that has passed.
fn timed_out(target: String, deadline: Deadline) -> DialError {
    DialError::TimedOut { target, step: deadline.step(), limit: deadline.limit().unwrap_or_default() }
}

#[cfg(test)]
mod tests;
