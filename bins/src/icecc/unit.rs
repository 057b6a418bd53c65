//! Whether the text of a unit may leave its macros to the compile server.
//!
//! A text with all macros expanded is always right, but it costs twice the time and shows other columns. So the preprocessor leaves
//! them in, and [`Watch`] looks at the text as it comes, and at the files that it is made of: what would become something else on
//! the server ends that, and the unit is preprocessed again with all macros expanded here.

use super::counter;
use super::dates;
use super::directives::unspliced;
use super::looked::Looked;
use super::pragmas::{self, Kept, Loss};
use super::task::Task;
use ice_core::cmdline::{Mode, RemoteJob};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Largest file that is looked through; of a larger one the worst is assumed.
const FILE_MAX: u64 = 64 << 20;
/// Longest text that is kept to be looked at as a whole; of a longer one the worst is assumed.
const TEXT_MAX: usize = 32 << 20;

/// Why macros are expanded here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ExpandHere {
    /// Dates, or the name of the source: another host has others.
    Dates,
    /// The text does not say, or says wrongly, what stands in the source.
    Loss(Loss),
    /// The same, seen in this file of the unit.
    LossIn(Loss, PathBuf),
    /// A file of the unit cannot be looked at.
    Unreadable(PathBuf),
    /// A file of the unit was changed meanwhile: what was looked at may not be what was preprocessed.
    Changed(PathBuf),
}

impl fmt::Display for ExpandHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dates => f.write_str("source shows dates"),
            Self::Loss(loss) => write!(f, "{loss}"),
            Self::LossIn(loss, file) => write!(f, "{loss} ({})", file.display()),
            Self::Unreadable(file) => write!(f, "{} cannot be looked at", file.display()),
            Self::Changed(file) => write!(f, "{} has just been changed", file.display()),
        }
    }
}

/// Looks at a text in which macros were left, while it comes.
#[derive(Debug)]
pub(super) struct Watch {
    /// The text so far, unless it is longer than [`TEXT_MAX`]: then what was not looked at yet.
    text: Vec<u8>,
    /// How much of it was looked at, in whole lines.
    looked: usize,
    /// Whether all of the text is there.
    is_whole: bool,
    /// Whether the counter stands in a directive.
    counts: bool,
    /// The files of a unit of gcc; clang's text has all directives in it.
    files: Option<Files>,
    verdict: Option<ExpandHere>,
}

impl Watch {
    /// Before the preprocessor starts. `None` if all macros are expanded here anyhow.
    pub(super) fn new(task: &Task, job: &RemoteJob, mode: Mode) -> Option<Self> {
        let files = match mode {
            Mode::Full | Mode::Verbatim => return None,
            Mode::Includes => None,
            Mode::Directives => Some(Files::new(task, job)),
        };
        let mut new = Self::over(files);
        new.verdict = match &mut new.files {
            Some(files) => files.enter(&job.input),
            // Macros that arguments define are not in clang's text.
            None => job.preprocessor_words(mode).iter().find_map(|argument| in_argument(argument)),
        };
        Some(new)
    }

    fn over(files: Option<Files>) -> Self {
        Self { text: Vec::new(), looked: 0, is_whole: true, counts: false, files, verdict: None }
    }

    /// Looks at the next piece.
    pub(super) fn look(&mut self, bytes: &[u8]) {
        if self.verdict.is_some() {
            return;
        }
        self.text.extend_from_slice(bytes);
        if let Some(lines) = end_of_lines(self.text.get(self.looked..).unwrap_or_default()) {
            self.look_up_to(self.looked + lines);
        }
        if self.text.len() > TEXT_MAX {
            self.text.drain(..self.looked);
            self.looked = 0;
            self.is_whole = false;
        }
    }

    /// All has come.
    pub(super) fn end(&mut self) {
        self.look_up_to(self.text.len());
        let counts = self.counts || self.files.as_ref().is_some_and(|files| files.count);
        if self.verdict.is_none() && counts && self.counter_decides() {
            self.verdict = Some(ExpandHere::Loss(Loss::Counter));
        }
        self.text = Vec::new();
    }

    /// Why macros must be expanded here, if they must.
    pub(super) fn verdict(&self) -> Option<&ExpandHere> {
        self.verdict.as_ref()
    }

    fn look_up_to(&mut self, end: usize) {
        if self.verdict.is_some() {
            return;
        }
        let lines = self.text.get(self.looked..end).unwrap_or_default();
        self.looked = end;
        let text = &*unspliced(lines);
        self.counts |= counter::is_in_a_directive(text);
        self.verdict = match &mut self.files {
            _ if dates::shown(text) => Some(ExpandHere::Dates),
            Some(files) => entered(lines).find_map(|name| files.enter(&name)),
            None => pragmas::loss_of_clang(text).map(ExpandHere::Loss),
        };
    }

    /// Whether a condition may need the counter. gcc's text has all definitions, and its conditions stand in the files alone.
    fn counter_decides(&self) -> bool {
        let files = match &self.files {
            None => Some(Vec::new()),
            Some(files) => files.texts(),
        };
        let text = unspliced(&self.text);
        let all = |files: Vec<Vec<u8>>| {
            counter::decides(&files.iter().map(Vec::as_slice).chain([&*text]).collect::<Vec<_>>())
        };
        !self.is_whole || files.is_none_or(all)
    }
}

