//! The fields of a message in wire order, with their names in `net/PROTOCOL.md`; for logs and `icedump`.

use ice_core::env::EnvRef;
use ice_core::message::{
    ArgSide, Chunk, Codec, CompileFile, CompileResult, GetCs, GetNativeEnv, JobBegin, JobDone, JobLocalBegin, Login,
    Message, MonGetCs, Stats, UseCs,
};
use ice_core::text::Text;
use ice_core::version::Version;

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field<'m> {
    /// A u32.
    Number(u32),
    /// An i32.
    Signed(i32),
    /// A string.
    Text(&'m Text),
    /// A string list.
    Texts(Vec<&'m Text>),
    /// Pairs of platform and environment.
    Environments(&'m [EnvRef]),
}

use Field::{Environments, Number, Signed};

/// A field's name and its value.
pub type Named<'m> = (&'static str, Field<'m>);

/// The fields that `message` has in version `v`. Of a chunk's data only the length is included.
pub fn of(message: &Message, v: Version) -> Vec<Named<'_>> {
    match message {
        Message::Ping | Message::End | Message::MonLogin | Message::GetInternals => Vec::new(),
        Message::GetNativeEnv(m) => get_native_env(m, v),
        Message::NativeEnv { path } => vec![("path", text(path))],
        Message::GetCs(m) => get_cs(m, v),
        Message::UseCs(m) => use_cs(m, v),
        Message::NoCs { job, client } => vec![("job_id", Number(job.0)), ("client_id", Number(client.0))],
        Message::CompileFile(m) => compile_file(m, v),
        Message::FileChunk(m) => chunk(m, v),
        Message::CompileResult(m) => compile_result(m, v),
        Message::JobBegin(m) => job_begin(m, v),
        Message::JobDone(m) | Message::MonJobDone(m) => job_done(m, v),
        Message::JobLocalBegin(m) => job_local_begin(m, v),
        Message::JobLocalDone { id } => vec![("id", Number(*id))],
        Message::Login(m) => login(m, v),
        Message::Stats(m) => stats(m),
        Message::MonGetCs(m) => mon_get_cs(m, v),
        Message::MonJobBegin(m) => {
            vec![("job_id", Number(m.job.0)), ("start_time", Number(m.start_time)), ("host_id", Number(m.host.0))]
        }
        Message::MonLocalJobBegin(m) => vec![
            ("host_id", Number(m.host.0)),
            ("job_id", Number(m.job.0)),
            ("start_time", Number(m.start_time)),
            ("file", text(&m.file)),
        ],
        Message::MonStats(m) => vec![("host_id", Number(m.host.0)), ("text", text(&m.text))],
        Message::TransferEnv(m) => vec![("name", text(&m.name)), ("target", text(&m.target))],
        Message::VerifyEnv(m) => vec![("environment", text(&m.name)), ("target", text(&m.target))],
        Message::StatusText { text: status } => vec![("text", text(status))],
        Message::CsConf(m) => vec![
            ("max_scheduler_pong", Number(m.max_pong)),
            ("max_scheduler_ping", Number(m.max_ping)),
            ("bench_source", text(&m.extra)),
        ],
        Message::VerifyEnvResult { ok } => vec![("ok", Number(*ok))],
        Message::BlacklistHostEnv(m) => {
            vec![("environment", text(&m.environment)), ("target", text(&m.target)), ("hostname", text(&m.host))]
        }
    }
}

fn get_native_env(m: &GetNativeEnv, v: Version) -> Vec<Named<'_>> {
    since(
        v,
        [
            (32, "compiler", text(&m.compiler)),
            (32, "extra_files", Field::Texts(m.extra_files.iter().collect())),
            (42, "compression", text(&m.compression)),
        ],
    )
}

fn get_cs(m: &GetCs, v: Version) -> Vec<Named<'_>> {
    since(
        v,
        [
            (0, "environments", Environments(&m.environments)),
            (0, "filename", text(&m.file)),
            (0, "language", Number(m.language)),
            (0, "count", Number(m.count)),
            (0, "target", text(&m.target)),
            (0, "arg_flags", Number(m.arg_flags)),
            (0, "client_id", Number(m.client.0)),
            (22, "preferred_host", text(&m.preferred_host)),
            (31, "needs_v31", Number(m.needs_31)),
            (34, "minimal_host_version", Number(m.minimal_version)),
            (39, "client_count", Number(m.client_count)),
            (42, "required_features", Number(m.required_features)),
            (43, "niceness", Number(m.niceness)),
        ],
    )
}

fn use_cs(m: &UseCs, v: Version) -> Vec<Named<'_>> {
    since(
        v,
        [
            (0, "job_id", Number(m.job.0)),
            (0, "port", Number(m.port)),
            (0, "hostname", text(&m.host)),
            (0, "host_platform", text(&m.host_platform)),
            (0, "got_env", Number(m.env_present)),
            (0, "client_id", Number(m.client.0)),
            (28, "matched_job_id", Number(m.matched_job.0)),
        ],
    )
}

