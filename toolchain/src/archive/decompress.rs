//! Decompression of untrusted archives, with a limit on everything that they could exhaust.

use super::Compression;
use super::error::UnpackError;
use super::limits::UnpackLimits;
use std::cell::Cell;
use std::io::{self, BufReader, Cursor, Read};
use std::rc::Rc;

/// Bytes that may be produced before the expansion ratio is checked: a small archive of zeros is no bomb.
const RATIO_SLACK: u64 = 1 << 20;

/// The uncompressed tar: counted, hashed, and ended by an error at each limit.
pub(super) struct Decompressed<'a> {
    decoder: Box<dyn Read + 'a>,
    compressed: Rc<Cell<u64>>,
    limits: UnpackLimits,
    /// The compression that was detected.
    pub(super) compression: Compression,
    /// Number of bytes given out.
    pub(super) expanded: u64,
    /// Digest of all bytes given out.
    pub(super) hasher: blake3::Hasher,
}

impl<'a> Decompressed<'a> {
    /// Detects the compression of `input` and starts the decompressor.
    pub(super) fn new(input: impl Read + 'a, limits: &UnpackLimits) -> Result<Self, UnpackError> {
        let compressed = Rc::new(Cell::new(0));
        let mut input = CountingReader { inner: input, count: compressed.clone(), limit: limits.compressed };
        let mut start = Vec::new();
        input
            .by_ref()
            .take(512)
            .read_to_end(&mut start)
            .map_err(|e| translate_error(e, &compressed, limits, Compression::None))?;
        if start.is_empty() {
            return Err(UnpackError::Truncated);
        }
        let compression = Compression::detect(&start).unwrap_or(Compression::None);
        let input = BufReader::with_capacity(1 << 16, Cursor::new(start).chain(input));
        let decoder: Box<dyn Read + 'a> = match compression {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
            Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, limits.xz_memory_kib)),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input).map_err(UnpackError::Read)?;
                decoder.window_log_max(limits.zstd_window_log).map_err(UnpackError::Read)?;
                Box::new(decoder)
            }
            Compression::Lz4 => {
                let frame = lz_fear::framed::LZ4FrameReader::new(input)
                    .map_err(|e| UnpackError::Corrupt { compression, source: io::Error::other(e.to_string()) })?;
                Box::new(frame.into_read())
            }
        };
        let hasher = blake3::Hasher::new();
        Ok(Self { decoder, compressed, limits: limits.clone(), compression, expanded: 0, hasher })
    }

    /// Fills `buf`. Fewer bytes are returned only at the end of the archive.
    pub(super) fn fill(&mut self, buf: &mut [u8]) -> Result<usize, UnpackError> {
        let mut done = 0;
        while done < buf.len() {
            match self.decoder.read(&mut buf[done..]) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(translate_error(e, &self.compressed, &self.limits, self.compression)),
            }
        }
        self.hasher.update(&buf[..done]);
        self.expanded += done as u64;
        if self.expanded > self.limits.expanded {
            return Err(UnpackError::ExpandedSize { limit: self.limits.expanded });
        }
        if self.expanded > RATIO_SLACK + self.compressed.get().saturating_mul(self.limits.ratio) {
            return Err(UnpackError::Ratio { limit: self.limits.ratio });
        }
        Ok(done)
    }
}

/// Translates a decompressor's error.
fn translate_error(
    e: io::Error,
    compressed: &Cell<u64>,
    limits: &UnpackLimits,
    compression: Compression,
) -> UnpackError {
    if compressed.get() > limits.compressed {
        return UnpackError::CompressedSize { limit: limits.compressed };
    }
    let text = e.to_string();
    match (compression, e.kind()) {
        (Compression::None, _) => UnpackError::Read(e),
        // The text is libzstd's; its error number is not passed on.
        (Compression::Zstd, _) if text.contains("too much memory") => {
            UnpackError::Window { compression, allowed: 1 << limits.zstd_window_log }
        }
        (Compression::Xz, _) if e.kind() == io::ErrorKind::OutOfMemory || text.contains("memory") => {
            UnpackError::Window { compression, allowed: u64::from(limits.xz_memory_kib) << 10 }
        }
        (_, io::ErrorKind::UnexpectedEof) => UnpackError::Truncated,
        _ if text.contains("incomplete frame") => UnpackError::Truncated,
        _ => UnpackError::Corrupt { compression, source: e },
    }
}

/// Counts the compressed bytes and fails at the limit.
struct CountingReader<R> {
    inner: R,
    count: Rc<Cell<u64>>,
    limit: u64,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count.set(self.count.get() + n as u64);
        if self.count.get() > self.limit { Err(io::Error::other("compressed archive too large")) } else { Ok(n) }
    }
}
