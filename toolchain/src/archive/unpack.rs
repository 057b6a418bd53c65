//! Safe unpack: an archive of a stranger into a folder of ours (`sandbox/SECURITY.md`).
//!
//! Only files, folders, symbolic links and hard links are made; nothing is written through a link, nothing outside the
//! folder, and every size, count and length has a limit. Whatever else an archive holds, it is refused as a whole by a named
//! error. It removes nothing: who made the folder removes it after an error.

mod error;

use super::Compression;
use super::codec::Plain;
use super::member::{Kind, Member, Members};
use crate::tree::{Lost, Node, Tree};
pub use error::UnpackError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Bounds of one archive. The defaults are those of the design.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes as they come.
    pub compressed: u64,
    /// Bytes of the tar, all members of the compression together.
    pub expanded: u64,
    /// How many times larger than what came so far.
    pub ratio: u64,
    /// Members, and the folders above them that are none but have to be made.
    pub entries: u32,
    /// Bytes of all their names, and of what links say: they are kept in memory.
    pub names: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Length of a name in bytes.
    pub name: usize,
    /// Components of a name.
    pub depth: usize,
    /// Largest zstd window, as a power of two: 27 is what 1.4 takes; the small profile sets 23
    /// (decision: environment-compression).
    pub zstd_window_log: u32,
    /// Memory of the xz decoder in KiB: its dictionary, mostly.
    pub xz_memory_kib: u32,
    /// Bytes of the disk that stay free, whoever else fills it meanwhile.
    pub disk_kept: u64,
    /// Compute 1.4's name as well ([`Unpacked::md5_name`]); costs a second pass of hashing.
    pub md5_name: bool,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            compressed: 512 << 20,
            expanded: 4 << 30,
            ratio: 200,
            entries: 100_000,
            names: 32 << 20,
            file: 1 << 30,
            name: 4096,
            depth: 64,
            zstd_window_log: 27,
            xz_memory_kib: 160 << 10, // xz -9 needs 65 MiB; twice that and some
            disk_kept: 0,
            md5_name: false,
        }
    }
}

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// BLAKE3 of the uncompressed tar, every byte of it: our content name (decision: content-names), see
    /// [`crate::digest`].
    pub digest: [u8; 32],
    /// 1.4's name of it, if [`UnpackLimits::md5_name`] asked for it.
    pub md5_name: Option<[u8; 16]>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that it takes of the disk: what the cache limit counts. Small files, folders and links are not for nothing.
    pub disk: u64,
    /// Bytes of the uncompressed tar.
    pub tar_bytes: u64,
    /// Number of files.
    pub files: u32,
    /// How it was compressed.
    pub compression: Compression,
}

/// Unpacks the archive that `input` gives into the existing, empty folder `dir`.
///
/// Files become 0644 or 0755, folders 0755, all of the caller's owner; the mount points `tmp`, `dev` and `proc` are made.
/// It stops by an error at the first thing that is not allowed; what was made by then is left for the caller to remove.
pub fn unpack(input: impl Read, dir: &Path, limits: &UnpackLimits) -> Result<Unpacked, UnpackError> {
    let top = rustix::fs::openat(CWD, dir, FOLDER, Mode::empty())
        .map_err(|e| UnpackError::Write { name: dir.as_os_str().as_encoded_bytes().into(), source: e.into() })?;
    let mut members = Members::new(Plain::new(input, limits)?);
    let mut making = Making {
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
        making.member(member, &mut members)?;
    }
    making.links()?;
    making.complete()?;
    Ok(Unpacked {
        digest: *members.plain.hasher.finalize().as_bytes(),
        md5_name: making.md5.map(crate::digest::Md5Name::finish),
        bytes: making.bytes,
        disk: making.bytes.saturating_add(u64::from(making.entries).saturating_mul(ENTRY)),
        tar_bytes: members.plain.expanded,
        files: making.files,
        compression: members.plain.compression,
    })
}

/// What a file takes beside its bytes, and a folder or link at all, in bytes: a block of most file systems.
const ENTRY: u64 = 4096;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder being filled.
struct Making<'a> {
    top: OwnedFd,
    tree: Tree,
    /// The folder used last, as members of one folder mostly follow each other.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Symbolic links are made last: until then nothing can be written through them.
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

