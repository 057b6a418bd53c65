//! The source on its way to a compile server: made by the preprocessor, and packed piece by piece while it is made.

use super::preprocess::Preprocessor;
use super::task::Task;
use super::variables;
use ice_core::cmdline::{Mode, RemoteJob};
use ice_core::limits;
use ice_core::message::{CompileFile, Message};
use ice_core::unit::ExpandHere;
use ice_core::version::Version;
use ice_net::compress::Packer;
use std::io;
use std::os::fd::BorrowedFd;

/// The first pieces of the source are small, so that the compiler begins while the preprocessor still works; later ones are
/// larger than 1.4's 100,000 bytes, for the ratio.
const PIECE_FIRST: usize = limits::CHUNK_PLAIN / 4;
const PIECE_MAX: usize = limits::CHUNK_PLAIN * 2;

/// The source of one job.
pub(super) struct Source<'a> {
    task: &'a Task,
    job: &'a RemoteJob,
    mode: Mode,
    /// It runs since its text was wanted.
    preprocessor: Option<Preprocessor>,
    packer: Packer,
    /// The job's header is sent, and not yet all of the source.
    is_on_its_way: bool,
    /// How much of it makes the next message.
    piece: usize,
    /// The end of it, which leaves together with END.
    last_piece: Option<Message>,
}

/// What there is to be sent.
pub(super) enum Next {
    /// Nothing yet, or nothing any more.
    Nothing,
    /// A piece.
    Piece(Message),
    /// Only the end, by [`Source::last_piece`].
    End,
    /// No more: the preprocessor has failed.
    PreprocessorFailed,
    /// It cannot be packed, which the log says.
    Unpackable,
}

impl<'a> Source<'a> {
    /// Nothing is preprocessed yet.
    pub(super) fn new(task: &'a Task, job: &'a RemoteJob, mode: Mode) -> Self {
        Self {
            task,
            job,
            mode,
            preprocessor: None,
            packer: Packer::new(variables::compression_level()),
            is_on_its_way: false,
            piece: PIECE_FIRST,
            last_piece: None,
        }
    }

    /// Starts the preprocessor, if it does not run yet.
    pub(super) fn start(&mut self) -> io::Result<()> {
        if self.preprocessor.is_none() {
            self.preprocessor = Some(Preprocessor::start(self.task, self.job, self.mode)?);
        }
        Ok(())
    }

    /// What was sent went to nobody: all is made again for the next server.
    pub(super) fn start_again(&mut self) -> io::Result<()> {
        self.stop();
        *self = Self::new(self.task, self.job, self.mode);
        self.start()
    }

    /// The job's header, with what there is of the source for the same write. Without any the header goes alone: the server can
    /// start the compiler meanwhile.
    pub(super) fn begin(&mut self, header: CompileFile, version: Version) -> io::Result<Vec<Message>> {
        let mut messages = vec![Message::CompileFile(header)];
        let bytes = self.take(PIECE_MAX)?;
        if !bytes.is_empty() {
            // Taken from the spool already: without it the rest would be another source.
            messages.push(self.pack(&bytes, version).ok_or(io::ErrorKind::InvalidData)?);
        }
        self.is_on_its_way = true;
        Ok(messages)
    }

    /// The next piece, if there is enough for one or the source has ended.
    pub(super) fn next(&mut self, version: Version) -> io::Result<Next> {
        // A text that is not wanted is not ended: the server would compile it.
        if !self.is_on_its_way || self.expand_here().is_some() {
            return Ok(Next::Nothing);
        }
        let waiting = self.preprocessor.as_ref().map_or(0, |running| running.spool.len());
        match self.ended() {
            Some(false) => {
                self.is_on_its_way = false;
                Ok(Next::PreprocessorFailed)
            }
            Some(true) if waiting <= PIECE_MAX as u64 => self.end(version),
            None if waiting < self.piece as u64 => Ok(Next::Nothing),
            Some(true) | None => {
                let bytes = self.take(self.piece)?;
                self.piece = (self.piece * 2).min(PIECE_MAX);
                Ok(self.pack(&bytes, version).map_or(Next::Unpackable, Next::Piece))
            }
        }
    }

    /// What is left leaves together with the END that the machine asks for.
    fn end(&mut self, version: Version) -> io::Result<Next> {
        self.is_on_its_way = false;
        let bytes = self.take(PIECE_MAX)?;
        if bytes.is_empty() {
            return Ok(Next::End);
        }
        self.last_piece = self.pack(&bytes, version);
        Ok(if self.last_piece.is_some() { Next::End } else { Next::Unpackable })
    }

    fn take(&mut self, most: usize) -> io::Result<Vec<u8>> {
        self.preprocessor.as_mut().map_or(Ok(Vec::new()), |running| running.spool.take(most))
    }

    /// How the preprocessor ended, if it did.
    fn ended(&self) -> Option<bool> {
        self.preprocessor.as_ref().and_then(Preprocessor::ended)
    }

    /// What must leave before the END.
    pub(super) fn last_piece(&mut self) -> Option<Message> {
        self.last_piece.take()
    }

    /// Packs a piece of a file, also of another than the source.
    pub(super) fn pack(&mut self, plain: &[u8], version: Version) -> Option<Message> {
        match self.packer.pack(plain, version) {
            Ok(chunk) => Some(Message::FileChunk(chunk)),
            Err(err) => {
                log::warn!("internal error: {}", crate::exit::chain(&err));
                None
            }
        }
    }

    /// What to poll for reading: text and messages.
    pub(super) fn descriptors(&self) -> (Option<BorrowedFd<'_>>, Option<BorrowedFd<'_>>) {
        self.preprocessor.as_ref().map_or((None, None), Preprocessor::sources)
    }

    /// Reads what is there: `text` and `messages` say which of [`Source::descriptors`] are ready.
    pub(super) fn read(&mut self, text: bool, messages: bool) -> io::Result<()> {
        self.preprocessor.as_mut().map_or(Ok(()), |running| running.read(text, messages))
    }

    /// Whether the preprocessor has failed before any of its text was wanted.
    pub(super) fn failed_early(&self) -> bool {
        self.ended() == Some(false) && !self.is_on_its_way
    }

    /// Why the text must not leave its macros to a compile server, as far as it was seen.
    pub(super) fn expand_here(&self) -> Option<&ExpandHere> {
        self.preprocessor.as_ref()?.expand_here()
    }

    /// Ends the preprocessor: its text is not wanted, and its dependency files are not those of the compiler that runs instead.
    pub(super) fn stop(&mut self) {
        if let Some(running) = &mut self.preprocessor {
            running.stop();
        }
    }

    /// The object is in place: the dependency files stay as the preprocessor wrote them.
    pub(super) fn keep_dependencies(&mut self) {
        if let Some(running) = &mut self.preprocessor {
            running.keep_dependencies();
        }
    }

    /// What the preprocessor said.
    pub(super) fn said(&self) -> Vec<u8> {
        self.preprocessor.as_ref().map(|running| running.said.clone()).unwrap_or_default()
    }
}
