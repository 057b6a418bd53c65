//! All messages between peers, independent of their encoding (`net/PROTOCOL.md`, Messages).
//!
//! Numbers are kept raw, so that every recorded byte can be written again; they are clamped where they are used
//! (decision: bytes-not-text). Fields that do not exist at the version of a connection (`net/src/wire/layouts.rs` says
//! since when they do) are omitted when written and have the value of `Default` when read. The data of a chunk stay
//! compressed until they reach their destination.

use crate::codec::Codec;
use crate::env::EnvRef;
use crate::ids::{ClientId, HostId, JobId};
use crate::job::JobStats;
use crate::text::Text;

mod extension;

pub use extension::{FilesJob, FilesNeed, FilesResult, HostCan, Keep, abilities, keep, need};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each variant is the message of that name in net/PROTOCOL.md; its fields are documented"
)]
pub enum Message {
    Ping,
    /// End of a file, of a request, or of the connection.
    End,
    GetNativeEnv(GetNativeEnv),
    NativeEnv {
        /// Path of the archive on this host.
        path: Text,
    },
    GetCs(GetCs),
    UseCs(UseCs),
    /// The submitter shall build the job itself.
    NoCs {
        job: JobId,
        client: ClientId,
    },
    CompileFile(CompileFile),
    FileChunk(Chunk),
    CompileResult(CompileResult),
    JobBegin(JobBegin),
    JobDone(JobDone),
    JobLocalBegin(JobLocalBegin),
    JobLocalDone {
        /// The client's number towards the scheduler; the scheduler's number towards monitors.
        id: u32,
    },
    Login(Login),
    Stats(Stats),
    MonLogin,
    MonGetCs(MonGetCs),
    MonJobBegin(MonJobBegin),
    MonJobDone(JobDone),
    MonLocalJobBegin(MonLocalJobBegin),
    MonStats(MonStats),
    TransferEnv(EnvTarget),
    StatusText {
        text: Text,
    },
    GetInternals,
    CsConf(CsConf),
    VerifyEnv(EnvTarget),
    VerifyEnvResult {
        /// 1 if the environment is whole.
        ok: u32,
    },
    BlacklistHostEnv(BlacklistHostEnv),
    /// Extension, scheduler → compile server: it was given this job.
    JobGiven {
        job: JobId,
    },
    FilesJob(Box<FilesJob>),
    FilesNeed(FilesNeed),
    FilesResult(FilesResult),
    HostCan(HostCan),
    KeepGet(Keep),
    KeepPut(Keep),
    /// Client → its daemon: a job has ended; a [`Note`](crate::statistics::Note) as JSON.
    JobNote {
        text: Text,
    },
}

/// The part of a file name that GET_CS, MON_GET_CS and MON_LOCAL_JOB_BEGIN carry: at most its last three components.
pub fn short_file_name(name: &[u8]) -> &[u8] {
    let third_last = name.iter().enumerate().rev().filter(|(_, b)| **b == b'/').nth(2);
    third_last.and_then(|(slash, _)| name.get(slash + 1..)).unwrap_or(name)
}

/// Client → its daemon: asks for the native environment of a compiler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetNativeEnv {
    /// From 41 an absolute path; 32 to 40 the word `gcc` or `clang`.
    pub compiler: Text,
    /// Files to be packed too, absolute.
    pub extra_files: Vec<Text>,
    /// `ICECC_ENV_COMPRESSION`; empty = default.
    pub compression: Text,
}

/// Client → its daemon → scheduler: requests a compile server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetCs {
    /// Host platforms and names of the environments that can do it.
    pub environments: Vec<EnvRef>,
    /// Name of the file, the same for each compile of it.
    pub file: Text,
    /// 0 to 4, see [`crate::job::Language`].
    pub language: u32,
    /// Number of jobs requested.
    pub count: u32,
    /// The submitter's own platform.
    pub target: Text,
    /// [`arg_flags`] of the command line.
    pub arg_flags: u32,
    /// Set by the submitter's daemon.
    pub client: ClientId,
    /// The only host that may take it; empty for any.
    pub preferred_host: Text,
    /// 1 when `minimal_version` is 31 or more.
    pub needs_31: u32,
    /// 0, or the lowest protocol that a server must have offered.
    pub minimal_version: u32,
    /// Active clients of the submitting daemon.
    pub client_count: u32,
    /// [`features`] that a server must have.
    pub required_features: u32,
    /// As the client sent it: negative values are wrapped.
    pub niceness: u32,
}

/// Bits of [`GetCs::arg_flags`].
pub mod arg_flags {
    /// `-g`
    pub const DEBUG: u32 = 1;
    /// `-g3`
    pub const DEBUG3: u32 = 2;
    /// `-O`, `-O1`
    pub const OPT1: u32 = 4;
    /// `-O2`
    pub const OPT2: u32 = 8;
    /// Another optimisation level.
    pub const OPT_OTHER: u32 = 16;
}

