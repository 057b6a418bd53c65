//! The scheduler's state machine: which hosts are logged in, where each job is, and which host gets it.
//!
//! It has no access to sockets, clocks or files, and does not know how messages are encoded. The shell reports what
//! happened as `Input` and carries out what comes back as `Output`.

mod allowance;
mod answer;
mod bans;
mod check;
mod class;
mod cluster;
mod console;
mod dispatch;
mod election;
mod env_quota;
mod environments;
mod exchange;
mod feed;
mod host;
mod host_state;
mod hosts;
mod internals;
mod job;
mod jobs;
mod ledger;
mod listing;
mod monitor;
mod note;
mod orphans;
mod policy;
mod probing;
mod punctuality;
mod queue;
mod rank;
mod requirement;
mod rows;
mod speed;
mod standing;
#[cfg(test)]
mod tests;
mod text_commands;
mod trust;
mod work;

pub use exchange::{CloseReason, Config, Input, Output};
pub use host_state::HostState;
pub use note::Note;
pub use rows::{EnvironmentRow, Field, HostRow, JobRow, Row};

use crate::ids::{HostId, JobId, PeerId};
use crate::level::Level;
use crate::limits::{LOGIN, MONITORS_MAX, MONITORS_PER_ADDRESS_MAX};
use crate::message::Message;
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use allowance::Allowances;
use console::Console;
use election::Elections;
use feed::Monitor;
use host::Host;
use job::State;
use ledger::Ledger;
use speed::Files;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A peer that speaks the binary protocol.
#[derive(Debug)]
enum Peer {
    /// Has not logged in yet, and is closed at `until` if it does not.
    Fresh { address: Text, offer: Version, version: Version, until: Instant },
    /// A daemon that is logged in.
    Host(HostId),
    /// Receives all events; details are in `Scheduler::monitors`.
    Monitor,
}

/// What a timer triggers when it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A peer has not logged in in time.
    Login(PeerId),
    Host(HostId),
    /// A queued job becomes more urgent.
    Age(JobId),
    /// A text peer has been silent for too long.
    TextIdle(PeerId),
    /// A text peer may be answered again.
    Text(PeerId),
    /// An `internals` command goes on, at last with the answers that have arrived.
    Internals(PeerId),
    /// A new monitor is shown more of what is there.
    Monitor(PeerId),
    /// Submitters get servers again.
    Held,
    /// The next portion of orphaned jobs ends.
    Orphans,
}

/// Event counters since the start, as `stats` shows them.
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

/// The scheduler of one network: all of its state. It never fails and never blocks.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    started: Instant,
    now: Instant,
    peers: BTreeMap<PeerId, Peer>,
    monitors: BTreeMap<PeerId, Monitor>,
    consoles: BTreeMap<PeerId, Console>,
    ledger: Ledger,
    files: Files,
    /// Node names and addresses that may not log in (`blockcs`).
    blocked: Vec<Text>,
    elections: Elections,
    allowances: Allowances,
    timers: BTreeSet<(Instant, Timer)>,
    outputs: VecDeque<Output>,
    next_host: u32,
    counts: Counts,
}

impl Scheduler {
    /// A scheduler without connections, started at `now`.
    pub fn new(config: Config, now: Instant) -> Self {
        let ledger = Ledger::new(config.seed);
        Self {
            config,
            started: now,
            now,
            peers: BTreeMap::new(),
            monitors: BTreeMap::new(),
            consoles: BTreeMap::new(),
            ledger,
            files: Files::default(),
            blocked: Vec::new(),
            elections: Elections::default(),
            allowances: Allowances::default(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            next_host: 0,
            counts: Counts::default(),
        }
    }

    /// Processes one input. Call [`Self::poll_output`] until it returns `None`, then [`Self::poll_timeout`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Opened { peer, address, offer, version } => {
                let until = self.now + LOGIN;
                self.set_timer(until, Timer::Login(peer));
                self.peers.insert(peer, Peer::Fresh { address, offer, version, until });
            }
            Input::TextOpened { peer, address, may_change } => self.text_opened(peer, address, may_change),
            Input::Message { peer, kind, message } => self.message(peer, kind, message),
            Input::Line { peer, text } => self.line(peer, text),
            Input::HalfClosed { peer } => self.text_half_closed(peer),
            Input::Closed { peer } => self.closed(peer),
            Input::Probed { host, reachable } => self.probed(host, reachable),
            Input::ElectionLost { address, port, version } => self.election_lost(address, port, version),
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

