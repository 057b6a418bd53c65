//! The serving half of a job: what a compile server does between COMPILE_FILE and the last byte of the object.
//!
//! `Serving` leads one job. `command()` makes its command line, `judge` says what its compiler's end is worth.

mod command;
mod failure;
mod outcome;
mod serving;

pub use command::{Command, CommandError, Layout, Program, command, for_log};
pub use failure::{Exit, Failure, code};
pub use outcome::{Collected, Ended, TEXT_MAX, judge};
pub use serving::{Input, Output, Serving, Stream};

#[cfg(test)]
mod tests;
