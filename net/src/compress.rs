//! Compression of chunk payloads with LZO1X and zstd. Decompression never yields more than the announced size
//! (`net/PROTOCOL.md`, Primitives).
//!
//! Which codecs there are stands in `core/src/codec.rs`; how each packs and unpacks, here.
//!
//! Use one packer or unpacker per worker thread, not per connection: their contexts are large (zstd 0.4 MB to compress,
//! 0.1 MB to decompress). They are allocated at the first use of their codec.

use ice_core::codec::Codec;
use ice_core::limits::CHUNK_PLAIN_MAX;
use ice_core::message::Chunk;
use ice_core::version::Version;
use std::io;
use thiserror::Error;
use zstd::bulk;

use crate::lzo::{self, LzoError};

/// The zstd level if none is configured.
pub const LEVEL_DEFAULT: i32 = 1;

/// Why data could not be compressed or decompressed.
#[derive(Debug, Error)]
pub enum CompressError {
    /// The plain data is longer than a chunk may be.
    #[error("{0} bytes in one chunk, at most {CHUNK_PLAIN_MAX} are allowed")]
    TooLong(usize),
    /// The chunk announces data but has none.
    #[error("chunk of {0} plain bytes without data")]
    NoData(u32),
    /// The data is not an LZO1X block of the announced length.
    #[error(transparent)]
    Lzo(#[from] LzoError),
    /// zstd reports an error.
    #[error("zstd: {0}")]
    Zstd(#[source] io::Error),
    /// The data is a valid zstd frame of another length.
    #[error("zstd data of {found} bytes, {announced} were announced")]
    ZstdLength {
        /// The announced length in bytes.
        announced: u32,
        /// The actual length in bytes.
        found: usize,
    },
}

/// Compresses chunks.
pub struct Packer {
    level: i32,
    zstd: Option<bulk::Compressor<'static>>,
    lzo: lzo::Compressor,
    scratch: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self::new(LEVEL_DEFAULT)
    }
}

impl Packer {
    /// `level` is zstd's (`ICECC_COMPRESSION`); it clamps values out of range.
    pub fn new(level: i32) -> Self {
        Self { level, zstd: None, lzo: lzo::Compressor::new(), scratch: Vec::new() }
    }

    /// Compresses `plain` as peers of version `v` expect it: with zstd from 40 on, with LZO1X below.
    ///
    /// # Errors
    /// If `plain` is longer than a chunk may be.
    pub fn pack(&mut self, plain: &[u8], v: Version) -> Result<Chunk, CompressError> {
        self.pack_as(Codec::of_version(v), plain)
    }

