//! The message about a host's load: STATS.

use ice_core::message::Stats;

use super::Malformed;
use super::reader::Reader;
use super::writer::Writer;

/// Decodes STATS.
pub(super) fn parse_stats(r: &mut Reader<'_>) -> Result<Stats, Malformed> {
    Ok(Stats { load: r.u32()?, load_avg_1: r.u32()?, load_avg_5: r.u32()?, load_avg_10: r.u32()?, free_mem: r.u32()? })
}

/// Encodes STATS.
pub(super) fn emit_stats(m: &Stats, w: &mut Writer<'_>) {
    for n in [m.load, m.load_avg_1, m.load_avg_5, m.load_avg_10, m.free_mem] {
        w.u32(n);
    }
}
