//! The program by itself. That cargo builds it for this test is what puts it beside the other programs for theirs.

// A test that cannot do what it tries has failed.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn icelab(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icelab")).args(words).output().unwrap()
}

#[test]
fn help_goes_to_standard_output() {
    let output = icelab(&["--help"]);
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(String::from_utf8(output.stdout).unwrap().contains("icelab up N"));
}

#[test]
fn mistakes_have_a_status_and_a_hint() {
    for (words, status, text) in [
        (&["fly"][..], 2, "icelab: unknown command fly (icelab --help tells how)\n"),
        (&["up", "0"], 2, "icelab: 1 to 1000 hosts (icelab --help tells how)\n"),
        (&["status", "--name", "never-up"], 1, "icelab: no lab named never-up is up (icelab up N makes one)\n"),
    ] {
        let output = icelab(words);
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(status), text));
    }
}
