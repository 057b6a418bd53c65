//! Messages of a daemon's session with its scheduler: LOGIN and CS_CONF.

use ice_core::message::{CsConf, Login};
use ice_core::version::Version;

use super::Malformed;
use super::reader::Reader;
use super::writer::Writer;

/// Decodes LOGIN.
pub(super) fn parse_login(r: &mut Reader<'_>, v: Version) -> Result<Login, Malformed> {
    Ok(Login {
        port: r.u32()?,
        slots: r.u32()?,
        environments: r.environments()?,
        node_name: r.text()?,
        platform: r.text()?,
        chroot_possible: r.u32()?,
        no_remote: if v.has_no_remote() { r.u32()? } else { 0 },
        features: if v.has_features() { r.u32()? } else { 0 },
    })
}

/// Encodes LOGIN.
pub(super) fn emit_login(m: &Login, w: &mut Writer<'_>, v: Version) {
    w.u32(m.port);
    w.u32(m.slots);
    w.environments(&m.environments);
    w.text(&m.node_name);
    w.text(&m.platform);
    w.u32(m.chroot_possible);
    if v.has_no_remote() {
        w.u32(m.no_remote);
    }
    if v.has_features() {
        w.u32(m.features);
    }
}

/// Decodes CS_CONF.
pub(super) fn parse_conf(r: &mut Reader<'_>) -> Result<CsConf, Malformed> {
    Ok(CsConf { max_pong: r.u32()?, max_ping: r.u32()?, extra: r.text()? })
}

/// Encodes CS_CONF.
pub(super) fn emit_conf(m: &CsConf, w: &mut Writer<'_>) {
    w.u32(m.max_pong);
    w.u32(m.max_ping);
    w.text(&m.extra);
}
