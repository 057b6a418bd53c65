//! What a daemon keeps for the users of its host in files mode: a secret token of each, and the records that their
//! clients hand over, and what came of their jobs. `ice_core::store_layout` has the paths. What is deleted by hand costs time, nothing else.
//!
//! Records are read without this, by whoever wants one; all changes belong on one thread.

use ice_core::files::{Digest, Token};
use ice_core::store_layout;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Longest record in bytes. That of a unit with a thousand files has about 10,000.
pub const RECORD_MAX: usize = 1 << 20;
/// How many users may fill their share before the oldest records of all make room.
const SHARES: u64 = 8;
/// What a file takes of a disk at least.
const BLOCK: u64 = 4096;

/// Why something is not kept.
#[derive(Debug, Error)]
#[error("cannot {what} {}", .path.display())]
pub struct KeptError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The records of all users, by user and key.
#[derive(Debug)]
pub struct Kept {
    base: PathBuf,
    /// Most bytes of a user's records.
    limit: u64,
    records: BTreeMap<(u32, Digest), Entry>,
}

/// What is known of a record.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// What it takes of the disk.
    bytes: u64,
    /// When it was kept or used last, since 1970.
    used: Duration,
}

impl Kept {
    /// What lies below `base`, of which each user's records may take `limit` bytes.
    pub fn open(base: &Path, limit: u64) -> Result<Self, KeptError> {
        let dir = store_layout::users(base);
        DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(failed("make", &dir))?;
        let mut records = BTreeMap::new();
        for user in entries(&dir) {
            let Some(uid) = user.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            for record in entries(&store_layout::user_records(base, uid)) {
                let (key, metadata) = (Digest::from_hex(record.file_name().as_bytes()), record.metadata());
                if let (Some(key), Ok(metadata)) = (key, metadata) {
                    let used = metadata.modified().unwrap_or(UNIX_EPOCH);
                    records.insert((uid, key), Entry { bytes: on_disk(metadata.size()), used: since_1970(used) });
                }
            }
        }
        Ok(Self { base: base.to_path_buf(), limit, records })
    }

    /// A user's token, which is made when it is asked for first.
    pub fn token(&self, uid: u32) -> Result<Token, KeptError> {
        if let Some(token) = token(&self.base, uid) {
            return Ok(token);
        }
        let mut made = Token([0; 32]);
        let chance = Path::new("/dev/urandom");
        let read = File::open(chance).and_then(|mut file| file.read_exact(&mut made.0));
        read.map_err(failed("read", chance))?;
        self.write(uid, &store_layout::user_token(&self.base, uid), &made.0)?;
        Ok(made)
    }

    /// Keeps a record, in place of an older one with its key; others go for it.
    pub fn put(&mut self, uid: u32, key: Digest, record: &[u8]) -> Result<(), KeptError> {
        let bytes = on_disk(record.len() as u64);
        if record.len() > RECORD_MAX || bytes > self.limit {
            return Ok(());
        }
        make_dir(&store_layout::user_records(&self.base, uid))?;
        self.write(uid, &store_layout::user_record(&self.base, uid, &key), record)?;
        self.records.insert((uid, key), Entry { bytes, used: since_1970(SystemTime::now()) });
        self.make_room(Some(uid), self.limit);
        self.make_room(None, self.limit.saturating_mul(SHARES));
        Ok(())
    }

    /// Keeps a user's statistics.
    pub fn put_statistics(&self, uid: u32, text: &[u8]) -> Result<(), KeptError> {
        self.write(uid, &store_layout::user_statistics(&self.base, uid), text)
    }

    /// A record was used.
    pub fn touch(&mut self, uid: u32, key: Digest) {
        let Some(entry) = self.records.get_mut(&(uid, key)) else { return };
        let now = SystemTime::now();
        entry.used = since_1970(now);
        // After a restart it counts as less used then.
        let file = File::open(store_layout::user_record(&self.base, uid, &key));
        let _ = file.and_then(|file| file.set_modified(now));
    }

    /// Removes the records of a user, or of all, that were not used for longest, until the others fit into `limit`.
    fn make_room(&mut self, of: Option<u32>, limit: u64) {
        let all = self.records.iter().filter(|((uid, _), _)| of.is_none_or(|of| of == *uid));
        let mut taken: u64 = all.clone().map(|(_, entry)| entry.bytes).sum();
        if taken <= limit {
            return;
        }
        // A sixteenth more, so that not each record that comes looks at all others.
        let mut oldest: Vec<_> = all.map(|(id, entry)| (entry.used, *id, entry.bytes)).collect();
        oldest.sort_unstable();
        for (_, (uid, key), bytes) in oldest {
            if taken <= limit - limit / 16 {
                break;
            }
            taken -= bytes;
            self.records.remove(&(uid, key));
            // What cannot be removed is found at the next start.
            let _ = fs::remove_file(store_layout::user_record(&self.base, uid, &key));
        }
    }

