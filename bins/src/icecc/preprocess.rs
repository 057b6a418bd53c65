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
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        new.text = child.stdout.take().map(|out| Box::new(out) as Box<dyn Text>);
        new.messages = child.stderr.take();
        new.child = Some(child);
        Ok(new)
    }

    /// What to poll for reading: text (unless the spool is full) and messages.
    pub(super) fn sources(&self) -> Vec<BorrowedFd<'_>> {
        self.text().into_iter().chain(self.messages.as_ref().map(AsFd::as_fd)).collect()
    }

    /// Whether text and messages can be read without waiting.
    pub(super) fn ready(&self) -> (bool, bool) {
        let text = self.text().is_some();
        let mut ready = readable(&self.sources(), PollTimeout::ZERO).into_iter();
        let text = text && ready.next().unwrap_or(false);
        (text, ready.next().unwrap_or(false))
    }

    fn text(&self) -> Option<BorrowedFd<'_>> {
        self.text.as_ref().filter(|_| !self.spool.is_full()).map(|text| text.as_fd())
    }

    /// Reads what is there: `text` and `messages` say which descriptors are ready.
    pub(super) fn read(&mut self, text: bool, messages: bool) -> io::Result<()> {
        let mut room = vec![0; READ];
        if let Some(pipe) = self.messages.as_mut().filter(|_| messages) {
            let n = read_once(pipe, &mut room)?;
            self.said.extend_from_slice(room.get(..n).unwrap_or_default());
            if n == 0 || self.said.len() > MESSAGES_MAX {
                self.messages = None;
            }
        }
        if let Some(pipe) = self.text.as_mut().filter(|_| text) {
            let n = read_once(pipe, &mut room)?;
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

fn shows(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) =
        rest.windows(3).position(|w| w[0] == b'_' && w[1] == b'_' && matches!(w[2], b'D' | b'T' | b'B'))
    {
        let here = rest.get(at..).unwrap_or_default();
        if Scan::NAMES.iter().any(|name| here.starts_with(name)) {
            return true;
        }
        rest = here.get(2..).unwrap_or_default();
    }
    false
}

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
