//! Which compilers are installed: the programs in PATH that are named like a compiler and are one.
//!
//! A wrapper does not count: with a link to icecc under its name, icecc would find the wrapper and the wrapper would
//! find icecc again.

use crate::find::{self, OwnProgram};
use crate::wrapper;
use ice_core::cmdline::compiler_names::{is_compiler_name, parts};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The file names of all compilers in `path` (the value of PATH). `own_exe` is our own executable. May run compilers,
/// to ask for their target.
pub fn compilers(path: &OsStr, own_exe: &Path) -> BTreeSet<OsString> {
    let own = OwnProgram::new(own_exe);
    let entries = find::dirs(path).filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten();
    let named = entries.filter(|entry| is_compiler_name(&entry.file_name()));
    named.filter(|entry| is_compiler(&entry.path(), path, &own)).map(|entry| entry.file_name()).collect()
}

/// Whether a file named like a compiler is one, and neither a wrapper nor a link to our client.
fn is_compiler(file: &Path, path: &OsStr, own: &OwnProgram) -> bool {
    if !find::is_executable_file(file) || own.is(file) || find::is_wrapper(file, path) || wrapper::is_script(file) {
        return false;
    }
    match parts(file.file_name().unwrap_or_default().as_bytes()).0 {
        // A prefix of one word may be a target or not: `avr-gcc` is a compiler, `afl-gcc` a wrapper around one.
        Some(prefix) if !prefix.contains(&b'-') => makes_code_for(file, prefix),
        _ => true,
    }
}

/// Whether a compiler reports a target of this architecture.
fn makes_code_for(compiler: &Path, architecture: &[u8]) -> bool {
    let mut ask = Command::new(compiler);
    let answer = ask.arg("-dumpmachine").stdin(Stdio::null()).stderr(Stdio::null()).output();
    answer.is_ok_and(|answer| answer.stdout.trim_ascii().split(|b| *b == b'-').next() == Some(architecture))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn compilers_are_distinguished_from_files_named_like_one() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("bin")).unwrap();
        fs::create_dir_all(at("links")).unwrap();
        let program = |name: &str, text: &str| {
            fs::write(at(name), text).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("bin/icecc", "ours");
        program("bin/ccache", "ccache");
        for compiler in ["gcc-12", "arm-linux-gnueabihf-g++", "clang-16"] {
            program(&format!("bin/{compiler}"), "a program");
        }
        // None of these counts: a script, a program that runs another compiler, a file that is not executable, a
        // directory, and links to other programs and to ourselves.
        program("bin/c89-gcc", "#!/bin/sh\nexec gcc \"$@\"\n");
        fs::copy("/bin/true", at("bin/afl-gcc")).unwrap();
        fs::write(at("bin/gcc-11"), "text").unwrap();
        fs::create_dir(at("bin/gcc-10")).unwrap();
        symlink("../bin/icecc", at("links/gcc-9")).unwrap();
        symlink("../bin/ccache", at("links/gcc-8")).unwrap();
        symlink("../bin/clang-16", at("links/clang++-16")).unwrap();
        let path = format!("{}:/nonexistent:{}", at("links").display(), at("bin").display());
        let found = compilers(OsStr::new(&path), &at("bin/icecc"));
        let found: Vec<&str> = found.iter().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(found, ["arm-linux-gnueabihf-g++", "clang++-16", "clang-16", "gcc-12"]);
    }
}
