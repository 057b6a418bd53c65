//! The scheduler's decisions: who is logged in, which job is where, which host gets it.
//!
//! It knows no socket, clock or file, and does not know how a message is spelt: the shell says what happened ([`Input`]) and
//! carries out what comes back ([`Output`]).

mod check;
mod cluster;
mod console;
mod dispatch;
mod exchange;
mod host;
mod hosts;
mod jobs;
mod leaving;
mod monitor;
mod need;
mod note;
mod policy;
mod queue;
mod shares;
mod speed;
#[cfg(test)]
mod tests;
mod trust;

pub use exchange::{CloseReason, Config, Input, Output};
pub use note::Note;
use note::letter;

use crate::ids::{HostId, JobId, PeerId};
use crate::level::Level;
use crate::limits::{LOGIN, MONITORS_MAX, MONITORS_PER_ADDRESS_MAX};
use crate::message::{Message, MonJobBegin};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use cluster::Cluster;
use console::Console;
use jobs::{Job, State};
use queue::Queue;
use speed::Files;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A binary peer.
#[derive(Debug)]
enum Peer {
    /// Has not said what it is.
    Fresh { address: Text, offer: Version, version: Version, until: Instant },
    /// A daemon.
    Host(HostId),
    /// Told of everything; `Scheduler::monitors` knows more.
    Monitor,
}

/// Somebody who watches.
#[derive(Debug)]
struct Watcher {
    address: Text,
    version: Version,
}

/// What a point in time is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Login(PeerId),
    Host(HostId),
    Age(JobId),
    TextIdle(PeerId),
    Internals(PeerId),
    Left,
}

/// What has been, since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    placed: u64,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    lost: u64,
}

