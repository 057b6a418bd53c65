//! What a scheduler tells its monitors. MON_JOB_DONE has the fields of JOB_DONE.

use ice_core::ids::{HostId, JobId};
use ice_core::message::{GetCs, MonGetCs, MonJobBegin, MonLocalJobBegin, MonStats};
use ice_core::version::Version;

use super::Malformed;
use super::job;
use super::reader::Reader;
use super::writer::Writer;

/// Below 29 the whole body of GET_CS stands where later only file and language do.
pub(super) fn parse_get_cs(r: &mut Reader<'_>, v: Version) -> Result<MonGetCs, Malformed> {
    let (file, language, request) = if v.has_short_mon_get_cs() {
        (r.text()?, r.u32()?, None)
    } else {
        let request = job::parse_get_cs(r, v)?;
        (request.file.clone(), request.language, Some(Box::new(request)))
    };
    Ok(MonGetCs { file, language, job: JobId(r.u32()?), host: HostId(r.u32()?), request })
}

/// Below 29 without a request, one is made of what is known.
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

pub(super) fn parse_begin(r: &mut Reader<'_>) -> Result<MonJobBegin, Malformed> {
    Ok(MonJobBegin { job: JobId(r.u32()?), start_time: r.u32()?, host: HostId(r.u32()?) })
}

pub(super) fn emit_begin(m: &MonJobBegin, w: &mut Writer<'_>) {
    w.u32(m.job.0);
    w.u32(m.start_time);
    w.u32(m.host.0);
}

pub(super) fn parse_local_begin(r: &mut Reader<'_>) -> Result<MonLocalJobBegin, Malformed> {
    Ok(MonLocalJobBegin { host: HostId(r.u32()?), job: JobId(r.u32()?), start_time: r.u32()?, file: r.text()? })
}

pub(super) fn emit_local_begin(m: &MonLocalJobBegin, w: &mut Writer<'_>) {
    w.u32(m.host.0);
    w.u32(m.job.0);
    w.u32(m.start_time);
    w.text(&m.file);
}

pub(super) fn parse_stats(r: &mut Reader<'_>) -> Result<MonStats, Malformed> {
    Ok(MonStats { host: HostId(r.u32()?), text: r.text()? })
}

pub(super) fn emit_stats(m: &MonStats, w: &mut Writer<'_>) {
    w.u32(m.host.0);
    w.text(&m.text);
}
