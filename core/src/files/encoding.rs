//! How facts and differences stand in a stream (`net/PROTOCOL.md`, Facts). A set has one encoding: its digest names it.

use super::bytes::{Malformed, Reader, Writer};
use super::fact::{Digest, Fact, FileFact, Time, is_name};
use super::facts::{Difference, Facts, MAX_FACTS, fits};
use crate::limits::PATH_MAX;

/// Most bytes of encoded facts, of a difference or of what a result begins with.
pub const MAX_ENCODED: usize = 16 << 20;
/// Most names of a directory.
const MAX_NAMES: usize = 1_000_000;

const ABSENT: u8 = 0;
const DIR: u8 = 1;
const LINK: u8 = 2;
const FILE: u8 = 3;
const NAMES: u8 = 4;

impl Facts {
    /// The encoded set, which is what its digest is of.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        write_facts(self, &mut w);
        w.0
    }

    /// Reads a whole set.
    ///
    /// # Errors
    /// If the bytes are not exactly what [`Facts::encode`] makes of a whole set within the bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, MAX_ENCODED)?;
        let facts = read_facts(&mut r)?;
        r.finish()?;
        facts.check()?;
        Ok(facts)
    }
}

impl Difference {
    /// The encoded difference.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        write_facts(&self.set, &mut w);
        w.sorted(&self.removed);
        w.0
    }

    /// Reads a difference. Whether its result is whole is seen when it is applied.
    ///
    /// # Errors
    /// If the bytes are not exactly what [`Difference::encode`] makes of one within the bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, MAX_ENCODED)?;
        let set = read_facts(&mut r)?;
        let removed = r.sorted(MAX_FACTS, |_| true)?;
        r.finish()?;
        if removed.iter().any(|path| set.get(path).is_some()) {
            return Err(Malformed::Order);
        }
        Ok(Self { set, removed })
    }
}

/// Writes a set.
fn write_facts(facts: &Facts, w: &mut Writer) {
    w.count(facts.len());
    let mut before: &[u8] = &[];
    for (path, fact) in facts.iter() {
        w.shared(before, path);
        write_fact(fact, w);
        before = path;
    }
}

/// Writes a fact.
fn write_fact(fact: &Fact, w: &mut Writer) {
    match fact {
        Fact::Absent => w.byte(ABSENT),
        Fact::Dir { perm } => {
            w.byte(DIR);
            w.byte(*perm);
        }
        Fact::Link { target } => {
            w.byte(LINK);
            w.bytes(target);
        }
        Fact::File(file) => {
            w.byte(FILE);
            w.number(file.size);
            w.number(file.mtime.seconds as u64);
            w.number(file.mtime.nanoseconds.into());
            w.byte(file.perm);
            w.number(file.group);
            w.0.extend_from_slice(&file.digest.0);
        }
        Fact::Names(names) => {
            w.byte(NAMES);
            w.sorted(names);
        }
    }
}

/// Reads a set, which need not be whole.
fn read_facts(r: &mut Reader<'_>) -> Result<Facts, Malformed> {
    let count = r.count(MAX_FACTS)?;
    let mut facts = Vec::new();
    for _ in 0..count {
        let before: &[u8] = facts.last().map_or(&[], |(path, _): &(Vec<u8>, Fact)| path);
        let path = r.shared(before)?;
        if *before >= *path {
            return Err(Malformed::Order);
        }
        let fact = read_fact(r)?;
        if !fits(&path, &fact) {
            return Err(Malformed::Path);
        }
        facts.push((path, fact));
    }
    Ok(facts.into_iter().collect())
}

/// Reads a fact.
fn read_fact(r: &mut Reader<'_>) -> Result<Fact, Malformed> {
    Ok(match r.byte()? {
        ABSENT => Fact::Absent,
        DIR => Fact::Dir { perm: read_perm(r)? },
        LINK => Fact::Link { target: read_target(r)? },
        FILE => Fact::File(FileFact {
            size: r.number()?,
            mtime: read_time(r)?,
            perm: read_perm(r)?,
            group: r.number()?,
            digest: Digest(r.array()?),
        }),
        NAMES => Fact::Names(r.sorted(MAX_NAMES, is_name)?),
        _ => return Err(Malformed::Number),
    })
}

/// Reads the target of a link.
fn read_target(r: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let target = r.bytes()?;
    let exists = !target.is_empty() && target.len() < PATH_MAX && !target.contains(&0);
    if exists { Ok(target.to_vec()) } else { Err(Malformed::Name) }
}

/// Reads a time.
fn read_time(r: &mut Reader<'_>) -> Result<Time, Malformed> {
    let (seconds, nanoseconds) = (r.number()? as i64, r.small()?);
    if nanoseconds < 1_000_000_000 { Ok(Time { seconds, nanoseconds }) } else { Err(Malformed::Number) }
}

