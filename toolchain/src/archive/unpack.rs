//! Safe unpacking of an untrusted archive into a directory (`sandbox/SECURITY.md`).
//!
//! Only files, directories, symbolic links and hard links are created. Nothing is written through a link or outside the
//! directory, and every size, count and length has a limit. An archive with anything else is refused as a whole by a
//! specific error. Nothing is removed here: the caller removes the directory after an error.

use super::Compression;
use super::decompress::Decompressed;
use super::error::UnpackError;
use super::limits::UnpackLimits;
use super::tar_reader::{Kind, Member, Members};
use crate::tree::{Node, ResolveError, Tree};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// BLAKE3 of the whole uncompressed tar: the content name (decision: content-names), see [`crate::digest`].
    pub digest: [u8; 32],
    /// 1.4's name of it, if [`UnpackLimits::md5_name`] was set.
    pub md5_name: Option<[u8; 16]>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Disk usage in bytes, including a block for each file, directory and link: what the cache limit counts.
    pub disk: u64,
    /// Bytes of the uncompressed tar.
    pub tar_bytes: u64,
    /// Number of files.
    pub files: u32,
    /// The compression that was detected.
    pub compression: Compression,
}

/// Unpacks the archive that `input` provides into the existing, empty directory `dir`.
///
/// Files get mode 0644 or 0755, directories 0755, all owned by the caller; the mount points `tmp`, `dev` and `proc` are
/// created. Unpacking stops at the first violation with its [`UnpackError`]; the caller removes what was created until
/// then.
pub fn unpack(input: impl Read, dir: &Path, limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
    let top = rustix::fs::openat(CWD, dir, OPEN_DIR, Mode::empty())
        .map_err(|e| UnpackError::Write { name: dir.as_os_str().as_encoded_bytes().into(), source: e.into() })?;
    let mut members = Members::new(Decompressed::new(input, limits)?);
    let mut unpacker = Unpacker {
        top,
        tree: Tree::default(),
        last: None,
        links: Vec::new(),
        entries: 0,
        names: 0,
        bytes: 0,
        files: 0,
        md5: limits.md5_name.then(crate::digest::Md5Name::new),
        limits,
    };
    while let Some(member) = members.next()? {
        unpacker.member(member, &mut members)?;
    }
    unpacker.links()?;
    unpacker.complete()?;
    Ok(Unpacked {
        digest: *members.plain.hasher.finalize().as_bytes(),
        md5_name: unpacker.md5.map(crate::digest::Md5Name::finish),
        bytes: unpacker.bytes,
        disk: unpacker.bytes.saturating_add(u64::from(unpacker.entries).saturating_mul(ENTRY)),
        tar_bytes: members.plain.expanded,
        files: unpacker.files,
        compression: members.plain.compression,
    })
}

/// Disk usage in bytes of each file, directory or link beside its content: a block of most file systems.
const ENTRY: u64 = 4096;

/// Flags to open a directory, not following a link.
const OPEN_DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An environment's directory while it is unpacked.
struct Unpacker<'a> {
    top: OwnedFd,
    tree: Tree,
    /// The last directory used: consecutive members are mostly in the same one.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Symbolic links, with their targets. They are created last, so that nothing can be written through them.
    links: Vec<(Vec<u8>, Vec<u8>)>,
    /// Counted against [`UnpackLimits::entries`].
    entries: u32,
    /// Counted against [`UnpackLimits::names`].
    names: u64,
    bytes: u64,
    files: u32,
    md5: Option<crate::digest::Md5Name>,
    limits: &'a UnpackLimits,
}