fn compile_file(m: &CompileFile, v: Version) -> Vec<Named<'_>> {
    let side = |wanted: ArgSide| {
        Field::Texts(m.arguments.iter().filter(|(side, _)| *side == wanted).map(|(_, text)| text).collect())
    };
    let mut fields = vec![("language", Number(m.language)), ("job_id", Number(m.job.0))];
    if v.has_ordered_args() {
        fields.push(("flags", Field::Texts(m.arguments.iter().map(|(_, text)| text).collect())));
    } else {
        fields.push(("remote_flags", side(ArgSide::Remote)));
        fields.push(("rest_flags", side(ArgSide::Rest)));
    }
    fields.extend(since(
        v,
        [
            (0, "environment", text(&m.environment)),
            (0, "target", text(&m.target)),
            (30, "compiler_name", text(&m.compiler)),
            (34, "input_file", text(&m.input_file)),
            (34, "working_directory", text(&m.working_directory)),
            (35, "output_file", text(&m.output_file)),
            (35, "dwarf_fission", Number(m.split_dwarf)),
        ],
    ));
    fields
}

fn chunk(m: &Chunk, v: Version) -> Vec<Named<'_>> {
    let compression = match m.codec {
        Codec::Lzo1x => 0,
        Codec::Zstd => 1,
    };
    since(
        v,
        [
            (0, "uncompressed_length", Number(m.plain_len)),
            (0, "compressed_length", Number(u32::try_from(m.data.len()).unwrap_or(u32::MAX))),
            (40, "compression", Number(compression)),
        ],
    )
}

fn compile_result(m: &CompileResult, v: Version) -> Vec<Named<'_>> {
    since(
        v,
        [
            (0, "stderr", text(&m.stderr)),
            (0, "stdout", text(&m.stdout)),
            (0, "status", Signed(m.status)),
            (0, "was_out_of_memory", Number(m.out_of_memory)),
            (35, "have_dwo_file", Number(m.has_dwo)),
        ],
    )
}

fn job_begin(m: &JobBegin, v: Version) -> Vec<Named<'_>> {
    since(
        v,
        [
            (0, "job_id", Number(m.job.0)),
            (0, "start_time", Number(m.start_time)),
            (39, "client_count", Number(m.client_count)),
        ],
    )
}

fn job_done(m: &JobDone, v: Version) -> Vec<Named<'_>> {
    since(
        v,
        [
            (0, "job_id", Number(m.job)),
            (0, "exitcode", Signed(m.exit_code)),
            (0, "real_msec", Number(m.stats.real_ms)),
            (0, "user_msec", Number(m.stats.user_ms)),
            (0, "sys_msec", Number(m.stats.sys_ms)),
            (0, "pfaults", Number(m.stats.page_faults)),
            (0, "in_compressed", Number(m.stats.in_compressed)),
            (0, "in_uncompressed", Number(m.stats.in_uncompressed)),
            (0, "out_compressed", Number(m.stats.out_compressed)),
            (0, "out_uncompressed", Number(m.stats.out_uncompressed)),
            (0, "flags", Number(m.flags)),
            (39, "client_count", Number(m.client_count)),
        ],
    )
}

fn job_local_begin(m: &JobLocalBegin, v: Version) -> Vec<Named<'_>> {
    since(
        v,
        [
            (0, "start_time", Number(m.start_time)),
            (0, "outfile", text(&m.output_file)),
            (0, "id", Number(m.id)),
            (44, "full_job", Number(m.full)),
        ],
    )
}

fn login(m: &Login, v: Version) -> Vec<Named<'_>> {
    since(
        v,
        [
            (0, "port", Number(m.port)),
            (0, "max_kids", Number(m.slots)),
            (0, "environments", Environments(&m.environments)),
            (0, "nodename", text(&m.node_name)),
            (0, "host_platform", text(&m.platform)),
            (0, "chroot_possible", Number(m.chroot_possible)),
            (26, "no_remote", Number(m.no_remote)),
            (42, "supported_features", Number(m.features)),
        ],
    )
}

fn stats(m: &Stats) -> Vec<Named<'_>> {
    vec![
        ("load", Number(m.load)),
        ("load_avg_1", Number(m.load_avg_1)),
        ("load_avg_5", Number(m.load_avg_5)),
        ("load_avg_10", Number(m.load_avg_10)),
        ("free_mem", Number(m.free_mem)),
    ]
}

fn mon_get_cs(m: &MonGetCs, v: Version) -> Vec<Named<'_>> {
    let mut fields = match &m.request {
        Some(request) if !v.has_short_mon_get_cs() => get_cs(request, v),
        _ => vec![("filename", text(&m.file)), ("language", Number(m.language))],
    };
    fields.extend([("job_id", Number(m.job.0)), ("host_id", Number(m.host.0))]);
    fields
}

fn text(text: &Text) -> Field<'_> {
    Field::Text(text)
}

/// Selects the fields that exist in version `v`.
fn since<'m, const N: usize>(v: Version, fields: [(u32, &'static str, Field<'m>); N]) -> Vec<Named<'m>> {
    fields.into_iter().filter(|(since, ..)| v.number() >= *since).map(|(_, name, field)| (name, field)).collect()
}
