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

pub use envs::{EnvOnDisk, VerifyFailure};
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

/// Configuration; it does not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP port for jobs; 0 if no remote jobs are accepted.
    pub port: u32,
    /// `-m`: number of jobs at a time. 0 is allowed and means "only local jobs, one at a time".
    pub slots: u32,
    /// Whether remote jobs are refused: `--no-remote`, or the host cannot run them.
    pub no_remote: bool,
    /// Whether remote jobs can be sandboxed here; announced in LOGIN.
    pub chroot_possible: bool,
    /// `-N`, or the host's name.
    pub node_name: Text,
    /// Platform of this host.
    pub platform: Text,
    /// [`crate::message::features`] bits of this host.
    pub features: u32,
    /// `--cache-limit` in bytes, or [`crate::limits::default_cache_limit`].
    pub cache_limit: u64,
    /// [`crate::limits::CACHE_KEPT`] in seconds; less in tests.
    pub cache_kept: u32,
    /// Number of processors, at least 1.
    pub cpus: u32,
    /// Unix time at [`Instant::ZERO`] in seconds, for start times in messages.
    pub unix_start: u32,
    /// `ICECC_TESTS`: a lost scheduler is searched every 3 s, without backoff.
    pub test_reconnect: bool,
    /// Seed of the jitter of reconnects.
    pub seed: u64,
    /// Complete environments that a previous run left on the disk.
    pub environments: Vec<EnvOnDisk>,
    /// Native archives that a previous run left on the disk.
    pub natives: Vec<NativeOnDisk>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client connected and agreed on a version.
    Opened {
        /// Its number, never used before.
        peer: PeerId,
        /// Version agreed on.
        version: Version,
        /// Its address, or `local unix domain socket`: for logs, and for the limits per address.
        address: Text,
        /// Whether it runs on this host. Only then may it use this host's slots and have requests sent to the
        /// scheduler.
        of_this_host: bool,
    },
    /// A client sent a message. COMPILE_FILE and TRANSFER_ENV come here too; the chunks that follow them do not.
    Message {
        /// Who.
        peer: PeerId,
        /// What.
        message: Message,
    },
    /// A connection was closed by either side. Must come exactly once for each `Opened`, also after [`Output::Close`].
    Closed {
        /// Whose.
        peer: PeerId,
    },
    /// The compiler of a granted job has ended; its object may still have to be sent.
    JobEnded {
        /// The connection that was granted the slot.
        peer: PeerId,
        /// How it ended.
        report: JobReport,
    },
    /// Result of [`Output::Receive`]: the environment is installed completely and matches its name, or nothing of it is
    /// left. Must come exactly once for each, before any later message of its sender; relative to the sender's `Closed`
    /// it may come in any order.
    Received {
        /// Who sent it.
        peer: PeerId,
        /// Which.
        env: EnvId,
        /// Bytes on disk, or the reason of the failure.
        outcome: Result<u64, Text>,
    },
    /// Result of [`Output::Verify`].
    Verified {
        /// Which.
        env: EnvId,
        /// Whether its compilers work.
        outcome: Result<(), VerifyFailure>,
    },
    /// Result of [`Output::Examine`]: the requested files as they are on the disk now, or why they cannot be packed.
    Examined {
        /// Who asked.
        peer: PeerId,
        /// The key, and its archive if a readable one exists.
        outcome: Result<(NativeKey, Option<Archive>), Text>,
    },
    /// Result of [`Output::BuildNative`].
    NativeBuilt {
        /// The key of the request.
        key: NativeKey,
        /// The archive, or the reason of the failure.
        outcome: Result<Archive, Text>,
    },
    /// Result of [`Output::Connect`]: a scheduler is connected.
    SchedulerConnected {
        /// Version agreed on.
        version: Version,
        /// Address of this host on that connection ("I am known as").
        known_as: Text,
    },
    /// Result of [`Output::Connect`]: no scheduler was found, or it did not answer.
    SchedulerNotFound,
    /// The scheduler sent a message.
    SchedulerMessage(Message),
    /// The connection to the scheduler was closed, also after [`Output::CloseScheduler`].
    SchedulerLost,
    /// Result of [`Output::Measure`]. No remote job starts before the first one.
    Measured(Measurement),
    /// SIGTERM, SIGINT or SIGALRM arrived. A second one ends running jobs at once.
    Terminate,
}

/// How a granted job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobReport {
    /// Exit code for JOB_DONE; 100 and above are not the compiler's.
    pub exit_code: i32,
    /// Times and sizes.
    pub stats: JobStats,
    /// Bytes of memory that its result takes until the client has read it.
    pub held: u64,
    /// Whether the environment turned out to be broken; it is removed then.
    pub broken: bool,
}

