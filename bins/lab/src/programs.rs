//! The programs that a host runs: ours or those of icecream 1.4.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::Error;

/// How the installed 1.4 is named on command lines.
pub const PEER_1_4: &str = "1.4";

/// A set of programs: a directory of them, or a prefix with `bin` and `sbin`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The programs in a directory or in its `bin` and `sbin`.
    pub fn at(folder: impl Into<PathBuf>) -> Programs {
        Programs { folder: folder.into() }
    }

    /// Those of Debian's package `icecc` 1.4.
    pub fn peer_1_4() -> Programs {
        Programs::at("/usr")
    }

    /// From a command line: `1.4` or a directory.
    pub fn named(text: &str) -> Programs {
        if text == PEER_1_4 { Programs::peer_1_4() } else { Programs::at(text) }
    }

    /// The client.
    pub fn client(&self) -> Result<PathBuf, Error> {
        self.find("icecc")
    }

    /// The daemon.
    pub fn daemon(&self) -> Result<PathBuf, Error> {
        self.find("iceccd")
    }

    /// The scheduler.
    pub fn scheduler(&self) -> Result<PathBuf, Error> {
        self.find("icecc-scheduler")
    }

    /// Whether all three programs are there.
    pub fn complete(&self) -> bool {
        self.client().is_ok() && self.daemon().is_ok() && self.scheduler().is_ok()
    }

    /// PATH with the client's directory first, unless these are the system's programs.
    pub(super) fn path_variable(&self) -> Option<OsString> {
        let folder = self.client().ok()?.parent()?.to_path_buf();
        if folder == Path::new("/usr/bin") {
            return None;
        }
        let old = std::env::var_os("PATH").unwrap_or_default();
        std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&old))).ok()
    }

    fn find(&self, program: &'static str) -> Result<PathBuf, Error> {
        ["", "bin", "sbin"]
            .map(|sub| self.folder.join(sub).join(program))
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| Error::NoProgram { program, folder: self.folder.clone() })
    }
}

/// Our own programs: those that were built together with the running one.
pub fn own_programs() -> Result<Programs, Error> {
    Ok(Programs::at(icelab()?.parent().unwrap_or(Path::new("/"))))
}

/// The lab's own program.
pub(super) fn icelab() -> Result<PathBuf, Error> {
    built_with(&std::env::current_exe().map_err(Error::file("/proc/self/exe"))?)
}

/// The lab's program that was built with a running one. A test runs in `target/PROFILE/deps`, next to which it is; for
/// tests of other packages cargo does not build it.
fn built_with(running: &Path) -> Result<PathBuf, Error> {
    let beside = running.parent().unwrap_or(Path::new("/"));
    let above = beside.parent().filter(|_| beside.ends_with("deps"));
    let directory = above.unwrap_or(beside).to_path_buf();
    let path = directory.join("icelab");
    if path.is_file() { Ok(path) } else { Err(Error::NotBuilt { directory }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labs_program_is_found_by_programs_and_tests_or_how_to_build_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let running = ["icedump", "deps/e2e-0123"].map(|name| directory.path().join(name));
        for running in &running {
            let error = built_with(running).unwrap_err().to_string();
            let begin = format!("no icelab in {}: `cargo build --bins`", directory.path().display());
            assert!(error.starts_with(&begin), "{error}");
        }
        let icelab = directory.path().join("icelab");
        std::fs::write(&icelab, "").unwrap();
        assert!(running.iter().all(|running| built_with(running).unwrap() == icelab));
    }
}
