//! Which program a name means.

use super::ccache;
use super::variables::Variables;
use ice_core::cmdline::compiler_names;
use ice_core::cmdline::{self, Driver, Invocation};
use ice_core::job::Language;
use ice_toolchain::find;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Which compiler a name means: by itself or, as `mycc`, by the file that it leads to.
pub(super) fn driver(name: &OsStr, path: &OsStr, own_exe: &Path) -> Option<Driver> {
    let by_link = || {
        let file = find::compiler(name, path, own_exe).ok()?.canonicalize().ok()?;
        let name = file.file_name().filter(|name| compiler_names::is_compiler_name(name))?;
        Driver::from_name(name.as_bytes())
    };
    Driver::from_name(name.as_bytes()).or_else(by_link)
}

/// The program of a command: for a compiler the one that the user set for its language, or the first in PATH that is not ours.
pub(super) fn find_program(
    name: &OsStr,
    driver: Option<Driver>,
    words: &[Vec<u8>],
    folder: &Path,
    variables: &Variables,
    own_exe: &Path,
) -> Result<PathBuf, find::FindError> {
    // `icerun icecc …` is meant: the inner client knows that it is nested.
    let base = Path::new(name).file_name().unwrap_or(name);
    if driver.is_none() && (base == "icecc" || base == "icerun") {
        let plain = if name.as_bytes().contains(&b'/') { Some(PathBuf::from(name)) } else { None };
        let found = plain.or_else(|| find::program(name, &variables.path));
        return found.ok_or_else(|| find::FindError::NotFound(name.to_os_string()));
    }
    let configured = driver.and_then(|driver| {
        let invocation = Invocation { driver, words, folder: folder.as_os_str().as_bytes() };
        match cmdline::language(&invocation) {
            Language::C => variables.cc.as_ref(),
            Language::Cxx => variables.cxx.as_ref(),
            Language::ObjC | Language::ObjCxx => None,
        }
    });
    let find = if ccache::is_caller() { find::compiler_for_wrapper } else { find::compiler };
    find(configured.map_or(name, OsString::as_os_str), &variables.path, own_exe)
}
