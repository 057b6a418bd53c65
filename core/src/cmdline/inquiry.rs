//! What a command line means: a machine that asks about the compiler until it can tell whether the job may go elsewhere, and as
//! what.
//!
//! [`Inquiry::next`] judges by what is known. Where that does not suffice it asks for one thing more, and judges anew with the answer;
//! so each verdict follows from the command line and the answers alone, whatever the order in which they came. Questions cost a run
//! of the compiler, so they are asked as late as can be. What stands at a path is looked at through [`Files`].

use super::classify::{self, Settings};
use super::configuration;
use super::job::RemoteJob;
use super::layers::Layers;
use super::question::{Answer, Answers, Question, Stop};
use super::{Family, Files, Invocation};
use crate::reason::Reason;

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// [`Inquiry::answer`] is to be called with the answer.
    Ask(Question),
    /// It is judged.
    Done(Verdict),
}

/// What becomes of a command line.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It stays, with the argument that decided if there is one.
    Local(Reason, Vec<u8>),
    /// It can go.
    Remote(Box<RemoteJob>),
}

/// One command line on its way to a verdict.
#[derive(Debug)]
pub struct Inquiry<'a> {
    invocation: Invocation<'a>,
    settings: Settings,
    answers: Answers,
    asked: Option<Question>,
    /// What the user's own arguments make of the job.
    of_user: Option<RemoteJob>,
    /// What all of them make of it.
    of_all: Option<RemoteJob>,
}

impl<'a> Inquiry<'a> {
    /// Nothing is known but the command line.
    pub fn new(invocation: Invocation<'a>, settings: Settings) -> Self {
        Self { invocation, settings, answers: Answers::default(), asked: None, of_user: None, of_all: None }
    }

    /// The next question, or the verdict.
    pub fn next(&mut self, files: &dyn Files) -> Step {
        match self.judge(files) {
            Ok(job) => Step::Done(Verdict::Remote(Box::new(job))),
            Err(Stop::Stay(reason, argument)) => Step::Done(Verdict::Local(reason, argument)),
            Err(Stop::Ask(question)) => {
                self.asked = Some(question.clone());
                Step::Ask(question)
            }
        }
    }

    /// Answers the last question.
    pub fn answer(&mut self, answer: Answer) {
        if let Some(question) = self.asked.take() {
            self.answers.add(question, answer);
        }
    }

    fn judge(&mut self, files: &dyn Files) -> Result<RemoteJob, Stop> {
        if !self.invocation.folder.starts_with(b"/") {
            return Err(Reason::NoDirectory.into());
        }
        let mut job = match &self.of_all {
            Some(job) => job.clone(),
            None => {
                let job = self.job(files)?;
                self.of_all.insert(job).clone()
            }
        };
        self.complete(&mut job)?;
        Ok(job)
    }

    /// The job that all arguments make, as far as they tell.
    fn job(&mut self, files: &dyn Files) -> Result<RemoteJob, Stop> {
        // The user's own first: most of what stays here is known by them, and to ask a wrapper takes several runs.
        if self.of_user.is_none() {
            self.of_user = Some(self.scan(&Layers::of_user(self.invocation.words), files)?);
        }
        let layers = self.layers(files)?;
        match self.of_user.take_if(|_| layers.is_users_alone()) {
            Some(job) => Ok(job),
            None => self.scan(&layers, files),
        }
    }

    fn scan(&self, layers: &Layers<'_>, files: &dyn Files) -> Result<RemoteJob, Stop> {
        classify::classify(&self.invocation, layers, &self.settings, files, &self.answers)
    }

    /// The arguments of the compiler that a server runs: it has neither wrapper nor configuration.
    fn layers(&self, files: &dyn Files) -> Result<Layers<'a>, Stop> {
        let user = self.invocation.words;
        let layers = if self.answers.is_so(Question::IsWrapper)? {
            let around = self.answers.around(Question::WrapperOptions(user.to_vec()))?.ok_or(Reason::Wrapper)?;
            // What the one means would be asked through the wrapper, and what the other holds would reach no server.
            if around.all().any(|argument| argument.ends_with(b"=native") || argument.starts_with(b"@")) {
                return Err(Reason::Wrapper.into());
            }
            Layers::wrapped(user, around)
        } else {
            Layers::of_user(user)
        };
        if self.invocation.driver.family != Family::Clang || configuration::is_switched_off(layers.line()) {
            return Ok(layers);
        }
        let paths = self.answers.words(Question::ConfigFiles(configuration::choice(layers.line())))?;
        let arguments = configuration::arguments(paths.unwrap_or_default(), files).ok_or(Reason::Wrapper)?;
        Ok(layers.configured(arguments))
    }

    /// Puts what only the compiler knows in the place of what the arguments leave open.
    fn complete(&self, job: &mut RemoteJob) -> Result<(), Stop> {
        if job.target_wanted {
            job.resolve_target(self.answers.name(Question::Target)?)?;
        }
        let native = job.native_words();
        job.means_this_host = !native.is_empty() || self.answers.is_so(Question::IsWrapper)?;
        if !native.is_empty() {
            job.resolve_native(self.answers.words(Question::Native(native))?)?;
        }
        let pragmas = job.pragma_words();
        if !pragmas.is_empty() {
            job.resolve_pragmas(self.answers.words(Question::PragmaMacros(job.language, pragmas))?);
        }
        if job.compilation_dir_wanted {
            if let Some(name) = self.answers.name(Question::DirectoryName)? {
                job.set_compilation_dir(name);
            }
        }
        Ok(())
    }
}
