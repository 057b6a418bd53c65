//! What runs with privilege: the half of the daemon that creates sandboxes, and the handle by which the other half asks
//! it to run, unpack, install, remove and verify. Who runs what, and how to review it: `sandbox/launcher/README.md`.
//!
//! ```text
//!  network half (many threads)                       launcher (one thread, all the privilege)
//!   Launcher ── one SOCK_SEQPACKET, fixed requests ──► serve.rs ──clone──► init of a sandbox ──fork──► compiler
//!      │            + descriptors, one of them the                            │
//!   RunningJob ◄──── answer socket of this request ◄──────────────────────────┘  watches it: closed = the job ends
//! ```
//! Each request brings the socket for its own answer along, so that answers need no sequence numbers and no thread
//! that sorts them (decision: launcher; a socket of its own is the request's number, and the control pipe as well).
//! This half trusts no answer's length or kind; the other one trusts no request at all.
//!
//! What a request may say is [`RunRequest`] with its [`Program`], [`Layout`] and [`JobLimits`], [`UnpackRequest`], and
//! the name of an environment; `request.rs` has its form on the socket.

#![forbid(unsafe_code)]

mod files;
mod known;
mod request;
mod serve;
mod verify;

pub use files::{FilesRequest, PATIENCE, QUESTIONS_MAX, Questions};
use ice_core::daemon::VerifyFailure;
use ice_core::env::{EnvId, EnvName};
pub use ice_core::server::{Layout, Program};
use ice_sandbox::channel;
pub use ice_sandbox::guarantees::{Guarantee, Guarantees};
use ice_sandbox::report::Report;
pub use ice_sandbox::report::{Ended, FilesEnded, How, OUTPUTS_MAX, Usage, Written};
use nix::unistd::Pid;
pub use request::JobLimits;
use request::{Lists, Request};
use std::fs::File;
use std::io;
use std::iter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use thiserror::Error;

/// How long the answer to install or remove may take: a few renames, behind other requests.
const ANSWER: Duration = Duration::from_secs(30);

/// Unpacks an archive, which came under this name, in a process of its own whose root is the directory to fill. The
/// last argument bounds the unpacked bytes. Errors are texts, as they cross a socket.
pub type UnpackFn = fn(input: File, name: &EnvName, into: &Path, bytes_max: u64) -> Result<Contents, String>;

/// What an unpacked archive held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// BLAKE3 of the uncompressed archive (decision: content-names).
    pub digest: [u8; 32],
    /// What it takes of the disk.
    pub bytes: u64,
    /// How many entries.
    pub files: u32,
    /// Its name was made of this content, by us or by 1.4.
    pub proven: bool,
}

/// How the launcher shall work, fixed for its life.
#[derive(Clone, Debug)]
pub struct LauncherConfig {
    /// The directory of the environments (`-b`); must exist and belong to `owner`.
    pub base: PathBuf,
    /// How many jobs run at most at the same time.
    pub slots: u16,
    /// User and group of the network half, when it is not the starting user's: owners of everything below `base`.
    pub owner: Option<(u32, u32)>,
    /// First of `slots + 1` user ids that nobody else uses. Needs root.
    pub job_uid_base: Option<u32>,
    /// Maximum number of threads and processes that the network half has, which jobs that share its user id must not
    /// lack.
    pub own_tasks: u64,
    /// Niceness added in every child (`--nice`).
    pub nice: i32,
    /// The most a request may ask for.
    pub limits: JobLimits,
    /// The unpacker: `toolchain`'s, as a plain function.
    pub unpack: UnpackFn,
    /// The daemon detaches (`-d`): who started it must not wait for a terminal or pipe that the launcher holds.
    pub detached: bool,
}

