//! Contents of a submitter's files on their way into a layer: kept when they are what their facts say, not before.

use super::TreeError;
use super::generation::{arrived, create};
use super::room::Room;
use ice_core::files::tree::Content;
use parking_lot::{Condvar, MappedMutexGuard, Mutex, MutexGuard};
use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What arrives of one submitter.
#[derive(Debug)]
pub(super) struct Inbox {
    dir: PathBuf,
    room: Room,
    contents: Mutex<Contents>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Contents {
    arrived: BTreeSet<Content>,
    /// Some job is bringing these.
    coming: BTreeSet<Content>,
    /// Of parts, and of changes.
    serial: u64,
}

impl Inbox {
    /// An empty one in a directory that is there.
    pub fn new(dir: PathBuf, room: Room) -> Self {
        Self { dir, room, contents: Mutex::default(), changed: Condvar::new() }
    }

    /// Where contents lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What they take of the disk.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// What has arrived. Nothing arrives while this is held.
    pub fn arrived(&self) -> MappedMutexGuard<'_, BTreeSet<Content>> {
        MutexGuard::map(self.contents.lock(), |contents| &mut contents.arrived)
    }

    /// Whether some job is bringing this.
    pub fn is_coming(&self, content: &Content) -> bool {
        self.contents.lock().coming.contains(content)
    }

    /// Waits until something has come, or will not, of these that jobs are bringing. `false`: not in time.
    pub fn wait(&self, contents: &[Content], until: Instant) -> bool {
        let mut state = self.contents.lock();
        while contents.iter().all(|content| state.coming.contains(content)) {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return false;
            }
        }
        true
    }

    /// Contents are going to come, for which there is room.
    pub fn announce(self: &Arc<Self>, wanted: Vec<Content>) -> Arriving {
        let mut contents = self.contents.lock();
        contents.coming.extend(&wanted);
        contents.serial += 1;
        Arriving { inbox: Arc::clone(self), wanted: wanted.into(), current: None, serial: contents.serial }
    }

    /// Contents have come, or will not.
    fn came(&self, content: Content, are_there: bool) {
        let mut contents = self.contents.lock();
        contents.coming.remove(&content);
        if !(are_there && contents.arrived.insert(content)) {
            self.room.give_back(content.1);
        }
        self.changed.notify_all();
    }
}

/// Contents that arrive one after the other. Those that did not arrive whole are let go with it.
#[derive(Debug)]
pub struct Arriving {
    inbox: Arc<Inbox>,
    wanted: VecDeque<Content>,
    /// The first of those.
    current: Option<Current>,
    serial: u64,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: File,
    hash: Box<blake3::Hasher>,
    left: u64,
}

impl Arriving {
    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// If they are not those of the facts, more than was asked for, or cannot be kept.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), TreeError> {
        self.pass_whole()?;
        while !bytes.is_empty() {
            let current = self.current.as_mut().ok_or(TreeError::TooMuch)?;
            let count = usize::try_from(current.left).unwrap_or(usize::MAX).min(bytes.len());
            let (here, rest) = bytes.split_at(count);
            current.file.write_all(here).map_err(TreeError::Disk)?;
            current.hash.update(here);
            current.left -= here.len() as u64;
            bytes = rest;
            self.pass_whole()?;
        }
        Ok(())
    }

    /// The stream is over.
    ///
    /// # Errors
    /// If something is missing.
    pub fn end(mut self) -> Result<(), TreeError> {
        self.pass_whole()?;
        if self.current.is_none() && self.wanted.is_empty() { Ok(()) } else { Err(TreeError::TooLittle) }
    }

    /// Ends the files of which nothing is missing, and begins the next one.
    fn pass_whole(&mut self) -> Result<(), TreeError> {
        loop {
            match self.current.take_if(|current| current.left == 0) {
                Some(current) => self.keep(current)?,
                None if self.current.is_some() => return Ok(()),
                None => match self.wanted.front() {
                    Some((_, size)) => self.current = Some(self.begin(*size)?),
                    None => return Ok(()),
                },
            }
        }
    }

    fn begin(&self, size: u64) -> Result<Current, TreeError> {
        let path = self.inbox.dir.join(format!("part {}", self.serial));
        let file = create(&path).map_err(TreeError::Disk)?;
        Ok(Current { path, file, hash: Box::default(), left: size })
    }

    fn keep(&mut self, current: Current) -> Result<(), TreeError> {
        let Some(content) = self.wanted.pop_front() else { return Ok(()) };
        let digest = content.0;
        let kept = if *current.hash.finalize().as_bytes() == digest.0 {
            fs::rename(&current.path, arrived(&self.inbox.dir, &digest)).map_err(TreeError::Disk)
        } else {
            let _ = fs::remove_file(&current.path);
            Err(TreeError::Other(digest))
        };
        self.inbox.came(content, kept.is_ok());
        kept
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(current) = self.current.take() {
            let _ = fs::remove_file(current.path);
        }
        self.wanted.drain(..).for_each(|content| self.inbox.came(content, false));
    }
}
