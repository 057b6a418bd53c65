//! Files that come from a compile server: received whole beside their place, then put there as the compiler would have put them.
//!
//! | writes | file there | empty file there | link | after an error |
//! |---|---|---|---|---|
//! | gcc `-S` ([`Writing::Into`]) | emptied and filled | the same | the file that it leads to | removed |
//! | an assembler ([`Writing::Anew`]) | removed first | filled | removed first if it leads to something, else filled there | untouched |
//! | clang ([`Writing::Renamed`]) | replaced | replaced | replaced | removed |
//!
//! What is filled keeps its names, mode and owner. So a target is the old one or whole, but for the moment in which a whole one is
//! copied into a file that the compiler would fill.

use super::elf;
use super::expected::Expected;
use ice_core::cmdline::{RemoteJob, Writing};
use ice_core::message::Chunk;
use ice_core::reason::{Reason, Why};
use ice_net::compress::Unpacker;
use rustix::fs::{Access, AtFlags, CWD, accessat, fstatvfs};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Names that are tried: only a file of an earlier process with our number can be in the way.
const NAMES_MAX: u32 = 100;
/// Links that lead from one to the next, as many as the kernel follows.
const LINKS_MAX: usize = 40;

/// An output of a job, and how its compiler would write it. Relative to the working directory, as the compiler takes it: there may
/// be no other way to it.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    writing: Writing,
}

/// What is to be done with a file that is whole.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// It takes this name; what had it before is gone.
    Name(PathBuf),
    /// Its content goes into the file that is there.
    Into(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        let (Self::Name(path) | Self::Into(path)) = self;
        path
    }
}

impl Target {
    /// The object, or the text of `-S`.
    pub(super) fn object(job: &RemoteJob) -> Self {
        Self { path: OsStr::from_bytes(&job.output).into(), writing: job.writing }
    }

    /// The split debug information.
    pub(super) fn dwo(job: &RemoteJob) -> Self {
        Self { path: OsStr::from_bytes(&job.dwo()).into(), writing: job.dwo_writing() }
    }

    /// Any other file that the compiler writes itself.
    pub(super) fn side(path: PathBuf) -> Self {
        Self { path, writing: Writing::Into }
    }

    /// Where the compiler would write, by what is there now. Where it would fail, or write something that is no regular file, only
    /// it can do it.
    fn place(&self) -> Result<Place, Reason> {
        let (path, writing) = (&self.path, self.writing);
        let is_missing = |err: &io::Error| err.kind() == io::ErrorKind::NotFound;
        let place = match fs::metadata(path) {
            Ok(there) if !there.is_file() => return Err(Reason::Output),
            Ok(there) if writing == Writing::Anew && there.len() > 0 => Place::Name(path.clone()),
            Ok(_) if !is_allowed(path, Access::WRITE_OK) => return Err(Reason::OutputUnwritable),
            Ok(_) if writing == Writing::Renamed => Place::Name(path.clone()),
            Ok(_) => Place::Into(path.clone()),
            Err(err) if is_missing(&err) && writing == Writing::Renamed => Place::Name(path.clone()),
            Err(err) if is_missing(&err) => Place::Name(end_of_links(path).ok_or(Reason::OutputUnwritable)?),
            Err(_) => return Err(Reason::OutputUnwritable),
        };
        if is_allowed(directory(place.path()), Access::WRITE_OK | Access::EXEC_OK) {
            Ok(place)
        } else {
            Err(Reason::OutputUnwritable)
        }
    }

    /// A compile has failed: what is there becomes what the compiler would leave.
    pub(super) fn leave_as_failed(&self) -> Result<(), Reason> {
        let Ok(there) = fs::symlink_metadata(&self.path) else { return Ok(()) };
        let unlink = || fs::remove_file(&self.path).map_err(|_| Reason::OutputOfFailure);
        match self.writing {
            Writing::Anew => Ok(()),
            Writing::Renamed => unlink(),
            Writing::Into if there.is_file() && there.nlink() == 1 => unlink(),
            // It is removed as well, but what it has become is seen by another name.
            Writing::Into => Err(Reason::OutputOfFailure),
        }
    }
}

