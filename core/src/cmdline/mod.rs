//! A compiler command line, understood: can it be compiled elsewhere, and with which words on which side?
//!
//! `Inquiry` leads from a command line to a `Verdict`, and asks about the compiler on the way. `layers` are the arguments that
//! count, `spelling` reads one of them, `options` is the one table of options, `classify` tells what they mean together, and
//! `RemoteJob` is the answer for a job that can go. Files are looked at through `Files`; nothing here opens one.

mod assembler;
mod classify;
/// The names of compilers.
pub mod compiler_names;
mod configuration;
mod contents;
mod effect;
mod format;
mod inquiry;
mod job;
mod language;
mod layers;
mod options;
/// Output of compilers that are asked something.
pub mod outputs;
mod overview;
/// Paths as byte strings.
pub mod paths;
mod preprocessor;
mod question;
/// Words of response files.
pub mod response;
mod spelling;
#[cfg(test)]
mod tests;
mod warnings;

pub use classify::Settings;
pub use compiler_names::Driver;
pub use inquiry::{Inquiry, Step, Verdict};
pub use job::{Messages, Mode, RemoteJob, Word, Writing};
pub use layers::Around;
pub use overview::{is_parallel_link, language, output};
pub use question::{Answer, Question};

/// The two kinds of compilers whose options are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// gcc and what behaves like it.
    Gcc,
    /// clang.
    Clang,
}

/// Where a word goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// To the preprocessor only.
    Local,
    /// To the compile server only.
    Remote,
    /// To both.
    Rest,
    /// To the preprocessor, and to the server too if macros are expanded there.
    Cpp,
    /// To the preprocessor, so that the compiler can complain; 1.4 drops such words.
    Malformed,
}

/// A command line: the driver and the words behind its name, with response files expanded.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The compiler.
    pub driver: Driver,
    /// The words behind the compiler's name.
    pub words: &'a [Vec<u8>],
    /// Current folder, absolute.
    pub folder: &'a [u8],
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing, or nothing that can be seen.
    Absent,
    /// A regular file.
    Regular,
    /// A folder.
    Folder,
    /// What can be read any number of times and has nothing: `/dev/null`.
    Nothing,
    /// A pipe, terminal, other device…
    Other,
}

/// Questions about files; paths are as on the command line, relative ones to the current folder.
pub trait Files {
    /// What `path` is, links followed.
    fn kind(&self, path: &[u8]) -> FileKind;
    /// Whether `path` can be read.
    fn readable(&self, path: &[u8]) -> bool;
    /// What stands in the file at `path`; nothing if it is too long to be looked through.
    fn text(&self, path: &[u8]) -> Option<Vec<u8>>;
}
