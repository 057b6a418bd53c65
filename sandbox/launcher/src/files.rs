//! Jobs of files mode, as the network half asks for them: the submitter's own command, in his own tree.

use crate::request::{FilesLists, Request};
use crate::{JobLimits, LaunchError, Launcher, RunningJob};
use ice_core::files::{Facts, Token, is_canonical};
use ice_sandbox::channel;
use ice_sandbox::supervisor::PACKET_MAX;
pub use ice_sandbox::supervisor::{PATIENCE, QUESTIONS_MAX};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A job of files mode to run.
#[derive(Debug)]
pub struct FilesRequest {
    /// A slot that no other job uses now, below the configured number.
    pub slot: u16,
    /// Whose tree it runs in.
    pub token: Token,
    /// Which generation of that tree.
    pub generation: u32,
    /// The numbers of deltas, the newest first. The base is below them.
    pub layers: Vec<u32>,
    /// The program, an absolute path.
    pub program: Vec<u8>,
    /// All arguments, beginning with the program's own name.
    pub argv: Vec<Vec<u8>>,
    /// All environment variables.
    pub env: Vec<Vec<u8>>,
    /// The working directory, canonical.
    pub cwd: Vec<u8>,
    /// The submitter's umask.
    pub umask: u32,
    /// Absolute paths that the job may write, at most [`OUTPUTS_MAX`](crate::OUTPUTS_MAX).
    pub outputs: Vec<Vec<u8>>,
    /// Encoded facts: what may be looked at without a question. The tree holds all of it.
    pub facts: Vec<u8>,
    /// The job's end of [`Questions::pair`].
    pub asks: OwnedFd,
    /// The compiler's stdin.
    pub stdin: OwnedFd,
    /// The compiler's stdout.
    pub stdout: OwnedFd,
    /// The compiler's stderr.
    pub stderr: OwnedFd,
    /// Clamped to those of the configuration.
    pub limits: JobLimits,
}

impl Launcher {
    /// Whether this host can run jobs of files mode. `Err` is the reason why not.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub fn files(&self) -> Result<(), String> {
        self.shared.files.clone()
    }

    /// Starts a job of files mode. Returns at once; the sandbox is made meanwhile.
    pub fn run_files(&self, request: FilesRequest) -> Result<RunningJob, LaunchError> {
        self.files().map_err(LaunchError::Refused)?;
        let FilesRequest { slot, token, generation, layers, program, argv, env, cwd, umask, outputs, .. } = request;
        let lists = FilesLists { generation, umask, layers, program, argv, env, cwd, outputs, facts: request.facts };
        let lists = lists.to_bytes().map_err(|e| LaunchError::Refused(e.to_owned()))?;
        let lists = channel::sealed(&lists).map_err(LaunchError::Talk)?;
        let ends = [&request.stdin, &request.stdout, &request.stderr, &request.asks, &lists];
        let job = Request::Files { slot, token, limits: request.limits };
        Ok(RunningJob { answer: self.ask(&job, &ends.map(AsFd::as_fd))? })
    }
}

/// The questions of a job of files mode, to be polled: it becomes readable when one comes, or the job has ended.
#[derive(Debug)]
pub struct Questions(OwnedFd);

impl Questions {
    /// Makes the two ends: this one, and the job's.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        channel::pair().map(|(ours, theirs)| (Self(ours), theirs))
    }

    /// Takes a question: a canonical path, or one with `/` behind it, which means the names in that directory. `None`:
    /// the job asks nothing more. Waits for one.
    pub fn next(&self) -> io::Result<Option<Vec<u8>>> {
        let packet = match channel::receive(self.0.as_fd(), PACKET_MAX) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            packet => packet?,
        };
        let path = packet.bytes;
        let dir = path.strip_suffix(b"/").map(|dir| if dir.is_empty() { b"/" } else { dir });
        match path.as_slice() {
            b"" => Ok(None),
            b"/" => Ok(Some(path)),
            // A supervisor asks for nothing else.
            whole if is_canonical(dir.unwrap_or(whole)) => Ok(Some(path)),
            _ => Err(io::Error::other("a question for no path")),
        }
    }

    /// Answers with more facts, all of which are in the tree by now. `None` ends the job.
    pub fn answer(&self, more: Option<&Facts>) -> io::Result<()> {
        let bytes = more.map(Facts::encode).unwrap_or_default();
        if bytes.len() <= PACKET_MAX {
            return channel::send(self.0.as_fd(), &bytes, &[]);
        }
        let memory = channel::sealed(&bytes)?;
        channel::send(self.0.as_fd(), b"+", &[memory.as_fd()])
    }
}

impl AsFd for Questions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
