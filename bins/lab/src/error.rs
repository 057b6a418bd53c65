//! Errors of labs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a lab operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine or user cannot run labs.
    #[error("no lab here: {0}")]
    Unavailable(String),
    /// A program could not be started.
    #[error("cannot run {program}")]
    Spawn {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed ({status}): {stderr}")]
    Failed {
        /// Its command line.
        program: String,
        /// How it ended.
        status: String,
        /// What it printed.
        stderr: String,
    },
    /// A program or condition took too long.
    #[error("{what} did not end within {limit:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// A file of the lab cannot be used.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No such lab is up.
    #[error("no lab named {0} is up")]
    NoLab(String),
    /// A lab of this name is up already.
    #[error("lab {0} is up already")]
    Exists(String),
    /// No such host in this lab.
    #[error("lab has no host {0}")]
    NoHost(String),
    /// A program of icecream is not in the directory given for a host.
    #[error("no {program} in {folder}")]
    NoProgram {
        /// Which program.
        program: &'static str,
        /// The directory that was searched.
        folder: PathBuf,
    },
    /// The lab's own program is not where the running one was built.
    #[error("no icelab in {directory}: `cargo build --bins` builds it, with `--release` if what asks for it is")]
    NotBuilt {
        /// Where it should be.
        directory: PathBuf,
    },
    /// An option is invalid.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// A file error with its path.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { path, source }
    }
}
