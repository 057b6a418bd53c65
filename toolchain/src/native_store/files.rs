//! The files of a compiler as they are on disk now: the key of its archive, and whether an archive is as new as they are.

use super::index::Packed;
use super::path_of;
use crate::archive::Compression;
use crate::find;
use ice_core::cmdline::compiler_names;
use ice_core::daemon::{FileFacts, NativeKey};
use ice_core::text::Text;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// How far behind the kernel's time of a change may be: twice the longest tick.
const TICK: Duration = Duration::from_millis(20);

/// Why a request names nothing that can be packed.
#[derive(Debug, Error)]
pub enum ExamineError {
    /// No such compression.
    #[error("unknown compression type {0:?}")]
    Compression(Text),
    /// The compiler is in a directory that is closed to us.
    #[error("cannot reach {} as the daemon's user", .path.display())]
    Closed {
        /// The compiler.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The compiler is not there, or no program.
    #[error("Compiler binary {} for environment not found.", .0.display())]
    NotFound(PathBuf),
    /// A file's path does not begin at the root.
    #[error("cannot read {}: not an absolute path", .0.display())]
    Relative(PathBuf),
    /// A file is not there, or closed to us.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A file changed while it was packed: it may be in the archive as it was or as it is.
#[derive(Debug, Error)]
#[error("{} changed while it was packed", .0.display())]
pub struct Changed(pub PathBuf);

/// The moment from which files that are packed must not change.
#[derive(Clone, Copy, Debug)]
pub struct Begun(SystemTime);

impl Begun {
    /// Now. Returns as soon as a change of a file gets a later time than this, so that one of a moment ago, as of a file
    /// that was just made, is none.
    pub fn now() -> Self {
        let now = SystemTime::now();
        thread::sleep(TICK);
        Self(now)
    }
}

/// Looks at the files of a request: the C compiler with the C++ compiler beside it, and extra files.
pub fn examine(compiler: &Path, extra_files: &[Text], compression: &Text) -> Result<NativeKey, ExamineError> {
    if !compression.is_empty() && Compression::parse(compression.as_bytes()).is_none() {
        return Err(ExamineError::Compression(compression.clone()));
    }
    if let Some(source) = fs::metadata(compiler).err().filter(|e| e.kind() == io::ErrorKind::PermissionDenied) {
        return Err(ExamineError::Closed { path: compiler.to_path_buf(), source });
    }
    if !find::is_executable_file(compiler) {
        return Err(ExamineError::NotFound(compiler.to_path_buf()));
    }
    let mut files = vec![facts(compiler)?];
    let partner = compiler.file_name().and_then(compiler_names::cxx_partner).map(|name| compiler.with_file_name(name));
    files.extend(partner.filter(|p| find::is_executable_file(p)).and_then(|p| facts(&p).ok()));
    for extra in extra_files {
        files.push(facts(path_of(extra))?);
    }
    // Both words for the default mean the same archive.
    let compression = match compression.as_bytes() {
        b"gzip" | b"gz" => Text::new(),
        _ => compression.clone(),
    };
    let compiler = compiler.as_os_str().as_bytes().into();
    Ok(NativeKey { compression, compiler, extra_files: extra_files.to_vec(), files })
}

/// The facts of files that were packed from `begun` on. A name that is none of a file now is left out.
pub fn packed<'a>(files: impl Iterator<Item = &'a Path>, begun: Begun) -> Result<Vec<FileFacts>, Changed> {
    let clock = |time: SystemTime| {
        i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
    };
    let (begun, now) = (clock(begun.0), clock(SystemTime::now()));
    let mut all = Vec::new();
    for path in files {
        let Ok(m) = fs::metadata(path) else { continue };
        let part = facts_of(path, &m);
        // A time to come is that of another clock. A link that somebody made to the file is no change of it; an update
        // never has two.
        let is_linked = m.nlink() > 1 && part.mtime_ns < begun;
        if (begun..=now).contains(&ns(m.ctime(), m.ctime_nsec())) && !is_linked {
            return Err(Changed(path.to_path_buf()));
        }
        // What [`facts`] refuses to look at is never found current again.
        if path.is_absolute() {
            all.push(part);
        }
    }
    Ok(all)
}

impl Packed {
    /// Whether the archive is there, and all files in it are as they were. An update of a compiler replaces one file
    /// after another, the programs asked for before or after those they run.
    pub fn is_current(&self) -> bool {
        self.is_there() && self.parts.iter().all(|part| facts(path_of(&part.path)).is_ok_and(|now| now == *part))
    }

    /// Whether the archive is there.
    pub(super) fn is_there(&self) -> bool {
        fs::symlink_metadata(path_of(&self.archive.path)).is_ok_and(|m| m.is_file() && m.len() == self.archive.size)
    }
}

fn facts(path: &Path) -> Result<FileFacts, ExamineError> {
    if !path.is_absolute() {
        return Err(ExamineError::Relative(path.to_path_buf()));
    }
    let metadata = fs::metadata(path);
    let metadata = metadata.map_err(|source| ExamineError::Unreadable { path: path.to_path_buf(), source })?;
    Ok(facts_of(path, &metadata))
}

fn facts_of(path: &Path, m: &Metadata) -> FileFacts {
    FileFacts {
        path: path.as_os_str().as_bytes().into(),
        size: m.len(),
        mtime_ns: ns(m.mtime(), m.mtime_nsec()),
        inode: m.ino(),
    }
}

/// A time of a file, in nanoseconds since 1970.
fn ns(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