/// What an argument may define that is another thing on the compile server.
fn in_argument(argument: &[u8]) -> Option<ExpandHere> {
    let counts = counter::is_named(argument).then_some(ExpandHere::Loss(Loss::Counter));
    if dates::shown(argument) { Some(ExpandHere::Dates) } else { counts }
}

/// Where the last line ends that does not go on behind its end.
fn end_of_lines(bytes: &[u8]) -> Option<usize> {
    let mut ends = memchr::memrchr_iter(b'\n', bytes);
    ends.find(|&at| !bytes.get(..at).unwrap_or_default().trim_ascii_end().ends_with(b"\\")).map(|at| at + 1)
}

/// Names of the files that are entered by the line markers among `lines`: `# 1 "NAME" 1`, then other flags.
fn entered(lines: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let starts = memchr::memmem::find_iter(lines, b"\n# ").map(|at| at + 1);
    std::iter::once(0).chain(starts).filter_map(|at| {
        let marker = lines.get(at..)?.strip_prefix(b"# ")?;
        let quote = marker.iter().position(|b| !b.is_ascii_digit() && *b != b' ')?;
        let (name, flags) = quoted(marker.get(quote..)?)?;
        let is_file = !(name.starts_with(b"<") && name.ends_with(b">"));
        (flags.starts_with(b" 1") && is_file).then_some(name)
    })
}

/// A string in quotes as gcc writes it, and what follows it.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut name = Vec::new();
    loop {
        match rest {
            [b'"', rest @ ..] => return Some((name, rest)),
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                name.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            [b'\\', byte, after @ ..] => {
                name.push(*byte);
                rest = after;
            }
            [b'\n', ..] | [] => return None,
            [byte, after @ ..] => {
                name.push(*byte);
                rest = after;
            }
        }
    }
}

/// The files that a unit is made of; each is looked at when the text first enters it, unless an earlier unit did.
#[derive(Debug)]
struct Files {
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
        let meta = match read(&path, &mut self.room) {
            Ok(Some(meta)) => meta,
            // A pipe has been read, and cannot be read a second time.
            Ok(None) => return None,
            Err(_) => return Some(ExpandHere::Unreadable(path)),
        };
        if self.is_new(&meta) {
            return Some(ExpandHere::Changed(path));
        }
        let text = unspliced(&self.room);
        let loss = pragmas::loss(&text, &mut self.kept);
        if counter::is_in_a_directive(&text) {
            self.count = true;
        } else if let (None, Some(looked)) = (&loss, &self.looked) {
            looked.add(&meta, self.start.0);
        }
        loss.map(|loss| ExpandHere::LossIn(loss, path))
    }

    /// The texts of all files; `None` if one cannot be looked at any more.
    fn texts(&self) -> Option<Vec<Vec<u8>>> {
        let text = |name: &Vec<u8>| {
            let mut text = Vec::new();
            match read(&self.folder.join(OsStr::from_bytes(name)), &mut text) {
                Ok(Some(meta)) if !self.is_new(&meta) => Some(unspliced(&text).into_owned()),
                Ok(None) => Some(Vec::new()),
                Ok(Some(_)) | Err(_) => None,
            }
        };
        self.seen.iter().map(text).collect()
    }

    /// Whether the file was changed after the preprocessor began.
    fn is_new(&self, file: &Metadata) -> bool {
        (file.ctime(), file.ctime_nsec()) > self.start
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
    let mut read = 0;
    loop {
        match file.read(room.get_mut(read..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    room.truncate(read);
    Ok(Some(meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_markers_name_the_files() {
        let text = b"# 0 \"a.c\"\n# 1 \"/usr/include/x.h\" 1 3 4\nint a;\n# 2 \"a.c\" 2\n# 5 \"gen.y\"\n# 1 \"a\\\"b\\\\\\012.h\" 1\n# 0 \"<built-in>\" 1\n # 1 \"no.h\" 1\n# 1 \"cut.h";
        assert_eq!(entered(text).collect::<Vec<_>>(), [b"/usr/include/x.h".to_vec(), b"a\"b\\\n.h".to_vec()]);
    }

    #[test]
    fn a_counter_in_a_directive_is_seen_even_when_cut() {
        for (text, expected) in [
            (&b"int a;\n#if __COUNTER__ == 0\nint b;\n"[..], true),
            (b"#define N \\\n  __COUNTER__\nint a;\n#if N\n", true),
            (b"#define N \\\n  __COUNTER__\nint a = N;\n#if M\n", false),
            (b"#define N 1\nint a = __COUNTER__;\n#if N\n", false),
            (b"#if __COUNTER__", true),
        ] {
            for cut in 0..text.len() {
                let mut watch = Watch::over(None);
                watch.look(&text[..cut]);
                watch.look(&text[cut..]);
                watch.end();
                let seen = watch.verdict() == Some(&ExpandHere::Loss(Loss::Counter));
                assert_eq!(seen, expected, "{} cut at {cut}", String::from_utf8_lossy(text));
            }
        }
    }

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
