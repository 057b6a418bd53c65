//! Files that come from a compile server: put whole beside their target and renamed, never half an object.

use super::elf;
use ice_core::client::Trouble;
use ice_core::message::Chunk;
use ice_net::compress::Unpacker;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Names that are tried: only a file of an earlier process with our number can be in the way.
const NAMES_MAX: u32 = 100;

/// A file that is being received under a name of its own beside its target. Dropped before [`Incoming::place`], it is removed.
pub(super) struct Incoming {
    target: PathBuf,
    temporary: Option<PathBuf>,
    file: File,
    unpacker: Unpacker,
    plain: Vec<u8>,
}

impl Incoming {
    /// Makes the temporary, with the mode that the compiler would give (0666 less the umask).
    pub(super) fn create(target: &[u8]) -> Result<Self, Trouble> {
        let target = PathBuf::from(OsStr::from_bytes(target));
        if !may_be_replaced(&target) {
            return Err(Trouble::NoTemporary);
        }
        match temporary(&target) {
            Ok((temporary, file)) => {
                Ok(Self { target, temporary: Some(temporary), file, unpacker: Unpacker::new(), plain: Vec::new() })
            }
            Err(err) => {
                log::warn!("cannot write beside {}: {err}", target.display());
                Err(Trouble::NoTemporary)
            }
        }
    }

    /// Writes a piece.
    pub(super) fn write(&mut self, chunk: &Chunk) -> Result<(), Trouble> {
        self.plain.clear();
        if let Err(err) = self.unpacker.unpack(chunk, &mut self.plain) {
            log::warn!("internal error: {}", crate::exit::chain(&err));
            return Err(Trouble::ObjectCut);
        }
        self.file.write_all(&self.plain).map_err(|err| {
            log::warn!("cannot write {}: {err}", self.target.display());
            Trouble::ObjectUnwritten
        })
    }

    /// Whether all of an object can be there, now that the server has sent its end.
    pub(super) fn check(&self) -> Result<(), Trouble> {
        let mut head = [0; elf::HEADER];
        let read = self.file.metadata().and_then(|meta| Ok((self.file.read_at(&mut head, 0)?, meta.len())));
        match read {
            Ok((n, size)) if !elf::is_cut(head.get(..n).unwrap_or_default(), size) => Ok(()),
            Ok((_, size)) => {
                log::warn!("{} bytes of {} came, which is not all", size, self.target.display());
                Err(Trouble::ObjectCut)
            }
            Err(err) => {
                log::warn!("cannot read what came for {}: {err}", self.target.display());
                Err(Trouble::ObjectUnwritten)
            }
        }
    }

    /// The file is whole: it becomes its target. A link or a read-only file there is replaced, as in 1.4.
    pub(super) fn place(mut self) -> Result<(), Trouble> {
        let Some(temporary) = self.temporary.take() else { return Err(Trouble::NoTemporary) };
        std::fs::rename(&temporary, &self.target).map_err(|err| {
            log::warn!("cannot rename to {}: {err}", self.target.display());
            self.temporary = Some(temporary);
            Trouble::NoTemporary
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Whether a rename may put a file in this place. A device or pipe is written to, never replaced: `-o /dev/null` by root would
/// cost the host its `/dev/null`.
pub(super) fn may_be_replaced(target: &Path) -> bool {
    match std::fs::symlink_metadata(target) {
        Ok(meta) => meta.is_file() || meta.is_symlink(),
        Err(_) => true,
    }
}

/// A new file in the target's folder: a rename must not leave the file system.
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

    #[test]
    fn a_target_is_old_or_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.o");
        std::fs::write(&target, "old").unwrap();
        let bytes = target.as_os_str().as_bytes();
        let chunk = Packer::new(1).pack(b"new object", Version::new(43)).unwrap();
        let mut incoming = Incoming::create(bytes).unwrap();
        incoming.write(&chunk).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        drop(incoming);
        let mut incoming = Incoming::create(bytes).unwrap();
        incoming.write(&chunk).unwrap();
        incoming.place().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new object");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        for place in [&b"/nonexistent/a.o"[..], b"/dev/null", b"/tmp"] {
            assert_eq!(Incoming::create(place).err(), Some(Trouble::NoTemporary));
        }
    }
}
