//! The compilers of PATH, their links, wrappers and ccache.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ice_core::doctor::{Ccache, Compiler, Place, PlaceKind, Usage};
use ice_toolchain::{find, installed};

use super::child;
use crate::icecc::exit_code;
use crate::icecc::variables::{Use, Variables};

/// The names that builds call without more.
const USUAL: [&str; 6] = ["gcc", "g++", "clang", "clang++", "cc", "c++"];
/// How long a compiler may take to tell its version.
const VERSION: Duration = Duration::from_secs(10);

pub(super) fn usage(usage: Use) -> Usage {
    match usage {
        Use::Cluster => Usage::Cluster,
        Use::LocalSlots => Usage::LocalSlots,
        Use::NoDaemon => Usage::NoDaemon,
    }
}

/// The compilers of PATH, the usual names first.
pub(super) fn compilers(variables: &Variables, own_exe: &Path) -> Vec<Compiler> {
    let path = &variables.path;
    let is_there = |name: &&str| find::compiler(OsStr::new(name), path, own_exe).is_ok();
    let mut names: Vec<OsString> = USUAL.into_iter().filter(is_there).map(OsString::from).collect();
    let more = installed::compilers(path, own_exe).into_iter().filter(|name| !USUAL.iter().any(|usual| name == usual));
    names.extend(more);
    let look = |name: OsString| Compiler {
        places: places(&name, path, own_exe),
        leads_back: if USUAL.iter().any(|usual| name == *usual) { leads_back(&name, own_exe) } else { None },
        name: name.to_string_lossy().into_owned(),
    };
    names.into_iter().map(look).collect()
}

fn places(name: &OsStr, path: &OsStr, own_exe: &Path) -> Vec<Place> {
    let files = std::env::split_paths(path).map(|directory| directory.join(name));
    let is_new = |file: &PathBuf| file.is_absolute() && find::is_executable_file(file);
    let place = |file: PathBuf| Place {
        kind: match &file {
            file if find::is_ourselves(file, own_exe) => PlaceKind::Icecc,
            file if find::is_ccache(file, path) => PlaceKind::Ccache,
            _ => PlaceKind::Compiler,
        },
        path: child::text(&file),
    };
    files.filter(is_new).map(place).collect()
}

/// What is said if the compiler, run by icecc, runs icecc.
fn leads_back(name: &OsStr, own_exe: &Path) -> Option<String> {
    let mut command = Command::new(own_exe);
    command.arg(name).arg("--version").env("ICECC_DEBUG", "error").env_remove("ICECC_LOGFILE");
    let said = child::run(&mut command, VERSION).ok()?;
    let is_loop = said.status.is_some_and(|status| status.code() == Some(exit_code::RECURSION));
    let line = said.text.lines().find_map(|line| line.split_once("recursively! ")).map(|(_, line)| line);
    is_loop.then(|| line.unwrap_or("it runs icecc again").to_owned())
}

/// The directory of links of this installation.
pub(super) fn links(own_exe: &Path) -> Option<String> {
    let prefix = own_exe.parent()?.parent()?;
    let places = ["lib/icecc/bin", "libexec/icecc/bin"].map(|place| prefix.join(place));
    places.iter().find(|place| place.is_dir()).map(|place| child::text(place))
}

pub(super) fn ccache(variables: &Variables, own_exe: &Path) -> Ccache {
    let prefix = std::env::var_os("CCACHE_PREFIX").filter(|prefix| !prefix.is_empty());
    // It may be a command with arguments.
    let first = prefix.as_ref().and_then(|prefix| prefix.to_str()?.split(' ').next().map(OsString::from));
    let program = first.as_ref().and_then(|name| match Path::new(name).is_absolute() {
        true => Some(PathBuf::from(name)).filter(|file| find::is_executable_file(file)),
        false => find::program(name, &variables.path),
    });
    Ccache {
        is_there: find::program(OsStr::new("ccache"), &variables.path).is_some(),
        prefix: prefix.map(|prefix| prefix.to_string_lossy().into_owned()),
        prefix_is_there: program.is_some(),
        prefix_is_icecc: program.is_some_and(|program| find::is_ourselves(&program, own_exe)),
    }
}
