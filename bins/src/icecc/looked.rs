//! Files that were looked through before and hold nothing that the text loses, known by device, inode, size and times: a header is
//! read by one unit of a build, not by each.
//!
//! They are kept in one table of fixed places in this user's own directory. Clients write to it without a lock: an entry is one
//! write of eight bytes, and what is overwritten or torn is looked at again.

use super::locks::own_folder;
use super::remembered;
use std::fs::{File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Entries; with 8 bytes each the table takes half a MiB at most.
const PLACES: u64 = 1 << 16;
/// A file that was changed less than this before the look may change again without another time: clocks of file systems are coarse.
const SETTLED: i64 = 3;

/// The table, for one compiler and language.
#[derive(Debug)]
pub(super) struct Looked {
    table: File,
    /// What a file's entry depends on besides the file.
    context: u64,
}

impl Looked {
    /// What a compiler keeps depends on its version and on the language. `None` where nothing can be kept.
    pub(super) fn open(program: &Path, language: &str) -> Option<Self> {
        let context = hash(&(program, remembered::mark(program)?, language));
        Self::at(&own_folder()?.join("looked"), context)
    }

    fn at(path: &Path, context: u64) -> Option<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        Some(Self { table: options.open(path).ok()?, context })
    }

    /// Whether this version of a file was looked through and lost nothing.
    pub(super) fn has(&self, file: &Metadata) -> bool {
        let (place, entry) = self.entry(file);
        let mut there = [0; 8];
        self.table.read_exact_at(&mut there, place).is_ok() && there == entry
    }

    /// Remembers that this version of a file loses nothing; it was looked at after `start`, in seconds since 1970.
    pub(super) fn add(&self, file: &Metadata, start: i64) {
        if file.ctime() + SETTLED < start {
            let (place, entry) = self.entry(file);
            let _ = self.table.write_all_at(&entry, place);
        }
    }

    /// Where the entry of a file stands, and what it is: never zero, which is an empty place.
    fn entry(&self, file: &Metadata) -> (u64, [u8; 8]) {
        let times = (file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec());
        let key = (self.context, file.dev(), file.ino(), file.size(), times);
        let place = hash(&(&key, "place")) % PLACES * 8;
        (place, hash(&key).max(1).to_ne_bytes())
    }
}

fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_a_file_is_known_to_its_compiler_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h");
        std::fs::write(&path, "int a;").unwrap();
        let meta = || std::fs::metadata(&path).unwrap();
        let [one, other] = [1, 2].map(|context| Looked::at(&folder.path().join("looked"), context).unwrap());
        let later = meta().ctime() + SETTLED + 1;
        one.add(&meta(), later - 1);
        assert!(!one.has(&meta()), "it may still change within the same tick");
        one.add(&meta(), later);
        assert!(one.has(&meta()));
        assert!(!other.has(&meta()));
        std::fs::write(&path, "int b, c;").unwrap();
        assert!(!one.has(&meta()));
    }
}
