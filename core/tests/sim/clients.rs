//! Client processes: each carries out what its [`Submission`] wants, and compiles at home if that ends so.

use crate::hosts;
use crate::servers::piece;
use crate::workload::{BuildState, End};
use crate::world::{self, What, World};
use ice_core::client::{self, Input, Output, Submission};
use ice_core::ids::PeerId;
use ice_core::job::JobStats;
use ice_core::message::{JobLocalBegin, Message, UseCs};
use ice_core::platform;
use ice_core::reason::Reason;
use ice_core::text::Text;
use ice_core::time::{Duration, Instant};
use ice_core::version::Version;

/// What happens in a client process.
pub enum Event {
    /// `make` starts the next one.
    Next,
    /// Its machine wants to be asked.
    Timer(Instant),
    /// The compile server has answered, on this connection, or refused.
    Dialled(Option<PeerId>),
    /// All of its environment's archive is written.
    EnvironmentSent,
    /// Its preprocessor is done.
    Preprocessed,
    /// The compile server takes again what is sent to it.
    Taken,
    /// Somebody said something to it, or closed the connection.
    Hears(PeerId, Message),
    Gone(PeerId),
    Probed(bool),
    /// Its own compiler is done, under the cluster's eyes.
    OwnDone,
    /// A local compile is done.
    LocalDone,
}

impl World {
    /// Something in the process that makes a build now.
    pub fn schedule_build(&mut self, build: usize, at: Instant, event: Event) {
        let (submitter, attempt) = (self.builds[build].submitter, self.builds[build].attempt);
        self.schedule_on(submitter, at, What::Build { build, attempt, event });
    }

    pub fn build_event(&mut self, submitter: usize, build: usize, attempt: u32, event: Event) {
        let Some(entry) = self.builds.get_mut(build).filter(|b| !b.is_ended()) else {
            return if let Event::Next = event {
                self.next_build(submitter)
            };
        };
        match event {
            Event::Timer(at) if entry.timer == Some(at) => {
                entry.timer = None;
                if let Some(submission) = &mut entry.submission {
                    submission.handle_timeout(self.now);
                    self.carry_out_client(build);
                }
            }
            Event::Hears(peer, message) => self.hears(build, peer, message),
            Event::Gone(peer) => self.gone(build, peer),
            Event::Next | Event::Timer(_) => {}
            _ if entry.attempt != attempt => {}
            Event::Dialled(peer) => self.dialled(build, peer),
            Event::EnvironmentSent => {
                self.send(build, Message::End);
                self.submit(build, Input::EnvironmentSent);
            }
            Event::Preprocessed => {
                let leaves_macros = !self.builds[build].is_expanded;
                let input = match self.rng.below(1000) {
                    0..2 => Input::PreprocessorFailed,
                    2..12 if leaves_macros => Input::ExpandHere,
                    _ => Input::SourceEnd { said: Vec::new() },
                };
                self.send(build, piece());
                self.submit(build, input);
            }
            Event::Taken => self.submit(build, Input::Taken),
            Event::Probed(alive) => self.submit(build, Input::Probed { alive }),
            Event::OwnDone => {
                let stats = JobStats { real_ms: 500, user_ms: 400, out_uncompressed: 20_000, ..JobStats::default() };
                self.submit(build, Input::Compiled { status: 0, stats });
            }
            Event::LocalDone => {
                let end = if entry.state == BuildState::Alone { End::Alone } else { End::Fallback };
                self.end(build, end);
            }
        }
    }

    fn next_build(&mut self, submitter: usize) {
        let Some(build) = self.waiting.get_mut(&submitter).and_then(|w| w.pop_front()) else { return };
        if self.builds[build].is_ended() {
            return self.next_build(submitter); // cancelled before it began
        }
        self.submit_new(build);
    }

    fn submit_new(&mut self, build: usize) {
        let submitter = self.builds[build].submitter;
        if !self.hosts[submitter].serves {
            self.builds[build].state = BuildState::Alone;
            return self.compile_here(build, Event::LocalDone);
        }
        let peer = self.open(submitter, build, false);
        let request = self.builds[build].request(&self.hosts[submitter].platform);
        let entry = &mut self.builds[build];
        entry.local = Some(peer);
        entry.state = BuildState::Away;
        entry.submission = Some(Box::new(Submission::new(self.now, request)));
        self.carry_out_client(build);
    }

    /// Tells the machine of a build, if it still has one, and does what it wants.
    fn submit(&mut self, build: usize, input: Input) {
        if let Some(submission) = &mut self.builds[build].submission {
            submission.handle(self.now, input);
            self.carry_out_client(build);
        }
    }