/// Reads what the user may do.
fn read_perm(r: &mut Reader<'_>) -> Result<u8, Malformed> {
    let perm = r.byte()?;
    if perm & !(Fact::READABLE | Fact::EXECUTABLE) == 0 { Ok(perm) } else { Err(Malformed::Number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Facts {
        let file = FileFact {
            size: 1 << 40,
            mtime: Time { seconds: -7, nanoseconds: 999_999_999 },
            perm: 4,
            group: u64::MAX,
            digest: Digest([0xab; 32]),
        };
        let all = [
            ("/", Fact::Dir { perm: 5 }),
            ("//", Fact::Names(vec![b"a".to_vec(), b"a.h".to_vec(), b"\xff".to_vec()])),
            ("/a", Fact::Dir { perm: 1 }),
            ("/a-b", Fact::Absent),
            ("/a/", Fact::Names(Vec::new())),
            ("/a/b", Fact::Link { target: b"../a//./x".to_vec() }),
            ("/a/bc", Fact::File(file)),
        ];
        all.into_iter().map(|(path, fact)| (path.into(), fact)).collect()
    }

    fn set(all: &[(&str, Fact)]) -> Facts {
        all.iter().map(|(path, fact)| (path.as_bytes().to_vec(), fact.clone())).collect()
    }

    #[test]
    fn facts_come_back() {
        for facts in [Facts::new(), whole()] {
            assert_eq!(Facts::decode(&facts.encode()).as_ref(), Ok(&facts));
            let difference = Difference { set: facts, removed: vec![b"/a/b/c".to_vec(), b"/x/".to_vec()] };
            assert_eq!(Difference::decode(&difference.encode()), Ok(difference));
        }
    }

    #[test]
    fn what_no_file_system_holds_is_refused() {
        let root = ("/", Fact::Dir { perm: 5 });
        let file = |nanoseconds| {
            Fact::File(FileFact {
                size: 0,
                mtime: Time { seconds: 0, nanoseconds },
                perm: 0,
                group: 0,
                digest: Digest([0; 32]),
            })
        };
        for (path, fact, error) in [
            ("/a", file(1_000_000_000), Malformed::Number),
            ("/a", Fact::Dir { perm: 2 }, Malformed::Number),
            ("/a", Fact::Link { target: Vec::new() }, Malformed::Name),
            ("/a", Fact::Link { target: b"a\0".to_vec() }, Malformed::Name),
            ("/a", Fact::Link { target: vec![b'a'; 4096] }, Malformed::Name),
            ("/a", Fact::Names(Vec::new()), Malformed::Path),
            ("/a/", Fact::Absent, Malformed::Path),
            ("//a", Fact::Absent, Malformed::Path),
            ("/../a", Fact::Absent, Malformed::Path),
            ("/a\0", Fact::Absent, Malformed::Path),
            ("/b/c", Fact::Absent, Malformed::Parent),
            ("//", Fact::Names(vec![b"b".to_vec(), b"a".to_vec()]), Malformed::Order),
            ("//", Fact::Names(vec![b"a".to_vec(), b"a".to_vec()]), Malformed::Order),
            ("//", Fact::Names(vec![b"..".to_vec()]), Malformed::Name),
            ("//", Fact::Names(vec![b"a/b".to_vec()]), Malformed::Name),
            ("///", Fact::Names(Vec::new()), Malformed::Path),
        ] {
            let facts = set(&[root.clone(), (path, fact)]);
            assert_eq!(Facts::decode(&facts.encode()), Err(error), "{facts:?}");
        }
        assert_eq!(Facts::decode(&set(&[("/", Fact::Absent)]).encode()), Err(Malformed::Parent));
        let twice = Difference { set: whole(), removed: vec![b"/a".to_vec(), b"/x".to_vec()] };
        assert_eq!(Difference::decode(&twice.encode()), Err(Malformed::Order));
    }

    #[test]
    fn only_the_one_encoding_is_read() {
        let bytes = set(&[("/", Fact::Dir { perm: 5 }), ("/a", Fact::Absent)]).encode();
        assert_eq!(bytes, [2, 0, 1, b'/', DIR, 5, 1, 1, b'a', ABSENT]);
        let shares_too_little = [2, 0, 1, b'/', DIR, 5, 0, 2, b'/', b'a', ABSENT];
        assert_eq!(Facts::decode(&shares_too_little), Err(Malformed::Order));
        assert_eq!(Facts::decode(&[2, 0, 1, b'/', DIR, 5, 1, 0, ABSENT]), Err(Malformed::Order), "twice");
        assert_eq!(Facts::decode(&[2, 0, 1, b'/', DIR, 5, 2, 1, b'a', ABSENT]), Err(Malformed::Number));
        assert_eq!(Facts::decode(&[&bytes[..], &[0]].concat()), Err(Malformed::LeftOver));
    }

    #[test]
    fn what_is_read_has_bounds() {
        let most = vec![0; 16 << 20];
        assert_eq!(Facts::decode(&most), Err(Malformed::LeftOver));
        assert_eq!(Difference::decode(&most), Err(Malformed::LeftOver));
        let more = vec![0; (16 << 20) + 1];
        assert_eq!(Facts::decode(&more), Err(Malformed::TooLarge));
        assert_eq!(Difference::decode(&more), Err(Malformed::TooLarge));
        let names_of_root = [1, 0, 2, b'/', b'/', NAMES];
        for (before, most) in [(&[][..], 100_000), (&[0], 100_000), (&names_of_root, 1_000_000)] {
            for (count, error) in [(most, Malformed::Truncated), (most + 1, Malformed::TooMany)] {
                let mut w = Writer(before.to_vec());
                w.number(count);
                assert_eq!(Difference::decode(&w.0), Err(error), "{before:?} {count}");
            }
        }
        let link = |length| set(&[("/", Fact::Dir { perm: 5 }), ("/a", Fact::Link { target: vec![b'a'; length] })]);
        assert_eq!(Facts::decode(&link(4095).encode()), Ok(link(4095)));
    }

    /// Whatever is read is written as it was, and nothing panics.
    #[test]
    fn damage_is_refused_or_means_what_it_says() {
        let bytes = Difference { set: whole(), removed: vec![b"/a/b/c".to_vec()] }.encode();
        let mut read = 0;
        for at in 0..bytes.len() {
            assert!(Difference::decode(&bytes[..at]).is_err(), "{at}");
            for value in 0..=255 {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let _ = Facts::decode(&damaged);
                if let Ok(difference) = Difference::decode(&damaged) {
                    assert_eq!(difference.encode(), damaged, "{at} {value}");
                    read += 1;
                }
            }
        }
        assert!(read > bytes.len(), "{read}");
    }
}
