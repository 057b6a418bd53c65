//! What the daemon is told of a job that has ended: where it was done, and how long each part took (JOB_NOTE).

use super::daemon;
use super::task::Task;
use super::variables::Variables;
use ice_core::client::Output;
use ice_core::limits;
use ice_core::message::Message;
use ice_core::reason::Why;
use ice_core::statistics::{Beside, Note, Part, Place};
use ice_core::text::Text;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The account of one job, kept from the start of the process.
pub(super) struct Account {
    note: Note,
    begun: Instant,
    /// Since when this part goes on.
    part: (Part, Instant),
    /// When the preprocessor was started.
    preprocessor: Option<Instant>,
    /// A server has told how its compile ended.
    is_answered: bool,
    /// The daemon takes notes.
    is_wanted: bool,
}

impl Account {
    /// Begins now.
    pub(super) fn begin() -> Self {
        let (begun, since) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH));
        let note = Note { begun: micros(since.unwrap_or_default()), ..Note::default() };
        let part = (Part::Prepare, begun);
        Self { note, begun, part, preprocessor: None, is_answered: false, is_wanted: false }
    }

    /// Whether the daemon that we are connected to takes notes.
    pub(super) fn is_for(&mut self, is_wanted: bool) {
        self.is_wanted = is_wanted;
    }

    /// Connects to the daemon once more.
    pub(super) fn connect(&mut self, variables: &Variables) -> Option<Conn> {
        let (conn, is_wanted) = daemon::connect_ext(variables.test_socket.as_deref()).ok()?;
        self.is_wanted = is_wanted;
        Some(conn)
    }

    /// The file by which the user knows the job.
    pub(super) fn is_of(&mut self, file: &[u8]) {
        self.note.file = String::from_utf8_lossy(file).into_owned();
    }

    /// The same of a command that was not looked into: its output, or what may be its source.
    pub(super) fn is_of_task(&mut self, task: &Task, words: &[Vec<u8>]) {
        let operand = || words.iter().rev().find(|word| !word.starts_with(b"-"));
        if self.note.file.is_empty() && !task.output.is_empty() {
            self.is_of(&task.output);
        } else if self.note.file.is_empty() {
            self.is_of(operand().map_or(task.name.as_encoded_bytes(), Vec::as_slice));
        }
    }

    /// Another part of the job begins.
    pub(super) fn enter(&mut self, part: Part) {
        let now = Instant::now();
        let (last, since) = std::mem::replace(&mut self.part, (part, now));
        self.note.spans.add(last, micros(now - since));
    }

    /// The job's machine wants this.
    pub(super) fn follow(&mut self, output: &Output) {
        match output {
            Output::Daemon(Message::GetCs(_)) => {
                self.note.tries += 1;
                self.is_answered = false;
                self.enter(Part::Wait);
            }
            Output::Dial { .. } => self.enter(Part::Environment),
            Output::SendSource(_) | Output::BeginFiles | Output::AnswerFiles(_) => self.enter(Part::Send),
            Output::Server(Message::End) => self.enter(Part::Compile),
            Output::Receive(_) | Output::ReceiveOutputs => self.enter(Part::Fetch),
            Output::CompileHere => self.enter(Part::Here),
            _ => {}
        }
    }

    /// The preprocessor was started, perhaps once more.
    pub(super) fn preprocesses(&mut self) {
        self.preprocessor.get_or_insert_with(Instant::now);
    }

    /// It has ended, and all of its text is read.
    pub(super) fn is_preprocessed(&mut self) {
        self.note.preprocess = self.preprocessor.map(|begun| self.beside(begun));
    }

    /// The files of the job are looked at by this.
    pub(super) fn scans<T>(&mut self, scan: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let scanned = scan();
        self.note.scan = Some(self.beside(begun));
        scanned
    }

    /// What has gone on since `begun`.
    fn beside(&self, begun: Instant) -> Beside {
        let short = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        Beside { begun: short(begun - self.begun), took: short(begun.elapsed()) }
    }

    /// These go to a server.
    pub(super) fn sends(&mut self, messages: &[Message]) {
        self.note.sent += messages.iter().map(size).sum::<u64>();
    }

    /// This came from a server.
    pub(super) fn receives(&mut self, message: &Message) {
        self.is_answered |= matches!(message, Message::CompileResult(_) | Message::FilesResult(_));
        self.note.received += size(message);
    }

    /// The job is tried once more on the same terms: no server has failed it.
    pub(super) fn starts_over(&mut self) {
        self.note.tries = 0;
        self.enter(Part::Prepare);
    }

    /// A compile server has done the job; `is_compared`: it is done here too.
    pub(super) fn is_done_by(&mut self, host: &Text, is_compared: bool) {
        self.note.place = if is_compared { Place::Twice } else { Place::Elsewhere };
        self.note.host = host.to_string();
    }

    /// It is done here.
    pub(super) fn stays(&mut self, why: &Why) {
        self.note.place = if self.is_answered { Place::Twice } else { Place::Here };
        self.note.reason = why.reason.word().to_owned();
        self.note.host = why.host.to_string();
    }

    /// The job has ended with this status: what is to be told, once, to a daemon that wants it.
    pub(super) fn end(&mut self, status: i32) -> Option<Message> {
        self.enter(self.part.0);
        self.note.status = status;
        if !std::mem::take(&mut self.is_wanted) {
            return None;
        }
        let text = serde_json::to_vec(&std::mem::take(&mut self.note).bounded()).ok()?;
        Some(Message::JobNote { text: text.into() })
    }

    /// The same where the daemon's connection is closed next.
    pub(super) fn tell(&mut self, status: i32, daemon: &mut Conn) {
        let Some(note) = self.end(status) else { return };
        if let Err(err) = daemon.send(&note, Deadline::after(Step::Send, limits::SEND)) {
            log::debug!("the daemon takes no note of the job: {}", crate::exit::chain(&err));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Bytes of a piece of a file.
fn size(message: &Message) -> u64 {
    match message {
        Message::FileChunk(chunk) => chunk.data.len() as u64,
        _ => 0,
    }
}
