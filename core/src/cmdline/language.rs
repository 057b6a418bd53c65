//! Which language a command line compiles.

use super::options::{self, Does, Value};
use super::{Invocation, paths};
use crate::job::Language;

/// The language of a command line, whether it can go or not: by `-x`, by the first input's suffix, by the driver's name. It
/// decides between `ICECC_CC` and `ICECC_CXX` (`spec/client.md` A.3).
pub fn language(invocation: &Invocation<'_>) -> Language {
    let mut found = None;
    let mut words = invocation.words.iter();
    while let Some(word) = words.next() {
        let known = options::find(word);
        let value = match known {
            Some(opt) if opt.value != Value::No && word.len() == opt.name.len() => words.next(),
            _ => None,
        };
        if known.is_some_and(|opt| opt.does == Does::Language) {
            let joined = word.get(2..).filter(|name| !name.is_empty());
            if let Some(named) = joined.or(value.map(Vec::as_slice)).and_then(named) {
                return named;
            }
        } else if !word.starts_with(b"-") && found.is_none() {
            found = of_suffix(word, invocation.driver.language);
        }
    }
    found.unwrap_or(invocation.driver.language)
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
