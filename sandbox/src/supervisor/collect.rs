//! What a job left in its upper layer: outputs to hand over, and what it may not have written.

use super::made::relative;
use super::{Supervisor, join, split};
use crate::oracle::{Stands, Walk};
use crate::report::{FilesEnded, Written};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

impl Supervisor {
    /// What came of the job, all of whose processes have ended.
    pub(crate) fn end(mut self) -> io::Result<FilesEnded> {
        let mut outputs = Vec::new();
        let temporary = self.temporary_dirs();
        let mut dirs = vec![b"/".to_vec()];
        while let Some(dir) = dirs.pop() {
            for name in self.names_in_upper(&dir)? {
                let path = join(&dir, &name);
                match self.left(&path, temporary.contains(&dir)) {
                    Left::Output(declared) => outputs.push(self.hand_over(&path, declared)?),
                    Left::Dir => dirs.push(path),
                    Left::Stray => self.strays(&path),
                    // An open output keeps the whole file system in memory.
                    Left::Temporary => drop(fs::remove_file(self.path_in_upper(&path))),
                    Left::Nothing => {}
                }
            }
        }
        let written: BTreeSet<Vec<u8>> = outputs.iter().map(|output| output.path.clone()).collect();
        let deleted = self.removed.iter().filter_map(|path| self.made.outputs.get(path));
        let deleted = deleted.filter(|declared| !written.contains(*declared)).cloned().collect();
        let Self { oracle, stray, refused, .. } = self;
        Ok(FilesEnded { used: oracle.used(), outputs, deleted, stray, refused })
    }

    /// Directories in which a file is temporary: of those that are named, all but the ones in which the job works or
    /// has an output.
    fn temporary_dirs(&mut self) -> BTreeSet<Vec<u8>> {
        let mut dirs = BTreeSet::new();
        for name in std::mem::take(&mut self.temporary) {
            if let Walk::Found(dir) = self.oracle.walk(&self.made, b"/", &name, true) {
                dirs.insert(dir);
            }
        }
        let works_in = self.made.outputs.keys().filter_map(|path| split(path)).map(|(dir, _)| dir);
        for dir in works_in.chain([self.cwd.as_slice()]) {
            dirs.remove(dir);
        }
        dirs
    }

    fn names_in_upper(&self, dir: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let names = fs::read_dir(self.path_in_upper(dir))?;
        names.map(|entry| entry.map(|entry| entry.file_name().into_vec())).collect()
    }

    /// A path by which this process reaches an entry of the upper layer, which is mounted nowhere.
    fn path_in_upper(&self, path: &[u8]) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.made.upper.as_raw_fd())).join(relative(path))
    }

    /// What an entry of the upper layer means.
    fn left(&mut self, path: &[u8], is_temporary: bool) -> Left {
        let Some(kind) = self.made.stat(path).map(|stat| stat.st_mode & libc::S_IFMT) else { return Left::Nothing };
        let declared = self.made.outputs.get(path).cloned();
        match (kind, declared) {
            (libc::S_IFREG, Some(declared)) => Left::Output(declared),
            (libc::S_IFCHR, Some(_)) => Left::Nothing,
            (libc::S_IFCHR, None) if self.made.hidden.contains(path) => Left::Nothing,
            // A directory of the submitter's in which something was written is there too, and so are two of ours.
            (libc::S_IFDIR, None) if matches!(path, b"/proc" | b"/dev") => Left::Nothing,
            (libc::S_IFDIR, None) if matches!(self.oracle.at(path), Some(Stands::Directory { .. })) => Left::Dir,
            (libc::S_IFDIR, None) if is_temporary => Left::Nothing,
            (_, None) if is_temporary => Left::Temporary,
            _ => Left::Stray,
        }
    }

    /// Opens an output.
    fn hand_over(&self, path: &[u8], declared: Vec<u8>) -> io::Result<Written> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mode = self.made.stat(path).ok_or(Errno::ENOENT)?.st_mode & 0o7777;
        let open = || openat(&self.made.upper, relative(path), flags, Mode::empty());
        let file = match open() {
            // The job wrote what it may not read, as some umask wants it.
            Err(Errno::EACCES) => {
                let readable = Mode::from_bits_truncate(mode | libc::S_IRUSR);
                nix::sys::stat::fchmodat(
                    &self.made.upper,
                    relative(path),
                    readable,
                    nix::sys::stat::FchmodatFlags::FollowSymlink,
                )?;
                open()?
            }
            file => file?,
        };
        Ok(Written { path: declared, mode, file })
    }
}

/// What an entry of the upper layer means.
enum Left {
    /// An output, declared by this name.
    Output(Vec<u8>),
    /// More may be in it.
    Dir,
    /// Nobody declared it.
    Stray,
    /// Nobody needs it.
    Temporary,
    /// Nothing.
    Nothing,
}
