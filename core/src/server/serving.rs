//! One job of a client, on the host that compiles it.
//!
//! ```text
//! Parked ─ slot granted ─► Running ─ compiler's end ─► Draining ─ its texts and the client's END ─► Delivering ─► Over
//! every state, on any failure ─► Over: the job is killed, its end reported if it had a slot, its client builds at home
//! ```
//!
//! It does not know sockets, files or processes: the shell copies source, texts and objects, tells by [`Input`]s what
//! has moved, and carries out [`Output`]s. A slot is freed by [`Output::Report`], once for each that was granted.

use super::ending::{Came, Output, Stream, Texts, told};
use super::failure::Failure;
use super::outcome::{Ended, judge};
use crate::time::{Duration, Instant};
use crate::version::Version;
use std::collections::VecDeque;

/// How long a client that is read may say nothing before its END.
const INPUT: Duration = Duration::from_secs(60);
/// How long a client may take to say the rest after the compiler has ended: it still holds the slot.
const REST: Duration = Duration::from_secs(300);
/// How long the compiler's texts may take to end after it has: nothing of it lives any more.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a client may take to read its result in all, as long as ours waits for one: a piece in less than
/// [`SEND`](crate::limits::SEND) each, but thousands of them, would keep a thread and the object for days.
const DELIVERY: Duration = Duration::from_secs(1800);

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The client sent a piece of the source. The shell keeps it until the compiler takes it.
    Chunk {
        /// Its bytes as they came.
        compressed: u64,
        /// Its bytes unpacked, as the client says.
        plain: u64,
        /// More can be kept.
        has_room: bool,
    },
    /// The client has sent all of its source.
    End,
    /// The client said something else.
    Other,
    /// The daemon grants the job a slot: the shell starts the compiler.
    Granted,
    /// The daemon does not want the job run, or not any more.
    Stop,
    /// The compiler took of the source what it had room for, or reads no more.
    CompilerTook {
        /// Something of what came is left.
        is_left: bool,
    },
    /// The compiler wrote this.
    Text(Stream, &'a [u8]),
    /// One of its texts is over.
    TextEnd(Stream),
    /// The compiler has ended and takes no more, or turned out not to have run.
    CompilerEnded(Result<Ended, Failure>),
    /// [`Output::Deliver`] is done: all is sent, or why not.
    Delivered(Result<(), String>),
    /// What the shell does for the job failed.
    Failed(Failure),
}

#[derive(Debug)]
enum State {
    /// Waits for a slot.
    Parked,
    Running,
    /// The compiler has ended so, then.
    Draining(Result<Ended, Failure>, Instant),
    /// The client has its result by then.
    Delivering(Instant),
    Over,
}

/// The machine.
#[derive(Debug)]
pub struct Serving {
    version: Version,
    state: State,
    /// What came of the source.
    came: Came,
    has_end: bool,
    /// More can be kept for the compiler.
    has_room: bool,
    /// Something waits for the compiler.
    is_waiting: bool,
    /// Since when the client is read and says nothing.
    silent_since: Instant,
    texts: Texts,
    outputs: VecDeque<Output>,
}

impl Serving {
    /// For a client that speaks `version` and waits for a slot.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            state: State::Parked,
            came: Came::default(),
            has_end: false,
            has_room: true,
            is_waiting: false,
            silent_since: Instant::ZERO,
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
            (_, Input::Failed(failure)) => self.give_up(failure, None),
            (State::Parked, Input::Stop) => self.give_up(Failure::Refused, None),
            (_, Input::Stop) => self.give_up(Failure::Stopped, None),
            (_, Input::Chunk { .. } | Input::End | Input::Other) if self.has_end => {
                self.give_up(Failure::Cancelled, None);
            }
            (_, Input::Other) => self.give_up(Failure::Protocol, None),
            (state, Input::Chunk { compressed, plain, has_room }) => {
                self.is_waiting = !matches!(state, State::Draining(..));
                self.came.compressed += compressed;
                self.came.plain += plain;
                self.has_room = has_room;
                self.silent_since = now;
            }
            (_, Input::End) => {
                self.has_end = true;
                if matches!(self.state, State::Parked) {
                    self.outputs.push_back(Output::Complete);
                }
                self.close_input();
                self.judge_what_is_there(now);
            }
            (State::Parked, Input::Granted) => {
                self.state = State::Running;
                self.silent_since = now;
                self.close_input();
            }
            (State::Running, Input::CompilerTook { is_left: false }) if self.is_waiting => {
                self.is_waiting = false;
                self.silent_since = now;
                self.close_input();
            }
            (_, Input::Text(stream, read)) => self.texts.add(stream, read),
            (_, Input::TextEnd(stream)) => {
                self.texts.end(stream);
                self.judge_what_is_there(now);
            }
            (State::Running, Input::CompilerEnded(end)) => {
                if std::mem::take(&mut self.is_waiting) {
                    self.silent_since = now;
                }
                self.state = State::Draining(end, now);
                self.judge_what_is_there(now);
            }
            (_, Input::Granted | Input::CompilerTook { .. } | Input::CompilerEnded(_)) => {}
        }
    }

    /// To be called when the time of [`Serving::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.state {
            State::Draining(..) if self.has_end => self.judge(now),
            State::Running | State::Draining(..) => self.give_up(Failure::Late, None),
            State::Delivering(_) => self.close("cannot send the result: it was not read in time".to_owned()),
            State::Parked | State::Over => {}
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Serving::handle_timeout`]. A job that waits for its slot or for its compiler has as long as these take; a
    /// client that is gone meanwhile is seen by its socket.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Parked | State::Over => None,
            State::Running => (!self.has_end && !self.is_waiting).then(|| self.silent_since + INPUT),
            State::Draining(_, since) if self.has_end => Some(since + DRAIN),
            State::Draining(_, since) => Some((self.silent_since + INPUT).min(since + REST)),
            State::Delivering(until) => Some(until),
        }
    }

    /// Whether the client is to be read now: while it waits for a slot as long as there is room, then only when nothing waits for
    /// the compiler, so that a slow compiler slows its client down and costs no memory.
    pub fn reads_client(&self) -> bool {
        match self.state {
            State::Parked => self.has_room,
            State::Running => !self.is_waiting,
            State::Draining(..) => true,
            State::Delivering(_) | State::Over => false,
        }
    }

    /// Whether nothing more is done for the client.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The compiler's input ends when it has taken all.
    fn close_input(&mut self) {
        if matches!(self.state, State::Running) && self.has_end && !self.is_waiting {
            self.outputs.push_back(Output::CloseInput);
        }
    }

    fn judge_what_is_there(&mut self, now: Instant) {
        if self.has_end && self.texts.are_over() {
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
                return self.give_up(failure, None);
            }
        };
        let (stdout, stderr) = self.texts.take();
        match judge(&ended, stdout, stderr) {
            Err(reason) => self.give_up(Failure::NoResult { exit: ended.exit, reason }, Some(&ended)),
            Ok(result) => {
                self.outputs.push_back(self.came.report(result.status, Some(&ended), false));
                self.outputs.push_back(Output::Deliver(Box::new(result)));
                self.state = State::Delivering(now + DELIVERY);
            }
        }
    }

    fn give_up(&mut self, failure: Failure, ended: Option<&Ended>) {
        if !matches!(self.state, State::Parked) {
            self.outputs.extend(self.came.failed(&failure, ended));
            self.outputs.extend(told(&failure, self.version));
        }
        self.close(failure.to_string());
    }

    fn close(&mut self, reason: String) {
        self.state = State::Over;
        self.outputs.push_back(Output::Close(reason));
    }
}