/// Why only the compiler itself can write the outputs of `job`, by what is there now.
pub(super) fn check(job: &RemoteJob) -> Result<(), Reason> {
    let object = Target::object(job);
    object.place()?;
    if job.split_dwarf {
        let dwo = Target::dwo(job);
        dwo.place()?;
        if dwo.path == object.path {
            return Err(Reason::OutputTwice);
        }
    }
    let file = |path: &Path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    // gcc refuses it, or empties it before it is read.
    match file(&object.path) {
        Some(output) if file(Path::new(OsStr::from_bytes(&job.input))) == Some(output) => Err(Reason::OutputTwice),
        _ => Ok(()),
    }
}

/// The name at which a link ends that leads to nothing; `path` itself if it is none.
fn end_of_links(path: &Path) -> Option<PathBuf> {
    let mut end = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&end) {
            Ok(next) => end = directory(&end).join(next),
            Err(_) => return Some(end),
        }
    }
    None
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_allowed(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

/// A file that is being received under a name of its own beside its target. Dropped before [`Incoming::place`], it is removed.
pub(super) struct Incoming {
    target: Target,
    temporary: Option<PathBuf>,
    file: File,
    size: u64,
    unpacker: Unpacker,
    plain: Vec<u8>,
}

impl Incoming {
    /// Makes the temporary, with the mode that the compiler would give (0666 less the umask).
    pub(super) fn create(target: Target) -> Result<Self, Reason> {
        let place = target.place().map_err(|reason| {
            log::warn!("{}: {reason}", target.path.display());
            Reason::NoTemporary
        })?;
        match temporary(place.path()) {
            Ok((temporary, file)) => {
                let (unpacker, plain) = (Unpacker::new(), Vec::new());
                Ok(Self { target, temporary: Some(temporary), file, size: 0, unpacker, plain })
            }
            Err(err) => {
                log::warn!("cannot write beside {}: {err}", target.path.display());
                Err(Reason::NoTemporary)
            }
        }
    }

    /// Writes a piece.
    pub(super) fn write(&mut self, chunk: &Chunk) -> Result<(), Reason> {
        self.plain.clear();
        if let Err(err) = self.unpacker.unpack(chunk, &mut self.plain) {
            log::warn!("internal error: {}", crate::exit::chain(&err));
            return Err(Reason::ObjectCut);
        }
        self.size = self.size.saturating_add(u64::try_from(self.plain.len()).unwrap_or(u64::MAX));
        if !self.has_room() {
            log::warn!(
                "more than {} bytes of {} came, which is too much for this disk",
                self.size,
                self.target.path.display()
            );
            return Err(Reason::ObjectUnwritten);
        }
        self.file.write_all(&self.plain).map_err(|err| {
            log::warn!("cannot write {}: {err}", self.target.path.display());
            Reason::ObjectUnwritten
        })
    }

    /// Whether the disk has room for as much as came. Where its size is not known, it is the kernel that says no.
    fn has_room(&self) -> bool {
        let disk = fstatvfs(&self.file).ok().filter(|disk| disk.f_blocks > 0);
        disk.is_none_or(|disk| leaves_enough(self.size, disk.f_bavail.saturating_mul(disk.f_frsize)))
    }

    /// Whether this can be an output of the job, now that the server has sent its end.
    pub(super) fn check(&self, expected: &Expected<'_>) -> Result<(), Why> {
        let mut head = [0; elf::HEADER];
        let read = self.file.read_at(&mut head, 0).map_err(|err| {
            log::warn!("cannot read what came for {}: {err}", self.target.path.display());
            Reason::ObjectUnwritten
        })?;
        let head = head.get(..read).unwrap_or_default();
        let is_cut = elf::is_cut(head, self.size).then(|| format!("{} bytes, which is not all", self.size));
        let why = is_cut.or_else(|| expected.objection(head));
        why.map_or(Ok(()), |why| Err(Reason::FalseResult.with(format!("{} is {why}", self.target.path.display()))))
    }

    /// Where it belongs, and its content, which loses its name.
    pub(super) fn keep_content(mut self) -> io::Result<(PathBuf, File)> {
        self.file.rewind()?;
        Ok((self.target.path.clone(), self.file.try_clone()?))
    }

    /// The file is whole: it goes where the compiler would have put it.
    pub(super) fn place(mut self) -> Result<(), Reason> {
        let Some(temporary) = self.temporary.as_ref() else { return Err(Reason::NoTemporary) };
        let place = self.target.place().map_err(|_| Reason::NoTemporary)?;
        let placed = match &place {
            Place::Name(name) => fs::rename(temporary, name),
            Place::Into(there) => fill(there, &mut self.file),
        };
        placed.map_err(|err| {
            log::warn!("cannot put {} in place: {err}", place.path().display());
            Reason::ObjectUnwritten
        })?;
        if matches!(place, Place::Name(_)) {
            self.temporary = None;
        }
        Ok(())
    }
}

/// Whether a file of `size` bytes may grow where so many are free: whoever fills our disk shall leave as much as he took.
fn leaves_enough(size: u64, free: u64) -> bool {
    size <= free
}

/// Empties the file and copies all of `from` into it.
fn fill(there: &Path, from: &mut File) -> io::Result<()> {
    from.rewind()?;
    let mut there = OpenOptions::new().write(true).truncate(true).open(there)?;
    io::copy(from, &mut there).map(|_| ())
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// A new file in the target's directory: a rename must not leave the file system.
fn temporary(target: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let mut name = OsString::from(format!(".icecc-{}", std::process::id()));
        name.push(format!("-{number}.tmp"));
        let path = target.with_file_name(name);
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists && number < NAMES_MAX => number += 1,
            Err(err) => return Err(err),
        }
    }
}

