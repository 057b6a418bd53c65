//! What each message looks like on the wire: one row for each. How to read a row, and how to add one: `declare`. What
//! the messages and their fields mean: [`ice_core::message`] and `net/PROTOCOL.md`.

use ice_core::job::JobStats;
use ice_core::message::{
    BlacklistHostEnv, Chunk, CompileFile, CompileResult, CsConf, EnvTarget, FilesJob, FilesNeed, FilesResult, GetCs,
    GetNativeEnv, HostCan, JobBegin, JobDone, JobLocalBegin, Keep, Login, Message, MonGetCs, MonJobBegin,
    MonLocalJobBegin, MonStats, Stats, UseCs,
};
use ice_core::version::Version;

use super::Malformed;
use super::declare::{content, fields, fields_of, messages, name};
use super::irregular::UnknownJobByCode;
use super::reader::Reader;
use super::types::{self, Named, Wire};
use super::writer::Writer;

messages! {
    66 PING = Ping {};
    67 END = End {};
    69 GET_NATIVE_ENV = GetNativeEnv(GetNativeEnv {
        compiler if has_native_env_files,
        extra_files if has_native_env_files,
        compression if has_features,
    });
    70 NATIVE_ENV = NativeEnv { path };
    71 GET_CS = GetCs(GetCs);
    72 USE_CS = UseCs(UseCs {
        job as "job_id",
        port,
        host as "hostname",
        host_platform,
        env_present as "got_env",
        client as "client_id",
        matched_job as "matched_job_id" if has_matched_job,
    });
    73 COMPILE_FILE = CompileFile(CompileFile {
        language,
        job as "job_id",
        arguments as "flags",
        environment,
        target,
        compiler as "compiler_name" if has_compiler_name,
        input_file if has_input_file,
        working_directory if has_input_file,
        output_file if has_dwo,
        split_dwarf as "dwarf_fission" if has_dwo,
    });
    74 FILE_CHUNK = FileChunk(Chunk);
    75 COMPILE_RESULT = CompileResult(CompileResult {
        stderr,
        stdout,
        status,
        out_of_memory as "was_out_of_memory",
        has_dwo as "have_dwo_file" if has_dwo,
    });
    76 JOB_BEGIN = JobBegin(JobBegin {
        job as "job_id",
        start_time,
        client_count if has_client_count,
    });
    77 JOB_DONE = JobDone(UnknownJobByCode);
    78 JOB_LOCAL_BEGIN = JobLocalBegin(JobLocalBegin {
        start_time,
        output_file as "outfile",
        id,
        full as "full_job" if has_full_jobs,
    });
    79 JOB_LOCAL_DONE = JobLocalDone { id };
    80 LOGIN = Login(Login {
        port,
        slots as "max_kids",
        environments,
        node_name as "nodename",
        platform as "host_platform",
        chroot_possible,
        no_remote if has_no_remote,
        features as "supported_features" if has_features,
    });
    81 STATS = Stats(Stats { load, load_avg_1, load_avg_5, load_avg_10, free_mem });
    82 MON_LOGIN = MonLogin {};
    83 MON_GET_CS = MonGetCs(MonGetCs);
    84 MON_JOB_BEGIN = MonJobBegin(MonJobBegin { job as "job_id", start_time, host as "host_id" });
    85 MON_JOB_DONE = MonJobDone(JobDone);
    86 MON_LOCAL_JOB_BEGIN = MonLocalJobBegin(MonLocalJobBegin {
        host as "host_id",
        job as "job_id",
        start_time,
        file,
    });
    87 MON_STATS = MonStats(MonStats { host as "host_id", text });
    88 TRANSFER_ENV = TransferEnv(EnvTarget { name, target });
    90 STATUS_TEXT = StatusText { text };
    91 GET_INTERNALS = GetInternals {};
    92 CS_CONF = CsConf(CsConf {
        max_pong as "max_scheduler_pong",
        max_ping as "max_scheduler_ping",
        extra as "bench_source",
    });
    93 VERIFY_ENV = VerifyEnv(EnvTarget { name as "environment", target });
    94 VERIFY_ENV_RESULT = VerifyEnvResult { ok };
    95 BLACKLIST_HOST_ENV = BlacklistHostEnv(BlacklistHostEnv { environment, target, host as "hostname" });
    96 NO_CS = NoCs { job as "job_id", client as "client_id" };
    1000 JOB_GIVEN = JobGiven { job as "job_id" };
    1001 FILES_JOB = FilesJob(FilesJob);
    1002 FILES_NEED = FilesNeed(FilesNeed { kind, paths });
    1003 FILES_RESULT = FilesResult(FilesResult { status, out_of_memory, stdout, stderr });
    1004 HOST_CAN = HostCan(HostCan { job as "job_id", client as "client_id", abilities });
    1005 KEEP_GET = KeepGet(Keep { kind, key });
    1006 KEEP_PUT = KeepPut(Keep { kind, key });
    1007 JOB_NOTE = JobNote { text };
}

fields_of! {
    // GET_CS, and MON_GET_CS below 29.
    GetCs {
        environments,
        file as "filename",
        language,
        count,
        target,
        arg_flags,
        client as "client_id",
        preferred_host if has_preferred_host,
        needs_31 as "needs_v31" if has_verify_env,
        minimal_version as "minimal_host_version" if has_input_file,
        client_count if has_client_count,
        required_features if has_features,
        niceness if has_niceness,
    }
    // MON_JOB_DONE, and JOB_DONE but for an unknown job below 39.
    JobDone {
        job as "job_id",
        exit_code as "exitcode",
        stats,
        flags,
        client_count if has_client_count,
    }
    // Boxed, as it is large.
    FilesJob {
        job as "job_id",
        target,
        token,
        set,
        base,
        compiler,
        arguments as "argv",
        environment,
        working_directory,
        umask,
        input_file,
        outputs,
    }
    // Part of the fields of JobDone.
    JobStats {
        real_ms as "real_msec",
        user_ms as "user_msec",
        sys_ms as "sys_msec",
        page_faults as "pfaults",
        in_compressed,
        in_uncompressed,
        out_compressed,
        out_uncompressed,
    }
}
