//! The files of a result: received one after the other, then put in place together. A signal meanwhile leaves none of them behind.

use super::expected::Expected;
use super::output::{Incoming, Target};
use super::signals::{Caught, die_of};
use ice_core::client::Input;
use ice_core::cmdline::RemoteJob;
use ice_core::message::Message;
use ice_core::reason::{Reason, Why};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

/// Files that are here, but not yet in place.
pub(super) struct Arrivals<'a> {
    expected: Expected<'a>,
    arrived: Vec<Incoming>,
    /// What the server sends now.
    incoming: Option<Incoming>,
    /// It must have the format of an object.
    is_object: bool,
    /// Signals since the first file began to arrive: they end us when there is nothing left to tidy up.
    caught: Option<Caught>,
}

impl<'a> Arrivals<'a> {
    /// Nothing is here yet.
    pub(super) fn new(expected: Expected<'a>) -> Self {
        Self { expected, arrived: Vec::new(), incoming: None, is_object: true, caught: None }
    }

    /// What the server sends next is a file: into a temporary.
    pub(super) fn begin(&mut self, target: Target) -> Result<(), Reason> {
        if self.caught.is_none() {
            self.caught = Some(Caught::new().map_err(|_| Reason::NoTemporary)?);
        }
        self.incoming = Some(Incoming::create(target)?);
        self.is_object = true;
        Ok(())
    }

    /// As [`Arrivals::begin`], for a file of any form.
    pub(super) fn begin_side(&mut self, target: Target) -> Result<(), Reason> {
        self.begin(target)?;
        self.is_object = false;
        Ok(())
    }

    /// Whether a file is arriving.
    pub(super) fn is_receiving(&self) -> bool {
        self.incoming.is_some()
    }

    /// Takes what is a part of the file that arrives. How the machine hears of a message.
    pub(super) fn take(&mut self, message: Message) -> Input {
        match (&mut self.incoming, message) {
            (Some(incoming), Message::FileChunk(chunk)) => match incoming.write(&chunk) {
                Ok(()) => Input::FilePiece { plain: u64::from(chunk.plain_len) },
                Err(reason) => Input::Failed(reason.into()),
            },
            (Some(_), Message::End) => match self.end() {
                Ok(()) => Input::Received,
                Err(why) => Input::Failed(why),
            },
            (_, message) => Input::Server(message),
        }
    }

    fn end(&mut self) -> Result<(), Why> {
        if let Some(incoming) = self.incoming.take() {
            if self.is_object {
                incoming.check(&self.expected)?;
            }
            self.arrived.push(incoming);
        }
        Ok(())
    }

    /// To be polled for reading: a signal has come.
    pub(super) fn wake(&self) -> Option<BorrowedFd<'_>> {
        self.caught.as_ref().map(|caught| caught.wake().as_fd())
    }

    /// Ends as a signal wants it that came while a file arrives. `true`: one has come, and we live.
    pub(super) fn look_at_signals(&mut self) -> bool {
        let Some(caught) = &mut self.caught else { return false };
        caught.clear();
        let Some(signal) = caught.take() else { return false };
        self.incoming = None;
        self.arrived.clear();
        die_of(signal);
        true
    }

    /// The files, which are not to be put in place.
    pub(super) fn hand_over(&mut self) -> Result<Vec<(PathBuf, File)>, Reason> {
        let files: io::Result<Vec<_>> = self.arrived.drain(..).map(Incoming::keep_content).collect();
        self.heed_signals();
        let failed = |err| {
            log::warn!("cannot read what came: {err}");
            Reason::ObjectUnwritten
        };
        files.map_err(failed)
    }

    /// All is known and here: the outputs become what the compiler would have made of them.
    pub(super) fn put_in_place(&mut self, job: &RemoteJob, status: i32) -> Result<(), Reason> {
        let placed = match status {
            0 => self.arrived.drain(..).try_for_each(Incoming::place),
            _ => Target::object(job).leave_as_failed(),
        };
        self.heed_signals();
        placed
    }

    /// The same where each output arrived that there is, whatever the status.
    pub(super) fn put_all_in_place(&mut self, job: &RemoteJob, has_object: bool) -> Result<(), Reason> {
        let placed = self.arrived.drain(..).try_for_each(Incoming::place);
        let placed = placed.and_then(|()| if has_object { Ok(()) } else { Target::object(job).leave_as_failed() });
        self.heed_signals();
        placed
    }

    /// Ends as a signal wants it that came while files arrived.
    pub(super) fn heed_signals(&mut self) {
        if let Some(signal) = self.caught.take().and_then(|caught| caught.take()) {
            self.incoming = None;
            self.arrived.clear();
            die_of(signal);
        }
    }
}
