//! The archives of this host's compilers on disk: each stands in an index with the compiler that it is of, so that it
//! survives a restart.
//!
//! The daemon's state machine decides when one is wanted, made or deleted. All calls of a `NativeStore` block, but none
//! reads an archive; they belong on one thread. What takes long needs no store: `examine` and `Packed::is_current`
//! look at files of compilers, `Made::new` compares archives.

mod files;
mod index;

use crate::store::remove_tree;
use ice_core::daemon::{Archive, FileFacts, NativeKey, NativeOnDisk};
use ice_core::text::Text;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

pub use files::{Begun, Changed, ExamineError, examine, packed};
pub use index::Packed;

/// The index file.
const INDEX: &str = ".index";
/// What is to take its place.
const NEW_INDEX: &str = ".index.new";

/// Why an archive that was made is not kept.
#[derive(Debug, Error)]
pub enum KeepError {
    /// It cannot be read, compared or moved.
    #[error("cannot keep {}", .path.display())]
    Io {
        /// The archive.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// It is a directory, link or device.
    #[error("{} is no file", .0.display())]
    NoFile(PathBuf),
    /// Another compiler has an archive with this path and other content. As nobody knows which one the name is of, both
    /// are gone.
    #[error("two archives are named {}: neither is kept", .0.display())]
    TwoOfOneName(PathBuf),
}

/// An archive that was just made, outside of the store.
#[derive(Debug)]
pub struct Made {
    file: PathBuf,
    place: PathBuf,
    size: u64,
    parts: Vec<FileFacts>,
    /// Another file is in its place.
    differs: bool,
}

impl Made {
    /// Looks at an archive that shall be kept in `dir` under its own name, and compares it with the one of that name.
    /// `parts` are the files in it.
    pub fn new(dir: &Path, file: PathBuf, parts: Vec<FileFacts>) -> Result<Self, KeepError> {
        let failed = |source| KeepError::Io { path: file.clone(), source };
        let metadata = fs::symlink_metadata(&file).map_err(failed)?;
        if !metadata.is_file() {
            return Err(KeepError::NoFile(file));
        }
        // Every local user reads it.
        fs::set_permissions(&file, Permissions::from_mode(0o644)).map_err(failed)?;
        let place = dir.join(file.file_name().unwrap_or_default());
        let differs = !is_free_or_same(&file, &place).map_err(failed)?;
        Ok(Self { size: metadata.len(), file, place, parts, differs })
    }
}

/// The archives below one directory.
#[derive(Debug)]
pub struct NativeStore {
    dir: PathBuf,
    index: BTreeMap<NativeKey, Packed>,
}

impl NativeStore {
    /// Reads the index in `dir`, forgets what is gone, and removes what is not in it.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        let mut index = index::parse(&fs::read(dir.join(INDEX)).unwrap_or_default());
        index.retain(|_, packed| packed.is_there());
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let is_known = index.values().any(|p| p.archive.path.as_bytes() == path.as_os_str().as_bytes());
            if !is_known && path.file_name() != Some(OsStr::new(INDEX)) {
                let _ = remove_tree(&path);
            }
        }
        Ok(Self { dir, index })
    }

    /// All archives.
    pub fn on_disk(&self) -> impl Iterator<Item = NativeOnDisk> {
        self.index.iter().map(|(key, packed)| NativeOnDisk { key: key.clone(), archive: packed.archive.clone() })
    }

    /// What was made of each compiler, perhaps of earlier versions of its files.
    pub fn index(&self) -> &BTreeMap<NativeKey, Packed> {
        &self.index
    }

    /// Gives an archive its place and enters it. Its name comes from a program that a user may have chosen: it must not
    /// take the place of another compiler's.
    pub fn keep(&mut self, key: &NativeKey, made: Made) -> Result<Archive, KeepError> {
        let Made { file, place, size, parts, differs } = made;
        let archive = Archive { path: place.as_os_str().as_bytes().into(), size };
        let is_of_others = || self.index.iter().any(|(of, packed)| of != key && packed.archive.path == archive.path);
        // The comparison still holds: one archive is made at a time, so what was in its place can only have gone.
        if differs && is_of_others() {
            self.index.retain(|_, packed| packed.archive.path != archive.path);
            self.remove_unused(&archive.path);
            return Err(KeepError::TwoOfOneName(place));
        }
        fs::rename(&file, &place).map_err(|source| KeepError::Io { path: file, source })?;
        if let Some(old) = self.index.insert(key.clone(), Packed { archive: archive.clone(), parts }) {
            self.remove_unused(&old.archive.path);
        }
        Ok(archive)
    }

    /// Deletes what was made of `key`, whatever its path.
    pub fn forget(&mut self, key: &NativeKey) {
        if let Some(old) = self.index.remove(key) {
            self.remove_unused(&old.archive.path);
        }
    }

    /// Deletes an archive, unless another key has the same one.
    pub fn remove(&mut self, key: &NativeKey, path: &Text) {
        if self.index.get(key).is_some_and(|packed| packed.archive.path == *path) {
            self.index.remove(key);
        }
        self.remove_unused(path);
    }

    /// Writes the index, to be called after each change. If it fails, the archives are made again after the next start.
    pub fn save(&self) -> io::Result<()> {
        let new = self.dir.join(NEW_INDEX);
        fs::write(&new, index::text(&self.index))?;
        fs::rename(new, self.dir.join(INDEX))
    }

    /// Removes the file of an archive that no key has.
    fn remove_unused(&self, path: &Text) {
        if !self.index.values().any(|packed| packed.archive.path == *path) {
            let _ = fs::remove_file(path_of(path));
        }
    }
}

/// Whether `place` is free, or its content that of `file`.
fn is_free_or_same(file: &Path, place: &Path) -> io::Result<bool> {
    match File::open(place) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e),
        Ok(there) => has_content_of(file, there),
    }
}

/// Compares two files byte by byte.
fn has_content_of(one: &Path, other: File) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(other));
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let n = a.len().min(b.len());
        if a[..n] != b[..n] || (n == 0 && a.len() != b.len()) {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
        one.consume(n);
        other.consume(n);
    }
}

fn path_of(text: &Text) -> &Path {
    Path::new(OsStr::from_bytes(text.as_bytes()))
}

#[cfg(test)]
mod tests;
