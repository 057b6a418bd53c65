//! Which language a command line compiles.

use super::paths;
use crate::job::Language;

pub(super) fn named(name: &[u8]) -> Option<Language> {
    let known = [Language::C, Language::Cxx, Language::ObjC, Language::ObjCxx];
    known.into_iter().find(|language| language.option().as_bytes() == name)
}

pub(super) fn of_suffix(path: &[u8], driver: Language) -> Option<Language> {
    match paths::suffix(path)? {
        b"cc" | b"cpp" | b"cxx" | b"cp" | b"c++" | b"C" | b"ii" => Some(Language::Cxx),
        b"m" | b"mi" => Some(Language::ObjC),
        b"mm" | b"mii" | b"M" => Some(Language::ObjCxx),
        b"c" | b"i" => Some(driver),
        _ => None,
    }
}
