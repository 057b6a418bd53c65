//! What a result must look like: of the format that this compiler makes here with the same options for the target. It is learned by
//! a compile of nothing, and remembered.

use super::locks::own_folder;
use super::remembered;
use super::task::Task;
use ice_core::client::Format;
use ice_core::cmdline::RemoteJob;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// What is expected of the outputs of a job. Split debug information has the format of the object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    task: &'a Task,
    job: &'a RemoteJob,
}

impl<'a> Expected<'a> {
    pub(super) fn of(task: &'a Task, job: &'a RemoteJob) -> Self {
        Self { task, job }
    }

    /// Why a file that begins with `head` is no output of this job. What a compiler makes that cannot be asked is not known.
    pub(super) fn objection(&self, head: &[u8]) -> Option<String> {
        let came = Format::of(head).to_string();
        let words = self.job.format_words();
        let about = [OsStr::new("format of"), OsStr::new(self.job.language.option())];
        let question: Vec<&OsStr> = about.into_iter().chain(words.iter().map(|word| OsStr::from_bytes(word))).collect();
        let program = &self.task.program;
        let learned = remembered::answer(program, &question, || Some(vec![self.compile_nothing(&words)?.into_bytes()]));
        let Some(usual) = learned.and_then(|answer| String::from_utf8(answer.into_iter().next()?).ok()) else {
            log::debug!("what {} makes of nothing is not known: {came} is taken", program.display());
            return None;
        };
        if came == usual {
            if came == Format::Unknown.to_string() {
                log::info!("{came} is taken, as {} makes one too", program.display());
            }
            return None;
        }
        // Before a host is blamed: what was learned may be old, or another option matters too.
        remembered::forget(program, &question);
        let here = self.compile_nothing(&self.job.words_of_compile()).unwrap_or(usual);
        (came != here).then(|| format!("{came} instead of {here}"))
    }

    /// The format of what the compiler makes of an empty source with these arguments.
    fn compile_nothing(&self, words: &[Vec<u8>]) -> Option<String> {
        let directory = own_folder()?.join(format!("nothing-{}", std::process::id()));
        let _ = fs::create_dir(&directory);
        let output = directory.join("nothing.o");
        let mut run = Command::new(&self.task.program);
        run.args(words.iter().map(|word| OsStr::from_bytes(word)));
        run.args(["-x", self.job.language.option(), "/dev/null", "-o"]).arg(&output).envs(self.task.marks());
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let is_made = run.status().is_ok_and(|status| status.success());
        let made = is_made.then(|| fs::read(&output).ok()).flatten();
        let _ = fs::remove_dir_all(&directory);
        made.map(|made| Format::of(&made).to_string())
    }
}
