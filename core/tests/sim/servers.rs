//! What a daemon's shell does for its connections: environments arrive, jobs are served, objects go back.

use crate::conns::Conn;
use crate::hosts;
use crate::world::{What, World};
use ice_core::codec::Codec;
use ice_core::daemon::{Arrived, Grant, Input, Output, VerifyFailure};
use ice_core::env::{EnvId, EnvName};
use ice_core::ids::PeerId;
use ice_core::job::JobStats;
use ice_core::message::{Chunk, CompileResult, Message};
use ice_core::server::{self, Ended, Exit, Failure, Serving, Stream};
use ice_core::text::Text;
use ice_core::time::{Duration, Instant};
use ice_core::version::Version;

/// A send that nobody reads fails after so long (`net/PROTOCOL.md`, Waiting times).
const SEND: Duration = Duration::from_secs(30);
/// The longest that a compiler takes, on however slow a host.
const COMPILE_MAX: Duration = Duration::from_secs(240);

/// What the thread of a connection does.
pub enum Thread {
    /// It hands what it reads to the daemon's loop.
    Loop,
    /// It reads an archive to its END, and waits for the order what to do with it: to install it, or to throw it away.
    Transfer { order: Option<Option<EnvId>>, has_end: bool },
    /// It serves a job.
    Job(Box<Serving>),
}

impl Thread {
    fn reads(&self) -> bool {
        match self {
            Self::Loop => true,
            Self::Transfer { has_end, .. } => !has_end,
            Self::Job(serving) => serving.reads_client(),
        }
    }
}

impl World {
    pub fn connection_event(&mut self, host: usize, what: What) {
        match what {
            What::PeerClosed(peer) => self.peer_closed(host, peer),
            What::Said { peer, message } => {
                if let Some(conn) = self.conns.get_mut(&peer) {
                    conn.inbox.push_back(message);
                    self.hear(peer);
                }
            }
            What::HungUp(peer) => {
                if let Some(conn) = self.conns.get_mut(&peer) {
                    conn.is_hung_up = true;
                    self.hear(peer);
                }
            }
            What::Received { peer, env, ok } => self.received(host, peer, &env, ok),
            What::Verified { env, ok } => {
                let outcome = if ok { Ok(()) } else { Err(VerifyFailure::Environment("gcc does not run".into())) };
                self.tell(host, Input::Verified { env, outcome });
            }
            What::ServingTimer { peer, at } => self.serving_timer(peer, at),
            What::Took(peer) => self.serve(peer, server::Input::CompilerTook { is_left: false }),
            What::Compiled(peer) => self.compiled(host, peer),
            What::Delivered { peer, ok } => {
                let sent = if ok { Ok(()) } else { Err("not read".to_owned()) };
                self.serve(peer, server::Input::Delivered(sent));
            }
            _ => unreachable!("handled by the world"),
        }
    }

