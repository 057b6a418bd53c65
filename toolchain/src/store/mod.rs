//! The environments of a daemon on disk: each is whole or not there (decision: store). [`layout`] tells where they lie.
//!
//! Here is kept what is known of each: size, last use, digest. It is the daemon's launcher that unpacks, installs and removes the
//! directories, and the daemon's machine that decides which are in use and which one has to go. Plain calls on one thread.

pub mod layout;

use ice_core::env::{EnvId, EnvName};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A record of ours is three short lines.
const RECORD_MAX: u64 = 4096;

/// What went wrong with the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file or folder of the store failed.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What is known of an installed environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Bytes it takes of the disk.
    pub bytes: u64,
    /// Seconds since 1970 of its last use.
    pub last_use: u64,
    /// BLAKE3 of the tar it came from; not known of environments that 1.4 has left.
    pub digest: Option<[u8; 32]>,
}

/// What [`Store::open`] cleaned up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Environments without a record: half made by a crash, or a 1.4 daemon's.
    pub leftovers: Vec<PathBuf>,
    /// What could not be removed, with the reason.
    pub stuck: Vec<(PathBuf, String)>,
}

/// The environments under one base folder.
#[derive(Debug)]
pub struct Store {
    base: PathBuf,
    known: BTreeMap<EnvId, Record>,
}

impl Store {
    /// Reads what is installed under `base`, and removes what is only half there. Makes the folders it needs.
    pub fn open(base: &Path) -> Result<(Self, Cleaned), StoreError> {
        let mut store = Self { base: base.to_path_buf(), known: BTreeMap::new() };
        let mut cleaned = Cleaned::default();
        for folder in [layout::native(base), layout::records(base)] {
            make_folders(&folder)?;
        }
        for platform_folder in list(base)? {
            let Some(platform) = platform_folder.file_name().and_then(layout::platform_of) else { continue };
            for folder in list(&platform_folder)? {
                let record = name_of(&folder).and_then(|name| {
                    let id = EnvId { platform: platform.clone(), name };
                    Some((read_record(&layout::record(base, &id))?, id))
                });
                match record {
                    Some((record, id)) if folder.is_dir() => {
                        store.known.insert(id, record);
                    }
                    _ => {
                        clean(&mut cleaned, &folder);
                        cleaned.leftovers.push(folder);
                    }
                }
            }
        }
        store.forget_records_without_folder()?;
        Ok((store, cleaned))
    }

    /// Notes that `id` is about to be installed. The record comes first: one without a directory is forgotten at the next start, a
    /// directory without a record is removed.
    pub fn enter(&mut self, id: &EnvId, record: Record) -> Result<(), StoreError> {
        self.write_record(id, &record)?;
        self.known.insert(id.clone(), record);
        Ok(())
    }

    /// Forgets `id`, whose folder somebody else has removed.
    pub fn forget(&mut self, id: &EnvId) {
        self.known.remove(id);
        // A record without a folder is forgotten at the next start at the latest.
        let _ = fs::remove_file(layout::record(&self.base, id));
    }

    /// Notes that `id` was used at `now` (seconds since 1970). Written at most once a minute: eviction needs no more.
    pub fn touch(&mut self, id: &EnvId, now: u64) -> Result<(), StoreError> {
        let Some(record) = self.known.get_mut(id) else { return Ok(()) };
        if now < record.last_use.saturating_add(60) {
            return Ok(());
        }
        record.last_use = now;
        let record = record.clone();
        self.write_record(id, &record)
    }

    /// All installed environments, by platform and name.
    pub fn entries(&self) -> impl Iterator<Item = (&EnvId, &Record)> {
        self.known.iter()
    }

