//! What can go wrong around a job.

use std::io;
use thiserror::Error;

/// A failure of this crate: always which step, with the kernel's reason.
#[derive(Debug, Error)]
pub enum Error {
    /// A step of a plan was refused.
    #[error("cannot {step}: {source}")]
    Step {
        /// The step as the plan prints it.
        step: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Forking is only sound (and cheap) while no other thread exists.
    #[error("cannot fork the launcher: {threads} threads exist already")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// A message between box and caller does not have the agreed form.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The other end is gone.
    #[error("{0} is gone")]
    Gone(&'static str),
}

impl Error {
    /// Turns an error of the kernel into "cannot `step`: ...".
    pub fn step<E: Into<io::Error>>(step: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |e| Self::Step { step: step.into(), source: e.into() }
    }
}
