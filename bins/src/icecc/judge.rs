//! Whether a command line can be compiled elsewhere, and as which job. What it means is `ice_core::cmdline`'s to decide; here its
//! questions are answered, and the surroundings looked at.

use super::answerer::Answerer;
use super::task::Task;
use super::variables::Variables;
use super::{compiler_variables, files, output, tools};
use ice_core::cmdline::{Driver, Inquiry, Invocation, Reason, RemoteJob, Step, Verdict, Writing};
use log::{debug, warn};
use std::os::unix::ffi::OsStrExt;

/// The job, if the command line can be compiled elsewhere; otherwise the log says why not.
pub(super) fn judge(task: &Task, driver: Driver, words: &[Vec<u8>], variables: &Variables) -> Option<RemoteJob> {
    let answerer = Answerer::new(&task.program, driver.family, &variables.path, &task.folder);
    let driver = Driver { family: answerer.family(), ..driver };
    if is_kept_by_variable(driver, false) {
        return None;
    }
    let invocation = Invocation { driver, words, folder: task.folder.as_os_str().as_bytes() };
    let mut inquiry = Inquiry::new(invocation, variables.settings());
    let files = files::HostFiles::default();
    let job = loop {
        match inquiry.next(&files) {
            Step::Ask(question) => inquiry.answer(answerer.answer(&question)),
            Step::Done(Verdict::Remote(job)) => break *job,
            Step::Done(Verdict::Local(reason, argument)) => {
                log_reason(reason, &argument);
                return None;
            }
        }
    };
    is_free(task, driver, &job, variables).then_some(job)
}

/// Whether nothing around the command keeps the job here; otherwise the log says what.
fn is_free(task: &Task, driver: Driver, job: &RemoteJob, variables: &Variables) -> bool {
    if is_kept_by_variable(driver, job.writing == Writing::Anew) {
        return false;
    }
    // What is in an environment of the user's is the user's word.
    let other = variables.version.is_none().then(|| tools::other_than_packed(&task.program, job)).flatten();
    if let Some(other) = other {
        log_reason(Reason::OtherProgram, other.as_os_str().as_bytes());
        return false;
    }
    if let Err(reason) = output::check(job) {
        log_reason(reason, &job.output);
        return false;
    }
    true
}

/// Whether a variable is set that only a compile here can heed.
fn is_kept_by_variable(driver: Driver, runs_assembler: bool) -> bool {
    let name = compiler_variables::only_heeded_here(driver.family, runs_assembler);
    name.inspect(|name| debug!("{name} is set, building locally")).is_some()
}

fn log_reason(reason: Reason, argument: &[u8]) {
    let argument = String::from_utf8_lossy(argument);
    match reason {
        // As 1.4 words it.
        Reason::FileMissing => warn!("file for argument {argument} missing, building locally"),
        _ if argument.is_empty() => debug!("{reason}"),
        _ => debug!("{reason} ({argument})"),
    }
}
