//! Client processes and what a daemon's shell does for its connections: environments arrive, jobs run, objects go back.

use crate::hosts;
use crate::network::Lane;
use crate::workload::{BuildState, End};
use crate::world::{self, What, World};
use ice_core::daemon::{Grant, Input, JobReport, Output, VerifyTrouble};
use ice_core::env::EnvId;
use ice_core::ids::{JobId, PeerId};
use ice_core::job::JobStats;
use ice_core::message::{EnvTarget, JobDone, JobLocalBegin, Message, UseCs, done_flags};
use ice_core::platform;
use ice_core::text::Text;
use ice_core::time::Duration;
use ice_core::version::Version;

/// How often a client looks whether its server is alive (decision: silent-server).
const WATCH: Duration = Duration::from_secs(5);

/// How often a client asks for a server.
const ASKED_MAX: u32 = 3;

/// A client's connection to a daemon.
pub struct Conn {
    pub host: usize,
    pub build: usize,
    pub attempt: u32,
    /// To a compile server; else to the own daemon.
    pub remote: bool,
    /// What the client says next, once the environment has been received and verified.
    next: Option<Message>,
    /// Way from the server back to the client.
    lane: Lane,
    /// The environment that its job runs in.
    running: Option<EnvId>,
}

/// What happens in a client process.
pub enum Event {
    /// `make` starts the next one.
    Next,
    /// Its own compiler is done.
    OwnDone,
    /// A local compile is done.
    LocalDone,
    /// The compile server's result is there.
    Result,
    /// The connection to the compile server broke, or was refused.
    ServerGone,
    /// The connection to the own daemon broke.
    DaemonGone,
    /// Is the server alive?
    Watch,
}

impl World {
    pub fn client_event(&mut self, host: usize, what: What) {
        match what {
            What::PeerClosed(peer) => self.peer_closed(host, peer),
            What::Received { peer, env, ok } => self.received(host, peer, env, ok),
            What::Verified { env, ok } => {
                let outcome = if ok { Ok(()) } else { Err(VerifyTrouble::Environment("gcc does not run".into())) };
                self.tell(host, Input::Verified { env, outcome });
            }
            What::Compiled(peer) => self.compiled(host, peer),
            What::Hears { peer, message } => self.hears(peer, message),
            What::Build { event: Event::Next, .. } => self.next_build(host),
            What::Build { build, attempt, event } => {
                if self.builds[build].attempt == attempt && !self.builds[build].is_ended() {
                    self.build_event(build, event);
                }
            }
            _ => unreachable!("handled by the world"),
        }
    }

