//! Sockets to accept on.
//!
//! A [`Listener`] is one bound socket; the [`hub`](crate::hub) accepts on it, with caps. Binding again after a failure is the program's.

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

/// Connections that may wait to be accepted, as 1.4 has it.
const BACKLOG: i32 = 1024;

/// Why there is nothing to accept on.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The port cannot be had. With [`io::ErrorKind::AddrInUse`] it may be worth another try.
    #[error("cannot listen on {address}")]
    Bind {
        /// Address and port.
        address: SocketAddr,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The device does not exist or has no IPv4 address.
    #[error("No IP address found for interface \"{0}\"")]
    NoAddress(String),
    /// Somebody accepts on that path already.
    #[error("another process listens on {}", .0.display())]
    InUse(PathBuf),
    /// Something else than a socket is there.
    #[error("{} is in the way: it is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The path is longer than [`UNIX_PATH_MAX`].
    #[error("socket path {} is longer than {} bytes", .0.display(), UNIX_PATH_MAX)]
    PathTooLong(PathBuf),
    /// The socket file cannot be made.
    #[error("cannot listen on {}", path.display())]
    Unix {
        /// The path.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

/// A bound socket. A unix one removes its file when it is dropped, if the file is still its own.
#[derive(Debug)]
pub struct Listener {
    socket: Listening,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix { socket: UnixListener, path: PathBuf, inode: Option<u64> },
}

impl Listener {
    /// Accepts on every address of the host, IPv4 and IPv6 by one socket, IPv4 alone where the host has no IPv6. Port 0 = any free one.
    pub fn tcp(port: u16) -> Result<Self, ListenError> {
        match Self::tcp_at((Ipv6Addr::UNSPECIFIED, port).into()) {
            Err(ListenError::Bind { source, .. }) if lacks_ipv6(&source) => {
                Self::tcp_at((Ipv4Addr::UNSPECIFIED, port).into())
            }
            other => other,
        }
    }

    /// Accepts on one address.
    pub fn tcp_at(address: SocketAddr) -> Result<Self, ListenError> {
        let socket = bind_tcp(address).map_err(|source| ListenError::Bind { address, source })?;
        Ok(Self { socket: Listening::Tcp(TcpListener::from(OwnedFd::from(socket))) })
    }

    /// Accepts on a device's first IPv4 address, and by a second socket on the loopback address unless that is the same.
    pub fn tcp_on(device: &str, port: u16) -> Result<Vec<Self>, ListenError> {
        let address = device_address(device)?;
        let first = Self::tcp_at((address, port).into())?;
        if address.is_loopback() {
            return Ok(vec![first]);
        }
        let port = first.port();
        Ok(vec![first, Self::tcp_at((Ipv4Addr::LOCALHOST, port).into())?])
    }

    /// Accepts on a socket file of this mode. A stale file is replaced; one that somebody accepts on is left alone.
    pub fn unix(path: &Path, mode: u32) -> Result<Self, ListenError> {
        if path.as_os_str().as_bytes().len() > UNIX_PATH_MAX {
            return Err(ListenError::PathTooLong(path.to_path_buf()));
        }
        clear_path(path)?;
        let (socket, inode) =
            bind_unix(path, mode).map_err(|source| ListenError::Unix { path: path.to_path_buf(), source })?;
        Ok(Self { socket: Listening::Unix { socket, path: path.to_path_buf(), inode } })
    }

    /// The port; 0 for unix sockets.
    pub fn port(&self) -> u16 {
        match &self.socket {
            Listening::Tcp(s) => s.local_addr().map_or(0, |a| a.port()),
            Listening::Unix { .. } => 0,
        }
    }

    /// Waits for the next connection; an error after [`Listener::shutdown`].
    pub(crate) fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Listening::Tcp(s) => s.accept().map(|(socket, peer)| Stream::Tcp { socket, peer: Some(peer) }),
            Listening::Unix { socket, .. } => Ok(Stream::Unix(socket.accept()?.0)),
        }
    }

    /// Accepts no more: wakes who waits in [`Listener::accept`].
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

/// The first IPv4 address of a device.
pub fn device_address(device: &str) -> Result<Ipv4Addr, ListenError> {
    let none = || ListenError::NoAddress(device.to_owned());
    getifaddrs()
        .map_err(|_| none())?
        .filter(|entry| entry.interface_name == device)
        .find_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()))
        .ok_or_else(none)
}

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

/// Whether the host has no IPv6, as opposed to a port that is taken.
fn lacks_ipv6(error: &io::Error) -> bool {
    use nix::errno::Errno;
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EPROTONOSUPPORT | Errno::EINVAL | Errno::ENOPROTOOPT)
    )
}

/// Removes a socket file that nobody accepts on.
fn clear_path(path: &Path) -> Result<(), ListenError> {
    let Ok(file) = fs::symlink_metadata(path) else { return Ok(()) };
    if !file.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_path_buf()));
    }
    // Only a refusal proves that its owner is gone: a full queue or a missing right does not.
    match UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| ListenError::Unix { path: path.to_path_buf(), source })
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(ListenError::InUse(path.to_path_buf())),
    }
}

/// Binds, sets the mode, and only then listens, so that nobody connects by the wrong rights.
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
