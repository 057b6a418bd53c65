//! One compile from its command line to its exit status: elsewhere if it can be, else here.

use super::account::Account;
use super::by_files::{ByFiles, shadow};
use super::here;
use super::judge::judge;
use super::task::Task;
use super::variables::{Fallback, Use, Variables};
use super::{daemon, environment, remembered, remote, verify};
use ice_core::client::Request;
use ice_core::cmdline::{Driver, Mode, RemoteJob};
use ice_core::message::{CompileFile, GetCs};
use ice_core::reason::{Reason, Why};
use ice_core::text::Text;
use ice_core::version::Version;
use ice_net::conn::Conn;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Runs the task; the exit status. `words` are the arguments with response files read.
pub(super) fn compile(
    task: &Task,
    driver: Option<Driver>,
    words: &[Vec<u8>],
    variables: &Variables,
    (daemon, account): (Option<Conn>, &mut Account),
) -> i32 {
    let Stays { why, daemon } = match elsewhere(task, driver, words, variables, (daemon, account)) {
        Ok(status) => return status,
        Err(stays) => *stays,
    };
    if driver.is_some() {
        shadow::note(variables, "not-tried", &why.to_string());
    }
    account.is_of_task(task, words);
    here::run(task, variables, &why, account, |account| match daemon {
        Link::Open(daemon) => Some(daemon),
        Link::Used => account.connect(variables),
        Link::None => None,
    })
}

/// The command is to be run on this host.
struct Stays {
    why: Why,
    daemon: Link,
}

impl Stays {
    fn new(why: impl Into<Why>, daemon: Link) -> Box<Self> {
        Box::new(Self { why: why.into(), daemon })
    }
}

/// The connection to the daemon of a command that stays.
enum Link {
    /// Nothing was asked for.
    Open(Conn),
    /// It was that of a try elsewhere, and is closed.
    Used,
    /// There is none.
    None,
}

/// Tries to have the task done elsewhere; the exit status.
fn elsewhere(
    task: &Task,
    driver: Option<Driver>,
    words: &[Vec<u8>],
    variables: &Variables,
    (daemon, account): (Option<Conn>, &mut Account),
) -> Result<i32, Box<Stays>> {
    let job = match job(task, driver, words, variables, daemon.is_some()) {
        Ok(job) => job,
        Err(why) => return Err(Stays::new(why, daemon.map_or(Link::None, Link::Open))),
    };
    let no_daemon = || Stays::new(Reason::NoDaemon, Link::None);
    let mut daemon = daemon.ok_or_else(no_daemon)?;
    account.is_of(&job.input);
    let mut mode = job.mode;
    let mut by_files = variables.files.is_tried();
    if mode.leaves_macros() && remembered::is_expanded_here(input_path(&job)) {
        mode = Mode::Full;
    }
    loop {
        match submit(task, &job, Try { mode, by_files }, variables, (daemon, account))? {
            Some(status) => return Ok(status),
            None => {
                remembered::note_expansion(input_path(&job));
                (mode, by_files) = (Mode::Full, false);
                account.starts_over();
                daemon = account.connect(variables).ok_or_else(no_daemon)?;
            }
        }
    }
}

/// The job that the command is, if it can go elsewhere.
pub(super) fn job(
    task: &Task,
    driver: Option<Driver>,
    words: &[Vec<u8>],
    variables: &Variables,
    has_daemon: bool,
) -> Result<RemoteJob, Why> {
    let Some(driver) = driver else {
        return Err(if task.is_by_icerun { Reason::UnderIcerun } else { Reason::NotACompiler }.into());
    };
    if variables.usage != Use::Cluster {
        return Err(Reason::UserSaidNo.into());
    }
    // Without a daemon it only matters if the user wants to know what could not go elsewhere.
    if !has_daemon && variables.fallback == Fallback::Silent {
        return Err(Reason::NoDaemon.into());
    }
    judge(task, driver, words, variables)
}