/// Writes all of `bytes`; who closed the pipe does not want them.
pub(super) fn print(mut to: impl Write, bytes: &[u8]) {
    if !bytes.is_empty() {
        let _ = to.write_all(bytes).and_then(|()| to.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ice_core::version::Version;
    use ice_net::compress::Packer;
    use std::os::unix::fs::symlink;

    fn target(path: &Path, writing: Writing) -> Target {
        Target { path: path.to_path_buf(), writing }
    }

    fn receive(path: &Path, writing: Writing) -> Incoming {
        let chunk = Packer::new(1).pack(b"new object", Version::new(43)).unwrap();
        let mut incoming = Incoming::create(target(path, writing)).unwrap();
        incoming.write(&chunk).unwrap();
        incoming
    }

    #[test]
    fn a_target_is_old_or_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.o");
        for writing in [Writing::Anew, Writing::Into, Writing::Renamed] {
            fs::write(&path, "old").unwrap();
            let incoming = receive(&path, writing);
            assert_eq!(fs::read(&path).unwrap(), b"old");
            drop(incoming);
            receive(&path, writing).place().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new object");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            for place in ["/nonexistent/a.o", "/dev/null", "/tmp"] {
                let refused = Incoming::create(target(Path::new(place), writing)).err();
                assert_eq!(refused, Some(Reason::NoTemporary));
            }
        }
    }

    #[test]
    fn names_of_a_file_are_kept_where_the_compiler_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other, link) = (folder.path().join("a.o"), folder.path().join("other"), folder.path().join("link"));
        for (writing, old, by_other_name) in [
            (Writing::Into, "old", "new object"),
            (Writing::Anew, "old", "old"),
            (Writing::Anew, "", "new object"),
            (Writing::Renamed, "", ""),
        ] {
            for make in [|a: &Path, b: &Path| fs::hard_link(a, b), |a: &Path, b: &Path| symlink(a, b)] {
                let _ = fs::remove_file(&path);
                fs::write(&other, old).unwrap();
                make(&other, &path).unwrap();
                receive(&path, writing).place().unwrap();
                assert_eq!(fs::read_to_string(&other).unwrap(), by_other_name, "{writing:?} {old:?}");
                assert_eq!(fs::read(&path).unwrap(), b"new object");
            }
            fs::remove_file(&other).unwrap();
            symlink(&other, &link).unwrap();
            receive(&link, writing).place().unwrap();
            assert_eq!(other.exists(), writing != Writing::Renamed);
            assert_eq!(fs::read(&link).unwrap(), b"new object");
            fs::remove_file(&link).unwrap();
        }
    }

    #[test]
    fn a_failure_leaves_what_the_compiler_would_leave() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.o"), folder.path().join("other"));
        for (writing, stays) in [(Writing::Anew, true), (Writing::Into, false), (Writing::Renamed, false)] {
            assert_eq!(target(&other, writing).leave_as_failed(), Ok(()), "there is nothing");
            fs::write(&path, "old").unwrap();
            assert_eq!(target(&path, writing).leave_as_failed(), Ok(()));
            assert_eq!(path.exists(), stays, "{writing:?}");
        }
        fs::write(&path, "old").unwrap();
        fs::hard_link(&path, &other).unwrap();
        assert_eq!(target(&path, Writing::Into).leave_as_failed(), Err(Reason::OutputOfFailure));
        assert!(path.exists());
    }
}
