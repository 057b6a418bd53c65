//! One compile that may go elsewhere: from the question for an environment to the exit status, or to a local compile.
//!
//! ```text
//! Fresh ─► AwaitNative ─► AwaitServer ─► Dialling ─► [AwaitVerify] ─► Sending ─► AwaitResult ─► [AwaitObject ─► [AwaitDwo]] ─► Over
//!                              └────────► SelfBuild ──────────────────────────────────────────────────────────────────────────► Over
//! Sending, AwaitResult ─► AwaitServer, where the server has lost the environment that the scheduler believed in
//! every state, on any trouble ─► Over, with `End::Local(Trouble)`
//! ```
//!
//! It does not know sockets, files or processes: the shell carries out `Output`s and tells what happened by `Input`s. Bulk
//! data (archive, source, object) never pass through here.

mod exchange;
mod here;
mod judge;
mod trouble;
mod wait;

use crate::cmdline::Family;
use crate::env::EnvRef;
use crate::ids::JobId;
use crate::job::JobStats;
use crate::limits::NESTED_SERVER;
use crate::message::{
    BlacklistHostEnv, CompileFile, CompileResult, EnvTarget, GetCs, JobDone, LOCALHOST, Message, UseCs, done_flags,
};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use std::collections::VecDeque;

pub use exchange::{End, Environments, File, Input, Output, Packing, Request};
pub use here::Here;
pub use trouble::Trouble;

/// Times that one job asks for a server.
const ASKED_MAX: u32 = 3;
/// How the words of a server end that lacks the environment, also those of 1.4.
const MISSING_ENVIRONMENT: &[u8] = b" removed?";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    AwaitNative,
    AwaitServer,
    Pausing,
    Dialling,
    SendingEnv,
    AwaitVerify,
    Sending,
    AwaitResult,
    AwaitFile(File),
    SelfBuild,
    Over,
}

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
    env_words: Option<String>,
    probing: bool,
    probes_missed: u32,
    /// When a server that shows life is given up all the same.
    due: Instant,
    result: Option<CompileResult>,
    outputs: VecDeque<Output>,
}

