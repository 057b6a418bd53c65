//! The tools of a compiler that generates code for another machine: above all, its assembler.
//!
//! A wrong assembler gives objects for the wrong machine without any error. So an assembler is used only if it is known
//! to be the target's.

use crate::find;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Whether a compiler with `-dumpmachine` `target` generates code for the machine that it runs on (`host`, as `uname
/// -m` prints it).
pub fn is_native(target: &str, host: &str) -> bool {
    let cpu = target.split('-').next().unwrap_or(target);
    cpu == host || (host == "armv7l" && cpu.starts_with("arm")) || (is_x86_32(host) && is_x86_32(cpu))
}

/// Whether two triples mean the same target. The vendor part, as `-poky-` or `-redhat-`, does not matter.
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

/// Finds the tool `name` (`as`, `objcopy`) of a compiler whose answer to `-print-prog-name` was `answer`.
///
/// An absolute path is the compiler's own tool and so the target's. A bare name means PATH: that is right for a native
/// compiler. For another target the tool must be named `TARGET-name`, beside the compiler or in PATH.
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
    let beside = |tool: &OsStr| compiler.parent().map(|f| f.join(tool)).filter(|p| p.is_file());
    let by_target: OsString = format!("{target}-{name}").into();
    // The prefix of the compiler's file name, as `arm-none-eabi-` of `arm-none-eabi-gcc`, may differ from the triple.
    let named = compiler.file_name().map(|base| [prefix_of(base), name.as_bytes()].concat());
    let by_prefix = named.map(|tool| OsStr::from_bytes(&tool).to_os_string()).filter(|tool| tool != name);
    let search = |tool: &OsStr| find::compiler(tool, path, Path::new("/proc/self/exe")).ok();
    if is_native {
        return search(OsStr::new(name)).or_else(|| beside(OsStr::new(name))).or_else(|| search(&by_target));
    }
    [Some(by_target), by_prefix].into_iter().flatten().find_map(|tool| beside(&tool).or_else(|| search(&tool)))
}

/// The target prefix of a compiler's file name: `arm-linux-gnueabihf-` of `arm-linux-gnueabihf-gcc-12`.
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
