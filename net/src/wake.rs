//! Waking a thread that sleeps in `poll`, by a pair of sockets: one is polled, the other written.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::poll::PollFlags;

use crate::deadline::Deadline;
use crate::error::ConnError;
use crate::stream::Stream;

/// Creates both ends.
pub fn pair() -> io::Result<(Waker, Wakeup)> {
    let (a, b) = UnixStream::pair()?;
    Ok((Waker(Stream::Unix(a)), Wakeup(Stream::Unix(b))))
}

/// Wakes the owner of the [`Wakeup`].
#[derive(Debug)]
pub struct Waker(Stream);

impl Waker {
    /// Wakes it, now or at its next sleep. Never waits: if there is no room, it has been woken already.
    pub fn wake(&self) {
        let _ = self.0.write_now(&[1]);
    }
}

/// The end to poll for reading. It is also readable when the [`Waker`] is gone.
#[derive(Debug)]
pub struct Wakeup(Stream);

impl Wakeup {
    /// Clears all wake-ups so far, so that the next wait sleeps.
    pub fn clear(&self) {
        let mut sink = [0; 64];
        while matches!(self.0.read_now(&mut sink), Ok(Some(n)) if n == sink.len()) {}
    }

    /// Waits until woken.
    pub fn wait(&self, deadline: &Deadline) -> Result<(), ConnError> {
        self.0.wait(PollFlags::POLLIN, deadline)
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use nix::poll::{PollFd, PollTimeout, poll};

    use super::*;
    use crate::deadline::Step;

    /// Whether a wait would end at once.
    pub(crate) fn is_woken(wakeup: &Wakeup) -> bool {
        poll(&mut [PollFd::new(wakeup.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() > 0
    }

    #[test]
    fn wake_ups_are_there_until_they_are_forgotten() {
        let (waker, wakeup) = pair().unwrap();
        assert!(!is_woken(&wakeup));
        let soon = Deadline::after(Step::Message, Duration::from_millis(1));
        assert!(matches!(wakeup.wait(&soon), Err(ConnError::TimedOut { .. })));
        for times in [1, 64, 65, 1000] {
            (0..times).for_each(|_| waker.wake());
            assert!(is_woken(&wakeup));
            wakeup.wait(&Deadline::never(Step::Message)).unwrap();
            wakeup.clear();
            assert!(!is_woken(&wakeup), "{times}");
        }
        drop(waker);
        assert!(is_woken(&wakeup));
    }
}
