//! The program icecc-create-env, which makes an environment.
//!
//! Its output, its exit codes and the name on descriptor 5 are those that 1.4's daemon and users' scripts expect.
//! Errors go to standard error instead of standard output, with 1.4's texts.

pub(crate) mod apart;
mod args;
mod inspect;
pub(crate) mod trial;

pub use args::PROGRAM;
pub(crate) use inspect::Scratch;
pub use inspect::inspect;

use crate::exit::{Failure, print};
use args::{Making, Task};
use ice_toolchain::archive::{PackError, Sealed};
use ice_toolchain::native::{NativePlan, Request, plan};
use ice_toolchain::plan::{Content, as_path};
use std::error::Error;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use trial::Trial;

/// The descriptor on which the daemon reads the archive's name.
const NAME_DESCRIPTOR: &str = "/proc/self/fd/5";

/// Runs the program.
pub fn main() -> ExitCode {
    // Before any file is opened, so that the descriptor can only be the caller's.
    let name_out = OpenOptions::new().append(true).open(NAME_DESCRIPTOR).ok();
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|a| a == trial::INSIDE) {
        return trial::inside(&args[1..]);
    }
    let work = || run(&args, name_out.as_ref());
    ExitCode::from(apart::run(&work).unwrap_or_else(work))
}

/// Does what the command line requests. Returns the exit code.
fn run(args: &[OsString], name_out: Option<&File>) -> u8 {
    let result = match args::parse(args, &Path::is_file) {
        Ok(Task::Help) => print(&PROGRAM.help()).map(|_| ()),
        Ok(Task::Version) => print(&PROGRAM.version()).map(|_| ()),
        Ok(Task::Make(making)) => make(&making, name_out),
        Err(e) => Err(Failure::wrong(format!("{}: {e}", PROGRAM.name))),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            // Without the program's name in front: scripts compare 1.4's whole lines.
            eprintln!("{failure}");
            failure.code
        }
    }
}

/// Makes the archive in the current directory.
fn make(making: &Making, name_out: Option<&File>) -> Result<(), Failure> {
    let cwd = std::env::current_dir().map_err(|e| Failure::new(format!("cannot find the current folder: {e}")))?;
    let request = Request {
        compilers: making.compilers.clone(),
        wrapper: making.wrapper.clone(),
        extra: making.extra.clone(),
        path: std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
        cwd: cwd.clone(),
        own_exe: std::env::current_exe().unwrap_or_default(),
    };
    let planning = plan(&request).map_err(|e| failure(&e))?;
    tell_files(&planning);
    if making.name_only {
        say(&Sealed::new(&planning.plan).map_err(|e| failure(&e).code(2))?.name());
        return Ok(());
    }
    // The trial mostly runs other programs; meanwhile the files are hashed for the archive's name.
    let (checked, sealed) = thread::scope(|scope| {
        let trial = scope.spawn(|| if making.unchecked { Ok(()) } else { check(&planning) });
        let sealed = Sealed::new(&planning.plan);
        (trial.join(), sealed)
    });
    checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let sealed = sealed.map_err(|e| failure(&e).code(2))?;
    say(&format!("creating {}", sealed.file_name(making.compression)));
    // ICECC_TESTS: 1.4's own tests want xz fast rather than small.
    let xz_level = if std::env::var_os("ICECC_TESTS").is_some() { 0 } else { 6 };
    let mut progress = Progress::new(sealed.tar_bytes());
    let packed = sealed.write(making.compression, xz_level, &cwd, &mut |done| progress.show(done));
    progress.end();
    packed.map_err(|e| match e {
        PackError::Write { .. } => failure(&e).code(3),
        _ => failure(&e),
    })?;
    if let Some(mut out) = name_out {
        // A caller that has closed it does not want the name.
        let _ = writeln!(out, "{}", sealed.file_name(making.compression));
    }
    Ok(())
}

/// An error and its causes, one per line. The first is 1.4's whole line if 1.4 has one.
fn failure(error: &dyn Error) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}\n{error}");
        cause = error.source();
    }
    Failure::new(text)
}

/// Tries the environment if this machine can run it, so that a broken one is found here and not on a server.
fn check(planning: &NativePlan) -> Result<(), Failure> {
    let host = nix::sys::utsname::uname().map(|u| u.machine().as_bytes().to_vec()).unwrap_or_default();
    if !ice_core::platform::runs(&host, planning.info.platform.as_bytes()) {
        log::debug!("environment not tried: it is for {}", planning.info.platform);
        return Ok(());
    }
    let failed = |e: io::Error| Failure::new(format!("cannot try the environment: {e}"));
    match trial::try_plan(&planning.plan).map_err(failed)? {
        Trial::Passed(_) => Ok(()),
        Trial::Failed(words) => {
            let is_progress = |line: &&str| line.starts_with("Checking ") || line.starts_with("Compiler is ");
            let last = words.lines().filter(|line| !is_progress(line)).collect::<Vec<_>>().join("\n");
            Err(Failure::new(format!("the environment does not work: {last}")))
        }
        Trial::Impossible(why) => {
            log::debug!("environment not tried: {why}");
            Ok(())
        }
    }
}

fn tell_files(planning: &NativePlan) {
    let mut lines = Vec::new();
    for name in &planning.added {
        let path = as_path(name);
        lines.extend_from_slice(b"adding file ");
        lines.extend_from_slice(path.as_os_str().as_bytes());
        if let Some(Content::File { source, .. }) = planning.plan.entries.get(name) {
            if *source != path {
                lines.push(b'=');
                lines.extend_from_slice(source.as_os_str().as_bytes());
            }
        }
        lines.push(b'\n');
    }
    // A closed standard output is no reason to fail.
    let _ = io::stdout().write_all(&lines);
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Shows progress on a terminal.
struct Progress {
    total: u64,
    percent: u64,
    is_shown: bool,
}

impl Progress {
    fn new(total: u64) -> Self {
        Self { total: total.max(1), percent: 0, is_shown: io::stderr().is_terminal() }
    }

    fn show(&mut self, done: u64) {
        let percent = done * 100 / self.total;
        if self.is_shown && percent != self.percent {
            self.percent = percent;
            eprint!("\rpacking {percent} %");
        }
    }

    fn end(&self) {
        if self.is_shown && self.percent > 0 {
            eprint!("\r              \r");
        }
    }
}
