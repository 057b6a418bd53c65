//! What nobody uses: declarations that only their own tests know, and dependencies that no source names. The compiler
//! finds neither, since a public name may be used by another package.

use std::collections::BTreeMap;
use std::fs;

use crate::{PACKAGES, Source, none, root, sources};

/// Declarations that this program does not see in use, each with the reason.
const USED_OTHERWISE: &[(&str, &str)] = &[
    ("environments_of", "the simulation compares it with what hosts have"),
    ("peer_count", "tests of the hub count connections"),
    ("set_last_number", "tests of the scheduler begin near the last number"),
    ("PROGRAMS", "manual and completions are written from it by a test"),
];

/// The code of a file without comments and without the tests at its end; empty for a file of tests.
pub(crate) fn code(file: &Source) -> String {
    let is_test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs" || part == "benches";
    if file.path.iter().any(is_test) {
        return String::new();
    }
    let text = file.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// The name that a line declares for others to use.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let behind = line
        .strip_prefix("pub ")
        .or_else(|| line.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")).map(|(_, rest)| rest))?;
    let mut words = words(behind)
        .skip_while(|word| matches!(*word, "const" | "async" | "unsafe" | "extern") && behind.contains("fn "));
    match words.next()? {
        "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" => words.next(),
        _ => None,
    }
}

#[test]
fn every_declaration_is_used() {
    let codes: Vec<(Source, String)> =
        sources().into_iter().map(|file| (code(&file), file)).map(|(c, f)| (f, c)).collect();
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for line in codes.iter().flat_map(|(_, code)| code.lines()) {
        // To hand a name on is no use of it.
        if !line.trim_start().starts_with("pub use ") {
            words(line).for_each(|word| *uses.entry(word).or_default() += 1);
        }
    }
    let mut wrong = Vec::new();
    for (file, code) in &codes {
        for name in code.lines().filter_map(declared) {
            let is_known = name == "main" || USED_OTHERWISE.iter().any(|(known, _)| *known == name);
            if uses.get(name).is_none_or(|count| *count < 2) && !is_known {
                wrong.push(format!("{}: {name} is used by nothing but tests", file.shown()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_dependency_is_used() {
    let mut wrong = Vec::new();
    for (package, ..) in PACKAGES {
        let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("Cargo.toml");
        let files: Vec<Source> = sources().into_iter().filter(|file| file.package() == *package).collect();
        for (section, of_tests) in [("[dependencies]", false), ("[dev-dependencies]", true)] {
            let Some((_, behind)) = manifest.split_once(section) else { continue };
            let names = behind.lines().skip(1).take_while(|line| !line.starts_with('['));
            for name in names
                .filter_map(|line| line.split(['.', ' ', '=']).next())
                .filter(|name| !name.is_empty() && !name.starts_with('#'))
            {
                let named = format!("{}::", name.replace('-', "_"));
                let is_named =
                    |file: &Source| if of_tests { file.text.contains(&named) } else { code(file).contains(&named) };
                if !files.iter().any(is_named) {
                    wrong.push(format!("{package}/Cargo.toml: no source of {section} names {name}"));
                }
            }
        }
    }
    none(&wrong);
}
