//! The trees of submitters on a compile server's disk, for files mode: `ice_core::files::tree` plans, here it is done.
//!
//! A tree belongs to who knows its token. Its `generation`s are layers that overlay mounts; contents in the `inbox` are
//! checked before they are put there. All together have a limit, and each submitter half of it; of those that no job uses
//! the one that was not used for longest goes first. What an earlier run left is removed.

mod generation;
mod inbox;
mod room;
mod sets;
mod submitter;
#[cfg(test)]
mod tests;

pub use inbox::Arriving;
pub use submitter::{Placing, TreeUse};

use ice_core::files::{Digest, Token};
use ice_core::store_layout;
use parking_lot::Mutex;
use room::Ledger;
use sets::Sets;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use submitter::Submitter;
use thiserror::Error;

/// Most submitters whose trees are kept.
const SUBMITTERS_MAX: usize = 256;

/// Why a tree cannot hold what a job needs.
#[derive(Debug, Error)]
pub enum TreeError {
    /// All trees take as much as they may, and jobs use them.
    #[error("no room for files of more submitters")]
    NoRoom,
    /// This submitter's tree would take more than its share.
    #[error("the files take more room than one submitter may have here")]
    Share,
    /// More paths than are kept.
    #[error("too many files")]
    TooMany,
    /// More bytes than were asked for.
    #[error("more contents than were asked for")]
    TooMuch,
    /// Fewer bytes than were asked for.
    #[error("fewer contents than were asked for")]
    TooLittle,
    /// Contents that are not those of the fact.
    #[error("contents are not those of {0}")]
    Other(Digest),
    /// The disk does not do what it should.
    #[error("cannot keep files")]
    Disk(#[source] io::Error),
}

/// All trees.
#[derive(Debug)]
pub struct Trees {
    base: PathBuf,
    ledger: Arc<Ledger>,
    /// Bytes that are left free on the disk.
    kept: u64,
    /// The next number of a generation: none is used twice, as the removal of one may overlap with another.
    generations: AtomicU32,
    known: Mutex<Known>,
    sets: Mutex<Sets>,
}

#[derive(Debug, Default)]
struct Known {
    submitters: BTreeMap<Token, (Arc<Submitter>, u64)>,
    uses: u64,
    removed: u64,
}

impl Trees {
    /// Makes room for trees below a daemon's base directory: `limit` bytes, which leave `kept` free. What is left of earlier
    /// ones is put aside for [`Trees::remove_old`].
    ///
    /// # Errors
    /// If the directories cannot be made.
    pub fn open(base: &Path, limit: u64, kept: u64) -> io::Result<Self> {
        let (trees, old) = (store_layout::trees(base), store_layout::old_trees(base));
        DirBuilder::new().recursive(true).mode(0o700).create(&old)?;
        match fs::rename(&trees, unused(&old)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => DirBuilder::new().mode(0o700).create(&trees)?,
        }
        Ok(Self {
            base: base.to_path_buf(),
            ledger: Arc::new(Ledger::new(limit)),
            kept,
            generations: AtomicU32::new(1),
            known: Mutex::default(),
            sets: Mutex::default(),
        })
    }

    /// Removes what earlier runs left, which may take a while.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove_old(&self) -> io::Result<()> {
        for entry in fs::read_dir(store_layout::old_trees(&self.base))? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(())
    }

    /// A job of the submitter with this token begins.
    ///
    /// # Errors
    /// If there are too many submitters, or the disk fails.
    pub fn enter(self: &Arc<Self>, token: Token) -> Result<TreeUse, TreeError> {
        while !self.known.lock().has_room(&token) {
            self.evict().then_some(()).ok_or(TreeError::NoRoom)?;
        }
        let mut known = self.known.lock();
        known.uses += 1;
        let uses = known.uses;
        let submitter = match known.submitters.get_mut(&token) {
            Some((submitter, used)) => {
                *used = uses;
                Arc::clone(submitter)
            }
            None => {
                let arriving = store_layout::tree_arriving(&self.base, &token);
                DirBuilder::new().recursive(true).mode(0o700).create(&arriving).map_err(TreeError::Disk)?;
                let submitter = Arc::new(Submitter::new(token, arriving, &self.ledger));
                known.submitters.insert(token, (Arc::clone(&submitter), uses));
                submitter
            }
        };
        Ok(TreeUse::new(Arc::clone(self), submitter))
    }

    /// Takes bytes of the disk, if need be from trees that no job uses.
    fn take(&self, bytes: u64, room: impl Fn(u64) -> Result<(), TreeError>) -> Result<(), TreeError> {
        // No other tree goes for what will never fit.
        if bytes > self.ledger.share() {
            return Err(TreeError::Share);
        }
        loop {
            let taken = if self.is_free(bytes) { room(bytes) } else { Err(TreeError::NoRoom) };
            match taken {
                Err(TreeError::NoRoom) if self.evict() => {}
                other => return other,
            }
        }
    }

    fn is_free(&self, bytes: u64) -> bool {
        let free = rustix::fs::statvfs(&self.base).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        free.is_ok_and(|free| free >= bytes.saturating_add(self.kept))
    }

    /// Removes the tree that was not used for longest, of those that no job uses. `false` if there is none.
    fn evict(&self) -> bool {
        let mut known = self.known.lock();
        let idle = known.submitters.iter().filter(|(_, (submitter, _))| Arc::strong_count(submitter) == 1);
        let Some(token) = idle.min_by_key(|(_, (_, used))| *used).map(|(token, _)| *token) else { return false };
        let gone = known.submitters.remove(&token);
        known.removed += 1;
        // Out of the way at once: the next one of that token may come.
        let aside = store_layout::old_trees(&self.base).join(format!("evicted {}", known.removed));
        let _ = fs::rename(store_layout::tree(&self.base, &token), &aside);
        drop(known);
        // What is left is removed at the next start.
        let _ = fs::remove_dir_all(aside);
        drop(gone);
        true
    }

    fn next_generation(&self) -> u32 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }
}

impl Known {
    fn has_room(&self, token: &Token) -> bool {
        self.submitters.contains_key(token) || self.submitters.len() < SUBMITTERS_MAX
    }
}

/// A name that nothing has yet.
fn unused(dir: &Path) -> PathBuf {
    let names = (0_u64..).map(|n| dir.join(format!("left {n}")));
    names.into_iter().find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| dir.join("left"))
}
