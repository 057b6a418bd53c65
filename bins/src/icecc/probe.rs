//! Is the compile server still there? A second connection to its port must bring the first word of the handshake
//! (decision: silent-server). How long that may take, and how often it is asked, says `core/src/client/probing.rs`.

use ice_core::client::PROBE_CONNECT;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Bytes of an offer.
const OFFER: usize = 4;

/// A question that is on its way.
#[derive(Debug)]
pub(super) struct Probe {
    stream: TcpStream,
    end: Instant,
    missing: usize,
}

impl Probe {
    /// Connects; that and the answer may take `patience`.
    pub(super) fn start(host: &str, port: u32, patience: Duration) -> io::Result<Self> {
        let port = u16::try_from(port).map_err(io::Error::other)?;
        let address = (host, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
        let end = Instant::now() + patience;
        let stream = TcpStream::connect_timeout(&address, PROBE_CONNECT.min(patience))?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, end, missing: OFFER })
    }

    /// What is known now: alive, dead, or nothing yet.
    pub(super) fn look(&mut self, readable: bool) -> Option<bool> {
        let mut word = [0; OFFER];
        if readable {
            match self.stream.read(word.get_mut(..self.missing).unwrap_or_default()) {
                Ok(0) => return Some(false),
                Ok(n) => self.missing -= n.min(self.missing),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Some(false),
            }
        }
        match self.missing {
            0 => Some(true),
            _ => (Instant::now() >= self.end).then_some(false),
        }
    }

    /// Time left.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

impl AsFd for Probe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn an_offer_is_life_and_a_close_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = u32::from(listener.local_addr().unwrap().port());
        let patience = Duration::from_secs(60);
        let mut probe = Probe::start("127.0.0.1", port, patience).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        assert_eq!(probe.look(true), None);
        peer.write_all(&[44, 0, 0, 0]).unwrap();
        while probe.look(true).is_none() {}
        let mut probe = Probe::start("127.0.0.1", port, Duration::ZERO);
        assert!(probe.as_mut().is_err() || probe.unwrap().look(false) == Some(false));
        let mut probe = Probe::start("127.0.0.1", port, patience).unwrap();
        drop(listener);
        drop(peer);
        while probe.look(true).is_none() {}
    }
}
