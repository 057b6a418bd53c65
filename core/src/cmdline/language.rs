//! Which language a command line compiles.

use super::options::Does;
use super::spelling::Argument;
use super::{Family, Invocation, paths};
use crate::job::Language;

/// The language of a command line, whether it can go or not: by `-x`, by the first input's suffix, by the driver's name. It
/// decides between `ICECC_CC` and `ICECC_CXX`.
pub fn language(invocation: &Invocation<'_>) -> Language {
    let mut by_suffix = None;
    let mut by_name = None;
    let mut words = invocation.words;
    while let [word, rest @ ..] = words {
        let here = words;
        words = rest;
        if !word.starts_with(b"-") {
            by_suffix = by_suffix.or_else(|| of_suffix(word, invocation.driver.language));
        } else if let Some(argument) = Argument::read(invocation.driver.family, here) {
            words = rest.get(argument.words.len() - 1..).unwrap_or_default();
            match argument.opt.map(|opt| opt.does) {
                Some(Does::Language) => {
                    if let Some(named) = argument.value.and_then(named) {
                        return named;
                    }
                }
                Some(Does::ObjC(language)) if invocation.driver.family == Family::Clang => by_name = Some(language),
                _ => {}
            }
        }
    }
    by_name.or(by_suffix).unwrap_or(invocation.driver.language)
}

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
