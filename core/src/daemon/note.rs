//! The daemon's log lines; the shell writes them.

use super::CloseReason;
use crate::env::EnvId;
use crate::level::Level;
use crate::text::Text;
use std::fmt;

/// An event for the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Connected to a scheduler: own address on that connection.
    Connected(Text),
    /// The scheduler is not the one of before: both addresses.
    OtherScheduler {
        /// The one before.
        before: Text,
        /// The present one.
        address: Text,
    },
    /// The connection to the scheduler was lost.
    SchedulerGone,
    /// The scheduler sent a message that it may not send.
    UnknownSchedulerMessage,
    /// A request is answered locally because the scheduler did not come back: the client's number.
    AnsweredLocally(u32),
    /// A client connected: its number and address.
    Accepted(u32, Text),
    /// COMPILE_FILE arrived: number of the job.
    RequestForJob(u32),
    /// A remote job starts: its input file.
    RemoteCompile(Text),
    /// Memory limit of the job that starts, in MiB.
    MemoryLimit(u32),
    /// A job names an environment that is not installed: the environment and the job's number.
    NoEnvironment(EnvId, u32),
    /// An environment was installed: its size and that of all, in bytes.
    Installed(EnvId, u64, u64),
    /// A client of this address brought other content by the name of this environment.
    OtherContent(EnvId, Text),
    /// An environment could not be installed, and why.
    NotInstalled(EnvId, Text),
    /// An invalid environment or platform name, and why.
    BadName(Text),
    /// An environment was removed, and why.
    Removed(EnvId, &'static str),
    /// Result of a verification.
    Verified(EnvId, Result<(), Text>),
    /// An environment could not be verified at present, and why.
    NotVerified(EnvId, Text),
    /// A native environment is being made for this compiler.
    NativeBuilding(Text),
    /// The native environment of this compiler is outdated.
    NativeStale(Text),
    /// A native environment could not be made, and why.
    NativeFailed(Text),
    /// A host sent a false result: its address.
    FalseResult(Text),
    /// A job made a system call that no job may make, the first one since the start: its name.
    UnknownCall(Text),
    /// A local job got its slot.
    LocalBegins,
    /// A connection ends: the client's number, address and the reason.
    Ends(u32, Text, CloseReason),
    /// Remote jobs are not accepted at present, and why.
    TakesNoJobs(&'static str),
    /// Remote jobs are accepted again.
    TakesJobs,
}

impl Note {
    /// Its level: 1.4's if the line is 1.4's.
    pub fn level(&self) -> Level {
        match self {
            Self::NotInstalled(..) | Self::NativeFailed(_) | Self::BadName(_) | Self::NoEnvironment(..) => Level::Error,
            Self::SchedulerGone
            | Self::OtherScheduler { .. }
            | Self::TakesNoJobs(_)
            | Self::UnknownSchedulerMessage
            | Self::AnsweredLocally(_)
            | Self::UnknownCall(_)
            | Self::OtherContent(..)
            | Self::FalseResult(_) => Level::Warning,
            Self::Connected(_)
            | Self::TakesJobs
            | Self::Installed(..)
            | Self::Removed(..)
            | Self::NativeBuilding(_)
            | Self::NativeStale(_) => Level::Info,
            Self::Verified(_, Err(_)) | Self::NotVerified(..) => Level::Warning,
            _ => Level::Debug,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(known_as) => write!(f, "Connected to scheduler (I am known as {known_as})"),
            Self::OtherScheduler { before, address } => {
                write!(f, "this host is now served by the scheduler at {address}, before by the one at {before}")
            }
            Self::SchedulerGone => write!(f, "scheduler closed connection"),
            Self::UnknownSchedulerMessage => write!(f, "unknown scheduler type, connection closed"),
            Self::AnsweredLocally(client) => write!(f, "no scheduler, request built here client={client}"),
            Self::Accepted(client, address) => write!(f, "accepted {address} as {client}"),
            Self::RequestForJob(job) => write!(f, "request for job {job}"),
            Self::RemoteCompile(file) => write!(f, "remote compile for file {file}"),
            Self::MemoryLimit(mib) => write!(f, "Compile job memory limit set to {mib} megabytes"),
            Self::NoEnvironment(env, job) => write!(f, "I don't have environment {env} {job}"),
            Self::Installed(env, size, all) => {
                write!(f, "installed {}/{} size: {size} all: {all}", env.platform, env.name)
            }
            Self::OtherContent(env, address) => {
                write!(f, "{address} has other content than others by the name {env}: its jobs get that, others do not")
            }
            Self::NotInstalled(env, reason) => write!(f, "cannot install environment {env}: {reason}"),
            Self::BadName(reason) => write!(f, "bad environment refused: {reason}"),
            Self::Removed(env, why) => write!(f, "removed environment {env}: {why}"),
            Self::Verified(env, Ok(())) => write!(f, "Verify environment done, success, environment {env}"),
            Self::Verified(env, Err(reason)) => {
                write!(f, "Verify environment done, failure, environment {env}: {reason}")
            }
            Self::NotVerified(env, reason) => write!(f, "cannot verify environment {env} now: {reason}"),
            Self::NativeBuilding(compiler) => write!(f, "make native environment compiler={compiler}"),
            Self::NativeStale(compiler) => write!(f, "native_env needs rebuild compiler={compiler}"),
            Self::NativeFailed(reason) => write!(f, "cannot make native environment: {reason}"),
            Self::FalseResult(host) => {
                write!(f, "{host} sent a false result, no job of this host goes there for an hour")
            }
            Self::UnknownCall(name) => {
                write!(f, "a job tried the system call {name}, which the call filter does not know")
            }
            Self::LocalBegins => write!(f, "send JobLocalBeginMsg to client"),
            Self::Ends(client, address, reason) => write!(f, "handle_end {client} {address}: {reason}"),
            Self::TakesNoJobs(why) => write!(f, "taking no jobs of others: {why}"),
            Self::TakesJobs => write!(f, "taking jobs of others again"),
        }
    }
}
