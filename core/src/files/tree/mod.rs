//! What a compile server keeps of a submitter's file system, as overlay layers: the state of one generation of a tree.
//!
//! Layer 0 is the base, above it are deltas. A job sees the base and the first so many deltas. What it sees must be what
//! its facts say, and must stay so while others add theirs to the same layers. Hence, as overlay does not notice changes
//! of what it has looked up:
//!
//! - A directory grows in one layer only, its root: the lowest of those that hold it since it last came to be.
//! - It gains only what no set of facts ever spoke of. An absence is spoken of, too.
//! - Everything else that changes is a new delta: files and links anew, what went as a whiteout.
//!
//! Files are inodes of their own, as compilers tell headers apart by inodes: only what is one inode at the submitter is
//! one here. `Tree::plan` says what is to be done for a job, `Tree::commit` that it was done.

mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Make, Plan, Planned, Source, Step};

use super::fact::{Digest, Fact, FileFact, parent};
use std::collections::{BTreeMap, BTreeSet};

/// The number of a layer: 0 is the base.
pub type Layer = u32;

/// Most deltas of a generation. Each makes mounting and looking up a little slower.
pub const MAX_DELTAS: u32 = 16;
/// Most paths that a tree speaks of: a large project has some ten thousand.
pub const MAX_PATHS: usize = 400_000;

/// Contents of files: digest and size. The size is what a submitter says it is; a wrong one never matches the digest.
pub type Content = (Digest, u64);

/// The contents of a file.
pub fn content(file: &FileFact) -> Content {
    (file.digest, file.size)
}

/// A path in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layer.
    pub layer: Layer,
    /// The path.
    pub path: Vec<u8>,
}

/// What stands at a path from a layer on, until a higher one says something else.
#[derive(Clone, Debug)]
struct Version {
    layer: Layer,
    fact: Fact,
}

/// One generation of a tree.
#[derive(Clone, Debug)]
pub struct Tree {
    /// What was spoken of, each with its versions from the lowest layer up.
    paths: BTreeMap<Vec<u8>, Vec<Version>>,
    deltas: u32,
    /// Directories whose names a set told: what they did not tell is absent.
    listed: BTreeSet<Vec<u8>>,
    /// Files whose bytes can be read.
    contents: BTreeMap<Content, Place>,
    /// Hard links, by group.
    links: BTreeMap<u64, Vec<(FileFact, Place)>>,
}

/// The root of every tree.
const ROOT: Fact = Fact::Dir { perm: Fact::READABLE | Fact::EXECUTABLE };

impl Default for Tree {
    fn default() -> Self {
        Self {
            paths: BTreeMap::from([(b"/".to_vec(), vec![Version { layer: 0, fact: ROOT }])]),
            deltas: 0,
            listed: BTreeSet::new(),
            contents: BTreeMap::new(),
            links: BTreeMap::new(),
        }
    }
}

impl Tree {
    /// The number of deltas.
    pub fn deltas(&self) -> u32 {
        self.deltas
    }

    /// The number of paths that it speaks of.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether no set of facts spoke of anything yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// The fact of a path for a job that sees the first so many deltas; `None` if nothing was ever said of it.
    pub fn stands(&self, path: &[u8], deltas: Layer) -> Option<&Fact> {
        match self.paths.get(path) {
            Some(versions) => Some(version(versions, deltas).map_or(&Fact::Absent, |version| &version.fact)),
            None => self.is_listed(path).then_some(&Fact::Absent),
        }
    }

    /// Whether some file has these contents.
    pub fn has(&self, content: &Content) -> bool {
        self.contents.contains_key(content)
    }

    /// A plan's steps are done.
    pub fn commit(&mut self, plan: Plan) {
        self.deltas = self.deltas.max(plan.layers);
        self.listed.extend(plan.listed);
        for (path, versions) in plan.versions {
            versions.iter().for_each(|version| self.remember(&path, version));
            self.paths.entry(path).or_default().extend(versions);
        }
    }

