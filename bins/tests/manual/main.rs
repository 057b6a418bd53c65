//! What is written from the programs' tables of options: the lists in the manual pages, and completions for shells. The
//! rest of a page is written by hand: it names no other options, and roff has no complaint. The guide's tables of reasons
//! are written from the list of reasons.
//!
//! `ICE_WRITE=1 cargo test -p ice-bins --test manual` writes them.

#![allow(clippy::expect_used)]

mod page;
mod reasons;
mod shells;

use ice_bins::PROGRAMS;
use ice_bins::cli::table::{Opt, Program};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the programs are that were built with this test.
fn built(program: &Program) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_icecc")).with_file_name(program.name)
}

/// Everybody asks so first: the answer is on standard output, and no failure.
#[test]
fn help_and_version_are_answers() {
    // icetop is in a package of its own, whose test does the same.
    for program in PROGRAMS.into_iter().filter(|program| program.name != "icetop") {
        for (option, wanted) in [("--help", program.help()), ("--version", program.version())] {
            let output = Command::new(built(program)).arg(option).output().expect("the program");
            assert!(output.status.success(), "{} {option}: {}", program.name, output.status);
            assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{} {option}", program.name);
            assert!(output.stderr.is_empty(), "{} {option}: {output:?}", program.name);
        }
    }
}

#[test]
fn pages_list_the_options() {
    for program in PROGRAMS {
        let path = folder().join(format!("{}.1", program.name));
        let is = fs::read_to_string(&path).expect("its page");
        let wanted = page::with_options(&is, program);
        is_written(&path, &wanted.unwrap_or_else(|| panic!("{}: no place for the options", path.display())));
    }
}

#[test]
fn shells_complete_the_options() {
    for shell in shells::SHELLS {
        let folder = scripts().join("completions").join(shell.name);
        for program in PROGRAMS {
            is_written(&folder.join((shell.file)(program.name)), &(shell.text)(program));
        }
        let files = fs::read_dir(&folder).expect("the shell's folder").count();
        assert_eq!(files, PROGRAMS.len(), "{}: files of no program", folder.display());
    }
}

/// What bash offers for the last of these words.
fn bash_offers(program: &Program, words: &[&str]) -> String {
    let function = format!("_{}", program.name.replace('-', "_"));
    let ask = "COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))";
    let script =
        format!("{}{ask}; {function} 2>/dev/null; printf '%s\\n' \"${{COMPREPLY[*]}}\"", shells::bash(program));
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", program.name]).args(words);
    String::from_utf8(command.output().expect("bash").stdout).expect("text").trim_end().to_owned()
}

#[test]
fn bash_offers_options_and_values() {
    for program in PROGRAMS {
        for name in program.options.iter().flat_map(Opt::written) {
            let offered = bash_offers(program, &[&name]);
            assert!(offered.split(' ').any(|word| word == name), "{}: {name}: {offered}", program.name);
        }
    }
    let program = |name: &str| PROGRAMS.into_iter().find(|program| program.name == name).expect("it");
    let daemon = program("iceccd");
    assert_eq!(bash_offers(daemon, &["--require", "root,net"]), "root,network");
    assert_eq!(bash_offers(daemon, &["--require", "=", "me"]), "memory");
    assert_eq!(bash_offers(daemon, &["-b", "/us"]), "/usr");
    assert_eq!(bash_offers(daemon, &["-n", ""]), "");
    assert_eq!(bash_offers(program("icecc-create-env"), &["gcc", "--compression", "b"]), "bzip2");
}

#[test]
fn shells_have_no_complaint() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in shells::SHELLS {
        for program in PROGRAMS {
            let file = folder.path().join((shell.file)(program.name));
            fs::write(&file, (shell.text)(program)).expect("the file");
            let Ok(output) = Command::new(shell.name).arg("-n").arg(&file).output() else {
                println!("skipped: no {} here", shell.name);
                break;
            };
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{}: {said}", file.display());
        }
    }
}

#[test]
fn pages_name_what_help_names() {
    for program in PROGRAMS {
        let help = program.help();
        let name = program.name;
        let page = plain(&fs::read_to_string(folder().join(format!("{name}.1"))).expect("its page"));
        let written: BTreeSet<String> = program.options.iter().flat_map(Opt::written).collect();
        // Examples and prose elsewhere may name other programs' options, and the compiler has its own.
        let used = [words(section_of(&page, "SYNOPSIS"), "--"), words(&help, "--")].concat();
        let unknown: Vec<_> = used.iter().filter(|word| !written.contains(*word)).collect();
        assert!(unknown.is_empty(), "{name}: not its options: {unknown:?}");
        let in_page = words(&page, "ICECC");
        let missing: Vec<_> = words(&help, "ICECC").into_iter().filter(|word| !in_page.contains(word)).collect();
        assert!(missing.is_empty(), "{name}: variables that the page lacks: {missing:?}");
    }
}

/// The service script reads them; the file that is installed and its page tell of each.
#[test]
fn settings_are_those_of_the_services() {
    let read = |name: &str| fs::read_to_string(scripts().join(name)).expect(name);
    let service = read("service/service");
    let (_, rest) = service.split_once("keys=\"").expect("the keys");
    let keys: BTreeSet<&str> = rest.split('"').next().unwrap_or_default().split_whitespace().collect();
    let settings = read("service/icecc.conf");
    let set = settings.lines().filter_map(|line| line.split_once('=')).map(|(key, _)| key);
    assert_eq!(set.filter(|key| key.starts_with("ICECC_")).collect::<BTreeSet<_>>(), keys, "icecc.conf");
    let page = read("man/icecc.conf.5");
    let told = page.lines().filter_map(|line| line.strip_prefix(".B ICECC_"));
    assert_eq!(
        told.map(|key| format!("ICECC_{key}")).collect::<BTreeSet<_>>(),
        keys.into_iter().map(String::from).collect()
    );
}

#[test]
fn roff_has_no_complaint() {
    let pages: Vec<PathBuf> =
        fs::read_dir(folder()).expect("scripts/man").flatten().map(|entry| entry.path()).collect();
    assert!(pages.len() > PROGRAMS.len() + 1, "every program has one, and icecream(7), icecc.conf(5)");
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

/// A file that is written from the tables has this text, or gets it where that is asked for.
fn is_written(path: &Path, wanted: &str) {
    if std::env::var_os("ICE_WRITE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the file's folder");
        fs::write(path, wanted).expect("the file");
    }
    let is = fs::read_to_string(path).unwrap_or_default();
    assert!(is == wanted, "{} should be as follows (ICE_WRITE=1 writes it):\n{wanted}", path.display());
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts")
}

fn folder() -> PathBuf {
    scripts().join("man")
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
fn words(text: &str, beginning: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let all = text.split(|c| !is_part(c));
    all.filter(|word| word.starts_with(beginning) && word.chars().any(char::is_alphabetic)).map(String::from).collect()
}
