//! The calls that take a path: where it is in their arguments, and what they do with it.
//!
//! A job of files mode is watched at each of them: one that was forgotten here would look into a tree that is not
//! whole, and the overlay would remember what it did not find.

use crate::numbers::Machine;

/// Whether a link at the end of the path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// It is.
    Always,
    /// It is not.
    Never,
    /// It is, unless `AT_SYMLINK_NOFOLLOW` is in this argument.
    Unless(u8),
    /// It is not, unless `AT_SYMLINK_FOLLOW` is in this argument.
    If(u8),
}

/// What a call does with its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Opens it. The flags are in this argument; `None`: those of `creat`.
    Open(Option<u8>),
    /// Looks at it.
    Look(Follows),
    /// Runs it.
    Execute,
    /// Makes it the working directory.
    Enter,
    /// Changes what stands there, but not its contents.
    Change(Follows),
    /// Makes something that must not be there yet.
    Make,
    /// Removes it.
    Remove,
    /// Gives it the other path.
    Rename,
    /// Gives it the other path too.
    Link(Follows),
}

/// The arguments of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The descriptor of the directory from which it leads; `None`: the working directory.
    pub(crate) dir: Option<u8>,
    /// The path.
    pub(crate) path: u8,
}

/// A call that takes a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathCall {
    pub(crate) does: Does,
    pub(crate) place: Place,
    /// The second path of a call that has two.
    pub(crate) other: Option<Place>,
}

/// A path from the working directory.
const fn plain(path: u8) -> Place {
    Place { dir: None, path }
}

/// A path from a directory.
const fn at(dir: u8) -> Place {
    Place { dir: Some(dir), path: dir + 1 }
}

const fn one(does: Does, place: Place) -> PathCall {
    PathCall { does, place, other: None }
}

const fn two(does: Does, place: Place, other: Place) -> PathCall {
    PathCall { does, place, other: Some(other) }
}

use Does::{Change, Enter, Execute, Link, Look, Make, Open, Remove, Rename};
use Follows::{Always, If, Never, Unless};

/// The table. `openat2` is in no row of the filter: its flags are in memory, which can change after a look.
#[rustfmt::skip]
const CALLS: &[(&str, PathCall)] = &[
    ("access", one(Look(Always), plain(0))),
    ("chdir", one(Enter, plain(0))),
    ("chmod", one(Change(Always), plain(0))),
    ("chown", one(Change(Always), plain(0))),
    ("chown32", one(Change(Always), plain(0))),
    ("creat", one(Open(None), plain(0))),
    ("execve", one(Execute, plain(0))),
    ("faccessat", one(Look(Always), at(0))),
    ("faccessat2", one(Look(Unless(3)), at(0))),
    ("fchmodat", one(Change(Always), at(0))),
    ("fchmodat2", one(Change(Unless(3)), at(0))),
    ("fchownat", one(Change(Unless(4)), at(0))),
    ("fstatat64", one(Look(Unless(3)), at(0))),
    ("futimesat", one(Change(Always), at(0))),
    ("getxattr", one(Look(Always), plain(0))),
    ("lchown", one(Change(Never), plain(0))),
    ("lchown32", one(Change(Never), plain(0))),
    ("lgetxattr", one(Look(Never), plain(0))),
    ("link", two(Link(Never), plain(0), plain(1))),
    ("linkat", two(Link(If(4)), at(0), at(2))),
    ("listxattr", one(Look(Always), plain(0))),
    ("llistxattr", one(Look(Never), plain(0))),
    ("lstat", one(Look(Never), plain(0))),
    ("lstat64", one(Look(Never), plain(0))),
    ("mkdir", one(Make, plain(0))),
    ("mkdirat", one(Make, at(0))),
    ("mknod", one(Make, plain(0))),
    ("mknodat", one(Make, at(0))),
    ("newfstatat", one(Look(Unless(3)), at(0))),
    ("open", one(Open(Some(1)), plain(0))),
    ("openat", one(Open(Some(2)), at(0))),
    ("readlink", one(Look(Never), plain(0))),
    ("readlinkat", one(Look(Never), at(0))),
    ("rename", two(Rename, plain(0), plain(1))),
    ("renameat", two(Rename, at(0), at(2))),
    ("renameat2", two(Rename, at(0), at(2))),
    ("rmdir", one(Remove, plain(0))),
    ("stat", one(Look(Always), plain(0))),
    ("stat64", one(Look(Always), plain(0))),
    ("statfs", one(Look(Always), plain(0))),
    ("statfs64", one(Look(Always), plain(0))),
    ("statx", one(Look(Unless(2)), at(0))),
    ("symlink", one(Make, plain(1))),
    ("symlinkat", one(Make, at(1))),
    ("truncate", one(Change(Always), plain(0))),
    ("truncate64", one(Change(Always), plain(0))),
    ("unlink", one(Remove, plain(0))),
    ("unlinkat", one(Remove, at(0))),
    ("utime", one(Change(Always), plain(0))),
    ("utimensat", one(Change(Unless(3)), at(0))),
    ("utimensat_time64", one(Change(Unless(3)), at(0))),
    ("utimes", one(Change(Always), plain(0))),
];

/// The call that takes no path and yet moves the working directory.
const MOVES: &str = "fchdir";

/// Whether a job of files mode is watched at this call.
pub(crate) fn is_watched(name: &str) -> bool {
    name == MOVES || CALLS.binary_search_by(|(row, _)| (*row).cmp(name)).is_ok()
}

/// A call at which a job is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// It takes a path.
    Path(PathCall),
    /// It moves the working directory to an open one.
    Move,
}

/// The calls at which a job is watched, by their numbers on this machine and the 32-bit one that it runs too.
#[derive(Debug)]
pub(crate) struct WatchedCalls(Vec<((u32, u32), Watched)>);

impl WatchedCalls {
    /// Makes the table.
    pub(crate) fn new() -> Self {
        let own = Machine::own();
        let machines = own.into_iter().chain(own.and_then(Machine::narrow));
        let of = |machine: Machine| {
            let paths = CALLS.iter().map(|(name, call)| (*name, Watched::Path(*call)));
            let all = paths.chain([(MOVES, Watched::Move)]);
            all.filter_map(move |(name, call)| Some(((machine.audit(), machine.number(name)?), call)))
        };
        let mut calls: Vec<_> = machines.flat_map(of).collect();
        calls.sort_unstable_by_key(|(number, _)| *number);
        Self(calls)
    }

    /// The call of this machine with this number, if a job is watched at it.
    pub(crate) fn find(&self, machine: u32, number: u32) -> Option<Watched> {
        let row = self.0.binary_search_by_key(&(machine, number), |(row, _)| *row).ok()?;
        self.0.get(row).map(|(_, call)| *call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found_by_number() {
        assert!(CALLS.is_sorted_by(|(a, _), (b, _)| a < b));
        let watched = WatchedCalls::new();
        let Some(own) = Machine::own() else { return };
        for machine in [Some(own), own.narrow()].into_iter().flatten() {
            let open = machine.number("openat").and_then(|number| watched.find(machine.audit(), number));
            assert_eq!(open, Some(Watched::Path(one(Open(Some(2)), at(0)))));
            assert_eq!(machine.number("fchdir").and_then(|n| watched.find(machine.audit(), n)), Some(Watched::Move));
            assert_eq!(machine.number("read").and_then(|n| watched.find(machine.audit(), n)), None);
        }
        assert_eq!(watched.find(1, 2), None);
    }
}
