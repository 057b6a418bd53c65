//! Messages about a job, from the request for a compile server to the report of its end.

use ice_core::ids::{ClientId, JobId};
use ice_core::job::JobStats;
use ice_core::message::{
    ArgSide, CompileFile, CompileResult, GetCs, JobBegin, JobDone, JobLocalBegin, Message, UseCs, done_flags,
};
use ice_core::text::Text;
use ice_core::version::Version;

use super::Malformed;
use super::reader::Reader;
use super::writer::Writer;

/// The exit code that tells peers below 39 that the job's number is unknown, and that the number sent is the client's.
const UNKNOWN_JOB_CODE: i32 = 200;

/// Decodes GET_CS.
pub(super) fn parse_get_cs(r: &mut Reader<'_>, v: Version) -> Result<GetCs, Malformed> {
    Ok(GetCs {
        environments: r.environments()?,
        file: r.text()?,
        language: r.u32()?,
        count: r.u32()?,
        target: r.text()?,
        arg_flags: r.u32()?,
        client: ClientId(r.u32()?),
        preferred_host: if v.has_preferred_host() { r.text()? } else { Text::new() },
        needs_31: if v.has_verify_env() { r.u32()? } else { 0 },
        minimal_version: if v.has_input_file() { r.u32()? } else { 0 },
        client_count: if v.has_client_count() { r.u32()? } else { 0 },
        required_features: if v.has_features() { r.u32()? } else { 0 },
        niceness: if v.has_niceness() { r.u32()? } else { 0 },
    })
}

/// Encodes GET_CS.
pub(super) fn emit_get_cs(m: &GetCs, w: &mut Writer<'_>, v: Version) {
    w.environments(&m.environments);
    w.text(&m.file);
    w.u32(m.language);
    w.u32(m.count);
    w.text(&m.target);
    w.u32(m.arg_flags);
    w.u32(m.client.0);
    if v.has_preferred_host() {
        w.text(&m.preferred_host);
    }
    if v.has_verify_env() {
        w.u32(m.needs_31);
    }
    if v.has_input_file() {
        w.u32(m.minimal_version);
    }
    if v.has_client_count() {
        w.u32(m.client_count);
    }
    if v.has_features() {
        w.u32(m.required_features);
    }
    if v.has_niceness() {
        w.u32(m.niceness);
    }
}

/// Decodes USE_CS.
pub(super) fn parse_use_cs(r: &mut Reader<'_>, v: Version) -> Result<UseCs, Malformed> {
    Ok(UseCs {
        job: JobId(r.u32()?),
        port: r.u32()?,
        host: r.text()?,
        host_platform: r.text()?,
        env_present: r.u32()?,
        client: ClientId(r.u32()?),
        matched_job: JobId(if v.has_matched_job() { r.u32()? } else { 0 }),
    })
}

/// Encodes USE_CS.
pub(super) fn emit_use_cs(m: &UseCs, w: &mut Writer<'_>, v: Version) {
    w.u32(m.job.0);
    w.u32(m.port);
    w.text(&m.host);
    w.text(&m.host_platform);
    w.u32(m.env_present);
    w.u32(m.client.0);
    if v.has_matched_job() {
        w.u32(m.matched_job.0);
    }
}

/// Decodes NO_CS.
pub(super) fn parse_no_cs(r: &mut Reader<'_>) -> Result<Message, Malformed> {
    Ok(Message::NoCs { job: JobId(r.u32()?), client: ClientId(r.u32()?) })
}

/// Decodes COMPILE_FILE.
pub(super) fn parse_compile_file(r: &mut Reader<'_>, v: Version) -> Result<CompileFile, Malformed> {
    Ok(CompileFile {
        language: r.u32()?,
        job: JobId(r.u32()?),
        arguments: parse_arguments(r, v)?,
        environment: r.text()?,
        target: r.text()?,
        compiler: if v.has_compiler_name() { r.text()? } else { Text::new() },
        input_file: if v.has_input_file() { r.text()? } else { Text::new() },
        working_directory: if v.has_input_file() { r.text()? } else { Text::new() },
        output_file: if v.has_dwo() { r.text()? } else { Text::new() },
        split_dwarf: if v.has_dwo() { r.u32()? } else { 0 },
    })
}

/// Encodes COMPILE_FILE.
pub(super) fn emit_compile_file(m: &CompileFile, w: &mut Writer<'_>, v: Version) {
    w.u32(m.language);
    w.u32(m.job.0);
    emit_arguments(&m.arguments, w, v);
    w.text(&m.environment);
    w.text(&m.target);
    if v.has_compiler_name() {
        w.text(&m.compiler);
    }
    if v.has_input_file() {
        w.text(&m.input_file);
        w.text(&m.working_directory);
    }
    if v.has_dwo() {
        w.text(&m.output_file);
        w.u32(m.split_dwarf);
    }
}

/// Decodes the arguments: one ordered list from 41 on, two lists below.
fn parse_arguments(r: &mut Reader<'_>, v: Version) -> Result<Vec<(ArgSide, Text)>, Malformed> {
    let sided = |side: ArgSide, texts: Vec<Text>| texts.into_iter().map(move |text| (side, text));
    if v.has_ordered_args() {
        return Ok(sided(ArgSide::Rest, r.texts()?).collect());
    }
    let (remote, rest) = (r.texts()?, r.texts()?);
    Ok(sided(ArgSide::Remote, remote).chain(sided(ArgSide::Rest, rest)).collect())
}