/// Bits of [`Login::features`] and [`GetCs::required_features`].
pub mod features {
    /// The host unpacks xz archives.
    pub const ENV_XZ: u32 = 1;
    /// The host unpacks zstd archives.
    pub const ENV_ZSTD: u32 = 2;
    /// Ours: the daemon understands a USE_CS of 127.0.0.1 without platform and environment, which means that no host
    /// can take the job. Other programs do not use this bit, which is far from those of icecream.
    pub const TELLS_NO_HOST: u32 = 1 << 24;
    /// Ours: the daemon knows the extension, and bits 16 to 30 say which parts of it.
    pub const EXTENSION: u32 = 1 << 31;
    /// Ours: the daemon takes JOB_GIVEN.
    pub const TAKES_JOB_GIVEN: u32 = 1 << 16;
    /// Ours: the daemon takes HOST_CAN for its clients.
    pub const TAKES_HOST_CAN: u32 = 1 << 17;
    /// Ours: the daemon takes FILES_JOB.
    pub const TAKES_FILES: u32 = 1 << 18;
}

/// The host in [`UseCs`] that means the client's own host.
pub const LOCALHOST: &str = "127.0.0.1";

/// Scheduler → daemon → client: assigns a compile server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UseCs {
    /// The job.
    pub job: JobId,
    /// Port of the server's daemon.
    pub port: u32,
    /// Address of the server as text; 127.0.0.1 if the client shall build the job itself.
    pub host: Text,
    /// Platform of the environment to use.
    pub host_platform: Text,
    /// Not 0 if the server has the environment.
    pub env_present: u32,
    /// The client, as in GET_CS.
    pub client: ClientId,
    /// An earlier job like this one; 0 = none.
    pub matched_job: JobId,
}

/// Origin of an argument of a job; sent to peers below 41 only (`net/PROTOCOL.md`, COMPILE_FILE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgSide {
    /// For the compile server only.
    Remote,
    /// For both sides.
    Rest,
}

/// Client → compile server or its daemon: a job, whose source follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompileFile {
    /// 0 to 3, see [`crate::job::Language`].
    pub language: u32,
    /// The job.
    pub job: JobId,
    /// Arguments in the user's order. Below 41 the wire has two lists: all `Remote` ones, then all `Rest` ones; from 41
    /// on those read are all `Rest`.
    pub arguments: Vec<(ArgSide, Text)>,
    /// Name of the environment; `__client` when the client compiles itself.
    pub environment: Text,
    /// The submitter's platform.
    pub target: Text,
    /// `gcc`, `g++` or `clang`.
    pub compiler: Text,
    /// Absolute input file.
    pub input_file: Text,
    /// The client's working directory.
    pub working_directory: Text,
    /// Output file as given.
    pub output_file: Text,
    /// Not 0 if a `.dwo` is wanted.
    pub split_dwarf: u32,
}

impl CompileFile {
    /// Approximate size in memory: bytes of all texts.
    pub fn text_bytes(&self) -> usize {
        let names = [
            &self.environment,
            &self.target,
            &self.compiler,
            &self.input_file,
            &self.working_directory,
            &self.output_file,
        ];
        let arguments: usize = self.arguments.iter().map(|(_, text)| size_of::<(ArgSide, Text)>() + text.len()).sum();
        names.iter().map(|name| name.len()).sum::<usize>() + arguments
    }
}

/// A piece of a file, still compressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Length of the plain data: at most [`crate::limits::CHUNK_PLAIN_MAX`].
    pub plain_len: u32,
    /// Compression of `data`.
    pub codec: Codec,
    /// The compressed data; empty if `plain_len` is 0.
    pub data: Vec<u8>,
}

/// Compile server → client: how the compiler ended. Object and `.dwo` follow when `status` is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompileResult {
    /// The compiler's standard error.
    pub stderr: Text,
    /// The compiler's standard output.
    pub stdout: Text,
    /// Exit status.
    pub status: i32,
    /// Not 0 if memory or disk ran out.
    pub out_of_memory: u32,
    /// Not 0 if a `.dwo` follows the object.
    pub has_dwo: u32,
}

/// Compile server → scheduler: a job starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobBegin {
    /// The job.
    pub job: JobId,
    /// Unix seconds.
    pub start_time: u32,
    /// Active clients of the server.
    pub client_count: u32,
}

/// Compile server → scheduler, client → daemon → scheduler, scheduler → monitor: a job has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobDone {
    /// The job; the client's number if [`done_flags::UNKNOWN_JOB`] is set.
    pub job: u32,
    /// Exit code; 100 and above are the system's own.
    pub exit_code: i32,
    /// Times and sizes.
    pub stats: JobStats,
    /// [`done_flags`].
    pub flags: u32,
    /// Active clients of the sender.
    pub client_count: u32,
}

/// Bits of [`JobDone::flags`].
pub mod done_flags {
    /// Sent by the submitter, not by the server.
    pub const FROM_SUBMITTER: u32 = 1;
    /// The job's number is not known: `job` holds the client's. Below 39 written as exit code 200.
    pub const UNKNOWN_JOB: u32 = 2;
}

/// Client → its daemon: requests a slot for a local job. Daemon → client: grants it. Daemon → scheduler: a local job
/// has started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobLocalBegin {
    /// Unix seconds.
    pub start_time: u32,
    /// Output file.
    pub output_file: Text,
    /// The client's number.
    pub id: u32,
    /// Not 0 if it takes all slots.
    pub full: u32,
}

