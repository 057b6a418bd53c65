//! The runner at test programs that are ill: nothing of that may end as a success.

// A test that cannot be set up has failed.
#![allow(clippy::expect_used)]

use std::path::Path;
use std::process::Command;

const RUNNER: &str = env!("CARGO_BIN_EXE_testrun");

/// A directory with the ill program.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a temporary directory"));
        place.compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ill/ill.rs"), "ill");
        place
    }

    fn compile(&self, source: &Path, name: &str) {
        let program = self.0.path().join(name);
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let status = Command::new(rustc).args(["--edition=2024", "--test", "-o"]).arg(&program).arg(source).status();
        assert!(status.expect("rustc").success());
    }

    /// What the runner prints of the ill program, its totals, and whether it says that all is well.
    fn run(&self, ill: &str, strict: bool) -> (String, String, bool) {
        self.report(Command::new(RUNNER).env("ILL", ill), "ill", strict)
    }

    /// The same of any program in this directory.
    fn report(&self, runner: &mut Command, program: &str, strict: bool) -> (String, String, bool) {
        let totals = self.0.path().join("totals");
        let output = runner
            .args(["--bound", "3", "--program"])
            .arg(self.0.path().join(program))
            .arg("--totals")
            .arg(&totals)
            .env("MARKER", self.0.path().join("marker"))
            .env("ICE_TEST_STRICT", if strict { "1" } else { "0" })
            .output()
            .expect("the runner");
        let totals = std::fs::read_to_string(totals).expect("totals");
        (String::from_utf8_lossy(&output.stdout).into_owned(), totals, output.status.success())
    }
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l.starts_with(line)), "no line {line:?} in:\n{text}");
}

#[test]
fn what_is_well_passes_and_ignored_tests_are_counted_apart() {
    let (text, totals, good) = Place::new().run("", true);
    assert_eq!((totals.as_str(), good), ("7 0 0\n", true), "{text}");
    has(&text, "ignored tests, run by scripts/prove.sh all: 1");
    has(&text, "passed only when run again: 0");
}

#[test]
fn an_abort_a_hang_and_an_early_end_fail_beside_a_flake() {
    let (text, totals, good) = Place::new().run("abort,hang,end,flake", false);
    assert_eq!((totals.as_str(), good), ("4 3 0\n", false), "{text}");
    has(&text, "FAILED: ill aborts: ended by SIGABRT");
    has(&text, "FAILED: ill hangs: no end within 3s: ");
    has(&text, "FAILED: ill ends_early: it ended well, but has not run its test");
    has(&text, "passed only when run again: 1");
    has(&text, "  ill flakes (first: exit status 101)");
}

#[test]
fn a_process_that_is_left_behind_is_a_failure_and_is_ended() {
    let (text, totals, good) = Place::new().run("leak", false);
    assert_eq!((totals.as_str(), good), ("6 1 0\n", false), "{text}");
    let line = text.lines().find_map(|l| l.strip_prefix("FAILED: ill leaks: left behind: sleep 1234 ("));
    let pid = line.expect("its name and number").trim_end_matches(')');
    assert!(!Path::new("/proc").join(pid).exists(), "process {pid} goes on");
}

#[test]
fn a_namespace_that_is_left_behind_is_a_failure() {
    let place = Place::new();
    let program = place.0.path().join("holds");
    let file = place.0.path().join("namespace");
    // A program without a harness, whose one test leaves a mount.
    let script = format!(
        "#!/bin/sh\ncase $* in *--ignored*) ;; *--list*) echo 'holds: test' ;;\n\
         *) touch {0} && unshare --net={0} true || exit 3; echo 'test result: ok. 1 passed;' ;; esac\n",
        file.display()
    );
    std::fs::write(&program, script).expect("a script");
    assert!(Command::new("chmod").arg("755").arg(&program).status().expect("chmod").success());
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: not root: no mount to leave behind");
        return;
    }
    // The mount is nobody else's, and goes with the runner.
    let (text, totals, good) = place.report(Command::new("unshare").args(["--mount", RUNNER]), "holds", false);
    assert_eq!((totals.as_str(), good), ("1 1 0\n", false), "{text}");
    has(&text, &format!("FAILED: holds: left behind on the machine: namespace at {}", file.display()));
}

#[test]
fn a_skipped_test_is_counted_and_fails_where_nothing_is_missing() {
    let place = Place::new();
    let (text, totals, good) = place.run("skip", false);
    assert_eq!((totals.as_str(), good), ("6 0 1\n", true), "{text}");
    has(&text, "  skipped: 1 × nothing to do it with");
    let (text, totals, good) = place.run("skip", true);
    assert_eq!((totals.as_str(), good), ("6 1 0\n", false), "{text}");
    has(&text, "FAILED: ill skips: skipped: nothing to do it with");
}

#[test]
fn no_tests_are_a_failure() {
    let place = Place::new();
    let source = place.0.path().join("empty.rs");
    std::fs::write(&source, "//! Nothing.\n").expect("a source");
    place.compile(&source, "empty");
    let (text, totals, good) = place.report(&mut Command::new(RUNNER), "empty", false);
    assert_eq!((totals.as_str(), good), ("0 1 0\n", false), "{text}");
    has(&text, "FAILED: empty: no tests");
    let (text, totals, good) = place.report(&mut Command::new(RUNNER), "nowhere", false);
    assert_eq!((totals.as_str(), good), ("0 1 0\n", false), "{text}");
    has(&text, "FAILED: nowhere: cannot start");
}
