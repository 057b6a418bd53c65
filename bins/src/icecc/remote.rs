//! The shell of [`Submission`]: one thread polls daemon, compile server and preprocessor, and carries out what the machine says.

use super::arrivals::Arrivals;
use super::budget::Budget;
use super::output::{Target, print};
use super::preprocess::Preprocessor;
use super::probe::Probe;
use super::task::Task;
use super::usage::Usage;
use super::{environment::Archives, local, variables};
use ice_core::client::{End, File, Input, Output, Packing, Request, Submission, Trouble};
use ice_core::cmdline::{Family, Mode, RemoteJob};
use ice_core::limits;
use ice_core::message::{CompileFile, CompileResult, EnvTarget, Message};
use ice_core::text::Text;
use ice_core::time::Instant as CoreInstant;
use ice_core::version::Version;
use ice_net::compress::Packer;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial;
use ice_net::error::ConnError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// After a failed preprocessor a server is waited for only that long. One that comes is told of the job and left at once, as
/// 1.4's client does and monitors know it.
const FAILED_PREPROCESSOR_WAIT: Duration = Duration::from_millis(300);
/// The first pieces of the source are small, so that the compiler begins while the preprocessor still works; later ones are
/// larger than 1.4's 100,000 bytes, for the ratio.
const PIECE_FIRST: usize = limits::CHUNK_PLAIN / 4;
const PIECE_MAX: usize = limits::CHUNK_PLAIN * 2;
/// Patience of a connection to a compile server.
const DIAL: Duration = Duration::from_secs(10);

/// How the attempt ended.
pub(super) enum Outcome {
    /// With this exit status.
    Done(i32),
    /// It must be compiled here.
    Local(Trouble, Text),
    /// The text with macros left in it is not right for a compile server: once more, with all macros expanded here.
    ExpandHere,
}

/// Tries to have `job` compiled elsewhere. The daemon's connection stays with the caller, to be ended or closed.
pub(super) fn run(
    task: &Task,
    job: &RemoteJob,
    mode: Mode,
    request: Request,
    archives: &mut Archives,
    daemon: &mut Conn,
    test_socket: Option<&Path>,
) -> Outcome {
    let preprocessor = match Preprocessor::start(task, job, mode) {
        Ok(preprocessor) => preprocessor,
        Err(err) => {
            log::warn!("cannot start the preprocessor: {err}");
            return Outcome::Local(Trouble::NoPreprocessor, Text::new());
        }
    };
    let clock = Instant::now();
    let flow = Flow {
        task,
        job,
        mode,
        archives,
        daemon,
        daemon_open: true,
        test_socket,
        server: None,
        preprocessor,
        packer: Packer::new(variables::compression_level()),
        submission: Submission::new(CoreInstant::ZERO, request),
        clock,
        streaming: false,
        piece: PIECE_FIRST,
        source_time: Budget::new(Submission::source_patience()),
        last_piece: None,
        probe: None,
        arrivals: Arrivals::default(),
        failed_since: None,
        ran_here: None,
    };
    flow.run()
}

struct Flow<'a> {
    task: &'a Task,
    job: &'a RemoteJob,
    mode: Mode,
    archives: &'a mut Archives,
    daemon: &'a mut Conn,
    daemon_open: bool,
    test_socket: Option<&'a Path>,
    server: Option<Conn>,
    preprocessor: Preprocessor,
    packer: Packer,
    submission: Submission,
    clock: Instant,
    /// The job's header is sent, the source is on its way.
    streaming: bool,
    /// How much of it makes the next message.
    piece: usize,
    /// How long the server may let us wait with it.
    source_time: Budget,
    /// The end of it, which leaves together with END.
    last_piece: Option<Message>,
    probe: Option<Probe>,
    arrivals: Arrivals,
    failed_since: Option<Instant>,
    /// What the scheduler wanted to be compiled here.
    ran_here: Option<local::Ran>,
}

