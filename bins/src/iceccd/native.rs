//! Archives of this host's compilers: what a client asks for, and how one is made, by `icecc-create-env`.
//!
//! They are kept by [`ice_toolchain::native_store`]. When one is wanted, made or deleted is decided by the daemon's machine.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ice_core::cmdline::compiler_names;
use ice_core::daemon::{Archive, FileFacts, NativeKey};
use ice_core::env::{EnvName, NameError};
use ice_core::message::GetNativeEnv;
use ice_core::text::Text;
use ice_core::version::Version;
use ice_toolchain::native_store::{self, Begun, Changed, ExamineError, KeepError, Made};
use ice_toolchain::store::remove_tree;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;

use super::disk::{Disk, DiskError};
use crate::background::{LOG_DIR, RUN_DIR};
use crate::create_env::apart::{HIDES, SECONDS_MAX};
use crate::exit::chain;

/// How long making one archive may take.
const LIMIT: Duration = Duration::from_secs(SECONDS_MAX);
/// What is kept of the tool's output: a line per file of an environment.
const OUTPUT_MAX: usize = 1 << 20;
/// Niceness of the tool: people wait for it, but not only they use the machine.
const NICENESS: i32 = 5;
/// What is read of the complaints of a tool.
const COMPLAINTS_MAX: u64 = 64 << 10;
/// `icecc-create-env`. It is opened while we may reach it: a directory that is closed to the daemon's user (a home of root's)
/// does not keep that user from running it.
#[derive(Debug)]
pub struct Tool {
    path: PathBuf,
    opened: Option<File>,
}

impl Tool {
    /// The program at `path`. One that cannot be opened fails when it is wanted.
    pub fn open(path: PathBuf) -> Self {
        Self { opened: File::open(&path).ok(), path }
    }

    /// Starts the program that `command` makes, given its path.
    fn spawn(&self, command: impl Fn(&Path) -> io::Result<Command>) -> io::Result<Child> {
        match (command(&self.path)?.spawn(), &self.opened) {
            (Err(e), Some(file)) if e.kind() == io::ErrorKind::PermissionDenied => {
                command(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?.spawn()
            }
            (child, _) => child,
        }
    }
}

/// Why an archive could not be made.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The directory in which it is made.
    #[error("cannot {what} {}", .path.display())]
    Scratch {
        /// What was to be done with it.
        what: &'static str,
        /// The directory.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The tool could not be started.
    #[error("cannot run {}", .tool.display())]
    Start {
        /// The tool.
        tool: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The tool did not end in time.
    #[error("{} took longer than {LIMIT:?}", .0.display())]
    Late(PathBuf),
    /// The tool ended with an error.
    #[error("{}: {said}", .tool.display())]
    Failed {
        /// The tool.
        tool: PathBuf,
        /// The last line of what it said.
        said: String,
    },
    /// The tool ended well, without an archive.
    #[error("{} named no archive", .tool.display())]
    NoArchive {
        /// The tool.
        tool: PathBuf,
        /// What is wrong with the name.
        #[source]
        source: NameError,
    },
    /// A file changed meanwhile.
    #[error(transparent)]
    Changed(#[from] Changed),
    /// What was made is no archive.
    #[error(transparent)]
    Made(#[from] KeepError),
    /// It was made, but not kept.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Makes archives, one at a time.
#[derive(Debug)]
pub struct Builder {
    /// Where they are kept.
    dir: PathBuf,
    tool: Tool,
    /// Directories of the daemon that no compiler has to see, as the tool is told of them.
    hidden: OsString,
}

/// The key of a request: looks at its files.
pub fn key(request: &GetNativeEnv, version: Version) -> Result<NativeKey, ExamineError> {
    native_store::examine(&c_compiler(request, version), &request.extra_files, &request.compression)
}

impl Builder {
    /// Runs `tool` for archives that are kept in `dir`.
    pub fn new(dir: PathBuf, tool: Tool) -> Self {
        let base = dir.parent().unwrap_or(&dir).as_os_str();
        let hidden = [base, LOG_DIR.as_ref(), RUN_DIR.as_ref()].join(OsStr::new(":"));
        Self { dir, tool, hidden }
    }

    /// Makes an archive and has it kept. Takes up to [`LIMIT`].
    pub fn build(&self, key: &NativeKey, disk: &Disk) -> Result<Archive, Text> {
        let built = self.make(key, |made| Ok(disk.keep(key.clone(), made)?));
        if built.is_err() {
            // What was made of it before is old, or it would not be made again: nobody asks for its removal any more.
            disk.forget_native(key.clone());
        }
        built.map_err(|e| chain(&e).into())
    }

    /// Makes an archive, which is gone when `keep` returns unless it has moved it.
    fn make<T>(&self, key: &NativeKey, keep: impl FnOnce(Made) -> Result<T, BuildError>) -> Result<T, BuildError> {
        let scratch = self.dir.join(".new");
        let cannot = |what| {
            let path = scratch.clone();
            move |source| BuildError::Scratch { what, path, source }
        };
        remove_tree(&scratch).map_err(cannot("empty"))?;
        fs::create_dir(&scratch).map_err(cannot("make"))?;
        let begun = Begun::now();
        let kept = self.run_tool(key, &scratch).and_then(|said| {
            let parts = parts(&said.text, begun)?;
            keep(Made::new(&self.dir, scratch.join(said.archive), parts)?)
        });
        let _ = remove_tree(&scratch);
        kept
    }

    fn run_tool(&self, key: &NativeKey, scratch: &Path) -> Result<Said, BuildError> {
        let complaints = self.dir.join(".complaints");
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.arg(OsStr::from_bytes(key.compiler.as_bytes()));
            for file in &key.extra_files {
                command.arg("--addfile").arg(OsStr::from_bytes(file.as_bytes()));
            }
            if !key.compression.is_empty() {
                command.arg("--compression").arg(OsStr::from_bytes(key.compression.as_bytes()));
            }
            // Nothing of the daemon's own environment, but the tests' wish for speed.
            command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
            command.envs(std::env::var_os("ICECC_TESTS").map(|v| ("ICECC_TESTS", v)));
            command.env(HIDES, &self.hidden);
            command.current_dir(scratch).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
            command.stderr(File::create(&complaints)?);
            Ok(command)
        };
        let tool = || self.tool.path.clone();
        let mut child = self.tool.spawn(command).map_err(|source| BuildError::Start { tool: tool(), source })?;
        let (stdout, ended) = watch(&mut child, Instant::now() + LIMIT);
        let mut stderr = Vec::new();
        let _ = File::open(&complaints).and_then(|file| file.take(COMPLAINTS_MAX).read_to_end(&mut stderr));
        let text = String::from_utf8_lossy(&stdout).into_owned();
        match ended {
            None => return Err(BuildError::Late(tool())),
            Some(true) => {}
            Some(false) => {
                let said = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr }).into_owned();
                let last = said.lines().last().unwrap_or("no reason given").to_owned();
                return Err(BuildError::Failed { tool: tool(), said: last });
            }
        }
        let name = text.lines().rev().find_map(|l| l.strip_prefix("creating ")).unwrap_or_default();
        match EnvName::new(name.as_bytes()) {
            Ok(name) => Ok(Said { archive: name.to_string(), text }),
            Err(source) => Err(BuildError::NoArchive { tool: tool(), source }),
        }
    }
}

/// What the tool printed, and the archive it named.
struct Said {
    archive: String,
    text: String,
}

/// The files that the tool says it packed: `adding file NAME`, `adding file NAME=FILE`. Names may hold odd characters: one that
/// is none of a file is left out.
fn parts(said: &str, begun: Begun) -> Result<Vec<FileFacts>, Changed> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("adding file "));
    native_store::packed(lines.map(|line| Path::new(line.split_once('=').map_or(line, |(_, file)| file))), begun)
}

