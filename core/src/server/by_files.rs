//! One job of files mode, on the host that runs it.
//!
//! ```text
//! Waits ◄─ something is lacking ─┬─ Place ─ all is there ─► Parked ─ slot granted ─► Running ◄─ question, answer ─► Asks
//!   └─ the client's stream ──────┘ ▲                                                  │  └─ it must begin anew ─► Place
//!                                  └────────────── with the slot that it has ─────────┼────────────────────────────┘
//!                                                             its end ─► Draining ◄───┘ ─ texts ─► Delivering ─► Over
//! every state, on any failure ─► Over: the job is killed, its end reported if it had a slot, its client told
//! ```
//!
//! It does not know sockets, files or trees: the shell reads streams, asks the tree, runs the job, and tells by [`Input`]s
//! what came of it. Only as much is ever asked for, or done again, as is bounded here.

use super::ending::{self, Came, Stream, Texts};
use super::failure::Failure;
use super::outcome::{Ended, judge};
use crate::message::{FilesNeed, FilesResult, Message, need};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use std::collections::VecDeque;

/// How long a client may say nothing that it owes.
const SILENCE: Duration = Duration::from_secs(60);
/// How long all that has to come before a job runs may take.
const GATHERING: Duration = Duration::from_secs(600);
/// How long a job that runs waits for an answer: it holds a slot meanwhile.
const ANSWER: Duration = Duration::from_secs(5);
/// How often a client is asked for something before its job runs, and again when it begins anew.
const ROUNDS: u32 = 64;
/// How often while it runs: the launcher lets it ask for 64 paths, of each of which facts, contents, and names with what
/// stands there may be lacking.
const ROUNDS_RUNNING: u32 = 256;
/// How often a job begins anew, as something changed that its first view had.
const RESTARTS: u32 = 3;
/// How long the compiler's texts may take to end after it has: nothing of it lives any more.
const DRAIN: Duration = Duration::from_secs(5);
/// As for jobs of text.
const DELIVERY: Duration = Duration::from_secs(1800);
/// Most paths of one FILES_NEED, and most bytes of them: it has to fit into a frame.
const PATHS_MAX: usize = 8192;
const PATH_BYTES_MAX: usize = 512 << 10;

/// What the tree says of the facts that it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placing {
    /// All of it is there.
    Placed,
    /// What stands at these paths must be told.
    Unknown(Vec<Vec<u8>>),
    /// The contents of the files at these paths must be brought.
    Lacking(Vec<Vec<u8>>),
    /// A job that runs cannot see this path as it is now.
    Changed(Vec<u8>),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The client sent a piece of what it owes.
    Chunk {
        /// Its bytes as they came.
        compressed: u64,
        /// Its bytes unpacked.
        plain: u64,
    },
    /// What the client owed is all there, and is what was asked for. With its first stream: whether it can be read, which is not
    /// so if it is a difference to a set that is not known.
    Stream {
        /// All facts of the job are known.
        is_whole: bool,
    },
    /// The client said something that it does not owe.
    Other,
    /// What came of [`Output::Place`] or [`Output::Grow`].
    Tree(Placing),
    /// The daemon grants the job a slot.
    Granted,
    /// The daemon does not want the job run, or not any more.
    Stop,
    /// The job asks for the facts of a path.
    Question(&'a [u8]),
    /// The compiler wrote this.
    Text(Stream, &'a [u8]),
    /// One of its texts is over.
    TextEnd(Stream),
    /// The compiler has ended, or turned out not to have run.
    Ended(Result<Ended, Failure>),
    /// [`Output::Deliver`] is done: all is sent, or why not.
    Delivered(Result<(), String>),
    /// What the shell does for the job failed.
    Failed(Failure),
}

/// What shall be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Have the tree hold what all facts of the job say; [`Input::Tree`] must follow.
    Place,
    /// Have the tree hold what was told for a job that runs; [`Input::Tree`] must follow.
    Grow,
    /// Ask the client; its stream follows, and [`Input::Stream`] when it is there.
    Need(FilesNeed),
    /// Run the job in the slot that it has.
    Start,
    /// Answer the job's question with what was told.
    Answer,
    /// End what runs; the job begins anew.
    Restart,
    /// Send the client its result, and what was written.
    Deliver(Box<FilesResult>),
    /// As for jobs of text.
    Plain(ending::Output),
}

#[derive(Debug)]
enum State {
    /// The client owes something.
    Waits,
    /// All is there; waits for a slot.
    Parked,
    Running,
    /// A job that runs waits for an answer until then.
    Asks(Instant),
    /// The compiler has ended so, then.
    Draining(Result<Ended, Failure>, Instant),
    /// The client has its result by then.
    Delivering(Instant),
    Over,
}