/// Encodes the arguments.
fn emit_arguments(arguments: &[(ArgSide, Text)], w: &mut Writer<'_>, v: Version) {
    if v.has_ordered_args() {
        return w.texts(arguments.iter().map(|(_, text)| text));
    }
    for wanted in [ArgSide::Remote, ArgSide::Rest] {
        let of_side: Vec<&Text> = arguments.iter().filter(|(side, _)| *side == wanted).map(|(_, text)| text).collect();
        w.texts(of_side.into_iter());
    }
}

/// Decodes COMPILE_RESULT.
pub(super) fn parse_compile_result(r: &mut Reader<'_>, v: Version) -> Result<CompileResult, Malformed> {
    Ok(CompileResult {
        stderr: r.text()?,
        stdout: r.text()?,
        status: r.i32()?,
        out_of_memory: r.u32()?,
        has_dwo: if v.has_dwo() { r.u32()? } else { 0 },
    })
}

/// Encodes COMPILE_RESULT.
pub(super) fn emit_compile_result(m: &CompileResult, w: &mut Writer<'_>, v: Version) {
    w.text(&m.stderr);
    w.text(&m.stdout);
    w.i32(m.status);
    w.u32(m.out_of_memory);
    if v.has_dwo() {
        w.u32(m.has_dwo);
    }
}

/// Decodes JOB_BEGIN.
pub(super) fn parse_begin(r: &mut Reader<'_>, v: Version) -> Result<JobBegin, Malformed> {
    Ok(JobBegin {
        job: JobId(r.u32()?),
        start_time: r.u32()?,
        client_count: if v.has_client_count() { r.u32()? } else { 0 },
    })
}

/// Encodes JOB_BEGIN.
pub(super) fn emit_begin(m: &JobBegin, w: &mut Writer<'_>, v: Version) {
    w.u32(m.job.0);
    w.u32(m.start_time);
    if v.has_client_count() {
        w.u32(m.client_count);
    }
}

/// Decodes JOB_DONE. Below 39 the exit code 200 stands for [`done_flags::UNKNOWN_JOB`], which is set then.
pub(super) fn parse_done(r: &mut Reader<'_>, v: Version) -> Result<JobDone, Malformed> {
    let mut m = parse_done_fields(r, v)?;
    if !v.has_client_count() {
        m.flags &= !done_flags::UNKNOWN_JOB;
        if m.exit_code == UNKNOWN_JOB_CODE {
            m.flags |= done_flags::UNKNOWN_JOB;
        }
    }
    Ok(m)
}

/// Encodes JOB_DONE. Below 39 the exit code 200 stands for [`done_flags::UNKNOWN_JOB`].
pub(super) fn emit_done(m: &JobDone, w: &mut Writer<'_>, v: Version) {
    let unknown = m.flags & done_flags::UNKNOWN_JOB != 0 && !v.has_client_count();
    let exit_code = if unknown { UNKNOWN_JOB_CODE } else { m.exit_code };
    emit_done_fields(&JobDone { exit_code, ..*m }, w, v);
}

/// Decodes the fields unchanged. They are all of MON_JOB_DONE, which always has the job's real number.
pub(super) fn parse_done_fields(r: &mut Reader<'_>, v: Version) -> Result<JobDone, Malformed> {
    Ok(JobDone {
        job: r.u32()?,
        exit_code: r.i32()?,
        stats: JobStats {
            real_ms: r.u32()?,
            user_ms: r.u32()?,
            sys_ms: r.u32()?,
            page_faults: r.u32()?,
            in_compressed: r.u32()?,
            in_uncompressed: r.u32()?,
            out_compressed: r.u32()?,
            out_uncompressed: r.u32()?,
        },
        flags: r.u32()?,
        client_count: if v.has_client_count() { r.u32()? } else { 0 },
    })
}

/// Encodes the fields unchanged.
pub(super) fn emit_done_fields(m: &JobDone, w: &mut Writer<'_>, v: Version) {
    w.u32(m.job);
    w.i32(m.exit_code);
    let s = &m.stats;
    for n in [s.real_ms, s.user_ms, s.sys_ms, s.page_faults] {
        w.u32(n);
    }
    for n in [s.in_compressed, s.in_uncompressed, s.out_compressed, s.out_uncompressed] {
        w.u32(n);
    }
    w.u32(m.flags);
    if v.has_client_count() {
        w.u32(m.client_count);
    }
}

/// Decodes JOB_LOCAL_BEGIN.
pub(super) fn parse_local_begin(r: &mut Reader<'_>, v: Version) -> Result<JobLocalBegin, Malformed> {
    Ok(JobLocalBegin {
        start_time: r.u32()?,
        output_file: r.text()?,
        id: r.u32()?,
        full: if v.has_full_jobs() { r.u32()? } else { 0 },
    })
}

/// Encodes JOB_LOCAL_BEGIN.
pub(super) fn emit_local_begin(m: &JobLocalBegin, w: &mut Writer<'_>, v: Version) {
    w.u32(m.start_time);
    w.text(&m.output_file);
    w.u32(m.id);
    if v.has_full_jobs() {
        w.u32(m.full);
    }
}