    /// What a daemon wants done for one of its connections.
    pub fn client_output(&mut self, host: usize, output: Output) {
        match output {
            Output::Send(peer, message) => {
                let Some(conn) = self.conns.get_mut(&peer) else { return };
                let submitter = self.builds[conn.build].submitter;
                let at =
                    if conn.remote { self.network.arrival(&mut self.rng, self.now, &mut conn.lane) } else { self.now };
                self.schedule_on(submitter, at, What::Hears { peer, message });
            }
            Output::Close(peer, _) => {
                // What was said before arrives before.
                let Some(conn) = self.conns.get_mut(&peer) else { return };
                let at = self.network.arrival(&mut self.rng, self.now, &mut conn.lane);
                self.schedule_on(host, at, What::PeerClosed(peer));
            }
            Output::Kill(peer) => self.hang_up(peer),
            Output::Grant(grant) => self.granted(host, grant),
            Output::Receive(peer, env) => {
                let at = self.now + Duration::from_millis(self.rng.between(100, 3_000));
                let ok = !self.rng.per_mille(20);
                self.schedule_on(host, at, What::Received { peer, env, ok });
            }
            Output::Discard(peer) => self.says_next(peer),
            Output::Verify(env) => {
                let at = self.now + Duration::from_millis(50);
                let ok = !self.rng.per_mille(20);
                self.schedule_on(host, at, What::Verified { env, ok });
            }
            Output::Remove(env) => {
                let used = self.conns.values().any(|c| c.host == host && c.running.as_ref() == Some(&env));
                assert!(!used, "host {host} removes {env} while a job runs in it");
                self.checkers.removed += 1;
                self.hosts[host].disk.remove(&env);
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn next_build(&mut self, submitter: usize) {
        let Some(build) = self.waiting.get_mut(&submitter).and_then(|w| w.pop_front()) else { return };
        if self.builds[build].is_ended() {
            return self.next_build(submitter); // cancelled before it began
        }
        let peer = self.open(submitter, build, false);
        self.builds[build].local = Some(peer);
        self.builds[build].state = BuildState::WaitCs;
        let request = self.builds[build].request(&self.hosts[submitter].platform);
        self.say(peer, Message::GetCs(request));
    }

    /// A new connection to a daemon that is alive.
    fn open(&mut self, host: usize, build: usize, remote: bool) -> PeerId {
        let peer = self.peer();
        let attempt = self.builds[build].attempt;
        let conn = Conn { host, build, attempt, remote, next: None, lane: Lane::default(), running: None };
        self.conns.insert(peer, conn);
        let address = if remote { hosts::address(self.builds[build].submitter) } else { "local".into() };
        self.tell(host, Input::Opened { peer, version: Version::TO_CLIENT, address, of_this_host: !remote });
        peer
    }

    fn say(&mut self, peer: PeerId, message: Message) {
        if let Some(host) = self.conns.get(&peer).map(|c| c.host) {
            self.tell(host, Input::Said { peer, message });
        }
    }

    /// The connection ends; the daemon notices after what is on its way already.
    fn hang_up(&mut self, peer: PeerId) {
        if let Some(host) = self.conns.get(&peer).map(|c| c.host) {
            self.schedule_on(host, self.now, What::PeerClosed(peer));
        }
    }

    fn peer_closed(&mut self, host: usize, peer: PeerId) {
        let Some(conn) = self.conns.remove(&peer) else { return };
        self.checkers.stops(host, peer.0);
        self.tell(host, Input::Closed { peer });
        let event = if conn.remote { Event::ServerGone } else { Event::DaemonGone };
        self.notify(&conn, event);
    }

    /// The client at the other end of a connection that is gone learns it a little later.
    fn notify(&mut self, conn: &Conn, event: Event) {
        let build = &self.builds[conn.build];
        let concerned = if conn.remote { build.remote } else { build.local };
        if build.attempt != conn.attempt || concerned.is_none() || build.is_ended() {
            return;
        }
        let submitter = build.submitter;
        let at = self.later();
        self.schedule_on(submitter, at, What::Build { build: conn.build, attempt: conn.attempt, event });
    }

    /// A machine died: whoever was connected to it notices, and its own clients' servers do.
    pub fn connections_die(&mut self, host: usize) {
        let dead: Vec<PeerId> = self.conns.iter().filter(|(_, c)| c.host == host).map(|(peer, _)| *peer).collect();
        for peer in dead {
            if let Some(conn) = self.conns.remove(&peer) {
                if conn.remote {
                    self.notify(&conn, Event::ServerGone);
                }
            }
        }
        let orphaned: Vec<PeerId> =
            self.conns.iter().filter(|(_, c)| self.builds[c.build].submitter == host).map(|(p, _)| *p).collect();
        for peer in orphaned {
            self.hang_up(peer);
        }
    }

    /// A client's connection reaches a compile server, or what is left of it.
    pub fn arrive(&mut self, server: usize, build: usize, attempt: u32) {
        let current = &self.builds[build];
        if current.attempt != attempt || current.is_ended() {
            return;
        }
        let submitter = current.submitter;
        if !self.hosts[server].alive {
            let at = self.later();
            return self.schedule_on(submitter, at, What::Build { build, attempt, event: Event::ServerGone });
        }
        if self.hosts[server].frozen {
            // The kernel takes the connection, nobody answers: the watch ends it.
            let at = self.now + Duration::from_millis(500);
            return self.schedule(at, world::Event::Arrive { server, build, attempt });
        }
        let BuildState::Remote { .. } = current.state else { return };
        let peer = self.open(server, build, true);
        self.builds[build].remote = Some(peer);
        self.transfer_or_compile(peer, build);
    }

    fn transfer_or_compile(&mut self, peer: PeerId, build: usize) {
        let Some((use_cs, name)) = self.builds[build].assigned.clone() else { return };
        let target = self.hosts[self.builds[build].submitter].platform.clone();
        let compile = Message::CompileFile(self.builds[build].compile_file(use_cs.job, &target, name.clone()));
        if use_cs.env_present != 0 {
            return self.say(peer, compile);
        }
        if let Some(conn) = self.conns.get_mut(&peer) {
            conn.next = Some(compile);
        }
        self.say(peer, Message::TransferEnv(EnvTarget { name, target }));
    }

    /// The environment is there (or was already): the client has it verified before it compiles.
    fn says_next(&mut self, peer: PeerId) {
        let Some(conn) = self.conns.get_mut(&peer) else { return };
        if let Some(Message::CompileFile(file)) = &conn.next {
            let verify = EnvTarget { name: file.environment.clone(), target: file.target.clone() };
            self.say(peer, Message::VerifyEnv(verify));
        }
    }

    fn received(&mut self, host: usize, peer: PeerId, env: EnvId, ok: bool) {
        let ok = ok && self.conns.contains_key(&peer);
        let outcome = if ok { Ok(hosts::env_size()) } else { Err(Text::from("truncated")) };
        if ok {
            self.hosts[host].disk.insert(env.clone());
        }
        self.tell(host, Input::Received { peer, env, outcome });
        self.says_next(peer);
    }

    fn granted(&mut self, host: usize, grant: Grant) {
        let Some(conn) = self.conns.get_mut(&grant.peer) else {
            return; // gone in the same moment: `Closed` is on its way
        };
        conn.running = Some(grant.env.clone());
        let work = self.builds[conn.build].work;
        assert!(
            self.hosts[host].disk.contains(&grant.env),
            "host {host} runs a job in {}, which is not there",
            grant.env
        );
        self.checkers.starts(host, grant.peer.0, self.hosts[host].slots);
        let at = self.now + work * 10 / u32::try_from(self.hosts[host].speed).unwrap_or(1);
        self.schedule_on(host, at, What::Compiled(grant.peer));
    }

    fn compiled(&mut self, host: usize, peer: PeerId) {
        let Some(conn) = self.conns.get_mut(&peer) else { return };
        if conn.running.take().is_none() {
            return;
        }
        let (build, attempt) = (conn.build, conn.attempt);
        let submitter = self.builds[build].submitter;
        self.checkers.stops(host, peer.0);
        let crashed = self.rng.per_mille(5);
        let work = u32::try_from(self.builds[build].work.as_millis()).unwrap_or(u32::MAX);
        let user_ms = work * 10 / u32::try_from(self.hosts[host].speed).unwrap_or(1);
        let stats = JobStats { real_ms: user_ms, user_ms, out_uncompressed: work * 20, ..JobStats::default() };
        let exit_code = if crashed { 107 } else { 0 };
        self.tell(host, Input::JobEnded { peer, report: JobReport { exit_code, stats, ..JobReport::default() } });
        if !crashed {
            let Some(conn) = self.conns.get_mut(&peer) else { return };
            let at = self.network.arrival(&mut self.rng, self.now, &mut conn.lane);
            self.schedule_on(submitter, at, What::Build { build, attempt, event: Event::Result });
        }
        let at = self.now + Duration::from_millis(30);
        self.schedule_on(host, at, What::PeerClosed(peer));
    }

    /// A client hears something of a daemon.
    fn hears(&mut self, peer: PeerId, message: Message) {
        let Some(conn) = self.conns.get(&peer) else { return };
        let (build, attempt, remote) = (conn.build, conn.attempt, conn.remote);
        if self.builds[build].attempt != attempt || self.builds[build].is_ended() {
            return;
        }
        match message {
            Message::UseCs(use_cs) if !remote => self.verdict(peer, build, use_cs),
            Message::JobLocalBegin(_) if self.builds[build].state == BuildState::WaitSlot => {
                self.builds[build].state = BuildState::Local;
                self.compile_here(build, Event::LocalDone);
            }
            Message::VerifyEnvResult { ok } if remote => {
                let next = self.conns.get_mut(&peer).and_then(|c| c.next.take());
                match next {
                    Some(compile) if ok != 0 => self.say(peer, compile),
                    _ => self.fall_back(build),
                }
            }
            Message::StatusText { text } if remote && text.as_bytes().ends_with(b" removed?") => self.ask_again(build),
            _ => {}
        }
    }

    /// The server has lost the environment that it was believed to have.
    fn ask_again(&mut self, build: usize) {
        let believed = self.builds[build].assigned.as_ref().is_some_and(|(use_cs, _)| use_cs.env_present != 0);
        let Some(local) = self.builds[build].local.filter(|_| believed) else { return };
        self.builds[build].asked += 1;
        if self.builds[build].asked >= ASKED_MAX {
            self.checkers.lost += 1;
            return; // the connection's end follows
        }
        self.checkers.asked_again += 1;
        self.builds[build].attempt += 1;
        self.builds[build].misses = 0;
        self.builds[build].state = BuildState::WaitCs;
        let attempt = self.builds[build].attempt;
        if let Some(remote) = self.builds[build].remote.take() {
            self.hang_up(remote);
        }
        if let Some(conn) = self.conns.get_mut(&local) {
            conn.attempt = attempt;
        }
        let platform = self.hosts[self.builds[build].submitter].platform.clone();
        let request = self.builds[build].request(&platform);
        self.say(local, Message::GetCs(request));
    }

    fn verdict(&mut self, peer: PeerId, build: usize, use_cs: UseCs) {
        assert_eq!(self.builds[build].state, BuildState::WaitCs, "{} got a second answer", self.builds[build].file);
        if use_cs.host == *"127.0.0.1" {
            self.builds[build].state = BuildState::Own { job: use_cs.job };
            let platform = self.hosts[self.builds[build].submitter].platform.clone();
            let begin = self.builds[build].compile_file(use_cs.job, &platform, "__client".into());
            self.say(peer, Message::CompileFile(begin));
            return self.compile_here(build, Event::OwnDone);
        }
        let server = hosts::index_of(&use_cs.host).expect("a host of this world");
        let chosen = self.builds[build].environments.iter().find(|e| e.platform == use_cs.host_platform);
        let name = chosen.expect("a platform of the job").name.clone();
        let runs = platform::runs(self.hosts[server].platform.as_bytes(), use_cs.host_platform.as_bytes());
        assert!(runs, "{} on a host of {}", use_cs.host_platform, self.hosts[server].platform);
        self.checkers.mix(server as u64);
        self.builds[build].assigned = Some((use_cs, name));
        self.builds[build].state = BuildState::Remote { server };
        let (attempt, submitter) = (self.builds[build].attempt, self.builds[build].submitter);
        // Some wait for a processor to preprocess on; meanwhile an environment may go.
        let busy = if self.rng.per_mille(100) { self.rng.below(5_000) } else { 0 };
        let at = self.later() + Duration::from_millis(busy);
        self.schedule(at, world::Event::Arrive { server, build, attempt });
        self.schedule_on(submitter, self.now + WATCH * 2, What::Build { build, attempt, event: Event::Watch });
    }

    fn compile_here(&mut self, build: usize, event: Event) {
        let (submitter, attempt) = (self.builds[build].submitter, self.builds[build].attempt);
        let speed = u32::try_from(self.hosts[submitter].speed).unwrap_or(1);
        let at = self.now + self.builds[build].work * 10 / speed;
        self.schedule_on(submitter, at, What::Build { build, attempt, event });
    }

    fn build_event(&mut self, build: usize, event: Event) {
        match (event, self.builds[build].state) {
            (Event::OwnDone, BuildState::Own { job }) => self.own_done(build, job),
            (Event::LocalDone, BuildState::Local) => self.end(build, End::Fallback),
            (Event::LocalDone, BuildState::Alone) => self.end(build, End::Alone),
            (Event::Result, BuildState::Remote { .. }) => {
                if let Some(peer) = self.builds[build].local {
                    self.say(peer, Message::End);
                }
                self.end(build, End::Remote);
            }
            (Event::ServerGone, BuildState::Remote { .. }) => self.fall_back(build),
            (Event::Watch, BuildState::Remote { server }) => {
                let host = &self.hosts[server];
                self.builds[build].misses = if host.answers() { 0 } else { self.builds[build].misses + 1 };
                if self.builds[build].misses >= 2 {
                    return self.fall_back(build);
                }
                let (attempt, submitter) = (self.builds[build].attempt, self.builds[build].submitter);
                self.schedule_on(submitter, self.now + WATCH, What::Build { build, attempt, event: Event::Watch });
            }
            (Event::DaemonGone, state) if state != BuildState::Alone => {
                self.leave(build);
                self.builds[build].state = BuildState::Alone;
                self.compile_here(build, Event::LocalDone);
            }
            _ => {}
        }
    }

    fn own_done(&mut self, build: usize, job: JobId) {
        let stats = JobStats { real_ms: 500, user_ms: 400, out_uncompressed: 20_000, ..JobStats::default() };
        let done = JobDone { job: job.0, stats, flags: done_flags::FROM_SUBMITTER, ..JobDone::default() };
        if let Some(peer) = self.builds[build].local {
            self.say(peer, Message::JobDone(done));
            self.say(peer, Message::End);
        }
        self.end(build, End::Own);
    }

    /// The cluster failed: once more, here, in a slot of the own daemon.
    fn fall_back(&mut self, build: usize) {
        self.leave(build);
        let submitter = self.builds[build].submitter;
        let peer = self.open(submitter, build, false);
        self.builds[build].local = Some(peer);
        self.builds[build].state = BuildState::WaitSlot;
        let begin = JobLocalBegin { output_file: self.builds[build].file.clone(), ..JobLocalBegin::default() };
        self.say(peer, Message::JobLocalBegin(begin));
    }

    /// Both connections are closed; what still comes for this try is void.
    fn leave(&mut self, build: usize) {
        self.builds[build].attempt += 1;
        self.builds[build].misses = 0;
        let peers = [self.builds[build].remote.take(), self.builds[build].local.take()];
        for peer in peers.into_iter().flatten() {
            self.hang_up(peer);
        }
    }

    pub fn cancel(&mut self, build: usize) {
        let submitter = self.builds[build].submitter;
        if self.builds[build].is_ended() || !self.hosts[submitter].answers() {
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
            self.schedule_on(submitter, self.now, What::Build { build, attempt: 0, event: Event::Next });
        }
    }
}
