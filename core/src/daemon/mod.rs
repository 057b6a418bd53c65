//! The daemon's state machine: the state of each connection, who gets a slot, what is reported to the scheduler.
//!
//! ```text
//!             GET_CS ─► waitforcs ─┬─ other host ─► waitcompile ──────────┐
//!            ┌───────────────────┘ └─ this host ─► pending_use_cs ─┐      │ JOB_DONE
//!  unknown ──┼─ JOB_LOCAL_BEGIN ─► linkjob ────────────────────────┼► clientwork ─► jobdone
//!            ├─ TRANSFER_ENV ─► toinstall ─► unknown               └ a slot is free
//!            └─ COMPILE_FILE ─► tocompile ─ a slot is free ─► waitforchild ─ ended ─► sending ─► closed
//! ```
//!
//! Messages are described in `net/PROTOCOL.md`. The state machine has no access to sockets, files, processes or clocks:
//! events come in as `Input`, actions go out as `Output`. Sources and objects do not pass through it: the
//! connection's own thread transfers them once it has been granted a slot (decision: peer-thread).
//!
//! Its parts are types with private fields, which do not know each other: `connections` with `peer`, `envs` with
//! `arrivals` and `uses`, `bound`, `checks`, `native`, `session`, `given`, `load`, `fallbacks`, `distrusted`. A part is
//! told of an event and returns what follows from it. Only `impl Daemon` knows several of them, in one file for each
//! subject: what clients say (`clients`), what the scheduler says (`scheduler`), how environments come (`installing`)
//! and go (`eviction`), who gets a slot (`slots`), what is shown (`status`).

mod arrivals;
mod bound;
mod checks;
mod clients;
mod close;
mod connections;
mod distrusted;
mod envs;
mod eviction;
mod fallbacks;
mod given;
mod installing;
mod interface;
mod job;
mod load;
mod native;
mod note;
mod peer;
mod scheduler;
mod served;
mod session;
mod slots;
mod status;
#[cfg(test)]
mod tests;
mod unknown_calls;
mod uses;

pub use close::CloseReason;
pub use envs::{Arrived, EnvOnDisk, VerifyFailure};
pub use interface::{Config, Grant, Input, JobReport, Origin, Output, Work};
pub use load::{CpuTicks, Measurement, Memory};
pub use native::{Archive, FileFacts, NativeKey, NativeOnDisk};
pub use note::Note;
pub use status::feature_names;

use crate::ids::PeerId;
use crate::message::Message;
use crate::time::Instant;
use bound::Bound;
use checks::Checks;
use connections::Connections;
use distrusted::Distrusted;
use envs::Envs;
use fallbacks::Fallbacks;
use given::Given;
use load::{Around, Load};
use native::Natives;
use peer::Peer;
use session::Session;
use std::collections::VecDeque;
use unknown_calls::UnknownCalls;

/// The daemon of one host. See the module's documentation.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    peers: Connections,
    session: Session,
    envs: Envs,
    bound: Bound,
    checks: Checks,
    natives: Natives,
    load: Load,
    fallbacks: Fallbacks,
    given: Given,
    distrusted: Distrusted,
    unknown_calls: UnknownCalls,
    /// Set by SIGTERM: when jobs that still run are killed.
    terminate_at: Option<Instant>,
    exited: bool,
    outputs: VecDeque<Output>,
}

impl Daemon {
    /// A daemon without connections. It searches a scheduler at the first [`Self::handle_timeout`].
    pub fn new(now: Instant, config: Config) -> Self {
        let mut daemon = Self {
            peers: Connections::default(),
            session: Session::new(now, config.seed, config.test_reconnect),
            envs: Envs::new(&config.environments),
            bound: Bound::default(),
            checks: Checks::default(),
            natives: Natives::new(now, &config.natives),
            load: Load::new(now, config.cpus, config.memory_is_shared),
            fallbacks: Fallbacks::default(),
            given: Given::default(),
            distrusted: Distrusted::default(),
            unknown_calls: UnknownCalls::default(),
            terminate_at: None,
            exited: false,
            outputs: VecDeque::new(),
            config,
        };
        daemon.drop_unproven();
        daemon.keep_cache_limit(now);
        daemon
    }

