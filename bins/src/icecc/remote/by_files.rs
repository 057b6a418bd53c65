//! The way by files: what the machine wants done of it.

use super::{Flow, Outcome};
use crate::icecc::by_files::{Arrival, shadow};
use crate::icecc::output::print;
use ice_core::client::Input;
use ice_core::message::{FilesNeed, FilesResult, Message};
use ice_core::reason::{Reason, Why};
use ice_core::statistics::Part;
use ice_core::text::Text;
use ice_core::version::Version;
use std::io::{self, IsTerminal};

impl Flow<'_> {
    /// Sends the command; the facts follow.
    pub(super) fn begin_files(&mut self) {
        let job = self.submission.server().job;
        let Some(files) = &mut self.files else { return self.handle(Input::NotByFiles) };
        match self.account.scans(|| files.begin(job)) {
            Ok(command) => self.post(&[Message::FilesJob(Box::new(command))]),
            Err(unfit) => {
                let why = crate::exit::chain(&unfit);
                log::info!("not by files: {why}");
                files.why_not = Some(why);
                self.handle(Input::NotByFiles);
            }
        }
    }

    /// Sends what the server needs to know of our files.
    pub(super) fn answer_files(&mut self, need: &FilesNeed) {
        let Some(files) = &mut self.files else { return };
        if let Err(why) = files.answer(need) {
            self.handle(Input::Failed(why));
        }
    }

    /// Sends the next piece of facts or contents. `false`: none is on its way.
    pub(super) fn send_of_files(&mut self, version: Version) -> bool {
        let Some(piece) = self.files.as_mut().and_then(|files| files.next_piece()) else { return false };
        match piece {
            Ok(piece) if piece.is_empty() => {
                self.post(&[Message::End]);
                self.account.enter(Part::Compile);
                self.handle(Input::FilesSent);
            }
            Ok(piece) => match self.source.pack(&piece, version) {
                Some(piece) => self.post(&[piece]),
                None => self.handle(Input::Failed(Reason::SourceNotSent.into())),
            },
            Err(unfit) => self.handle(Input::Failed(unfit.into())),
        }
        true
    }

    /// The server does not want it so.
    pub(super) fn leave_files(&mut self, words: &Text) {
        self.keep_what_was_asked();
        if let Some(files) = &mut self.files {
            files.stop();
            files.why_not = Some(words.to_string());
        }
    }

    /// What the server asked for is predicted the next time.
    pub(super) fn keep_what_was_asked(&mut self) {
        if let Some(files) = self.files.as_ref().filter(|files| files.was_asked() && self.daemon_open) {
            files.keep(self.daemon);
        }
    }

    /// How the machine hears of a message of the server.
    pub(super) fn take_from_server(&mut self, message: Message) -> Input {
        let is_file = self.arrivals.is_receiving();
        let taken = match (&mut self.files, message) {
            (Some(files), Message::FileChunk(chunk)) if !is_file => files.take(&chunk),
            (Some(files), Message::End) if !is_file => files.stream_ended(),
            (Some(files), Message::End) => match self.arrivals.take(Message::End) {
                Input::Received if files.is_result_read() => files.stream_ended(),
                other => return other,
            },
            (_, message) => return self.arrivals.take(message),
        };
        let begun = taken.and_then(|arrival| match arrival {
            Arrival::Piece(plain) => Ok(Input::FilePiece { plain }),
            Arrival::Complete => Ok(Input::Received),
            Arrival::File(target, is_object) => {
                let begun = if is_object { self.arrivals.begin(target) } else { self.arrivals.begin_side(target) };
                begun.map(|()| Input::FilePiece { plain: 0 }).map_err(Why::from)
            }
        });
        begun.unwrap_or_else(Input::Failed)
    }

    /// The result is here: it counts if our files are still what they were.
    pub(super) fn finish_by_files(&mut self, result: &FilesResult) -> Outcome {
        let host = self.submission.server().host.clone();
        let failed = |why: Why| Outcome::Local(Why { host: host.clone(), ..why });
        let Some(files) = &self.files else { return failed(Reason::NoResult.into()) };
        if let Err(unfit) = files.prove() {
            self.arrivals.heed_signals();
            return failed(unfit.into());
        }
        let is_silent = result.stdout.is_empty() && result.stderr.is_empty();
        // The compiler there knew of no terminal.
        if !is_silent && io::stderr().is_terminal() && !files.is_shadow() {
            self.arrivals.heed_signals();
            return failed(Reason::Messages.into());
        }
        let has_object = files.has_object();
        if result.status == 0 && !has_object {
            self.arrivals.heed_signals();
            return failed(Reason::FilesFalse.with("no object came"));
        }
        self.account.is_done_by(&host, files.is_shadow());
        if files.is_shadow() {
            let (declared, written) = (files.declared(), files.written());
            files.keep(self.daemon);
            return match self.arrivals.hand_over() {
                Ok(files) => {
                    let files = written.into_iter().zip(files).map(|(path, (_, file))| (path, file)).collect();
                    Outcome::Shadow(shadow::Theirs { host, result: result.clone(), files, declared })
                }
                Err(reason) => failed(reason.into()),
            };
        }
        if let Err(reason) = self.arrivals.put_all_in_place(self.job, has_object) {
            return failed(reason.into());
        }
        print(io::stdout(), result.stdout.as_bytes());
        print(io::stderr(), result.stderr.as_bytes());
        log::info!("compiled by files on {host}, exit code {}", result.status);
        files.keep(self.daemon);
        Outcome::Done(result.status)
    }

    /// In shadow mode: the job was not compared, and why.
    pub(super) fn note_not_compared(&self, why: &str) {
        if let Some(files) = self.files.as_ref().filter(|files| files.is_shadow()) {
            shadow::note(self.variables, "not-tried", files.why_not.as_deref().unwrap_or(why));
        }
    }
}
