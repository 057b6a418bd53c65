//! The daemon's decisions: which peer is in which state, who gets a slot, what the scheduler is told.
//!
//! ```text
//!             GET_CS ─► waitforcs ─┬─ other host ─► waitcompile ──────────┐
//!            ┌───────────────────┘ └─ this host ─► pending_use_cs ─┐      │ JOB_DONE
//!  unknown ──┼─ JOB_LOCAL_BEGIN ─► linkjob ────────────────────────┼► clientwork ─► jobdone
//!            ├─ TRANSFER_ENV ─► toinstall ─► unknown               └ a slot is free
//!            └─ COMPILE_FILE ─► tocompile ─ a slot is free ─► waitforchild ─ ended ─► sending ─► closed
//! ```
//!
//! Message names and numbers are those of `net/PROTOCOL.md`. The machine does not know sockets, files, processes or
//! clocks: what happened comes in as [`Input`], what shall happen goes out as [`Output`]. Source and objects never pass
//! through it: the connection's own thread carries them once it has been granted a slot (decision: peer-thread).

mod clients;
mod envs;
mod fallbacks;
mod native;
mod note;
mod peer;
mod session;
mod slots;
mod stats;
mod status;
#[cfg(test)]
mod tests;

pub use envs::{EnvOnDisk, VerifyTrouble};
pub use native::{Archive, FileFacts, NativeKey, NativeOnDisk};
pub use note::Note;
pub use peer::CloseReason;
pub use stats::{CpuTicks, Measurement, Memory};
pub use status::feature_names;

use crate::env::EnvId;
use crate::ids::PeerId;
use crate::job::JobStats;
use crate::message::{CompileFile, GetNativeEnv, Message};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use envs::Envs;
use fallbacks::Fallbacks;
use native::Natives;
use peer::Peer;
use session::Session;
use stats::Stats;
use std::collections::{BTreeMap, VecDeque};

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP port for jobs; 0 if none of others are taken.
    pub port: u32,
    /// `-m`: 0 is allowed and means "only local jobs, one at a time".
    pub slots: u32,
    /// `--no-remote`, given or forced.
    pub no_remote: bool,
    /// Whether foreign jobs can be boxed here (LOGIN says so).
    pub chroot_possible: bool,
    /// `-N`, or the host's name.
    pub node_name: Text,
    /// Own platform.
    pub platform: Text,
    /// [`crate::message::features`].
    pub features: u32,
    /// `--cache-limit` in bytes, or [`crate::limits::default_cache_limit`].
    pub cache_limit: u64,
    /// [`crate::limits::CACHE_KEPT`], less in tests.
    pub cache_kept: u32,
    /// Number of processors, at least 1.
    pub cpus: u32,
    /// Unix seconds at [`Instant::ZERO`]: what start times in messages count from.
    pub unix_start: u32,
    /// `ICECC_TESTS`: a lost scheduler is looked for again after 3 s, at a fixed interval.
    pub test_reconnect: bool,
    /// For the jitter of reconnects.
    pub seed: u64,
    /// Environments that a former run left on the disk, whole.
    pub environments: Vec<EnvOnDisk>,
    /// Native archives that a former run left on the disk.
    pub natives: Vec<NativeOnDisk>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client connected and agreed on a version.
    Opened {
        /// Its number, never used before.
        peer: PeerId,
        /// As agreed.
        version: Version,
        /// `local unix domain socket`, or its address: for logs, and what is kept for an address counts together.
        address: Text,
        /// Whether it runs on this host: only then it may use slots and the scheduler in this host's name.
        of_this_host: bool,
    },
    /// A client said something. COMPILE_FILE and TRANSFER_ENV come here too; the chunks behind them do not.
    Said {
        /// Who.
        peer: PeerId,
        /// What.
        message: Message,
    },
    /// A connection is gone, whoever ended it. Comes exactly once for each `Opened`, also after [`Output::Close`].
    Closed {
        /// Whose.
        peer: PeerId,
    },
    /// The compiler of a granted job has ended (its object may still travel).
    JobEnded {
        /// The connection that was granted the slot.
        peer: PeerId,
        /// How.
        report: JobReport,
    },
    /// An environment that [`Output::Receive`] asked for is installed whole and fits its name, or nothing of it is left.
    /// Comes exactly once for each, and before anything that its sender says later; if the sender is gone, after or before
    /// its `Closed`.
    Received {
        /// Who sent it.
        peer: PeerId,
        /// Which.
        env: EnvId,
        /// Bytes on disk, or the reason.
        outcome: Result<u64, Text>,
    },
    /// The end of [`Output::Verify`].
    Verified {
        /// Which.
        env: EnvId,
        /// What was found.
        outcome: Result<(), VerifyTrouble>,
    },
    /// The end of [`Output::Examine`]: what was asked for, as it is on the disk now; or why it cannot be packed.
    Examined {
        /// Who asked.
        peer: PeerId,
        /// The key, and its archive if there is a readable one.
        outcome: Result<(NativeKey, Option<Archive>), Text>,
    },
    /// The end of [`Output::BuildNative`].
    NativeBuilt {
        /// What was asked for.
        key: NativeKey,
        /// The archive, or the reason.
        outcome: Result<Archive, Text>,
    },
    /// The end of [`Output::Connect`]: there is a link to a scheduler.
    SchedulerConnected {
        /// As agreed.
        version: Version,
        /// Our own address as seen on that link ("I am known as").
        known_as: Text,
    },
    /// The end of [`Output::Connect`]: none was found, or it did not answer.
    SchedulerNotFound,
    /// The scheduler said something.
    SchedulerSaid(Message),
    /// The link to the scheduler is gone. Comes also after [`Output::CloseScheduler`].
    SchedulerLost,
    /// The answer to [`Output::Measure`]. No job of others starts before the first one.
    Measured(Measurement),
    /// TERM, INT or ALRM.
    Terminate,
}

