//! Messages about environments: request, transfer, verification, blacklisting.

use ice_core::message::{BlacklistHostEnv, EnvTarget, GetNativeEnv};
use ice_core::version::Version;

use super::Malformed;
use super::reader::Reader;
use super::writer::Writer;

/// Decodes GET_NATIVE_ENV.
pub(super) fn parse_get_native(r: &mut Reader<'_>, v: Version) -> Result<GetNativeEnv, Malformed> {
    let mut m = GetNativeEnv::default();
    if v.has_native_env_files() {
        m.compiler = r.text()?;
        m.extra_files = r.texts()?;
    }
    if v.has_features() {
        m.compression = r.text()?;
    }
    Ok(m)
}

/// Encodes GET_NATIVE_ENV.
pub(super) fn emit_get_native(m: &GetNativeEnv, w: &mut Writer<'_>, v: Version) {
    if v.has_native_env_files() {
        w.text(&m.compiler);
        w.texts(m.extra_files.iter());
    }
    if v.has_features() {
        w.text(&m.compression);
    }
}

/// Decodes TRANSFER_ENV or VERIFY_ENV.
pub(super) fn parse_target(r: &mut Reader<'_>) -> Result<EnvTarget, Malformed> {
    Ok(EnvTarget { name: r.text()?, target: r.text()? })
}

/// Encodes TRANSFER_ENV or VERIFY_ENV.
pub(super) fn emit_target(m: &EnvTarget, w: &mut Writer<'_>) {
    w.text(&m.name);
    w.text(&m.target);
}

/// Decodes BLACKLIST_HOST_ENV.
pub(super) fn parse_blacklist(r: &mut Reader<'_>) -> Result<BlacklistHostEnv, Malformed> {
    Ok(BlacklistHostEnv { environment: r.text()?, target: r.text()?, host: r.text()? })
}

/// Encodes BLACKLIST_HOST_ENV.
pub(super) fn emit_blacklist(m: &BlacklistHostEnv, w: &mut Writer<'_>) {
    w.text(&m.environment);
    w.text(&m.target);
    w.text(&m.host);
}
