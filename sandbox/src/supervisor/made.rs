//! What a job made itself. The upper layer has the truth about it; this remembers where to look.

use super::special;
use crate::oracle::{Own, Stands};
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{FileStat, fstatat};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a job made, removed, or may write.
pub(super) struct Made {
    /// The upper layer.
    pub(super) upper: OwnedFd,
    /// Canonical paths that the job may have made or removed.
    touched: BTreeSet<Vec<u8>>,
    /// Those that may be directories of its own, of which nobody was told anything.
    dirs: BTreeSet<Vec<u8>>,
    /// Paths that stand in a lower layer for others, and were hidden from this job.
    pub(super) hidden: BTreeSet<Vec<u8>>,
    /// The canonical paths of declared outputs, with the names that they were declared by.
    pub(super) outputs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A path led to a special directory by a way that is not watched.
    into_special: Cell<bool>,
}

impl Made {
    pub(super) const fn new(upper: OwnedFd) -> Self {
        Self {
            upper,
            touched: BTreeSet::new(),
            dirs: BTreeSet::new(),
            hidden: BTreeSet::new(),
            outputs: BTreeMap::new(),
            into_special: Cell::new(false),
        }
    }

    /// Remembers that the job is about to make or remove something there.
    pub(super) fn touch(&mut self, path: &[u8]) {
        self.touched.insert(path.to_vec());
    }

    /// Remembers that it may be about to make a directory there.
    pub(super) fn touch_dir(&mut self, path: &[u8]) {
        self.touch(path);
        self.dirs.insert(path.to_vec());
    }

    /// Whether a path led to a special directory since this was asked last.
    pub(super) fn led_into_special(&self) -> bool {
        self.into_special.take()
    }

    /// The state of a path in the upper layer.
    pub(super) fn stat(&self, path: &[u8]) -> Option<FileStat> {
        fstatat(&self.upper, relative(path), AtFlags::AT_SYMLINK_NOFOLLOW).ok()
    }

    /// Whether a directory above the path is the job's own.
    fn is_inside(&self, path: &[u8]) -> bool {
        let is_own = |(slash, _): (usize, &u8)| path.get(..slash).is_some_and(|dir| self.dirs.contains(dir));
        !self.dirs.is_empty() && path.iter().enumerate().filter(|(_, c)| **c == b'/').any(is_own)
    }

    fn in_upper(&self, path: &[u8]) -> Option<Stands> {
        Some(match self.stat(path)?.st_mode & libc::S_IFMT {
            libc::S_IFDIR => Stands::Directory { readable: true },
            libc::S_IFLNK => Stands::Link(readlinkat(&self.upper, relative(path)).ok()?.into_vec()),
            // The overlay's mark that something was removed.
            libc::S_IFCHR => Stands::Nothing,
            _ => Stands::File,
        })
    }
}

impl Own for Made {
    fn at(&self, path: &[u8]) -> Option<Stands> {
        if special::is_root(path) {
            self.into_special.set(true);
            return Some(Stands::Nothing);
        }
        let is_inside = self.is_inside(path);
        let made = if is_inside || self.touched.contains(path) { self.in_upper(path) } else { None };
        made.or_else(|| (is_inside || self.outputs.contains_key(path)).then_some(Stands::Nothing))
    }
}

/// A canonical path, from the root as a directory.
pub(super) fn relative(path: &[u8]) -> &OsStr {
    match path.strip_prefix(b"/") {
        None | Some([]) => OsStr::new("."),
        Some(path) => OsStr::from_bytes(path),
    }
}
