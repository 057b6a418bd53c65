//! Streams that delay, cut and corrupt data, for tests.
//!
//! Faults are injected between two streams, without test code in the streams' users: `link` creates two ends whose
//! data passes through `Faulty` in each direction.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use crate::stream::Stream;

/// The faults of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Delay before each piece.
    pub delay: Duration,
    /// Maximum bytes of one piece; 0: unlimited.
    pub piece: usize,
    /// The connection ends after this many bytes.
    pub cut_after: Option<u64>,
    /// All bits of the byte at this offset are inverted.
    pub garble_at: Option<u64>,
}

/// A writer that applies the faults of a [`Plan`].
#[derive(Debug)]
pub struct Faulty<W> {
    inner: W,
    plan: Plan,
    passed: u64,
}

impl<W: Write> Faulty<W> {
    /// Applies the faults to what is written to `inner`.
    pub fn new(inner: W, plan: Plan) -> Self {
        Self { inner, plan, passed: 0 }
    }

    /// Returns the wrapped writer.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for Faulty<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut size = bytes.len();
        if self.plan.piece > 0 {
            size = size.min(self.plan.piece);
        }
        if let Some(cut) = self.plan.cut_after {
            let left = cut.saturating_sub(self.passed);
            if left == 0 {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            size = size.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let mut piece = bytes.get(..size).unwrap_or(bytes).to_vec();
        let garbled = self.plan.garble_at.and_then(|at| usize::try_from(at.checked_sub(self.passed)?).ok());
        if let Some(byte) = garbled.and_then(|at| piece.get_mut(at)) {
            *byte = !*byte;
        }
        if !self.plan.delay.is_zero() {
            thread::sleep(self.plan.delay);
        }
        self.inner.write_all(&piece)?;
        self.passed += piece.len() as u64;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Creates two connected ends. Data written to the first passes the plan `there`, data written to the second the plan
/// `back`. The threads in between end with the connection.
///
/// # Errors
/// If the system has no descriptors or threads left.
pub fn link(there: Plan, back: Plan) -> io::Result<(Stream, Stream)> {
    let (near, near_inside) = UnixStream::pair()?;
    let (far, far_inside) = UnixStream::pair()?;
    pump(near_inside.try_clone()?, far_inside.try_clone()?, there)?;
    pump(far_inside, near_inside, back)?;
    Ok((near.into(), far.into()))
}

/// Starts a thread that copies `from` to `to` with faults.
fn pump(mut from: UnixStream, to: UnixStream, plan: Plan) -> io::Result<()> {
    let carry = move || {
        let mut faulty = Faulty::new(to, plan);
        let mut bytes = [0; 4096];
        let end = loop {
            match from.read(&mut bytes) {
                Ok(0) => break Shutdown::Write,
                Ok(n) if faulty.write_all(bytes.get(..n).unwrap_or_default()).is_ok() => {}
                _ => break Shutdown::Both,
            }
        };
        let _ = faulty.into_inner().shutdown(end);
        if end == Shutdown::Both {
            let _ = from.shutdown(end);
        }
    };
    thread::Builder::new().name("fault".into()).spawn(carry).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::{Deadline, Step};

    fn spoil(plan: Plan, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut faulty = Faulty::new(Vec::new(), plan);
        let whole = faulty.write_all(bytes).is_ok();
        (faulty.into_inner(), whole)
    }

    #[test]
    fn plans() {
        assert_eq!(spoil(Plan { piece: 2, ..Plan::default() }, b"abcde"), (b"abcde".to_vec(), true));
        assert_eq!(spoil(Plan { cut_after: Some(3), ..Plan::default() }, b"abcde"), (b"abc".to_vec(), false));
        let garble = Plan { piece: 1, garble_at: Some(2), ..Plan::default() };
        assert_eq!(spoil(garble, b"abc"), (vec![b'a', b'b', !b'c'], true));
    }

    #[test]
    fn what_waits_below_is_flushed() {
        let mut faulty = Faulty::new(io::BufWriter::new(Vec::new()), Plan::default());
        faulty.write_all(b"words").unwrap();
        assert_eq!(faulty.inner.get_ref(), b"");
        faulty.flush().unwrap();
        assert_eq!(faulty.inner.get_ref(), b"words");
    }

    /// A peer that has ended its direction can still receive.
    #[test]
    fn one_direction_may_end_before_the_other() {
        let (near, far) = link(Plan::default(), Plan::default()).unwrap();
        let long = Deadline::after(Step::Message, Duration::from_secs(3600));
        let mut received = [0; 10];
        near.write_all(b"words", &long).unwrap();
        assert_eq!(far.read(&mut received, &long).unwrap(), 5);
        near.shutdown_write();
        assert_eq!(far.read(&mut received, &long).unwrap(), 0);
        far.write_all(b"answer", &long).unwrap();
        assert_eq!(near.read(&mut received, &long).unwrap(), 6);
        assert!(received.starts_with(b"answer"));
        far.shutdown_write();
        assert_eq!(near.read(&mut received, &long).unwrap(), 0);
    }
}
