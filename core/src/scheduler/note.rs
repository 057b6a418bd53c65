//! What the scheduler tells people: every line of its log, with 1.4's words and level.
//!
//! The texts stand here and nowhere else. It does not know where they go.

use crate::ids::{HostId, JobId};
use crate::level::Level;
use crate::limits::{MONITORS_MAX, MONITORS_PER_ADDRESS_MAX};
use crate::message::{JobDone, Message};
use crate::text::Text;
use crate::version::Version;
use std::fmt;

/// Something worth telling a person.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each field is what its name says; the sentence is in Display")]
pub enum Note {
    /// A host logged in.
    Login { name: Text, version: Version, features: &'static str, environments: String },
    /// A host told its environments again.
    Relogin { name: Text, platform: Text, environments: String },
    /// A host is no longer there, for whatever reason.
    RemoveDaemon { host: HostId, name: Text },
    /// A LOGIN that is not accepted.
    LoginRefused { address: Text, why: String },
    /// A host has more environments than there is room for.
    EnvironmentsLeftOut { name: Text, address: Text, count: usize },
    /// A monitor too many.
    MonitorRefused { address: Text, there: usize, all: usize },
    /// The first message was none that opens a conversation.
    InvalidFirstMessage { kind: char },
    /// A message that this peer may not send.
    InvalidMessage { kind: char },
    /// A peer left before it said what it is.
    UnknownLeft,
    /// A peer did not log in within its time.
    NoLogin { address: Text },
    /// A GET_CS that is not accepted.
    RequestRefused { name: Text, why: String },
    /// A job was asked for.
    NewJob { job: JobId, submitter: Text, versions: String, file: Text, language: &'static str, niceness: u8 },
    /// A job waits.
    Delaying,
    /// Nobody can ever do it.
    AssigningSubmitter,
    /// A job was given to a host.
    Put { job: JobId, server: Text, install: bool, why: &'static str },
    /// A job began.
    Begin { job: JobId, submitter: Text, target: Text, server: Text, platform: Text },
    /// JOB_BEGIN of a job that does not exist.
    BeginUnknown { job: JobId },
    /// JOB_BEGIN from a host that was not given the job.
    BeginElsewhere { address: Text },
    /// A job ended.
    End { done: JobDone, server: Text },
    /// JOB_DONE of a job that does not exist.
    DoneUnknown { job: u32 },
    /// JOB_DONE for a job that was not handed out.
    DonePending { job: JobId },
    /// JOB_DONE from a host that does not have the job.
    WrongServer { job: JobId, server: Text, sender: Text },
    /// JOB_DONE from a host that did not ask for the job.
    WrongSubmitter { job: JobId, submitter: Text, sender: Text },
    /// A queued job was cancelled by its submitter.
    StopWaiting { job: JobId },
    /// A queued job ends because its submitter left.
    StopQueued { job: JobId },
    /// A job ends because its server or submitter left.
    StopRunning { job: JobId },
    /// A job was given out so long ago that it cannot be alive.
    JobLost { job: JobId, server: Text },
    /// Jobs have not begun for long on a host that has a slot for them.
    Dormant { name: Text, count: u32 },
    /// A host started a job of its own.
    LocalBegin { file: Text, id: u32 },
    /// A host ended a job of its own.
    LocalDone { id: u32 },
    /// A submitter does not get along with an environment on a host.
    Blacklisting { address: Text, environment: Text, target: Text },
    /// An environment did not arrive in time.
    InstallTooLong { name: Text, environment: Text },
    /// A silent host is asked for a sign of life.
    SendPing { name: Text },
    /// A silent host gave none.
    Removing { name: Text },
    /// A host that was reachable isn't.
    NotAccepting { name: Text, address: Text, port: u32 },
    /// A probe failed.
    ProbeFailed { name: Text, address: Text, port: u32, again_s: u64 },
    /// A host that was not reachable is.
    AcceptingAgain { name: Text, address: Text, port: u32 },
    /// A host with jobs has been silent for long; nothing new goes there until it shows life.
    Silent { name: Text, silent_s: u64 },
    /// The jobs of a host fail in a row: it gets fewer until one succeeds, and none for so long if others can do them.
    Failing { name: Text, pause_s: u64 },
    /// A better scheduler is there.
    ElectionLost { address: Text, port: u16, version: Version },
}

impl Note {
    /// Its level, as in 1.4 where the line is 1.4's.
    pub fn level(&self) -> Level {
        match self {
            Self::LoginRefused { .. }
            | Self::EnvironmentsLeftOut { .. }
            | Self::MonitorRefused { .. }
            | Self::NoLogin { .. }
            | Self::RequestRefused { .. }
            | Self::JobLost { .. }
            | Self::Dormant { .. }
            | Self::Silent { .. }
            | Self::Failing { .. } => Level::Warning,
            Self::RemoveDaemon { .. }
            | Self::InvalidFirstMessage { .. }
            | Self::InvalidMessage { .. }
            | Self::NewJob { .. }
            | Self::AssigningSubmitter
            | Self::WrongServer { .. }
            | Self::WrongSubmitter { .. }
            | Self::ElectionLost { .. } => Level::Info,
            _ => Level::Debug,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login { name, version, features, environments } => {
                write!(f, "login {name} protocol version: {version} features: {features} [{environments}]")
            }
            Self::Relogin { name, platform, environments } => write!(f, "RELOGIN {name}({platform}): [{environments}]"),
            Self::RemoveDaemon { name, .. } => write!(f, "remove daemon {name}"),
            Self::LoginRefused { address, why } => write!(f, "login from {address} refused: {why}"),
            Self::EnvironmentsLeftOut { name, address, count } => write!(
                f,
                "no room for {count} environments of {name}, jobs will bring them there again: too many are named by the hosts at {address}, or \
                 by all hosts; blockcs ends hosts that should not be there host={name}"
            ),
            Self::MonitorRefused { address, there, all } => write!(
                f,
                "monitor from {address} refused, end some: {there} are there ({MONITORS_PER_ADDRESS_MAX} allowed), {all} in all ({MONITORS_MAX})"
            ),
            Self::InvalidFirstMessage { kind } => write!(f, "Invalid first message {kind}"),
            Self::InvalidMessage { kind } => write!(f, "Invalid message type arrived {kind}"),
            Self::UnknownLeft => f.write_str("remote end had UNKNOWN type?"),
            Self::NoLogin { address } => write!(f, "no login from {address} in time, closing"),
            Self::RequestRefused { name, why } => write!(f, "request of {name} refused: {why}"),
            Self::NewJob { job, submitter, versions, file, language, niceness } => {
                write!(f, "NEW {job} client={submitter} versions=[{versions}] {file} {language} {niceness}")
            }
            Self::Delaying => f.write_str("No suitable host found, delaying"),
            Self::AssigningSubmitter => f.write_str("No suitable host found, assigning submitter"),
            Self::Put { job, server, install, why } => {
                let install = if *install { " (will install now)" } else { "" };
                write!(f, "put {job} in joblist of {server}{install} why={why}")
            }
            Self::Begin { job, submitter, target, server, platform } => {
                write!(f, "BEGIN: {job} client={submitter}({target}) server={server}({platform})")
            }
            Self::BeginUnknown { job } => write!(f, "handle_job_begin: no valid job id {job}"),
            Self::BeginElsewhere { address } => write!(f, "that job isn't handled by {address}"),
            Self::End { done, server } => end(f, done, server),
            Self::DoneUnknown { job } => write!(f, "job ID not present {job}"),
            Self::DonePending { job } => write!(f, "job {job} is still queued, its end is ignored"),
            Self::WrongServer { job, server, sender } => wrong(f, "server", *job, server, sender),
            Self::WrongSubmitter { job, submitter, sender } => wrong(f, "submitter", *job, submitter, sender),
            Self::StopWaiting { job } => write!(f, "STOP (WAITFORCS) FOR {job}"),
            Self::StopQueued { job } => write!(f, "STOP (DAEMON) FOR {job}"),
            Self::StopRunning { job } => write!(f, "STOP (DAEMON2) FOR {job}"),
            Self::JobLost { job, server } => {
                write!(f, "no end of a job for an hour, forgetting it job={job} server={server}")
            }
            Self::Dormant { name, count } => {
                write!(f, "jobs given to a host do not begin, others get their slots host={name} count={count}")
            }
            Self::LocalBegin { file, id } => write!(f, "handle_local_job {file} {id}"),
            Self::LocalDone { id } => write!(f, "handle_local_job_done {id}"),
            Self::Blacklisting { address, environment, target } => {
                write!(f, "Blacklisting host {address} for environment {environment} ({target})")
            }
            Self::InstallTooLong { name, environment } => {
                write!(f, "busy installing for a long time, avoiding that pair host={name} environment={environment}")
            }
            Self::SendPing { name } => write!(f, "send ping {name}"),
            Self::Removing { name } => write!(f, "removing {name}"),
            Self::NotAccepting { name, address, port } => {
                write!(f, "Client ({name} {address}:{port}) connected but is not able to accept incoming connections.")
            }
            Self::ProbeFailed { name, address, port, again_s } => {
                write!(
                    f,
                    "{name} failed to accept an incoming connection on {address}:{port} attempting again in {again_s} seconds"
                )
            }
            Self::AcceptingAgain { name, address, port } => {
                write!(f, "Client ({name} {address}:{port}) is accepting incoming connections.")
            }
            Self::Silent { name, silent_s } => {
                write!(f, "host with jobs gives no sign of life, avoiding it host={name} silent_s={silent_s}")
            }
            Self::Failing { name, pause_s } => {
                write!(f, "jobs on a host fail in a row, avoiding it for a while host={name} pause_s={pause_s}")
            }
            Self::ElectionLost { address, port, version } => write!(
                f,
                "Scheduler from {address}:{port} (version {version}) has announced itself as a preferred scheduler, disconnecting all \
                 connections."
            ),
        }
    }
}

fn wrong(f: &mut fmt::Formatter<'_>, which: &str, job: JobId, known: &Text, sender: &Text) -> fmt::Result {
    write!(f, "the {which} isn't the same for job {job}\n{which}: {known}\nmsg came from: {sender}")
}

fn end(f: &mut fmt::Formatter<'_>, done: &JobDone, server: &Text) -> fmt::Result {
    if done.exit_code != 0 {
        return write!(f, "END {} status={}", done.job, done.exit_code);
    }
    let percent = |part: u32, whole: u32| if whole == 0 { 0 } else { u64::from(part) * 100 / u64::from(whole) };
    let s = &done.stats;
    write!(
        f,
        "END {} status=0 in={}({}%) out={}({}%) real={} user={} sys={} pfaults={} server={server}",
        done.job,
        s.in_uncompressed,
        percent(s.in_compressed, s.in_uncompressed),
        s.out_uncompressed,
        percent(s.out_compressed, s.out_uncompressed),
        s.real_ms,
        s.user_ms,
        s.sys_ms,
        s.page_faults,
    )
}

/// The type number of a message as a character: how 1.4 logs it.
pub(super) fn letter(message: &Message) -> char {
    let number = match message {
        Message::Ping => 66,
        Message::End => 67,
        Message::GetNativeEnv(_) => 69,
        Message::NativeEnv { .. } => 70,
        Message::GetCs(_) => 71,
        Message::UseCs(_) => 72,
        Message::CompileFile(_) => 73,
        Message::FileChunk(_) => 74,
        Message::CompileResult(_) => 75,
        Message::JobBegin(_) => 76,
        Message::JobDone(_) => 77,
        Message::JobLocalBegin(_) => 78,
        Message::JobLocalDone { .. } => 79,
        Message::Login(_) => 80,
        Message::Stats(_) => 81,
        Message::MonLogin => 82,
        Message::MonGetCs(_) => 83,
        Message::MonJobBegin(_) => 84,
        Message::MonJobDone(_) => 85,
        Message::MonLocalJobBegin(_) => 86,
        Message::MonStats(_) => 87,
        Message::TransferEnv(_) => 88,
        Message::StatusText { .. } => 90,
        Message::GetInternals => 91,
        Message::CsConf(_) => 92,
        Message::VerifyEnv(_) => 93,
        Message::VerifyEnvResult { .. } => 94,
        Message::BlacklistHostEnv(_) => 95,
        Message::NoCs { .. } => 96,
    };
    char::from(number)
}
