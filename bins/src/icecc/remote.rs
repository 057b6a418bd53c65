//! The shell of [`Submission`]: one thread polls daemon, compile server and preprocessor, and carries out what the machine says.

mod by_files;
mod finish;

use super::account::Account;
use super::arrivals::Arrivals;
use super::by_files::{ByFiles, shadow};
use super::expected::Expected;
use super::output::Target;
use super::probe::Probe;
use super::source::{Next, Source};
use super::task::Task;
use super::upload::Upload;
use super::variables::Variables;
use super::verify::Theirs;
use super::{environment::Archives, local};
use ice_core::client::{File, Input, Output, Packing, Request, Submission};
use ice_core::cmdline::{Mode, RemoteJob};
use ice_core::limits;
use ice_core::message::{CompileFile, EnvTarget, Message};
use ice_core::reason::{Reason, Why};
use ice_core::text::Text;
use ice_core::time::Instant as CoreInstant;
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Patience of a connection to a compile server.
const DIAL: Duration = Duration::from_secs(10);

/// How the attempt ended.
pub(super) enum Outcome {
    /// With this exit status.
    Done(i32),
    /// With a result that is to be compared with what is made here.
    Compare(Theirs),
    /// The same of one that was compiled by files.
    Shadow(shadow::Theirs),
    /// It must be compiled here.
    Local(Why),
    /// The text with macros left in it is not right for a compile server: once more, with all macros expanded here.
    ExpandHere,
}

/// How a job is to go elsewhere.
pub(super) struct Way<'a> {
    pub(super) request: Request,
    /// How its text is preprocessed.
    pub(super) mode: Mode,
    /// By files, where a server takes that.
    pub(super) files: Option<ByFiles<'a>>,
    /// What is told of it.
    pub(super) account: &'a mut Account,
}

