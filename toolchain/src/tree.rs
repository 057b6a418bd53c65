//! A folder tree in memory: what an archive makes or will make, and where its links lead.
//!
//! It knows names only, never a disk. Used to refuse links that lead out, and to check a planned environment.

use std::collections::BTreeMap;
use thiserror::Error;

/// Longest chain of links that is followed, as the kernel does.
const LINKS_MAX: usize = 40;

/// One thing in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A symbolic link with its text.
    Link(Vec<u8>),
}

/// Why a path leads to nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Lost {
    /// A component is not there.
    #[error("leads to nothing")]
    Missing,
    /// A component that is passed through is a file.
    #[error("leads through a file")]
    ThroughFile,
    /// Over 40 links.
    #[error("leads in a circle")]
    Circle,
    /// `..` above the top.
    #[error("leads out of the environment")]
    Outside,
}

/// Names without a leading `/`, and what stands there.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// Adds `node` at `path` and folders above it. What was there is replaced; the caller checks before.
    pub fn insert(&mut self, path: &[u8], node: Node) {
        for folder in above(path) {
            self.nodes.entry(folder.to_vec()).or_insert(Node::Folder);
        }
        self.nodes.insert(path.to_vec(), node);
    }

    /// The folders above `path` that are not there: those that [`Self::insert`] would add.
    pub fn missing_above<'a>(&self, path: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        above(path).filter(|folder| !self.nodes.contains_key(*folder))
    }

    /// What stands at `path`, links not followed.
    pub fn at(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The first folder on the way to `path` that is no folder: its name.
    pub fn obstacle<'a>(&self, path: &'a [u8]) -> Option<(&'a [u8], &Node)> {
        above(path).find_map(|folder| match self.nodes.get(folder) {
            None | Some(Node::Folder) => None,
            Some(other) => Some((folder, other)),
        })
    }

    /// Everything in it, by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_slice(), node))
    }

    /// Where `path` ends when all links are followed, as after `chroot` into the tree.
    pub fn resolve(&self, path: &[u8]) -> Result<(Vec<u8>, &Node), Lost> {
        static TOP: Node = Node::Folder;
        let mut todo: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
        let mut here: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        let mut last = &TOP;
        while let Some(name) = todo.pop() {
            if *last == Node::File {
                return Err(Lost::ThroughFile);
            }
            if name == b".." {
                here.pop().ok_or(Lost::Outside)?;
                last = &TOP;
                continue;
            }
            here.push(name);
            match self.nodes.get(&here.join(&b'/')) {
                None => return Err(Lost::Missing),
                Some(Node::Link(text)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Lost::Circle);
                    }
                    here.pop();
                    if text.first() == Some(&b'/') {
                        here.clear();
                    }
                    todo.extend(components(text).rev().map(<[u8]>::to_vec));
                    last = &TOP;
                }
                Some(node) => last = node,
            }
        }
        Ok((here.join(&b'/'), last))
    }

    /// Whether a file stands at `path`, links followed.
    pub fn is_file(&self, path: &[u8]) -> bool {
        matches!(self.resolve(path), Ok((_, Node::File)))
    }
}

/// The paths of all folders above `path`, the outermost first.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at])
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|c| !c.is_empty() && *c != b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_and_never_out() {
        let mut tree = Tree::default();
        tree.insert(b"usr/lib/x", Node::File);
        for (name, text) in [
            ("lib", "usr/lib"),
            ("abs", "/lib/x"),
            ("here", "."),
            ("p/chain", "../here/../../y"),
            ("loop", "loop"),
            ("gone", "no/such"),
            ("through", "usr/lib/x/y"),
        ] {
            tree.insert(name.as_bytes(), Node::Link(text.as_bytes().to_vec()));
        }
        assert_eq!(tree.resolve(b"/lib/x"), Ok((b"usr/lib/x".to_vec(), &Node::File)));
        assert!(tree.is_file(b"abs") && !tree.is_file(b"lib"));
        assert_eq!(tree.resolve(b"p/chain"), Err(Lost::Outside));
        assert_eq!(tree.resolve(b"loop"), Err(Lost::Circle));
        assert_eq!(tree.resolve(b"gone"), Err(Lost::Missing));
        assert_eq!(tree.resolve(b"through"), Err(Lost::ThroughFile));
        assert_eq!(tree.obstacle(b"lib/x").map(|(at, _)| at), Some(&b"lib"[..]));
        assert_eq!(tree.obstacle(b"usr/lib/x"), None);
    }
}
