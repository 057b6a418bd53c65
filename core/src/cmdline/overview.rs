//! What every command line of a compiler tells, whether it can be compiled elsewhere or not.

use super::effect::Does;
use super::language::{named, of_suffix};
use super::spelling::Argument;
use super::{Family, Invocation};
use crate::job::Language;

/// An argument, or a file to be read.
enum Item<'a> {
    Option(Argument<'a>),
    Input(&'a [u8]),
}

/// All of the command line, in order.
fn items<'a>(invocation: &Invocation<'a>) -> impl Iterator<Item = Item<'a>> {
    let (family, mut rest) = (invocation.driver.family, invocation.words);
    std::iter::from_fn(move || {
        let (word, behind) = rest.split_first()?;
        let argument = if word.starts_with(b"-") { Argument::read(family, rest) } else { None };
        match argument {
            Some(argument) => {
                rest = rest.get(argument.words.len()..).unwrap_or_default();
                Some(Item::Option(argument))
            }
            None => {
                rest = behind;
                Some(Item::Input(word))
            }
        }
    })
}

/// The language: by `-x`, by the first input's suffix, by the driver's name. It decides between `ICECC_CC` and `ICECC_CXX`.
pub fn language(invocation: &Invocation<'_>) -> Language {
    let mut by_suffix = None;
    let mut by_name = None;
    for item in items(invocation) {
        match item {
            Item::Input(word) => by_suffix = by_suffix.or_else(|| of_suffix(word, invocation.driver.language)),
            Item::Option(argument) => match argument.opt.map(|opt| opt.does) {
                Some(Does::Language) => {
                    if let Some(named) = argument.value.and_then(named) {
                        return named;
                    }
                }
                Some(Does::ObjC(language)) if invocation.driver.family == Family::Clang => by_name = Some(language),
                _ => {}
            },
        }
    }
    by_name.or(by_suffix).unwrap_or(invocation.driver.language)
}

/// The last output that is named; empty if there is none.
pub fn output(invocation: &Invocation<'_>) -> Vec<u8> {
    let named = |item| match item {
        Item::Option(argument) if argument.opt.is_some_and(|opt| opt.does == Does::Output) => argument.value,
        _ => None,
    };
    items(invocation).filter_map(named).last().unwrap_or_default().to_vec()
}

/// Whether it is a link whose LTO uses all CPUs.
pub fn is_parallel_link(invocation: &Invocation<'_>) -> bool {
    let words = invocation.words;
    let no_link = words.iter().any(|word| matches!(word.as_slice(), b"-c" | b"-S" | b"-E" | b"-r" | b"-fsyntax-only"));
    let lto = words.iter().rev().find(|word| word.starts_with(b"-flto")).map(Vec::as_slice);
    match lto {
        None => false,
        Some(b"-flto" | b"-flto=1") if invocation.driver.family == Family::Gcc => false,
        Some(_) => !no_link,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Driver;
    use super::*;

    fn with<T>(family: Family, line: &str, ask: impl Fn(&Invocation<'_>) -> T) -> T {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        ask(&Invocation { driver: Driver { family, language: Language::C }, words: &words, folder: b"/w" })
    }

    #[test]
    fn parallel_links_want_the_whole_machine() {
        for (family, line, parallel) in [
            (Family::Gcc, "-flto=auto a.o -o a", true),
            (Family::Gcc, "-flto a.o -o a", false),
            (Family::Gcc, "-flto=auto -c a.c", false),
            (Family::Gcc, "-flto=auto -flto=1 a.o", false),
            (Family::Gcc, "a.o -o a", false),
            (Family::Clang, "-flto a.o", true),
        ] {
            assert_eq!(with(family, line, is_parallel_link), parallel, "{line}");
        }
    }

    #[test]
    fn the_last_output_counts_in_every_spelling() {
        for (line, named) in [
            ("a.o -o x -o y", "y"),
            ("a.o -ox", "x"),
            ("a.o --output=x", "x"),
            ("a.o --output x", "x"),
            ("-I -o a.o", ""),
            ("a.o", ""),
        ] {
            assert_eq!(with(Family::Gcc, line, output), named.as_bytes(), "{line}");
        }
    }

    #[test]
    fn the_language_is_that_of_the_first_source_unless_it_is_named() {
        for (line, is) in [
            ("-c a.c", Language::C),
            ("-c a.cc b.c", Language::Cxx),
            ("-I x.cc a.c", Language::C),
            ("-x c++ -c a.c", Language::Cxx),
            ("-xobjective-c a.cc", Language::ObjC),
            ("-ObjC a.c", Language::ObjC),
            ("a.o", Language::C),
        ] {
            assert_eq!(with(Family::Clang, line, language), is, "{line}");
        }
        assert_eq!(with(Family::Gcc, "-ObjC a.c", language), Language::C);
    }
}
