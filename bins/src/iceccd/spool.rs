//! Input of a job that waits for its slot (decision: spooled-input): kept as it came, first in memory, then in a file
//! without a name.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ice_core::codec::Codec;
use ice_core::limits::FRAME_MAX;
use ice_core::message::Chunk;
use parking_lot::Mutex;

/// What may stand in memory.
const MEMORY_MAX: usize = 256 << 10;
/// What may stand in the file; past that the client is not read any more.
const FILE_MAX: u64 = 64 << 20;
/// What may stand in all files together…
const ALL_FILES_MAX: u64 = 64 * FILE_MAX;
/// …and in those of one address.
const FILES_PER_ADDRESS_MAX: u64 = 16 * FILE_MAX;
/// Length, codec and packed length of a chunk in the file.
const HEAD: usize = 9;

/// What stands in files, by address of the client.
#[derive(Debug, Default)]
pub struct Files(Mutex<HashMap<String, u64>>);

impl Files {
    fn are_full(&self, address: &str) -> bool {
        let written = self.0.lock();
        written.get(address).is_some_and(|bytes| *bytes >= FILES_PER_ADDRESS_MAX)
            || written.values().sum::<u64>() >= ALL_FILES_MAX
    }

    fn add(&self, address: &str, bytes: u64) {
        *self.0.lock().entry(address.to_owned()).or_default() += bytes;
    }

    fn remove(&self, address: &str, bytes: u64) {
        let mut written = self.0.lock();
        if let Some(sum) = written.get_mut(address) {
            *sum = sum.saturating_sub(bytes);
            if *sum == 0 {
                written.remove(address);
            }
        }
    }
}

/// A queue of chunks.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    files: Arc<Files>,
    address: String,
    memory: VecDeque<Chunk>,
    in_memory: usize,
    spill: Option<Spill>,
}

#[derive(Debug)]
struct Spill {
    file: File,
    written: u64,
    read: u64,
}

impl Spool {
    /// An empty one for a client at `address`; its file, if it comes to that, is made in `folder` and counts among `files`.
    pub fn new(folder: &Path, files: &Arc<Files>, address: &str) -> Self {
        Self {
            folder: folder.to_path_buf(),
            files: Arc::clone(files),
            address: address.to_owned(),
            memory: VecDeque::new(),
            in_memory: 0,
            spill: None,
        }
    }

    /// Whether no more is to be read from the client now.
    pub fn is_full(&self) -> bool {
        let spills = self.spill.is_some() || self.in_memory > MEMORY_MAX / 2;
        self.spill.as_ref().is_some_and(|s| s.written >= FILE_MAX) || (spills && self.files.are_full(&self.address))
    }

    /// Bytes in memory.
    pub fn in_memory(&self) -> usize {
        self.in_memory
    }

    /// Whether [`Self::pop`] gives something.
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.spill.is_none()
    }

    /// Appends a chunk.
    pub fn push(&mut self, chunk: Chunk) -> io::Result<()> {
        if chunk.plain_len == 0 && chunk.data.is_empty() {
            return Ok(()); // says nothing, but would be kept
        }
        if self.spill.is_none() && self.in_memory + cost(&chunk) <= MEMORY_MAX {
            self.in_memory += cost(&chunk);
            self.memory.push_back(chunk);
            return Ok(());
        }
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill { file: nameless(&self.folder)?, written: 0, read: 0 }),
        };
        let packed = u32::try_from(chunk.data.len()).map_err(io::Error::other)?;
        let mut record = Vec::with_capacity(HEAD + chunk.data.len());
        record.extend_from_slice(&chunk.plain_len.to_le_bytes());
        record.push(chunk.codec.number());
        record.extend_from_slice(&packed.to_le_bytes());
        record.extend_from_slice(&chunk.data);
        spill.file.write_all_at(&record, spill.written)?;
        spill.written += record.len() as u64;
        self.files.add(&self.address, record.len() as u64);
        Ok(())
    }

    /// Takes the oldest chunk.
    pub fn pop(&mut self) -> io::Result<Option<Chunk>> {
        if let Some(chunk) = self.memory.pop_front() {
            self.in_memory -= cost(&chunk);
            return Ok(Some(chunk));
        }
        let Some(spill) = &mut self.spill else { return Ok(None) };
        let mut head = [0; HEAD];
        spill.file.read_exact_at(&mut head, spill.read)?;
        let [a, b, c, d, codec, e, f, g, h] = head;
        let packed = u32::from_le_bytes([e, f, g, h]) as usize;
        if packed > FRAME_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut data = vec![0; packed];
        spill.file.read_exact_at(&mut data, spill.read + HEAD as u64)?;
        spill.read += (HEAD + packed) as u64;
        if spill.read == spill.written {
            self.drop_file();
        }
        // One that is not known is an error, never taken for another.
        let codec = Codec::from_number(codec.into()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(Chunk { plain_len: u32::from_le_bytes([a, b, c, d]), codec, data }))
    }

    fn drop_file(&mut self) {
        if let Some(spill) = self.spill.take() {
            self.files.remove(&self.address, spill.written);
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.drop_file();
    }
}

