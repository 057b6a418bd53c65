//! Bytes on their way from the preprocessor to the compile server: kept in memory, past a limit in an unlinked file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// What is kept in memory.
const MEMORY_MAX: usize = 1 << 20;
/// What is kept at all; past it the preprocessor is made to wait.
const SPOOL_MAX: u64 = 256 << 20;

/// A first-in first-out store of bytes.
#[derive(Debug, Default)]
pub(super) struct Spool {
    memory: Vec<u8>,
    /// Bytes of `memory` that were taken.
    taken: usize,
    /// Bytes behind those in memory are here, from `read_at` to `write_at`.
    file: Option<File>,
    read_at: u64,
    write_at: u64,
}

impl Spool {
    /// Bytes that wait.
    pub(super) fn len(&self) -> u64 {
        (self.memory.len() - self.taken) as u64 + (self.write_at - self.read_at)
    }

    /// Whether the writer must wait.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= SPOOL_MAX
    }

    /// Appends.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.write_at == self.read_at && self.memory.len() - self.taken + bytes.len() <= MEMORY_MAX {
            if self.taken > 0 && self.taken * 2 >= self.memory.len() {
                self.memory.drain(..self.taken);
                self.taken = 0;
            }
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(unlinked_file()?);
        }
        if let Some(file) = &self.file {
            file.write_all_at(bytes, self.write_at)?;
            self.write_at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Takes `most` bytes from the front, fewer only where no more wait: who asks for the rest must get all of it.
    pub(super) fn take(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let waiting = self.memory.get(self.taken..).unwrap_or_default();
        let mut bytes = waiting.get(..most.min(waiting.len())).unwrap_or_default().to_vec();
        self.taken += bytes.len();
        let Some(file) = &self.file else { return Ok(bytes) };
        let in_file = usize::try_from(self.write_at - self.read_at).unwrap_or(usize::MAX);
        let start = bytes.len();
        bytes.resize(start + in_file.min(most - start), 0);
        file.read_exact_at(bytes.get_mut(start..).unwrap_or_default(), self.read_at)?;
        self.read_at += (bytes.len() - start) as u64;
        if self.read_at == self.write_at {
            // The file's blocks are given back, and what comes next is kept in memory again.
            self.file = None;
            (self.read_at, self.write_at) = (0, 0);
        }
        Ok(bytes)
    }
}

/// A file without name in the folder for temporary files.
fn unlinked_file() -> io::Result<File> {
    let mut tries = 0_u32;
    loop {
        let path = std::env::temp_dir().join(format!("icecc-{}-{tries}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                std::fs::remove_file(&path)?;
                file.flush()?;
                return Ok(file);
            }
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists && tries < 100 => tries += 1,
            Err(err) => return Err(err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_whether_spilled_or_not() {
        let mut spool = Spool::default();
        let piece: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let mut expected = Vec::new();
        let mut found = Vec::new();
        for round in 0..12 {
            spool.push(&piece).unwrap();
            expected.extend_from_slice(&piece);
            if round % 3 == 2 {
                found.extend(spool.take(100_000).unwrap());
            }
        }
        assert!(spool.file.is_some());
        while spool.len() > 0 {
            found.extend(spool.take(100_000).unwrap());
        }
        assert!(spool.file.is_none() && found == expected);
        spool.push(b"x").unwrap();
        assert_eq!(spool.take(9).unwrap(), b"x");
    }

    #[test]
    fn one_take_gets_what_is_in_memory_and_what_is_in_the_file() {
        let mut spool = Spool::default();
        let text: Vec<u8> = (0..=255).cycle().take(MEMORY_MAX + 100_000).collect();
        text.chunks(64 << 10).for_each(|piece| spool.push(piece).unwrap());
        let mut found = spool.take(MEMORY_MAX - 1000).unwrap();
        assert_eq!(spool.len(), 101_000);
        found.extend(spool.take(200_000).unwrap());
        assert!(spool.len() == 0 && found == text);
    }
}
