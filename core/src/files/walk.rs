//! How a path leads to what it names, as the kernel follows it, by facts alone.

use super::fact::{Fact, parent};
use super::facts::Facts;
use crate::limits::{NAME_MAX, PATH_MAX};

/// Most links of one path: the kernel's bound.
const LINKS_MAX: u32 = 40;

/// Where facts are looked up. The result of a walk depends on exactly the facts that it asked for.
pub trait Lookup {
    /// What stands at a canonical path; none if that is not known.
    fn fact(&self, path: &[u8]) -> Option<&Fact>;
}

impl Lookup for Facts {
    fn fact(&self, path: &[u8]) -> Option<&Fact> {
        self.get(path)
    }
}

/// Whether a link at the end of a path is followed, as by `stat`, or is meant itself, as by `lstat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It is followed.
    Follow,
    /// It is meant itself, unless a `/` stands behind it.
    NoFollow,
}

/// Where a path leads. All paths in it are canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// To what stands here; the fact of it is known.
    Found(Vec<u8>),
    /// To nothing: this is missing. It may be the end of the path, or a directory on the way.
    Absent(Vec<u8>),
    /// Through this, which is no directory.
    NotADirectory(Vec<u8>),
    /// Through this directory, which the user may not search.
    Denied(Vec<u8>),
    /// Through too many links.
    Loop,
    /// The path, or a name in it, is longer than the kernel takes.
    TooLong,
    /// The path is empty or has a NUL.
    NoPath,
    /// To or through this, of which no fact speaks.
    Unknown(Vec<u8>),
}

/// Follows a path. One that does not begin with `/` begins in `start`, a canonical directory.
pub fn walk(facts: &impl Lookup, start: &[u8], path: &[u8], last: Last) -> Walk {
    if path.is_empty() || path.contains(&0) {
        return Walk::NoPath;
    }
    if path.len() >= PATH_MAX {
        return Walk::TooLong;
    }
    let mut way = Way { facts, last, place: start.to_vec(), path: Vec::new(), at: 0, links: 0 };
    way.turn(path);
    loop {
        match way.step() {
            Ok(true) => (),
            Ok(false) => return Walk::Found(way.place),
            Err(end) => return end,
        }
    }
}

/// A path that is being followed.
struct Way<'a, L> {
    facts: &'a L,
    last: Last,
    /// Where it has come: canonical, and not a link.
    place: Vec<u8>,
    /// What is to go, from here on.
    path: Vec<u8>,
    at: usize,
    /// How many links were followed.
    links: u32,
}