    /// Processes one event. Call [`Self::poll_output`] until it returns `None`, then [`Self::poll_timeout`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Opened { peer, version, address, origin } => self.opened(now, peer, version, address, origin),
            Input::Message { peer, message } => self.client_message(now, peer, message),
            Input::Closed { peer } => self.closed(now, peer),
            Input::Complete { peer } => {
                if let Some(served) = self.peers.get_mut(peer).and_then(Peer::served_mut) {
                    served.set_complete(now);
                }
            }
            Input::JobEnded { peer, report } => self.job_ended(now, peer, &report),
            Input::UnknownCalls(calls) => self.unknown_calls(&calls),
            Input::Unpacked { peer, arrived } => self.env_unpacked(now, peer, &arrived),
            Input::Received { peer, outcome } => self.env_received(now, peer, outcome),
            Input::Verified { env, outcome } => self.env_verified(now, env, outcome),
            Input::Examined { peer, outcome } => self.native_examined(now, peer, outcome),
            Input::NativeBuilt { key, outcome } => self.native_built(now, key, outcome),
            Input::SchedulerConnected { version, address, known_as } => {
                self.scheduler_connected(now, version, address, known_as);
            }
            Input::SchedulerNotFound => self.session.not_found(now),
            Input::SchedulerMessage(message) => self.scheduler_message(now, message),
            Input::SchedulerLost => self.scheduler_lost(now),
            Input::Measured(measurement) => self.measured(now, &measurement),
            Input::Terminate => self.terminate(now),
        }
        self.settle(now);
    }

    /// Runs what is due at `now`; to be called at or after [`Self::poll_timeout`]. Call [`Self::poll_output`]
    /// afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.outputs.extend(self.session.tick(now, self.terminate_at.is_some()));
        self.measure_if_due(now);
        self.close_idle(now);
        self.keep_cache_limit(now);
        self.check_next(now);
        self.settle(now);
    }

    /// The next action for the shell.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`], unless an input comes before; `None` if no timer is set.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.exited {
            return None;
        }
        let idle_end = self.peers.iter().filter_map(Peer::idle_end).min();
        let of_jobs = [self.local_answer_due(), self.relief_due(), self.checks.due(), self.held_due()];
        [self.session.timeout(), self.measure_due(), idle_end, self.terminate_at]
            .into_iter()
            .chain(of_jobs)
            .flatten()
            .min()
    }

    /// Number of connected clients.
    pub fn connections(&self) -> u32 {
        self.peers.count()
    }

    /// Checks the invariants, for tests and simulations. The error describes the first violation.
    pub fn check(&self) -> Result<(), String> {
        self.peers.check_slots(self.slots())?;
        self.check_envs()?;
        self.check_announced()
    }

    /// When the next measurement is due; `None` while there is neither a scheduler nor a client.
    fn measure_due(&self) -> Option<Instant> {
        let is_wanted = self.session.current().is_some() || self.connections() > 0;
        self.load.due().filter(|_| is_wanted)
    }

    /// Requests a measurement if it is due.
    fn measure_if_due(&mut self, now: Instant) {
        if self.measure_due().is_some_and(|due| due <= now) {
            self.load.asked();
            self.outputs.push_back(Output::Measure);
        }
    }

    /// A measurement arrived: reports the load if it has changed.
    fn measured(&mut self, now: Instant, measurement: &Measurement) {
        let around = Around {
            jobs: self.slots().saturating_sub(self.slots_used()) + 1,
            children: self.peers.children(),
            alone: self.connections() == 0,
            connected: self.session.current().is_some(),
        };
        let (note, report) = self.load.measured(now, measurement, around);
        self.outputs.extend(note.map(Output::Note));
        if let Some(report) = report {
            self.send_to_scheduler(Message::Stats(report));
        }
    }

    fn send(&mut self, peer: PeerId, message: Message) {
        self.outputs.push_back(Output::Send(peer, message));
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    /// Unix time in seconds at `now`.
    fn unix(&self, now: Instant) -> u32 {
        let passed = now.since(Instant::ZERO).as_secs();
        self.config.unix_start.wrapping_add(u32::try_from(passed).unwrap_or(u32::MAX))
    }

    /// Runs after each event: announces changed environments, answers overdue requests, grants slots, exits if stopping
    /// is complete.
    fn settle(&mut self, now: Instant) {
        self.announce_changes(now);
        self.answer_locally_if_due(now);
        self.relieve(now);
        self.grant(now);
        self.tell_held(now);
        self.exit_if_done(now);
    }
}
