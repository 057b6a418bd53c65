//! What a submission is made of, what it is told, and what it wants done.

use crate::cmdline::{Family, Messages, Mode};
use crate::env::EnvRef;
use crate::job::JobStats;
use crate::message::{
    BlacklistHostEnv, CompileFile, CompileResult, EnvTarget, FilesNeed, FilesResult, GetCs, GetNativeEnv, Message,
    UseCs,
};
use crate::reason::{Reason, Why};
use crate::text::Text;
use crate::time::Duration;
use crate::version::Version;

/// The environments that a job can be compiled with.
#[derive(Clone, Debug)]
pub enum Environments {
    /// The daemon's, made of the compiler that would run here.
    Native(GetNativeEnv),
    /// The user's (`ICECC_VERSION`).
    Given(Vec<EnvRef>),
}

/// A compile that is to go elsewhere, as the shell knows it at the start.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which environments.
    pub environments: Environments,
    /// The question for a server, but for `environments`.
    pub get_cs: GetCs,
    /// The job, but for `job` and `environment`.
    pub compile: CompileFile,
    /// Kind of compiler.
    pub family: Family,
    /// How it is preprocessed.
    pub mode: Mode,
    /// Whether messages of the remote compiler lead to a local compile.
    pub messages: Messages,
    /// The remote compiler lacks something that the plain one would use (a precompiled header): its failures mean nothing.
    pub failure_is_doubtful: bool,
    /// Paths that the server is told in full where the user may have named them otherwise: messages with one are not the plain ones.
    pub told_in_full: Vec<Vec<u8>>,
    /// `ICECC_IGNORE_UNVERIFIED`: servers that cannot verify are not taken.
    pub verified_only: bool,
    /// The daemon was asked for zstd because that is quickest, not because the user wants it: a server that cannot read it
    /// gets the same environment as gzip (decision: environment-compression).
    pub zstd_by_default: bool,
    /// `ICECC_TEST_REMOTEBUILD`: a server at 127.0.0.1 with a port is a remote one.
    pub loopback_is_remote: bool,
    /// The user wants to know when no other host can take the job (`ICECC_FALLBACK`).
    pub wants_other_host: bool,
    /// A command that holds a slot of this host waits for this compile.
    pub is_nested: bool,
    /// The shell can have it done by files (`ICECC_FILES`), where a server takes that.
    pub can_by_files: bool,
}