/// How a granted job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobReport {
    /// Exit code for JOB_DONE; 100 and above are ours.
    pub exit_code: i32,
    /// Times and sizes.
    pub stats: JobStats,
    /// Bytes that its files take until the client has read them.
    pub held: u64,
    /// The environment turned out to be broken: it is removed.
    pub broken: bool,
}

/// What shall happen, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Say something to a client.
    Send(PeerId, Message),
    /// Say something to the scheduler.
    ToScheduler(Message),
    /// End a client's connection after what was sent has left; [`Input::Closed`] follows.
    Close(PeerId, CloseReason),
    /// The job of this connection may run: its thread runs it, reports [`Input::JobEnded`], sends the result and ends.
    Grant(Grant),
    /// End the job of this connection at once, without a result; [`Input::JobEnded`] or [`Input::Closed`] follows.
    Kill(PeerId),
    /// The connection's thread shall receive, unpack, check and install this environment: [`Input::Received`] follows. It
    /// checks that the content is what its name promises.
    Receive(PeerId, EnvId),
    /// The connection's thread shall read the archive to its END and throw it away. No report.
    Discard(PeerId),
    /// Run the compilers of an environment on empty units: [`Input::Verified`] follows.
    Verify(EnvId),
    /// Remove an installed environment. It must be out of the way before the next output is carried out.
    Remove(EnvId),
    /// Look at the files that make a native environment: [`Input::Examined`] follows.
    Examine(PeerId, GetNativeEnv),
    /// Make a native environment; one at a time: [`Input::NativeBuilt`] follows.
    BuildNative(NativeKey),
    /// Delete a native archive.
    RemoveNative(NativeKey, Text),
    /// Find a scheduler and connect: [`Input::SchedulerConnected`] or [`Input::SchedulerNotFound`] follows.
    Connect,
    /// End the link to the scheduler; [`Input::SchedulerLost`] follows.
    CloseScheduler,
    /// Look at the machine: [`Input::Measured`] follows.
    Measure,
    /// Accept nobody any more.
    StopListening,
    /// All is done: leave.
    Exit,
    /// For people.
    Note(Note),
}

/// Permission to run a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The connection that brought it.
    pub peer: PeerId,
    /// Its slot, below `max(1, Config::slots)`, nobody else's until the job's end was reported.
    pub slot: u16,
    /// The environment: installed, and kept until the job's end was reported.
    pub env: EnvId,
    /// The job itself.
    pub job: CompileFile,
    /// Memory it may use, in MiB.
    pub memory_mib: u32,
}

