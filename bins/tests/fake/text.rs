//! A text peer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::scheduler::Scheduler;
use super::{LIMIT, connect_from};

/// A connection to the text port.
#[derive(Debug)]
pub struct TextPeer {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The two lines it was greeted with.
    pub greeting: String,
}

impl TextPeer {
    /// Connects and reads the greeting.
    #[track_caller]
    pub fn connect(scheduler: &Scheduler) -> Self {
        let mut peer = Self::connect_silently(scheduler);
        peer.greeting = peer.read_past("'quit' to quit.\n");
        peer
    }

    /// Connects and reads nothing.
    pub fn connect_silently(scheduler: &Scheduler) -> Self {
        let stream = connect_from(Ipv4Addr::LOCALHOST, scheduler.port + 1);
        Self { stream, buffer: Vec::new(), greeting: String::new() }
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }

    /// Says no more.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends a command and reads its answer, with the `200 done` that ends it.
    #[track_caller]
    pub fn command(&mut self, line: &str) -> String {
        self.send(&format!("{line}\n"));
        self.answer()
    }

    /// Reads one answer.
    #[track_caller]
    pub fn answer(&mut self) -> String {
        self.read_past("200 done\n")
    }

    /// Reads until this has come.
    #[track_caller]
    pub fn read_past(&mut self, mark: &str) -> String {
        match self.read_past_within(mark, LIMIT) {
            Ok(text) => text,
            Err(got) => panic!("{mark:?} did not come; got {got:?}"),
        }
    }

    /// Reads until this has come; what came instead if it does not.
    pub fn read_past_within(&mut self, mark: &str, limit: Duration) -> Result<String, String> {
        let end = Instant::now() + limit;
        loop {
            let at = self.buffer.windows(mark.len()).position(|w| w == mark.as_bytes());
            if let Some(at) = at {
                let rest = self.buffer.split_off(at + mark.len());
                return Ok(text(&std::mem::replace(&mut self.buffer, rest)));
            }
            match self.read_some(end) {
                Some(n) if n > 0 => {}
                _ => return Err(text(&self.buffer)),
            }
        }
    }

    /// Reads to the end; `None` if it does not come in time.
    pub fn read_to_end_within(&mut self, limit: Duration) -> Option<String> {
        let end = Instant::now() + limit;
        loop {
            match self.read_some(end) {
                None => return None,
                Some(0) => return Some(text(&std::mem::take(&mut self.buffer))),
                Some(_) => {}
            }
        }
    }

    /// Bytes read; 0 at the end, `None` when time is up.
    fn read_some(&mut self, end: Instant) -> Option<usize> {
        let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(n) => {
                self.buffer.extend_from_slice(piece.get(..n)?);
                Some(n)
            }
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => None,
            Err(_) => Some(0),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