/// An action for the shell. Actions must be carried out in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a message to a client.
    Send(PeerId, Message),
    /// Send a message to the scheduler.
    ToScheduler(Message),
    /// Close a client's connection after everything sent to it has been written; [`Input::Closed`] must follow.
    Close(PeerId, CloseReason),
    /// Run a job on its connection's thread, report [`Input::JobEnded`], send the result and close the connection.
    Grant(Grant),
    /// Kill the job of this connection, without a result; [`Input::JobEnded`] or [`Input::Closed`] must follow.
    Kill(PeerId),
    /// Receive, unpack, check and install an environment on the connection's thread; [`Input::Received`] must follow.
    /// If its name is a content name, the content must match it.
    Receive(PeerId, EnvId),
    /// Read an archive to its END on the connection's thread and discard it. No input follows.
    Discard(PeerId),
    /// Run the compilers of an environment on empty sources; [`Input::Verified`] must follow.
    Verify(EnvId),
    /// Remove an installed environment. Its path must be free before the next output is carried out.
    Remove(EnvId),
    /// Examine the files of a native environment; [`Input::Examined`] must follow.
    Examine(PeerId, GetNativeEnv),
    /// Make a native environment; only one is requested at a time. [`Input::NativeBuilt`] must follow.
    BuildNative(NativeKey),
    /// Delete the native archive with this key and path.
    RemoveNative(NativeKey, Text),
    /// Find a scheduler and connect to it; [`Input::SchedulerConnected`] or [`Input::SchedulerNotFound`] must follow.
    Connect,
    /// Close the connection to the scheduler; [`Input::SchedulerLost`] must follow.
    CloseScheduler,
    /// Measure load, memory and disk; [`Input::Measured`] must follow.
    Measure,
    /// Stop accepting connections.
    StopListening,
    /// Everything is done: exit.
    Exit,
    /// Write a line to the log.
    Note(Note),
}

/// Permission to run a remote job in a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The connection that sent the job.
    pub peer: PeerId,
    /// Its slot, below `max(1, Config::slots)`; not given to another job until this one's end was reported.
    pub slot: u16,
    /// Its environment, which is installed and kept until the job's end was reported.
    pub env: EnvId,
    /// The job itself.
    pub job: CompileFile,
    /// Its memory limit in MiB.
    pub memory_mib: u32,
}

/// The daemon of one host. See the module's documentation.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    peers: BTreeMap<PeerId, Peer>,
    session: Session,
    envs: Envs,
    natives: Natives,
    stats: Stats,
    fallbacks: Fallbacks,
    /// Number of the last client; they are numbered from 1.
    clients_seen: u32,
    /// Set by SIGTERM: when jobs that still run are killed.
    terminate_at: Option<Instant>,
    exited: bool,
    outputs: VecDeque<Output>,
}

impl Daemon {
    /// A daemon without connections. It searches a scheduler at the first [`Self::handle_timeout`].
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

    /// Processes one event. Call [`Self::poll_output`] until it returns `None`, then [`Self::poll_timeout`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Opened { peer, version, address, of_this_host } => {
                self.opened(now, peer, version, address, of_this_host)
            }
            Input::Message { peer, message } => self.client_message(now, peer, message),
            Input::Closed { peer } => self.closed(now, peer),
            Input::JobEnded { peer, report } => self.job_ended(now, peer, &report),
            Input::Received { peer, env, outcome } => self.env_received(now, peer, &env, outcome),
            Input::Verified { env, outcome } => self.env_verified(now, &env, outcome),
            Input::Examined { peer, outcome } => self.native_examined(now, peer, outcome),
            Input::NativeBuilt { key, outcome } => self.native_built(now, &key, outcome),
            Input::SchedulerConnected { version, known_as } => self.scheduler_connected(now, version, known_as),
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
        self.session_timeout(now);
        self.measure_if_due(now);
        self.close_idle(now);
        self.keep_cache_limit(now, None);
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
        [self.session.timeout(), self.local_answer_due(), self.measure_due(), self.idle_due(), self.terminate_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Number of connected clients.
    pub fn connections(&self) -> u32 {
        u32::try_from(self.peers.len()).unwrap_or(u32::MAX)
    }

    /// Checks the invariants, for tests and simulations. The error describes the first violation.
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

    /// Closes a connection and informs the scheduler of its jobs. The later `Closed` has no effect.
    fn close(&mut self, peer: PeerId, reason: CloseReason) {
        if self.peers.contains_key(&peer) {
            self.outputs.push_back(Output::Close(peer, reason));
            self.forget(peer, reason);
        }
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
        self.grant(now);
        self.exit_if_done(now);
    }
}

/// How long a request waits for a scheduler that has just been lost (decision: scheduler-lost).
pub(crate) const LOCAL_ANSWER_AFTER: Duration = Duration::from_secs(5);
/// How long running jobs may continue after SIGTERM (decision: orderly-stop).
const TERM_GRACE: Duration = Duration::from_secs(10);