impl Submission {
    /// Starts: the first outputs are there at once.
    pub fn new(now: Instant, request: Request) -> Self {
        let mut new = Self {
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
            probing: false,
            probes_missed: 0,
            due: Instant::ZERO,
            result: None,
            outputs: VecDeque::new(),
        };
        match new.request.environments.clone() {
            Environments::Native(ask) => {
                new.outputs.push_back(Output::Daemon(Message::GetNativeEnv(ask)));
                new.enter(State::AwaitNative, now, wait::NATIVE_ENV);
            }
            Environments::Given(list) if list.is_empty() => new.give_up(Trouble::NoEnvironment),
            Environments::Given(list) => new.ask_for_server(now, list),
        }
        new
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match (self.state, input) {
            (State::Over, _) => {}
            (_, Input::Failed(trouble)) => self.give_up(trouble),
            (State::AwaitNative, Input::Daemon(Message::NativeEnv { path })) => {
                self.outputs.push_back(Output::Inspect(path));
            }
            (State::AwaitNative, Input::Archive(Some(name))) => {
                let platform = self.request.get_cs.target.clone();
                self.ask_for_server(now, vec![EnvRef { platform, name }]);
            }
            (State::AwaitNative, Input::Daemon(Message::StatusText { text })) => {
                self.give_up(Trouble::NativeFailed(text.to_string()));
            }
            (State::AwaitNative, Input::Daemon(_) | Input::DaemonClosed | Input::Archive(None)) => {
                self.give_up(Trouble::NoNativeEnv);
            }
            (State::AwaitServer, Input::Daemon(Message::UseCs(server))) => self.use_server(now, server),
            (State::AwaitServer, Input::Daemon(_) | Input::DaemonClosed) => self.give_up(Trouble::NoServer),
            (State::Dialling, Input::Connected { version, offer }) => self.connected(now, version, offer),
            (State::SendingEnv, Input::EnvironmentSent) => self.environment_sent(now),
            (State::AwaitVerify, Input::Server(message)) => self.verified(message),
            (State::Sending, Input::SourceEnd { ok: true }) => {
                self.outputs.push_back(Output::Server(Message::End));
                self.watch(State::AwaitResult, now, wait::RESULT);
            }
            (_, Input::SourceEnd { ok: false }) => self.give_up(Trouble::Preprocessing),
            (State::Sending | State::AwaitResult, Input::Server(Message::StatusText { text }))
                if self.may_ask_again(&text) =>
            {
                self.outputs.push_back(Output::Leave(text));
                if self.is_1_4() {
                    self.enter(State::Pausing, now, wait::ASK_AGAIN_1_4);
                } else {
                    self.ask_again(now);
                }
            }
            (_, Input::Server(Message::StatusText { text })) => {
                self.give_up(Trouble::ServerSays(text.to_string()));
            }
            (State::AwaitResult, Input::Server(Message::CompileResult(result))) => self.judge(now, result),
            (State::AwaitResult | State::Sending, Input::Server(_)) => self.give_up(Trouble::NotAResult),
            (State::AwaitVerify | State::AwaitResult, Input::Probed { alive }) => self.probed(now, alive),
            (State::AwaitFile(file), Input::Received) => self.received(now, file),
            (State::AwaitVerify | State::SendingEnv, Input::ServerClosed) => {
                let trouble = self.env_words.take().map_or(Trouble::EnvUnverified, Trouble::EnvMissing);
                self.give_up(trouble);
            }
            (State::AwaitFile(_), Input::ServerClosed) => self.give_up(Trouble::ObjectCut),
            (State::Sending, Input::ServerClosed) => self.give_up(Trouble::SourceNotSent),
            (State::AwaitResult, Input::ServerClosed) => self.give_up(Trouble::NoResult),
            (State::SelfBuild, Input::Compiled { status, stats }) => self.compiled(status, stats),
            (State::SelfBuild, Input::DaemonClosed) => {}
            // The daemon's connection only shows that we live; a server's job goes on without it.
            (_, Input::Daemon(_) | Input::DaemonClosed) => {}
            // Answers that came too late.
            (_, Input::Probed { .. } | Input::Server(_) | Input::ServerClosed | Input::Archive(_)) => {}
            (_, Input::Connected { .. } | Input::EnvironmentSent | Input::SourceEnd { .. }) => {}
            (_, Input::Received | Input::Compiled { .. }) => {}
        }
    }