impl Request {
    /// Why nobody else compiles what this host is told to compile, if that matters to the user.
    pub(super) fn refusal(&self, server: &UseCs) -> Option<Reason> {
        match (self.wants_other_host, server.host_platform.is_empty(), server.env_present) {
            // A scheduler names no platform then, a daemon that has none does.
            (true, false, _) => Some(Reason::NoScheduler),
            (true, true, 0) => Some(Reason::NoHost),
            _ => None,
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The daemon said something.
    Daemon(Message),
    /// The daemon's connection is closed or does not take messages.
    DaemonClosed,
    /// The archive at the path asked about by [`Output::Inspect`]: its environment's name, or that it cannot be read.
    Archive(Option<Text>),
    /// The server is connected.
    Connected {
        /// Version spoken.
        version: Version,
        /// The server's own offer.
        offer: Version,
    },
    /// [`Output::Dial`], [`Output::SendEnvironment`], [`Output::SendSource`] or [`Output::Receive`] failed here.
    Failed(Why),
    /// The server's connection has no room for what is sent to it. May be told again while that lasts.
    Blocked,
    /// It has taken all that was sent so far.
    Taken,
    /// It takes nothing any more. What the server said before was told.
    NotTaken,
    /// The connection has taken all of the archive and its END.
    EnvironmentSent,
    /// The preprocessor failed. To be told before each wait.
    PreprocessorFailed,
    /// The text shows what a compile server would fill in otherwise (a date, its own file's name): all macros are to be expanded
    /// here. To be told before each wait.
    ExpandHere,
    /// The preprocessor ended well, and all it wrote is sent (not END).
    SourceEnd {
        /// Its messages.
        said: Vec<u8>,
    },
    /// The server said something. The pieces and the END of a file have inputs of their own.
    Server(Message),
    /// The server's connection is closed.
    ServerClosed,
    /// A piece of the file that [`Output::Receive`] wants.
    FilePiece {
        /// Its bytes unpacked.
        plain: u64,
    },
    /// All of it is received and stands in its temporary.
    Received,
    /// The answer to [`Output::BeginFiles`]: this job is none for that way. Nothing was sent.
    NotByFiles,
    /// The connection has taken all of the facts of [`Output::BeginFiles`], or of the answer to [`Output::AnswerFiles`].
    FilesSent,
    /// The answer to [`Output::Probe`].
    Probed {
        /// Whether the server showed life.
        alive: bool,
    },
    /// [`Output::CompileHere`] ended.
    Compiled {
        /// Exit status of the compiler.
        status: i32,
        /// Its numbers.
        stats: JobStats,
    },
}

/// What shall be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send it to the daemon.
    Daemon(Message),
    /// Look whether the archive at this path can be read, and what environment it is.
    Inspect(Text),
    /// Connect to a compile server.
    Dial {
        /// Its address.
        host: Text,
        /// Its port.
        port: u16,
    },
    /// Send TRANSFER_ENV, the archive for this platform in chunks, and END, a piece whenever the server has taken the last one.
    SendEnvironment {
        /// Platform of the environment chosen.
        platform: Text,
        /// The header.
        target: EnvTarget,
        /// Which of its archives.
        packing: Packing,
    },
    /// Send it to the server.
    Server(Message),
    /// Send the job's header with the first chunk of the source, then all of the source, a piece whenever there is one and the
    /// server has taken the last.
    SendSource(Box<CompileFile>),
    /// Leave the server, which said this. Another [`Output::Dial`] may follow, and all of the source is then sent again.
    Leave(Text),
    /// What the server sends next are the pieces of a file and END.
    Receive(File),
    /// Send FILES_JOB and the facts of the unit.
    BeginFiles,
    /// Send what the server needs to know of our files.
    AnswerFiles(FilesNeed),
    /// What the server sends next is what became of the command, and all its outputs. The shell tells each piece, and when all of
    /// it is here.
    ReceiveOutputs,
    /// Ask on a second connection whether the server is there.
    Probe {
        /// How long to wait for its word.
        patience: Duration,
    },
    /// Run the user's own command; the cluster knows about it.
    CompileHere,
    /// It is over. Nothing follows.
    End(Box<End>),
}

impl Output {
    /// Tells the daemon of a false result. Schedulers know of hosts that do not fit an environment, our daemon also of those that
    /// fit none.
    pub(super) fn reports(host: &Text, environment: EnvTarget) -> [Self; 2] {
        [environment, EnvTarget::default()].map(|environment| Self::report(host, environment))
    }

    /// Tells the daemon that this host shall get no more jobs with an environment, or none at all if that has no name.
    pub(super) fn report(host: &Text, EnvTarget { name: environment, target }: EnvTarget) -> Self {
        Self::Daemon(Message::BlacklistHostEnv(BlacklistHostEnv { environment, target, host: host.clone() }))
    }
}

/// Which archive of an environment is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// The one that there is.
    AsItIs,
    /// One as gzip of the same content, which the daemon makes now if it has none.
    Gzip,
}

/// A file that the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The object.
    Object,
    /// Split debug information.
    Dwo,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The server's result is taken: print the messages, put the files in place, exit with the status.
    Remote {
        /// The compiler's messages and status.
        result: CompileResult,
        /// What the preprocessor said before them and they do not repeat.
        said: Vec<u8>,
    },
    /// The user's own command was run on the user's own files: if they are still what they were, put the outputs in place, print
    /// the messages, exit with the status.
    ByFiles {
        /// How it ended.
        result: FilesResult,
    },
    /// Once more, with all macros expanded here.
    ExpandHere,
    /// Compiled here under the cluster's eyes.
    Own {
        /// Exit status.
        status: i32,
    },
    /// Compile here, and why.
    Local(Why),
}
