//! Chunks of files: FILE_CHUNK. The data stays compressed; `compress` decompresses it.

use ice_core::limits::CHUNK_PLAIN_MAX;
use ice_core::message::{Chunk, Codec};
use ice_core::version::Version;

use super::reader::Reader;
use super::writer::Writer;
use super::{EncodeError, Malformed};

/// Decodes FILE_CHUNK.
pub(super) fn parse_chunk(r: &mut Reader<'_>, v: Version) -> Result<Chunk, Malformed> {
    let plain_len = r.u32()?;
    let packed_len = r.u32()?;
    if plain_len as usize > CHUNK_PLAIN_MAX {
        return Err(Malformed::ChunkTooLong(plain_len));
    }
    if plain_len > 0 && packed_len == 0 {
        return Err(Malformed::ChunkWithoutData(plain_len));
    }
    let codec = if v.has_zstd() {
        match r.u32()? {
            0 => Codec::Lzo1x,
            1 => Codec::Zstd,
            other => return Err(Malformed::UnknownCodec(other)),
        }
    } else {
        Codec::Lzo1x
    };
    Ok(Chunk { plain_len, codec, data: r.bytes(packed_len)?.to_vec() })
}

/// Encodes FILE_CHUNK.
pub(super) fn emit_chunk(m: &Chunk, w: &mut Writer<'_>, v: Version) {
    w.u32(m.plain_len);
    w.len(m.data.len());
    match (v.has_zstd(), m.codec) {
        (true, Codec::Lzo1x) => w.u32(0),
        (true, Codec::Zstd) => w.u32(1),
        (false, Codec::Lzo1x) => {}
        (false, Codec::Zstd) => w.fail(EncodeError::NoZstd(v)),
    }
    w.bytes(&m.data);
}
