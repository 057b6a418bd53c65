//! The environments of a daemon on disk: each is complete or absent (decision: store). `ice_core::store_layout`
//! has their paths.
//!
//! The store keeps a record of each environment: size, last use, digest. The daemon's launcher unpacks, installs and
//! removes the directories; the daemon's state machine decides which are in use and which one to evict. All calls block
//! and belong on one thread.

use ice_core::env::{EnvId, EnvName};
use ice_core::store_layout;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Maximum size of a record in bytes; ours are four short lines.
const RECORD_MAX: u64 = 4096;

/// Why an operation on the store failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file or directory of the store cannot be accessed.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// The record of an installed environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its disk usage in bytes.
    pub bytes: u64,
    /// Time of its last use in seconds since 1970.
    pub last_use: u64,
    /// BLAKE3 of the tar it came from; unknown for environments left by 1.4.
    pub digest: Option<[u8; 32]>,
    /// Whether its name was made of its content, by us or by 1.4.
    pub proven: bool,
}

impl Record {
    /// What the environment of this name holds, as far as that is known: the name itself, or the name of its content.
    pub fn content(&self, name: &EnvName) -> Option<EnvName> {
        if self.proven || name.is_content_name() {
            return Some(name.clone());
        }
        self.digest.as_ref().map(EnvName::of_content)
    }
}

/// What [`Store::open`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Environments without a record: incomplete after a crash, or left by a 1.4 daemon.
    pub leftovers: Vec<PathBuf>,
    /// Paths that could not be removed, with the reason.
    pub stuck: Vec<(PathBuf, String)>,
}

/// The environments below one base directory.
#[derive(Debug)]
pub struct Store {
    base: PathBuf,
    known: BTreeMap<EnvId, Record>,
}

impl Store {
    /// Reads the records below `base`, removes incomplete environments and creates missing directories. Fails if a
    /// directory cannot be read or created.
    pub fn open(base: &Path) -> Result<(Self, Cleaned), StoreError> {
        let mut store = Self { base: base.to_path_buf(), known: BTreeMap::new() };
        let mut cleaned = Cleaned::default();
        for dir in [store_layout::native(base), store_layout::records(base)] {
            make_dirs(&dir)?;
        }
        for platform_dir in list(base)? {
            let Some(platform) = platform_dir.file_name().and_then(store_layout::platform_of) else { continue };
            for dir in list(&platform_dir)? {
                let record = name_of(&dir).and_then(|name| {
                    let id = EnvId { platform: platform.clone(), name };
                    Some((read_record(&store_layout::record(base, &id))?, id))
                });
                match record {
                    Some((record, id)) if dir.is_dir() => {
                        store.known.insert(id, record);
                    }
                    _ => {
                        clean(&mut cleaned, &dir);
                        cleaned.leftovers.push(dir);
                    }
                }
            }
        }
        store.forget_records_without_dir()?;
        Ok((store, cleaned))
    }

    /// Writes the record of `id`, which is about to be installed. The record is written first: at the next start, a
    /// record without a directory is dropped, and a directory without a record is removed.
    pub fn enter(&mut self, id: &EnvId, record: Record) -> Result<(), StoreError> {
        self.write_record(id, &record)?;
        self.known.insert(id.clone(), record);
        Ok(())
    }

    /// Drops the record of `id`, whose directory somebody else has removed.
    pub fn forget(&mut self, id: &EnvId) {
        self.known.remove(id);
        // If removal fails, the next start drops the record.
        let _ = fs::remove_file(store_layout::record(&self.base, id));
    }

    /// Records that `id` was used at `now` (seconds since 1970). The file is written at most once a minute, which is
    /// enough for eviction.
    pub fn touch(&mut self, id: &EnvId, now: u64) -> Result<(), StoreError> {
        let Some(record) = self.known.get_mut(id) else { return Ok(()) };
        if now < record.last_use.saturating_add(60) {
            return Ok(());
        }
        record.last_use = now;
        let record = record.clone();
        self.write_record(id, &record)
    }

    /// All installed environments, sorted by platform and name.
    pub fn entries(&self) -> impl Iterator<Item = (&EnvId, &Record)> {
        self.known.iter()
    }

    /// Writes a record atomically.
    fn write_record(&self, id: &EnvId, record: &Record) -> Result<(), StoreError> {
        let path = store_layout::record(&self.base, id);
        if let Some(parent) = path.parent() {
            make_dirs(parent)?;
        }
        let mut text = format!("bytes {}\nlast_use {}\n", record.bytes, record.last_use);
        if let Some(digest) = &record.digest {
            text += &format!("digest {}\n", crate::digest::hex(digest));
        }
        if record.proven {
            text += "proven yes\n";
        }
        // Written beside and renamed: after a crash in mid-write a good environment would lack its record.
        let new = store_layout::new_record(&self.base);
        let failed = |source| StoreError::Io { what: "write", path: path.clone(), source };
        fs::File::create(&new).and_then(|mut f| f.write_all(text.as_bytes())).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)
    }

    /// Removes records of environments that are not installed.
    fn forget_records_without_dir(&self) -> Result<(), StoreError> {
        for platform_dir in list(&store_layout::records(&self.base))? {
            for file in list(&platform_dir)? {
                let id = name_of(&platform_dir).zip(name_of(&file));
                let is_known = id.is_some_and(|(platform, name)| self.known.contains_key(&EnvId { platform, name }));
                if !is_known {
                    let _ = fs::remove_file(file);
                }
            }
        }
        Ok(())
    }
}

