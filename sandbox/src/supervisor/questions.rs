//! What a job asks the submitter, within bounds.

use super::Refusal;
use crate::channel;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often a job may ask.
pub const QUESTIONS_MAX: u32 = 64;
/// How long its questions may wait for their answers, all together.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer in a packet. Longer ones come in sealed memory beside an empty one.
pub const PACKET_MAX: usize = 1 << 16;
/// Longest answer.
const ANSWER_MAX: usize = 16 << 20;

/// The way to the submitter, and what is left of a job's bounds.
pub(super) struct Questions {
    socket: OwnedFd,
    left: u32,
    patience: Duration,
}

impl Questions {
    pub(super) const fn new(socket: OwnedFd) -> Self {
        Self { socket, left: QUESTIONS_MAX, patience: PATIENCE }
    }

    /// Asks what is known of `path`. The answer is for the oracle. The job's owner hangs up when he wants no more of it.
    pub(super) fn ask(&mut self, path: &[u8], owner: BorrowedFd<'_>) -> Result<Vec<u8>, Refusal> {
        let named = String::from_utf8_lossy(path);
        let refuse = |why: String| Refusal(format!("{why} ({named})"));
        self.left = self.left.checked_sub(1).ok_or_else(|| refuse(format!("more than {QUESTIONS_MAX} questions")))?;
        let lost = |e| refuse(format!("nobody answers questions: {e}"));
        channel::send(self.socket.as_fd(), path, &[]).map_err(lost)?;
        let asked = Instant::now();
        let answered = wait(&self.socket, owner, self.patience);
        self.patience = self.patience.saturating_sub(asked.elapsed());
        if !answered {
            return Err(refuse(format!("no answers within {PATIENCE:?}")));
        }
        let packet = channel::receive(self.socket.as_fd(), PACKET_MAX).map_err(lost)?;
        let answer = match packet.fds.into_iter().next() {
            Some(memory) => channel::read_sealed(memory, ANSWER_MAX).map_err(lost)?,
            None => packet.bytes,
        };
        if answer.is_empty() || packet.cut { Err(refuse("the submitter does not tell".to_owned())) } else { Ok(answer) }
    }
}

/// Waits for an answer. `false`: there was none in time, or nobody waits for the job any more.
fn wait(socket: &OwnedFd, owner: BorrowedFd<'_>, patience: Duration) -> bool {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(owner, PollFlags::empty())];
    // No interruption can occur, as all signals are blocked.
    let answered = poll(&mut fds, timeout).is_ok_and(|ready| ready > 0);
    answered && fds.get(1).and_then(PollFd::revents).is_none_or(|gone| gone.is_empty())
}
