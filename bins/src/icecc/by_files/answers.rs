//! What a server may ask of this user's files, and the answer.

use super::disk::{Disk, Unfit};

use super::stream::Stream;
use ice_core::files::{Fact, Facts, Last, Roots, Walk, parent};
use ice_core::message::{FilesNeed, need};
use ice_core::reason::{Reason, Why};
use ice_core::text::Text;
use std::collections::BTreeSet;

/// Bytes of contents that one job may ask for: clang with all its libraries is a quarter of that.
const CONTENTS_MAX: u64 = 1 << 30;

/// What was told of this job's files.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Paths of facts.
    pub(super) facts: BTreeSet<Vec<u8>>,
    /// Those that the server asked for.
    pub(super) asked: BTreeSet<Vec<u8>>,
    contents: u64,
}

impl Told {
    /// The stream for what the server needs.
    pub(super) fn answer(&mut self, need: &FilesNeed, disk: &mut Disk, roots: &Roots) -> Result<Stream, Why> {
        match need.kind {
            need::ALL => Ok(Stream::of_bytes(self.all(disk).encode())),
            need::FACTS => Ok(Stream::of_bytes(self.facts(&need.paths, disk, roots)?.encode())),
            _ => self.contents(&need.paths, disk),
        }
    }

    /// All facts that were told.
    pub(super) fn all(&self, disk: &Disk) -> Facts {
        self.facts.iter().filter_map(|path| Some((path.clone(), disk.facts().get(path)?.clone()))).collect()
    }

    /// The facts of these paths, with the directories above them and what links lead to.
    fn facts(&mut self, paths: &[Text], disk: &mut Disk, roots: &Roots) -> Result<Facts, Why> {
        let mut told = BTreeSet::new();
        for path in paths {
            let path = path.as_bytes();
            self.asked.insert(path.to_vec());
            if let Some(directory) = path.strip_suffix(b"/").filter(|_| path.len() > 1) {
                let directory = if directory.is_empty() { b"/" } else { directory };
                list(directory, disk, roots)?;
                told.insert(path.to_vec());
                add(directory, &mut told);
            } else {
                follow(path, disk, &mut told)?;
            }
        }
        let is_secret =
            |path: &&Vec<u8>| matches!(disk.facts().get(path), Some(Fact::File(_))) && !roots.may_tell(path);
        if let Some(path) = told.iter().find(is_secret) {
            return Err(Reason::FilesRefused.with(path.as_slice()));
        }
        let facts = told.iter().filter_map(|path| Some((path.clone(), disk.facts().get(path)?.clone()))).collect();
        self.facts.extend(told);
        Ok(facts)
    }

    /// The contents of these files, of which facts were told: only of what the compiler may read.
    fn contents(&mut self, paths: &[Text], disk: &Disk) -> Result<Stream, Why> {
        let mut files = Vec::new();
        for path in paths {
            let path = path.as_bytes();
            let refused = || Reason::FilesRefused.with(path);
            let Some(Fact::File(file)) = disk.facts().get(path).filter(|_| self.facts.contains(path)) else {
                return Err(refused());
            };
            self.contents = self.contents.saturating_add(file.size);
            if self.contents > CONTENTS_MAX {
                return Err(refused());
            }
            files.push((path.to_vec(), file.size));
        }
        Ok(Stream::of_files(files))
    }
}

fn list(directory: &[u8], disk: &mut Disk, roots: &Roots) -> Result<(), Why> {
    if !roots.may_list(directory) {
        return Err(Reason::FilesRefused.with(directory));
    }
    match disk.learn(b"/", directory, Last::NoFollow)? {
        Walk::Found(found) if found == directory => Ok(disk.list(directory)?),
        _ => Err(Unfit::Path(directory.to_vec()).into()),
    }
}

/// Follows a path with all links, and notes each place on the way.
fn follow(path: &[u8], disk: &mut Disk, told: &mut BTreeSet<Vec<u8>>) -> Result<(), Why> {
    // The place itself, then what it leads to.
    for last in [Last::NoFollow, Last::Follow] {
        match disk.learn(b"/", path, last)? {
            Walk::Found(place) | Walk::Absent(place) => add(&place, told),
            _ => {}
        }
    }
    add(path, told);
    Ok(())
}

/// Notes a canonical path and the directories above it.
fn add(path: &[u8], told: &mut BTreeSet<Vec<u8>>) {
    let mut next = Some(path);
    while let Some(path) = next {
        if !told.insert(path.to_vec()) {
            return;
        }
        next = parent(path);
    }
}