/// Why the launcher did not do what it was asked.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// The launcher could not be started.
    #[error("cannot start the launcher")]
    Start(#[source] ice_sandbox::error::Error),
    /// The request could not be sent or its answer not be read.
    #[error("cannot talk to the launcher")]
    Talk(#[source] io::Error),
    /// The launcher said no: a request out of bounds, or a sandbox that could not be made.
    #[error("{0}")]
    Refused(String),
    /// The sandbox was made, but the program in it did not start: missing, or for another machine (exit code 110 of
    /// JOB_DONE).
    #[error("{text}")]
    NotStarted {
        /// The program and the kernel's reason.
        text: String,
        /// The environment has no such program.
        missing: bool,
    },
    /// The launcher is gone, and every job with it: the daemon must end.
    #[error("the launcher is gone")]
    Gone,
    /// No answer within the time given.
    #[error("no answer of the launcher within {0:?}")]
    Late(Duration),
}

/// A job to run.
#[derive(Debug)]
pub struct RunRequest {
    /// A slot that no other job uses now, below the configured number.
    pub slot: u16,
    /// The environment, installed.
    pub env: EnvId,
    /// Which of its programs.
    pub program: Program,
    /// Arguments without the program's own name. No NUL inside.
    pub args: Vec<Vec<u8>>,
    /// Directories, working directory and outputs below `/tmp`.
    pub layout: Layout,
    /// The source comes from here.
    pub stdin: OwnedFd,
    /// The compiler's stdout.
    pub stdout: OwnedFd,
    /// The compiler's stderr.
    pub stderr: OwnedFd,
    /// Clamped to those of the configuration.
    pub limits: JobLimits,
}

/// An archive to unpack.
#[derive(Debug)]
pub struct UnpackRequest {
    /// What it shall be installed as.
    pub env: EnvId,
    /// The compressed archive comes from here; the end of input ends it.
    pub input: OwnedFd,
    /// Most unpacked bytes.
    pub bytes_max: u64,
    /// Most time.
    pub wall: Duration,
}

/// The handle. Cheap to clone; all calls may come from any thread.
#[derive(Clone, Debug)]
pub struct Launcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    pid: Pid,
    guarantees: Guarantees,
    files: Result<(), String>,
    tickets: AtomicU64,
}

/// A job on its way. Dropping it ends the job and everything it started.
#[derive(Debug)]
pub struct RunningJob {
    answer: OwnedFd,
}

/// An archive being unpacked. Dropping it stops that and removes what was written.
#[derive(Debug)]
pub struct Unpacking {
    answer: OwnedFd,
    pending: Pending,
}

/// An archive unpacked under a temporary name. Dropping it removes it; [`Launcher::install`] gives it its name.
#[derive(Debug)]
pub struct Unpacked {
    /// What was in it.
    pub contents: Contents,
    pending: Pending,
}

impl Launcher {
    /// Forks the launcher. To be called when this process is in its final place (detached, descriptors closed) and has
    /// only one thread; afterwards the caller gives up its own privilege.
    ///
    /// Never fails for lack of privilege: then [`Self::guarantees`] say what is missing, and requests are refused.
    pub fn start(config: LauncherConfig) -> Result<Self, LaunchError> {
        let serve::Started { socket, pid, guarantees, files } = serve::start(config).map_err(LaunchError::Start)?;
        Ok(Self { shared: Arc::new(Shared { socket, pid, guarantees, files, tickets: AtomicU64::new(0) }) })
    }

    /// What every job is promised on this host, and why not more.
    pub fn guarantees(&self) -> &Guarantees {
        &self.shared.guarantees
    }

    /// Its process, a child of ours.
    pub fn pid(&self) -> Pid {
        self.shared.pid
    }

    /// Waits until the launcher has died, for a thread that then ends the daemon. `true` if it did within `timeout`.
    pub fn wait_gone(&self, timeout: Duration) -> bool {
        channel::hung_up(&self.shared.socket, timeout)
    }

    /// Starts a job. Returns at once; the sandbox is made meanwhile.
    pub fn run(&self, request: RunRequest) -> Result<RunningJob, LaunchError> {
        let RunRequest { slot, env, program, args, layout, stdin, stdout, stderr, limits } = request;
        let lists = Lists { args, layout }.to_bytes().map_err(|e| LaunchError::Refused(e.to_owned()))?;
        let lists = channel::sealed(&lists).map_err(LaunchError::Talk)?;
        let fds = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), lists.as_fd()];
        Ok(RunningJob { answer: self.ask(&Request::Run { slot, env, program, limits }, &fds)? })
    }

    /// Starts to unpack the archive that comes from `input`, to be installed as `env` later.
    pub fn unpack(&self, request: UnpackRequest) -> Result<Unpacking, LaunchError> {
        let UnpackRequest { env, input, bytes_max, wall } = request;
        let ticket = self.shared.tickets.fetch_add(1, Ordering::Relaxed);
        let answer = self.ask(&Request::Unpack { env: env.clone(), ticket, bytes_max, wall }, &[input.as_fd()])?;
        Ok(Unpacking { answer, pending: Pending { ticket, env, launcher: self.clone(), named: false } })
    }

    /// Gives an unpacked archive this name, of the platform it was unpacked for. A directory of that name goes: the
    /// caller knows of none.
    pub fn install(&self, mut unpacked: Unpacked, env: &EnvId) -> Result<(), LaunchError> {
        let ticket = unpacked.pending.ticket;
        done(&self.ask(&Request::Install { env: env.clone(), ticket }, &[])?)?;
        unpacked.pending.named = true;
        Ok(())
    }

    /// Removes an installed environment: out of sight when this returns, its files soon after.
    pub fn remove(&self, env: &EnvId) -> Result<(), LaunchError> {
        done(&self.ask(&Request::Remove { env: env.clone() }, &[])?)
    }

    /// Runs `bin/true` and each compiler of an installed environment in the sandbox, the compilers on an empty unit.
    /// Takes at most 10 s for each, and ends soon after `stop` is set. One at a time: they share a user id.
    pub fn verify(&self, env: &EnvId, stop: &AtomicBool) -> Result<(), VerifyFailure> {
        verify::environment(self, env, stop)
    }

    /// Sends a request; returns the socket that its answer will come by.
    fn ask(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<OwnedFd, LaunchError> {
        let (ours, theirs) = channel::pair().map_err(LaunchError::Talk)?;
        let all: Vec<BorrowedFd<'_>> = iter::once(theirs.as_fd()).chain(fds.iter().copied()).collect();
        channel::send(self.shared.socket.as_fd(), &request.to_bytes(), &all).map_err(|e| match e.raw_os_error() {
            Some(libc::EPIPE | libc::ECONNRESET) => LaunchError::Gone,
            _ => LaunchError::Talk(e),
        })?;
        Ok(ours)
    }
}

