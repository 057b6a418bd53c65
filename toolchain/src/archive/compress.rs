//! Compression on all cores. The bytes do not depend on the number of cores.
//!
//! gzip, bzip2 and xz are cut into blocks of fixed size that are compressed independently: deflate blocks of one gzip
//! member, a sequence of bzip2 streams, blocks of one xz stream. `gunzip`, `bunzip2` and 1.4's libarchive read all of
//! these.

use super::Compression;
use std::io::{self, BufWriter, Read, Write};
use std::num::NonZeroU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// zstd's window as a power of two: the largest that every receiver accepts, small ones included
/// (decision: environment-compression).
const ZSTD_WINDOW_LOG: u32 = 23;
/// zstd's compression level.
const ZSTD_LEVEL: i32 = 3;
/// Bytes that one core compresses at once; it may refer to the end of the job before it.
const ZSTD_JOB: u32 = 8 << 20;
/// Bytes of a gzip block. A block cannot refer to the 32 KiB before it, which is negligible at this size.
const GZIP_BLOCK: usize = 1 << 20;
/// Bytes that bzip2 -9 sorts at once.
const BZIP2_BLOCK: usize = 900_000;
/// Bytes of an xz block, which is one dictionary. There are three times as many blocks as with xz -6 -T0, so that all
/// cores finish at about the same time.
const XZ_BLOCK: u64 = 8 << 20;
/// Length of a match that is accepted without looking for a longer one. With half of xz -6's value an archive is 1 %
/// larger, and is made in less time than by xz itself.
const XZ_NICE: u32 = 32;
/// Maximum number of threads; more of them only cost memory here.
const WORKERS_MAX: usize = 16;
/// gzip header: time 0, no name, system "Unix". The last byte but one says neither best nor fastest compression.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
/// An empty final deflate block with fixed codes.
const DEFLATE_END: [u8; 2] = [3, 0];

/// Compresses all of `tar`, which has `size` bytes, into `out`.
pub(super) fn compress(
    compression: Compression,
    xz_level: u32,
    mut tar: impl Read,
    size: u64,
    out: impl Write,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 18, out);
    match compression {
        Compression::None => {
            io::copy(&mut io::BufReader::with_capacity(1 << 18, tar), &mut out)?;
        }
        Compression::Gzip => gzip(tar, &mut out)?,
        Compression::Bzip2 => blocks(tar, BZIP2_BLOCK, &bzip2_stream, &mut |stream: Vec<u8>| out.write_all(&stream))?,
        Compression::Xz => {
            let mut options = lzma_rust2::XzOptions::with_preset(xz_level);
            options.lzma_options.nice_len = options.lzma_options.nice_len.min(XZ_NICE);
            options.set_block_size(NonZeroU64::new(XZ_BLOCK));
            let mut encoder =
                lzma_rust2::XzWriterMt::new(&mut out, options, u32::try_from(workers()).unwrap_or(u32::MAX))?;
            io::copy(&mut io::BufReader::with_capacity(1 << 18, tar), &mut encoder)?;
            encoder.finish()?;
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(&mut out, ZSTD_LEVEL)?;
            encoder.set_pledged_src_size(Some(size))?;
            encoder.include_contentsize(true)?;
            encoder.include_checksum(true)?;
            encoder.window_log(ZSTD_WINDOW_LOG)?;
            encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(ZSTD_JOB))?;
            // Even a single worker cuts the input into jobs, so the bytes are the same on one core and on many.
            encoder.multithread(u32::try_from(workers()).unwrap_or(1))?;
            io::copy(&mut io::BufReader::with_capacity(1 << 18, tar), &mut encoder)?;
            encoder.finish()?;
        }
        Compression::Lz4 => {
            let settings = lz_fear::framed::CompressionSettings::default();
            settings.compress(&mut tar, &mut out).map_err(|e| io::Error::other(e.to_string()))?;
        }
    }
    out.flush()
}

/// The number of threads to use.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX)
}

/// Writes one gzip member of deflate blocks that end at a byte boundary and do not refer to the block before.
fn gzip(tar: impl Read, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&GZIP_HEADER)?;
    let mut whole = flate2::Crc::new();
    blocks(tar, GZIP_BLOCK, &deflated, &mut |(bytes, crc): (Vec<u8>, flate2::Crc)| {
        whole.combine(&crc);
        out.write_all(&bytes)
    })?;
    out.write_all(&DEFLATE_END)?;
    out.write_all(&whole.sum().to_le_bytes())?;
    out.write_all(&whole.amount().to_le_bytes())
}

/// Compresses one block for gzip, and computes its checksum.
fn deflated(block: &[u8]) -> io::Result<(Vec<u8>, flate2::Crc)> {
    let mut crc = flate2::Crc::new();
    crc.update(block);
    // The buffer must hold everything: flate2's writer loses bytes if a synchronisation does not fit into its buffer.
    let mut bytes = Vec::with_capacity(block.len() + block.len() / 8 + 1024);
    let mut encoder = flate2::Compress::new(flate2::Compression::new(6), false);
    // A synchronisation, not an end: it fills up to a byte boundary, and the next block may follow.
    encoder.compress_vec(block, &mut bytes, flate2::FlushCompress::Sync)?;
    if encoder.total_in() != block.len() as u64 || bytes.len() == bytes.capacity() {
        return Err(io::Error::other("deflate needs more room than the data itself"));
    }
    Ok((bytes, crc))
}

/// Compresses one block as a whole bzip2 stream.
fn bzip2_stream(block: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::with_capacity(block.len() / 2), bzip2::Compression::best());
    encoder.write_all(block)?;
    encoder.finish()
}

/// The channels of a worker thread: blocks go in, results come out in the same order.
struct Worker<T> {
    todo: SyncSender<Vec<u8>>,
    done: Receiver<io::Result<T>>,
}

/// Cuts `tar` into blocks of `size` bytes, applies `pack` to them on all cores and passes the results to `take` in
/// order.
fn blocks<T: Send>(
    mut tar: impl Read,
    size: usize,
    pack: &(dyn Fn(&[u8]) -> io::Result<T> + Sync),
    take: &mut dyn FnMut(T) -> io::Result<()>,
) -> io::Result<()> {
    thread::scope(|scope| {
        let workers: Vec<Worker<T>> = (0..workers())
            .map(|_| {
                let (todo, blocks) = sync_channel::<Vec<u8>>(1);
                let (results, done) = sync_channel(1);
                scope.spawn(move || {
                    // Ends when either channel is closed: at the end of the input, or after an error in another block.
                    while blocks.recv().is_ok_and(|block| results.send(pack(&block)).is_ok()) {}
                });
                Worker { todo, done }
            })
            .collect();
        let gone = || io::Error::other("a compressor's thread ended early");
        let mut given = 0;
        let mut taken = 0;
        loop {
            let mut block = Vec::with_capacity(size);
            tar.by_ref().take(size as u64).read_to_end(&mut block)?;
            if block.is_empty() {
                break;
            }
            // Two blocks for each worker: one in work, one waiting.
            if given >= 2 * workers.len() {
                take(workers[taken % workers.len()].done.recv().map_err(|_| gone())??)?;
                taken += 1;
            }
            workers[given % workers.len()].todo.send(block).map_err(|_| gone())?;
            given += 1;
        }
        while taken < given {
            take(workers[taken % workers.len()].done.recv().map_err(|_| gone())??)?;
            taken += 1;
        }
        Ok(())
    })
}
