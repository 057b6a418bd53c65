//! The directories that are not the submitter's: `/proc` is the sandbox's own, `/dev` has four devices, `/sys` is not
//! there.

use crate::factory::DEVICES;

/// What to do about a path in one of these directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// The kernel may look: it is the sandbox's own.
    Own,
    /// There is nothing, which no program minds.
    Nothing,
    /// It may be another thing on the submitter's host, or leads back to his files by a way that is not watched.
    Elsewhere,
}

/// Whether a canonical path is one of these directories.
pub(super) fn is_root(path: &[u8]) -> bool {
    matches!(path, b"/proc" | b"/dev" | b"/sys")
}

/// Judges a path from a directory by its text. `None`: it does not begin in such a directory.
pub(super) fn judge(start: &[u8], path: &[u8]) -> Option<Special> {
    let (before, path): (&[u8], _) = if path.starts_with(b"/") { (&[], path) } else { (start, path) };
    let is_end = |name: &&[u8]| !name.is_empty() && *name != b".";
    let mut names = [before, path].into_iter().flat_map(|part| part.split(|c| *c == b'/')).filter(is_end);
    let top = names.next().filter(|top| matches!(*top, b"proc" | b"dev" | b"sys"))?;
    let rest: Vec<&[u8]> = names.collect();
    Some(match top {
        _ if rest.contains(&&b".."[..]) => Special::Elsewhere,
        b"proc" => proc(&rest, path.ends_with(b"/") || path.ends_with(b"/.")),
        b"dev" => dev(&rest),
        _ => Special::Nothing,
    })
}

/// Through some of its links a path would lead to the submitter's files.
fn proc(names: &[&[u8]], goes_on: bool) -> Special {
    let through = if goes_on { names } else { names.split_last().map_or(names, |(_, before)| before) };
    let is_link = |name: &&[u8]| matches!(*name, b"root" | b"cwd" | b"exe");
    let of_list = through.windows(2).any(|pair| matches!(pair, [b"fd" | b"map_files", _]));
    if of_list || through.iter().any(is_link) { Special::Elsewhere } else { Special::Own }
}

fn dev(names: &[&[u8]]) -> Special {
    match names {
        [] => Special::Own,
        [name] if DEVICES.iter().any(|device| device.as_bytes() == *name) => Special::Own,
        _ => Special::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_judged_by_where_they_begin() {
        use Special::{Elsewhere, Nothing, Own};
        for (start, path, expected) in [
            ("/", "/usr/include", None),
            ("/src", "a.h", None),
            ("/src", "proc/a.h", None),
            ("/src", "/proc", Some(Own)),
            ("/src", "//proc/./self/exe", Some(Own)),
            ("/src", "/proc/self/fd/3", Some(Own)),
            ("/src", "/proc/self/cwd/a.h", Some(Elsewhere)),
            ("/src", "/proc/self/cwd/", Some(Elsewhere)),
            ("/src", "/proc/self/fd/3/a.h", Some(Elsewhere)),
            ("/src", "/proc/self/task/7/root/a.h", Some(Elsewhere)),
            ("/src", "/proc/../usr", Some(Elsewhere)),
            ("/proc/7", "cwd", Some(Own)),
            ("/proc/7", "cwd/x", Some(Elsewhere)),
            ("/", "dev/null", Some(Own)),
            ("/", "/dev/tty", Some(Elsewhere)),
            ("/", "/dev/fd/3", Some(Elsewhere)),
            ("/", "/sys/devices/system/cpu/online", Some(Nothing)),
        ] {
            assert_eq!(judge(start.as_bytes(), path.as_bytes()), expected, "{start} {path}");
        }
    }
}
