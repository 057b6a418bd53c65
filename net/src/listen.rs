//! Listening sockets.
//!
//! A `Listener` is one bound socket; the [`hub`](crate::hub) accepts on it, with limits. The program decides whether
//! to bind again after a failure.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use thiserror::Error;

use crate::dial::UNIX_PATH_MAX;
use crate::stream::Stream;

/// Maximum number of connections waiting to be accepted, the same as 1.4's.
const BACKLOG: i32 = 1024;

/// Why a listener could not be created.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The port cannot be bound. After [`io::ErrorKind::AddrInUse`] another attempt may succeed.
    #[error("cannot listen on {address}")]
    Bind {
        /// Address and port.
        address: SocketAddr,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The device does not exist or has no IPv4 address.
    #[error("No IP address found for interface \"{0}\"")]
    NoAddress(String),
    /// Another process accepts on this path.
    #[error("another process listens on {}", .0.display())]
    InUse(PathBuf),
    /// The path exists and is not a socket.
    #[error("{} is in the way: it is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The path is longer than [`UNIX_PATH_MAX`].
    #[error("socket path {} is longer than {} bytes", .0.display(), UNIX_PATH_MAX)]
    PathTooLong(PathBuf),
    /// The socket file cannot be created.
    #[error("cannot listen on {}", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A bound socket. A Unix socket's file is removed when it is dropped, if the file is still its own.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    socket: Listening,
}

/// The kinds of listening sockets.
#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix { socket: UnixListener, path: PathBuf, inode: Option<u64> },
}

impl Listener {
    /// Listens on all addresses of the host: IPv4 and IPv6 by one socket, or IPv4 alone if the host has no IPv6. Port 0
    /// chooses a free one.
    pub fn tcp(port: u16) -> Result<Self, ListenError> {
        match Self::tcp_at((Ipv6Addr::UNSPECIFIED, port).into()) {
            Err(ListenError::Bind { source, .. }) if lacks_ipv6(&source) => {
                Self::tcp_at((Ipv4Addr::UNSPECIFIED, port).into())
            }
            other => other,
        }
    }

    /// Listens on one address.
    pub fn tcp_at(address: SocketAddr) -> Result<Self, ListenError> {
        let socket = bind_tcp(address).map_err(|source| ListenError::Bind { address, source })?;
        Ok(Self { socket: Listening::Tcp(TcpListener::from(OwnedFd::from(socket))) })
    }

    /// Listens on a network device's first IPv4 address and, by a second socket, on the loopback address unless that is
    /// the same.
    pub fn tcp_on(device: &str, port: u16) -> Result<Vec<Self>, ListenError> {
        let address = device_address(device)?;
        let first = Self::tcp_at((address, port).into())?;
        if address.is_loopback() {
            return Ok(vec![first]);
        }
        let port = first.port();
        Ok(vec![first, Self::tcp_at((Ipv4Addr::LOCALHOST, port).into())?])
    }

    /// Listens on a Unix socket with this file mode. A stale file is replaced; one on which somebody accepts is not.
    pub fn unix(path: &Path, mode: u32) -> Result<Self, ListenError> {
        if path.as_os_str().as_bytes().len() > UNIX_PATH_MAX {
            return Err(ListenError::PathTooLong(path.to_path_buf()));
        }
        clear_path(path)?;
        let (socket, inode) =
            bind_unix(path, mode).map_err(|source| ListenError::Unix { path: path.to_path_buf(), source })?;
        Ok(Self { socket: Listening::Unix { socket, path: path.to_path_buf(), inode } })
    }

    /// The port; 0 for Unix sockets.
    pub fn port(&self) -> u16 {
        match &self.socket {
            Listening::Tcp(s) => s.local_addr().map_or(0, |a| a.port()),
            Listening::Unix { .. } => 0,
        }
    }

    /// Waits for the next connection. Fails after [`Listener::shutdown`].
    pub(crate) fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Listening::Tcp(s) => s.accept().map(|(socket, peer)| Stream::Tcp { socket, peer: Some(peer) }),
            Listening::Unix { socket, .. } => Ok(Stream::Unix(socket.accept()?.0)),
        }
    }

    /// Stops accepting; a thread that waits in [`Listener::accept`] wakes up.
    pub(crate) fn shutdown(&self) {
        let _ = match &self.socket {
            Listening::Tcp(s) => SockRef::from(s).shutdown(Shutdown::Both),
            Listening::Unix { socket, .. } => SockRef::from(socket).shutdown(Shutdown::Both),
        };
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listening::Unix { path, inode: Some(own), .. } = &self.socket {
            if fs::symlink_metadata(path).is_ok_and(|file| file.ino() == *own) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The first IPv4 address of a network device.
pub fn device_address(device: &str) -> Result<Ipv4Addr, ListenError> {
    let none = || ListenError::NoAddress(device.to_owned());
    getifaddrs()
        .map_err(|_| none())?
        .filter(|entry| entry.interface_name == device)
        .find_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()))
        .ok_or_else(none)
}

/// Binds a TCP socket and listens.
fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Whether the host has no IPv6, rather than that the port is in use.
fn lacks_ipv6(error: &io::Error) -> bool {
    use nix::errno::Errno;
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::ENOPROTOOPT)
    )
}

/// Removes a socket file on which nobody accepts.
fn clear_path(path: &Path) -> Result<(), ListenError> {
    let Ok(file) = fs::symlink_metadata(path) else { return Ok(()) };
    if !file.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_path_buf()));
    }
    // Only a refused connection proves that its owner is gone; a full queue or a missing permission does not.
    match UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| ListenError::Unix { path: path.to_path_buf(), source })
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(ListenError::InUse(path.to_path_buf())),
    }
}

/// Binds, sets the mode and only then listens, so that nobody can connect before the mode is right.
fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, Option<u64>)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    let inode = fs::symlink_metadata(path).ok().map(|file| file.ino());
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok((UnixListener::from(OwnedFd::from(socket)), inode))
}

#[cfg(test)]
mod tests;