    /// Runs every timer that is due at `now`. Call [`Self::poll_output`] afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > self.now {
                break;
            }
            self.cancel_timer(at, timer);
            match timer {
                Timer::Login(peer) => self.no_login(peer),
                Timer::Host(host) => self.tick(host),
                Timer::Age(job) => self.age(job),
                Timer::TextIdle(peer) => self.text_idle(peer),
                Timer::Text(peer) => self.text_goes_on(peer),
                Timer::Internals(peer) => self.internals_go_on(peer),
                Timer::Monitor(peer) => self.show(peer),
                Timer::Held => self.ledger.end_holds(self.now),
                Timer::Orphans => self.end_orphans(),
            }
        }
        self.hand_out();
    }

    /// The next action for the shell. Actions must be carried out in this order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called at the latest; `None` if no timer is set.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn message(&mut self, peer: PeerId, kind: char, message: Message) {
        match self.peers.get(&peer) {
            Some(Peer::Fresh { .. }) => self.first_message(peer, kind, message),
            Some(Peer::Host(host)) => {
                let host = *host;
                self.record_life(host, &message);
                self.host_message(host, kind, message);
            }
            // As in 1.4, whatever a monitor sends after its login is ignored.
            Some(Peer::Monitor) | None => {}
        }
    }

    fn first_message(&mut self, peer: PeerId, kind: char, message: Message) {
        let Some(Peer::Fresh { address, offer, version, until }) = self.peers.remove(&peer) else { return };
        self.cancel_timer(until, Timer::Login(peer));
        match message {
            Message::Login(login) => self.logged_in(peer, address, offer, version, login),
            Message::MonLogin => self.monitor_logged_in(peer, address, version),
            _ => {
                self.note(Level::Info, || Note::InvalidFirstMessage { kind });
                self.close(peer, CloseReason::InvalidFirstMessage);
            }
        }
    }

    fn host_message(&mut self, host: HostId, kind: char, message: Message) {
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
            Message::End => self.host_left(host, Some(CloseReason::End)),
            _ => {
                self.note(Level::Info, || Note::InvalidMessage { kind });
                self.host_left(host, Some(CloseReason::InvalidMessage));
            }
        }
    }

    fn monitor_logged_in(&mut self, peer: PeerId, address: Text, version: Version) {
        let there = self.monitors.values().filter(|monitor| *monitor.address() == address).count();
        if self.monitors.len() >= MONITORS_MAX || there >= MONITORS_PER_ADDRESS_MAX {
            let all = self.monitors.len();
            self.note(Level::Warning, || Note::MonitorRefused { address, there, all });
            self.close(peer, CloseReason::LoginRefused);
            return;
        }
        self.peers.insert(peer, Peer::Monitor);
        self.monitors.insert(peer, Monitor::new(address, version));
        self.show(peer);
    }

    fn closed(&mut self, peer: PeerId) {
        self.forget_text(peer);
        match self.peers.remove(&peer) {
            Some(Peer::Fresh { until, .. }) => {
                self.cancel_timer(until, Timer::Login(peer));
                self.note(Level::Debug, || Note::UnknownLeft);
            }
            Some(Peer::Host(host)) => self.host_left(host, None),
            Some(Peer::Monitor) => self.forget_monitor(peer),
            None => {}
        }
    }

    fn no_login(&mut self, peer: PeerId) {
        if let Some(Peer::Fresh { address, .. }) = self.peers.remove(&peer) {
            self.note(Level::Warning, || Note::NoLogin { address });
            self.close(peer, CloseReason::NoLogin);
        }
    }

    /// Closes all hosts, then all monitors. Peers that have not logged in yet may stay and log in.
    fn drop_all(&mut self, reason: CloseReason) {
        let hosts: Vec<HostId> = self.ledger.cluster().hosts().map(Host::id).collect();
        for host in hosts {
            self.host_left(host, Some(reason));
        }
        let monitors: Vec<PeerId> = self.monitors.keys().copied().collect();
        for peer in monitors {
            self.forget_monitor(peer);
            self.peers.remove(&peer);
            self.close(peer, reason);
        }
    }

    fn election_lost(&mut self, address: Text, port: u16, version: Version) {
        if self.elections.believe(self.now, &address, self.ledger.cluster().len()) {
            self.note(Level::Info, || Note::ElectionLost { address, port, version });
            self.drop_all(CloseReason::ElectionLost);
        } else {
            self.note(Level::Debug, || Note::ElectionIgnored { address });
        }
    }

    fn uptime(&self) -> Duration {
        self.now.since(self.started) + self.config.uptime_before
    }

    fn set_timer(&mut self, at: impl Into<Option<Instant>>, timer: Timer) {
        self.timers.extend(at.into().map(|at| (at, timer)));
    }

    fn cancel_timer(&mut self, at: impl Into<Option<Instant>>, timer: Timer) {
        if let Some(at) = at.into() {
            self.timers.remove(&(at, timer));
        }
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
            let message = message(monitor.version());
            if monitor.hears(&message) {
                self.outputs.push_back(Output::Send { peer: *peer, message });
            }
        }
    }
}
