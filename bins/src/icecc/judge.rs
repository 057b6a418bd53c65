//! Whether a command line can be compiled elsewhere, and as which job. The decisions are `ice_core::cmdline`'s; here the compiler, its
//! files and the surroundings are asked.

use super::task::Task;
use super::variables::Variables;
use super::{compiler, compiler_variables, configuration, files, output, tools};
use ice_core::cmdline::{self, Driver, Family, Invocation, Reason, RemoteJob, Settings, Verdict, Writing};
use log::{debug, warn};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The job, if the command line can be compiled elsewhere; otherwise the log says why not.
pub(super) fn judge(task: &Task, driver: Driver, words: &[Vec<u8>], variables: &Variables) -> Option<RemoteJob> {
    let driver = Driver { family: family(task, driver), ..driver };
    let is_heeded = |name: &str| debug!("{name} is set, building locally");
    if !task.folder.is_absolute() {
        log_reason(Reason::NoDirectory, b"");
        return None;
    }
    if let Some(name) = compiler_variables::only_heeded_here(driver.family, false) {
        is_heeded(name);
        return None;
    }
    let mut settings = variables.settings();
    settings.color = settings.color && compiler::takes_color(&task.program, driver.family);
    let classify = |words: &[Vec<u8>], own: &Range<usize>| {
        let invocation = Invocation { driver, words, folder: task.folder.as_os_str().as_bytes() };
        let files = files::HostFiles::default().of_compiler(&task.program);
        match cmdline::classify_wrapped(&invocation, own, &settings, &files) {
            Verdict::Remote(job) => Some(job),
            Verdict::Local(reason, word) => {
                log_reason(reason, &word);
                None
            }
        }
    };
    // The user's own words first: most of what stays here is known by them, and to ask a wrapper takes several runs.
    let mut job = classify(words, &(0..words.len()))?;
    let unwrapped = match compiler::unwrapped(&task.program, driver.family, &variables.path, words) {
        Ok(unwrapped) => unwrapped,
        Err(reason) => {
            log_reason(reason, task.program.as_os_str().as_bytes());
            return None;
        }
    };
    if let Some(compiler::Unwrapped { words, own }) = &unwrapped {
        job = classify(words, own)?;
    }
    let words = unwrapped.as_ref().map_or(words, |unwrapped| &unwrapped.words);
    let configured = configuration::words(&task.program, driver.family, words)
        .and_then(|words| configure(&mut job, driver, words, &settings, task));
    if let Err(reason) = configured.and_then(|()| compiler::resolve(&task.program, &mut job)) {
        log_reason(reason, b"");
        return None;
    }
    if let Some(dir) = files::name_in_pwd(&task.folder) {
        job.set_compilation_dir(dir.as_bytes());
    }
    if let Some(name) = compiler_variables::only_heeded_here(driver.family, job.object_writing() == Writing::Anew) {
        is_heeded(name);
        return None;
    }
    // What is in an environment of the user's is the user's word.
    let other = variables.version.is_none().then(|| tools::other_than_packed(&task.program, &job)).flatten();
    if let Some(other) = other {
        log_reason(Reason::OtherProgram, other.as_os_str().as_bytes());
        return None;
    }
    if let Err(reason) = output::check(&job) {
        log_reason(reason, &job.output);
        return None;
    }
    if variables.repeat_rate {
        debug!("ICECC_REPEAT_RATE is not supported: results of other hosts are not compared");
    }
    Some(*job)
}

/// Gives the job the words of the compiler's configuration files; they are judged as if they made a job of their own.
fn configure(
    job: &mut RemoteJob,
    driver: Driver,
    mut words: Vec<Vec<u8>>,
    settings: &Settings,
    task: &Task,
) -> Result<(), Reason> {
    if words.is_empty() {
        return Ok(());
    }
    words.extend([b"-c".to_vec(), b"configured.c".to_vec()]);
    let invocation = Invocation { driver, words: &words, folder: task.folder.as_os_str().as_bytes() };
    match cmdline::classify(&invocation, settings, &files::HostFiles::default().of_compiler(&task.program)) {
        Verdict::Remote(configured) => job.configure(*configured),
        Verdict::Local(reason, _) => Err(reason),
    }
}

fn log_reason(reason: Reason, word: &[u8]) {
    let word = String::from_utf8_lossy(word);
    match reason {
        // As 1.4 words it.
        Reason::FileMissing => warn!("file for argument {word} missing, building locally"),
        _ if word.is_empty() => debug!("{reason}"),
        _ => debug!("{reason} ({word})"),
    }
}

/// clang under another name is known by the file that its links lead to, or by asking it.
fn family(task: &Task, driver: Driver) -> Family {
    let real = std::fs::canonicalize(&task.program).unwrap_or_default();
    let named = |path: &Path| path.file_name().and_then(|name| Driver::from_name(name.as_bytes()));
    let is_named_clang = |path| named(path).is_some_and(|driver| driver.family == Family::Clang);
    if is_named_clang(&real) || is_named_clang(&task.program) {
        return Family::Clang;
    }
    compiler::family(&task.program).unwrap_or(driver.family)
}