/// Tries to have `job` compiled elsewhere. The daemon's connection stays with the caller, to be ended or closed.
pub(super) fn run<'a>(
    task: &'a Task,
    job: &'a RemoteJob,
    way: Way<'a>,
    archives: &'a mut Archives,
    daemon: &'a mut Conn,
    variables: &'a Variables,
) -> Outcome {
    let Way { request, mode, files, account } = way;
    let mut source = Source::new(task, job, mode);
    // By files nothing is preprocessed, unless that fails.
    if files.is_none() {
        account.preprocesses();
        if let Err(err) = source.start() {
            log::warn!("cannot start the preprocessor: {err}");
            return Outcome::Local(Reason::NoPreprocessor.into());
        }
    }
    let clock = Instant::now();
    let flow = Flow {
        task,
        job,
        archives,
        daemon,
        daemon_open: true,
        account,
        variables,
        server: None,
        source,
        files,
        upload: None,
        submission: Submission::new(CoreInstant::ZERO, request),
        clock,
        probe: None,
        arrivals: Arrivals::new(Expected::of(task, job)),
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
    account: &'a mut Account,
    variables: &'a Variables,
    server: Option<Conn>,
    source: Source<'a>,
    files: Option<ByFiles<'a>>,
    /// The environment on its way to the server.
    upload: Option<Upload>,
    submission: Submission,
    clock: Instant,
    probe: Option<Probe>,
    arrivals: Arrivals<'a>,
    /// What the scheduler wanted to be compiled here.
    ran_here: Option<local::Ran>,
}

impl Flow<'_> {
    fn run(mut self) -> Outcome {
        loop {
            if self.source.expand_here().is_some() {
                self.handle(Input::ExpandHere);
            }
            while let Some(output) = self.submission.poll_output() {
                if let Some(outcome) = self.perform(output) {
                    return outcome;
                }
            }
            if let Err(err) = self.step() {
                log::warn!("cannot read the preprocessor: {err}");
                self.handle(Input::Failed(Reason::SourceUnreadable.into()));
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
        self.account.follow(&output);
        match output {
            Output::Daemon(message) => self.tell_daemon(&message),
            Output::Inspect(path) => {
                let name = self.archives.take_native(&path);
                self.handle(Input::Archive(name));
            }
            Output::Dial { host, port } => self.dial(&host, port),
            Output::SendEnvironment { platform, target, packing } => {
                self.start_source();
                self.begin_environment(&platform, target, packing);
            }
            Output::Server(message) => {
                let messages: Vec<Message> = self.source.last_piece().into_iter().chain([message]).collect();
                self.post(&messages);
            }
            Output::SendSource(header) => {
                self.start_source();
                self.begin_source(*header);
            }
            Output::BeginFiles => self.begin_files(),
            Output::AnswerFiles(need) => self.answer_files(&need),
            // Their pieces are known by themselves.
            Output::ReceiveOutputs => {}
            Output::Leave(words) => self.leave_server(&words),
            Output::Receive(file) => {
                let target = match file {
                    File::Object => Target::object(self.job),
                    File::Dwo => Target::dwo(self.job),
                };
                if let Err(reason) = self.arrivals.begin(target) {
                    self.handle(Input::Failed(reason.into()));
                }
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
                self.handle(Input::Failed(Reason::Unreachable.into()));
            }
        }
    }

    fn begin_environment(&mut self, platform: &Text, target: EnvTarget, packing: Packing) {
        let archive = match packing {
            Packing::AsItIs => self.archives.open(platform),
            Packing::Gzip => {
                log::info!("compile server takes no zstd, sending the environment as gzip");
                self.archives.open_gzip(self.variables.test_socket.as_deref())
            }
        };
        match archive {
            Ok(archive) => self.upload = Some(Upload::new(archive, target)),
            Err(reason) => self.handle(Input::Failed(reason.into())),
        }
    }

    /// The text is wanted now, at the latest.
    fn start_source(&mut self) {
        self.account.preprocesses();
        if let Err(err) = self.source.start() {
            log::warn!("cannot start the preprocessor: {err}");
            self.handle(Input::Failed(Reason::NoPreprocessor.into()));
        }
    }

    /// The version spoken with the server, if there is one.
    fn version(&self) -> Option<Version> {
        self.server.as_ref().map(Conn::version)
    }

    fn begin_source(&mut self, header: CompileFile) {
        let Some(version) = self.version() else { return self.handle(Input::NotTaken) };
        match self.source.begin(header, version) {
            Ok(messages) => self.post(&messages),
            Err(_) => self.handle(Input::Failed(Reason::SourceUnreadable.into())),
        }
    }

    /// Sends to the server as much as its connection takes now; the rest waits for [`Flow::flush`].
    fn post(&mut self, messages: &[Message]) {
        self.account.sends(messages);
        match self.server.as_mut().map(|server| server.post(messages)) {
            Some(Ok(())) => self.flush(),
            Some(Err(_)) | None => self.handle(Input::NotTaken),
        }
    }

    /// Writes what waits for the server.
    fn flush(&mut self) {
        match self.server.as_mut().map(Conn::write_now) {
            Some(Ok(true)) => self.handle(Input::Taken),
            Some(Ok(false)) => self.handle(Input::Blocked),
            Some(Err(_)) => {
                // Why may stand in its last words.
                self.hear_server();
                self.handle(Input::NotTaken);
            }
            None => {}
        }
    }

    fn is_blocked(&self) -> bool {
        self.server.as_ref().is_some_and(Conn::is_blocked)
    }

    /// The source was sent to nobody: it is made again for the next server.
    fn leave_server(&mut self, words: &Text) {
        log::info!("leaving the compile server, asking for another: {words}");
        self.server = None;
        self.probe = None;
        self.upload = None;
        self.leave_files(words);
        if let Err(err) = self.source.start_again() {
            log::warn!("cannot start the preprocessor: {err}");
            self.handle(Input::Failed(Reason::NoPreprocessor.into()));
        }
    }

    /// Sends what there is, and looks at all that can happen. What the machine wants comes before both.
    fn step(&mut self) -> io::Result<()> {
        let has_moved = self.send()?;
        if self.submission.has_output() {
            return Ok(());
        }
        if self.server.as_ref().is_some_and(|server| server.has_buffered() || server.is_late()) {
            self.hear_server();
            return Ok(());
        }
        self.wait(has_moved)
    }

    /// Sends the next piece of what is on its way, if the server has taken the last one. `false`: there is none now.
    fn send(&mut self) -> io::Result<bool> {
        if self.source.failed_early() {
            self.handle(Input::PreprocessorFailed);
        }
        let Some(version) = self.version().filter(|_| !self.is_blocked()) else { return Ok(false) };
        if let Some(upload) = &mut self.upload {
            match upload.next(|piece| self.source.pack(piece, version)) {
                Ok(messages) if messages.is_empty() => {
                    self.upload = None;
                    self.handle(Input::EnvironmentSent);
                }
                Ok(messages) => self.post(&messages),
                Err(reason) => self.handle(Input::Failed(reason.into())),
            }
            return Ok(true);
        }
        if self.send_of_files(version) {
            return Ok(true);
        }
        match self.source.next(version)? {
            Next::Nothing => return Ok(false),
            Next::Piece(piece) => self.post(&[piece]),
            Next::End => {
                self.account.is_preprocessed();
                self.handle(Input::SourceEnd { said: self.source.said() });
            }
            Next::PreprocessorFailed => self.handle(Input::PreprocessorFailed),
            Next::Unpackable => self.handle(Input::Failed(Reason::SourceNotSent.into())),
        }
        Ok(true)
    }

    /// Waits for something to happen; only looks, if something `has_moved` and more may move at once.
    fn wait(&mut self, has_moved: bool) -> io::Result<()> {
        let timeout = if has_moved { PollTimeout::ZERO } else { self.timeout() };
        let [daemon, server, probe, text, messages, signal] = self.ready(timeout);
        self.source.read(text, messages)?;
        if daemon {
            self.hear_daemon();
        }
        if server {
            self.hear_server();
        }
        // Before its time is judged: we may have been stopped for longer.
        if self.is_blocked() {
            self.flush();
        }
        self.look_at_probe(probe);
        if signal && self.arrivals.look_at_signals() {
            self.handle(Input::Failed(Reason::ObjectCut.into()));
        }
        let now = self.now();
        self.submission.handle_timeout(now);
        Ok(())
    }

    /// Waits until something can be read, or the server takes more: daemon, server, probe, text, messages, signals.
    fn ready(&self, timeout: PollTimeout) -> [bool; 6] {
        let read = PollFlags::POLLIN;
        let from_server = if self.is_blocked() { read | PollFlags::POLLOUT } else { read };
        let (text, messages) = self.source.descriptors();
        let all = [
            (self.daemon_open.then(|| self.daemon.as_fd()), read),
            (self.server.as_ref().map(AsFd::as_fd), from_server),
            (self.probe.as_ref().map(AsFd::as_fd), read),
            (text, read),
            (messages, read),
            (self.arrivals.wake(), read),
        ];
        let mut fds: Vec<PollFd<'_>> = all.iter().filter_map(|(fd, flags)| Some(PollFd::new((*fd)?, *flags))).collect();
        // A signal ends the wait too.
        let _ = poll(&mut fds, timeout);
        let mut events = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        all.map(|(fd, _)| fd.is_some() && events.next().is_some_and(|e| !e.difference(PollFlags::POLLOUT).is_empty()))
    }

    fn timeout(&self) -> PollTimeout {
        let now = self.now();
        let machine = self.submission.poll_timeout().map(|at| at.since(now));
        let probe = self.probe.as_ref().map(Probe::left);
        match machine.into_iter().chain(probe).min() {
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

    fn hear_server(&mut self) {
        let Some(server) = &mut self.server else { return };
        match server.try_recv() {
            Ok(Some(message)) => {
                self.account.receives(&message);
                let input = self.take_from_server(message);
                self.handle(input);
            }
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
}
