//! What goes in and out of the daemon: settings, events, actions.

use super::{Archive, Arrived, CloseReason, EnvOnDisk, Measurement, NativeKey, NativeOnDisk, Note, VerifyFailure};
use crate::env::EnvId;
use crate::ids::PeerId;
use crate::job::JobStats;
use crate::message::{CompileFile, Message};
use crate::text::Text;
use crate::version::Version;

/// Configuration; it does not change while the daemon runs. A plain value from the shell.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP port for jobs; 0 if no remote jobs are accepted.
    pub port: u32,
    /// `-m`: number of jobs at a time. 0 is allowed and means "only local jobs, one at a time".
    pub slots: u32,
    /// Whether remote jobs are refused: `--no-remote`, or the host cannot run them.
    pub no_remote: bool,
    /// `--refuse-plain-names`: environments must have names that are made of their content.
    pub refuse_plain_names: bool,
    /// Whether jobs of files mode are run here.
    pub takes_files: bool,
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
    /// Whether a control group limits the memory of all jobs together. Without one the sum of their limits has to.
    pub memory_is_shared: bool,
    /// Unix time at [`Instant::ZERO`](crate::time::Instant::ZERO) in seconds, for start times in messages.
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
        /// Where it comes from.
        origin: Origin,
    },
    /// A client sent a message. COMPILE_FILE, FILES_JOB and TRANSFER_ENV come here too; what follows them does not. Of
    /// FILES_JOB only what the daemon has to know is needed: job, platform and input.
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
    /// All that a job needs that waits for a slot is here: its source, or its files.
    Complete {
        /// The connection that brought it.
        peer: PeerId,
    },
    /// The compiler of a granted job has ended; its object may still have to be sent.
    JobEnded {
        /// The connection that was granted the slot.
        peer: PeerId,
        /// How it ended.
        report: JobReport,
    },
    /// A job made system calls that its filter does not know: their names, and how often.
    UnknownCalls(Vec<(Text, u64)>),
    /// An environment of [`Output::Receive`] is unpacked: [`Output::Install`] or [`Output::Drop`] follows, unless its
    /// sender is gone.
    Unpacked {
        /// Who sent it.
        peer: PeerId,
        /// What it is.
        arrived: Arrived,
    },
    /// The end of [`Output::Receive`]: the environment is installed completely as [`Output::Install`] said, or nothing
    /// of it is left. Must come exactly once for each, unless [`Output::Drop`] was its end, and before any later
    /// message of its sender; relative to the sender's `Closed` it may come in any order.
    Received {
        /// Who sent it.
        peer: PeerId,
        /// The reason of a failure.
        outcome: Result<(), Text>,
    },
    /// Result of [`Output::Verify`].
    Verified {
        /// Which.
        env: EnvId,
        /// Whether its compilers work.
        outcome: Result<(), VerifyFailure>,
    },
    /// The files of the GET_NATIVE_ENV that this client of this host has just sent, as they are on the disk now, or why
    /// they cannot be packed. It must follow that message, before any later one of its sender.
    Examined {
        /// Who asked.
        peer: PeerId,
        /// The key, and whether an archive of it is on the disk that is as new as its files.
        outcome: Result<(NativeKey, bool), Text>,
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
        /// Its address.
        address: Text,
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

/// Where a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Another host.
    OtherHost,
    /// This host: it may use its slots and have requests sent to the scheduler.
    ThisHost,
    /// This host, by the socket for clients that know the extension.
    Extension,
}

/// How a granted job ended. A plain value from the shell.
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
    /// Receive, unpack and check an environment on the connection's thread, which may take so many bytes of the disk;
    /// [`Input::Unpacked`] or [`Input::Received`] must follow. If its name is a content name, the content must match
    /// it.
    Receive(PeerId, EnvId, u64),
    /// Install what was unpacked as this; [`Input::Received`] must follow.
    Install(PeerId, EnvId),
    /// Remove what was unpacked. No input follows.
    Drop(PeerId),
    /// Let this environment go at the next start, in place of which its users may find another one of its name: which
    /// of them had which is not kept on the disk. No input follows.
    Forget(EnvId),
    /// Read an archive to its END on the connection's thread and discard it. No input follows.
    Discard(PeerId),
    /// Run the compilers of an environment on empty sources; [`Input::Verified`] must follow.
    Verify(EnvId),
    /// End the check that runs early: others go first. [`Input::Verified`] follows all the same, with what it has
    /// found, or [`VerifyFailure::Stopped`].
    StopVerify,
    /// Remove an installed environment, in time: before a later [`Output::Install`] is carried out.
    /// No input follows.
    Remove(EnvId),
    /// Make a native environment; only one is requested at a time. [`Input::NativeBuilt`] must follow.
    BuildNative(NativeKey),
    /// Delete the native archive with this key and path, before one that is ordered later is kept. No input follows.
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

/// What is run for another host's client. A plain value for the shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// The text that it sends.
    Text {
        /// Its environment, which is installed and kept until the job's end was reported.
        env: EnvId,
        /// What to do with it.
        file: Box<CompileFile>,
    },
    /// The command of its FILES_JOB, which the connection's thread knows.
    Files,
}

impl Work {
    /// The environment in which it runs, if it needs one.
    pub fn env(&self) -> Option<&EnvId> {
        match self {
            Self::Text { env, .. } => Some(env),
            Self::Files => None,
        }
    }
}

/// Permission to run a remote job in a slot. A plain value for the shell.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The connection that sent the job.
    pub peer: PeerId,
    /// Its slot, below `max(1, Config::slots)`; not given to another job until this one's end was reported.
    pub slot: u16,
    /// The job itself.
    pub work: Work,
    /// Its memory limit in MiB.
    pub memory_mib: u32,
}