    /// Writes a file of a user, which others see whole or not at all.
    fn write(&self, uid: u32, path: &Path, bytes: &[u8]) -> Result<(), KeptError> {
        make_dir(&store_layout::user(&self.base, uid))?;
        let new = store_layout::user(&self.base, uid).join("new");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
        file.and_then(|mut file| file.write_all(bytes)).map_err(failed("write", &new))?;
        fs::rename(&new, path).map_err(failed("write", path))
    }
}

/// A user's token, if it has one.
pub fn token(base: &Path, uid: u32) -> Option<Token> {
    let bytes = read(&store_layout::user_token(base, uid), 32)?;
    Some(Token(bytes.try_into().ok()?))
}

/// A record of a user, if it is kept.
pub fn record(base: &Path, uid: u32, key: &Digest) -> Option<Vec<u8>> {
    read(&store_layout::user_record(base, uid, key), RECORD_MAX)
}

/// A file of at most `max` bytes.
fn read(path: &Path, max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(max as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= max).then_some(bytes)
}

/// Makes a directory for nobody else, and what is above it.
fn make_dir(path: &Path) -> Result<(), KeptError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", path))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeptError {
    let path = path.to_path_buf();
    move |source| KeptError { what, path, source }
}

/// What is in a directory; nothing if it cannot be read.
fn entries(dir: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(dir).into_iter().flatten().flatten()
}

fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK)
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key(n: u8) -> Digest {
        Digest([n; 32])
    }

    #[test]
    fn a_token_is_made_once_for_each_user() {
        let base = tempfile::tempdir().unwrap();
        let kept = Kept::open(base.path(), 1 << 20).unwrap();
        assert_eq!(token(base.path(), 7), None);
        let (first, other) = (kept.token(7).unwrap(), kept.token(8).unwrap());
        assert!(first != other && first.0 != [0; 32]);
        assert_eq!((kept.token(7).unwrap(), token(base.path(), 7)), (first, Some(first)));
        let again = Kept::open(base.path(), 1 << 20).unwrap();
        assert_eq!(again.token(7).unwrap(), first);
        fs::write(store_layout::user_token(base.path(), 7), b"cut").unwrap();
        assert_ne!(again.token(7).unwrap(), first, "what is broken is made again");
    }

    #[test]
    fn nobody_else_may_look() {
        let base = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(base.path(), 1 << 20).unwrap();
        kept.token(7).unwrap();
        kept.put(7, key(1), b"a").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store_layout::user(base.path(), 7)), 0o700);
        assert_eq!(mode(&store_layout::user_token(base.path(), 7)), 0o600);
    }

    #[test]
    fn records_are_each_users_own_and_stay() {
        let base = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(base.path(), 1 << 20).unwrap();
        kept.put(7, key(1), b"a").unwrap();
        kept.put(8, key(1), b"b").unwrap();
        kept.put(7, key(1), b"c").unwrap();
        let found = |uid, n| record(base.path(), uid, &key(n));
        assert_eq!([found(7, 1), found(8, 1)], [Some(b"c".to_vec()), Some(b"b".to_vec())]);
        assert_eq!([found(7, 2), found(9, 1)], [None, None]);
        kept.put(7, key(2), &vec![0; RECORD_MAX + 1]).unwrap();
        assert_eq!(found(7, 2), None, "too large");
        assert_eq!(Kept::open(base.path(), 1 << 20).unwrap().records.len(), 2);
    }

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let base = tempfile::tempdir().unwrap();
        let limit = 32 * BLOCK;
        let mut kept = Kept::open(base.path(), limit).unwrap();
        let found = |uid, n| record(base.path(), uid, &key(n)).is_some();
        kept.put(8, key(0), b"another's").unwrap();
        for n in 0..32 {
            kept.put(7, key(n), b"a").unwrap();
        }
        assert!((0..32).all(|n| found(7, n)));
        kept.touch(7, key(0));
        kept.put(7, key(32), b"a").unwrap();
        assert_eq!((0..33).filter(|n| !found(7, *n)).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(found(8, 0));
        // The oldest of all users go when there are many.
        for uid in 10..20 {
            (0..30).for_each(|n| kept.put(uid, key(n), b"a").unwrap());
        }
        let taken: u64 = kept.records.values().map(|entry| entry.bytes).sum();
        assert!(taken <= SHARES * limit && !found(8, 0) && found(19, 0), "{taken}");
        // What was used is known after a restart.
        kept.touch(19, key(0));
        let mut again = Kept::open(base.path(), 3 * BLOCK).unwrap();
        again.put(19, key(40), b"a").unwrap();
        assert!(found(19, 0) && found(19, 40) && !found(19, 1));
    }
}
