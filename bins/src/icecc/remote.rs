//! The shell of [`Submission`]: one thread polls daemon, compile server and preprocessor, and carries out what the machine says.

use super::arrivals::Arrivals;
use super::budget::Budget;
use super::output::{Target, print};
use super::probe::Probe;
use super::source::{Next, Source};
use super::task::Task;
use super::usage::Usage;
use super::{environment::Archives, local};
use ice_core::client::{End, File, Input, Output, Packing, Request, Submission, Trouble};
use ice_core::cmdline::{Mode, RemoteJob};
use ice_core::limits;
use ice_core::message::{CompileFile, EnvTarget, Message};
use ice_core::text::Text;
use ice_core::time::Instant as CoreInstant;
use ice_core::version::Version;
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
    let source = match Source::start(task, job, mode) {
        Ok(source) => source,
        Err(err) => {
            log::warn!("cannot start the preprocessor: {err}");
            return Outcome::Local(Trouble::NoPreprocessor, Text::new());
        }
    };
    let clock = Instant::now();
    let flow = Flow {
        task,
        job,
        archives,
        daemon,
        daemon_open: true,
        test_socket,
        server: None,
        source,
        submission: Submission::new(CoreInstant::ZERO, request),
        clock,
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
    archives: &'a mut Archives,
    daemon: &'a mut Conn,
    daemon_open: bool,
    test_socket: Option<&'a Path>,
    server: Option<Conn>,
    source: Source<'a>,
    submission: Submission,
    clock: Instant,
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
            if let Some(why) = self.source.expand_here() {
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
                let messages: Vec<Message> = self.source.last_piece().into_iter().chain([message]).collect();
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
        tell(&mut self.server, messages, &mut self.source.time)
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
            let version = self.version().ok_or(Trouble::EnvNotSent)?;
            let chunk = self.source.pack(piece.get(..n).unwrap_or_default(), version);
            messages.push(chunk.ok_or(Trouble::EnvNotSent)?);
            tell(&mut self.server, &messages, &mut time).map_err(|_| Trouble::EnvNotSent)?;
            messages.clear();
            self.source.keep_going().map_err(|_| Trouble::SourceUnreadable)?;
        }
    }

    /// The version spoken with the server, if there is one.
    fn version(&self) -> Option<Version> {
        self.server.as_ref().map(Conn::version)
    }

    fn begin_source(&mut self, header: CompileFile) {
        let Some(version) = self.version() else { return self.server_failed(Trouble::HeaderNotSent) };
        let Ok(messages) = self.source.begin(header, version) else {
            return self.handle(Input::Failed(Trouble::SourceUnreadable));
        };
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
        if let Err(err) = self.source.start_again() {
            log::warn!("cannot start the preprocessor: {err}");
            self.handle(Input::Failed(Trouble::NoPreprocessor));
        }
    }

    /// Sends a piece if there is enough for one or the source has ended, else waits for something to happen.
    fn step(&mut self) -> io::Result<()> {
        let Some(version) = self.version() else { return self.wait() };
        match self.source.next(version)? {
            Next::Nothing => return self.wait(),
            Next::Piece(piece) => {
                if self.tell_source(&[piece]).is_err() {
                    self.server_failed(Trouble::SourceNotSent);
                }
                return self.source.keep_going();
            }
            Next::End => self.handle(Input::SourceEnd { ok: true }),
            Next::PreprocessorFailed => self.handle(Input::SourceEnd { ok: false }),
            Next::Unpackable => self.handle(Input::Failed(Trouble::SourceNotSent)),
        }
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        let (daemon, server, probe, text, messages) = {
            let heard = self.server.as_ref().is_some_and(|server| server.has_buffered() || server.is_late());
            let timeout = if heard { PollTimeout::ZERO } else { self.timeout() };
            let (text, messages) = self.source.descriptors();
            let daemon = self.daemon_open.then(|| self.daemon.as_fd());
            let server = self.server.as_ref().map(AsFd::as_fd);
            let probe = self.probe.as_ref().map(AsFd::as_fd);
            let all = [daemon, server, probe, text, messages];
            let fds: Vec<BorrowedFd<'_>> = all.into_iter().flatten().collect();
            let mut ready = readable(&fds, timeout).into_iter();
            let [daemon, server, probe, text, messages] = all.map(|fd| fd.is_some() && ready.next().unwrap_or(false));
            (daemon, server || heard, probe, text, messages)
        };
        self.source.read(text, messages)?;
        if daemon {
            self.hear_daemon();
        }
        if server {
            self.hear_server();
        }
        self.look_at_probe(probe);
        if self.source.failed_early() {
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
        let failed = self.source.failed_early().then_some(FAILED_PREPROCESSOR_WAIT);
        match machine.into_iter().chain(probe).chain(failed).min() {
            // Rounded up: a millisecond too early would be a useless round.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
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
        self.source.stop();
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
                let said = self.source.said_before(&result);
                let Some(said) = said else { return Outcome::Local(Trouble::Messages, host) };
                if let Err(trouble) = self.arrivals.put_in_place(self.job, result.status) {
                    return Outcome::Local(trouble, host);
                }
                self.source.keep_dependencies();
                print(io::stderr(), &said);
                print(io::stdout(), result.stdout.as_bytes());
                print(io::stderr(), result.stderr.as_bytes());
                log::debug!("compiled on {host}, exit code {}", result.status);
                Outcome::Done(result.status)
            }
        }
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
