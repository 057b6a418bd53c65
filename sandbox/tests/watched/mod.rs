//! The same attacks by a job of files mode, which is watched at each path: in the environment as a submitter's tree, of
//! which everything is told.

use ice_sandbox::channel;
use ice_sandbox::factory::FilesNeeds;
use ice_sandbox::oracle::{Oracle, Own, Stands, Walk};
use ice_sandbox::supervisor::Tree;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The attacks. Others are on what files mode does not have, or are on the outputs, of which `files_jobs` has its own.
pub const ROWS: &[&str] = &[
    "read-shadow",
    "read-base",
    "dot-dot",
    "inherited-descriptors",
    "identity",
    "signals",
    "environment",
    "remount-env",
    "umount-env",
    "chroot-again",
    "mknod",
    "leave-file",
    "find-file",
    "fill-tmp",
    "many-files",
    "kill-all",
    "kill-first",
    "daemonise",
    "trace-first",
    "fork-bomb",
    "connect",
    "netlink",
    "socket",
    "user-namespace",
    "clone-namespace",
    "clone3",
    "rare-calls",
    "unknown-calls",
    EXECUTE_MEMORY,
    "lease",
    "limit-first",
    "tiocsti",
    "x32-call",
    "set-id",
    "core-dump",
    "huge-file",
    "ignore-term-and-loop",
    "all-memory",
];

/// The one that the supervisor stops, and not the filter.
pub const EXECUTE_MEMORY: &str = "execute-memory";

/// What such a job needs, with the bounds of the others.
pub fn needs<'a>(below: &'a [String], layers: &'a [String], wall: Duration) -> FilesNeeds<'a> {
    FilesNeeds { below, layers, slot: 0, memory: 256 << 20, tmp: 8 << 20, file: 4 << 20, wall, umask: 0o077 }
}

/// A tree of which everything is told.
pub fn tree() -> io::Result<Tree> {
    let (_submitter, asks) = channel::pair()?;
    let oracle = Box::new(|| Ok(Box::new(Whole) as Box<dyn Oracle>));
    Ok(Tree { oracle, asks, cwd: b"/tmp".to_vec(), outputs: Vec::new(), temporary: vec![b"/tmp".to_vec()] })
}

/// Says what is there.
struct Whole;

impl Oracle for Whole {
    fn at(&mut self, path: &[u8]) -> Option<Stands> {
        let path = Path::new(OsStr::from_bytes(path));
        Some(match fs::symlink_metadata(path).map(|stat| stat.file_type()) {
            Ok(kind) if kind.is_dir() => Stands::Directory { readable: true },
            Ok(kind) if kind.is_symlink() => {
                Stands::Link(fs::read_link(path).map(|to| to.into_os_string().into_vec()).unwrap_or_default())
            }
            Ok(_) => Stands::File,
            Err(_) => Stands::Nothing,
        })
    }

    fn names(&mut self, _: &[u8]) -> Option<&[Vec<u8>]> {
        None
    }

    fn walk(&mut self, _: &dyn Own, start: &[u8], path: &[u8], _: bool) -> Walk {
        let path = PathBuf::from(OsStr::from_bytes(start)).join(OsStr::from_bytes(path));
        match fs::canonicalize(path) {
            Ok(path) => Walk::Found(path.into_os_string().into_vec()),
            Err(e) if e.kind() == ErrorKind::NotFound => Walk::Absent,
            Err(_) => Walk::Denied,
        }
    }

    fn learn(&mut self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn used(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}
