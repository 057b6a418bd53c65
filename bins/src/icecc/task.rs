//! What is to be run, and how deep in each other clients run each other.

use ice_core::cmdline::paths;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Level of nesting, from client to client.
const SAFEGUARD: &str = "_ICECC_SAFEGUARD";
/// The program that the outer client runs, for the message about too much nesting.
const RUN_BY_US: &str = "_ICECC_RUNS";

/// The command as it will be run here.
#[derive(Debug)]
pub(super) struct Task {
    /// As the user called it.
    pub(super) name: OsString,
    /// What that is.
    pub(super) program: PathBuf,
    /// The user's arguments, untouched.
    pub(super) words: Vec<OsString>,
    /// The working directory; empty if it has no name.
    pub(super) folder: PathBuf,
    /// Level of nesting that we were started at.
    pub(super) level: u32,
    /// What is run is a compiler: it may call icecc no more.
    pub(super) is_compiler: bool,
    /// We are icerun, which only runs things here.
    pub(super) is_by_icerun: bool,
    /// The output named on the command line.
    pub(super) output: Vec<u8>,
    /// A link with parallel LTO uses all CPUs.
    pub(super) wants_whole_machine: bool,
}

impl Task {
    /// What a child finds in its environment: the level it is started at, and who it is.
    pub(super) fn marks(&self) -> [(&'static str, OsString); 2] {
        let level = format!("0{}", self.level + if self.is_compiler { 2 } else { 1 });
        [(SAFEGUARD, level.into()), (RUN_BY_US, self.program.clone().into_os_string())]
    }

    /// What monitors are shown of a local job: the absolute output.
    pub(super) fn display_output(&self) -> Vec<u8> {
        if self.output.is_empty() {
            return Vec::new();
        }
        paths::absolute(self.folder.as_os_str().as_bytes(), &self.output)
    }
}

/// The level that this process was started at.
pub(super) fn level() -> u32 {
    let Some(value) = env::var_os(SAFEGUARD) else { return 0 };
    value.to_str().and_then(|value| value.trim().parse().ok()).filter(|level| *level > 0).unwrap_or(1)
}

/// Says that a program that a client runs has called a client again.
pub(super) fn report_recursion() {
    let outer = env::var_os(RUN_BY_US).unwrap_or_else(|| "what icecc runs".into());
    let outer = Path::new(&outer).display();
    log::error!("icecream seems to have invoked itself recursively! {outer}, run by icecc, runs icecc again");
}