    /// Compresses `plain` with `codec`. Empty input gives a chunk without data.
    ///
    /// # Errors
    /// If `plain` is longer than a chunk may be.
    pub fn pack_as(&mut self, codec: Codec, plain: &[u8]) -> Result<Chunk, CompressError> {
        let plain_len = match u32::try_from(plain.len()) {
            Ok(n) if plain.len() <= CHUNK_PLAIN_MAX => n,
            _ => return Err(CompressError::TooLong(plain.len())),
        };
        if plain.is_empty() {
            return Ok(Chunk { plain_len, codec, data: Vec::new() });
        }
        self.scratch.clear();
        match codec {
            Codec::Lzo1x => self.lzo.compress(plain, &mut self.scratch),
            Codec::Zstd => {
                self.scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
                let compressor = match &mut self.zstd {
                    Some(compressor) => compressor,
                    none => none.insert(bulk::Compressor::new(self.level).map_err(CompressError::Zstd)?),
                };
                compressor.compress_to_buffer(plain, &mut self.scratch).map_err(CompressError::Zstd)?;
            }
        }
        // The scratch buffer has room for the worst case; the data is about a fifth of it.
        Ok(Chunk { plain_len, codec, data: self.scratch.as_slice().into() })
    }
}

/// Decompresses chunks.
#[derive(Default)]
pub struct Unpacker {
    zstd: Option<bulk::Decompressor<'static>>,
}

impl Unpacker {
    /// Creates an unpacker without allocating.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the plain data of `chunk` to `out`, exactly as many bytes as it announces. On error `out` is unchanged.
    ///
    /// # Errors
    /// If the data does not match what the chunk announces.
    pub fn unpack(&mut self, chunk: &Chunk, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let (start, plain_len) = (out.len(), chunk.plain_len as usize);
        if plain_len > CHUNK_PLAIN_MAX {
            return Err(CompressError::TooLong(plain_len));
        }
        if chunk.data.is_empty() {
            return if plain_len == 0 { Ok(()) } else { Err(CompressError::NoData(chunk.plain_len)) };
        }
        out.resize(start + plain_len, 0);
        let result = self.fill(chunk, out.get_mut(start..).unwrap_or_default());
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Decompresses `chunk` into all of `plain`.
    fn fill(&mut self, chunk: &Chunk, plain: &mut [u8]) -> Result<(), CompressError> {
        match chunk.codec {
            Codec::Lzo1x => return Ok(lzo::decompress(&chunk.data, plain)?),
            Codec::Zstd => {}
        }
        let decompressor = match &mut self.zstd {
            Some(decompressor) => decompressor,
            none => none.insert(bulk::Decompressor::new().map_err(CompressError::Zstd)?),
        };
        // Decompressing into a buffer of the announced size needs no window, whatever the frame asks for.
        let found = decompressor.decompress_to_buffer(&chunk.data, plain).map_err(CompressError::Zstd)?;
        if found == plain.len() { Ok(()) } else { Err(CompressError::ZstdLength { announced: chunk.plain_len, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Vec<u8> {
        (0..20_000u32).flat_map(|i| format!("int f{}(void);\n", i * 7919 % 1000).into_bytes()).take(100_000).collect()
    }

    #[test]
    fn the_version_decides_the_codec() {
        let mut packer = Packer::default();
        assert_eq!(packer.pack(b"x", Version::new(39)).unwrap().codec, Codec::Lzo1x);
        assert_eq!(packer.pack(b"x", Version::new(40)).unwrap().codec, Codec::Zstd);
    }

    #[test]
    fn what_is_packed_comes_back() {
        let (mut packer, mut unpacker, mut out) = (Packer::new(3), Unpacker::new(), b"before".to_vec());
        for codec in [Codec::Lzo1x, Codec::Zstd, Codec::Lzo1x] {
            for plain in [&[][..], b"x", &text(), &vec![0; CHUNK_PLAIN_MAX]] {
                let chunk = packer.pack_as(codec, plain).unwrap();
                assert_eq!(chunk.plain_len as usize, plain.len());
                out.truncate(6);
                unpacker.unpack(&chunk, &mut out).unwrap();
                assert_eq!(out, [b"before", plain].concat());
            }
        }
    }

    #[test]
    fn a_wrong_length_is_an_error_and_leaves_nothing() {
        let (mut packer, mut unpacker, mut out) = (Packer::default(), Unpacker::new(), b"before".to_vec());
        for codec in [Codec::Lzo1x, Codec::Zstd] {
            let good = packer.pack_as(codec, &text()).unwrap();
            for plain_len in [0, 1, 99_999, 100_001, CHUNK_PLAIN_MAX as u32, CHUNK_PLAIN_MAX as u32 + 1, u32::MAX] {
                let wrong = Chunk { plain_len, ..good.clone() };
                assert!(unpacker.unpack(&wrong, &mut out).is_err(), "{codec:?} {plain_len}");
                assert_eq!(out, b"before");
            }
            let cut = Chunk { data: good.data[..good.data.len() / 2].into(), ..good.clone() };
            assert!(unpacker.unpack(&cut, &mut out).is_err());
            let none = Chunk { data: Vec::new(), ..good.clone() };
            assert!(matches!(unpacker.unpack(&none, &mut out), Err(CompressError::NoData(100_000))));
            // The context remains usable after a failure.
            unpacker.unpack(&good, &mut out).unwrap();
            out.truncate(6);
        }
    }

    #[test]
    fn the_level_of_those_who_name_none_is_the_quickest() {
        let text: Vec<u8> =
            (0..9000_u64).flat_map(|i| format!("f{}({});", i * i % 8191, i % 89).into_bytes()).collect();
        let packed = |mut packer: Packer| packer.pack_as(Codec::Zstd, &text).unwrap().data;
        let [none, own, zstds, next] = [Packer::default(), Packer::new(1), Packer::new(0), Packer::new(2)].map(packed);
        assert!(none == own && none != zstds && none != next);
    }

    #[test]
    fn levels_that_zstd_does_not_know_are_clamped() {
        for level in [i32::MIN, -1, 0, 22, i32::MAX] {
            let (plain, mut out) = (text(), Vec::new());
            let chunk = Packer::new(level).pack_as(Codec::Zstd, &plain).unwrap();
            Unpacker::new().unpack(&chunk, &mut out).unwrap();
            assert_eq!(out, plain, "{level}");
        }
    }

    #[test]
    fn too_much_is_refused() {
        let big = vec![0; CHUNK_PLAIN_MAX + 1];
        assert!(matches!(Packer::default().pack_as(Codec::Zstd, &big), Err(CompressError::TooLong(_))));
    }
}