impl Unpacker<'_> {
    /// Creates one member, or notes it if it is a symbolic link.
    fn member(&mut self, member: Member, members: &mut Members<'_>) -> Result<(), UnpackError> {
        let name = self.name(&member.name)?;
        self.count(&name, &member.kind)?;
        if name.is_empty() {
            // `./` is the directory itself.
            return match member.kind {
                Kind::Directory => Ok(()),
                _ => Err(UnpackError::Name { name: member.name.into(), why: "is the environment's own folder" }),
            };
        }
        if let Some((through, _)) = self.tree.obstacle(&name) {
            return Err(UnpackError::Through { through: through.into(), name: name.into() });
        }
        match (self.tree.at(&name), &member.kind) {
            (None, _) => {}
            (Some(Node::Directory), Kind::Directory) => {}
            (Some(_), _) => return Err(UnpackError::Twice { name: name.into() }),
        }
        match member.kind {
            Kind::Directory => {
                self.dir(&name).map_err(|source| UnpackError::Write { name: name.as_slice().into(), source })?;
                self.tree.insert(&name, Node::Directory);
            }
            Kind::File => {
                self.file(&name, &member, members)?;
                self.tree.insert(&name, Node::File);
            }
            Kind::Symlink(text) => {
                if text.is_empty() || text.len() > self.limits.name || text.contains(&0) {
                    return Err(UnpackError::Name { name: text.into(), why: "is no target of a link" });
                }
                self.tree.insert(&name, Node::Link(text.clone()));
                self.links.push((name, text));
            }
            Kind::Hardlink(target) => {
                self.hard_link(&name, &target)?;
                self.tree.insert(&name, Node::File);
            }
        }
        Ok(())
    }

    /// Counts a member, and the directories created for it, before anything is created.
    fn count(&mut self, name: &[u8], kind: &Kind) -> Result<(), UnpackError> {
        let mut add = |name: usize| {
            self.entries = self.entries.saturating_add(1);
            self.names = self.names.saturating_add(name as u64);
        };
        add(match kind {
            Kind::Symlink(text) => name.len() + text.len(),
            Kind::File | Kind::Directory | Kind::Hardlink(_) => name.len(),
        });
        self.tree.missing_ancestors(name).for_each(|dir| add(dir.len()));
        if self.entries > self.limits.entries {
            return Err(UnpackError::Entries { limit: self.limits.entries });
        }
        if self.names > self.limits.names {
            return Err(UnpackError::Names { limit: self.limits.names });
        }
        self.keep_disk_free()
    }

    /// Checks the free space. This is repeated while files are written, as several archives may arrive at once and
    /// others may write to the same disk.
    fn keep_disk_free(&self) -> Result<(), UnpackError> {
        let full = |disk: &rustix::fs::StatVfs| {
            // A file system without blocks is one in memory without a limit.
            disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < self.limits.disk_kept
        };
        match rustix::fs::fstatvfs(&self.top) {
            Ok(disk) if full(&disk) => Err(UnpackError::Disk { kept: self.limits.disk_kept }),
            // If it cannot be determined, a full disk shows when it is written to.
            _ => Ok(()),
        }
    }

    /// Checks a name and removes `.` and doubled `/`. The result is empty for the directory itself.
    fn name(&self, name: &[u8]) -> Result<Vec<u8>, UnpackError> {
        let refuse = |why| Err(UnpackError::Name { name: name[..name.len().min(200)].into(), why });
        if name.is_empty() {
            return refuse("is empty");
        }
        if name.len() > self.limits.name {
            return refuse("is too long");
        }
        if name[0] == b'/' {
            return refuse("is absolute");
        }
        if name.iter().any(u8::is_ascii_control) {
            return refuse("has a control character");
        }
        let parts: Vec<&[u8]> = name.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").collect();
        if parts.contains(&&b".."[..]) {
            return refuse("has a .. in it");
        }
        if parts.len() > self.limits.depth {
            return refuse("is too deep");
        }
        Ok(parts.join(&b'/'))
    }

    /// Creates a file with its content.
    fn file(&mut self, name: &[u8], member: &Member, members: &mut Members<'_>) -> Result<(), UnpackError> {
        if member.size > self.limits.file {
            return Err(UnpackError::FileSize { name: name.into(), size: member.size, limit: self.limits.file });
        }
        let failed = |source: io::Error| UnpackError::Write { name: name.into(), source };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (dir, base) = split(name);
        let dir = self.dir(dir).map_err(failed)?;
        let fd = rustix::fs::openat(dir, base, flags, Mode::from_raw_mode(0o600)).map_err(|e| failed(e.into()))?;
        let mut file = File::from(fd);
        let mut md5 = self.md5.is_some().then(md5::Context::new);
        let mut buf = vec![0; 1 << 17];
        loop {
            let n = members.read(&mut buf)?;
            if n == 0 {
                break;
            }
            file.write_all(&buf[..n]).map_err(failed)?;
            self.keep_disk_free()?;
            if let Some(md5) = &mut md5 {
                md5.consume(&buf[..n]);
            }
        }
        if let (Some(names), Some(md5)) = (&mut self.md5, md5) {
            names.file(name, md5.finalize().0);
        }
        // Set-id bits are dropped. All users may read, as jobs have other users than the daemon.
        let mode = Mode::from_raw_mode(if member.executable { 0o755 } else { 0o644 });
        rustix::fs::fchmod(&file, mode).map_err(|e| failed(e.into()))?;
        let time = Timespec { tv_sec: i64::try_from(member.mtime).unwrap_or(0), tv_nsec: 0 };
        // A failure is ignored: dates are not essential, and a file system may not support this one.
        let _ = rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time });
        self.bytes += member.size;
        self.files += 1;
        Ok(())
    }

    /// Creates a hard link to an earlier file of the archive.
    fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        let refuse = || UnpackError::HardLink { name: name.into(), target: target.into() };
        let from = self.name(target).map_err(|_| refuse())?;
        if self.tree.at(&from) != Some(&Node::File) || self.tree.obstacle(&from).is_some() {
            return Err(refuse());
        }
        let failed = |source: io::Error| UnpackError::Write { name: name.into(), source };
        let (from_dir, from_base) = split(&from);
        let (dir, base) = split(name);
        let from_dir = self.dir(from_dir).map_err(failed)?.try_clone_to_owned().map_err(failed)?;
        let dir = self.dir(dir).map_err(failed)?;
        rustix::fs::linkat(&from_dir, from_base, dir, base, AtFlags::empty()).map_err(|e| failed(e.into()))?;
        if let Some(names) = &mut self.md5 {
            names.same_as(name, &from);
        }
        self.files += 1;
        Ok(())
    }

    /// Creates the symbolic links once it is known that none leads out.
    fn links(&mut self) -> Result<(), UnpackError> {
        for (name, text) in std::mem::take(&mut self.links) {
            if let Err(why @ (ResolveError::Outside | ResolveError::Circle)) = self.tree.resolve(&name) {
                return Err(UnpackError::Link { name: name.into(), why });
            }
            let (dir, base) = split(&name);
            let made = self.dir(dir).and_then(|dir| Ok(rustix::fs::symlinkat(&text[..], dir, base)?));
            made.map_err(|source| UnpackError::Write { name: name.as_slice().into(), source })?;
        }
        Ok(())
    }

    /// Checks that this is an environment, and creates the mount points for jobs.
    fn complete(&mut self) -> Result<(), UnpackError> {
        if !self.tree.is_file(b"usr/bin/gcc") && !self.tree.is_file(b"usr/bin/clang") {
            return Err(UnpackError::NoEnvironment("neither usr/bin/gcc nor usr/bin/clang is in it"));
        }
        if !self.tree.is_file(b"usr/bin/as") {
            return Err(UnpackError::NoEnvironment("usr/bin/as is missing"));
        }
        for (name, why) in
            [(&b"tmp"[..], "tmp is no folder"), (b"dev", "dev is no folder"), (b"proc", "proc is no folder")]
        {
            if self.tree.at(name).is_some_and(|node| *node != Node::Directory) {
                return Err(UnpackError::NoEnvironment(why));
            }
            self.dir(name).map_err(|source| UnpackError::Write { name: name.into(), source })?;
        }
        Ok(())
    }

    /// Opens a directory below the root, component by component without following links, and creates missing ones.
    fn dir(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        if path.is_empty() {
            return Ok(self.top.as_fd());
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let mut here = None;
            for part in path.split(|b| *b == b'/') {
                let above = here.as_ref().map_or(self.top.as_fd(), OwnedFd::as_fd);
                let is_new = match rustix::fs::mkdirat(above, part, Mode::from_raw_mode(0o755)) {
                    Ok(()) => true,
                    Err(rustix::io::Errno::EXIST) => false,
                    Err(e) => return Err(e.into()),
                };
                let dir = rustix::fs::openat(above, part, OPEN_DIR, Mode::empty())?;
                if is_new {
                    // The mode must not depend on the umask: jobs of other users pass through, and the owner must be
                    // able to remove it.
                    rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))?;
                }
                here = Some(dir);
            }
            self.last = here.map(|fd| (path.to_vec(), fd));
        }
        Ok(self.last.as_ref().map_or(self.top.as_fd(), |(_, fd)| fd.as_fd()))
    }
}

/// Splits a name into its directory and its last component.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    name.iter().rposition(|b| *b == b'/').map_or((&b""[..], name), |at| (&name[..at], &name[at + 1..]))
}
