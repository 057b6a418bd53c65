//! One compile that may go elsewhere: from the question for an environment to the exit status, or to a local compile.
//!
//! ```text
//! Fresh ─► AwaitNative ─► AwaitServer ─► Dialling ─► [AwaitVerify] ─► Sending ─► AwaitResult ─► [AwaitObject ─► [AwaitDwo]] ─► Over
//!                              └────────► SelfBuild ──────────────────────────────────────────────────────────────────────────► Over
//! Sending, AwaitResult ─► AwaitServer, where the server has lost the environment that the scheduler believed in
//! every state, on any trouble ─► Over, with `End::Local(Why)`
//! ```
//!
//! The way by files branches off at Dialling (`by_files.rs`).
//!
//! It does not know sockets, files or processes: the shell carries out `Output`s and tells what happened by `Input`s. Bulk
//! data (archive, source, object) never pass through here, but how they move does, as their time is counted here.

mod by_files;
mod environment;
mod exchange;
mod format;
mod header;
mod judge;
mod probing;
mod sampling;
mod state;
mod wait;

use crate::env::EnvRef;
use crate::ids::JobId;
use crate::job::JobStats;
use crate::message::{CompileFile, CompileResult, GetCs, JobDone, LOCALHOST, Message, UseCs, done_flags};
use crate::reason::{Reason, Why};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use by_files::ByFiles;
use probing::{ProbeTimes, Watch};
use state::State;
use std::collections::VecDeque;
use wait::Patience;

pub use exchange::{End, Environments, File, Input, Output, Packing, Request};
pub use format::Format;

pub use probing::PROBE_CONNECT;
pub use sampling::Sampling;

/// Times that one job asks for a server.
const ASKED_MAX: u32 = 3;
/// Bytes of a file: a server that sends more than any compiler writes shall not fill the disk.
const RECEIVED_MAX: u64 = 4 << 30;

/// The machine.
#[derive(Debug)]
pub struct Submission {
    request: Request,
    state: State,
    deadline: Option<Instant>,
    environments: Vec<EnvRef>,
    /// How often a server was asked for.
    asked: u32,
    server: UseCs,
    version: Version,
    offer: Version,
    environment: Text,
    /// How it was sent last, if it was.
    sent_as: Option<Packing>,
    /// What the server said of it before its answer.
    env_words: Option<Text>,
    /// Whether the server lives that we wait for.
    watch: Watch,
    /// When a server that goes on with a file is given up all the same.
    file_end: Instant,
    /// How long the server may not take what is sent to it.
    patience: Patience,
    header_taken: bool,
    /// The preprocessor failed; a server is waited for until then.
    failed_until: Option<Instant>,
    /// Macros are to be expanded here, once the environment that is on its way is there.
    expands_here: bool,
    /// What the preprocessor said.
    said: Vec<u8>,
    result: Option<CompileResult>,
    /// Bytes of a file that came.
    received: u64,
    by_files: ByFiles,
    outputs: VecDeque<Output>,
}