/// Reads what `child` says to its end: that, and whether it ended well. `None`: its time was over, it was killed with all
/// that it had started.
fn watch(child: &mut Child, deadline: Instant) -> (Vec<u8>, Option<bool>) {
    let pid = i32::try_from(child.id()).map(Pid::from_raw);
    if let Some(pid) = rustix::process::Pid::from_raw(pid.map_or(0, Pid::as_raw)) {
        // Only a wish. It leads a group, and has perhaps started another process by now.
        let _ = rustix::process::setpriority_pgrp(Some(pid), NICENESS);
    }
    let mut said = Vec::new();
    let mut pipe = child.stdout.take();
    while let Some(stdout) = &mut pipe {
        let mut buffer = [0; 4096];
        if !readable(stdout, deadline) {
            break;
        }
        match stdout.read(&mut buffer) {
            Ok(0) => pipe = None,
            Ok(n) if said.len() < OUTPUT_MAX => said.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => pipe = None,
        }
    }
    // Its output has ended; so will it, in a moment.
    while pipe.is_none() && Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return (said, Some(status.success())),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return (said, Some(false)),
        }
    }
    if let Ok(pid) = pid {
        let _ = killpg(pid, Signal::SIGKILL);
    }
    let _ = child.wait();
    (said, None)
}

/// Waits until there is something to read, or the end. `false`: `deadline` came first.
fn readable(pipe: &impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// The C compiler of a request: peers below 41 send a word, below 32 nothing.
fn c_compiler(request: &GetNativeEnv, version: Version) -> PathBuf {
    let given = request.compiler.as_bytes();
    let path = match given {
        b"" => PathBuf::from("/usr/bin/gcc"),
        _ if !version.has_ordered_args() && !given.contains(&b'/') => {
            Path::new("/usr/bin").join(OsStr::from_bytes(given))
        }
        _ => PathBuf::from(OsStr::from_bytes(given)),
    };
    match path.file_name().map(compiler_names::c_partner) {
        Some(name) => path.with_file_name(name),
        None => path,
    }
}

#[cfg(test)]
mod tests;
