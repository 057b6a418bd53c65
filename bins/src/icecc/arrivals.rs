//! The files of a result: received one after the other, then put in place together. A signal meanwhile leaves none of them behind.

use super::output::{Incoming, Target};
use super::remote::readable;
use super::signals::{Caught, die_of};
use ice_core::client::{Submission, Trouble};
use ice_core::cmdline::RemoteJob;
use ice_core::message::Message;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use nix::poll::PollTimeout;
use std::os::fd::AsFd;
use std::time::Duration;

/// A server that sends more than any compiler writes, or takes longer than any network, does not end the build nor fill the disk.
const FILE_MAX: u64 = 4 << 30;
const FILE_TIME: Duration = Duration::from_secs(1800);

/// Files that are here, but not yet in place.
#[derive(Default)]
pub(super) struct Arrivals {
    arrived: Vec<Incoming>,
    /// Signals since the first file began to arrive: they end us when there is nothing left to tidy up.
    caught: Option<Caught>,
}

impl Arrivals {
    /// Receives a file into a temporary.
    pub(super) fn receive(&mut self, server: &mut Conn, target: Target) -> Result<(), Trouble> {
        let caught = match self.caught.take() {
            Some(caught) => caught,
            None => Caught::new().map_err(|_| Trouble::NoTemporary)?,
        };
        let caught = self.caught.insert(caught);
        let mut incoming = Incoming::create(target)?;
        let mut received = 0u64;
        let whole = Deadline::after(Step::Chunk, FILE_TIME);
        let mut deadline = Deadline::after(Step::Chunk, Submission::file_patience());
        loop {
            match server.try_recv() {
                Ok(Some(Message::FileChunk(chunk))) => {
                    received += u64::from(chunk.plain_len);
                    if received > FILE_MAX || whole.is_over() {
                        return Err(Trouble::ObjectCut);
                    }
                    incoming.write(&chunk)?;
                }
                Ok(Some(Message::End)) => {
                    incoming.check()?;
                    self.arrived.push(incoming);
                    return Ok(());
                }
                Ok(Some(Message::StatusText { text })) => return Err(Trouble::ServerSays(text.to_string())),
                Ok(Some(_)) => return Err(Trouble::NotAnObject),
                Err(_) => return Err(Trouble::ObjectCut),
                Ok(None) => {
                    let left = deadline.left().filter(|left| !left.is_zero()).ok_or(Trouble::ObjectCut)?;
                    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                    readable(&[server.as_fd(), caught.wake().as_fd()], timeout);
                    caught.clear();
                    if let Some(signal) = caught.take() {
                        drop(incoming);
                        self.arrived.clear();
                        die_of(signal);
                        return Err(Trouble::ObjectCut);
                    }
                    continue;
                }
            }
            deadline = Deadline::after(Step::Chunk, Submission::file_patience());
        }
    }

    /// All is known and here: the outputs become what the compiler would have made of them.
    pub(super) fn put_in_place(&mut self, job: &RemoteJob, status: i32) -> Result<(), Trouble> {
        let placed = match status {
            0 => self.arrived.drain(..).try_for_each(Incoming::place),
            _ => Target::object(job).leave_as_failed(),
        };
        self.heed_signals();
        placed
    }

    /// Ends as a signal wants it that came while files arrived.
    pub(super) fn heed_signals(&mut self) {
        if let Some(signal) = self.caught.take().and_then(|caught| caught.take()) {
            self.arrived.clear();
            die_of(signal);
        }
    }
}
