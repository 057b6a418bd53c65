//! The names by which compilers are known.

use super::{Family, paths};
use crate::job::Language;

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
