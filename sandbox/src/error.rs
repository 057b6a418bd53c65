//! Errors of this crate.

use std::io;
use thiserror::Error;

/// Why a sandbox or a message to it failed.
#[derive(Debug, Error)]
pub enum Error {
    /// A step failed.
    #[error("cannot {step}: {source}")]
    Step {
        /// The step, worded as the plan prints it.
        step: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The process has more than one thread, so that forking would not be sound.
    #[error("cannot fork the launcher: {threads} threads exist already")]
    Threads {
        /// The number of threads.
        threads: usize,
    },
    /// A message between sandbox and launcher is malformed.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The other end was closed.
    #[error("{0} is gone")]
    Gone(&'static str),
}

impl Error {
    /// Wraps a reason as "cannot `step`: …".
    pub(crate) fn refused(step: &'static str) -> impl FnOnce(String) -> Self {
        move |reason| Self::Step { step: step.to_owned(), source: io::Error::other(reason) }
    }

    /// Wraps an error of the kernel as "cannot `step`: …".
    pub fn step<E: Into<io::Error>>(step: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |e| Self::Step { step: step.into(), source: e.into() }
    }
}