impl Submission {
    /// Starts: the first outputs are there at once.
    pub fn new(now: Instant, request: Request) -> Self {
        let mut new = Self {
            by_files: ByFiles::new(request.can_by_files),
            request,
            state: State::Fresh,
            deadline: None,
            environments: Vec::new(),
            asked: 0,
            server: UseCs::default(),
            version: Version::LOWEST,
            offer: Version::LOWEST,
            environment: Text::new(),
            sent_as: None,
            env_words: None,
            watch: Watch::new(now, Duration::ZERO, &ProbeTimes::OF_OURS),
            file_end: Instant::ZERO,
            patience: Patience::new(wait::SOURCE),
            header_taken: false,
            failed_until: None,
            expands_here: false,
            said: Vec::new(),
            result: None,
            received: 0,
            outputs: VecDeque::new(),
        };
        match new.request.environments.clone() {
            Environments::Native(ask) => {
                new.outputs.push_back(Output::Daemon(Message::GetNativeEnv(ask)));
                new.enter(State::AwaitNative, now, wait::NATIVE_ENV);
            }
            Environments::Given(list) if list.is_empty() => new.give_up(Reason::NoUsableEnvironment),
            Environments::Given(list) => {
                new.environments = list;
                new.ask_for_server(now);
            }
        }
        new
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.state == State::Over {
            return;
        }
        let Some(input) = self.handle_by_files(now, input) else { return };
        match (self.state, input) {
            (_, Input::Failed(why)) => self.give_up(why),
            (_, Input::Daemon(message)) => self.daemon_says(now, message),
            (State::AwaitNative, Input::DaemonClosed | Input::Archive(None)) => self.give_up(Reason::NoNativeArchive),
            (State::AwaitServer, Input::DaemonClosed) => self.give_up(Reason::NoServer),
            // The daemon's connection only shows that we live; a server's job goes on without it.
            (_, Input::DaemonClosed) => {}
            (State::AwaitNative, Input::Archive(Some(name))) => {
                let platform = self.request.get_cs.target.clone();
                self.environments = vec![EnvRef { platform, name }];
                self.ask_for_server(now);
            }
            (_, Input::Server(message)) => self.server_says(now, message),
            (state, Input::ServerClosed) => self.server_fails(state.closed()),
            (state, Input::NotTaken) => self.server_fails(state.unsent(self.header_taken)),
            (_, Input::Blocked) => self.patience.blocked(now),
            (state, Input::Taken) => {
                self.patience.taken(now);
                self.header_taken |= state == State::Sending;
            }
            (State::SelfBuild, Input::ExpandHere) => {}
            (State::SendingEnv, Input::ExpandHere) => self.expands_here = true,
            (_, Input::ExpandHere) => self.end(End::ExpandHere),
            (State::Sending, Input::PreprocessorFailed) => self.give_up(Reason::Preprocessing),
            (_, Input::PreprocessorFailed) => {
                self.failed_until.get_or_insert(now + wait::PREPROCESSOR_FAILED);
            }
            (State::Dialling, Input::Connected { version, offer }) => self.connected(version, offer),
            (State::SendingEnv, Input::EnvironmentSent) if self.expands_here => self.end(End::ExpandHere),
            (State::SendingEnv, Input::EnvironmentSent) => self.environment_sent(now),
            (State::Sending, Input::SourceEnd { said }) => {
                self.said = said;
                self.outputs.push_back(Output::Server(Message::End));
                self.watch(State::AwaitResult, now, wait::RESULT);
            }
            (State::AwaitVerify | State::AwaitResult, Input::Probed { alive }) => self.probed(now, alive),
            (State::AwaitFile(_), Input::FilePiece { plain }) => self.piece_came(now, plain),
            (State::AwaitFile(file), Input::Received) => self.received(now, file),
            (State::SelfBuild, Input::Compiled { status, stats }) => self.compiled(status, stats),
            // Answers that came too late.
            (_, Input::Probed { .. } | Input::Archive(_) | Input::Connected { .. } | Input::EnvironmentSent) => {}
            (_, Input::SourceEnd { .. } | Input::FilePiece { .. } | Input::Received | Input::Compiled { .. }) => {}
            // It was taken before.
            (_, Input::NotByFiles | Input::FilesSent) => {}
        }
    }

    fn daemon_says(&mut self, now: Instant, message: Message) {
        match (self.state, message) {
            (State::AwaitNative, Message::NativeEnv { path }) => self.outputs.push_back(Output::Inspect(path)),
            (State::AwaitNative, Message::StatusText { text }) => self.give_up(Reason::NativeFailed.with(text)),
            (State::AwaitNative, _) => self.give_up(Reason::NoNativeArchive),
            (State::AwaitServer, Message::HostCan(host)) => self.by_files.host_can(host),
            (State::AwaitServer, Message::UseCs(server)) => self.use_server(now, server),
            (State::AwaitServer, _) => self.give_up(Reason::NoServer),
            _ => {}
        }
    }

    fn server_says(&mut self, now: Instant, message: Message) {
        match (self.state, message) {
            (State::SendingEnv, Message::StatusText { text }) => self.env_words = Some(text),
            (State::SendingEnv, _) => self.give_up(Reason::EnvironmentUnverified),
            (State::AwaitVerify, message) => self.verified(message),
            (State::Sending | State::AwaitResult, Message::StatusText { text }) if self.may_ask_again(&text) => {
                self.leave(now, text);
            }
            (State::Sending | State::AwaitResult | State::AwaitFile(_), Message::StatusText { text }) => {
                self.give_up(Reason::ServerSays.with(text));
            }
            (State::AwaitResult, Message::CompileResult(result)) => self.judge(now, result),
            (State::Sending | State::AwaitResult, _) => self.give_up(Reason::NotAResult),
            (State::AwaitFile(_), _) => self.give_up(Reason::NotAnObject),
            // It was left.
            _ => {}
        }
    }

