//! What is sent to a server that works on our files: encoded facts, or contents, in pieces.

use super::disk::{self, Unfit};
use ice_core::limits;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};

/// Bytes of a piece.
const PIECE: usize = limits::CHUNK_PLAIN * 2;

/// One stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// Of bytes that are here.
    Bytes { bytes: Vec<u8>, sent: usize },
    /// Of these files, of which so many bytes are left.
    Files { files: VecDeque<(Vec<u8>, u64)>, open: Option<File> },
}

impl Stream {
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self::Bytes { bytes, sent: 0 }
    }

    /// Of canonical paths and their sizes.
    pub(super) fn of_files(files: Vec<(Vec<u8>, u64)>) -> Self {
        Self::Files { files: files.into(), open: None }
    }

    /// The next piece; empty at the end.
    pub(super) fn next(&mut self) -> Result<Vec<u8>, Unfit> {
        match self {
            Self::Bytes { bytes, sent } => {
                let end = bytes.len().min(*sent + PIECE);
                let piece = bytes.get(*sent..end).unwrap_or_default().to_vec();
                *sent = end;
                Ok(piece)
            }
            Self::Files { files, open } => {
                let mut piece = Vec::new();
                while piece.len() < PIECE {
                    let Some((path, left)) = files.front_mut() else { break };
                    let unreadable = |err| Unfit::Unreadable(path.clone(), err);
                    let file = match open {
                        Some(file) => file,
                        None => open.insert(disk::open(path).map_err(unreadable)?),
                    };
                    let room = (PIECE - piece.len()) as u64;
                    let read = append(file, room.min(*left), &mut piece).map_err(unreadable)?;
                    if read < room.min(*left) {
                        return Err(Unfit::Changed(path.clone()));
                    }
                    *left -= read;
                    if *left == 0 {
                        *open = None;
                        files.pop_front();
                    }
                }
                Ok(piece)
            }
        }
    }
}

fn append(file: &mut File, most: u64, to: &mut Vec<u8>) -> io::Result<u64> {
    file.by_ref().take(most).read_to_end(to).map(|n| n as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    fn all(mut stream: Stream) -> Result<Vec<u8>, Unfit> {
        let mut all = Vec::new();
        loop {
            match stream.next()? {
                piece if piece.is_empty() => return Ok(all),
                piece => all.extend(piece),
            }
        }
    }

    #[test]
    fn all_bytes_come_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        let mut files = Vec::new();
        for (name, size) in [("a", 3), ("empty", 0), ("large", 3 * PIECE + 7), ("b", 1)] {
            let text: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let path = folder.path().join(name);
            fs::write(&path, &text).unwrap();
            files.push((path.as_os_str().as_bytes().to_vec(), size as u64));
            expected.extend(text);
        }
        assert_eq!(all(Stream::of_files(files.clone())).unwrap(), expected);
        assert_eq!(all(Stream::of_bytes(expected.clone())).unwrap(), expected);
        assert_eq!(all(Stream::of_bytes(Vec::new())).unwrap(), b"");
        fs::write(Path::new(std::ffi::OsStr::from_bytes(&files[2].0)), "less").unwrap();
        assert!(matches!(all(Stream::of_files(files)), Err(Unfit::Changed(_))));
    }
}