    /// What a daemon wants done for one of its connections.
    pub fn connection_output(&mut self, host: usize, output: Output) {
        match output {
            Output::Send(peer, Message::VerifyEnvResult { ok }) if self.hosts[host].lies => {
                let ok = if self.rng.per_mille(500) { ok } else { 1 - ok };
                self.answer(peer, Message::VerifyEnvResult { ok });
            }
            Output::Send(peer, message) => self.answer(peer, message),
            Output::Close(peer, _) => {
                self.serve(peer, server::Input::Stop);
                self.serve(peer, server::Input::Delivered(Err("closed".to_owned())));
                self.schedule_on(host, self.now, What::PeerClosed(peer));
            }
            Output::Kill(peer) => self.serve(peer, server::Input::Stop),
            Output::Grant(grant) => self.granted(host, grant),
            Output::Receive(peer, env, _) => self.ordered(host, peer, Some(env)),
            Output::Install(peer, env) => {
                self.hosts[host].disk.insert(env);
                self.transfer_ends(host, peer, Some(Ok(())));
            }
            Output::Drop(peer) => self.transfer_ends(host, peer, None),
            // No daemon of this world forgets what its clients have.
            Output::Forget(env) => panic!("{env} is contested"),
            Output::Discard(peer) => self.ordered(host, peer, None),
            Output::Verify(env) => {
                let at = self.now + Duration::from_millis(50);
                let ok = !self.rng.per_mille(20);
                self.schedule_on(host, at, What::Verified { env, ok });
            }
            // It ends by itself in a moment.
            Output::StopVerify => {}
            Output::Remove(env) => {
                let used = self.conns.values().any(|c| c.host == host && c.running.as_ref() == Some(&env));
                assert!(!used, "host {host} removes {env} while a job runs in it");
                self.checkers.removed += 1;
                self.hosts[host].disk.remove(&env);
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }

    /// Reads what is there and wanted.
    fn hear(&mut self, peer: PeerId) {
        while let Some(conn) = self.conns.get_mut(&peer) {
            let reads = conn.thread.reads();
            if conn.is_hung_up && (!reads || conn.inbox.is_empty()) {
                return self.client_gone(peer);
            }
            let next = if reads { conn.inbox.pop_front() } else { None };
            let Some(message) = next else { return };
            match (&mut conn.thread, message) {
                (Thread::Transfer { has_end, .. }, Message::End) => {
                    *has_end = true;
                    self.install(peer);
                }
                (Thread::Transfer { .. }, _) => {}
                (Thread::Job(_), message) => self.source_came(peer, message),
                (Thread::Loop, message) => {
                    match message {
                        Message::CompileFile(_) => {
                            conn.thread = Thread::Job(Box::new(Serving::new(Version::TO_CLIENT)))
                        }
                        Message::TransferEnv(_) => conn.thread = Thread::Transfer { order: None, has_end: false },
                        _ => {}
                    }
                    let host = conn.host;
                    self.tell(host, Input::Message { peer, message });
                }
            }
        }
    }

    fn client_gone(&mut self, peer: PeerId) {
        let Some(Conn { host, thread, .. }) = self.conns.get(&peer) else { return };
        if let Thread::Job(_) = thread {
            self.serve(peer, server::Input::Failed(Failure::ClientGone));
            return self.serve(peer, server::Input::Delivered(Err("closed".to_owned())));
        }
        self.peer_closed(*host, peer);
    }

    /// The daemon's order for an archive: to install it as this, or to throw it away.
    fn ordered(&mut self, host: usize, peer: PeerId, env: Option<EnvId>) {
        match (self.conns.get_mut(&peer), env) {
            (Some(Conn { thread: Thread::Transfer { order, .. }, .. }), env) => {
                *order = Some(env);
                self.install(peer);
            }
            (_, Some(env)) => self.schedule_on(host, self.now, What::Received { peer, env, ok: false }),
            (_, None) => {}
        }
    }

    /// The archive is there, and it is known what to do with it.
    fn install(&mut self, peer: PeerId) {
        let Some(conn) = self.conns.get_mut(&peer) else { return };
        let host = conn.host;
        match &conn.thread {
            Thread::Transfer { order: Some(Some(env)), has_end: true } => {
                let env = env.clone();
                let at = self.now + Duration::from_millis(self.rng.between(20, 300));
                let ok = !self.hosts[host].full && !self.rng.per_mille(20);
                self.schedule_on(host, at, What::Received { peer, env, ok });
            }
            Thread::Transfer { order: Some(None), has_end: true } => {
                conn.thread = Thread::Loop;
                self.hear(peer);
            }
            _ => {}
        }
    }

    fn received(&mut self, host: usize, peer: PeerId, env: &EnvId, ok: bool) {
        if !ok || !self.conns.contains_key(&peer) {
            return self.transfer_ends(host, peer, Some(Err(Text::from("truncated"))));
        }
        // The same name is the same content here.
        let byte = |n: usize| env.name.as_str().as_bytes().get(n).copied().unwrap_or(0);
        let digest = EnvName::of_content(&std::array::from_fn(byte));
        self.tell(host, Input::Unpacked { peer, arrived: Arrived { size: hosts::env_size(), digest, proven: false } });
    }

    /// An archive is installed, or not; the daemon is told unless it said so.
    fn transfer_ends(&mut self, host: usize, peer: PeerId, outcome: Option<Result<(), Text>>) {
        if let Some(conn) = self.conns.get_mut(&peer) {
            conn.thread = Thread::Loop;
        }
        if let Some(outcome) = outcome {
            self.tell(host, Input::Received { peer, outcome });
        }
        self.hear(peer);
    }

    fn source_came(&mut self, peer: PeerId, message: Message) {
        let Some(conn) = self.conns.get(&peer) else { return };
        let is_full = self.hosts[conn.host].full && self.rng.per_mille(300);
        let input = match message {
            Message::End => server::Input::End,
            Message::FileChunk(_) if is_full => server::Input::Failed(Failure::Damaged("no space left".to_owned())),
            Message::FileChunk(chunk) => server::Input::Chunk {
                compressed: chunk.data.len() as u64,
                plain: u64::from(chunk.plain_len),
                has_room: !self.rng.per_mille(20),
            },
            _ => server::Input::Other,
        };
        self.serve(peer, input);
        self.compiler_takes(peer);
    }

    /// The compiler takes what there is, mostly at once.
    fn compiler_takes(&mut self, peer: PeerId) {
        let Some(conn) = self.conns.get(&peer).filter(|c| c.running.is_some()) else { return };
        let host = conn.host;
        if self.rng.per_mille(950) {
            return self.serve(peer, server::Input::CompilerTook { is_left: false });
        }
        let at = self.now + Duration::from_millis(self.rng.below(5_000));
        self.schedule_on(host, at, What::Took(peer));
    }

    fn granted(&mut self, host: usize, grant: Grant) {
        let peer = grant.peer;
        let Some(conn) = self.conns.get_mut(&peer) else {
            return; // gone in the same moment: `Closed` is on its way
        };
        let env = grant.work.env().expect("no jobs of files mode").clone();
        assert!(self.hosts[host].disk.contains(&env), "host {host} runs a job in {env}, which is not there");
        conn.running = Some(env);
        conn.owes_report = true;
        self.checkers.starts(host, peer.0, self.hosts[host].slots);
        self.serve(peer, server::Input::Granted);
        if self.rng.per_mille(2) {
            return self.serve(peer, server::Input::Failed(Failure::Environment("as is not executable".to_owned())));
        }
        if self.rng.per_mille(3) {
            // It dies before it has read its source.
            self.schedule_on(host, self.now, What::Compiled(peer));
        }
        self.compiler_takes(peer);
    }

    /// Tells the machine of a job, if there is one, and does what it wants.
    fn serve(&mut self, peer: PeerId, input: server::Input<'_>) {
        let Some(Conn { thread: Thread::Job(serving), .. }) = self.conns.get_mut(&peer) else { return };
        let read = serving.reads_client();
        serving.handle(self.now, input);
        self.carry_out(peer);
        let reads = self.conns.get(&peer).is_some_and(|c| c.thread.reads());
        if reads && !read {
            self.hear(peer);
        }
    }

    fn serving_timer(&mut self, peer: PeerId, at: Instant) {
        let Some(conn) = self.conns.get_mut(&peer).filter(|c| c.timer == Some(at)) else { return };
        conn.timer = None;
        let Thread::Job(serving) = &mut conn.thread else { return };
        serving.handle_timeout(self.now);
        self.carry_out(peer);
    }

    fn carry_out(&mut self, peer: PeerId) {
        let Some(Conn { host, thread: Thread::Job(serving), .. }) = self.conns.get_mut(&peer) else { return };
        let host = *host;
        let outputs: Vec<server::Output> = std::iter::from_fn(|| serving.poll_output()).collect();
        for output in outputs {
            self.serving_output(host, peer, output);
        }
        let Some(conn) = self.conns.get_mut(&peer) else { return };
        let Thread::Job(serving) = &conn.thread else { return };
        let Some(at) = serving.poll_timeout().map(|at| at.max(self.now)) else { return };
        if conn.timer.is_none_or(|set| at < set) {
            conn.timer = Some(at);
            self.schedule_on(host, at, What::ServingTimer { peer, at });
        }
    }

    fn serving_output(&mut self, host: usize, peer: PeerId, output: server::Output) {
        let Some(conn) = self.conns.get_mut(&peer) else { return };
        match output {
            server::Output::Complete => self.tell(host, Input::Complete { peer }),
            server::Output::CloseInput => {
                let (work, speed) = (self.builds[conn.build].work, self.hosts[host].speed);
                let slow = if self.hosts[host].slow { 10 } else { 1 };
                let time = work * 10 * slow / u32::try_from(speed).unwrap_or(1);
                self.schedule_on(host, self.now + time.min(COMPILE_MAX), What::Compiled(peer));
            }
            server::Output::GiveUp(_) => conn.running = None,
            server::Output::Report(report) => {
                assert!(std::mem::take(&mut conn.owes_report), "a job's end was reported without a slot, or twice");
                conn.running = None;
                self.checkers.stops(host, peer.0);
                self.tell(host, Input::JobEnded { peer, report });
            }
            server::Output::Say(message) => self.answer(peer, message),
            server::Output::Deliver(result) => self.deliver(host, peer, *result),
            server::Output::Close(_) => {
                assert!(!conn.owes_report, "a job's end was not reported");
                self.schedule_on(host, self.now, What::PeerClosed(peer));
            }
        }
    }

    /// The compiler ends: mostly well, some by their source's fault, some because they crash.
    fn compiled(&mut self, host: usize, peer: PeerId) {
        let Some(conn) = self.conns.get(&peer).filter(|c| c.running.is_some()) else { return };
        let work = u32::try_from(self.builds[conn.build].work.as_millis()).unwrap_or(u32::MAX);
        let user_ms = work * 10 / u32::try_from(self.hosts[host].speed).unwrap_or(1);
        let (exit, stderr): (_, &[u8]) = match self.rng.below(1000) {
            _ if self.hosts[host].full => (Exit::Status(1), b"error writing to x.o: No space left on device"),
            0..5 => (Exit::Signal(11), b""),
            5..10 => (Exit::Status(1), b"x.cpp:1:1: error: no such thing\n"),
            _ => (Exit::Status(0), b""),
        };
        let ended = Ended {
            exit,
            out_of_memory: false,
            timed_out: false,
            has_object: exit == Exit::Status(0),
            has_dwo: false,
            stats: JobStats { real_ms: user_ms, user_ms, out_uncompressed: work * 20, ..JobStats::default() },
            held: u64::from(work) * 20,
        };
        self.serve(peer, server::Input::Text(Stream::Stderr, stderr));
        self.serve(peer, server::Input::CompilerEnded(Ok(ended)));
        self.serve(peer, server::Input::TextEnd(Stream::Stdout));
        if !self.rng.per_mille(5) {
            self.serve(peer, server::Input::TextEnd(Stream::Stderr));
        }
    }

    fn deliver(&mut self, host: usize, peer: PeerId, result: CompileResult) {
        let Some(build) = self.conns.get(&peer).map(|c| c.build) else { return };
        if self.hosts[host].lies && self.rng.per_mille(700) {
            return self.deliver_lies(host, peer, result);
        }
        let status = result.status;
        if self.builds[build].remote == Some(peer) {
            self.builds[build].delivered = Some(status);
        }
        self.answer(peer, Message::CompileResult(result));
        if status == 0 {
            self.answer(peer, piece());
            self.answer(peer, Message::End);
        }
        let slow = self.hosts[host].slow;
        let ok = !self.rng.per_mille(if slow { 200 } else { 2 });
        let time = if ok { Duration::from_millis(self.rng.between(1, if slow { 10_000 } else { 30 })) } else { SEND };
        self.schedule_on(host, self.now + time, What::Delivered { peer, ok });
    }

    /// What no honest server says. The client must take none of it for its object.
    fn deliver_lies(&mut self, host: usize, peer: PeerId, honest: CompileResult) {
        let lie = match self.rng.below(6) {
            0 => Message::CompileResult(CompileResult { status: 1, ..honest }),
            1 => Message::CompileResult(CompileResult { status: 256, ..honest }),
            2 => Message::CompileResult(CompileResult { has_dwo: 1, ..honest }),
            3 => Message::StatusText { text: "environment removed?".into() },
            4 => Message::Ping,
            // The object is cut.
            _ => Message::CompileResult(CompileResult { status: 0, ..honest }),
        };
        self.answer(peer, lie);
        self.answer(peer, piece());
        self.schedule_on(host, self.now, What::Delivered { peer, ok: true });
    }
}

/// Some of a file.
pub fn piece() -> Message {
    Message::FileChunk(Chunk { plain_len: 1000, codec: Codec::Zstd, data: vec![0; 10] })
}