impl<L: Lookup> Way<'_, L> {
    /// Goes on along `path`, and then along the rest.
    fn turn(&mut self, path: &[u8]) {
        if path.starts_with(b"/") {
            self.place = b"/".into();
        }
        self.path = [path, self.rest()].concat();
        self.at = 0;
    }

    /// What is still to go.
    fn rest(&self) -> &[u8] {
        self.path.get(self.at..).unwrap_or_default()
    }

    /// Follows one name; false at the end.
    fn step(&mut self) -> Result<bool, Walk> {
        let slashes = self.rest().iter().take_while(|c| **c == b'/').count();
        let name: Vec<u8> = self.rest().iter().skip(slashes).copied().take_while(|c| *c != b'/').collect();
        self.at += slashes + name.len();
        if name.is_empty() {
            if slashes > 0 {
                self.directory()?;
            }
            return Ok(false);
        }
        if self.directory()? & Fact::EXECUTABLE == 0 {
            return Err(Walk::Denied(self.place.clone()));
        }
        match name.as_slice() {
            b"." => (),
            b".." => self.place = parent(&self.place).unwrap_or(b"/").to_vec(),
            _ if name.len() > NAME_MAX => return Err(Walk::TooLong),
            _ => self.enter(&name)?,
        }
        Ok(true)
    }

    /// What the user may do in the directory at the place.
    fn directory(&self) -> Result<u8, Walk> {
        match self.facts.fact(&self.place) {
            Some(Fact::Dir { perm }) => Ok(*perm),
            Some(Fact::Absent) => Err(Walk::Absent(self.place.clone())),
            Some(_) => Err(Walk::NotADirectory(self.place.clone())),
            None => Err(Walk::Unknown(self.place.clone())),
        }
    }

    /// Goes to the entry of this name, or where it leads if it is a link.
    fn enter(&mut self, name: &[u8]) -> Result<(), Walk> {
        let slash: &[u8] = if self.place == b"/" { b"" } else { b"/" };
        let next = [&self.place, slash, name].concat();
        match self.facts.fact(&next) {
            None => return Err(Walk::Unknown(next)),
            Some(Fact::Absent) => return Err(Walk::Absent(next)),
            Some(Fact::Link { target }) if !self.rest().is_empty() || self.last == Last::Follow => {
                self.links += 1;
                if self.links > LINKS_MAX {
                    return Err(Walk::Loop);
                }
                self.turn(target);
            }
            Some(_) => self.place = next,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fact::{Digest, FileFact, Time};
    use super::Last::{Follow, NoFollow};
    use super::*;

    fn tree() -> Facts {
        let link = |target: &str| Fact::Link { target: target.into() };
        let file = FileFact { size: 0, mtime: Time::default(), perm: 4, group: 0, digest: Digest([0; 32]) };
        let mut facts: Facts = [
            ("/", Fact::Dir { perm: 5 }),
            ("/d", Fact::Dir { perm: 5 }),
            ("/d/e", Fact::Dir { perm: 1 }),
            ("/d/e/f", Fact::File(file)),
            ("/d/none", Fact::Absent),
            ("/closed", Fact::Dir { perm: 4 }),
            ("/abs", link("/d/e")),
            ("/rel", link("d/e")),
            ("/d/up", link("../d/e/..")),
            ("/d/e/self", link(".")),
            ("/slash", link("d/e/")),
            ("/fileslash", link("d/e/f/")),
            ("/file", link("d/e/f")),
            ("/dangling", link("d/none")),
            ("/loop", link("loop")),
            ("/ping", link("pong/x")),
            ("/pong", link("ping")),
            ("/out", link("/proc/self/exe")),
            ("/l0", link("d/e/f")),
        ]
        .into_iter()
        .map(|(path, fact)| (path.into(), fact))
        .collect();
        for n in 1..=40 {
            facts.insert(format!("/l{n}").into(), link(&format!("l{}", n - 1)));
        }
        facts
    }

    type Row<'a> = (&'a str, &'a str, Last, Walk);

    fn found(path: &str) -> Walk {
        Walk::Found(path.into())
    }

    fn absent(path: &str) -> Walk {
        Walk::Absent(path.into())
    }

    fn no_dir(path: &str) -> Walk {
        Walk::NotADirectory(path.into())
    }

    fn unknown(path: &str) -> Walk {
        Walk::Unknown(path.into())
    }

    fn all_lead(rows: &[Row<'_>]) {
        for (start, path, last, leads) in rows {
            assert_eq!(walk(&tree(), start.as_bytes(), path.as_bytes(), *last), *leads, "{start} {path} {last:?}");
        }
    }

    #[test]
    fn names_dots_and_slashes() {
        let file = found("/d/e/f");
        let (longest, too_long, many_dots) = ("/".repeat(4095), "/".repeat(4096), "./".repeat(2047));
        all_lead(&[
            ("/", "d/e/f", Follow, file.clone()),
            ("/d", "/d/e/f", Follow, file.clone()),
            ("/d/e", "f", NoFollow, file.clone()),
            ("/d/e", "../e/./f", Follow, file.clone()),
            ("/d/e", "../../../..", Follow, found("/")),
            ("/", "//d///e//f", Follow, file.clone()),
            ("/d", ".", Follow, found("/d")),
            ("/d", "./", NoFollow, found("/d")),
            ("/d", "/", Follow, found("/")),
            ("/d", &longest, Follow, found("/")),
            ("/d", &too_long, Follow, Walk::TooLong),
            ("/d", &many_dots, Follow, found("/d")),
            ("/", "", Follow, Walk::NoPath),
            ("/", "d\0", Follow, Walk::NoPath),
        ]);
    }

    #[test]
    fn links_and_loops() {
        let file = found("/d/e/f");
        all_lead(&[
            ("/", "abs/f", NoFollow, file.clone()),
            ("/d", "../rel/f", Follow, file.clone()),
            ("/", "abs", Follow, found("/d/e")),
            ("/", "abs", NoFollow, found("/abs")),
            ("/", "abs/", NoFollow, found("/d/e")),
            ("/", "abs/.", NoFollow, found("/d/e")),
            ("/", "abs/..", NoFollow, found("/d")),
            ("/", "abs/../e/f", Follow, file.clone()),
            ("/d", "up", Follow, found("/d")),
            ("/d", "up/up/up/e/self/self/f", Follow, file.clone()),
            ("/", "slash", Follow, found("/d/e")),
            ("/", "slash/f", Follow, file.clone()),
            ("/", "file", Follow, file.clone()),
            ("/", "file/", NoFollow, no_dir("/d/e/f")),
            ("/", "fileslash", Follow, no_dir("/d/e/f")),
            ("/", "fileslash", NoFollow, found("/fileslash")),
            ("/", "loop", Follow, Walk::Loop),
            ("/", "loop", NoFollow, found("/loop")),
            ("/", "loop/x", NoFollow, Walk::Loop),
            ("/", "ping", Follow, Walk::Loop),
            ("/", "l39", Follow, file.clone()),
            ("/", "l40", Follow, Walk::Loop),
            ("/", "abs/../../l39", Follow, Walk::Loop),
            ("/", "abs/../../l38", Follow, file.clone()),
        ]);
    }

    #[test]
    fn what_is_missing_or_in_the_way() {
        let name = "n".repeat(255);
        let (long_name, last) = (format!("d/{name}n"), format!("/d/{name}"));
        all_lead(&[
            ("/", "d/none", Follow, absent("/d/none")),
            ("/", "d/none/", Follow, absent("/d/none")),
            ("/", "d/none/x/../y", Follow, absent("/d/none")),
            ("/", "dangling", Follow, absent("/d/none")),
            ("/", "dangling", NoFollow, found("/dangling")),
            ("/", "dangling/..", Follow, absent("/d/none")),
            ("/", "d/e/f/", Follow, no_dir("/d/e/f")),
            ("/", "d/e/f/.", Follow, no_dir("/d/e/f")),
            ("/", "d/e/f/..", Follow, no_dir("/d/e/f")),
            ("/", "d/e/f/x", Follow, no_dir("/d/e/f")),
            ("/d/e/f", "x", Follow, no_dir("/d/e/f")),
            ("/", "closed", Follow, found("/closed")),
            ("/", "closed/", Follow, found("/closed")),
            ("/", "closed/x", Follow, Walk::Denied("/closed".into())),
            ("/", "closed/..", Follow, Walk::Denied("/closed".into())),
            // Names that are too long count only where they are looked up.
            ("/", &long_name, Follow, Walk::TooLong),
            ("/d", &name, Follow, unknown(&last)),
            ("/d/none", &long_name, Follow, absent("/d/none")),
            // What no fact speaks of.
            ("/", "x", Follow, unknown("/x")),
            ("/", "x/y", Follow, unknown("/x")),
            ("/x", "y", Follow, unknown("/x")),
            ("/d", "x/..", Follow, unknown("/d/x")),
            ("/", "out", Follow, unknown("/proc")),
            ("/", "out", NoFollow, found("/out")),
        ]);
    }

    #[test]
    fn without_facts_nothing_is_known() {
        assert_eq!(walk(&Facts::new(), b"/", b"/", Follow), Walk::Unknown(b"/".into()));
        assert_eq!(walk(&Facts::new(), b"/a", b"b", Follow), Walk::Unknown(b"/a".into()));
    }

    /// What is to go grows by a link's length for each link, and no more.
    #[test]
    fn work_is_bounded() {
        let mut facts = tree();
        facts.insert(b"/long".into(), Fact::Link { target: "./".repeat(2040).into_bytes() });
        assert_eq!(walk(&facts, b"/", &b"long/".repeat(800), Follow), Walk::Loop);
    }
}