    /// To be called when the time of [`Submission::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.deadline = None;
        match self.state {
            State::AwaitNative => self.give_up(Trouble::NoNativeEnv),
            State::AwaitServer => self.give_up(Trouble::NoServer),
            State::Pausing => self.ask_again(now),
            State::Dialling => self.give_up(Trouble::Unreachable),
            State::AwaitFile(_) => self.give_up(Trouble::ObjectCut),
            State::AwaitVerify if now >= self.due => self.give_up_silent(),
            State::AwaitVerify | State::AwaitResult => {
                self.probing = true;
                self.outputs.push_back(Output::Probe { patience: self.signs_of_life().answer });
            }
            State::Fresh | State::SendingEnv | State::Sending | State::SelfBuild | State::Over => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Submission::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// The server's answer, for the log; meaningful once there is one.
    pub fn server(&self) -> &UseCs {
        &self.server
    }

    /// Whether it deals with a server now: with one that was left what fails no more matters.
    pub fn is_at_server(&self) -> bool {
        matches!(
            self.state,
            State::SendingEnv | State::AwaitVerify | State::Sending | State::AwaitResult | State::AwaitFile(_)
        )
    }

    /// Name of the environment that the server uses.
    pub fn environment(&self) -> &Text {
        &self.environment
    }

    /// How long one message of a file may take.
    pub const fn file_patience() -> Duration {
        wait::OBJECT_MESSAGE
    }

    /// How long the server may let us wait with an environment, in all.
    pub const fn environment_patience() -> Duration {
        wait::ENVIRONMENT
    }

    /// The same for the source. The time that the user's preprocessor takes does not count.
    pub const fn source_patience() -> Duration {
        wait::SOURCE
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
        self.due = now + limit;
        self.probing = false;
        self.probes_missed = 0;
        // A server of 1.4 that checks an environment answers nobody meanwhile: only its time tells.
        let first = match (self.is_1_4(), state) {
            (true, State::AwaitVerify) => limit,
            _ => self.signs_of_life().silence,
        };
        self.enter(state, now, first);
    }

    /// The server is silent for too long.
    fn give_up_silent(&mut self) {
        self.give_up(if self.state == State::AwaitVerify { Trouble::EnvUnverified } else { Trouble::NoResult });
    }

    fn give_up(&mut self, trouble: Trouble) {
        self.end(End::Local { trouble, host: self.server.host.clone() });
    }

    fn end(&mut self, end: End) {
        self.enter_unbounded(State::Over);
        self.outputs.push_back(Output::End(Box::new(end)));
    }

    fn ask_for_server(&mut self, now: Instant, environments: Vec<EnvRef>) {
        self.asked += 1;
        self.environments.clone_from(&environments);
        let ask = GetCs { environments, ..self.request.get_cs.clone() };
        // A nice job stands behind all others.
        let nice = (1..=19).contains(&ask.niceness);
        self.outputs.push_back(Output::Daemon(Message::GetCs(ask)));
        let limit = match (self.request.is_nested, nice) {
            (true, _) => NESTED_SERVER,
            (false, true) => wait::USE_CS_NICE,
            (false, false) => wait::USE_CS,
        };
        self.enter(State::AwaitServer, now, limit);
    }

    fn ask_again(&mut self, now: Instant) {
        self.ask_for_server(now, self.environments.clone());
    }

    /// Whether the server only lacks the environment that it was said to have: it may have been removed while the job was on its
    /// way. The server has told the scheduler too, which will choose another, or have the environment sent.
    fn may_ask_again(&self, words: &Text) -> bool {
        let is_missing = words.as_bytes().ends_with(MISSING_ENVIRONMENT);
        is_missing && self.server.env_present != 0 && self.asked < ASKED_MAX
    }

    fn use_server(&mut self, now: Instant, server: UseCs) {
        self.server = server;
        let here = self.server.host == LOCALHOST && !(self.request.loopback_is_remote && self.server.port != 0);
        if here {
            if let Some(trouble) = self.refusal() {
                return self.give_up(trouble);
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
            return self.give_up(Trouble::NoEnvironment);
        };
        self.environment = found.name.clone();
        let Ok(port) = u16::try_from(self.server.port) else { return self.give_up(Trouble::Unreachable) };
        self.outputs.push_back(Output::Dial { host: self.server.host.clone(), port });
        self.enter(State::Dialling, now, wait::DIAL);
    }

    /// Why nobody else compiles what this host is told to compile, if that matters to the user.
    fn refusal(&self) -> Option<Trouble> {
        match (self.request.wants_other_host, self.server.host_platform.is_empty(), self.server.env_present) {
            // A scheduler names no platform then, a daemon that has none does.
            (true, false, _) => Some(Trouble::NoScheduler),
            (true, true, 0) => Some(Trouble::NoHost),
            _ => None,
        }
    }

    fn connected(&mut self, _now: Instant, version: Version, offer: Version) {
        self.version = version;
        self.offer = offer;
        if !version.has_verify_env() && self.request.verified_only {
            return self.give_up(Trouble::CannotVerify);
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

    fn send_environment(&mut self, packing: Packing) {
        self.sent_as = Some(packing);
        self.env_words = None;
        self.outputs.push_back(Output::SendEnvironment {
            platform: self.server.host_platform.clone(),
            target: self.env_target(),
            packing,
        });
        self.enter_unbounded(State::SendingEnv);
    }

    /// Whether gzip may help: servers of 1.4 can be built without zstd, ours cannot.
    fn may_send_gzip(&self) -> bool {
        self.request.zstd_by_default && self.offer <= Version::TO_SCHEDULER && self.sent_as == Some(Packing::AsItIs)
    }

    fn environment_sent(&mut self, now: Instant) {
        if !self.version.has_verify_env() {
            return self.send_source();
        }
        self.outputs.push_back(Output::Server(Message::VerifyEnv(self.env_target())));
        self.watch(State::AwaitVerify, now, wait::VERIFY);
    }

    fn verified(&mut self, answer: Message) {
        match answer {
            // Why it is not installed (decision: verify-answers). The answer follows, or the connection's end: then the
            // host has no opinion of the environment, it only cannot tell now.
            Message::StatusText { text } => self.env_words = Some(text.to_string()),
            Message::VerifyEnvResult { ok: 0 } if self.may_send_gzip() => self.send_environment(Packing::Gzip),
            Message::VerifyEnvResult { ok: 0 } => {
                // The next job would bring all of it again for the same answer: the scheduler shall choose another host.
                let EnvTarget { name: environment, target } = self.env_target();
                let report = BlacklistHostEnv { environment, target, host: self.server.host.clone() };
                self.outputs.push_back(Output::Daemon(Message::BlacklistHostEnv(report)));
                let trouble = self.env_words.take().map_or(Trouble::EnvRefused, Trouble::EnvMissing);
                self.give_up(trouble);
            }
            Message::VerifyEnvResult { .. } => self.send_source(),
            _ => self.give_up(Trouble::EnvUnverified),
        }
    }

    fn send_source(&mut self) {
        let mut job = self.compile_file();
        if self.request.family == Family::Clang && !self.version.has_compiler_name() {
            // The environment's wrapper sorts it out.
            job.arguments.insert(0, (crate::message::ArgSide::Remote, Text::from("clang")));
        }
        if !self.version.has_objc_language() {
            if let Some(language @ ("objective-c" | "objective-c++")) =
                crate::job::Language::from_number(job.language).map(|language| language.option())
            {
                for word in ["-x", language] {
                    job.arguments.push((crate::message::ArgSide::Remote, Text::from(word)));
                }
            }
        }
        self.outputs.push_back(Output::SendSource(Box::new(job)));
        // Writes have a bound ([`Self::source_patience`]), and the user's preprocessor may take as long as it needs.
        self.enter_unbounded(State::Sending);
    }

    fn compile_file(&self) -> CompileFile {
        CompileFile { job: self.server.job, environment: self.environment.clone(), ..self.request.compile.clone() }
    }

    fn env_target(&self) -> EnvTarget {
        EnvTarget { name: self.environment.clone(), target: self.request.compile.target.clone() }
    }

    fn probed(&mut self, now: Instant, alive: bool) {
        if !std::mem::take(&mut self.probing) {
            return;
        }
        self.probes_missed = if alive { 0 } else { self.probes_missed + 1 };
        let signs = self.signs_of_life();
        if self.probes_missed >= signs.misses || now >= self.due {
            return self.give_up_silent();
        }
        self.deadline = Some(now + signs.pause);
    }

    /// How the server is asked whether it is still there.
    fn signs_of_life(&self) -> &'static wait::SignsOfLife {
        if self.is_1_4() { &wait::SignsOfLife::OF_1_4 } else { &wait::SignsOfLife::OF_OURS }
    }

    /// Whether the server may be of 1.4, which serves one peer after the other.
    fn is_1_4(&self) -> bool {
        self.offer <= Version::TO_SCHEDULER
    }

    /// A remote failure is never the last word, unless it is plainly the source's.
    fn judge(&mut self, now: Instant, result: CompileResult) {
        if let Some(trouble) = judge::objection(&self.request, &result) {
            return self.give_up(trouble);
        }
        let good = result.status == 0;
        self.result = Some(result);
        if good {
            self.outputs.push_back(Output::Receive(File::Object));
            self.enter(State::AwaitFile(File::Object), now, wait::OBJECT_MESSAGE);
        } else {
            self.finish_remote();
        }
    }

    fn received(&mut self, now: Instant, file: File) {
        let dwo_follows = self.result.as_ref().is_some_and(|result| result.has_dwo != 0);
        if file == File::Object && dwo_follows {
            self.outputs.push_back(Output::Receive(File::Dwo));
            self.enter(State::AwaitFile(File::Dwo), now, wait::OBJECT_MESSAGE);
        } else {
            self.finish_remote();
        }
    }

    fn finish_remote(&mut self) {
        match self.result.take() {
            Some(result) => self.end(End::Remote(result)),
            None => self.give_up(Trouble::NoResult),
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
