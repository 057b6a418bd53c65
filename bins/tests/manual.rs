//! The manual pages: each option that a program's `--help` names is in its page, and the other way round; roff has no complaint.

#![allow(clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every program that is installed.
const PROGRAMS: &[(&str, &str)] = &[
    ("icecc", env!("CARGO_BIN_EXE_icecc")),
    ("icerun", env!("CARGO_BIN_EXE_icerun")),
    ("icecc-create-env", env!("CARGO_BIN_EXE_icecc-create-env")),
    ("icecc-test-env", env!("CARGO_BIN_EXE_icecc-test-env")),
    ("iceccd", env!("CARGO_BIN_EXE_iceccd")),
    ("icecc-scheduler", env!("CARGO_BIN_EXE_icecc-scheduler")),
    ("icedump", env!("CARGO_BIN_EXE_icedump")),
];

#[test]
fn pages_name_what_help_names() {
    for (name, program) in PROGRAMS {
        let output = Command::new(program).arg("--help").output().expect("the program");
        let help = [output.stdout, output.stderr].concat();
        let help = String::from_utf8_lossy(&help);
        let page = plain(&fs::read_to_string(folder().join(format!("{name}.1"))).expect("its page"));
        // Examples and prose elsewhere may name other programs' options.
        let lists = ["SYNOPSIS", "OPTIONS"].map(|section| section_of(&page, section)).concat();
        assert_eq!(words(&help, "-"), words(&lists, "-"), "{name}: --help, and SYNOPSIS and OPTIONS of the page");
        let missing: Vec<_> = words(&help, "ICECC").difference(&words(&page, "ICECC")).cloned().collect();
        assert!(missing.is_empty(), "{name}: variables that the page lacks: {missing:?}");
    }
}

#[test]
fn roff_has_no_complaint() {
    let pages: Vec<PathBuf> =
        fs::read_dir(folder()).expect("scripts/man").flatten().map(|entry| entry.path()).collect();
    assert!(pages.len() > PROGRAMS.len(), "every program has one, and icecream(7)");
    let checkers: [&[&str]; 2] = [&["groff", "-man", "-Tutf8", "-ww"], &["man", "--warnings", "-l"]];
    for checker in checkers {
        for page in &pages {
            let mut command = Command::new(checker[0]);
            let Ok(output) = command.args(&checker[1..]).arg(page).env("LC_ALL", "C.UTF-8").output() else {
                eprintln!("skipped: no {} here", checker[0]);
                break;
            };
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{command:?}: {}\n{said}", output.status);
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/man")
}

/// A page without fonts and with hyphens as they are typed.
fn plain(page: &str) -> String {
    ["\\fB", "\\fI", "\\fR", "\\fP"].iter().fold(page.replace("\\-", "-"), |text, font| text.replace(font, ""))
}

/// The lines below a heading.
fn section_of<'a>(page: &'a str, name: &str) -> &'a str {
    let rest = page.split_once(&format!(".SH {name}\n")).map_or("", |(_, rest)| rest);
    rest.split_once("\n.SH ").map_or(rest, |(section, _)| section)
}

/// Words that begin so and go on.
fn words(text: &str, beginning: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let all = text.split(|c| !is_part(c));
    all.filter(|word| word.starts_with(beginning) && word.chars().any(char::is_alphabetic)).map(String::from).collect()
}
