//! What judging a command line has to ask about the compiler, and what is known so far.

use super::layers::Around;
use crate::job::Language;
use crate::reason::Reason;
use std::collections::BTreeMap;

/// What must be found out about the compiler.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Whether it is a program that runs another one as the compiler. [`Answer::Is`]
    IsWrapper,
    /// What the wrapper puts around these arguments of the user. [`Answer::Around`]
    WrapperOptions(Vec<Vec<u8>>),
    /// The paths of the configuration files that it reads where these arguments choose them. [`Answer::Words`]
    ConfigFiles(Vec<Vec<u8>>),
    /// Its target, as `-dumpmachine` prints it. [`Answer::Name`]
    Target,
    /// What it hands to the compiler behind it for these `-m…=native` options. [`Answer::Words`]
    Native(Vec<Vec<u8>>),
    /// `-D` arguments for what it defines in this language by these options only. [`Answer::Words`]
    PragmaMacros(Language, Vec<Vec<u8>>),
    /// Whether it knows the option for coloured messages; gcc does since 4.9. [`Answer::Is`]
    TakesColor,
    /// Where it has a file of its own that is called so. [`Answer::Name`]
    OwnFile(Vec<u8>),
    /// The user's name of the working directory, if that is not its real path. [`Answer::Name`]
    DirectoryName,
}

/// An answer. One that does not tell, or is of another kind than the question, counts as not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes or no.
    Is(bool),
    /// A single name.
    Name(Option<Vec<u8>>),
    /// Any number of arguments or paths.
    Words(Option<Vec<Vec<u8>>>),
    /// What a wrapper adds.
    Around(Option<Around>),
}

/// Why a scan ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The job stays, with the argument that decided if there is one.
    Stay(Reason, Vec<u8>),
    /// The answer decides.
    Ask(Question),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Stay(reason, Vec::new())
    }
}

/// The answers so far.
#[derive(Debug, Default)]
pub(super) struct Answers(BTreeMap<Question, Answer>);

impl Answers {
    /// Takes notice of an answer.
    pub(super) fn add(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    fn of(&self, question: Question) -> Result<&Answer, Stop> {
        self.0.get(&question).ok_or(Stop::Ask(question))
    }

    /// Whether the answer is yes.
    pub(super) fn is_so(&self, question: Question) -> Result<bool, Stop> {
        Ok(*self.of(question)? == Answer::Is(true))
    }

    /// The name that was told.
    pub(super) fn name(&self, question: Question) -> Result<Option<&[u8]>, Stop> {
        Ok(if let Answer::Name(name) = self.of(question)? { name.as_deref() } else { None })
    }

    /// The arguments or paths that were told.
    pub(super) fn words(&self, question: Question) -> Result<Option<&[Vec<u8>]>, Stop> {
        Ok(if let Answer::Words(words) = self.of(question)? { words.as_deref() } else { None })
    }

    /// What was told of a wrapper.
    pub(super) fn around(&self, question: Question) -> Result<Option<&Around>, Stop> {
        Ok(if let Answer::Around(around) = self.of(question)? { around.as_ref() } else { None })
    }
}
