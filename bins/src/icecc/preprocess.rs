//! The preprocessor's run: started early, its text spooled, its messages held back until it is known whether the run counts.

use super::locks::{self, CpuLock};
use super::remote::readable;
use super::spool::Spool;
use super::{Task, log as log_words};
use ice_core::cmdline::{Mode, RemoteJob};
use nix::poll::PollTimeout;
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
    scan: Option<Scan>,
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
            scan: (mode == Mode::Directives || mode == Mode::Includes).then(Scan::default),
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
        // Below icerun the outer command's slot is ours.
        new.lock = if task.level == 0 { CpuLock::take(Some(locks::PREPROCESSOR_WAIT)) } else { None };
        let words: Vec<OsString> = job.preprocessor_words(mode).into_iter().map(OsString::from_vec).collect();
        log::info!("preparing source to send: {}", log_words::words(task.program.as_os_str(), &words));
        let mut child = Command::new(&task.program)
            .args(&words)
            .env(super::SAFEGUARD, task.safeguard())
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

    /// Whether text and messages can be read without waiting.
    pub(super) fn ready(&self) -> (bool, bool) {
        let (text, messages) = self.sources();
        let fds: Vec<BorrowedFd<'_>> = text.into_iter().chain(messages).collect();
        let mut ready = readable(&fds, PollTimeout::ZERO).into_iter();
        let mut next = |there: bool| there && ready.next().unwrap_or(false);
        (next(text.is_some()), next(messages.is_some()))
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
            if let Some(scan) = &mut self.scan {
                scan.look(bytes);
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

    /// The text holds dates that only this host can expand (decisions.md 35).
    pub(super) fn shows_dates(&self) -> bool {
        self.scan.as_ref().is_some_and(|scan| scan.found)
    }
}

impl Preprocessor {
    /// Ends it: its text is not wanted.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.text = None;
        self.messages = None;
        self.lock = None;
        self.spool = Spool::default();
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

/// Looks for macros whose value depends on where they are expanded.
#[derive(Debug, Default)]
struct Scan {
    /// The end of what was looked at, in case a name is cut.
    tail: Vec<u8>,
    found: bool,
}

impl Scan {
    const NAMES: [&[u8]; 4] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__", b"__BASE_FILE__"];
    const LONGEST: usize = 13;

    fn look(&mut self, bytes: &[u8]) {
        if self.found {
            return;
        }
        let seam: Vec<u8> = self.tail.iter().chain(bytes.iter().take(Self::LONGEST)).copied().collect();
        self.found = shows(&seam) || shows(bytes);
        let whole = if bytes.len() >= Self::LONGEST { bytes } else { &seam };
        self.tail = whole.get(whole.len().saturating_sub(Self::LONGEST - 1)..).unwrap_or_default().to_vec();
    }
}

/// Looks at every eighth byte of text that has none of the letters of a name (Horspool), at more where it has.
fn shows(text: &[u8]) -> bool {
    let mut end = START - 1;
    while let Some(last) = text.get(end) {
        let step = usize::from(STEPS[usize::from(*last)]);
        if step == 0 {
            let here = text.get(end + 1 - START..).unwrap_or_default();
            // Most that end like a name do not begin like one.
            if here.starts_with(b"__") && Scan::NAMES.iter().any(|name| here.starts_with(name)) {
                return true;
            }
        }
        end += step.max(1);
    }
    false
}

/// Length of the shortest name.
const START: usize = 8;

/// For each byte how far the next look may be from one at which it stands (Horspool): as far as the byte is from the end of the
/// first [`START`] bytes of any name; 0 where a name may end here.
const STEPS: [u8; 256] = {
    let mut steps = [START as u8; 256];
    let mut name = 0;
    while name < Scan::NAMES.len() {
        let mut at = 0;
        while at < START {
            let byte = Scan::NAMES[name][at] as usize;
            let step = (START - 1 - at) as u8;
            if step < steps[byte] {
                steps[byte] = step;
            }
            at += 1;
        }
        name += 1;
    }
    steps
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seen_even_when_cut() {
        assert!(shows(b"int x; char *d = __DATE__;"));
        assert!(shows(b"____TIMESTAMP__"));
        assert!(!shows(b"__DATE_ __TIMER__ __BASE__"));
        let text = b"static const char d[] = __BASE_FILE__;";
        for cut in 0..text.len() {
            let mut scan = Scan::default();
            scan.look(&text[..cut]);
            scan.look(&text[cut..]);
            assert!(scan.found, "cut at {cut}");
        }
        let mut bytewise = Scan::default();
        text.iter().for_each(|b| bytewise.look(&[*b]));
        assert!(bytewise.found);
    }
}
