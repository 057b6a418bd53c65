//! The way by files, where the server of USE_CS takes it: the user's own command runs there on the user's own files.
//!
//! ```text
//! Dialling ─► SendingFacts ─► AwaitFiles ─► AwaitOutputs ─► Over
//!                  │          ▲       │
//!                  │      Answering ◄─┘ as often as the server asks
//! SendingFacts ─► as text, on the same connection, where the shell finds that the job is not one for it
//! SendingFacts, AwaitFiles, Answering ─► AwaitServer, where the server refuses it: as text then
//! ```

use super::state::State;
use super::wait::{self, Patience};
use super::{ASKED_MAX, End, Input, Output, Submission, judge};
use crate::message::{FilesNeed, FilesResult, HostCan, Message, abilities, need};
use crate::reason::Reason;
use crate::text::Text;
use crate::time::Instant;

/// Questions of a server for one job. Ours ends a job after fewer.
const QUESTIONS_MAX: u32 = 200;

/// How far a submission goes by files.
#[derive(Debug, Default)]
pub(super) struct ByFiles {
    /// The shell can, and no server has refused it.
    is_open: bool,
    /// What the scheduler says of the server that it names next.
    host: Option<HostCan>,
    /// Questions of the server.
    questions: u32,
    result: Option<FilesResult>,
}

impl ByFiles {
    /// Tried if the shell can.
    pub(super) fn new(is_open: bool) -> Self {
        Self { is_open, ..Self::default() }
    }

    /// The scheduler says what the server of the USE_CS that follows can do.
    pub(super) fn host_can(&mut self, host: HostCan) {
        self.host = Some(host);
    }
}

impl Submission {
    /// Whether the server that is connected gets the job by files.
    pub(super) fn goes_by_files(&self) -> bool {
        let takes = |host: HostCan| host.job == self.server.job && host.abilities & abilities::FILES != 0;
        self.by_files.is_open
            && self.by_files.host.is_some_and(takes)
            && self.server.host_platform == self.request.get_cs.target
    }

    pub(super) fn begin_by_files(&mut self) {
        self.outputs.push_back(Output::BeginFiles);
        self.patience = Patience::new(wait::SOURCE);
        self.enter_unbounded(State::SendingFacts);
    }

    /// The job is none for this way; the server has heard nothing of it yet.
    pub(super) fn not_by_files(&mut self) {
        self.by_files.is_open = false;
        self.connected(self.version, self.offer);
    }

    /// The server has taken facts or an answer.
    pub(super) fn files_sent(&mut self, now: Instant) {
        self.watch(State::AwaitFiles, now, wait::RESULT);
    }

    /// What a server says that has the job by files.
    pub(super) fn files_server_says(&mut self, now: Instant, message: Message) {
        match (self.state, message) {
            (_, Message::StatusText { text }) => self.refused_by_files(now, text),
            (State::AwaitFiles, Message::FilesNeed(need)) => self.asked_by_server(need),
            (State::AwaitFiles, Message::FilesResult(result)) => self.files_result(now, result),
            (_, _) => self.give_up(Reason::NotAResult),
        }
    }

    /// Nothing is lost but time: another server, or the same one, gets it as text.
    fn refused_by_files(&mut self, now: Instant, words: Text) {
        self.by_files.is_open = false;
        if self.asked < ASKED_MAX { self.leave(now, words) } else { self.give_up(Reason::ServerSays.with(words)) }
    }

    fn asked_by_server(&mut self, need: FilesNeed) {
        self.by_files.questions += 1;
        if self.by_files.questions > QUESTIONS_MAX || need.kind > need::CONTENTS {
            return self.give_up(Reason::FilesQuestions);
        }
        self.outputs.push_back(Output::AnswerFiles(need));
        // The first time that may be a whole compiler.
        self.patience = Patience::new(wait::ENVIRONMENT);
        self.enter_unbounded(State::Answering);
    }

    fn files_result(&mut self, now: Instant, result: FilesResult) {
        if let Some(reason) = judge::objection_by_files(&result) {
            return self.give_up(reason);
        }
        self.by_files.result = Some(result);
        self.outputs.push_back(Output::ReceiveOutputs);
        self.begin_receiving(now, State::AwaitOutputs);
    }

    /// All outputs are here: the server need not wait for what becomes of them.
    pub(super) fn outputs_received(&mut self) {
        let Some(result) = self.by_files.result.take() else { return self.give_up(Reason::NoResult) };
        self.outputs.push_back(Output::Server(Message::End));
        self.end(End::ByFiles { result });
    }

    /// What becomes of an input that only this way has, or that means something else on it. `None`: it was one.
    pub(super) fn handle_by_files(&mut self, now: Instant, input: Input) -> Option<Input> {
        match (self.state, input) {
            (State::SendingFacts, Input::NotByFiles) => self.not_by_files(),
            (State::SendingFacts | State::Answering, Input::FilesSent) => self.files_sent(now),
            (State::SendingFacts | State::AwaitFiles | State::Answering, Input::Server(message)) => {
                self.files_server_says(now, message);
            }
            (State::AwaitOutputs, Input::Server(_)) => self.give_up(Reason::NotAnObject),
            (State::AwaitOutputs, Input::FilePiece { plain }) => self.piece_came(now, plain),
            (State::AwaitOutputs, Input::Received) => self.outputs_received(),
            (State::AwaitFiles, Input::Probed { alive }) => self.probed(now, alive),
            (_, Input::NotByFiles | Input::FilesSent) => {}
            (_, other) => return Some(other),
        }
        None
    }
}