impl RunningJob {
    /// Waits for the end of the job. `None` when `timeout` passed first; ask again then.
    pub fn wait(&self, timeout: Duration) -> Result<Option<Ended>, LaunchError> {
        match report(&self.answer, timeout)? {
            Some(Report::Ended(ended)) => Ok(Some(ended)),
            Some(other) => Err(unexpected(other)),
            None => Ok(None),
        }
    }

    /// Ends the job and everything it started, as dropping does.
    pub fn kill(self) {}
}

/// The descriptor that becomes readable when the job has ended, to be polled beside a client's socket.
impl AsFd for RunningJob {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answer.as_fd()
    }
}

impl Unpacking {
    /// Waits for the end of the unpacking. `Err(self)` when `timeout` passed first.
    pub fn wait(self, timeout: Duration) -> Result<Result<Unpacked, LaunchError>, Self> {
        let contents = match report(&self.answer, timeout) {
            Ok(None) => return Err(self),
            Ok(Some(Report::Done(bytes))) => Contents::from_bytes(&bytes).ok_or(LaunchError::Gone),
            Ok(Some(other)) => Err(unexpected(other)),
            Err(e) => Err(e),
        };
        Ok(contents.map(|contents| Unpacked { contents, pending: self.pending }))
    }
}

impl AsFd for Unpacking {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answer.as_fd()
    }
}

impl Unpacked {
    /// The environment it was unpacked for.
    pub fn env(&self) -> &EnvId {
        &self.pending.env
    }
}

/// A directory without a final name, removed when nobody gave it one.
#[derive(Debug)]
struct Pending {
    ticket: u64,
    env: EnvId,
    launcher: Launcher,
    named: bool,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.named {
            // If the launcher is gone, the next start removes what is left.
            let _ = self.launcher.ask(&Request::Discard { env: self.env.clone(), ticket: self.ticket }, &[]);
        }
    }
}

impl Contents {
    fn to_bytes(self) -> Vec<u8> {
        [&self.digest[..], &self.bytes.to_le_bytes(), &self.files.to_le_bytes(), &[u8::from(self.proven)]].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk::<32>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        let (files, proven) = rest.split_first_chunk::<4>()?;
        let (bytes, files) = (u64::from_le_bytes(*size), u32::from_le_bytes(*files));
        Some(Self { digest: *digest, bytes, files, proven: proven == [1] })
    }
}

/// Waits for the answer of a short request.
fn done(answer: &OwnedFd) -> Result<(), LaunchError> {
    match report(answer, ANSWER)? {
        Some(Report::Done(_)) => Ok(()),
        Some(other) => Err(unexpected(other)),
        None => Err(LaunchError::Late(ANSWER)),
    }
}

/// Reads one answer; a socket that closes without one means that both sandbox and launcher are gone.
fn report(answer: &OwnedFd, timeout: Duration) -> Result<Option<Report>, LaunchError> {
    Report::receive(answer, timeout).map_err(|e| match e {
        ice_sandbox::error::Error::Gone(_) => LaunchError::Gone,
        other => LaunchError::Refused(other.to_string()),
    })
}

fn unexpected(report: Report) -> LaunchError {
    match report {
        Report::Refused(text) => LaunchError::Refused(text),
        Report::NotStarted { text, missing } => LaunchError::NotStarted { text, missing },
        Report::Ended(_) | Report::Done(_) => LaunchError::Refused("answer of another kind".to_owned()),
    }
}