/// Removes a directory tree without following links, even if directories in it lack write permission. A missing path is
/// no error.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
        Ok(m) if !m.is_dir() => return fs::remove_file(path),
        Ok(_) => {}
    }
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        Err(e) => Err(e),
    }
}

/// Gives the owner write permission on each directory of a tree.
fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a tree, and notes a failure.
fn clean(cleaned: &mut Cleaned, path: &Path) {
    if let Err(e) = remove_tree(path) {
        cleaned.stuck.push((path.to_path_buf(), e.to_string()));
    }
}

/// Creates a directory with those above it, passable for all users.
fn make_dirs(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { what: "make", path: path.to_path_buf(), source };
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed)?;
    let mode = fs::metadata(path).map_err(failed)?.mode();
    // The mode is only widened: wider modes set by an administrator stay.
    if mode & 0o755 == 0o755 { Ok(()) } else { set_mode(path, mode & 0o7777 | 0o755) }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|source| StoreError::Io {
        what: "change the mode of",
        path: path.to_path_buf(),
        source,
    })
}

/// The entries of a directory, sorted.
fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError::Io { what: "read", path: dir.to_path_buf(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The last component as an environment's name.
fn name_of(path: &Path) -> Option<EnvName> {
    EnvName::new(path.file_name()?.as_bytes()).ok()
}

/// Reads a record; `None` if it is missing or malformed.
fn read_record(path: &Path) -> Option<Record> {
    if fs::symlink_metadata(path).ok().filter(|m| m.is_file())?.len() > RECORD_MAX {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let digest = value("digest").and_then(unhex);
    let proven = value("proven") == Some("yes");
    Some(Record { bytes: value("bytes")?.parse().ok()?, last_use: value("last_use")?.parse().ok()?, digest, proven })
}

/// Parses 64 hex digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> EnvId {
        EnvId::new(b"x86_64", name.as_bytes()).unwrap()
    }

    /// Installs an environment as the launcher does.
    fn install(store: &mut Store, name: &str, bytes: u64) -> PathBuf {
        let path = store_layout::installed(&store.base, &id(name));
        store
            .enter(&id(name), Record { bytes, last_use: 5, digest: Some([0xab; 32]), proven: name == "gcc-12" })
            .unwrap();
        fs::create_dir_all(path.join("usr/bin")).unwrap();
        fs::write(path.join("usr/bin/as"), "x").unwrap();
        path
    }

    #[test]
    fn what_was_installed_is_known_after_a_restart() {
        let base = tempfile::tempdir().unwrap();
        let (mut store, cleaned) = Store::open(base.path()).unwrap();
        assert_eq!(cleaned, Cleaned::default());
        install(&mut store, "gcc-12", 81);
        store.touch(&id("gcc-12"), 1000).unwrap();

        let (store, cleaned) = Store::open(base.path()).unwrap();
        assert_eq!(cleaned, Cleaned::default());
        let record = Record { bytes: 81, last_use: 1000, digest: Some([0xab; 32]), proven: true };
        assert_eq!(store.entries().collect::<Vec<_>>(), [(&id("gcc-12"), &record)]);
    }

    #[test]
    fn a_record_says_what_is_known_of_the_content() {
        let name = |text: &str| EnvName::new(text.as_bytes()).unwrap();
        let (plain, ours) = (name("gcc-12"), EnvName::of_content(&[1; 32]));
        let record = |digest, proven| Record { digest, proven, ..Record::default() };
        assert_eq!(record(Some([2; 32]), false).content(&plain), Some(EnvName::of_content(&[2; 32])));
        assert_eq!(record(Some([2; 32]), true).content(&plain), Some(plain.clone()));
        assert_eq!(record(None, false).content(&plain), None);
        assert_eq!(record(None, false).content(&ours), Some(ours));
    }

    #[test]
    fn halves_are_removed_at_start() {
        let base = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(base.path()).unwrap();
        install(&mut store, "good", 1);
        let no_record = install(&mut store, "no-record", 1);
        fs::remove_file(store_layout::record(base.path(), &id("no-record"))).unwrap();
        let no_dir = install(&mut store, "no-folder", 1);
        remove_tree(&no_dir).unwrap();
        let unfinished = no_record.with_file_name(store_layout::unpacking_name(1));
        fs::create_dir_all(unfinished.join("shut")).unwrap();
        fs::set_permissions(unfinished.join("shut"), Permissions::from_mode(0o555)).unwrap();

        let (store, cleaned) = Store::open(base.path()).unwrap();
        assert_eq!(cleaned.leftovers, [no_record.clone(), unfinished.clone()]);
        assert_eq!(cleaned.stuck, []);
        assert_eq!(store.entries().map(|(id, _)| id.name.as_str()).collect::<Vec<_>>(), ["good"]);
        assert!(!unfinished.exists() && !no_record.exists());
        assert!(!store_layout::record(base.path(), &id("no-folder")).exists());
    }

    #[test]
    fn e29_directories_without_write_permission_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let deep = base.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        std::os::unix::fs::symlink("/etc", base.path().join("a/link")).unwrap();
        for dir in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(base.path().join(dir), Permissions::from_mode(0o555)).unwrap();
        }
        remove_tree(&base.path().join("a")).unwrap();
        assert!(!base.path().join("a").exists() && Path::new("/etc/passwd").exists());
    }
}