impl Flow<'_> {
    fn run(mut self) -> Outcome {
        loop {
            while let Some(output) = self.submission.poll_output() {
                if let Some(outcome) = self.perform(output) {
                    return outcome;
                }
            }
            if let Some(why) = self.preprocessor.expand_here() {
                log::debug!("{why}: expanding macros here");
                return Outcome::ExpandHere;
            }
            if let Err(err) = self.step() {
                log::warn!("cannot read the preprocessor: {err}");
                self.handle(Input::Failed(Trouble::SourceUnreadable));
            }
        }
    }

    fn now(&self) -> CoreInstant {
        CoreInstant::from_micros(u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.submission.handle(now, input);
    }

    fn perform(&mut self, output: Output) -> Option<Outcome> {
        match output {
            Output::Daemon(message) => self.tell_daemon(&message),
            Output::Inspect(path) => {
                let name = self.archives.take_native(&path);
                self.handle(Input::Archive(name));
            }
            Output::Dial { host, port } => self.dial(&host, port),
            Output::SendEnvironment { platform, target, packing } => {
                log::info!("<Transfer Environment>");
                let start = Instant::now();
                let input = match self.send_environment(&platform, target, packing) {
                    Ok(()) => Input::EnvironmentSent,
                    Err(trouble) => Input::Failed(trouble),
                };
                log::info!("</Transfer Environment: {}ms>", start.elapsed().as_millis());
                self.handle(input);
            }
            Output::Server(message) => {
                let trouble = match message {
                    Message::VerifyEnv(_) => Trouble::NoEnvironment,
                    _ => Trouble::SourceNotSent,
                };
                let messages: Vec<Message> = self.last_piece.take().into_iter().chain([message]).collect();
                if self.tell_source(&messages).is_err() {
                    self.server_failed(trouble);
                }
            }
            Output::SendSource(header) => self.begin_source(*header),
            Output::Leave(words) => self.leave_server(&words),
            Output::Receive(file) => {
                let target = match file {
                    File::Object => Target::object(self.job),
                    File::Dwo => Target::dwo(self.job),
                };
                let received = self.server.as_mut().ok_or(Trouble::ObjectCut);
                let received = received.and_then(|server| self.arrivals.receive(server, target));
                let input = match received {
                    Ok(()) => Input::Received,
                    Err(trouble) => Input::Failed(trouble),
                };
                self.handle(input);
            }
            Output::Probe { patience } => {
                let server = self.submission.server();
                let probe = Probe::start(&server.host.lossy(), server.port, patience);
                match probe {
                    Ok(probe) => self.probe = Some(probe),
                    Err(err) => {
                        log::warn!("compile server does not answer: {err}");
                        self.handle(Input::Probed { alive: false });
                    }
                }
            }
            Output::CompileHere => self.compile_here(),
            Output::End(end) => return Some(self.finish(*end)),
        }
        None
    }

    fn tell_daemon(&mut self, message: &Message) {
        if let Message::CompileFile(_) = message {
            log::info!("building myself, but telling localhost");
        }
        if self.daemon.send(message, Deadline::after(Step::Send, limits::SEND)).is_err() {
            self.daemon_open = false;
            self.handle(Input::DaemonClosed);
        }
    }

    fn tell_source(&mut self, messages: &[Message]) -> Result<(), ConnError> {
        tell(&mut self.server, messages, &mut self.source_time)
    }

    fn dial(&mut self, host: &Text, port: u16) {
        let server = self.submission.server();
        log::info!(
            "Have to use host {host}:{port} - Job ID: {} - env: {} - has env: {} - match j: {}",
            server.job,
            server.host_platform,
            server.env_present != 0,
            server.matched_job
        );
        let deadline = Deadline::after(Step::Connect, DIAL + limits::HANDSHAKE);
        match dial::tcp(&host.lossy(), port, Version::TO_CLIENT, deadline) {
            Ok(conn) => {
                let (version, offer) = (conn.version(), conn.peer_offer());
                self.server = Some(conn);
                self.handle(Input::Connected { version, offer });
            }
            Err(err) => {
                log::warn!("{}", crate::exit::chain(&err));
                self.handle(Input::Failed(Trouble::Unreachable));
            }
        }
    }

    /// Sends the archive as it is, in chunks. Meanwhile the preprocessor is kept going.
    fn send_environment(&mut self, platform: &Text, target: EnvTarget, packing: Packing) -> Result<(), Trouble> {
        let mut archive = match packing {
            Packing::AsItIs => self.archives.open(platform)?,
            Packing::Gzip => {
                log::info!("compile server takes no zstd, sending the environment as gzip");
                self.archives.open_gzip(self.test_socket)?
            }
        };
        let mut time = Budget::new(Submission::environment_patience());
        let mut messages = vec![Message::TransferEnv(target)];
        let mut piece = vec![0; limits::CHUNK_PLAIN];
        loop {
            let n = read_full(&mut archive, &mut piece).map_err(|_| Trouble::Archive)?;
            if n == 0 {
                messages.push(Message::End);
                return tell(&mut self.server, &messages, &mut time).map_err(|_| Trouble::EnvNotSent);
            }
            messages.push(self.chunk(piece.get(..n).unwrap_or_default()).ok_or(Trouble::EnvNotSent)?);
            tell(&mut self.server, &messages, &mut time).map_err(|_| Trouble::EnvNotSent)?;
            messages.clear();
            self.look_at_preprocessor().map_err(|_| Trouble::SourceUnreadable)?;
        }
    }

    fn chunk(&mut self, plain: &[u8]) -> Option<Message> {
        let version = self.server.as_ref()?.version();
        match self.packer.pack(plain, version) {
            Ok(chunk) => Some(Message::FileChunk(chunk)),
            Err(err) => {
                log::warn!("internal error: {}", crate::exit::chain(&err));
                None
            }
        }
    }

    /// The job's header, with what there is of the source in the same write. Without any the header goes alone: the server
    /// can start the compiler meanwhile.
    fn begin_source(&mut self, header: CompileFile) {
        let mut messages = vec![Message::CompileFile(header)];
        match self.preprocessor.spool.take(PIECE_MAX) {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => messages.extend(self.chunk(&bytes)),
            Err(_) => return self.handle(Input::Failed(Trouble::SourceUnreadable)),
        }
        self.streaming = true;
        if self.tell_source(&messages).is_err() {
            self.server_failed(Trouble::HeaderNotSent);
        }
    }

    /// The server does not read. Why may stand in its last words.
    fn server_failed(&mut self, trouble: Trouble) {
        self.hear_server();
        if self.submission.is_at_server() {
            self.handle(Input::Failed(trouble));
        }
    }

    /// The source was sent to nobody: it is made again for the next server.
    fn leave_server(&mut self, words: &Text) {
        log::info!("leaving the compile server, asking for another: {words}");
        self.server = None;
        self.probe = None;
        self.streaming = false;
        self.piece = PIECE_FIRST;
        self.last_piece = None;
        self.source_time = Budget::new(Submission::source_patience());
        self.preprocessor.stop();
        match Preprocessor::start(self.task, self.job, self.mode) {
            Ok(preprocessor) => self.preprocessor = preprocessor,
            Err(err) => {
                log::warn!("cannot start the preprocessor: {err}");
                self.handle(Input::Failed(Trouble::NoPreprocessor));
            }
        }
    }

    /// Sends a piece if there is enough for one or the source has ended, else waits for something to happen.
    fn step(&mut self) -> io::Result<()> {
        if self.streaming {
            let waiting = self.preprocessor.spool.len();
            match self.preprocessor.ended() {
                Some(true) if waiting <= PIECE_MAX as u64 => return self.end_source(),
                Some(false) => {
                    self.streaming = false;
                    self.handle(Input::SourceEnd { ok: false });
                    return Ok(());
                }
                Some(true) => return self.send_piece(),
                None if waiting >= self.piece as u64 => return self.send_piece(),
                None => {}
            }
        }
        self.wait()
    }

    fn send_piece(&mut self) -> io::Result<()> {
        let bytes = self.preprocessor.spool.take(self.piece)?;
        self.piece = (self.piece * 2).min(PIECE_MAX);
        let sent = self.chunk(&bytes).is_some_and(|chunk| self.tell_source(&[chunk]).is_ok());
        if !sent {
            self.server_failed(Trouble::SourceNotSent);
        }
        // The preprocessor shall not wait while the network is slow.
        self.look_at_preprocessor()
    }

    /// What is left leaves together with the END that the machine asks for.
    fn end_source(&mut self) -> io::Result<()> {
        self.streaming = false;
        let bytes = self.preprocessor.spool.take(PIECE_MAX)?;
        if !bytes.is_empty() {
            self.last_piece = self.chunk(&bytes);
            if self.last_piece.is_none() {
                self.handle(Input::Failed(Trouble::SourceNotSent));
                return Ok(());
            }
        }
        self.handle(Input::SourceEnd { ok: true });
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        let (daemon, server, probe, text, messages) = {
            let heard = self.server.as_ref().is_some_and(|server| server.has_buffered() || server.is_late());
            let timeout = if heard { PollTimeout::ZERO } else { self.timeout() };
            let (text, messages) = self.preprocessor.sources();
            let daemon = self.daemon_open.then(|| self.daemon.as_fd());
            let server = self.server.as_ref().map(AsFd::as_fd);
            let probe = self.probe.as_ref().map(AsFd::as_fd);
            let all = [daemon, server, probe, text, messages];
            let fds: Vec<BorrowedFd<'_>> = all.into_iter().flatten().collect();
            let mut ready = readable(&fds, timeout).into_iter();
            let [daemon, server, probe, text, messages] = all.map(|fd| fd.is_some() && ready.next().unwrap_or(false));
            (daemon, server || heard, probe, text, messages)
        };
        self.preprocessor.read(text, messages)?;
        if daemon {
            self.hear_daemon();
        }
        if server {
            self.hear_server();
        }
        self.look_at_probe(probe);
        if self.preprocessor.ended() == Some(false) && !self.streaming {
            let since = *self.failed_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= FAILED_PREPROCESSOR_WAIT {
                self.handle(Input::SourceEnd { ok: false });
            }
        }
        let now = self.now();
        self.submission.handle_timeout(now);
        Ok(())
    }

    fn timeout(&self) -> PollTimeout {
        let now = self.now();
        let machine = self.submission.poll_timeout().map(|at| at.since(now));
        let probe = self.probe.as_ref().map(Probe::left);
        let failed = (self.preprocessor.ended() == Some(false)).then_some(FAILED_PREPROCESSOR_WAIT);
        match machine.into_iter().chain(probe).chain(failed).min() {
            // Rounded up: a millisecond too early would be a useless round.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        }
    }

    /// Reads what the preprocessor has, without waiting.
    fn look_at_preprocessor(&mut self) -> io::Result<()> {
        loop {
            let (text, messages) = self.preprocessor.ready();
            if !text && !messages {
                return Ok(());
            }
            self.preprocessor.read(text, messages)?;
            if self.streaming && self.preprocessor.spool.len() >= self.piece as u64 {
                return Ok(());
            }
        }
    }

    fn hear_daemon(&mut self) {
        loop {
            match self.daemon.try_recv() {
                Ok(Some(message)) => self.handle(Input::Daemon(message)),
                Ok(None) => return,
                Err(_) => {
                    self.daemon_open = false;
                    return self.handle(Input::DaemonClosed);
                }
            }
        }
    }

    /// Takes messages until one starts a file: what follows that belongs to [`Arrivals`].
    fn hear_server(&mut self) {
        let Some(server) = &mut self.server else { return };
        match server.try_recv() {
            Ok(Some(message)) => self.handle(Input::Server(message)),
            Ok(None) => {}
            Err(err) => {
                log::warn!("compile server: {}", crate::exit::chain(&err));
                self.server = None;
                self.handle(Input::ServerClosed);
            }
        }
    }

    fn look_at_probe(&mut self, readable: bool) {
        let Some(probe) = &mut self.probe else { return };
        if let Some(alive) = probe.look(readable) {
            self.probe = None;
            if !alive {
                log::warn!("compile server shows no life");
            }
            self.handle(Input::Probed { alive });
        }
    }

    /// The scheduler chose this host: the user's own command is run, and counted.
    fn compile_here(&mut self) {
        self.preprocessor.stop();
        let before = Usage::of_children();
        let ran = local::run_child(self.task);
        let outputs = [Some(self.job.output.clone()), self.job.split_dwarf.then(|| self.job.dwo())];
        let stats = Usage::of_children().stats_since(&before, ran.real, outputs.into_iter().flatten());
        self.handle(Input::Compiled { status: ran.status, stats });
        self.ran_here = Some(ran);
    }

    fn finish(&mut self, end: End) -> Outcome {
        match end {
            End::Own { status } => {
                if let Some(ran) = &self.ran_here {
                    ran.end_alike();
                }
                Outcome::Done(status)
            }
            End::Local { trouble, host } => {
                self.arrivals.heed_signals();
                Outcome::Local(trouble, host)
            }
            End::Remote(result) => {
                let host = self.submission.server().host.clone();
                let said = self.said_before(&result);
                let Some(said) = said else { return Outcome::Local(Trouble::Messages, host) };
                if let Err(trouble) = self.arrivals.put_in_place(self.job, result.status) {
                    return Outcome::Local(trouble, host);
                }
                self.preprocessor.keep_dependencies();
                print(io::stderr(), &said);
                print(io::stdout(), result.stdout.as_bytes());
                print(io::stderr(), result.stderr.as_bytes());
                log::debug!("compiled on {host}, exit code {}", result.status);
                Outcome::Done(result.status)
            }
        }
    }

    /// What the preprocessor said and the compiler does not repeat. `None`: only a run of the plain command can put the two
    /// together as the user would see them.
    fn said_before(&self, result: &CompileResult) -> Option<Vec<u8>> {
        let said = &self.preprocessor.said;
        if self.job.family == Family::Gcc || self.mode == Mode::Full || said.is_empty() {
            return Some(said.clone());
        }
        // clang's text still has the directives, so `#warning` speaks again; only the count at the end differs.
        let text = without_count(said);
        result.stderr.as_bytes().windows(text.len().max(1)).any(|part| part == text).then(Vec::new)
    }
}

/// Sends to the server, if there is one, in the time that is left for such things.
fn tell(server: &mut Option<Conn>, messages: &[Message], time: &mut Budget) -> Result<(), ConnError> {
    let server = server.as_mut().ok_or(ConnError::Closed)?;
    let sent = time.spend(|deadline| server.send_all(messages, deadline));
    // It may have taken long, and meanwhile nothing was read.
    server.resume();
    sent
}

/// Messages of clang without the line that counts them.
fn without_count(said: &[u8]) -> &[u8] {
    let line = said.strip_suffix(b"\n").unwrap_or(said).rsplit(|&b| b == b'\n').next().unwrap_or_default();
    let is_count = line.ends_with(b" generated.") && line.first().is_some_and(u8::is_ascii_digit);
    let rest = if is_count { said.strip_suffix(b"\n").unwrap_or(said).strip_suffix(line) } else { None };
    rest.unwrap_or(said)
}

/// Waits until one of `fds` can be read or has ended; a signal ends the wait too.
pub(super) fn readable(fds: &[BorrowedFd<'_>], timeout: PollTimeout) -> Vec<bool> {
    if fds.is_empty() && timeout == PollTimeout::ZERO {
        return Vec::new();
    }
    let mut fds: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let _ = poll(&mut fds, timeout);
    fds.iter().map(|fd| fd.any().unwrap_or(false)).collect()
}

fn read_full(from: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while let Some(rest) = room.get_mut(n..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_left_out() {
        assert_eq!(without_count(b"a.c:1: warning: x\n1 warning generated.\n"), b"a.c:1: warning: x\n");
        assert_eq!(without_count(b"a.c:1: warning: x\n"), b"a.c:1: warning: x\n");
        assert_eq!(without_count(b""), b"");
    }
}
