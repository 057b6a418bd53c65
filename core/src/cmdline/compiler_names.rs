//! The names of compilers: which names are compilers', and what a name says of family, language, target and version.
//!
//! A new compiler's name is added here: to `Driver::from_name`, by which `icecc` knows it, and to `is_compiler_name`,
//! by which links are made and installed compilers are found.

use super::{Family, paths};
use crate::job::Language;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A compiler as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its options.
    pub family: Family,
    /// What it compiles without `-x` and known suffix.
    pub language: Language,
}

impl Driver {
    /// Judges by the last component of `name`; `None` is a command that is not known as a compiler.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let base = paths::base_name(name);
        let has = |part: &[u8]| base.windows(part.len()).any(|w| w == part);
        let language = if has(b"g++") || has(b"clang++") || base == b"c++" || base.ends_with(b"-c++") {
            Language::Cxx
        } else if !has(b"++") && (has(b"gcc") || has(b"clang")) || base == b"cc" || base.ends_with(b"-cc") {
            Language::C
        } else {
            return None;
        };
        Some(Self { family: if has(b"clang") { Family::Clang } else { Family::Gcc }, language })
    }
}

/// A compiler's name without its target prefix and version.
const STEMS: [&[u8]; 6] = [b"gcc", b"g++", b"clang", b"clang++", b"cc", b"c++"];

/// Whether a file name is a compiler's: `gcc`, `g++-12`, `arm-linux-gnueabihf-gcc`, but not `gcc-ar`.
pub fn is_compiler_name(name: &OsStr) -> bool {
    let (prefix, stem) = parts(name.as_bytes());
    STEMS.contains(&stem) && prefix.is_none_or(|prefix| !prefix.is_empty())
}

/// Splits a name without its version at the last `-`: the target prefix, if any, and the rest.
pub fn parts(name: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let end = name.iter().rposition(|b| !(b.is_ascii_digit() || *b == b'.')).map_or(0, |last| last + 1);
    let (plain, version) = name.split_at(end);
    // `gcc-12` and `gcc12`.
    let plain = if version.is_empty() { plain } else { plain.strip_suffix(b"-").unwrap_or(plain) };
    match plain.iter().rposition(|b| *b == b'-') {
        Some(dash) => (Some(&plain[..dash]), &plain[dash + 1..]),
        None => (None, plain),
    }
}

/// The name of the C++ driver that belongs to a C driver: `T-g++-12` for `T-gcc-12`, `clang++-14` for `clang-14`, `c++`
/// for `cc`.
pub fn cxx_partner(base: &OsStr) -> Option<OsString> {
    let name = base.as_bytes();
    if name == b"cc" {
        return Some("c++".into());
    }
    replace_last(name, b"clang", b"clang++").or_else(|| replace_last(name, b"gcc", b"g++"))
}

/// The name of the C driver that belongs to a driver of either language.
pub fn c_partner(base: &OsStr) -> OsString {
    let name = base.as_bytes();
    if name == b"c++" {
        return "cc".into();
    }
    replace_last(name, b"clang++", b"clang")
        .or_else(|| replace_last(name, b"g++", b"gcc"))
        .unwrap_or_else(|| base.to_os_string())
}

/// The prefix of a compiler's name, which `=target` in ICECC_VERSION is compared with.
///
/// It is the part before the last `-`, after a version (`-12`, `-12.2`) was removed. The triple of `machine` (as `uname
/// -m` prints it) counts as no prefix.
pub fn prefix(base: &OsStr, machine: &str) -> OsString {
    let prefix = parts(base.as_bytes()).0.unwrap_or_default();
    if is_native_triple(prefix, machine) { OsString::new() } else { OsStr::from_bytes(prefix).to_os_string() }
}

/// Whether a compiler for this triple generates code for `machine`: `x86_64-linux-gnu`, `x86_64-pc-linux-gnu` ….
pub fn is_native_triple(triple: &[u8], machine: &str) -> bool {
    const SYSTEMS: [&[u8]; 6] =
        [b"linux-gnu", b"pc-linux-gnu", b"unknown-linux-gnu", b"redhat-linux", b"suse-linux", b"linux"];
    let Some(rest) = triple.strip_prefix(machine.as_bytes()) else {
        return machine == "armv7l" && triple == b"arm-linux-gnueabihf";
    };
    rest.strip_prefix(b"-").is_some_and(|system| SYSTEMS.contains(&system))
}

fn replace_last(text: &[u8], word: &[u8], by: &[u8]) -> Option<OsString> {
    let at = text.windows(word.len()).rposition(|w| w == word)?;
    Some(OsStr::from_bytes(&[&text[..at], by, &text[at + word.len()..]].concat()).to_os_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_and_language_are_told_by_name() {
        let name = |n: &str| Driver::from_name(n.as_bytes()).map(|d| (d.family, d.language));
        assert_eq!(name("aarch64-suse-linux-gcc-6"), Some((Family::Gcc, Language::C)));
        assert_eq!(name("/opt/llvm/bin/clang++-14"), Some((Family::Clang, Language::Cxx)));
        assert_eq!(name("c++"), Some((Family::Gcc, Language::Cxx)));
        for c in ["cc", "gcc-12", "gcc12", "x86_64-linux-gnu-gcc-12", "arm-none-eabi-cc"] {
            assert_eq!(name(c), Some((Family::Gcc, Language::C)), "{c}");
        }
        for cxx in ["g++-12", "g++-12.2", "arm-linux-gnueabihf-g++-12", "arm-none-eabi-c++"] {
            assert_eq!(name(cxx), Some((Family::Gcc, Language::Cxx)), "{cxx}");
        }
        assert_eq!(name("clang++-16"), Some((Family::Clang, Language::Cxx)));
        for other in ["gcc++", "icc", "nvcc", "ccache", "as", "c++filt", ""] {
            assert_eq!(name(other), None, "{other}");
        }
    }

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
    fn partners_are_derived_by_name() {
        let cxx = |name: &str| cxx_partner(OsStr::new(name)).map(|n| n.into_string().unwrap());
        assert_eq!(cxx("arm-linux-gnueabihf-gcc-12").as_deref(), Some("arm-linux-gnueabihf-g++-12"));
        assert_eq!(cxx("clang-14").as_deref(), Some("clang++-14"));
        assert_eq!(cxx("cc").as_deref(), Some("c++"));
        assert_eq!(cxx("tool"), None);
        for (given, c) in
            [("g++-12", "gcc-12"), ("clang++", "clang"), ("c++", "cc"), ("gcc", "gcc"), ("t-g++", "t-gcc")]
        {
            assert_eq!(c_partner(OsStr::new(given)), c);
        }
    }

    #[test]
    fn prefixes_ignore_versions_and_the_native_triple() {
        let p = |name: &str| prefix(OsStr::new(name), "x86_64").into_string().unwrap();
        for native in
            ["gcc", "gcc-12", "gcc-12.2", "x86_64-linux-gnu-gcc", "x86_64-linux-gnu-gcc-12", "x86_64-pc-linux-gnu-g++"]
        {
            assert_eq!(p(native), "", "{native}");
        }
        for arm in ["arm-linux-gnueabihf-gcc", "arm-linux-gnueabihf-gcc-12", "arm-linux-gnueabihf-g++-12.2"] {
            assert_eq!(p(arm), "arm-linux-gnueabihf", "{arm}");
        }
        assert_eq!(p("x86_64-linux-musl-gcc"), "x86_64-linux-musl");
        assert_eq!(p("aarch64-linux-gnu-gcc"), "aarch64-linux-gnu");
    }
}
