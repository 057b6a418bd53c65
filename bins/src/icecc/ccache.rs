//! ccache behind our own link in PATH: it is run in our place, and runs us for what it does not have.
//!
//! A shell would have met ccache if we were not there, so its user wants it; and in front of us a hit costs the cluster nothing.

use super::variables::Variables;
use ice_toolchain::find;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What ccache runs a compiler by.
const PREFIX: &str = "CCACHE_PREFIX";
/// Who started ccache so, does not do it again, whatever ccache makes of its configuration.
const GUARD: &str = "_ICECC_CCACHE";
/// ccache tells it to what it starts.
const CALLED_BY_CCACHE: &str = "UNCACHED_ERR_FD";

/// Whether ccache started us, for what it does not have.
pub(super) fn is_caller() -> bool {
    is_set(CALLED_BY_CCACHE)
}

/// Becomes `ccache COMPILER WORDS` if that was meant by the name we were called by; returns if not, or if it cannot be started.
pub(super) fn instead(name: &OsStr, compiler: &Path, words: &[OsString], variables: &Variables, own_exe: &Path) {
    if is_set(GUARD) || is_caller() || !may_be_prefix(own_exe) {
        return;
    }
    let Some(ccache) = find::ccache_behind(name, &variables.path, own_exe) else { return };
    let mut command = Command::new(&ccache);
    // By this name it takes its first argument for the compiler. The compiler itself, not a name: its time and size, by which
    // ccache knows a new compiler, shall not be ours.
    command.arg0("ccache").arg(compiler).args(words).env(GUARD, "1");
    if !is_set(PREFIX) {
        command.env(PREFIX, own_exe);
    }
    log::debug!("{} first", ccache.display());
    let error = command.exec();
    log::warn!("cannot run {}: {error}", ccache.display());
}

fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether ccache can run us by this path: it cuts the words at blanks, and another name would not take a compiler's path.
fn may_be_prefix(own_exe: &Path) -> bool {
    own_exe.file_name().is_some_and(|name| name == "icecc")
        && !own_exe.as_os_str().as_bytes().iter().any(u8::is_ascii_whitespace)
}
