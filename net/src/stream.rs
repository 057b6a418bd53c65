//! A byte stream to a peer, TCP or a Unix socket, with deadlines.
//!
//! Sockets stay in blocking mode; each call decides whether it waits (`MSG_DONTWAIT`). So a reader can sleep in `recv`
//! while another thread writes without ever sleeping. An encrypted stream would be another variant here: only this
//! file, [`crate::dial`] and [`crate::listen`] know the socket type.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, getsockopt, recv, send, sockopt};
use socket2::{SockRef, TcpKeepalive};

use crate::allow::Allow;
use crate::deadline::Deadline;
use crate::error::ConnError;

/// Keepalive with 1.4's values (`net/PROTOCOL.md`, Transports): a vanished peer is detected after 36 s of silence …
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(27)).with_interval(Duration::from_secs(3)).with_retries(3);
/// … and after 9 s if it leaves data unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(9);

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// A TCP connection.
    Tcp {
        /// The socket.
        socket: TcpStream,
        /// The peer's address. It is stored at the start, as the system no longer knows it once the peer has gone.
        peer: Option<SocketAddr>,
    },
    /// A connection to a process of this host.
    Unix(UnixStream),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp { peer: stream.peer_addr().ok(), socket: stream }
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp { socket, .. } => socket.as_fd(),
            Self::Unix(s) => s.as_fd(),
        }
    }
}

impl Stream {
    /// Sets the options of all our connections: no delay, keepalive, a limit on unacknowledged data. Failures are
    /// ignored, as they only make a connection slower.
    pub fn tune(&self) {
        if let Self::Tcp { socket, .. } = self {
            let socket = SockRef::from(socket);
            let _ = socket.set_tcp_nodelay(true);
            let _ = socket.set_tcp_keepalive(&KEEPALIVE);
            let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
        }
    }

    /// Shuts down both directions at once and wakes all waiting threads. The descriptor stays open until its last owner
    /// is gone.
    pub fn shutdown(&self) {
        self.end(Shutdown::Both);
    }

    /// Shuts down our direction: the peer reads everything that was written, then the end.
    pub(crate) fn shutdown_write(&self) {
        self.end(Shutdown::Write);
    }

    /// The peer's address as text without port, IPv4-mapped ones dotted; empty for Unix sockets.
    pub fn peer_address(&self) -> String {
        self.peer().map_or_else(String::new, |a| address_text(a.ip()))
    }

    /// The peer's name in logs.
    pub fn peer_text(&self) -> String {
        if self.is_unix() { "local client".to_owned() } else { self.peer_address() }
    }

    /// Our own address as the peer sees it (unless it is translated); empty for Unix sockets.
    pub fn own_address(&self) -> String {
        match self {
            Self::Tcp { socket, .. } => socket.local_addr().map_or_else(|_| String::new(), |a| address_text(a.ip())),
            Self::Unix(_) => String::new(),
        }
    }

    /// The peer's port; 0 for Unix sockets.
    pub fn peer_port(&self) -> u16 {
        self.peer().map_or(0, |a| a.port())
    }

