//! What goes into an environment: a map from names to contents, before a byte is written.
//!
//! It doesn't know where compilers lie; `native` fills it, `archive` writes it.

use ice_core::text::Text;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where the text stands that says what an environment is.
pub const INFO_NAME: &[u8] = b"usr/share/icecream/env";

/// The content of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The bytes of a file of this machine.
    File {
        /// The file, free of links.
        source: PathBuf,
        /// Whether any x bit is set.
        executable: bool,
    },
    /// Bytes made here, as a file 0644.
    Bytes(Vec<u8>),
    /// A relative link.
    Link(Vec<u8>),
}

/// Names without a leading `/`, and their contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the archive.
    pub entries: BTreeMap<Vec<u8>, Content>,
}

/// Why something cannot be added.
#[derive(Debug, Error)]
pub enum AddError {
    /// Not there, or not to be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A device, pipe or socket.
    #[error("{} is neither a file nor a folder", .0.display())]
    NotAFile(PathBuf),
    /// Two different contents for one name.
    #[error("two different files for /{name}: {} and {}", .first.display(), .second.display())]
    Conflict {
        /// The name.
        name: Text,
        /// What has it already.
        first: PathBuf,
        /// What wanted it too.
        second: PathBuf,
    },
}

impl Plan {
    /// Adds the file `source` as `name`, links followed. `false`: it was there already, with the same content.
    pub fn add_file(&mut self, name: &[u8], source: &Path) -> Result<bool, AddError> {
        let failed = |e| AddError::Read { path: source.to_path_buf(), source: e };
        let real = fs::canonicalize(source).map_err(failed)?;
        let meta = fs::metadata(&real).map_err(failed)?;
        if !meta.is_file() {
            return Err(AddError::NotAFile(source.to_path_buf()));
        }
        // Unreadable files are found now, not when half of the archive is written.
        fs::File::open(&real).map_err(failed)?;
        let executable = meta.permissions().mode() & 0o111 != 0;
        match self.entries.get(name) {
            None => {
                self.entries.insert(name.to_vec(), Content::File { source: real, executable });
                Ok(true)
            }
            Some(Content::File { source: first, .. }) => {
                if *first == real || same_content(first, &real).map_err(failed)? {
                    return Ok(false);
                }
                Err(AddError::Conflict { name: name.into(), first: first.clone(), second: real })
            }
            Some(_) => Err(AddError::Conflict { name: name.into(), first: PathBuf::new(), second: real }),
        }
    }

    /// Adds bytes as a file.
    pub fn add_bytes(&mut self, name: &[u8], bytes: Vec<u8>) {
        self.entries.insert(name.to_vec(), Content::Bytes(bytes));
    }

    /// Adds a relative link at `name` to the name `target`.
    pub fn add_link(&mut self, name: &[u8], target: &[u8]) {
        self.entries.insert(name.to_vec(), Content::Link(relative(name, target)));
    }

    /// The file behind `name`, if one is planned there.
    pub fn source(&self, name: &[u8]) -> Option<&Path> {
        match self.entries.get(name)? {
            Content::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The text of a link at `name` that leads to `target`, both from the top.
pub fn relative(name: &[u8], target: &[u8]) -> Vec<u8> {
    let folders: Vec<&[u8]> = name.split(|b| *b == b'/').collect();
    let parts: Vec<&[u8]> = target.split(|b| *b == b'/').collect();
    let depth = folders.len() - 1;
    let same = folders[..depth].iter().zip(&parts[..parts.len() - 1]).take_while(|(a, b)| a == b).count();
    let mut text = vec![&b".."[..]; depth - same];
    text.extend(&parts[same..]);
    text.join(&b'/')
}

/// Takes `.`, `..` and doubled `/` out of an absolute path textually, as a shell does; without the leading `/`.
pub fn textual_name(path: &Path) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.as_os_str().as_bytes().split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// A name as a path from `/`.
pub fn as_path(name: &[u8]) -> PathBuf {
    Path::new("/").join(OsStr::from_bytes(name))
}

fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    if fs::metadata(a)?.len() != fs::metadata(b)?.len() {
        return Ok(false);
    }
    Ok(file_hash(a)? == file_hash(b)?)
}

/// BLAKE3 of a file's bytes.
pub(crate) fn file_hash(path: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative() {
        let text = |name: &str, target: &str| String::from_utf8(relative(name.as_bytes(), target.as_bytes())).unwrap();
        assert_eq!(text("usr/bin/g++", "usr/bin/gcc"), "gcc");
        assert_eq!(text("lib/x/liba.so", "usr/lib/liba.so"), "../../usr/lib/liba.so");
        assert_eq!(text("usr/lib/a", "usr/bin/a"), "../bin/a");
        assert_eq!(text("a", "usr/bin/a"), "usr/bin/a");
        assert_eq!(text("usr/bin/a", "b"), "../../b");
    }

    #[test]
    fn paths_are_cleaned_as_text() {
        assert_eq!(textual_name(Path::new("/usr//lib/./gcc/../bin/x")), b"usr/lib/bin/x");
        assert_eq!(textual_name(Path::new("/../x")), b"x");
    }

    #[test]
    fn one_name_has_one_content() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = [("a", "1"), ("b", "1"), ("c", "2")].map(|(name, text)| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        });
        let mut plan = Plan::default();
        assert!(plan.add_file(b"n", &a).unwrap());
        assert!(!plan.add_file(b"n", &b).unwrap());
        assert!(matches!(plan.add_file(b"n", &c), Err(AddError::Conflict { .. })));
        assert!(matches!(plan.add_file(b"m", &dir.path().join("none")), Err(AddError::Read { .. })));
        assert!(matches!(plan.add_file(b"m", dir.path()), Err(AddError::NotAFile(_))));
    }
}
