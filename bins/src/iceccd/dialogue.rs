//! What the dialogues of jobs of text and of files have in common: waiting for whoever has something to say, sending files,
//! and words for the log.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use ice_core::limits::{CHUNK_PLAIN, SEND};
use ice_core::message::Message;
use ice_core::server::{Failure, code};
use ice_core::time::Instant as CoreInstant;
use ice_launcher::LaunchError;
use ice_net::compress::Packer;
use ice_net::deadline::{Deadline, Step};
use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::orders::Mailbox;
use super::shared::Client;

/// 128 + TERM, as 1.4 logs it when the client goes away.
const ABORTED: i32 = 143;
/// Messages of a result that leave in one write: those of a small object. A write costs more than to pack one.
const TOGETHER: usize = 4;

/// The time of a job's machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What it shows.
    pub fn now(self) -> CoreInstant {
        CoreInstant::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// Waits until the client, the mailbox or one of the others has something, or this time has come. `true`: a client that is not to
/// be read has hung up.
pub fn wait<'a>(
    client: &'a Client,
    mailbox: &'a Mailbox,
    is_read: bool,
    others: impl IntoIterator<Item = (BorrowedFd<'a>, PollFlags)>,
    (clock, until): (Clock, Option<CoreInstant>),
) -> io::Result<bool> {
    // Of a client that is not read only its hang-up is of interest.
    let of_client = if is_read { PollFlags::POLLIN } else { PollFlags::from_bits_retain(libc::POLLRDHUP) };
    let mut fds = vec![PollFd::new(client.as_fd(), of_client), PollFd::new(mailbox.as_fd(), PollFlags::POLLIN)];
    fds.extend(others.into_iter().map(|(fd, flags)| PollFd::new(fd, flags)));
    let timeout = match until.map(|at| at.since(clock.now())) {
        // Rounded up: a millisecond too early would be a useless round.
        Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
        None => PollTimeout::NONE,
    };
    match nix::poll::poll(&mut fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(e) => return Err(e.into()),
    }
    Ok(!is_read && fds.first().and_then(PollFd::any).unwrap_or(false))
}

/// A result on its way to the client.
pub struct Delivery<'a> {
    client: &'a mut Client,
    packer: Packer,
    messages: Vec<Message>,
    /// By when the client has to have read it.
    until: (Clock, Option<CoreInstant>),
}

impl<'a> Delivery<'a> {
    /// Begins with a message; files are compressed at this level.
    pub fn begin(client: &'a mut Client, level: i32, first: Message, until: (Clock, Option<CoreInstant>)) -> Self {
        Self { client, packer: Packer::new(level), messages: vec![first], until }
    }

    /// Sends all that can be read, in pieces, and its end.
    pub fn stream(&mut self, mut content: impl Read) -> Result<(), String> {
        let mut plain = vec![0; CHUNK_PLAIN];
        loop {
            let mut filled = 0;
            while let Some(room) = plain.get_mut(filled..).filter(|r| !r.is_empty()) {
                match content.read(room).map_err(|e| format!("cannot read the object: {e}"))? {
                    0 => break,
                    n => filled += n,
                }
            }
            if filled == 0 {
                return self.say(Message::End);
            }
            let version = self.client.version();
            let packed = self.packer.pack(plain.get(..filled).unwrap_or_default(), version);
            self.say(Message::FileChunk(packed.map_err(|e| e.to_string())?))?;
        }
    }

    /// Sends what is left.
    pub fn end(mut self) -> Result<(), String> {
        self.send()
    }

    fn say(&mut self, message: Message) -> Result<(), String> {
        self.messages.push(message);
        if self.messages.len() < TOGETHER { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<(), String> {
        if self.until.1.is_some_and(|until| until <= self.until.0.now()) {
            return Err("cannot send the result: it was not read in time".to_owned());
        }
        let messages = std::mem::take(&mut self.messages);
        if messages.is_empty() {
            return Ok(());
        }
        let sent = self.client.send_all(&messages, Deadline::after(Step::Send, SEND));
        sent.map_err(|e| format!("cannot send the result: {e}"))
    }
}

/// A failure of the launcher, as the job's.
pub fn failure_of(error: LaunchError) -> Failure {
    let text = crate::exit::chain(&error);
    match error {
        LaunchError::NotStarted { .. } => Failure::Environment(format!("compiler did not start: {text}")),
        _ => Failure::Launcher(text),
    }
}

/// Says in the log why a job that ran has no result.
pub fn log_failure(failure: &Failure) {
    match failure {
        Failure::Environment(_) | Failure::Command(_) | Failure::Launcher(_) | Failure::Files(_) => warn!("{failure}"),
        Failure::NoResult { exit, reason } => {
            warn!("Remote compilation aborted with exit code {}: {reason}", exit.status());
        }
        _ => {
            warn!("{failure}");
            warn!("Remote compilation aborted with exit code {ABORTED}");
        }
    }
}

/// Says in the log how a job ended.
pub fn log_result(status: i32, out_of_memory: u32) {
    match (status, out_of_memory) {
        (0, _) => info!("Remote compilation completed with exit code 0"),
        (status, 0) => warn!("Remote compilation exited with exit code {status}"),
        (status @ code::OUT_OF_MEMORY, _) => {
            warn!("Remote compilation failed, presumably because of running out of memory or disk (exit code {status})")
        }
        (status, _) => warn!("Remote compilation aborted with exit code {status}: it was killed"),
    }
}
