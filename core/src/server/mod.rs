//! The serving half of a job: what a compile server does between COMPILE_FILE and the last byte of the object.
//!
//! `Serving` leads one job, `ByFiles` one of files mode. `command()` makes its command line, `judge` says what its compiler's end is worth.

/// Jobs of files mode.
pub mod by_files;
mod command;
mod ending;
mod failure;
mod outcome;
mod serving;

pub use command::{Command, CommandError, Layout, Program, command, for_log};
pub use ending::{Output, Stream};
pub use failure::{Exit, Failure, code};
pub use outcome::{Collected, Ended, TEXT_MAX, judge};
pub use serving::{Input, Serving};

#[cfg(test)]
mod tests;
