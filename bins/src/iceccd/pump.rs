//! Moves a running job's data: source from the client into the compiler, its texts into memory, its end out.
//!
//! One thread, one `poll`. The client is read only while nothing waits for the compiler, so a slow compiler slows its client
//! down and costs no memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ice_core::message::Message;
use ice_net::compress::Unpacker;
use ice_net::error::ConnError;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::launcher::{Ended, LaunchError, RunningJob};
use super::orders::{Mail, Mailbox, Order};
use super::outcome::{Collected, code};
use super::spool::Spool;
use super::worker::Client;

/// How long a client may say nothing before its END.
const INPUT: Duration = Duration::from_secs(60);
/// How long a client may take to say the rest after the compiler has ended: it still holds the slot.
const REST: Duration = Duration::from_secs(300);
/// How long the compiler's texts may take to end after it has: nothing of it lives any more.
const DRAIN: Duration = Duration::from_secs(5);
/// Messages, pieces of the source and of texts that are dealt with before orders and the job's end are looked at again: whoever
/// makes them fast enough would keep us from both.
const ROUND: usize = 64;
/// Wanted size of the pipe to the compiler, so that it seldom waits for us.
const PIPE: i32 = 1 << 20;

/// Why a job is ended before its compiler is.
#[derive(Debug)]
pub enum Abort {
    /// Nothing came for [`INPUT`].
    Late,
    /// The client is gone or broke the protocol.
    Lost(ConnError),
    /// Another message than a chunk or END before END.
    Protocol,
    /// A message after END.
    Cancelled,
    /// A chunk that cannot be unpacked, or a spool that cannot be kept.
    Damaged(String),
    /// The loop says so.
    Ordered,
    /// The system failed us.
    System(io::Error),
}

impl Abort {
    /// For JOB_DONE.
    pub fn code(&self) -> i32 {
        match self {
            Self::Cancelled => code::CANCELLED,
            Self::System(_) => code::GENERAL,
            _ => code::IO,
        }
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("timeout while reading preprocessed file"),
            Self::Lost(ConnError::Closed) => f.write_str("unexpected EOF while reading preprocessed file"),
            Self::Lost(error) => write!(f, "client lost: {error}"),
            Self::Protocol => f.write_str("protocol error while reading preprocessed file"),
            Self::Cancelled => f.write_str("client cancelled"),
            Self::Damaged(reason) => write!(f, "damaged preprocessed file: {reason}"),
            Self::Ordered => f.write_str("the daemon stops"),
            Self::System(error) => write!(f, "cannot serve the compiler: {error}"),
        }
    }
}

/// The source on its way.
pub struct Feed {
    /// Bytes of the job's own description.
    header: usize,
    spool: Spool,
    unpacker: Unpacker,
    /// Unpacked, and how much of it the compiler has got.
    plain: Vec<u8>,
    taken: usize,
    ended: bool,
    compressed: u64,
    uncompressed: u64,
}

impl Feed {
    /// Nothing yet, for a job whose header takes so many bytes.
    pub fn new(spool: Spool, header: usize) -> Self {
        Self {
            header,
            spool,
            unpacker: Unpacker::new(),
            plain: Vec::new(),
            taken: 0,
            ended: false,
            compressed: 0,
            uncompressed: 0,
        }
    }

    /// Whether the client is not to be read now.
    pub fn is_full(&self) -> bool {
        self.spool.is_full()
    }

    /// What is kept in memory, for the account of its client.
    pub fn kept(&self) -> usize {
        self.header + self.spool.in_memory() + self.plain.capacity()
    }

    /// Bytes as they came.
    pub fn compressed(&self) -> u64 {
        self.compressed
    }

    /// Bytes of source.
    pub fn uncompressed(&self) -> u64 {
        self.uncompressed
    }

