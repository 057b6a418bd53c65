//! Every program refuses a wrong command line in one line, which names the program, the option and the value, and ends
//! with exit status 2.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ice_bins::PROGRAMS;
use ice_bins::cli::table::{Opt, Program};
use ice_lab::process::run;

/// How long a program may take to refuse.
const LIMIT: Duration = Duration::from_secs(60);

/// A wrong command line, and what the line says besides.
type Row = (&'static str, &'static [&'static str], &'static str);

/// What options do not take, and words too much.
const ROWS: &[Row] = &[
    ("icecc", &[], "a command has to be named"),
    ("icecc", &["--explain"], "a command has to be named"),
    ("icecc", &["--explain", "--jso", "gcc"], "--jso (did you mean --json?)"),
    ("icecc", &["--build-native", "--fast"], "unknown option --fast"),
    ("icecc", &["--inspect-env"], "an archive has to be named"),
    ("icecc", &["--inspect-env", "a", "b"], "unknown word \"b\""),
    ("icecc", &["--update-links", "--dry"], "unknown option --dry"),
    ("icecc", &["--expain", "gcc"], "--expain (did you mean --explain?)"),
    ("icerun", &[], "a command has to be named"),
    ("icerun", &["-v", "ls"], "unknown option -v"),
    ("iceccd", &["-m", "abc"], "-m wants a whole number from 0 to 65534, not \"abc\""),
    ("iceccd", &["-m", "-1"], "not \"-1\""),
    ("iceccd", &["--max-processes=4x"], "--max-processes wants a whole number"),
    ("iceccd", &["--nice", "20"], "--nice wants a whole number from 0 to 19, not \"20\""),
    ("iceccd", &["--cache-limit", "0"], "--cache-limit wants a whole number from 1 to 16777216, not \"0\""),
    ("iceccd", &["-p", "65536"], "-p wants a whole number from 1 to 65535, not \"65536\""),
    ("iceccd", &["-s", "host:port"], "-s wants HOST, HOST:PORT or :PORT"),
    ("iceccd", &["--job-time", "0"], "--job-time wants a whole number from 1 to 7000, not \"0\""),
    ("iceccd", &["--job-uid-base=-5"], "--job-uid-base wants a whole number"),
    ("iceccd", &["--require", "sky"], "--require wants some of root,"),
    ("iceccd", &["--allow", "all"], "--allow wants networks (10.0.0.0/8,fd00::/8), not \"all\""),
    ("iceccd", &["-u", "no such user"], "-u wants the name of a user of this system, not \"no such user\""),
    ("iceccd", &["--user-uid=root"], "--user-uid wants a user who is neither root"),
    ("iceccd", &["--n", "x"], "--n may mean --netname, --name, --no-remote, --nice"),
    ("iceccd", &["--ni", "x"], "--nice wants a whole number"),
    ("iceccd", &["--no-remote=yes"], "--no-remote takes no value, not even \"yes\""),
    ("iceccd", &["-vvv", "start"], "unknown word \"start\""),
    ("iceccd", &["--", "-v"], "unknown word \"-v\""),
    ("icecc-scheduler", &["-p", "65535"], "-p wants a whole number from 1 to 65534, not \"65535\""),
    ("icecc-scheduler", &["-p", "-1"], "not \"-1\""),
    ("icecc-scheduler", &["--allow="], "--allow wants networks"),
    ("icecc-scheduler", &["--text-admin", "10.0.0.0/40"], "--text-admin wants networks"),
    ("icecc-scheduler", &["-u", "root"], "-u wants a user who is neither root"),
    ("icecc-scheduler", &["run"], "unknown word \"run\""),
    ("icecc-create-env", &[], "a compiler has to be named"),
    ("icecc-create-env", &["--gcc", "gcc"], "a compiler has to be named"),
    ("icecc-create-env", &["gcc", "--compression", "zip"], "--compression wants none, gzip,"),
    ("icecc-create-env", &["gcc", "--addfile="], "--addfile wants a file"),
    ("icecc-create-env", &["gcc", "g++", "cc"], "unknown word \"cc\""),
    ("icecc-test-env", &[], "an archive has to be named"),
    ("icecc-test-env", &["a", "b"], "unknown word \"b\""),
    ("icedump", &["a"], "2 files are needed, not 1"),
    ("icedump", &["--protocol", "1", "--dir", "a", "x"], "--protocol wants a protocol that is known, not \"1\""),
    ("icedump", &["--protocol", "43", "--dir", "c", "x"], "--dir wants a or b, not \"c\""),
    ("icedump", &["--protocol", "43", "x"], "--protocol and --dir go together"),
];

/// The programs that were built with this test: icetop is in a package of its own, and parses by the same module.
fn programs() -> impl Iterator<Item = &'static Program> {
    PROGRAMS.into_iter().filter(|program| program.name != "icetop")
}

fn built(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_icecc")).with_file_name(name)
}

/// Whether the program says this in one line, and ends as it should.
fn check(program: &str, words: &[&str], wanted: &str) {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(built(program));
    // One that takes it for a right one would run on.
    let output = run(command.args(words).current_dir(place.path()), LIMIT).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{program} {words:?}: {said}");
    assert!(output.stdout.is_empty(), "{program} {words:?}: {:?}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(said.lines().count(), 1, "{program} {words:?}: {said}");
    assert!(said.starts_with(&format!("{program}: ")) && said.contains(wanted), "{program} {words:?}: {said}");
}

#[test]
fn each_bad_value_and_word_is_named() {
    for (program, words, wanted) in ROWS {
        check(program, words, wanted);
    }
}

#[test]
fn unknown_options_are_named() {
    for program in programs() {
        for option in ["--no-such-option", "-@", "--frobnicate=1"] {
            let letter = option.split('=').next().unwrap();
            check(program.name, &[option], &format!("unknown option {letter}"));
        }
    }
}

/// Those whose command line begins with another word.
fn words_before(program: &Program, option: &Opt) -> &'static [&'static str] {
    match program.name {
        "icecc-create-env" if !matches!(option.long, "gcc" | "clang") => &["gcc"],
        _ => &[],
    }
}

#[test]
fn options_without_their_value_are_named() {
    let mut tried = 0;
    for program in programs() {
        for option in program.options.iter().filter(|option| option.value.is_some() && !option.may_lack_value()) {
            for written in option.written() {
                let words = [words_before(program, option), &[written.as_str()]].concat();
                let is_compiler = matches!(option.long, "gcc" | "clang");
                let wanted =
                    if is_compiler { "a compiler has to be named".into() } else { format!("{written} wants a value") };
                check(program.name, &words, &wanted);
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried} options");
}
