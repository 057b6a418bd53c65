//! Does an environment work? Its `true` and each compiler are run in the sandbox.
//!
//! Only what the environment's own programs do counts against it. A sandbox that cannot be made, a host too busy or
//! short of memory says nothing of it: a good environment must not be lost by that. Only who is late a second time is
//! not believed again.

use super::request::EXTRA_SLOT;
use super::{Ended, How, JobLimits, LaunchError, Launcher, RunRequest, RunningJob};
use ice_core::daemon::VerifyFailure;
use ice_core::env::EnvId;
use ice_core::error_chain::chain;
use ice_core::server::{Layout, Program};
use ice_sandbox::channel;
use ice_sandbox::unknown::UnknownCall;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// For each program.
const WALL: Duration = Duration::from_secs(10);
/// How often a check looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn environment(launcher: &Launcher, env: &EnvId, stop: &AtomicBool) -> Result<(), VerifyFailure> {
    let (mut compilers, mut clang) = (0, false);
    for program in [Program::True, Program::Clang, Program::Gcc, Program::Gxx] {
        match try_one(launcher, env, program, stop) {
            Ok(()) => compilers += usize::from(program != Program::True),
            // Hand-made archives often lack bin/true, and none has all compilers.
            Err(Trouble::Missing) => {}
            // Beside a clang, 1.4 packs wrappers called gcc and g++, for servers that know no other name. They find no
            // gcc.
            Err(Trouble::Broken(_)) if clang => {}
            // Made where there is a compiler for C alone. A job in C++ fails and is built by its submitter.
            Err(Trouble::Broken(reason)) if program == Program::Gxx && compilers > 0 && lacks_cc1plus(&reason) => {}
            Err(Trouble::Broken(reason)) => {
                return Err(VerifyFailure::Environment(format!("{} in {env}: {reason}", program.path()).into()));
            }
            Err(Trouble::Host(reason)) => return Err(VerifyFailure::Host(reason.into())),
            Err(Trouble::Late(reason)) => return Err(VerifyFailure::Late(reason.into())),
            Err(Trouble::Stopped) => return Err(VerifyFailure::Stopped),
        }
        clang |= program == Program::Clang && compilers > 0;
    }
    if compilers == 0 { Err(VerifyFailure::Environment(format!("no compiler in {env}").into())) } else { Ok(()) }
}

fn lacks_cc1plus(reason: &str) -> bool {
    reason.contains("cannot execute") && reason.contains("cc1plus")
}

enum Trouble {
    Missing,
    Broken(String),
    /// Not its fault.
    Host(String),
    /// Perhaps its fault.
    Late(String),
    /// Others go first.
    Stopped,
}

fn try_one(launcher: &Launcher, env: &EnvId, program: Program, stop: &AtomicBool) -> Result<(), Trouble> {
    let system = |e: io::Error| Trouble::Host(e.to_string());
    let launch = |e: LaunchError| Trouble::Host(chain(&e));
    let stderr = channel::memory().map_err(system)?;
    let request = request(env, program, &stderr).map_err(system)?;
    let job = launcher.run(request).map_err(launch)?;
    let ended = match wait(&job, stop).ok_or(Trouble::Stopped)? {
        Ok(Some(ended)) => ended,
        Ok(None) => return Err(Trouble::Host("no end of a sandbox".to_owned())),
        Err(LaunchError::NotStarted { missing: true, .. }) => return Err(Trouble::Missing),
        Err(e @ LaunchError::NotStarted { .. }) => return Err(Trouble::Broken(e.to_string())),
        Err(e) => return Err(launch(e)),
    };
    match ended {
        Ended { timed_out: true, .. } => Err(Trouble::Late(format!("{} not done within {WALL:?}", program.path()))),
        // Nobody but the kernel kills so, for want of memory of the sandbox or of the host.
        Ended { out_of_memory: true, .. } | Ended { how: How::Signalled(libc::SIGKILL), .. } => {
            Err(Trouble::Host(format!("out of memory for {}", program.path())))
        }
        Ended { how: How::Exited(0), object: None, .. } if program != Program::True => {
            Err(Trouble::Broken("no object written".to_owned()))
        }
        Ended { how: How::Exited(0), .. } => Ok(()),
        Ended { how, unknown, .. } => {
            Err(Trouble::Broken(format!("{how:?}: {}{}", first_line(&stderr), named(&unknown))))
        }
    }
}

/// Waits for a program's end, or for none with `None` when the check is to stop.
fn wait(job: &RunningJob, stop: &AtomicBool) -> Option<Result<Option<Ended>, LaunchError>> {
    let begun = Instant::now();
    loop {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        match job.wait(LOOK) {
            // The sandbox has its own clock for WALL; the margin is for a busy host.
            Ok(None) if begun.elapsed() < WALL + Duration::from_secs(5) => {}
            outcome => return Some(outcome),
        }
    }
}

fn request(env: &EnvId, program: Program, stderr: &File) -> io::Result<RunRequest> {
    let language = if program == Program::Gxx { "c++" } else { "c" };
    let mut args = vec!["-x", language, "-c", "-", "-o", "verify.o"];
    match program {
        Program::True => args.clear(),
        Program::Clang | Program::ClangXx => {}
        Program::Gcc | Program::Gxx => args.insert(2, "-fpreprocessed"),
    }
    let object = if program == Program::True { Vec::new() } else { b"verify.o".to_vec() };
    Ok(RunRequest {
        slot: EXTRA_SLOT,
        env: env.clone(),
        program,
        args: args.iter().map(|a| a.as_bytes().to_vec()).collect(),
        layout: Layout { object, ..Layout::default() },
        stdin: channel::sealed(b"")?,
        stdout: channel::memory()?.into(),
        stderr: stderr.try_clone()?.into(),
        limits: JobLimits { wall: WALL, file: 1 << 20, ..JobLimits::default() },
    })
}

/// The system calls that were made in vain, as a reason.
fn named(unknown: &[UnknownCall]) -> String {
    let names: Vec<String> = unknown.iter().map(UnknownCall::name).collect();
    if names.is_empty() { String::new() } else { format!(" (unknown system calls: {})", names.join(", ")) }
}

/// The first line of what the compiler said, cut to a size for the log.
fn first_line(stderr: &File) -> String {
    let mut bytes = [0; 300];
    let len = stderr.read_at(&mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..len]);
    text.lines().next().unwrap_or_default().to_owned()
}
