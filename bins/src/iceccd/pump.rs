//! Copies a running job's data: source from its client into the compiler, its texts out of it. What that means is decided by
//! [`Serving`].

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ice_core::message::Message;
use ice_core::server::{Failure, Input, Serving, Stream};
use ice_core::time::Instant;
use ice_net::compress::Unpacker;
use ice_net::error::ConnError;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;

use super::shared::Client;
use super::spool::Spool;

/// Messages, pieces of the source and of texts that are dealt with before orders and the job's end are looked at again: whoever
/// makes them fast enough would keep us from both.
const ROUND: usize = 64;
/// Wanted size of the pipe to the compiler, so that it seldom waits for us.
const PIPE: i32 = 1 << 20;

/// The source on its way.
pub struct Feed {
    /// Bytes of the job's own description.
    header: usize,
    spool: Spool,
    unpacker: Unpacker,
    /// Unpacked, and how much of it the compiler has got.
    plain: Vec<u8>,
    taken: usize,
}

impl Feed {
    /// Nothing yet, for a job whose header takes so many bytes.
    pub fn new(spool: Spool, header: usize) -> Self {
        Self { header, spool, unpacker: Unpacker::new(), plain: Vec::new(), taken: 0 }
    }

    /// Keeps what is a part of the source until the compiler takes it. How the machine hears of a message.
    fn keep(&mut self, message: Message) -> Input<'static> {
        match message {
            Message::End => Input::End,
            Message::FileChunk(chunk) => {
                let (compressed, plain) = (chunk.data.len() as u64, u64::from(chunk.plain_len));
                match self.spool.push(chunk) {
                    Ok(()) => Input::Chunk { compressed, plain, has_room: !self.spool.is_full() },
                    Err(error) => Input::Failed(Failure::Damaged(error.to_string())),
                }
            }
            _ => Input::Other,
        }
    }

    /// What is kept in memory, for the account of its client.
    pub fn kept(&self) -> usize {
        self.header + self.spool.in_memory() + self.plain.capacity()
    }

    /// Whether the compiler has not got all of it.
    pub fn has_pending(&self) -> bool {
        self.taken < self.plain.len() || !self.spool.is_empty()
    }

    /// What the compiler shall get next; empty if nothing is there now, or was in so many chunks.
    fn next(&mut self) -> Result<&[u8], Failure> {
        for _ in 0..ROUND {
            if self.taken < self.plain.len() {
                break;
            }
            self.plain.clear();
            self.taken = 0;
            let Some(chunk) = self.spool.pop().map_err(|e| Failure::Damaged(e.to_string()))? else { break };
            self.unpacker.unpack(&chunk, &mut self.plain).map_err(|e| Failure::Damaged(e.to_string()))?;
        }
        Ok(self.plain.get(self.taken..).unwrap_or_default())
    }

    /// The compiler reads no more: what comes is thrown away.
    fn drop_pending(&mut self) {
        self.plain = Vec::new();
        self.taken = 0;
        while matches!(self.spool.pop(), Ok(Some(_))) {}
    }
}

/// Our ends of the compiler's pipes.
pub struct Pump {
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
}

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

    /// What is to be polled; `has_pending`: there is something for the compiler.
    pub fn wanted(&self, has_pending: bool) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let stdin = self.stdin.as_ref().filter(|_| has_pending).map(|f| (f.as_fd(), PollFlags::POLLOUT));
        let texts = [&self.stdout, &self.stderr].into_iter().flatten().map(|f| (f.as_fd(), PollFlags::POLLIN));
        stdin.into_iter().chain(texts)
    }

    /// The compiler's input ends.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Writes as much as the compiler takes now. If it reads no more, the client must be able to finish writing all the same.
    pub fn feed_compiler(&mut self, feed: &mut Feed) -> Result<(), Failure> {
        for _ in 0..ROUND {
            let Some(stdin) = &mut self.stdin else {
                feed.drop_pending();
                return Ok(());
            };
            let next = feed.next()?;
            if next.is_empty() {
                break;
            }
            match stdin.write(next) {
                Ok(n) => feed.taken += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.stdin = None,
            }
        }
        Ok(())
    }

    /// Hands over some of what the compiler wrote; `None` is the end of a text.
    pub fn read_texts(&mut self, mut to: impl FnMut(Stream, Option<&[u8]>)) -> io::Result<()> {
        read_text(&mut self.stdout, |read| to(Stream::Stdout, read))?;
        read_text(&mut self.stderr, |read| to(Stream::Stderr, read))
    }
}