/// The machine.
#[derive(Debug)]
pub struct ByFiles {
    version: Version,
    state: State,
    has_slot: bool,
    /// All facts of the job are known.
    is_whole: bool,
    /// When all that is needed to run must be there.
    until: Instant,
    silent_since: Instant,
    rounds: u32,
    restarts: u32,
    came: Came,
    texts: Texts,
    outputs: VecDeque<Output>,
}

impl ByFiles {
    /// For a client that speaks `version`, and owes the stream behind its FILES_JOB.
    pub fn new(now: Instant, version: Version) -> Self {
        Self {
            version,
            state: State::Waits,
            has_slot: false,
            is_whole: false,
            until: now + GATHERING,
            silent_since: now,
            rounds: 0,
            restarts: 0,
            came: Came::default(),
            texts: Texts::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match (&self.state, input) {
            (State::Over, _) => {}
            (State::Delivering(_), Input::Delivered(Ok(()))) => self.close("job done".to_owned()),
            (State::Delivering(_), Input::Delivered(Err(reason))) => self.close(reason),
            (State::Delivering(_), _) | (_, Input::Delivered(_)) => {}
            (_, Input::Failed(failure)) => self.give_up(&failure, None),
            (_, Input::Stop) => self.give_up(if self.has_slot { &Failure::Stopped } else { &Failure::Refused }, None),
            (State::Waits | State::Asks(_), Input::Chunk { compressed, plain }) => {
                self.came.compressed += compressed;
                self.came.plain += plain;
                self.silent_since = now;
            }
            (State::Waits, Input::Stream { is_whole }) => self.streamed(now, is_whole),
            (State::Asks(_), Input::Stream { .. }) => self.outputs.push_back(Output::Grow),
            (_, Input::Chunk { .. } | Input::Stream { .. } | Input::Other) => {
                self.give_up(&files("the submitter said something that it was not asked for"), None)
            }
            (State::Waits, Input::Tree(placing)) => self.placed(now, placing),
            (State::Asks(_), Input::Tree(placing)) => self.grown(now, placing),
            (State::Parked, Input::Granted) => {
                self.has_slot = true;
                self.start();
            }
            (State::Running, Input::Question(path)) => self.question(now, path),
            (_, Input::Text(stream, read)) => self.texts.add(stream, read),
            (_, Input::TextEnd(stream)) => {
                self.texts.end(stream);
                self.judge_what_is_there(now);
            }
            (State::Running | State::Asks(_), Input::Ended(end)) => {
                self.state = State::Draining(end, now);
                self.judge_what_is_there(now);
            }
            (_, Input::Tree(_) | Input::Granted | Input::Question(_) | Input::Ended(_)) => {}
        }
    }

    /// To be called when the time of [`ByFiles::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.state {
            State::Draining(..) => self.judge(now),
            State::Waits => self.give_up(&files("the submitter does not say what it was asked for"), None),
            State::Asks(_) => self.give_up(&files("the submitter did not answer in time"), None),
            State::Delivering(_) => self.close("cannot send the result: it was not read in time".to_owned()),
            State::Parked | State::Running | State::Over => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`ByFiles::handle_timeout`]. A job that waits for its slot or for its compiler has as long as these take; a
    /// client that is gone meanwhile is seen by its socket.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Parked | State::Running | State::Over => None,
            State::Waits => Some(self.until.min(self.silent_since + SILENCE)),
            State::Asks(until) => Some(until),
            State::Draining(_, since) => Some(since + DRAIN),
            State::Delivering(until) => Some(until),
        }
    }

    /// Whether the client owes something, and is to be read.
    pub fn reads_client(&self) -> bool {
        matches!(self.state, State::Waits | State::Asks(_))
    }

    /// Whether nothing more is done for the client.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn streamed(&mut self, now: Instant, is_whole: bool) {
        match (self.is_whole, is_whole) {
            (_, true) => {
                self.is_whole = true;
                self.outputs.push_back(Output::Place);
            }
            (false, false) => self.ask(now, need::ALL, &[]),
            (true, false) => self.give_up(&files("the submitter said something that it was not asked for"), None),
        }
    }

    /// What the tree says before the job runs.
    fn placed(&mut self, now: Instant, placing: Placing) {
        match placing {
            Placing::Placed if self.has_slot => self.start(),
            Placing::Placed => {
                self.state = State::Parked;
                self.outputs.push_back(Output::Plain(ending::Output::Complete));
            }
            Placing::Unknown(paths) => self.ask(now, need::FACTS, &paths),
            Placing::Lacking(paths) => self.ask(now, need::CONTENTS, &paths),
            Placing::Changed(path) => self.give_up(&changed(&path), None),
        }
    }

    /// What the tree says of the answer to a question.
    fn grown(&mut self, now: Instant, placing: Placing) {
        match placing {
            Placing::Placed => {
                self.state = State::Running;
                self.outputs.push_back(Output::Answer);
            }
            Placing::Unknown(paths) => self.ask(now, need::FACTS, &paths),
            Placing::Lacking(paths) => self.ask(now, need::CONTENTS, &paths),
            Placing::Changed(path) if self.restarts == RESTARTS => self.give_up(&changed(&path), None),
            Placing::Changed(_) => {
                self.restarts += 1;
                self.rounds = 0;
                self.texts = Texts::default();
                // It holds a slot.
                self.until = now + SILENCE;
                self.silent_since = now;
                self.state = State::Waits;
                self.outputs.extend([Output::Restart, Output::Place]);
            }
        }
    }

    fn question(&mut self, now: Instant, path: &[u8]) {
        self.state = State::Asks(now + ANSWER);
        self.ask(now, need::FACTS, &[path.to_vec()]);
    }

    /// The client owes an answer from now on.
    fn ask(&mut self, now: Instant, kind: u32, paths: &[Vec<u8>]) {
        self.rounds += 1;
        let most = if matches!(self.state, State::Asks(_)) { ROUNDS_RUNNING } else { ROUNDS };
        if self.rounds > most {
            return self.give_up(&files("too many questions to the submitter"), None);
        }
        self.silent_since = now;
        // The rest is asked for when these have come.
        let fitting = paths.iter().take(paths_of_one_need(paths));
        let paths = fitting.map(|path| Text::from(path.clone())).collect();
        self.outputs.push_back(Output::Need(FilesNeed { kind, paths }));
    }

    fn start(&mut self) {
        self.rounds = 0;
        self.state = State::Running;
        self.outputs.push_back(Output::Start);
    }

    fn judge_what_is_there(&mut self, now: Instant) {
        if self.texts.are_over() {
            self.judge(now);
        }
    }

    /// Nothing is waited for any more, if the compiler has ended.
    fn judge(&mut self, now: Instant) {
        let State::Draining(end, _) = &self.state else { return };
        let ended = match end {
            Ok(ended) => *ended,
            Err(failure) => {
                let failure = failure.clone();
                return self.give_up(&failure, None);
            }
        };
        let (stdout, stderr) = self.texts.take();
        match judge(&ended, stdout, stderr) {
            Err(reason) => self.give_up(&Failure::NoResult { exit: ended.exit, reason }, Some(&ended)),
            Ok(result) => {
                self.outputs.push_back(Output::Plain(self.came.report(result.status, Some(&ended), false)));
                let (status, out_of_memory) = (result.status, result.out_of_memory);
                let result = FilesResult { status, out_of_memory, stdout: result.stdout, stderr: result.stderr };
                self.outputs.push_back(Output::Deliver(Box::new(result)));
                self.state = State::Delivering(now + DELIVERY);
            }
        }
    }

    fn give_up(&mut self, failure: &Failure, ended: Option<&Ended>) {
        if self.has_slot {
            self.outputs.extend(self.came.failed(failure, ended).map(Output::Plain));
        }
        if self.version.has_status_text() {
            let text = failure.to_string().into();
            self.outputs.push_back(Output::Plain(ending::Output::Say(Message::StatusText { text })));
        }
        self.close(failure.to_string());
    }

    fn close(&mut self, reason: String) {
        self.state = State::Over;
        self.outputs.push_back(Output::Plain(ending::Output::Close(reason)));
    }
}

/// How many of these paths one FILES_NEED has room for; the rest is asked for when they have come.
pub fn paths_of_one_need<'a>(paths: impl IntoIterator<Item = &'a Vec<u8>>) -> usize {
    let mut bytes = 0;
    let fits = |path: &&Vec<u8>| {
        bytes += path.len() + size_of::<u32>() + 1;
        bytes <= PATH_BYTES_MAX
    };
    paths.into_iter().take(PATHS_MAX).take_while(fits).count()
}

fn files(text: &str) -> Failure {
    Failure::Files(text.to_owned())
}

fn changed(path: &[u8]) -> Failure {
    Failure::Files(format!("{} changes too often", String::from_utf8_lossy(path)))
}

#[cfg(test)]
mod tests;
