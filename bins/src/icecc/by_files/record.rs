//! What a unit's compiler looked at the last time: a prediction for the next time, never a proof.

use super::disk::{Disk, Known};
use super::stamp::Stamp;
use ice_core::files::{Fact, Facts, parent};
use std::collections::BTreeMap;

/// How an encoded record begins, with the version of its form.
const START: &[u8] = b"icers record 1\n";

/// The compiler looked at it.
const USED: u8 = 1;
/// It was told to the last server.
const TOLD: u8 = 2;
const SHOWS_DATE: u8 = 4;
const HAS_STAMP: u8 = 8;

/// What is kept of a path.
#[derive(Clone, Debug)]
struct Entry {
    known: Known,
    is_used: bool,
    is_told: bool,
}

/// Facts with their stamps.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// When the first of them was looked at.
    pub(super) since: i64,
    entries: BTreeMap<Vec<u8>, Entry>,
}

impl Record {
    /// Nothing, for facts of this disk.
    pub(super) fn new(disk: &Disk) -> Self {
        Self { since: disk.since(), entries: BTreeMap::new() }
    }

    /// Adds what is known of these paths, and of all directories above them.
    pub(super) fn add(&mut self, disk: &Disk, path: &[u8], is_used: bool, is_told: bool) {
        let mut next = Some(path);
        while let Some(path) = next {
            match self.entries.get_mut(path) {
                Some(entry) if entry.is_used >= is_used && entry.is_told >= is_told => return,
                Some(entry) => {
                    entry.is_used |= is_used;
                    entry.is_told |= is_told;
                }
                None => {
                    let Some(known) = disk.known(path) else { return };
                    self.entries.insert(path.to_vec(), Entry { known, is_used, is_told });
                }
            }
            next = parent(path);
        }
    }

    /// Number of facts.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the other says the same of every path of this one.
    pub(super) fn is_part_of(&self, other: &Self) -> bool {
        self.entries.iter().all(|(path, entry)| {
            other.entries.get(path).is_some_and(|known| {
                known.known.fact == entry.known.fact
                    && known.known.stamp == entry.known.stamp
                    && (known.is_used, known.is_told) == (entry.is_used, entry.is_told)
            })
        })
    }

    /// Whether a file was changed so shortly before that second that its stamp says nothing.
    pub(super) fn has_young(&self, second: i64) -> bool {
        self.entries.values().any(|entry| {
            let is_file = matches!(entry.known.fact, Fact::File(_) | Fact::Link { .. });
            is_file && entry.known.stamp.is_some_and(|stamp| stamp.is_young(second))
        })
    }

    /// What is expected to be looked at, in order.
    pub(super) fn expected(&self) -> impl Iterator<Item = (&[u8], &Known)> {
        self.entries.iter().filter(|(_, entry)| entry.is_used).map(|(path, entry)| (path.as_slice(), &entry.known))
    }

    /// What was told last.
    pub(super) fn told(&self) -> Facts {
        let told = self.entries.iter().filter(|(_, entry)| entry.is_told);
        told.map(|(path, entry)| (path.clone(), entry.known.fact.clone())).collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let facts: Facts = self.entries.iter().map(|(path, entry)| (path.clone(), entry.known.fact.clone())).collect();
        let facts = facts.encode();
        let mut bytes = START.to_vec();
        bytes.extend_from_slice(&self.since.to_le_bytes());
        bytes.extend_from_slice(&(facts.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&facts);
        for Entry { known, is_used, is_told } in self.entries.values() {
            let bit = |holds, bit| if holds { bit } else { 0 };
            let has_stamp = known.stamp.is_some();
            bytes.push(
                bit(*is_used, USED)
                    | bit(*is_told, TOLD)
                    | bit(known.shows_date, SHOWS_DATE)
                    | bit(has_stamp, HAS_STAMP),
            );
            if let Some(stamp) = &known.stamp {
                stamp.encode(&mut bytes);
            }
        }
        bytes
    }

    /// `None`: these are not the bytes of one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (since, rest) = bytes.strip_prefix(START)?.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (facts, mut rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let mut entries = BTreeMap::new();
        for (path, fact) in Facts::decode(facts).ok()?.iter() {
            let (flags, after) = rest.split_first()?;
            rest = after;
            let mut stamp = None;
            if flags & HAS_STAMP != 0 {
                let (bytes, after) = rest.split_at_checked(Stamp::SIZE)?;
                (stamp, rest) = (Some(Stamp::decode(bytes)?), after);
            }
            let needs_stamp = !matches!(fact, Fact::Absent | Fact::Names(_));
            if needs_stamp != stamp.is_some() {
                return None;
            }
            let known = Known { fact: fact.clone(), stamp, shows_date: flags & SHOWS_DATE != 0 };
            let entry = Entry { known, is_used: flags & USED != 0, is_told: flags & TOLD != 0 };
            entries.insert(path.to_vec(), entry);
        }
        rest.is_empty().then(|| Self { since: i64::from_le_bytes(*since), entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_record_comes_back_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::write(root.join("a.h"), "const char *when = __DATE__;\n").unwrap();
        let mut disk = Disk::new();
        let root = root.as_os_str().as_bytes();
        assert_eq!(disk.find(b"/", root).unwrap().as_deref(), Some(root));
        let found = disk.find(root, b"a.h").unwrap().unwrap();
        assert_eq!(disk.find(root, b"no.h").unwrap(), None);
        disk.list(root).unwrap();
        let mut record = Record::new(&disk);
        record.add(&disk, &found, true, true);
        record.add(&disk, &[root, b"/no.h"].concat(), false, true);
        record.add(&disk, &[root, b"/"].concat(), true, false);
        assert_eq!(record.len(), disk.facts().len());
        assert!(record.told().check().is_ok());

        let bytes = record.encode();
        let again = Record::decode(&bytes).unwrap();
        assert!(again.is_part_of(&record) && record.is_part_of(&again));
        assert_eq!((again.since, again.told()), (record.since, record.told()));
        let dated: Vec<&[u8]> = again.expected().filter(|(_, known)| known.shows_date).map(|(path, _)| path).collect();
        assert_eq!(dated, [&found[..]]);
        for at in 0..bytes.len() {
            assert!(Record::decode(&bytes[..at]).is_none(), "{at}");
        }
        assert!(Record::decode(&[&bytes[..], b"x"].concat()).is_none());
    }
}
