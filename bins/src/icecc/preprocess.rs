//! The preprocessor's run: started early, its text spooled, its messages held back until it is known whether the run counts.

use super::dependencies::Before;
use super::locks::{self, CpuLock};
use super::log as log_words;
use super::spool::Spool;
use super::task::Task;
use super::unit::{self, Watch};
use ice_core::cmdline::{Mode, RemoteJob};
use ice_core::unit::ExpandHere;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Child, ChildStderr, Command, Stdio};

/// Messages that are held back; a preprocessor that says more has failed anyhow, and its own run shows it.
const MESSAGES_MAX: usize = 1 << 20;
/// One read.
const READ: usize = 64 << 10;

/// A source that is being made ready.
#[derive(Debug)]
pub(super) struct Preprocessor {
    child: Option<Child>,
    text: Option<Box<dyn Text>>,
    messages: Option<ChildStderr>,
    lock: Option<CpuLock>,
    ended_well: Option<bool>,
    watch: Option<Watch>,
    /// What its run overwrites, until it counts.
    before: Before,
    /// For reading into.
    room: Vec<u8>,
    /// Text that waits to be sent.
    pub(super) spool: Spool,
    /// What the preprocessor said.
    pub(super) said: Vec<u8>,
}

/// Where text comes from: the preprocessor's output, or a file that is preprocessed already.
trait Text: Read + AsFd + std::fmt::Debug {}
impl<T: Read + AsFd + std::fmt::Debug> Text for T {}

impl Preprocessor {
    /// Waits for a CPU and starts.
    pub(super) fn start(task: &Task, job: &RemoteJob, mode: Mode) -> io::Result<Self> {
        let mut new = Self {
            child: None,
            text: None,
            messages: None,
            lock: None,
            ended_well: None,
            watch: unit::watch(task, job, mode),
            before: if mode == Mode::Verbatim { Before::default() } else { Before::of(&job.dependency_files) },
            room: Vec::new(),
            spool: Spool::default(),
            said: Vec::new(),
        };
        if mode == Mode::Verbatim {
            log::info!("preparing source to send: /bin/cat {}", String::from_utf8_lossy(&job.input));
            match File::open(OsStr::from_bytes(&job.input)) {
                Ok(file) => new.text = Some(Box::new(file)),
                // As `cat` would: the compiler's own run says what is wrong.
                Err(_) => new.ended_well = Some(false),
            }
            return Ok(new);
        }
        // Its text would not be used: the caller asks for another one, with all macros expanded.
        if new.expand_here().is_some() {
            return Ok(new);
        }
        // Below icerun the outer command's slot is ours.
        new.lock = if task.level == 0 { CpuLock::take(Some(locks::PREPROCESSOR_WAIT)) } else { None };
        let words: Vec<OsString> = job.preprocessor_words(mode).into_iter().map(OsString::from_vec).collect();
        log::info!("preparing source to send: {}", log_words::words(task.program.as_os_str(), &words));
        let mut child = Command::new(&task.program)
            .args(&words)
            .envs(task.marks())
            // The source may be named `/dev/stdin`: a file there can be read as often as it is opened.
            .stdin(Stdio::inherit())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        new.text = child.stdout.take().map(|out| Box::new(out) as Box<dyn Text>);
        new.messages = child.stderr.take();
        new.child = Some(child);
        Ok(new)
    }

    /// What to poll for reading: text (unless the spool is full) and messages.
    pub(super) fn sources(&self) -> (Option<BorrowedFd<'_>>, Option<BorrowedFd<'_>>) {
        let text = self.text.as_ref().filter(|_| !self.spool.is_full()).map(|text| text.as_fd());
        (text, self.messages.as_ref().map(AsFd::as_fd))
    }

    /// Reads what is there: `text` and `messages` say which descriptors are ready.
    pub(super) fn read(&mut self, text: bool, messages: bool) -> io::Result<()> {
        if !text && !messages {
            return Ok(());
        }
        self.room.resize(READ, 0);
        let room = &mut self.room;
        if let Some(pipe) = self.messages.as_mut().filter(|_| messages) {
            let n = read_once(pipe, room)?;
            self.said.extend_from_slice(room.get(..n).unwrap_or_default());
            if n == 0 || self.said.len() > MESSAGES_MAX {
                self.messages = None;
            }
        }
        if let Some(pipe) = self.text.as_mut().filter(|_| text) {
            let n = read_once(pipe, room)?;
            let bytes = room.get(..n).unwrap_or_default();
            self.spool.push(bytes)?;
            if let Some(watch) = &mut self.watch {
                if n > 0 { watch.look(bytes) } else { watch.end() }
            }
            if n == 0 {
                self.text = None;
            }
        }
        if self.text.is_none() && self.messages.is_none() && self.ended_well.is_none() {
            let well = match &mut self.child {
                Some(child) => child.wait()?.success(),
                None => true,
            };
            self.child = None;
            self.lock = None;
            self.room = Vec::new();
            self.ended_well = Some(well && self.said.len() <= MESSAGES_MAX);
        }
        Ok(())
    }

    /// Whether it ended well; `None` while it runs.
    pub(super) fn ended(&self) -> Option<bool> {
        self.ended_well
    }

    /// Why the text must not leave its macros to a compile server, as far as it was seen.
    pub(super) fn expand_here(&self) -> Option<&ExpandHere> {
        self.watch.as_ref().and_then(Watch::verdict)
    }

    /// The object is in place: the dependency files stay as this run wrote them.
    pub(super) fn keep_dependencies(&mut self) {
        self.before = Before::default();
    }

    /// Ends it: its text is not wanted, and its dependency files are not those of the compiler that runs instead.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.text = None;
        self.messages = None;
        self.lock = None;
        self.spool = Spool::default();
        std::mem::take(&mut self.before).restore();
    }
}

impl Drop for Preprocessor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read_once(from: &mut dyn Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(room) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
