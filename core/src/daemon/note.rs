//! What is worth telling a person; the shell writes it to the log.

use super::CloseReason;
use crate::env::EnvId;
use crate::level::Level;
use crate::text::Text;
use std::fmt;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Logged in.
    Connected(Text),
    /// The link to the scheduler is gone.
    SchedulerGone,
    /// The scheduler said something that it may not say.
    UnknownSchedulerMessage,
    /// A request is answered here because the scheduler does not come back.
    AnsweredLocally(u32),
    /// A client connected: its number and address.
    Accepted(u32, Text),
    /// COMPILE_FILE: number of the job.
    RequestForJob(u32),
    /// A foreign job starts: its input file.
    RemoteCompile(Text),
    /// Memory limit of the job that starts, MiB.
    MemoryLimit(u32),
    /// A job names an environment that is not here.
    NoEnvironment(EnvId, u32),
    /// Installed: its size and that of all.
    Installed(EnvId, u64, u64),
    /// It could not be installed.
    NotInstalled(EnvId, Text),
    /// Not an acceptable name.
    BadName(Text),
    /// Removed to keep the limit, or because it is broken.
    Removed(EnvId, &'static str),
    /// The end of a verification.
    Verified(EnvId, Result<(), Text>),
    /// This host cannot verify it at present.
    NotVerified(EnvId, Text),
    /// A native environment is made for this compiler.
    NativeBuilding(Text),
    /// It changed: made again.
    NativeStale(Text),
    /// It could not be made.
    NativeFailed(Text),
    /// A local job got its slot.
    LocalBegins,
    /// A connection ends.
    Ends(u32, Text, CloseReason),
    /// No jobs of others are taken at present, and why.
    TakesNoJobs(&'static str),
    /// They are taken again.
    TakesJobs,
}

impl Note {
    /// Its level: 1.4's where the line is 1.4's.
    pub fn level(&self) -> Level {
        match self {
            Self::NotInstalled(..) | Self::NativeFailed(_) | Self::BadName(_) | Self::NoEnvironment(..) => Level::Error,
            Self::SchedulerGone | Self::TakesNoJobs(_) | Self::UnknownSchedulerMessage | Self::AnsweredLocally(_) => {
                Level::Warning
            }
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
            Self::LocalBegins => write!(f, "send JobLocalBeginMsg to client"),
            Self::Ends(client, address, reason) => write!(f, "handle_end {client} {address}: {reason}"),
            Self::TakesNoJobs(why) => write!(f, "taking no jobs of others: {why}"),
            Self::TakesJobs => write!(f, "taking jobs of others again"),
        }
    }
}
