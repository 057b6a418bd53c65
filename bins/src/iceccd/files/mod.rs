//! Jobs of files mode on the host that runs them: the submitter's own command, on what its file system holds.

mod command;
mod incoming;
mod job;
mod result;
mod room;

pub use job::serve;
pub use room::{open, possible};
