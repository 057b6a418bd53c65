//! A plain model of overlay over lower layers.

use super::super::*;
use crate::files::facts::Facts;

/// What is at a path of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Dir(u8),
    Link(Vec<u8>),
    File { inode: u64, file: FileFact },
    Whiteout,
}

/// Layers.
#[derive(Clone, Debug)]
pub struct Disk {
    layers: BTreeMap<Layer, BTreeMap<Vec<u8>, Node>>,
    inodes: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let base = BTreeMap::from([(b"/".to_vec(), Node::Dir(5))]);
        Self { layers: BTreeMap::from([(0, base)]), inodes: 0 }
    }
}

impl Disk {
    /// Does the steps as a file system would, which replaces nothing.
    pub fn carry_out(&mut self, steps: &[Step]) {
        let of = self.layers.clone();
        self.make(steps, |disk, at| {
            disk.layers[&at.layer].get(&at.path).or_else(|| of[&at.layer].get(&at.path)).cloned()
        });
    }

    /// The layers of a generation that comes of this one.
    pub fn squashed(&self, steps: &[Step]) -> Self {
        let mut next = Self { inodes: self.inodes, ..Self::default() };
        next.make(steps, |_, at| self.layers[&at.layer].get(&at.path).cloned());
        next
    }

    fn make(&mut self, steps: &[Step], old: impl Fn(&Self, &Place) -> Option<Node>) {
        for Step { layer, path, make } in steps {
            let node = match make {
                Make::Dir { perm } => Node::Dir(*perm),
                Make::Link { target } => Node::Link(target.clone()),
                Make::Whiteout => Node::Whiteout,
                Make::File { file, from: Source::Same(at) } => match old(self, at) {
                    Some(Node::File { inode, file: other }) if other == *file => Node::File { inode, file: other },
                    other => panic!("{other:?} is not {file:?}"),
                },
                Make::File { file, from } => {
                    if let Source::Copy(at) = from {
                        let is_source = |node| matches!(node, Some(Node::File { file: other, .. }) if other.digest == file.digest && other.perm & 4 != 0);
                        assert!(is_source(old(self, at)), "{at:?}");
                    }
                    self.inodes += 1;
                    Node::File { inode: self.inodes, file: file.clone() }
                }
            };
            let entries = self.layers.entry(*layer).or_default();
            let dir = parent(path).map(|dir| entries.get(dir));
            assert!(matches!(dir, None | Some(Some(Node::Dir(_)))), "{path:?} of {layer} has no directory");
            assert_eq!(entries.insert(path.clone(), node), None, "{path:?} of {layer} is replaced");
        }
    }

    /// What a job sees that sees so many deltas, and the layers that hold it.
    pub fn view(&self, path: &[u8], deltas: Layer) -> (Option<Node>, Vec<Layer>) {
        let mut holders: Vec<Layer> = self.layers.keys().rev().copied().filter(|layer| *layer <= deltas).collect();
        let mut node = Some(Node::Dir(5));
        let ends = path.iter().enumerate().filter(|(at, c)| **c == b'/' && *at > 0).map(|(at, _)| at);
        let ends = ends.chain((path != b"/").then_some(path.len()));
        for end in ends.collect::<Vec<_>>() {
            if !matches!(node, Some(Node::Dir(_))) {
                return (None, Vec::new());
            }
            (node, holders) = self.look_up(&path[..end], &holders);
        }
        (node, holders)
    }

    fn look_up(&self, path: &[u8], dirs: &[Layer]) -> (Option<Node>, Vec<Layer>) {
        let (mut found, mut holders) = (None, Vec::new());
        for layer in dirs {
            match (self.layers[layer].get(path), &found) {
                (None, _) => {}
                (Some(Node::Whiteout), _) => break,
                (Some(dir @ Node::Dir(_)), _) => {
                    found.get_or_insert(dir.clone());
                    holders.push(*layer);
                }
                (Some(other), None) => return (Some(other.clone()), vec![*layer]),
                (Some(_), Some(_)) => break,
            }
        }
        (found, holders)
    }

    /// The names in a directory.
    fn names(&self, dir: &[u8], deltas: Layer) -> Vec<Vec<u8>> {
        let prefix = if dir == b"/" { dir.to_vec() } else { [dir, b"/"].concat() };
        let all: BTreeSet<&Vec<u8>> = self.layers.values().flat_map(BTreeMap::keys).collect();
        let names = all.into_iter().filter_map(|path| {
            let name = path.strip_prefix(prefix.as_slice())?;
            let is_child = !name.is_empty() && !name.contains(&b'/');
            (is_child && self.view(path, deltas).0.is_some()).then(|| name.to_vec())
        });
        names.collect()
    }

    /// A job that sees so many deltas sees what its facts say.
    pub fn check(&self, facts: &Facts, deltas: Layer) {
        let mut inodes: BTreeMap<u64, u64> = BTreeMap::new();
        for (path, fact) in facts.iter() {
            if let Fact::Names(names) = fact {
                assert_eq!(self.names(parent(path).unwrap(), deltas), *names, "{}", String::from_utf8_lossy(path));
                continue;
            }
            let seen = self.view(path, deltas).0;
            let is_so = match (fact, &seen) {
                (Fact::Absent, None) => true,
                (Fact::Dir { perm }, Some(Node::Dir(is))) => perm == is || path == b"/",
                (Fact::Link { target }, Some(Node::Link(is))) => target == is,
                (Fact::File(file), Some(Node::File { inode, file: is })) => {
                    let group = if file.group == 0 { u64::MAX - inode } else { file.group };
                    let other = inodes.insert(*inode, group);
                    assert!(other.is_none_or(|other| other == group), "{path:?} is another file's inode");
                    file == is
                }
                _ => false,
            };
            assert!(is_so, "{}: {fact:?}, but {seen:?} in {deltas}", String::from_utf8_lossy(path));
        }
        self.check_links(facts, deltas);
    }

    /// Hard links are hard links.
    fn check_links(&self, facts: &Facts, deltas: Layer) {
        let mut groups: BTreeMap<u64, u64> = BTreeMap::new();
        for (path, fact) in facts.iter() {
            if let (Fact::File(file), (Some(Node::File { inode, .. }), _)) = (fact, self.view(path, deltas)) {
                let first = *groups.entry(file.group).or_insert(inode);
                assert!(file.group == 0 || first == inode, "{path:?} is not linked");
            }
        }
    }
}