impl Counts {
    fn ended(&mut self, exit_code: i32) {
        if exit_code == 0 {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// The scheduler: all that it knows and decides.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    started: Instant,
    now: Instant,
    peers: BTreeMap<PeerId, Peer>,
    monitors: BTreeMap<PeerId, Watcher>,
    consoles: BTreeMap<PeerId, Console>,
    cluster: Cluster,
    jobs: BTreeMap<JobId, Job>,
    queue: Queue,
    files: Files,
    /// Names and addresses that may not log in.
    blocked: Vec<Text>,
    timers: BTreeSet<(Instant, Timer)>,
    outputs: VecDeque<Output>,
    /// Hosts that may take a job they could not take before.
    freed: BTreeSet<HostId>,
    /// Jobs of hosts that are gone, not ended yet.
    left: VecDeque<JobId>,
    /// Hosts became fewer: waiting jobs may have become hopeless.
    shrunk: bool,
    last_number: u32,
    next_host: u32,
    counts: Counts,
}

impl Scheduler {
    /// A scheduler nobody is connected to, started at `now`.
    pub fn new(config: Config, now: Instant) -> Self {
        let cluster = Cluster::new(config.seed);
        Self {
            config,
            started: now,
            now,
            peers: BTreeMap::new(),
            monitors: BTreeMap::new(),
            consoles: BTreeMap::new(),
            cluster,
            jobs: BTreeMap::new(),
            queue: Queue::default(),
            files: Files::default(),
            blocked: Vec::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            freed: BTreeSet::new(),
            left: VecDeque::new(),
            shrunk: false,
            last_number: 0,
            next_host: 0,
            counts: Counts::default(),
        }
    }

    /// Tells it what happened. Ask [`Self::poll_output`] until it is empty, then [`Self::poll_timeout`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Opened { peer, address, offer, version } => {
                let until = self.now + LOGIN;
                self.timers.insert((until, Timer::Login(peer)));
                self.peers.insert(peer, Peer::Fresh { address, offer, version, until });
            }
            Input::TextOpened { peer } => self.text_opened(peer),
            Input::Said { peer, message } => self.said(peer, message),
            Input::Line { peer, text } => self.line(peer, text),
            Input::HalfClosed { peer } => self.text_half_closed(peer),
            Input::Closed { peer } => self.closed(peer),
            Input::Probed { host, reachable } => self.probed(host, reachable),
            Input::ElectionLost { address, port, version } => {
                self.note(Level::Info, || Note::ElectionLost { address, port, version });
                self.drop_all(CloseReason::ElectionLost);
            }
            Input::Shutdown => {
                self.drop_all(CloseReason::Shutdown);
                let texts: Vec<PeerId> = self.consoles.keys().copied().collect();
                for peer in texts {
                    self.forget_text(peer);
                    self.close(peer, CloseReason::Shutdown);
                }
            }
        }
        self.hand_out();
    }

    /// Lets everything happen that was due until `now`; ask for outputs afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > self.now {
                break;
            }
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Login(peer) => self.no_login(peer),
                Timer::Host(host) => self.tick(host),
                Timer::Age(job) => self.age(job),
                Timer::TextIdle(peer) => self.text_idle(peer),
                Timer::Internals(peer) => self.internals_over(peer),
                Timer::Left => self.end_left(),
            }
        }
        self.hand_out();
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called at the latest; `None` if nothing but an input can change anything.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn said(&mut self, peer: PeerId, message: Message) {
        match self.peers.get(&peer) {
            Some(Peer::Fresh { .. }) => self.first_said(peer, message),
            Some(Peer::Host(host)) => {
                let host = *host;
                self.heard(host, &message);
                self.host_said(host, message);
            }
            // 1.4 never reads a monitor again.
            Some(Peer::Monitor) | None => {}
        }
    }

    fn first_said(&mut self, peer: PeerId, message: Message) {
        let Some(Peer::Fresh { address, offer, version, until }) = self.peers.remove(&peer) else { return };
        self.timers.remove(&(until, Timer::Login(peer)));
        match message {
            Message::Login(login) => self.logged_in(peer, address, offer, version, login),
            Message::MonLogin => self.monitor_logged_in(peer, address, version),
            other => {
                self.note(Level::Info, || Note::InvalidFirstMessage { kind: letter(&other) });
                self.close(peer, CloseReason::InvalidFirstMessage);
            }
        }
    }

    fn host_said(&mut self, host: HostId, message: Message) {
        match message {
            Message::Login(login) => self.relogged_in(host, login),
            Message::GetCs(request) => self.requested(host, request),
            Message::JobBegin(begin) => self.begun(host, begin),
            Message::JobDone(done) => self.done(host, done),
            Message::JobLocalBegin(begin) => self.local_begun(host, &begin),
            Message::JobLocalDone { id } => self.local_done(host, id),
            Message::Stats(stats) => self.loaded(host, stats),
            Message::BlacklistHostEnv(black) => self.blacklisted(host, &black),
            Message::StatusText { text } => self.status_text(host, &text),
            Message::Ping => {}
            Message::End => self.host_left(host, Some(CloseReason::SaidEnd)),
            other => {
                self.note(Level::Info, || Note::InvalidMessage { kind: letter(&other) });
                self.host_left(host, Some(CloseReason::InvalidMessage));
            }
        }
    }

    fn monitor_logged_in(&mut self, peer: PeerId, address: Text, version: Version) {
        let there = self.monitors.values().filter(|monitor| monitor.address == address).count();
        if self.monitors.len() >= MONITORS_MAX || there >= MONITORS_PER_ADDRESS_MAX {
            let all = self.monitors.len();
            self.note(Level::Warning, || Note::MonitorRefused { address, there, all });
            self.close(peer, CloseReason::LoginRefused);
            return;
        }
        self.peers.insert(peer, Peer::Monitor);
        self.monitors.insert(peer, Watcher { address, version });
        let mut told: Vec<Message> =
            self.cluster.hosts().map(|h| Message::MonStats(monitor::host_stats(h, false))).collect();
        for (id, job) in self.jobs.iter().filter(|(_, job)| !self.is_left(job)) {
            if let State::Compiling { server, start_time } = job.state {
                told.push(Message::MonJobBegin(MonJobBegin { job: *id, start_time, host: server }));
            }
        }
        for message in told {
            self.send(peer, message);
        }
    }

    fn closed(&mut self, peer: PeerId) {
        self.forget_text(peer);
        match self.peers.remove(&peer) {
            Some(Peer::Fresh { until, .. }) => {
                self.timers.remove(&(until, Timer::Login(peer)));
                self.note(Level::Debug, || Note::UnknownLeft);
            }
            Some(Peer::Host(host)) => self.host_left(host, None),
            Some(Peer::Monitor) => {
                self.monitors.remove(&peer);
            }
            None => {}
        }
    }

    fn no_login(&mut self, peer: PeerId) {
        if let Some(Peer::Fresh { address, .. }) = self.peers.remove(&peer) {
            self.note(Level::Warning, || Note::NoLogin { address });
            self.close(peer, CloseReason::NoLogin);
        }
    }

    /// Every host, then every monitor goes; who has not logged in yet may stay and log in.
    fn drop_all(&mut self, reason: CloseReason) {
        let hosts: Vec<HostId> = self.cluster.hosts().map(|h| h.id).collect();
        for host in hosts {
            self.host_left(host, Some(reason));
        }
        for (peer, _) in std::mem::take(&mut self.monitors) {
            self.peers.remove(&peer);
            self.close(peer, reason);
        }
    }

    /// The next number for a job or local job; 0 means "none" on the wire.
    fn next_number(&mut self) -> u32 {
        loop {
            self.last_number = self.last_number.checked_add(1).unwrap_or(1);
            // After 2^32 jobs the numbers begin anew; those of living jobs are passed over.
            if !self.jobs.contains_key(&JobId(self.last_number)) {
                return self.last_number;
            }
        }
    }

    fn uptime(&self) -> Duration {
        self.now.since(self.started) + self.config.uptime_before
    }

    fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn note(&mut self, level: Level, note: impl FnOnce() -> Note) {
        if level <= self.config.notes {
            let note = note();
            debug_assert_eq!(note.level(), level, "{note}");
            self.output(Output::Note(note));
        }
    }

    fn send(&mut self, peer: PeerId, message: Message) {
        self.output(Output::Send { peer, message });
    }

    fn send_text(&mut self, peer: PeerId, text: String) {
        self.output(Output::SendText { peer, text });
    }

    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        self.output(Output::Close { peer, reason });
    }

    fn tell_monitors(&mut self, message: &Message) {
        self.tell_monitors_by_version(|_| message.clone());
    }

    fn tell_monitors_by_version(&mut self, message: impl Fn(Version) -> Message) {
        for (peer, monitor) in &self.monitors {
            self.outputs.push_back(Output::Send { peer: *peer, message: message(monitor.version) });
        }
    }
}
