//! The files of a unit, as [`ice_core::unit`] looks at them.

use super::files::read_full;
use super::looked::Looked;
use super::pragmas::Kept;
use super::task::Task;
use ice_core::cmdline::{Mode, RemoteJob};
use ice_core::unit::{self, ExpandHere, Look};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Largest file that is looked through; of a larger one the worst is assumed.
const FILE_MAX: u64 = 64 << 20;

/// Looks at the text of a unit of this job.
pub(super) type Watch = unit::Watch<Files>;

/// Before the preprocessor starts. `None` if all macros are expanded here anyhow.
pub(super) fn watch(task: &Task, job: &RemoteJob, mode: Mode) -> Option<Watch> {
    match mode {
        Mode::Full | Mode::Verbatim => None,
        // Those of a wrapper too, which only the server is given.
        Mode::Includes => Some(Watch::of_clang(job.words.iter().map(|word| &*word.text))),
        Mode::Directives => Some(Watch::of_gcc(Files::new(task, job), &job.input)),
    }
}

/// The files that a unit is made of; each is looked at when the text first enters it, unless an earlier unit did.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    kept: Kept,
    looked: Option<Looked>,
    /// When the preprocessor had not begun yet, in seconds and nanoseconds.
    start: (i64, i64),
    seen: HashSet<Vec<u8>>,
    /// Whether the counter stands in a directive of one of them.
    count: bool,
    /// For reading into.
    room: Vec<u8>,
}

impl Files {
    fn new(task: &Task, job: &RemoteJob) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            folder: task.folder.clone(),
            kept: Kept::new(task.program.clone(), job.language.option()),
            looked: Looked::open(&task.program, job.language.option()),
            start: (i64::try_from(now.as_secs()).unwrap_or(i64::MAX), now.subsec_nanos().into()),
            seen: HashSet::new(),
            count: false,
            room: Vec::new(),
        }
    }

    /// Whether the file was changed after the preprocessor began.
    fn is_new(&self, file: &Metadata) -> bool {
        (file.ctime(), file.ctime_nsec()) > self.start
    }

    /// As [`read`]; a file that was changed after the preprocessor began may not be what it has read.
    fn read_unchanged(&self, path: &Path, room: &mut Vec<u8>) -> Result<Option<Metadata>, ExpandHere> {
        match read(path, room) {
            Ok(Some(meta)) if self.is_new(&meta) => Err(ExpandHere::Changed(path.to_path_buf())),
            Ok(meta) => Ok(meta),
            Err(_) => Err(ExpandHere::Unreadable(path.to_path_buf())),
        }
    }
}

impl unit::Files for Files {
    fn enter(&mut self, name: &[u8]) -> Option<ExpandHere> {
        if self.seen.contains(name) {
            return None;
        }
        self.seen.insert(name.to_vec());
        let path = self.folder.join(OsStr::from_bytes(name));
        let is_known = |looked: &Looked| fs::metadata(&path).is_ok_and(|meta| !self.is_new(&meta) && looked.has(&meta));
        if self.looked.as_ref().is_some_and(is_known) {
            return None;
        }
        let mut room = std::mem::take(&mut self.room);
        let meta = match self.read_unchanged(&path, &mut room) {
            Ok(Some(meta)) => meta,
            // A pipe has been read, and cannot be read a second time.
            Ok(None) => return None,
            Err(why) => return Some(why),
        };
        self.room = room;
        let Look { loss, counts } = unit::look_through(&self.room, |name| self.kept.has(name));
        if counts {
            self.count = true;
        } else if let (None, Some(looked)) = (&loss, &self.looked) {
            looked.add(&meta, self.start.0);
        }
        loss.map(|loss| ExpandHere::LossIn(loss, path))
    }

    fn count(&self) -> bool {
        self.count
    }

    fn texts(&self) -> Option<Vec<Vec<u8>>> {
        let text = |name: &Vec<u8>| {
            let mut text = Vec::new();
            self.read_unchanged(&self.folder.join(OsStr::from_bytes(name)), &mut text).ok()?;
            Some(text)
        };
        self.seen.iter().map(text).collect()
    }
}

/// Reads a whole regular file into `room`. `None` for anything else, which is not read.
fn read(path: &Path, room: &mut Vec<u8>) -> io::Result<Option<Metadata>> {
    room.clear();
    // To open a pipe may take for ever.
    let mut file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(None);
    }
    if meta.len() > FILE_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // One read for the file and one for its end: `read_to_end` asks in small steps for what is limited.
    room.resize(usize::try_from(meta.len()).unwrap_or(0) + 1, 0);
    let read = read_full(&mut file, room)?;
    room.truncate(read);
    Ok(Some(meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_looked_at_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut room = Vec::new();
        assert!(read(&folder.path().join("none"), &mut room).is_err());
        assert!(read(folder.path(), &mut room).unwrap().is_none());
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(read(&pipe, &mut room).unwrap().is_none());
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        assert!(read(&file, &mut room).unwrap().is_some_and(|meta| meta.len() == 4));
        assert_eq!(room, b"text");
    }
}
