//! Whether a command line can be compiled elsewhere, and as which job. What it means is `ice_core::cmdline`'s to decide; here its
//! questions are answered, and the surroundings looked at.

use super::answerer::Answerer;
use super::task::Task;
use super::variables::Variables;
use super::{compiler_variables, files, output, tools};
use ice_core::cmdline::{Driver, Inquiry, Invocation, RemoteJob, Step, Verdict, Writing};
use ice_core::reason::{Reason, Why};
use std::os::unix::ffi::OsStrExt;

/// The job, if the command line can be compiled elsewhere; otherwise why not.
pub(super) fn judge(task: &Task, driver: Driver, words: &[Vec<u8>], variables: &Variables) -> Result<RemoteJob, Why> {
    let answerer = Answerer::new(&task.program, driver.family, &variables.path, &task.folder);
    let driver = Driver { family: answerer.family(), ..driver };
    heed_variables(driver, false)?;
    let invocation = Invocation { driver, words, folder: task.folder.as_os_str().as_bytes() };
    let mut inquiry = Inquiry::new(invocation, variables.settings());
    let files = files::HostFiles::default();
    let job = loop {
        match inquiry.next(&files) {
            Step::Ask(question) => inquiry.answer(answerer.answer(&question)),
            Step::Done(Verdict::Remote(job)) => break *job,
            Step::Done(Verdict::Local(reason, argument)) => return Err(reason.with(argument)),
        }
    };
    look_around(task, driver, &job, variables)?;
    Ok(job)
}

/// What around the command keeps the job here.
fn look_around(task: &Task, driver: Driver, job: &RemoteJob, variables: &Variables) -> Result<(), Why> {
    heed_variables(driver, job.writing == Writing::Anew)?;
    // What is in an environment of the user's is the user's word.
    let other = variables.version.is_none().then(|| tools::other_than_packed(&task.program, job)).flatten();
    if let Some(other) = other {
        return Err(Reason::OtherProgram.with(other.as_os_str().as_bytes()));
    }
    output::check(job).map_err(|reason| reason.with(job.output.as_slice()))
}

/// A variable may be set that only a compile here can heed.
fn heed_variables(driver: Driver, runs_assembler: bool) -> Result<(), Why> {
    let name = compiler_variables::only_heeded_here(driver.family, runs_assembler);
    name.map_or(Ok(()), |name| Err(Reason::VariableSet.with(name)))
}
