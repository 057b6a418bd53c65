//! The scheduler's log lines, with 1.4's texts and levels where 1.4 has the line.
//!
//! All texts are in this table. It does not know where they are written to.

use crate::ids::{HostId, JobId};
use crate::level::Level;
use crate::limits::{MONITORS_MAX, MONITORS_PER_ADDRESS_MAX};
use crate::message::JobDone;
use crate::text::Text;
use crate::version::Version;
use std::fmt;

/// Each row: name and fields, level, text.
macro_rules! notes {
    ($($(#[$about:meta])* $name:ident $({ $($field:ident: $kind:ty),+ })? => $level:ident, $text:literal $(, $part:expr)?;)+) => {
        /// Something worth telling a person.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each field is what its name says; the sentence shows it")]
        pub enum Note {
            $($(#[$about])* $name $({ $($field: $kind),+ })?,)+
        }

        impl Note {
            /// Its level: 1.4's if the line is 1.4's.
            pub fn level(&self) -> Level {
                match self {
                    $(Self::$name { .. } => Level::$level,)+
                }
            }
        }

        impl fmt::Display for Note {
            #[allow(unused_variables, reason = "a sentence need not say all that its note knows")]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name $({ $($field),+ })? => write!(f, $text $(, $part)?),)+
                }
            }
        }
    };
}

notes! {
    /// A host logged in.
    Login { name: Text, version: Version, features: &'static str, environments: String } => Debug,
        "login {name} protocol version: {version} features: {features} [{environments}]";
    /// A host announced its environments again.
    Relogin { name: Text, platform: Text, environments: String } => Debug,
        "RELOGIN {name}({platform}): [{environments}]";
    /// A host was removed, for whatever reason.
    RemoveDaemon { host: HostId, name: Text } => Info,
        "remove daemon {name}";
    /// A LOGIN was refused.
    LoginRefused { address: Text, why: String } => Warning,
        "login from {address} refused: {why}";
    /// A host has more environments than the quota allows.
    EnvironmentsLeftOut { name: Text, address: Text, count: usize } => Warning,
        "no room for {count} environments of {name}, jobs will bring them there again: too many are named by the hosts at {address}, or \
            by all hosts; blockcs ends hosts that should not be there host={name}";
    /// A monitor was refused because there are too many.
    MonitorRefused { address: Text, there: usize, all: usize } => Warning,
        "monitor from {address} refused, end some: {there} are there ({MONITORS_PER_ADDRESS_MAX} allowed), {all} in all ({MONITORS_MAX})";
    /// A peer's first message was neither LOGIN nor MON_LOGIN.
    InvalidFirstMessage { kind: char } => Info,
        "Invalid first message {kind}";
    /// A host sent a message that it may not send.
    InvalidMessage { kind: char } => Info,
        "Invalid message type arrived {kind}";
    /// A peer left before it logged in.
    UnknownLeft => Debug,
        "remote end had UNKNOWN type?";
    /// A peer did not log in in time.
    NoLogin { address: Text } => Warning,
        "no login from {address} in time, closing";
    /// A GET_CS was refused.
    RequestRefused { name: Text, why: String } => Warning,
        "request of {name} refused: {why}";
    /// A job was requested.
    NewJob { job: JobId, submitter: Text, versions: String, file: Text, language: &'static str, niceness: u8 } => Info,
        "NEW {job} client={submitter} versions=[{versions}] {file} {language} {niceness}";
    /// A job is queued.
    Delaying => Debug,
        "No suitable host found, delaying";
    /// No host can ever take a job: its submitter builds it.
    AssigningSubmitter => Info,
        "No suitable host found, assigning submitter";
    /// A job was assigned to a host.
    Put { job: JobId, server: Text, install: bool, why: &'static str } => Debug,
        "put {job} in joblist of {server}{} why={why}", if *install { " (will install now)" } else { "" };
    /// A job began.
    Begin { job: JobId, submitter: Text, target: Text, server: Text, platform: Text } => Debug,
        "BEGIN: {job} client={submitter}({target}) server={server}({platform})";
    /// JOB_BEGIN of a job that does not exist.
    BeginUnknown { job: JobId } => Debug,
        "handle_job_begin: no valid job id {job}";
    /// JOB_BEGIN from a host that the job was not assigned to.
    BeginElsewhere { address: Text } => Debug,
        "that job isn't handled by {address}";
    /// A job ended.
    End { done: JobDone, server: Text } => Debug,
        "{}", Ended { done, server };
    /// JOB_DONE of a job that does not exist.
    DoneUnknown { job: u32 } => Debug,
        "job ID not present {job}";
    /// JOB_DONE for a job that was not assigned.
    DonePending { job: JobId } => Debug,
        "job {job} is still queued, its end is ignored";
    /// JOB_DONE as server from a host that is not the job's server.
    WrongServer { job: JobId, server: Text, sender: Text } => Info,
        "the server isn't the same for job {job}\nserver: {server}\nmsg came from: {sender}";
    /// JOB_DONE as submitter from a host that is not the job's submitter.
    WrongSubmitter { job: JobId, submitter: Text, sender: Text } => Info,
        "the submitter isn't the same for job {job}\nsubmitter: {submitter}\nmsg came from: {sender}";
    /// A queued job was cancelled by its submitter.
    StopWaiting { job: JobId } => Debug,
        "STOP (WAITFORCS) FOR {job}";
    /// A queued job ends because its submitter left.
    StopQueued { job: JobId } => Debug,
        "STOP (DAEMON) FOR {job}";
    /// A job ends because its server or submitter left.
    StopRunning { job: JobId } => Debug,
        "STOP (DAEMON2) FOR {job}";
    /// A job was assigned so long ago that it cannot be running any more.
    JobLost { job: JobId, server: Text } => Warning,
        "no end of a job for an hour, forgetting it job={job} server={server}";
    /// Jobs do not begin on a host that has free slots for them.
    Dormant { name: Text, count: u32 } => Warning,
        "jobs given to a host do not begin, others get their slots host={name} count={count}";
    /// A host started a local job.
    LocalBegin { file: Text, id: u32 } => Debug,
        "handle_local_job {file} {id}";
    /// A host ended a local job.
    LocalDone { id: u32 } => Debug,
        "handle_local_job_done {id}";
    /// A submitter bans a host for an environment.
    Blacklisting { address: Text, environment: Text, target: Text } => Debug,
        "Blacklisting host {address} for environment {environment} ({target})";
    /// An environment did not arrive in time.
    InstallTooLong { name: Text, environment: Text } => Debug,
        "busy installing for a long time, avoiding that pair host={name} environment={environment}";
    /// PING was sent to a silent host below protocol 27.
    SendPing { name: Text } => Debug,
        "send ping {name}";
    /// That host did not answer and is removed.
    Removing { name: Text } => Debug,
        "removing {name}";
    /// A host does not accept connections.
    NotAccepting { name: Text, address: Text, port: u32 } => Debug,
        "Client ({name} {address}:{port}) connected but is not able to accept incoming connections.";
    /// A probe failed.
    ProbeFailed { name: Text, address: Text, port: u32, again_s: u64 } => Debug,
        "{name} failed to accept an incoming connection on {address}:{port} attempting again in {again_s} seconds";
    /// A host accepts connections again.
    AcceptingAgain { name: Text, address: Text, port: u32 } => Debug,
        "Client ({name} {address}:{port}) is accepting incoming connections.";
    /// A host with jobs has been silent for too long; it gets no new ones until it shows life.
    Silent { name: Text, silent_s: u64 } => Warning,
        "host with jobs gives no sign of life, avoiding it host={name} silent_s={silent_s}";
    /// The jobs of a host fail in a row: it gets one at a time until one succeeds, and none during the pause if other
    /// hosts can take them.
    Failing { name: Text, pause_s: u64 } => Warning,
        "jobs on a host fail in a row, avoiding it for a while host={name} pause_s={pause_s}";
    /// A record that others name is missing; what needed it was left undone.
    RecordsDisagree { what: String } => Warning,
        "the scheduler's records disagree, carrying on: {what}";
    /// A command of the text port that changes something.
    Command { address: Text, line: Text } => Warning,
        "command of {address}: {line}";
    /// The same, of somebody who may not give it.
    CommandRefused { address: Text, line: Text } => Warning,
        "command of {address} refused, no network of --text-admin has that address: {line}";
    /// Another scheduler has precedence.
    ElectionLost { address: Text, port: u16, version: Version } => Info,
        "Scheduler from {address}:{port} (version {version}) has announced itself as a preferred scheduler, disconnecting all \
            connections.";
    /// Hosts that were sent to another scheduler are back at once.
    ElectionFailed { address: Text, sent: usize, back: usize } => Warning,
        "the preferred scheduler at {address} does not serve the hosts that were sent there, it is not believed again for an \
            hour sent={sent} back={back}";
    /// Another scheduler has precedence, but does not serve hosts that are sent there.
    ElectionIgnored { address: Text } => Debug,
        "announcement of the scheduler at {address} ignored: hosts that were sent to schedulers before came back at once";
}

/// Text of [`Note::End`]. A failed job is shown without statistics.
struct Ended<'n> {
    done: &'n JobDone,
    server: &'n Text,
}

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, server } = self;
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
}