    /// To be called when the time of [`Submission::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_over = |end: Option<Instant>| end.is_some_and(|end| now >= end);
        if is_over(self.patience.end()) {
            return self.handle(now, Input::NotTaken);
        }
        if is_over(self.failure_end()) {
            return self.give_up(Reason::Preprocessing);
        }
        if !is_over(self.deadline) {
            return;
        }
        self.deadline = None;
        match self.state {
            State::AwaitNative => self.give_up(Reason::NoNativeArchive),
            State::AwaitServer => self.give_up(Reason::NoServer),
            State::Pausing => self.ask_for_server(now),
            State::Dialling => self.give_up(Reason::Unreachable),
            State::AwaitFile(_) | State::AwaitOutputs => self.give_up(Reason::ObjectCut),
            State::AwaitVerify if self.watch.is_over(now) => self.give_up(Reason::EnvironmentUnverified),
            State::AwaitVerify | State::AwaitResult | State::AwaitFiles => {
                let patience = self.watch.ask();
                self.outputs.push_back(Output::Probe { patience });
            }
            State::Fresh | State::SendingEnv | State::Sending | State::SelfBuild | State::Over => {}
            State::SendingFacts | State::Answering => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether there is something to do.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// When to call [`Submission::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.deadline, self.patience.end(), self.failure_end()].into_iter().flatten().min()
    }

    /// The server's answer, for the log; meaningful once there is one.
    pub fn server(&self) -> &UseCs {
        &self.server
    }

    /// When a server is not waited for any more as the preprocessor has failed.
    fn failure_end(&self) -> Option<Instant> {
        self.failed_until.filter(|_| self.state.ends_with_preprocessor())
    }

    fn enter(&mut self, state: State, now: Instant, limit: Duration) {
        self.state = state;
        self.deadline = Some(now + limit);
    }

    fn enter_unbounded(&mut self, state: State) {
        self.state = state;
        self.deadline = None;
    }

    /// Waits for an answer of the server for at most `limit`, and asks now and then whether it is still there.
    fn watch(&mut self, state: State, now: Instant, limit: Duration) {
        let times = if self.is_1_4() { &ProbeTimes::OF_1_4 } else { &ProbeTimes::OF_OURS };
        self.watch = Watch::new(now, limit, times);
        // A server of 1.4 that checks an environment answers nobody meanwhile: only its time tells.
        let first = match (self.is_1_4(), state) {
            (true, State::AwaitVerify) => limit,
            _ => times.silence,
        };
        self.enter(state, now, first);
    }

    fn give_up(&mut self, why: impl Into<Why>) {
        let why = Why { host: self.server.host.clone(), ..why.into() };
        if why.reason == Reason::FalseResult {
            self.outputs.extend(Output::reports(&why.host, self.env_target()));
        }
        self.end(End::Local(why));
    }

    /// The server's connection is of no more use. `None`: it was left before. What the server said of an environment says more.
    fn server_fails(&mut self, reason: Option<Reason>) {
        let Some(reason) = reason else { return };
        let why = self.env_words.take().map_or(reason.into(), |words| Reason::EnvironmentMissing.with(words));
        self.give_up(why);
    }

    fn end(&mut self, end: End) {
        self.enter_unbounded(State::Over);
        self.patience = Patience::new(wait::SOURCE);
        self.outputs.push_back(Output::End(Box::new(end)));
    }

    fn ask_for_server(&mut self, now: Instant) {
        self.asked += 1;
        let ask = GetCs { environments: self.environments.clone(), ..self.request.get_cs.clone() };
        let limit = wait::for_server(&self.request, &ask);
        self.outputs.push_back(Output::Daemon(Message::GetCs(ask)));
        self.enter(State::AwaitServer, now, limit);
    }

    /// Whether the server only lacks the environment that it was said to have: it may have been removed while the job was on its
    /// way. The server has told the scheduler too, which will choose another, or have the environment sent.
    fn may_ask_again(&self, words: &Text) -> bool {
        judge::is_about_missing_environment(words) && self.server.env_present != 0 && self.asked < ASKED_MAX
    }

    /// Another server shall do it, which gets a source made anew.
    fn leave(&mut self, now: Instant, words: Text) {
        self.outputs.push_back(Output::Leave(words));
        self.patience = Patience::new(wait::SOURCE);
        self.failed_until = None;
        if self.is_1_4() {
            self.enter(State::Pausing, now, wait::ASK_AGAIN_1_4);
        } else {
            self.ask_for_server(now);
        }
    }