    /// A file can be copied, and linked to.
    fn remember(&mut self, path: &[u8], version: &Version) {
        let Fact::File(file) = &version.fact else { return };
        let place = || Place { layer: version.layer, path: path.to_vec() };
        if file.group != 0 {
            self.links.entry(file.group).or_default().push((file.clone(), place()));
        }
        if file.perm & Fact::READABLE != 0 {
            self.contents.entry(content(file)).or_insert_with(place);
        }
    }

    /// A generation of its own that holds what the newest view of this one does, and how it is made: each file is the
    /// same inode as here.
    pub fn squashed(&self) -> (Self, Vec<Step>) {
        let mut tree = Self::default();
        let newest = self.paths.iter().filter_map(|(path, versions)| Some((path, version(versions, self.deltas)?)));
        let there = newest.filter(|(path, version)| version.fact != Fact::Absent && path.as_slice() != b"/");
        let mut versions = BTreeMap::new();
        let mut steps = Vec::new();
        for (path, Version { layer, fact }) in there {
            let at = Place { layer: *layer, path: path.clone() };
            let make = match fact {
                Fact::Dir { perm } => Make::Dir { perm: *perm },
                Fact::Link { target } => Make::Link { target: target.clone() },
                Fact::File(file) => Make::File { file: file.clone(), from: Source::Same(at) },
                Fact::Absent | Fact::Names(_) => continue,
            };
            steps.push(Step { layer: 0, path: path.clone(), make });
            versions.insert(path.clone(), vec![Version { layer: 0, fact: fact.clone() }]);
        }
        tree.commit(Plan { layers: 0, steps: Vec::new(), lacking: Vec::new(), versions, listed: Vec::new() });
        (tree, steps)
    }

    /// The layer in which a directory grows that stands in this view.
    fn root(&self, dir: &[u8], deltas: Layer) -> Layer {
        let versions = self.paths.get(dir).map_or(&[][..], Vec::as_slice);
        let seen = versions.iter().rev().skip_while(|version| version.layer > deltas);
        seen.take_while(|version| matches!(version.fact, Fact::Dir { .. })).last().map_or(0, |version| version.layer)
    }

    /// Whether a path of which nothing was said is absent all the same, as its directory's names were told.
    fn is_listed(&self, path: &[u8]) -> bool {
        parent(path).is_some_and(|dir| self.listed.contains(dir))
    }

    /// The paths directly in a directory of which something was said.
    fn children<'a>(&'a self, dir: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let prefix = if dir == b"/" { dir.to_vec() } else { [dir, b"/"].concat() };
        let mut from = [&prefix[..], b"\0"].concat();
        std::iter::from_fn(move || {
            loop {
                let (path, _) = self.paths.range(from.clone()..).next()?;
                let name = path.strip_prefix(prefix.as_slice())?;
                match name.iter().position(|c| *c == b'/') {
                    None => {
                        from = [path, &b"\0"[..]].concat();
                        return Some(path.as_slice());
                    }
                    // Behind all that is in that child: `0` follows `/`.
                    Some(slash) => from = [&prefix[..], name.get(..slash)?, b"0"].concat(),
                }
            }
        })
    }

    /// The paths below a directory that stand in the newest view.
    fn below<'a>(&'a self, dir: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let (from, to) = ([dir, b"/"].concat(), [dir, b"0"].concat());
        let all = self.paths.range(from..to);
        let there = |versions: &[Version]| version(versions, self.deltas).is_some_and(|v| v.fact != Fact::Absent);
        all.filter(move |(_, versions)| there(versions)).map(|(path, _)| path.as_slice())
    }
}

/// The version that a job sees.
fn version(versions: &[Version], deltas: Layer) -> Option<&Version> {
    versions.iter().rev().find(|version| version.layer <= deltas)
}
