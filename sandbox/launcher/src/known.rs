//! What a supervisor was told of its submitter's file system.

use ice_core::files::{Digest, Fact, Facts, FileFact, Last, Lookup, Time, Walk, names_key, walk};
use ice_sandbox::oracle::{self, Oracle, Own, Stands};
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

/// Facts, and which of them were looked up.
pub(crate) struct Known(HashMap<Vec<u8>, Told>);

/// A fact.
struct Told {
    fact: Fact,
    is_used: Cell<bool>,
}

impl Known {
    /// Reads the facts that a job begins with.
    pub(crate) fn new(encoded: &[u8]) -> Result<Self, String> {
        let mut known = Self(HashMap::new());
        known.learn(encoded)?;
        Ok(known)
    }

    fn get(&self, path: &[u8]) -> Option<&Fact> {
        let told = self.0.get(path)?;
        told.is_used.set(true);
        Some(&told.fact)
    }
}

impl Oracle for Known {
    fn at(&mut self, path: &[u8]) -> Option<Stands> {
        Some(match self.get(path)? {
            // Names stand at no path.
            Fact::Absent | Fact::Names(_) => Stands::Nothing,
            Fact::Dir { perm } => Stands::Directory { readable: perm & Fact::READABLE != 0 },
            Fact::Link { target } => Stands::Link(target.clone()),
            Fact::File(_) => Stands::File,
        })
    }

    fn names(&mut self, dir: &[u8]) -> Option<&[Vec<u8>]> {
        match self.get(&names_key(dir)) {
            Some(Fact::Names(names)) => Some(names),
            _ => None,
        }
    }

    fn walk(&mut self, own: &dyn Own, start: &[u8], path: &[u8], follow: bool) -> oracle::Walk {
        let facts = Both { known: self, own, links: Links::default() };
        match walk(&facts, start, path, if follow { Last::Follow } else { Last::NoFollow }) {
            Walk::Found(path) => oracle::Walk::Found(path),
            Walk::Absent(_) | Walk::NoPath => oracle::Walk::Absent,
            Walk::NotADirectory(_) => oracle::Walk::NotADirectory,
            Walk::Denied(_) => oracle::Walk::Denied,
            Walk::Loop => oracle::Walk::Loop,
            Walk::TooLong => oracle::Walk::TooLong,
            Walk::Unknown(path) => oracle::Walk::Unknown(path),
        }
    }

    fn learn(&mut self, more: &[u8]) -> Result<(), String> {
        let facts = Facts::decode(more).map_err(|e| format!("what was told is malformed: {e}"))?;
        for (path, fact) in facts.iter() {
            match self.0.get(path) {
                Some(told) if told.fact == *fact => {}
                Some(_) => return Err(format!("{} has changed", String::from_utf8_lossy(path))),
                None => {
                    self.0.insert(path.to_vec(), Told { fact: fact.clone(), is_used: Cell::new(false) });
                }
            }
        }
        Ok(())
    }

    fn used(&self) -> Vec<Vec<u8>> {
        let used = self.0.iter().filter(|(_, told)| told.is_used.get());
        let mut paths: Vec<Vec<u8>> = used.map(|(path, _)| path.clone()).collect();
        paths.sort_unstable();
        paths
    }
}

/// What was told, below what somebody knows of his own.
struct Both<'a> {
    known: &'a Known,
    own: &'a dyn Own,
    links: Links,
}

static NOTHING: Fact = Fact::Absent;
static DIRECTORY: Fact = Fact::Dir { perm: Fact::READABLE | Fact::EXECUTABLE };
static FILE: Fact = Fact::File(FileFact {
    size: 0,
    mtime: Time { seconds: 0, nanoseconds: 0 },
    perm: Fact::READABLE,
    group: 0,
    digest: Digest([0; 32]),
});

impl Lookup for Both<'_> {
    fn fact(&self, path: &[u8]) -> Option<&Fact> {
        match self.own.at(path) {
            None => self.known.get(path),
            Some(Stands::Nothing) => Some(&NOTHING),
            Some(Stands::Directory { .. }) => Some(&DIRECTORY),
            Some(Stands::File) => Some(&FILE),
            Some(Stands::Link(target)) => Some(self.links.keep(Fact::Link { target })),
        }
    }
}

/// Links that were found on a walk, kept until its end.
#[derive(Default)]
struct Links(OnceCell<Box<(Fact, Links)>>);

impl Links {
    fn keep(&self, link: Fact) -> &Fact {
        let mut end = self;
        while let Some(kept) = end.0.get() {
            end = &kept.1;
        }
        &end.0.get_or_init(|| Box::new((link, Self::default()))).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct None;

    impl Own for None {
        fn at(&self, path: &[u8]) -> Option<Stands> {
            match path {
                b"/new" => Some(Stands::Link(b"/a/../made".to_vec())),
                b"/made" => Some(Stands::File),
                b"/a/gone" => Some(Stands::Nothing),
                _ => Option::None,
            }
        }
    }

    fn facts(all: &[(&str, Fact)]) -> Facts {
        all.iter().map(|(path, fact)| (path.as_bytes().to_vec(), fact.clone())).collect()
    }

    #[test]
    fn what_was_told_and_what_is_own_are_walked_together() -> Result<(), String> {
        let all = facts(&[("/", DIRECTORY.clone()), ("/a", DIRECTORY.clone()), ("/a/gone", FILE.clone())]);
        let mut known = Known::new(&all.encode())?;
        let mut lead = |path: &str| known.walk(&None, b"/", path.as_bytes(), true);
        assert_eq!(lead("a/gone"), oracle::Walk::Absent);
        assert_eq!(lead("/new"), oracle::Walk::Found(b"/made".to_vec()));
        assert_eq!(lead("/new/x"), oracle::Walk::NotADirectory);
        assert_eq!(lead("/a/x/y"), oracle::Walk::Unknown(b"/a/x".to_vec()));
        assert_eq!(known.used(), [b"/".to_vec(), b"/a".to_vec()]);
        known.learn(&facts(&[("/", DIRECTORY.clone()), ("/b", NOTHING.clone())]).encode())?;
        assert_eq!(known.at(b"/b"), Some(Stands::Nothing));
        let changed = known.learn(&facts(&[("/", DIRECTORY.clone()), ("/b", FILE.clone())]).encode());
        assert_eq!(changed, Err("/b has changed".to_owned()));
        Ok(())
    }
}