    fn use_server(&mut self, now: Instant, server: UseCs) {
        self.server = server;
        let here = self.server.host == LOCALHOST && !(self.request.loopback_is_remote && self.server.port != 0);
        if here {
            if let Some(reason) = self.request.refusal(&self.server) {
                return self.give_up(reason);
            }
            self.environment = Text::from("__client");
            let job = self.compile_file();
            self.outputs.push_back(Output::Daemon(Message::CompileFile(job)));
            self.outputs.push_back(Output::CompileHere);
            self.enter_unbounded(State::SelfBuild);
            return;
        }
        let found = self.environments.iter().find(|env| env.platform == self.server.host_platform);
        let Some(found) = found.or_else(|| self.environments.first()) else {
            return self.give_up(Reason::NoUsableEnvironment);
        };
        self.environment = found.name.clone();
        let Ok(port) = u16::try_from(self.server.port) else { return self.give_up(Reason::Unreachable) };
        self.outputs.push_back(Output::Dial { host: self.server.host.clone(), port });
        self.enter(State::Dialling, now, wait::DIAL);
    }

    fn connected(&mut self, version: Version, offer: Version) {
        self.version = version;
        self.offer = offer;
        if self.goes_by_files() {
            return self.begin_by_files();
        }
        if !version.has_verify_env() && self.request.verified_only {
            return self.give_up(Reason::CannotVerify);
        }
        if self.server.env_present != 0 {
            return self.send_source();
        }
        let reads_zstd = self.version.has_features();
        self.send_environment(if self.request.zstd_by_default && !reads_zstd {
            Packing::Gzip
        } else {
            Packing::AsItIs
        });
    }

    fn send_source(&mut self) {
        let job = header::for_version(self.compile_file(), self.request.family, self.version);
        self.outputs.push_back(Output::SendSource(Box::new(job)));
        // Writes have a bound ([`Patience`]), and the user's preprocessor may take as long as it needs.
        self.header_taken = false;
        self.env_words = None;
        self.enter_unbounded(State::Sending);
    }

    fn compile_file(&self) -> CompileFile {
        CompileFile { job: self.server.job, environment: self.environment.clone(), ..self.request.compile.clone() }
    }

    fn probed(&mut self, now: Instant, alive: bool) {
        if !self.watch.is_asked() {
            return;
        }
        match self.watch.answered(now, alive) {
            Some(next) => self.deadline = Some(next),
            None if self.state == State::AwaitVerify => self.give_up(Reason::EnvironmentUnverified),
            None => self.give_up(Reason::NoResult),
        }
    }

    /// Whether the server may be of 1.4, which serves one peer after the other.
    fn is_1_4(&self) -> bool {
        self.offer <= Version::TO_SCHEDULER
    }

    /// A remote failure is never the last word, unless it is plainly the source's.
    fn judge(&mut self, now: Instant, result: CompileResult) {
        if let Some(reason) = judge::objection(&self.request, &result) {
            return self.give_up(reason);
        }
        let good = result.status == 0;
        self.result = Some(result);
        if good {
            self.receive(now, File::Object);
        } else {
            self.finish_remote();
        }
    }

    fn receive(&mut self, now: Instant, file: File) {
        self.outputs.push_back(Output::Receive(file));
        self.begin_receiving(now, State::AwaitFile(file));
    }

    fn begin_receiving(&mut self, now: Instant, state: State) {
        self.received = 0;
        self.file_end = now + wait::FILE;
        self.enter(state, now, wait::OBJECT_MESSAGE);
    }

    fn piece_came(&mut self, now: Instant, plain: u64) {
        self.received = self.received.saturating_add(plain);
        if self.received > RECEIVED_MAX || now >= self.file_end {
            return self.give_up(Reason::ObjectCut);
        }
        self.deadline = Some(now + wait::OBJECT_MESSAGE);
    }

    fn received(&mut self, now: Instant, file: File) {
        let dwo_follows = self.result.as_ref().is_some_and(|result| result.has_dwo != 0);
        if file == File::Object && dwo_follows {
            self.receive(now, File::Dwo);
        } else {
            self.finish_remote();
        }
    }

    fn finish_remote(&mut self) {
        let Some(result) = self.result.take() else { return self.give_up(Reason::NoResult) };
        match judge::said_before(&self.request, &self.said, &result) {
            Some(said) => self.end(End::Remote { result, said }),
            None => self.give_up(Reason::Messages),
        }
    }

    fn compiled(&mut self, status: i32, stats: JobStats) {
        let JobId(job) = self.server.job;
        let done = JobDone { job, exit_code: status, stats, flags: done_flags::FROM_SUBMITTER, ..JobDone::default() };
        self.outputs.push_back(Output::Daemon(Message::JobDone(done)));
        self.end(End::Own { status });
    }
}

#[cfg(test)]
mod tests;
