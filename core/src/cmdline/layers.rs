//! The arguments of a job by who gives them to the compiler, in the order in which it takes them: first those of its configuration
//! files, then the command line, on which a wrapper puts its own around the user's.

use std::borrow::Cow;
use std::ops::Range;

/// What a wrapper puts around the user's arguments: which of two options wins depends on their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// In front of them.
    pub before: Vec<Vec<u8>>,
    /// Behind them.
    pub after: Vec<Vec<u8>>,
}

impl Around {
    /// All that it puts there.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.before.iter().chain(&self.after).map(Vec::as_slice)
    }
}

/// All arguments of a job.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    configuration: Vec<Vec<u8>>,
    line: Cow<'a, [Vec<u8>]>,
    user: Range<usize>,
}

impl<'a> Layers<'a> {
    /// The user's alone.
    pub(super) fn of_user(user: &'a [Vec<u8>]) -> Self {
        Self { configuration: Vec::new(), line: Cow::Borrowed(user), user: 0..user.len() }
    }

    /// The user's, with a wrapper's around them.
    pub(super) fn wrapped(user: &'a [Vec<u8>], around: &Around) -> Self {
        let start = around.before.len();
        let line = Cow::Owned([around.before.as_slice(), user, around.after.as_slice()].concat());
        Self { configuration: Vec::new(), line, user: start..start + user.len() }
    }

    /// With those of configuration files in front.
    pub(super) fn configured(self, configuration: Vec<Vec<u8>>) -> Self {
        Self { configuration, ..self }
    }

    /// Whether there are no others than the user's.
    pub(super) fn is_users_alone(&self) -> bool {
        self.configuration.is_empty() && self.user == (0..self.line.len())
    }

    /// Those of configuration files.
    pub(super) fn configuration(&self) -> &[Vec<u8>] {
        &self.configuration
    }

    /// The command line that the compiler is given: an option of a wrapper may take the user's first argument for its value.
    pub(super) fn line(&self) -> &[Vec<u8>] {
        &self.line
    }

    /// Which places of the command line are the user's.
    pub(super) fn user(&self) -> Range<usize> {
        self.user.clone()
    }
}
