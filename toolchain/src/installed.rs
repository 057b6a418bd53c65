//! Which compilers are installed: the programs in PATH that are named like a compiler and are one.
//!
//! A wrapper does not count: with a link to icecc under its name, icecc would find the wrapper and the wrapper would
//! find icecc again.

use crate::find::{self, OwnProgram};
use crate::wrapper;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A compiler's name without its target prefix and version.
const STEMS: [&[u8]; 6] = [b"gcc", b"g++", b"clang", b"clang++", b"cc", b"c++"];

/// The file names of all compilers in `path` (the value of PATH). `own_exe` is our own executable. May run compilers,
/// to ask for their target.
pub fn compilers(path: &OsStr, own_exe: &Path) -> BTreeSet<OsString> {
    let own = OwnProgram::new(own_exe);
    let entries = find::dirs(path).filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten();
    let named = entries.filter(|entry| is_compiler_name(&entry.file_name()));
    named.filter(|entry| is_compiler(&entry.path(), path, &own)).map(|entry| entry.file_name()).collect()
}

/// Whether a file name is a compiler's: `gcc`, `g++-12`, `arm-linux-gnueabihf-gcc`, but not `gcc-ar`.
pub fn is_compiler_name(name: &OsStr) -> bool {
    let (prefix, stem) = parts(name.as_bytes());
    STEMS.contains(&stem) && prefix.is_none_or(|prefix| !prefix.is_empty())
}

/// Splits a name without its version at the last `-`: the target prefix, if any, and the rest.
fn parts(name: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let end = name.iter().rposition(|b| !(b.is_ascii_digit() || *b == b'.')).map_or(0, |last| last + 1);
    let (plain, version) = name.split_at(end);
    // `gcc-12` and `gcc12`.
    let plain = if version.is_empty() { plain } else { plain.strip_suffix(b"-").unwrap_or(plain) };
    match plain.iter().rposition(|b| *b == b'-') {
        Some(dash) => (Some(&plain[..dash]), &plain[dash + 1..]),
        None => (None, plain),
    }
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
    fn compilers_are_known_by_their_names() {
        let all = "gcc g++ cc c++ clang clang++ gcc-12 g++-12.2 gcc12 clang++-16 arm-linux-gnueabihf-gcc avr-gcc \
                   x86_64-linux-gnu-g++-12 arm-none-eabi-c++ aarch64-linux-gnu-clang-14";
        for name in all.split_whitespace() {
            assert!(is_compiler_name(OsStr::new(name)), "{name}");
        }
        let none = "c++filt gcc-ar gcc-ar-12 x86_64-linux-gnu-gcc-nm gcov gcov-12 clang-format clang-cpp-14 clang-cl \
                    ccache colorgcc -gcc gcc- cpp ld 12 gccgo icecc";
        for name in none.split_whitespace() {
            assert!(!is_compiler_name(OsStr::new(name)), "{name}");
        }
    }

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