    /// Whether it is a Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// The path to which the peer connected; none if we connected, or by TCP.
    pub(crate) fn unix_path(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp { .. } => None,
            Self::Unix(s) => s.local_addr().ok()?.as_pathname().map(Path::to_path_buf),
        }
    }

    /// The user at the other end of a Unix socket, at the time of connecting.
    pub(crate) fn user(&self) -> Option<u32> {
        match self {
            Self::Tcp { .. } => None,
            Self::Unix(s) => getsockopt(s, sockopt::PeerCredentials).ok().map(|peer| peer.uid()),
        }
    }

    /// Reads at most `buf.len()` bytes; waits until there are some. 0: the peer's end.
    pub(crate) fn read(&self, buf: &mut [u8], deadline: &Deadline) -> Result<usize, ConnError> {
        if deadline.is_never() {
            return retry(|| recv(self.as_fd().as_raw_fd(), buf, MsgFlags::empty())).map_err(ConnError::io("read"));
        }
        loop {
            if let Some(n) = self.read_now(buf)? {
                return Ok(n);
            }
            self.wait(PollFlags::POLLIN, deadline)?;
        }
    }

    /// Reads available bytes without waiting. `None`: none yet; 0: the peer's end.
    pub(crate) fn read_now(&self, buf: &mut [u8]) -> Result<Option<usize>, ConnError> {
        match retry(|| recv(self.as_fd().as_raw_fd(), buf, MsgFlags::MSG_DONTWAIT)) {
            Ok(n) => Ok(Some(n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(ConnError::io("read")(e)),
        }
    }

    /// Writes as many bytes as there is room for, without waiting. 0: no room.
    pub(crate) fn write_now(&self, bytes: &[u8]) -> Result<usize, ConnError> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match retry(|| send(self.as_fd().as_raw_fd(), bytes, flags)) {
            Ok(n) => Ok(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(e) => Err(ConnError::io("write")(e)),
        }
    }

    /// Writes all of `bytes`.
    pub(crate) fn write_all(&self, mut bytes: &[u8], deadline: &Deadline) -> Result<(), ConnError> {
        while !bytes.is_empty() {
            let n = self.write_now(bytes)?;
            bytes = bytes.get(n..).unwrap_or_default();
            if !bytes.is_empty() {
                self.wait(PollFlags::POLLOUT, deadline)?;
            }
        }
        Ok(())
    }

    /// Waits until one of `flags`, an error or the end occurs.
    pub(crate) fn wait(&self, flags: PollFlags, deadline: &Deadline) -> Result<(), ConnError> {
        loop {
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ConnError::timed_out(deadline));
            }
            match poll(&mut [PollFd::new(self.as_fd(), flags)], poll_timeout(left)) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(ConnError::io("poll")(e.into())),
            }
        }
    }

    /// Shuts down one or both directions.
    fn end(&self, how: Shutdown) {
        // It makes no difference if the peer has ended it already.
        let _ = match self {
            Self::Tcp { socket, .. } => socket.shutdown(how),
            Self::Unix(s) => s.shutdown(how),
        };
    }

    /// Whether the peer may connect. This host may, also by its own address in a network. A peer whose address is no
    /// longer known may not, if there is a list of networks.
    pub(crate) fn is_admitted(&self, allow: &Allow) -> bool {
        let peer = self.peer().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        self.is_unix() || allow.admits(peer) || self.own_address() == address_text(peer)
    }

    /// The peer's address; `None` for Unix sockets.
    fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { peer, .. } => *peer,
            Self::Unix(_) => None,
        }
    }
}

/// An address as messages and logs show it: IPv4-mapped ones dotted, as 1.4 peers write and compare them
/// (decision: ipv6).
pub fn address_text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// The time left for `poll`, rounded up to avoid a busy loop in the last millisecond. `None`: unlimited.
pub(crate) fn poll_timeout(left: Option<Duration>) -> PollTimeout {
    match left {
        None => PollTimeout::NONE,
        Some(left) if left.is_zero() => PollTimeout::ZERO,
        Some(left) => {
            let ms = i32::try_from(left.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
        }
    }
}

/// Repeats a system call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_still_has_an_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let stream = Stream::Tcp { socket, peer: Some(peer) };
        // After a reset instead of a close the kernel no longer knows the peer.
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        stream
            .wait(PollFlags::POLLIN, &Deadline::after(crate::deadline::Step::Offer, Duration::from_secs(10)))
            .unwrap();
        assert_eq!((stream.peer_text().as_str(), stream.peer_port()), ("127.0.0.1", peer.port()));
        // A reset is an end like any other.
        assert!(matches!(stream.read_now(&mut [0]), Err(ConnError::Closed)));
        assert!(matches!(stream.write_now(&[0]), Err(ConnError::Closed)));
    }

    #[test]
    fn time_is_rounded_up_for_poll() {
        let ms = |ms: i32| PollTimeout::try_from(ms).unwrap();
        for (left, timeout) in [
            (None, PollTimeout::NONE),
            (Some(Duration::ZERO), PollTimeout::ZERO),
            (Some(Duration::from_nanos(1)), ms(1)),
            (Some(Duration::from_micros(1999)), ms(2)),
            (Some(Duration::from_millis(2)), ms(3)),
            (Some(Duration::from_secs(60)), ms(60_001)),
            (Some(Duration::MAX), PollTimeout::MAX),
        ] {
            assert_eq!(poll_timeout(left), timeout, "{left:?}");
        }
    }

    #[test]
    fn mapped_addresses_are_dotted() {
        for (address, text) in
            [("::ffff:10.1.2.3", "10.1.2.3"), ("10.1.2.3", "10.1.2.3"), ("fe80::1", "fe80::1"), ("::1", "::1")]
        {
            assert_eq!(address_text(address.parse().unwrap()), text);
        }
    }
}
