//! One fact: what stands at a canonical path, as the user sees it.

use crate::limits::{NAME_MAX, PATH_MAX};
use std::fmt;

macro_rules! bytes_in_hex {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Reads 64 lower-case hexadecimal digits.
            pub fn from_hex(hex: &[u8]) -> Option<Self> {
                let hex: &[u8; 64] = hex.try_into().ok()?;
                let mut bytes = [0; 32];
                for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
                    *byte = pair.iter().try_fold(0, |high, c| Some(high << 4 | digit(*c)?))?;
                }
                Some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

bytes_in_hex! {
    /// BLAKE3 of bytes: of a file, or of encoded facts.
    Digest
}
bytes_in_hex! {
    /// The secret name of a submitter's tree on compile servers: who does not know it sees and changes nothing there.
    Token
}

/// The value of a hexadecimal digit.
fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

/// What stands at a canonical path: all its parents are directories, and it has no `.`, `..` or link in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Nothing.
    Absent,
    /// A directory.
    Dir {
        /// Bits of [`Fact::READABLE`] and [`Fact::EXECUTABLE`]: what the user may do.
        perm: u8,
    },
    /// A symbolic link.
    Link {
        /// What it says.
        target: Vec<u8>,
    },
    /// A regular file.
    File(FileFact),
    /// The names in a directory, sorted. Its key is [`names_key`] of the directory.
    Names(Vec<Vec<u8>>),
}

impl Fact {
    /// The user may read it.
    pub const READABLE: u8 = 4;
    /// The user may execute it, or search the directory.
    pub const EXECUTABLE: u8 = 1;
}

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Its length in bytes.
    pub size: u64,
    /// When it was changed last.
    pub mtime: Time,
    /// As that of a directory.
    pub perm: u8,
    /// 0, or a number that exactly the hard links to one file share.
    pub group: u64,
    /// Of its contents.
    pub digest: Digest,
}

/// A time of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds beyond them, below 10^9.
    pub nanoseconds: u32,
}

/// The key of the [`Fact::Names`] of a directory: its path with `/` behind it.
pub fn names_key(dir: &[u8]) -> Vec<u8> {
    [dir, b"/"].concat()
}

/// Whether a path is absolute and has no empty component, `.`, `..`, NUL or `/` at its end, and no name or path is too
/// long. `/` is canonical.
pub fn is_canonical(path: &[u8]) -> bool {
    match path.strip_prefix(b"/") {
        Some([]) => true,
        Some(names) => path.len() < PATH_MAX && names.split(|c| *c == b'/').all(is_name),
        None => false,
    }
}

/// Whether a directory can have an entry of this name.
pub(super) fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_MAX && !name.iter().any(|c| matches!(c, 0 | b'/'))
}

/// The path of an entry of a directory.
pub fn child(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if dir == b"/" { b"" } else { b"/" };
    [dir, slash, name].concat()
}

/// The directory in which a path stands, or whose names a key is for; none for `/`.
pub fn parent(key: &[u8]) -> Option<&[u8]> {
    match key.iter().rposition(|c| *c == b'/')? {
        0 if key.len() == 1 => None,
        0 => key.get(..1),
        slash => key.get(..slash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_paths() {
        let deep = "/abc".repeat(1023);
        let (long, too_long) = (format!("/{}", "n".repeat(255)), format!("/{}", "n".repeat(256)));
        for good in ["/", "/a", "/a/b.c", "/...", "/.a/..b", &long, &deep] {
            assert!(is_canonical(good.as_bytes()), "{good}");
        }
        for bad in ["", "a", "a/b", "//", "/a/", "/a//b", "/.", "/a/..", "/../a", "/a\0", &too_long] {
            assert!(!is_canonical(bad.as_bytes()), "{bad}");
        }
        assert!(!is_canonical(format!("{deep}/abc").as_bytes()), "4096 bytes have no room for the NUL");
    }

    #[test]
    fn parents() {
        let of = |key: &str| parent(key.as_bytes()).map(|dir| String::from_utf8_lossy(dir).into_owned());
        let table = [("/", None), ("//", Some("/")), ("/a", Some("/")), ("/a/", Some("/a")), ("/a/b", Some("/a"))];
        for (key, dir) in table {
            assert_eq!(of(key).as_deref(), dir, "{key}");
        }
        assert_eq!([names_key(b"/"), names_key(b"/a")], [b"//".to_vec(), b"/a/".to_vec()]);
        assert_eq!([child(b"/", b"a"), child(b"/a", b"b")], [b"/a".to_vec(), b"/a/b".to_vec()]);
        assert_eq!([parent(b""), parent(b"a")], [None, None]);
    }

    #[test]
    fn digests_in_hex() {
        let digest = Digest(std::array::from_fn(|i| i as u8 * 8));
        let hex = digest.to_string();
        assert!(hex.starts_with("0008101820") && hex.len() == 64, "{hex}");
        assert_eq!(Digest::from_hex(hex.as_bytes()), Some(digest));
        for bad in ["", &hex[1..], &hex.to_uppercase(), &format!("{hex}00"), &hex.replace('0', "g")] {
            assert_eq!(Digest::from_hex(bad.as_bytes()), None, "{bad}");
        }
    }
}