/// Takes what the client has said and is wanted. `true`: something came.
pub fn hear(client: &mut Client, feed: &mut Feed, serving: &mut Serving, now: Instant) -> bool {
    let mut came = 0;
    while came < ROUND && serving.reads_client() {
        let input = match client.try_recv() {
            Ok(None) => break,
            Ok(Some(message)) => feed.keep(message),
            Err(ConnError::Closed) => Input::Failed(Failure::ClientGone),
            Err(error) => Input::Failed(Failure::ClientLost(error.to_string())),
        };
        serving.handle(now, input);
        came += 1;
    }
    came > 0
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Reads some of what is there; at the end the pipe is closed.
fn read_text(pipe: &mut Option<File>, mut to: impl FnMut(Option<&[u8]>)) -> io::Result<()> {
    let Some(file) = pipe else { return Ok(()) };
    let mut buffer = [0; 8192];
    for _ in 0..ROUND {
        match file.read(&mut buffer) {
            Ok(0) => {
                *pipe = None;
                to(None);
                return Ok(());
            }
            Ok(n) => to(Some(buffer.get(..n).unwrap_or_default())),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::iceccd::shared::Told;
    use crossbeam::channel::{Receiver, bounded};
    use ice_core::codec::Codec;
    use ice_core::message::Chunk;
    use ice_core::version::Version;
    use ice_net::deadline::{Deadline, Step};
    use ice_net::dial;
    use ice_net::hub::{Hub, HubConfig, HubEvent, PeerHandler, Verdict};
    use ice_net::listen::Listener;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_text_without_end_is_left_for_a_while() {
        let (from, to) = pipe().unwrap();
        fcntl(&from, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        if fcntl(&to, FcntlArg::F_SETPIPE_SZ(PIPE)).is_err() {
            return; // no room for so much
        }
        File::from(to).write_all(&vec![b'x'; PIPE as usize]).unwrap();
        let mut pipe = Some(File::from(from));
        let mut rounds = 0;
        while pipe.is_some() {
            read_text(&mut pipe, |_| ()).unwrap();
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
    fn nothing_is_left_after_the_last_byte_of_a_round() {
        let mut spool = Spool::new(&std::env::temp_dir(), &Arc::default(), "");
        for _ in 0..ROUND {
            let data = zstd::bulk::compress(b"x", 1).unwrap();
            spool.push(Chunk { plain_len: 1, codec: Codec::Zstd, data }).unwrap();
        }
        let mut feed = Feed::new(spool, 0);
        let (mut pump, [stdin, ..]) = Pump::new().unwrap();
        pump.feed_compiler(&mut feed).unwrap();
        assert!(!feed.has_pending(), "nothing would wake us for one more");
        pump.close_input();
        let mut text = Vec::new();
        File::from(stdin).read_to_end(&mut text).unwrap();
        assert_eq!(text, [b'x'; ROUND]);
    }

    #[test]
    fn what_a_compiler_that_reads_no_more_gets_is_thrown_away() {
        let mut feed = Feed::new(Spool::new(&std::env::temp_dir(), &Arc::default(), ""), 0);
        let (mut pump, [stdin, ..]) = Pump::new().unwrap();
        drop(stdin);
        for _ in 0..2 {
            for _ in 0..3 {
                let data = zstd::bulk::compress(b"x", 1).unwrap();
                feed.spool.push(Chunk { plain_len: 1, codec: Codec::Zstd, data }).unwrap();
            }
            pump.feed_compiler(&mut feed).unwrap();
            assert!(!feed.has_pending());
        }
    }

    /// Reads when everything is there.
    struct Reader(Receiver<()>);

    impl PeerHandler<Told> for Reader {
        fn message(&mut self, _: Message, client: &mut Client) -> Verdict {
            self.0.recv_timeout(LONG).unwrap();
            let mut feed = Feed::new(Spool::new(&std::env::temp_dir(), &Arc::default(), ""), 0);
            let mut serving = Serving::new(client.version());
            let rounds =
                std::iter::from_fn(|| hear(client, &mut feed, &mut serving, Instant::ZERO).then_some(())).count();
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
