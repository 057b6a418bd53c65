//! What is different for a compiler that makes code for another machine: above all, whose assembler it is.
//!
//! A wrong assembler gives objects for the wrong machine without any error; so one that cannot be shown to be the target's
//! is not taken.

use crate::find;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whether a compiler whose `-dumpmachine` is `target` makes code for the machine that it runs on (`host`, as `uname -m`).
pub fn is_native(target: &str, host: &str) -> bool {
    let cpu = target.split('-').next().unwrap_or(target);
    cpu == host || (host == "armv7l" && cpu.starts_with("arm")) || (is_x86_32(host) && is_x86_32(cpu))
}

/// Whether compilers of these triples make code for the same target: the vendor, `-poky-` or `-redhat-`, is none of its business.
pub fn is_same_target(a: &str, b: &str) -> bool {
    fn parts(triple: &str) -> (&str, &str) {
        let (cpu, rest) = triple.split_once('-').unwrap_or((triple, ""));
        match rest.find("linux").map_or(rest, |at| &rest[at..]) {
            "linux" => (cpu, "linux-gnu"),
            system => (cpu, system),
        }
    }
    parts(a) == parts(b)
}

fn is_x86_32(cpu: &str) -> bool {
    matches!(cpu, "i386" | "i486" | "i586" | "i686")
}

/// Finds the tool `name` (`as`, `objcopy`) for a compiler that answered `answer` when it was asked for it.
///
/// A path is the compiler's own and so the target's. A bare word means PATH to the compiler: right for a native one; for
/// another target only a program named `TARGET-name` will do, beside the compiler or in PATH.
pub fn tool(
    name: &str,
    answer: &Path,
    target: &str,
    is_native: bool,
    compiler: &Path,
    path: &OsStr,
) -> Option<PathBuf> {
    if answer.is_absolute() {
        return answer.exists().then(|| answer.to_path_buf());
    }
    let beside = |word: &OsStr| compiler.parent().map(|f| f.join(word)).filter(|p| p.is_file());
    let own_word: OsString = format!("{target}-{name}").into();
    // What the compiler's file is named like, `arm-none-eabi-` of `arm-none-eabi-gcc`, may differ from the triple.
    let named = compiler.file_name().map(|base| [prefix_of(base), name.as_bytes()].concat());
    let named_word = named.map(|word| OsStr::from_bytes(&word).to_os_string()).filter(|word| word != name);
    let search = |word: &OsStr| find::compiler(word, path, Path::new("/proc/self/exe")).ok();
    if is_native {
        return search(OsStr::new(name)).or_else(|| beside(OsStr::new(name))).or_else(|| search(&own_word));
    }
    [Some(own_word), named_word].into_iter().flatten().find_map(|word| beside(&word).or_else(|| search(&word)))
}

/// `arm-linux-gnueabihf-` of `arm-linux-gnueabihf-gcc-12`.
fn prefix_of(base: &OsStr) -> &[u8] {
    let name = base.as_bytes();
    let at = [&b"gcc"[..], b"g++", b"clang"].iter().filter_map(|w| name.windows(w.len()).rposition(|x| x == *w)).max();
    &name[..at.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn native_is_by_processor() {
        assert!(is_native("x86_64-linux-gnu", "x86_64") && is_native("x86_64-pc-linux-gnu", "x86_64"));
        assert!(is_native("i586-linux-gnu", "i686") && is_native("arm-linux-gnueabihf", "armv7l"));
        assert!(!is_native("arm-linux-gnueabihf", "x86_64") && !is_native("i686-linux-gnu", "x86_64"));
    }

    #[test]
    fn vendors_are_no_part_of_a_target() {
        for (a, b) in [
            ("x86_64-linux-gnu", "x86_64-redhat-linux"),
            ("x86_64-pc-linux-gnu", "x86_64-linux-gnu"),
            ("arm-poky-linux-gnueabi", "arm-linux-gnueabi"),
            ("arm-none-eabi", "arm-none-eabi"),
        ] {
            assert!(is_same_target(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("x86_64-linux-gnu", "i686-linux-gnu"),
            ("arm-linux-gnueabi", "arm-linux-gnueabihf"),
            ("x86_64-linux-gnu", "x86_64-linux-musl"),
            ("arm-none-eabi", "arm-linux-gnueabi"),
        ] {
            assert!(!is_same_target(a, b), "{a} {b}");
        }
    }

    #[test]
    fn e18_a_cross_compiler_never_gets_the_native_assembler() {
        let dir = tempfile::tempdir().unwrap();
        let program = |name: &str| {
            let path = dir.path().join(name);
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let (gcc, native_as) = (program("arm-none-gcc"), program("as"));
        let path = dir.path().as_os_str();
        let find = |target, native| tool("as", Path::new("as"), target, native, &gcc, path);
        assert_eq!(find("arm-none-eabi", false), None);
        assert_eq!(find("x86_64-linux-gnu", true), Some(native_as));
        let own = program("arm-none-as");
        assert_eq!(find("arm-none-eabi", false), Some(own));
        assert_eq!(tool("as", Path::new("/no/as"), "arm-none-eabi", false, &gcc, path), None);
    }
}