/// Daemon → scheduler: first message, and again whenever its environments change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// Port for jobs; 0 if it accepts none.
    pub port: u32,
    /// Number of slots.
    pub slots: u32,
    /// Environments installed, under their target platform.
    pub environments: Vec<EnvRef>,
    /// The host's name.
    pub node_name: Text,
    /// The host's platform.
    pub platform: Text,
    /// Not 0 if it can sandbox remote jobs.
    pub chroot_possible: u32,
    /// Not 0 if it refuses remote jobs.
    pub no_remote: u32,
    /// [`features`].
    pub features: u32,
}

/// Daemon → scheduler: load of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// 0 to 1000; a host with 1000 accepts no jobs.
    pub load: u32,
    /// Load average of a minute × 1000.
    pub load_avg_1: u32,
    /// Load average of 5 minutes × 1000.
    pub load_avg_5: u32,
    /// Load average of 15 minutes × 1000 (the field is called 10).
    pub load_avg_10: u32,
    /// Free memory in MiB.
    pub free_mem: u32,
}

/// S→M: a job was asked for. Below 29 the wire has a whole GET_CS body, of which `language` and `file` are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonGetCs {
    /// At most three components.
    pub file: Text,
    /// See [`crate::job::Language`].
    pub language: u32,
    /// The job.
    pub job: JobId,
    /// The submitter.
    pub host: HostId,
    /// Only below 29: the request as it stands on the wire.
    pub request: Option<Box<GetCs>>,
}

/// S→M: a job started on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonJobBegin {
    /// The job.
    pub job: JobId,
    /// Unix seconds by the server's clock.
    pub start_time: u32,
    /// The server.
    pub host: HostId,
}

/// S→M: a host started a local job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonLocalJobBegin {
    /// The host.
    pub host: HostId,
    /// The scheduler's number of it.
    pub job: JobId,
    /// Unix seconds.
    pub start_time: u32,
    /// At most three components.
    pub file: Text,
}

/// S→M: what is known of a host, as `Key:value` lines (`net/PROTOCOL.md`, Monitors).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonStats {
    /// The host.
    pub host: HostId,
    /// The lines.
    pub text: Text,
}

/// An environment as TRANSFER_ENV and VERIFY_ENV name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvTarget {
    /// The environment.
    pub name: Text,
    /// The submitter's platform.
    pub target: Text,
}

/// S→daemon: intervals in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsConf {
    /// Load report interval.
    pub max_pong: u32,
    /// Silence that is borne.
    pub max_ping: u32,
    /// Always empty in 1.4 and ignored. Ours: see [`crate::extension`].
    pub extra: Text,
}

/// C→L→S: this host does not get along with this environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlacklistHostEnv {
    /// The environment.
    pub environment: Text,
    /// The submitter's platform.
    pub target: Text,
    /// The server's address as text.
    pub host: Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_wire() {
        use arg_flags::{DEBUG, DEBUG3, OPT_OTHER, OPT1, OPT2};
        assert_eq!([DEBUG, DEBUG3, OPT1, OPT2, OPT_OTHER], [1, 2, 4, 8, 16]);
        assert_eq!([features::ENV_XZ, features::ENV_ZSTD], [1, 2]);
        assert_eq!(features::TELLS_NO_HOST, 1 << 24);
        assert_eq!([features::EXTENSION, features::TAKES_JOB_GIVEN], [1 << 31, 1 << 16]);
        assert_eq!([features::TAKES_HOST_CAN, features::TAKES_FILES], [1 << 17, 1 << 18]);
        assert_eq!([done_flags::FROM_SUBMITTER, done_flags::UNKNOWN_JOB], [1, 2]);
    }

    #[test]
    fn all_texts_of_a_job_count() {
        let empty = CompileFile::default();
        assert_eq!(empty.text_bytes(), 0);
        let job = CompileFile {
            environment: "1".into(),
            target: "22".into(),
            compiler: "4444".into(),
            input_file: "88888888".into(),
            working_directory: "x".repeat(16).into(),
            output_file: "x".repeat(32).into(),
            ..empty
        };
        assert_eq!(job.text_bytes(), 63);
        let each = size_of::<(ArgSide, Text)>();
        let arguments = vec![(ArgSide::Rest, "-O2".into()), (ArgSide::Remote, Text::new())];
        assert_eq!(CompileFile { arguments, ..job }.text_bytes(), 63 + 3 + 2 * each);
    }

    #[test]
    fn file_names_keep_three_components() {
        for (long, short) in [
            ("/-c/-O2//build/hello.c", "/build/hello.c"),
            ("/-c/-O2/build/hello.c", "-O2/build/hello.c"),
            ("/build/out/hello", "build/out/hello"),
            ("/build/x", "/build/x"),
            ("a/b/c", "a/b/c"),
            ("x.c", "x.c"),
            ("", ""),
        ] {
            assert_eq!(short_file_name(long.as_bytes()), short.as_bytes(), "{long}");
        }
    }
}