    fn carry_out_client(&mut self, build: usize) {
        let Some(submission) = &mut self.builds[build].submission else { return };
        let outputs: Vec<Output> = std::iter::from_fn(|| submission.poll_output()).collect();
        for output in outputs {
            assert!(self.builds[build].submission.is_some(), "a client that is done wants {output:?}");
            self.client_output(build, output);
        }
        let entry = &mut self.builds[build];
        let Some(at) = entry.submission.as_ref().and_then(|s| s.poll_timeout()).map(|at| at.max(self.now)) else {
            return;
        };
        if entry.timer.is_none_or(|set| at < set) {
            entry.timer = Some(at);
            self.schedule_build(build, at, Event::Timer(at));
        }
    }

    fn client_output(&mut self, build: usize, output: Output) {
        match output {
            Output::Daemon(message) => match self.builds[build].local {
                Some(peer) => self.say(peer, message),
                None => self.submit(build, Input::DaemonClosed),
            },
            Output::Server(message) => self.send(build, message),
            Output::Dial { host, .. } => self.dial(build, &host),
            Output::SendEnvironment { target, .. } => {
                self.send(build, Message::TransferEnv(target));
                let at = self.now + Duration::from_millis(self.rng.between(100, 3_000));
                self.schedule_build(build, at, Event::EnvironmentSent);
            }
            Output::SendSource(header) => {
                self.send(build, Message::CompileFile(*header));
                self.send(build, piece());
                let at = self.now + Duration::from_millis(self.rng.between(5, 300));
                self.schedule_build(build, at, Event::Preprocessed);
            }
            Output::Leave(_) => {
                self.checkers.asked_again += 1;
                self.leave_server(build);
            }
            Output::Receive(_) => self.builds[build].receives = true,
            Output::Probe { patience } => {
                let server = self.server_of(build).map(|server| &self.hosts[server]);
                let alive = server.is_some_and(|s| s.answers() && s.dark_until <= self.now);
                let at = if alive { self.later() } else { self.now + patience };
                self.schedule_build(build, at, Event::Probed(alive));
            }
            Output::CompileHere => self.compile_here(build, Event::OwnDone),
            Output::End(end) => self.submission_ended(build, *end),
            Output::Inspect(_) => unreachable!("the user's environments need no look"),
            Output::BeginFiles | Output::AnswerFiles(_) | Output::ReceiveOutputs => {
                unreachable!("clients here have text")
            }
        }
    }

    fn server_of(&self, build: usize) -> Option<usize> {
        hosts::index_of(&self.builds[build].submission.as_ref()?.server().host)
    }

    /// Sends something to the server, which does not take it while nothing passes.
    fn send(&mut self, build: usize, message: Message) {
        let Some(peer) = self.builds[build].remote else { return };
        let Some(host) = self.conns.get(&peer).map(|c| c.host) else { return };
        self.say(peer, message);
        let dark_until = self.hosts[host].dark_until;
        if dark_until > self.now {
            self.schedule_build(build, dark_until, Event::Taken);
            return self.submit(build, Input::Blocked);
        }
        self.submit(build, Input::Taken);
    }

    fn dial(&mut self, build: usize, address: &Text) {
        let server = hosts::index_of(address).expect("a host of this world");
        if let Some(use_cs) = self.builds[build].submission.as_ref().map(|s| s.server()) {
            self.check_platform(server, use_cs);
        }
        self.checkers.mix(server as u64);
        // Some wait for a processor to preprocess on; meanwhile an environment may go.
        let busy = if self.rng.per_mille(100) { self.rng.below(5_000) } else { 0 };
        let at = self.later() + Duration::from_millis(busy);
        let attempt = self.builds[build].attempt;
        self.schedule(at, world::Event::Arrive { server, build, attempt });
    }

    fn check_platform(&self, server: usize, use_cs: &UseCs) {
        let runs = platform::runs(self.hosts[server].platform.as_bytes(), use_cs.host_platform.as_bytes());
        assert!(runs, "{} on a host of {}", use_cs.host_platform, self.hosts[server].platform);
    }

    fn dialled(&mut self, build: usize, peer: Option<PeerId>) {
        match peer.filter(|peer| self.conns.contains_key(peer)) {
            Some(peer) => {
                self.builds[build].remote = Some(peer);
                let version = Version::TO_CLIENT;
                self.submit(build, Input::Connected { version, offer: version });
            }
            None => self.submit(build, Input::Failed(Reason::Unreachable.into())),
        }
    }