impl Making<'_> {
    fn member(&mut self, member: Member, members: &mut Members<'_>) -> Result<(), UnpackError> {
        let name = self.name(&member.name)?;
        self.count(&name, &member.kind)?;
        if name.is_empty() {
            // `./` is the folder itself.
            return match member.kind {
                Kind::Folder => Ok(()),
                _ => Err(UnpackError::Name { name: member.name.into(), why: "is the environment's own folder" }),
            };
        }
        if let Some((through, _)) = self.tree.obstacle(&name) {
            return Err(UnpackError::Through { through: through.into(), name: name.into() });
        }
        match (self.tree.at(&name), &member.kind) {
            (None, _) => {}
            (Some(Node::Folder), Kind::Folder) => {}
            (Some(_), _) => return Err(UnpackError::Twice { name: name.into() }),
        }
        match member.kind {
            Kind::Folder => {
                self.folder(&name).map_err(|source| UnpackError::Write { name: name.as_slice().into(), source })?;
                self.tree.insert(&name, Node::Folder);
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

    /// Counts a member, and the folders above it that are made with it, before anything is made.
    fn count(&mut self, name: &[u8], kind: &Kind) -> Result<(), UnpackError> {
        let mut add = |name: usize| {
            self.entries = self.entries.saturating_add(1);
            self.names = self.names.saturating_add(name as u64);
        };
        add(match kind {
            Kind::Symlink(text) => name.len() + text.len(),
            Kind::File | Kind::Folder | Kind::Hardlink(_) => name.len(),
        });
        self.tree.missing_above(name).for_each(|folder| add(folder.len()));
        if self.entries > self.limits.entries {
            return Err(UnpackError::Entries { limit: self.limits.entries });
        }
        if self.names > self.limits.names {
            return Err(UnpackError::Names { limit: self.limits.names });
        }
        self.keep_disk_free()
    }

    /// Looked at while it is written, as several archives may come at once, and others write to the same disk.
    fn keep_disk_free(&self) -> Result<(), UnpackError> {
        let full = |disk: &rustix::fs::StatVfs| {
            // Without blocks it is a file system in memory without a limit.
            disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < self.limits.disk_kept
        };
        match rustix::fs::fstatvfs(&self.top) {
            Ok(disk) if full(&disk) => Err(UnpackError::Disk { kept: self.limits.disk_kept }),
            // What cannot be looked at shows when it is written to.
            _ => Ok(()),
        }
    }

    /// Checks a name and takes `.` and doubled `/` out of it. Empty: the folder itself.
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

    fn file(&mut self, name: &[u8], member: &Member, members: &mut Members<'_>) -> Result<(), UnpackError> {
        if member.size > self.limits.file {
            return Err(UnpackError::FileSize { name: name.into(), size: member.size, limit: self.limits.file });
        }
        let failed = |source: io::Error| UnpackError::Write { name: name.into(), source };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (folder, base) = split(name);
        let folder = self.folder(folder).map_err(failed)?;
        let fd = rustix::fs::openat(folder, base, flags, Mode::from_raw_mode(0o600)).map_err(|e| failed(e.into()))?;
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
        // Set-id bits are dropped, and everybody may read: jobs run as other users than the daemon.
        let mode = Mode::from_raw_mode(if member.executable { 0o755 } else { 0o644 });
        rustix::fs::fchmod(&file, mode).map_err(|e| failed(e.into()))?;
        let time = Timespec { tv_sec: i64::try_from(member.mtime).unwrap_or(0), tv_nsec: 0 };
        // Dates are a nicety: a file system that cannot hold this one is no reason to fail.
        let _ = rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time });
        self.bytes += member.size;
        self.files += 1;
        Ok(())
    }

    fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        let refuse = || UnpackError::HardLink { name: name.into(), target: target.into() };
        let from = self.name(target).map_err(|_| refuse())?;
        if self.tree.at(&from) != Some(&Node::File) || self.tree.obstacle(&from).is_some() {
            return Err(refuse());
        }
        let failed = |source: io::Error| UnpackError::Write { name: name.into(), source };
        let (from_folder, from_base) = split(&from);
        let (folder, base) = split(name);
        let from_folder = self.folder(from_folder).map_err(failed)?.try_clone_to_owned().map_err(failed)?;
        let folder = self.folder(folder).map_err(failed)?;
        rustix::fs::linkat(&from_folder, from_base, folder, base, AtFlags::empty()).map_err(|e| failed(e.into()))?;
        if let Some(names) = &mut self.md5 {
            names.same_as(name, &from);
        }
        self.files += 1;
        Ok(())
    }

    /// Makes the symbolic links, after it is known that none leads out.
    fn links(&mut self) -> Result<(), UnpackError> {
        for (name, text) in std::mem::take(&mut self.links) {
            if let Err(why @ (Lost::Outside | Lost::Circle)) = self.tree.resolve(&name) {
                return Err(UnpackError::Link { name: name.into(), why });
            }
            let (folder, base) = split(&name);
            let made = self.folder(folder).and_then(|folder| Ok(rustix::fs::symlinkat(&text[..], folder, base)?));
            made.map_err(|source| UnpackError::Write { name: name.as_slice().into(), source })?;
        }
        Ok(())
    }

    /// Is this an environment at all? And the mount points of the jobs' boxes.
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
            if self.tree.at(name).is_some_and(|node| *node != Node::Folder) {
                return Err(UnpackError::NoEnvironment(why));
            }
            self.folder(name).map_err(|source| UnpackError::Write { name: name.into(), source })?;
        }
        Ok(())
    }

    /// Opens a folder below the top, component by component and never through a link; makes what is missing.
    fn folder(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
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
                let folder = rustix::fs::openat(above, part, FOLDER, Mode::empty())?;
                if is_new {
                    // Whatever the umask: jobs of other users pass through, and the owner can always remove it.
                    rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o755))?;
                }
                here = Some(folder);
            }
            self.last = here.map(|fd| (path.to_vec(), fd));
        }
        Ok(self.last.as_ref().map_or(self.top.as_fd(), |(_, fd)| fd.as_fd()))
    }
}

/// Folder and last component.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    name.iter().rposition(|b| *b == b'/').map_or((&b""[..], name), |at| (&name[..at], &name[at + 1..]))
}
