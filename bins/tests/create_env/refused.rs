//! What is refused, and in which words: unknown arguments, broken toolchains, cross compilers without their assembler.

use super::{Place, lacks};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn e14_known_words_and_codes() {
    let place = Place::new();
    for (args, words) in [
        (&["/none/gcc"], "/none/gcc is not a compiler."),
        (&["/bin/ls"], "/bin/ls is not a compiler."),
        (&["no-such-compiler"], "no-such-compiler is not a compiler."),
    ] {
        let out = place.command(args).output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        assert!(said.lines().any(|l| l.starts_with(words)), "{args:?}: {said}");
    }
    for (option, words) in [("--help", "Usage: "), ("--version", "icecc-create-env ")] {
        let out = place.command(&[option]).output().unwrap();
        assert!(out.status.success() && String::from_utf8(out.stdout).unwrap().contains(words));
    }
}

/// Broken toolchains are named where they are packed, never on a server.
#[test]
fn broken_toolchains_are_named() {
    if lacks("g++") {
        return;
    }
    let broken = |damage: &dyn Fn(&Path, &Place), words: &str| {
        let place = Place::new();
        let top = place.toolchain();
        damage(&top, &place);
        let said = place.refused(&[top.join("bin/gcc").to_str().unwrap()]);
        assert!(said.contains(words), "{words}: {said}");
    };
    let find = |top: &Path, name: &str| {
        let out = Command::new("find").arg(top).args(["-name", name]).output().unwrap();
        PathBuf::from(String::from_utf8(out.stdout).unwrap().trim_end())
    };
    let replace = |path: &Path, bytes: &[u8]| {
        // Not written through: it may be a hard link to the machine's own compiler.
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let patched = |path: &Path, from: &[u8], to: &[u8]| {
        let mut bytes = fs::read(path).unwrap();
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(from.len()).position(|w| w == from) {
            bytes[at + found..at + found + to.len()].copy_from_slice(to);
            at += found + to.len();
        }
        replace(path, &bytes);
    };
    broken(
        &|top, _| patched(&find(top, "cc1plus"), b"/lib64/ld-linux-x86-64.so.2", b"/lib64/ld-missing-64.so.2\0"),
        "ld-missing-64.so.2",
    );
    broken(
        &|top, _| patched(&find(top, "cc1plus"), b"libmpfr.so.6", b"libnone.so.6"),
        "needs libnone.so.6, which is not found",
    );
    broken(
        &|top, _| patched(&find(top, "liblto_plugin.so"), b"libc.so.6", b"libq.so.6"),
        "needs libq.so.6, which is not found",
    );
    broken(&|top, _| replace(&find(top, "cc1plus"), b"\x7fELF damaged"), "cc1plus is a damaged program");
    broken(&|top, _| replace(&find(top, "cc1plus"), &fs::read("/bin/false").unwrap()), "the environment does not work");
    broken(
        &|top, _| {
            let cc1plus = find(top, "cc1plus");
            let mut bytes = fs::read(&cc1plus).unwrap();
            bytes[18] = 183; // EM_AARCH64
            replace(&cc1plus, &bytes);
        },
        "cc1plus is for aarch64, the compiler for x86_64",
    );
}

#[test]
fn a_cross_compiler_without_its_assembler_or_cc1_is_refused() {
    if lacks("g++") {
        return;
    }
    let place = Place::new();
    // A gcc that says it is for another machine; everything else is this machine's.
    let gcc = fs::canonicalize("/usr/bin/gcc").unwrap();
    let script = |extra: &str| {
        format!("#!/bin/sh\nfor a in \"$@\"; do case $a in\n{extra}\nesac; done\nexec {} \"$@\"\n", gcc.display())
    };
    let text = script("-v) echo COLLECT_GCC=/bin/sh >&2; exit;;");
    let odd = place.file("odd-gcc", 0o755, text.as_bytes());
    let said = place.refused(&[odd.to_str().unwrap()]);
    assert!(!said.is_empty());
    let nothing = place.file("not-gcc", 0o755, b"#!/bin/sh\necho neither; exit 0\n");
    assert!(place.refused(&[nothing.to_str().unwrap()]).contains("is not a known compiler."));
    let silent = place.file("silent-gcc", 0o755, script("-v) exit;;").as_bytes());
    assert!(place.refused(&[silent.to_str().unwrap()]).contains("Failed to find gcc location."));
}

/// E18: `as` must be the target's. A gcc that is made to say another triple of the same length stands for a cross
/// compiler.
#[test]
fn e18_a_cross_compiler_needs_its_own_assembler() {
    const NATIVE: &[u8] = b"x86_64-linux-gnu";
    const OTHER: &str = "mips64-linux-gnu";
    let is_ours = |text: &[u8]| text.trim_ascii() == NATIVE;
    if lacks("g++") || !is_ours(&Command::new("gcc").arg("-dumpmachine").output().unwrap().stdout) {
        eprintln!("skipped: not x86_64-linux-gnu");
        return;
    }
    let place = Place::new();
    let top = place.toolchain();
    for driver in ["gcc", "g++"] {
        let path = top.join("bin").join(driver);
        let mut bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() - NATIVE.len() {
            if bytes[at..].starts_with(NATIVE) {
                bytes[at..at + NATIVE.len()].copy_from_slice(OTHER.as_bytes());
            }
        }
        fs::remove_file(&path).unwrap();
        place.file(&format!("opt/tc/bin/{OTHER}-{driver}"), 0o755, &bytes);
    }
    let lib = top.join("lib/gcc");
    fs::rename(lib.join("x86_64-linux-gnu"), lib.join(OTHER)).unwrap();
    let gcc = top.join("bin").join(format!("{OTHER}-gcc"));
    let said = place.refused(&[gcc.to_str().unwrap()]);
    assert!(said.contains("has no assembler for mips64-linux-gnu (as)"), "{said}");
    fs::copy("/usr/bin/as", top.join("bin").join(format!("{OTHER}-as"))).unwrap();
    let archive = place.made(&[gcc.to_str().unwrap()]);
    let mut tar = tar::Archive::new(fs::File::open(place.path().join(&archive)).unwrap());
    let mut info = String::new();
    let entry = tar.entries().unwrap().map(Result::unwrap).find(|e| &*e.path_bytes() == b"usr/share/icecream/env");
    std::io::Read::read_to_string(&mut entry.unwrap(), &mut info).unwrap();
    assert!(info.contains("target mips64-linux-gnu\nplatform x86_64\n"), "{info}");
}