    fn hears(&mut self, build: usize, peer: PeerId, message: Message) {
        let entry = &mut self.builds[build];
        if entry.remote == Some(peer) {
            let input = match message {
                Message::FileChunk(chunk) if entry.receives => Input::FilePiece { plain: u64::from(chunk.plain_len) },
                Message::End if entry.receives => {
                    entry.receives = false;
                    Input::Received
                }
                message => Input::Server(message),
            };
            self.submit(build, input);
        } else if entry.local == Some(peer) {
            match (entry.state, message) {
                (BuildState::WaitSlot, Message::JobLocalBegin(_)) => {
                    entry.state = BuildState::Local;
                    self.compile_here(build, Event::LocalDone);
                }
                (_, message) => self.submit(build, Input::Daemon(message)),
            }
        }
    }

    fn gone(&mut self, build: usize, peer: PeerId) {
        let entry = &mut self.builds[build];
        if entry.remote == Some(peer) {
            entry.remote = None;
            self.submit(build, Input::ServerClosed);
        } else if entry.local == Some(peer) {
            entry.local = None;
            match entry.state {
                BuildState::WaitSlot => self.compile_alone(build),
                _ => self.submit(build, Input::DaemonClosed),
            }
        }
    }

    fn compile_here(&mut self, build: usize, event: Event) {
        let speed = u32::try_from(self.hosts[self.builds[build].submitter].speed).unwrap_or(1);
        let at = self.now + self.builds[build].work * 10 / speed;
        self.schedule_build(build, at, event);
    }

    fn submission_ended(&mut self, build: usize, end: client::End) {
        let server = self.server_of(build);
        let is_honest = server.is_none_or(|server| !self.hosts[server].has_lied);
        match end {
            client::End::Remote { result, .. } => {
                let delivered = self.builds[build].delivered;
                assert!(!is_honest || delivered == Some(result.status), "a result that no server sent: {delivered:?}");
                self.say_end(build);
                self.end(build, End::Remote);
            }
            client::End::ByFiles { .. } => unreachable!("clients here have text"),
            client::End::ExpandHere => {
                self.leave(build);
                self.builds[build].is_expanded = true;
                self.submit_new(build);
            }
            client::End::Own { .. } => {
                self.say_end(build);
                self.end(build, End::Own);
            }
            client::End::Local(why) => {
                let is_lost = why.reason == Reason::ServerSays && why.detail.as_bytes().ends_with(b" removed?");
                self.checkers.lost += u64::from(is_lost && is_honest);
                self.checkers.comes_home(why.reason);
                self.fall_back(build);
            }
        }
    }

    fn say_end(&mut self, build: usize) {
        if let Some(peer) = self.builds[build].local {
            self.say(peer, Message::End);
        }
    }

    /// The cluster failed: once more, here, in a slot of the own daemon.
    fn fall_back(&mut self, build: usize) {
        self.leave(build);
        let submitter = self.builds[build].submitter;
        if !self.hosts[submitter].serves {
            return self.compile_alone(build);
        }
        let peer = self.open(submitter, build, false);
        self.builds[build].local = Some(peer);
        self.builds[build].state = BuildState::WaitSlot;
        let begin = JobLocalBegin { output_file: self.builds[build].file.clone(), ..JobLocalBegin::default() };
        self.say(peer, Message::JobLocalBegin(begin));
    }

    fn compile_alone(&mut self, build: usize) {
        self.leave(build);
        self.builds[build].state = BuildState::Alone;
        self.compile_here(build, Event::LocalDone);
    }

    /// The connection to the server is closed; what still comes for this try is void.
    fn leave_server(&mut self, build: usize) {
        let entry = &mut self.builds[build];
        entry.attempt += 1;
        entry.receives = false;
        entry.delivered = None;
        if let Some(peer) = entry.remote.take() {
            self.hang_up(peer);
        }
    }

    /// Both connections are closed.
    fn leave(&mut self, build: usize) {
        self.leave_server(build);
        let entry = &mut self.builds[build];
        entry.submission = None;
        entry.timer = None;
        if let Some(peer) = entry.local.take() {
            self.hang_up(peer);
        }
    }

    pub fn cancel(&mut self, build: usize) {
        let submitter = self.builds[build].submitter;
        if self.builds[build].is_ended() || !self.hosts[submitter].is_awake() {
            return;
        }
        self.end(build, End::Cancelled);
    }

    pub fn end(&mut self, build: usize, end: End) {
        let begun = self.builds[build].state != BuildState::New;
        self.checkers.ended(&self.builds[build], end);
        self.leave(build);
        self.builds[build].state = BuildState::Ended(end);
        self.left -= 1;
        if begun {
            let submitter = self.builds[build].submitter;
            self.schedule_on(submitter, self.now, What::Build { build: usize::MAX, attempt: 0, event: Event::Next });
        }
    }
}
