//! All facts of a unit, and the difference between two such sets.

use super::bytes::Malformed;
use super::fact::{self, Fact, is_canonical};
use std::collections::BTreeMap;

/// Most facts of a set: a unit has about a thousand.
pub const MAX_FACTS: usize = 100_000;

/// Facts by path. In a whole set every directory above a path is there too, `/` included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<Vec<u8>, Fact>);

impl Facts {
    /// No facts.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The fact of a path, or of a [`names_key`](super::names_key).
    pub fn get(&self, path: &[u8]) -> Option<&Fact> {
        self.0.get(path)
    }

    /// Sets a fact, and returns what was said of that path before.
    pub fn insert(&mut self, path: Vec<u8>, fact: Fact) -> Option<Fact> {
        self.0.insert(path, fact)
    }

    /// Removes a fact.
    pub fn remove(&mut self, path: &[u8]) -> Option<Fact> {
        self.0.remove(path)
    }

    /// All, sorted by path.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &Fact)> {
        self.0.iter().map(|(path, fact)| (path.as_slice(), fact))
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What turns `from` into this set.
    pub fn difference(&self, from: &Self) -> Difference {
        let set = self.0.iter().filter(|(path, fact)| from.0.get(*path) != Some(fact));
        let removed = from.0.keys().filter(|path| !self.0.contains_key(*path));
        Difference {
            set: Self(set.map(|(path, fact)| (path.clone(), fact.clone())).collect()),
            removed: removed.cloned().collect(),
        }
    }

    /// Turns the set into that to which `difference` leads.
    ///
    /// # Errors
    /// If the result is not whole, or has too many facts. The set is of no use then.
    pub fn apply(&mut self, difference: Difference) -> Result<(), Malformed> {
        for path in &difference.removed {
            self.0.remove(path).ok_or(Malformed::Unknown)?;
        }
        self.0.extend(difference.set.0);
        if self.len() > MAX_FACTS {
            return Err(Malformed::TooMany);
        }
        self.check()
    }

    /// Whether it is a whole set: nothing stands in what is not a directory.
    ///
    /// # Errors
    /// If a directory above a path is missing, or is none.
    pub fn check(&self) -> Result<(), Malformed> {
        let whole = |key: &[u8], fact: &Fact| match fact::parent(key) {
            Some(dir) => matches!(self.get(dir), Some(Fact::Dir { .. })),
            None => matches!(fact, Fact::Dir { .. }),
        };
        if self.iter().all(|(key, fact)| whole(key, fact)) { Ok(()) } else { Err(Malformed::Parent) }
    }
}

impl FromIterator<(Vec<u8>, Fact)> for Facts {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, Fact)>>(facts: I) -> Self {
        Self(facts.into_iter().collect())
    }
}

/// What turns one set of facts into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Facts that are new or changed.
    pub set: Facts,
    /// Paths of which nothing is said any more, sorted.
    pub removed: Vec<Vec<u8>>,
}

/// Whether `key` can be that of `fact`.
pub(super) fn fits(key: &[u8], fact: &Fact) -> bool {
    match (key, fact) {
        (b"//", Fact::Names(_)) => true,
        (_, Fact::Names(_)) => key.strip_suffix(b"/").is_some_and(|dir| dir != b"/" && is_canonical(dir)),
        _ => is_canonical(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: Fact = Fact::Dir { perm: 5 };

    fn facts(all: &[(&str, Fact)]) -> Facts {
        all.iter().map(|(path, fact)| (path.as_bytes().to_vec(), fact.clone())).collect()
    }

    #[test]
    fn a_difference_leads_from_one_set_to_another() {
        let old = facts(&[("/", DIR), ("/a", DIR), ("/a/x", Fact::Absent), ("/b", Fact::Absent)]);
        let new = facts(&[("/", DIR), ("/a", DIR), ("/a/x", DIR), ("/a/x/y", Fact::Absent)]);
        let difference = new.difference(&old);
        assert_eq!(difference.set, facts(&[("/a/x", DIR), ("/a/x/y", Fact::Absent)]));
        assert_eq!(difference.removed, [b"/b".to_vec()]);
        let mut changed = old.clone();
        assert_eq!(changed.apply(difference), Ok(()));
        assert_eq!(changed, new);
        assert_eq!(new.difference(&new), Difference::default());
    }

    #[test]
    fn facts_are_found_counted_and_taken_out() {
        let mut all = Facts::new();
        assert!(all.is_empty() && all.remove(b"/").is_none());
        assert_eq!(all.insert(b"/".to_vec(), DIR), None);
        assert_eq!(all.insert(b"/".to_vec(), Fact::Absent), Some(DIR));
        assert_eq!((all.len(), all.is_empty(), all.get(b"/")), (1, false, Some(&Fact::Absent)));
        assert_eq!((all.remove(b"/"), all.len()), (Some(Fact::Absent), 0));
    }

    #[test]
    fn keys_fit_their_facts() {
        let names = Fact::Names(Vec::new());
        for (key, fact, does) in [
            ("//", &names, true),
            ("/a/", &names, true),
            ("/", &names, false),
            ("/a", &names, false),
            ("///", &names, false),
            ("/a//", &names, false),
            ("a/", &names, false),
            ("/", &DIR, true),
            ("/a", &DIR, true),
            ("//", &DIR, false),
            ("/a/", &DIR, false),
        ] {
            assert_eq!(fits(key.as_bytes(), fact), does, "{key} {fact:?}");
        }
    }

    #[test]
    fn what_leaves_a_hole_is_refused() {
        let whole = facts(&[("/", DIR), ("/a", DIR), ("/a/x", Fact::Absent)]);
        let removes = |path: &str| Difference { removed: vec![path.into()], ..Difference::default() };
        let sets = |path: &str, fact| Difference { set: facts(&[(path, fact)]), ..Difference::default() };
        for (difference, refused) in [
            (removes("/a/x"), None),
            (removes("/a"), Some(Malformed::Parent)),
            (removes("/b"), Some(Malformed::Unknown)),
            (sets("/a", Fact::Absent), Some(Malformed::Parent)),
            (sets("/", Fact::Absent), Some(Malformed::Parent)),
            (sets("/b/c", Fact::Absent), Some(Malformed::Parent)),
            (sets("/a/x/", Fact::Names(Vec::new())), Some(Malformed::Parent)),
            (sets("/a/", Fact::Names(Vec::new())), None),
            (sets("//", Fact::Names(Vec::new())), None),
        ] {
            assert_eq!(whole.clone().apply(difference.clone()).err(), refused, "{difference:?}");
        }
    }

    #[test]
    fn sets_do_not_grow_without_end() {
        let more = |n| (0..n).map(|i| (format!("/{i}").into_bytes(), Fact::Absent)).collect();
        for (n, refused) in [(99_999, None), (100_000, Some(Malformed::TooMany))] {
            let mut all = facts(&[("/", DIR)]);
            assert_eq!(all.apply(Difference { set: more(n), removed: Vec::new() }).err(), refused);
        }
    }
}
