//! The program by itself. That cargo builds it for this test is what puts it beside the other programs for theirs.

// A test that cannot do what it tries has failed.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::process::{Command, Output};

fn icetop(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icetop"));
    command.args(words).env("TERM", "dumb").env_remove("ICECC_SCHEDULER").env_remove("USE_SCHEDULER");
    command.output().unwrap()
}

#[test]
fn help_and_version_are_answers() {
    let program = ice_bins::monitor::PROGRAM;
    for (option, wanted) in [("--help", program.help()), ("--version", program.version())] {
        let output = icetop(&[option]);
        assert!(output.status.success() && output.stderr.is_empty(), "{option}: {output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
    }
}

#[test]
fn mistakes_are_one_line_and_have_a_status() {
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("127.0.0.1:{port}");
    let folder = tempfile::tempdir().unwrap();
    let no_file = folder.path().join("none/feed").display().to_string();
    for (words, status, text) in [
        (&["--fly"][..], 2, "icetop: unknown option --fly"),
        (&["--once", "-s", &nobody], 1, &format!("icetop: cannot connect to {nobody}: Connection refused")),
        (&["--once", "--replay", &no_file], 1, &format!("icetop: cannot read {no_file}: No such file")),
        (&["--once", "-s", &nobody, "--record", &no_file], 1, &format!("icetop: cannot write {no_file}: No such file")),
    ] {
        let output = icetop(words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(status) && said.starts_with(text), "{words:?}: {said}");
        assert!(said.lines().count() == 1 && output.stdout.is_empty(), "{words:?}: {said}");
    }
}
