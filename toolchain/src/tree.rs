//! A directory tree in memory: what an archive creates or will create, and where its links lead.
//!
//! It holds names only and never touches the disk. It is used to refuse links that leave the environment, and to check
//! a planned environment.

use std::collections::BTreeMap;
use thiserror::Error;

/// Maximum number of symbolic links followed, the same as the kernel's.
const LINKS_MAX: usize = 40;

/// One node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link with its target.
    Link(Vec<u8>),
}

/// Why a path cannot be resolved.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ResolveError {
    /// A component does not exist.
    #[error("leads to nothing")]
    Missing,
    /// A component other than the last is a file.
    #[error("leads through a file")]
    ThroughFile,
    /// There are more than 40 links on the way.
    #[error("leads in a circle")]
    Circle,
    /// A `..` leads above the root.
    #[error("leads out of the environment")]
    Outside,
}

/// Nodes by their names without a leading `/`.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// Adds `node` at `path` and missing directories above it. An existing node is replaced without a check.
    pub fn insert(&mut self, path: &[u8], node: Node) {
        for dir in ancestors(path) {
            self.nodes.entry(dir.to_vec()).or_insert(Node::Directory);
        }
        self.nodes.insert(path.to_vec(), node);
    }

    /// The directories above `path` that do not exist: those that [`Self::insert`] would add.
    pub fn missing_ancestors<'a>(&self, path: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        ancestors(path).filter(|dir| !self.nodes.contains_key(*dir))
    }

    /// The node at `path`, without following links.
    pub fn at(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The first node above `path` that is not a directory, with its name.
    pub fn obstacle<'a>(&self, path: &'a [u8]) -> Option<(&'a [u8], &Node)> {
        ancestors(path).find_map(|dir| match self.nodes.get(dir) {
            None | Some(Node::Directory) => None,
            Some(other) => Some((dir, other)),
        })
    }

    /// All nodes, sorted by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_slice(), node))
    }

    /// The name and node of `path` with all links followed, as after `chroot` into the tree.
    pub fn resolve(&self, path: &[u8]) -> Result<(Vec<u8>, &Node), ResolveError> {
        static TOP: Node = Node::Directory;
        let mut todo: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
        let mut here: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        let mut last = &TOP;
        while let Some(name) = todo.pop() {
            if *last == Node::File {
                return Err(ResolveError::ThroughFile);
            }
            if name == b".." {
                here.pop().ok_or(ResolveError::Outside)?;
                last = &TOP;
                continue;
            }
            here.push(name);
            match self.nodes.get(&here.join(&b'/')) {
                None => return Err(ResolveError::Missing),
                Some(Node::Link(text)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(ResolveError::Circle);
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

    /// Whether `path`, links followed, is a file.
    pub fn is_file(&self, path: &[u8]) -> bool {
        matches!(self.resolve(path), Ok((_, Node::File)))
    }
}

/// The paths of all directories above `path`, the outermost first.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at])
}

/// The components of a path without `.`.
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
        assert_eq!(tree.resolve(b"p/chain"), Err(ResolveError::Outside));
        assert_eq!(tree.resolve(b"loop"), Err(ResolveError::Circle));
        assert_eq!(tree.resolve(b"gone"), Err(ResolveError::Missing));
        assert_eq!(tree.resolve(b"through"), Err(ResolveError::ThroughFile));
        assert_eq!(tree.obstacle(b"lib/x").map(|(at, _)| at), Some(&b"lib"[..]));
        assert_eq!(tree.obstacle(b"usr/lib/x"), None);
    }
}
