//! Messages from a scheduler to its monitors. MON_JOB_DONE has the fields of JOB_DONE.

use ice_core::ids::{HostId, JobId};
use ice_core::message::{GetCs, MonGetCs, MonJobBegin, MonLocalJobBegin, MonStats};
use ice_core::version::Version;

use super::Malformed;
use super::job;
use super::reader::Reader;
use super::writer::Writer;

/// Decodes MON_GET_CS. Below 29 it has the whole body of GET_CS where later versions have only file and language.
pub(super) fn parse_get_cs(r: &mut Reader<'_>, v: Version) -> Result<MonGetCs, Malformed> {
    let (file, language, request) = if v.has_short_mon_get_cs() {
        (r.text()?, r.u32()?, None)
    } else {
        let request = job::parse_get_cs(r, v)?;
        (request.file.clone(), request.language, Some(Box::new(request)))
    };
    Ok(MonGetCs { file, language, job: JobId(r.u32()?), host: HostId(r.u32()?), request })
}

/// Encodes MON_GET_CS. Below 29, if the request is missing, one is made of the known fields.
pub(super) fn emit_get_cs(m: &MonGetCs, w: &mut Writer<'_>, v: Version) {
    if v.has_short_mon_get_cs() {
        w.text(&m.file);
        w.u32(m.language);
    } else if let Some(request) = &m.request {
        job::emit_get_cs(request, w, v);
    } else {
        let request = GetCs { file: m.file.clone(), language: m.language, count: 1, ..GetCs::default() };
        job::emit_get_cs(&request, w, v);
    }
    w.u32(m.job.0);
    w.u32(m.host.0);
}

/// Decodes MON_JOB_BEGIN.
pub(super) fn parse_begin(r: &mut Reader<'_>) -> Result<MonJobBegin, Malformed> {
    Ok(MonJobBegin { job: JobId(r.u32()?), start_time: r.u32()?, host: HostId(r.u32()?) })
}

/// Encodes MON_JOB_BEGIN.
pub(super) fn emit_begin(m: &MonJobBegin, w: &mut Writer<'_>) {
    w.u32(m.job.0);
    w.u32(m.start_time);
    w.u32(m.host.0);
}

/// Decodes MON_LOCAL_JOB_BEGIN.
pub(super) fn parse_local_begin(r: &mut Reader<'_>) -> Result<MonLocalJobBegin, Malformed> {
    Ok(MonLocalJobBegin { host: HostId(r.u32()?), job: JobId(r.u32()?), start_time: r.u32()?, file: r.text()? })
}

/// Encodes MON_LOCAL_JOB_BEGIN.
pub(super) fn emit_local_begin(m: &MonLocalJobBegin, w: &mut Writer<'_>) {
    w.u32(m.host.0);
    w.u32(m.job.0);
    w.u32(m.start_time);
    w.text(&m.file);
}

/// Decodes MON_STATS.
pub(super) fn parse_stats(r: &mut Reader<'_>) -> Result<MonStats, Malformed> {
    Ok(MonStats { host: HostId(r.u32()?), text: r.text()? })
}

/// Encodes MON_STATS.
pub(super) fn emit_stats(m: &MonStats, w: &mut Writer<'_>) {
    w.u32(m.host.0);
    w.text(&m.text);
}
