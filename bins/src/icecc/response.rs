//! Response files: `@FILE` words replaced by the words of FILE, for looking only.
//!
//! What is executed keeps the user's `@FILE`s: the expanded form of a large link would not fit into an `execve`.

use ice_core::cmdline::response;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Replacements in one command line; more is a file that names itself.
const REPLACEMENTS_MAX: usize = 2000;
/// Longest response file that is looked at; object lists of large links have a few MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why response files could not be read.
#[derive(Debug, Error)]
pub enum ResponseError {
    /// Endless nesting.
    #[error("more than {REPLACEMENTS_MAX} response files")]
    TooMany,
    /// Opened, but not readable to its end.
    #[error("cannot read response file {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
}

/// `words` with response files expanded, also nested ones. A word whose file cannot be opened stays as it is, and one whose
/// file is none: what is read from a pipe is gone when the compiler looks, and about a folder it says itself what is wrong.
pub fn expand(words: &[Vec<u8>], folder: &Path) -> Result<Vec<Vec<u8>>, ResponseError> {
    let mut done = Vec::with_capacity(words.len());
    let mut waiting: Vec<Vec<u8>> = words.iter().rev().cloned().collect();
    let mut replacements = 0;
    while let Some(word) = waiting.pop() {
        let Some(name) = word.strip_prefix(b"@") else {
            done.push(word);
            continue;
        };
        let path = folder.join(OsStr::from_bytes(name));
        let Some(text) = read(&path)? else {
            done.push(word);
            continue;
        };
        replacements += 1;
        if replacements > REPLACEMENTS_MAX {
            return Err(ResponseError::TooMany);
        }
        waiting.extend(response::words(&text).into_iter().rev());
    }
    Ok(done)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ResponseError> {
    if !std::fs::metadata(path).is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    let Ok(file) = std::fs::File::open(path) else { return Ok(None) };
    let mut text = Vec::new();
    match file.take(FILE_BYTES_MAX).read_to_end(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(err) => Err(ResponseError::Unreadable(path.to_path_buf(), err)),
    }
}