/// What a chunk takes in memory: many small ones take more than their data.
fn cost(chunk: &Chunk) -> usize {
    size_of::<Chunk>() + chunk.data.len()
}

/// A file that is gone when it is closed, whatever happens to us.
fn nameless(folder: &Path) -> io::Result<File> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let path = folder.join(format!("spool-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_out_in_order_from_memory_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path(), &Arc::default(), "");
        let chunk = |n: u32| Chunk {
            plain_len: n,
            codec: if n % 2 == 0 { Codec::Zstd } else { Codec::Lzo1x },
            data: vec![n as u8; 100_000],
        };
        for n in 0..10 {
            spool.push(chunk(n)).unwrap();
        }
        assert!(spool.spill.is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
        for n in 0..10 {
            assert_eq!(spool.pop().unwrap(), Some(chunk(n)));
        }
        assert!(spool.is_empty() && spool.pop().unwrap().is_none());
        spool.push(chunk(11)).unwrap();
        assert_eq!(spool.pop().unwrap(), Some(chunk(11)));
    }

    #[test]
    fn an_unknown_codec_is_no_other_codec() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path(), &Arc::default(), "");
        let chunk = Chunk { plain_len: 1, codec: Codec::Zstd, data: vec![0; MEMORY_MAX] };
        spool.push(chunk).unwrap();
        spool.spill.as_ref().unwrap().file.write_all_at(&[2], 4).unwrap();
        assert_eq!(spool.pop().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn small_chunks_are_counted_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path(), &Arc::default(), "");
        for _ in 0..100_000 {
            spool.push(Chunk { plain_len: 0, codec: Codec::Zstd, data: Vec::new() }).unwrap();
            spool.push(Chunk { plain_len: 1, codec: Codec::Zstd, data: vec![0] }).unwrap();
        }
        assert!(spool.memory.len() * size_of::<Chunk>() <= MEMORY_MAX);
    }

    #[test]
    fn all_spools_of_an_address_have_a_bound_and_others_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::default());
        let spool = |address| Spool::new(folder.path(), &files, address);
        let large = Chunk { plain_len: 1, codec: Codec::Zstd, data: vec![0; 1 << 20] };
        let small = Chunk { plain_len: 1, codec: Codec::Zstd, data: vec![0; 100 << 10] };
        files.add("10.0.0.1", FILES_PER_ADDRESS_MAX - (1 << 20));
        let (mut first, mut second) = (spool("10.0.0.1"), spool("10.0.0.1"));
        first.push(large.clone()).unwrap();
        assert!(first.is_full(), "all its files are");
        second.push(small.clone()).unwrap();
        assert!(!second.is_full(), "what is in memory needs no file");
        second.push(small).unwrap();
        assert!(second.is_full());
        let mut other = spool("10.0.0.2");
        other.push(large.clone()).unwrap();
        assert!(!other.is_full());
        drop(first);
        assert!(!second.is_full(), "what is gone is free");
        files.add("10.0.0.3", ALL_FILES_MAX);
        assert!(other.is_full() && second.is_full());
        assert!(other.pop().unwrap().is_some());
        drop((other, second));
        files.remove("10.0.0.1", FILES_PER_ADDRESS_MAX - (1 << 20));
        files.remove("10.0.0.3", ALL_FILES_MAX);
        assert!(files.0.lock().is_empty());
    }

    #[test]
    fn it_is_full_at_64_mib() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path(), &Arc::default(), "");
        let mut pushed = 0;
        while !spool.is_full() {
            spool.push(Chunk { plain_len: 1, codec: Codec::Zstd, data: vec![0; 1 << 20] }).unwrap();
            pushed += 1;
        }
        assert_eq!(pushed, 64);
    }
}