/// The daemon of one host. See the module's head.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    peers: BTreeMap<PeerId, Peer>,
    session: Session,
    envs: Envs,
    natives: Natives,
    stats: Stats,
    fallbacks: Fallbacks,
    /// Clients are numbered from 1.
    clients_seen: u32,
    /// Set by TERM: when what still runs is killed.
    terminate_at: Option<Instant>,
    exited: bool,
    outputs: VecDeque<Output>,
}

impl Daemon {
    /// A daemon that knows nobody yet; it starts to look for a scheduler at the first `handle_timeout`.
    pub fn new(now: Instant, config: Config) -> Self {
        let mut daemon = Self {
            peers: BTreeMap::new(),
            session: Session::new(now, config.seed, config.test_reconnect),
            envs: Envs::new(&config.environments),
            natives: Natives::new(now, &config.natives),
            stats: Stats::new(now, config.cpus),
            fallbacks: Fallbacks::default(),
            clients_seen: 0,
            terminate_at: None,
            exited: false,
            outputs: VecDeque::new(),
            config,
        };
        daemon.keep_cache_limit(now, None);
        daemon
    }

    /// Takes one event. Call [`Self::poll_output`] until it is empty afterwards, then [`Self::poll_timeout`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Opened { peer, version, address, of_this_host } => {
                self.opened(now, peer, version, address, of_this_host)
            }
            Input::Said { peer, message } => self.said(now, peer, message),
            Input::Closed { peer } => self.closed(now, peer),
            Input::JobEnded { peer, report } => self.job_ended(now, peer, &report),
            Input::Received { peer, env, outcome } => self.env_received(now, peer, &env, outcome),
            Input::Verified { env, outcome } => self.env_verified(now, &env, outcome),
            Input::Examined { peer, outcome } => self.native_examined(now, peer, outcome),
            Input::NativeBuilt { key, outcome } => self.native_built(now, &key, outcome),
            Input::SchedulerConnected { version, known_as } => self.scheduler_connected(now, version, known_as),
            Input::SchedulerNotFound => self.session.not_found(now),
            Input::SchedulerSaid(message) => self.scheduler_said(now, message),
            Input::SchedulerLost => self.scheduler_lost(now),
            Input::Measured(measurement) => self.measured(now, &measurement),
            Input::Terminate => self.terminate(now),
        }
        self.settle(now);
    }

    /// To be called at or after [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.session_timeout(now);
        self.measure_if_due(now);
        self.close_idle(now);
        self.keep_cache_limit(now, None);
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`], unless something happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.exited {
            return None;
        }
        [self.session.timeout(), self.local_answer_due(), self.measure_due(), self.idle_due(), self.terminate_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Number of connected clients.
    pub fn connections(&self) -> u32 {
        u32::try_from(self.peers.len()).unwrap_or(u32::MAX)
    }

    /// The first broken invariant, if any. For tests and simulations.
    pub fn check(&self) -> Result<(), String> {
        self.check_slots()?;
        self.check_envs()?;
        self.check_announced()
    }

    fn send(&mut self, peer: PeerId, message: Message) {
        self.outputs.push_back(Output::Send(peer, message));
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(Output::Note(note));
    }

    /// Ends a connection and tells the scheduler what it must know. `Closed` will find it gone.
    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        if self.peers.contains_key(&peer) {
            self.outputs.push_back(Output::Close(peer, reason));
            self.forget(peer, reason);
        }
    }

    /// Unix seconds now, as messages carry them.
    fn unix(&self, now: Instant) -> u32 {
        let passed = now.since(Instant::ZERO).as_secs();
        self.config.unix_start.wrapping_add(u32::try_from(passed).unwrap_or(u32::MAX))
    }

    /// What follows from any event: the scheduler learns which environments there are, slots are given out, leaving is noticed.
    fn settle(&mut self, now: Instant) {
        self.announce_changes(now);
        self.answer_locally_if_due(now);
        self.grant(now);
        self.leave_if_done(now);
    }
}

/// How long a request waits for a scheduler that has just been lost (decision: scheduler-lost).
pub(crate) const LOCAL_ANSWER_AFTER: Duration = Duration::from_secs(5);
/// How long running jobs may go on after TERM (decision: orderly-stop).
const TERM_GRACE: Duration = Duration::from_secs(10);