/// How a job is tried.
struct Try {
    /// How its text is preprocessed.
    mode: Mode,
    /// By files first, on a connection to a daemon of ours.
    by_files: bool,
}

/// Submits the job; the exit status. `None`: all its macros are to be expanded here.
fn submit(
    task: &Task,
    job: &RemoteJob,
    Try { mode, by_files }: Try,
    variables: &Variables,
    (mut daemon, account): (Conn, &mut Account),
) -> Result<Option<i32>, Box<Stays>> {
    let (mut request, mut archives) = match request(task, job, mode, variables, &daemon) {
        Ok(request) => request,
        Err(err) => return Err(Stays::new(Reason::NoEnvironment.with(err.to_string()), Link::Open(daemon))),
    };
    let files = if by_files { ByFiles::open(task, job, variables, &mut daemon) } else { None };
    request.can_by_files = files.is_some();
    let way = remote::Way { request, mode, files, account };
    match remote::run(task, job, way, &mut archives, &mut daemon, variables) {
        remote::Outcome::Done(status) => {
            daemon::finish(daemon, account.end(status));
            Ok(Some(status))
        }
        remote::Outcome::Compare(theirs) => {
            daemon::finish(daemon, None);
            let daemon = account.connect(variables);
            Ok(Some(verify::run(task, job, theirs, (daemon, account))))
        }
        remote::Outcome::Shadow(theirs) => {
            daemon::finish(daemon, None);
            let daemon = account.connect(variables);
            Ok(Some(shadow::run(task, theirs, variables, (daemon, account))))
        }
        remote::Outcome::ExpandHere => Ok(None),
        remote::Outcome::Local(why) => Err(Stays::new(why, Link::Used)),
    }
}

fn input_path(job: &RemoteJob) -> &Path {
    Path::new(OsStr::from_bytes(&job.input))
}

fn request(
    task: &Task,
    job: &RemoteJob,
    mode: Mode,
    variables: &Variables,
    daemon: &Conn,
) -> Result<(Request, environment::Archives), environment::NoEnvironment> {
    let platform = environment::own_platform();
    let (environments, archives) =
        environment::plan(task, job.family, &job.extra_files, variables, &platform, daemon.version())?;
    let folder = task.folder.as_os_str().as_bytes();
    let required_features = variables.required_features();
    let minimal_version = Version::needed_for(required_features, job.split_dwarf, variables.verified_only);
    // Negative values travel wrapped, as in 1.4 (decision: bytes-not-text).
    let niceness = rustix::process::getpriority_process(None).unwrap_or(0);
    let get_cs = GetCs {
        environments: Vec::new(),
        file: job.display_name(folder),
        language: job.language.number(),
        count: 1,
        target: platform.as_str().into(),
        arg_flags: job.arg_flags(),
        preferred_host: Text::from(variables.preferred_host.as_bytes()),
        needs_31: u32::from(minimal_version.has_verify_env()),
        minimal_version: minimal_version.number(),
        required_features,
        niceness: u32::from_ne_bytes(niceness.to_ne_bytes()),
        ..GetCs::default()
    };
    let compile = CompileFile {
        language: job.language.number(),
        arguments: job.remote_words(mode),
        target: platform.as_str().into(),
        compiler: job.wire_compiler().into(),
        input_file: Text::from(job.input.as_slice()),
        working_directory: Text::from(folder),
        output_file: Text::from(job.output.as_slice()),
        split_dwarf: u32::from(job.split_dwarf),
        ..CompileFile::default()
    };
    let request = Request {
        environments,
        get_cs,
        compile,
        family: job.family,
        mode,
        messages: job.messages,
        failure_is_doubtful: job.words.iter().any(|word| word.hidden),
        told_in_full: job.extra_files.clone(),
        verified_only: variables.verified_only,
        zstd_by_default: archives.is_zstd_by_default(),
        loopback_is_remote: variables.test_remote_build,
        wants_other_host: variables.fallback != Fallback::Silent,
        is_nested: task.level > 0,
        can_by_files: false,
    };
    Ok((request, archives))
}