    /// Takes what is there and finds room in the spool. `true`: there may be more.
    pub fn receive_waiting(&mut self, client: &mut Client) -> Result<bool, Abort> {
        for _ in 0..ROUND {
            if self.is_full() || !self.receive_ready(client)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes one message if one is there.
    fn receive_ready(&mut self, client: &mut Client) -> Result<bool, Abort> {
        let Some(message) = client.try_recv().map_err(Abort::Lost)? else { return Ok(false) };
        match message {
            _ if self.ended => Err(Abort::Cancelled),
            Message::End => {
                self.ended = true;
                Ok(true)
            }
            Message::FileChunk(chunk) => {
                self.compressed += chunk.data.len() as u64;
                self.uncompressed += u64::from(chunk.plain_len);
                self.spool.push(chunk).map_err(|e| Abort::Damaged(e.to_string()))?;
                Ok(true)
            }
            _ => Err(Abort::Protocol),
        }
    }

    /// What the compiler shall get next; empty if nothing is there now, or was in so many chunks.
    fn next(&mut self) -> Result<&[u8], Abort> {
        for _ in 0..ROUND {
            if self.taken < self.plain.len() {
                break;
            }
            self.plain.clear();
            self.taken = 0;
            let Some(chunk) = self.spool.pop().map_err(|e| Abort::Damaged(e.to_string()))? else { break };
            self.unpacker.unpack(&chunk, &mut self.plain).map_err(|e| Abort::Damaged(e.to_string()))?;
        }
        Ok(self.plain.get(self.taken..).unwrap_or_default())
    }

    /// The compiler reads no more: what comes is thrown away.
    fn drop_pending(&mut self) {
        self.plain = Vec::new();
        self.taken = 0;
        while matches!(self.spool.pop(), Ok(Some(_))) {}
    }

    fn has_pending(&self) -> bool {
        self.taken < self.plain.len() || !self.spool.is_empty()
    }
}

/// Our ends of the compiler's pipes.
pub struct Pump {
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
}

/// How the compiler ended, and what it said.
pub type Done = (Result<Ended, LaunchError>, Collected, Collected);

impl Pump {
    /// Makes the pipes; the compiler's ends are its stdin, stdout and stderr.
    pub fn new() -> io::Result<(Self, [OwnedFd; 3])> {
        let (stdin, to_compiler) = pipe()?;
        let (from_stdout, stdout) = pipe()?;
        let (from_stderr, stderr) = pipe()?;
        // A smaller pipe works too.
        let _ = fcntl(&to_compiler, FcntlArg::F_SETPIPE_SZ(PIPE));
        for fd in [&to_compiler, &from_stdout, &from_stderr] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let pump = Self {
            stdin: Some(to_compiler.into()),
            stdout: Some(from_stdout.into()),
            stderr: Some(from_stderr.into()),
        };
        Ok((pump, [stdin, stdout, stderr]))
    }

    /// Runs until the compiler has ended, its texts are read and the client has sent its END. On abort the job is killed.
    pub fn run(
        mut self,
        job: RunningJob,
        client: &mut Client,
        feed: &mut Feed,
        mailbox: &Mailbox,
    ) -> Result<Done, Abort> {
        let mut texts = (Collected::default(), Collected::default());
        let mut job = Some(job);
        let mut ended: Option<(Result<Ended, LaunchError>, Instant)> = None;
        let mut last_input = Instant::now();
        let mut reads_client = false;
        loop {
            if let Mail::Order(Order::Kill) | Mail::Gone = mailbox.look() {
                return Err(Abort::Ordered);
            }
            self.feed_compiler(feed)?;
            read_text(&mut self.stdout, &mut texts.0)?;
            read_text(&mut self.stderr, &mut texts.1)?;
            if let Some(waited) = job.as_ref().map(|j| j.wait(Duration::ZERO)) {
                match waited {
                    Ok(None) => {}
                    Ok(Some(end)) => ended = Some((Ok(end), Instant::now())),
                    Err(error) => ended = Some((Err(error), Instant::now())),
                }
                if ended.is_some() {
                    job = None;
                    self.stdin = None;
                    continue;
                }
            }
            let read_before = std::mem::replace(&mut reads_client, !feed.has_pending());
            if reads_client {
                if !read_before {
                    client.resume();
                }
                let mut came = 0;
                while came < ROUND && !feed.has_pending() && feed.receive_ready(client)? {
                    came += 1;
                }
                if came > 0 {
                    last_input = Instant::now();
                    continue;
                }
            } else {
                last_input = Instant::now();
            }
            if let Some((_, at)) = &ended {
                let drained = self.stdout.is_none() && self.stderr.is_none() || at.elapsed() > DRAIN;
                if drained && feed.ended {
                    break;
                }
            }
            let late = ended.as_ref().is_some_and(|(_, at)| at.elapsed() > REST);
            if !feed.ended && (last_input.elapsed() > INPUT || late) {
                return Err(Abort::Late);
            }
            client.keeps(feed.kept());
            let mut fds = vec![PollFd::new(mailbox.as_fd(), PollFlags::POLLIN)];
            if reads_client {
                fds.push(PollFd::new(client.as_fd(), PollFlags::POLLIN));
            } else {
                // Only its hang-up is of interest now.
                fds.push(PollFd::new(client.as_fd(), PollFlags::from_bits_retain(libc::POLLRDHUP)));
            }
            fds.extend(job.as_ref().map(|j| PollFd::new(j.as_fd(), PollFlags::POLLIN)));
            fds.extend(self.wanted(feed).map(|(fd, flags)| PollFd::new(fd, flags)));
            let next = if ended.is_some() { DRAIN } else { INPUT } + Duration::from_millis(10);
            poll(&mut fds, next)?;
            if !reads_client && fds.get(1).and_then(PollFd::revents).is_some_and(|r| !r.is_empty()) {
                return Err(Abort::Lost(ConnError::Closed));
            }
        }
        let (stdout, stderr) = texts;
        match ended {
            Some((end, _)) => Ok((end, stdout, stderr)),
            None => Err(Abort::Ordered),
        }
    }

    /// What of the compiler's pipes is to be polled.
    fn wanted(&self, feed: &Feed) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let stdin = self.stdin.as_ref().filter(|_| feed.has_pending()).map(|f| (f.as_fd(), PollFlags::POLLOUT));
        let texts = [&self.stdout, &self.stderr].into_iter().flatten().map(|f| (f.as_fd(), PollFlags::POLLIN));
        stdin.into_iter().chain(texts)
    }

    /// Writes as much as the compiler takes now; closes its input after the last byte.
    fn feed_compiler(&mut self, feed: &mut Feed) -> Result<(), Abort> {
        let Some(stdin) = &mut self.stdin else {
            feed.drop_pending();
            return Ok(());
        };
        for _ in 0..ROUND {
            let next = feed.next()?;
            if next.is_empty() {
                break;
            }
            match stdin.write(next) {
                Ok(n) => feed.taken += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // It reads no more. The client must be able to finish writing all the same.
                Err(_) => {
                    self.stdin = None;
                    feed.drop_pending();
                    return Ok(());
                }
            }
        }
        // Also when the round ends with the last byte: nothing would wake us for one more.
        if feed.ended && !feed.has_pending() {
            self.stdin = None;
        }
        Ok(())
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Reads some of what is there; at the end the pipe is closed.
fn read_text(pipe: &mut Option<File>, text: &mut Collected) -> Result<(), Abort> {
    let Some(file) = pipe else { return Ok(()) };
    let mut buffer = [0; 8192];
    for _ in 0..ROUND {
        match file.read(&mut buffer) {
            Ok(0) => {
                *pipe = None;
                return Ok(());
            }
            Ok(n) => text.add(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Abort::System(e)),
        }
    }
    Ok(())
}

fn poll(fds: &mut [PollFd<'_>], timeout: Duration) -> Result<(), Abort> {
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    match nix::poll::poll(fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(e) => Err(Abort::System(e.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::iceccd::worker::Told;
    use crossbeam::channel::{Receiver, bounded};
    use ice_core::message::{Chunk, Codec};
    use ice_core::version::Version;
    use ice_net::deadline::{Deadline, Step};
    use ice_net::dial;
    use ice_net::hub::{Hub, HubConfig, HubEvent, PeerHandler, Verdict};
    use ice_net::listen::Listener;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_text_without_end_is_left_for_a_while() {
        let (from, to) = pipe().unwrap();
        fcntl(&from, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        if fcntl(&to, FcntlArg::F_SETPIPE_SZ(PIPE)).is_err() {
            return; // no room for so much
        }
        File::from(to).write_all(&vec![b'x'; PIPE as usize]).unwrap();
        let (mut pipe, mut text) = (Some(File::from(from)), Collected::default());
        let mut rounds = 0;
        while pipe.is_some() {
            read_text(&mut pipe, &mut text).unwrap();
            rounds += 1;
        }
        assert!(rounds > 1);
    }

    #[test]
    fn source_that_unpacks_to_nothing_is_left_for_a_while() {
        let mut spool = Spool::new(&std::env::temp_dir(), &Arc::default(), "");
        for _ in 0..=ROUND {
            let data = zstd::bulk::compress(b"", 1).unwrap();
            spool.push(Chunk { plain_len: 0, codec: Codec::Zstd, data }).unwrap();
        }
        let mut feed = Feed::new(spool, 0);
        assert!(feed.next().unwrap().is_empty() && feed.has_pending());
        assert!(feed.next().unwrap().is_empty() && !feed.has_pending());
    }

    #[test]
    fn the_input_ends_with_the_last_byte_of_a_round() {
        let mut spool = Spool::new(&std::env::temp_dir(), &Arc::default(), "");
        for _ in 0..ROUND {
            let data = zstd::bulk::compress(b"x", 1).unwrap();
            spool.push(Chunk { plain_len: 1, codec: Codec::Zstd, data }).unwrap();
        }
        let mut feed = Feed::new(spool, 0);
        feed.ended = true;
        let (mut pump, [stdin, ..]) = Pump::new().unwrap();
        pump.feed_compiler(&mut feed).unwrap();
        assert!(pump.stdin.is_none());
        let mut text = Vec::new();
        File::from(stdin).read_to_end(&mut text).unwrap();
        assert_eq!(text, [b'x'; ROUND]);
    }

    /// Reads when everything is there.
    struct Reader(Receiver<()>);

    impl PeerHandler<Told> for Reader {
        fn said(&mut self, _: Message, client: &mut Client) -> Verdict {
            self.0.recv_timeout(LONG).unwrap();
            let mut feed = Feed::new(Spool::new(&std::env::temp_dir(), &Arc::default(), ""), 0);
            let rounds = std::iter::from_fn(|| feed.receive_waiting(client).unwrap().then_some(())).count();
            Verdict::Close(format!("{rounds} rounds"))
        }
    }

    #[test]
    fn a_client_that_says_nothing_without_end_is_left_for_a_while() {
        let (hub, events) = Hub::<Told>::new(HubConfig::default()).unwrap();
        let listener = Listener::tcp(0).unwrap();
        let port = listener.port();
        let (sent, told) = bounded(1);
        hub.listen(listener, Version::TO_CLIENT, Arc::new(move |_, _| Some(Box::new(Reader(told.clone()))))).unwrap();
        let deadline = Deadline::after(Step::Send, LONG);
        let mut client = dial::tcp("127.0.0.1", port, Version::TO_CLIENT, deadline).unwrap();
        let nothing = Message::FileChunk(Chunk { plain_len: 0, codec: Codec::Zstd, data: Vec::new() });
        client.send_all(&vec![nothing; 1 + 2 * ROUND], deadline).unwrap();
        sent.send(()).unwrap();
        let reason = loop {
            if let HubEvent::Closed { reason, .. } = events.recv_timeout(LONG).unwrap() {
                break reason;
            }
        };
        assert_eq!(reason.to_string(), "2 rounds");
        hub.shutdown(LONG);
    }
}