    fn write_record(&self, id: &EnvId, record: &Record) -> Result<(), StoreError> {
        let path = layout::record(&self.base, id);
        if let Some(parent) = path.parent() {
            make_folders(parent)?;
        }
        let mut text = format!("bytes {}\nlast_use {}\n", record.bytes, record.last_use);
        if let Some(digest) = &record.digest {
            text += &format!("digest {}\n", crate::digest::hex(digest));
        }
        // Beside and renamed: a crash in mid-write must not make a good environment one without a record.
        let new = layout::new_record(&self.base);
        let failed = |source| StoreError::Io { what: "write", path: path.clone(), source };
        fs::File::create(&new).and_then(|mut f| f.write_all(text.as_bytes())).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)
    }

    fn forget_records_without_folder(&self) -> Result<(), StoreError> {
        for platform_folder in list(&layout::records(&self.base))? {
            for file in list(&platform_folder)? {
                let id = name_of(&platform_folder).zip(name_of(&file));
                let is_known = id.is_some_and(|(platform, name)| self.known.contains_key(&EnvId { platform, name }));
                if !is_known {
                    let _ = fs::remove_file(file);
                }
            }
        }
        Ok(())
    }
}

/// Removes a folder with all in it, follows no link, and needs no write permission on the folders below.
/// Nothing there is no error.
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

/// Gives the owner write permission on each folder of the tree.
fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

fn clean(cleaned: &mut Cleaned, path: &Path) {
    if let Err(e) = remove_tree(path) {
        cleaned.stuck.push((path.to_path_buf(), e.to_string()));
    }
}

fn make_folders(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::Io { what: "make", path: path.to_path_buf(), source };
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed)?;
    let mode = fs::metadata(path).map_err(failed)?.mode();
    // Only widened: an administrator's wider modes stay.
    if mode & 0o755 == 0o755 { Ok(()) } else { set_mode(path, mode & 0o7777 | 0o755) }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|source| StoreError::Io {
        what: "change the mode of",
        path: path.to_path_buf(),
        source,
    })
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |source| StoreError::Io { what: "read", path: folder.to_path_buf(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The last component as a name.
fn name_of(path: &Path) -> Option<EnvName> {
    EnvName::new(path.file_name()?.as_bytes()).ok()
}

fn read_record(path: &Path) -> Option<Record> {
    if fs::symlink_metadata(path).ok().filter(|m| m.is_file())?.len() > RECORD_MAX {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let digest = value("digest").and_then(unhex);
    Some(Record { bytes: value("bytes")?.parse().ok()?, last_use: value("last_use")?.parse().ok()?, digest })
}

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

    /// As the launcher installs one.
    fn install(store: &mut Store, name: &str, bytes: u64) -> PathBuf {
        let path = layout::installed(&store.base, &id(name));
        store.enter(&id(name), Record { bytes, last_use: 5, digest: Some([0xab; 32]) }).unwrap();
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
        let record = Record { bytes: 81, last_use: 1000, digest: Some([0xab; 32]) };
        assert_eq!(store.entries().collect::<Vec<_>>(), [(&id("gcc-12"), &record)]);
    }

    #[test]
    fn halves_are_removed_at_start() {
        let base = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(base.path()).unwrap();
        install(&mut store, "good", 1);
        let no_record = install(&mut store, "no-record", 1);
        fs::remove_file(layout::record(base.path(), &id("no-record"))).unwrap();
        let no_folder = install(&mut store, "no-folder", 1);
        remove_tree(&no_folder).unwrap();
        let unfinished = no_record.with_file_name(layout::unpacking_name(1));
        fs::create_dir_all(unfinished.join("shut")).unwrap();
        fs::set_permissions(unfinished.join("shut"), Permissions::from_mode(0o555)).unwrap();

        let (store, cleaned) = Store::open(base.path()).unwrap();
        assert_eq!(cleaned.leftovers, [no_record.clone(), unfinished.clone()]);
        assert_eq!(cleaned.stuck, []);
        assert_eq!(store.entries().map(|(id, _)| id.name.as_str()).collect::<Vec<_>>(), ["good"]);
        assert!(!unfinished.exists() && !no_record.exists());
        assert!(!layout::record(base.path(), &id("no-folder")).exists());
    }

    #[test]
    fn e29_folders_without_write_permission_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let deep = base.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        std::os::unix::fs::symlink("/etc", base.path().join("a/link")).unwrap();
        for folder in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(base.path().join(folder), Permissions::from_mode(0o555)).unwrap();
        }
        remove_tree(&base.path().join("a")).unwrap();
        assert!(!base.path().join("a").exists() && Path::new("/etc/passwd").exists());
    }
}
