//! A test program that is ill in the ways that `ILL` names, for the tests of the runner.

use std::path::Path;
use std::process::{Command, abort, exit};
use std::time::Duration;

fn is(ill: &str) -> bool {
    std::env::var("ILL").is_ok_and(|all| all.split(',').any(|one| one == ill))
}

#[test]
fn well() {}

#[test]
#[ignore = "only counted"]
fn ignored() {
    panic!("nobody asked for this one");
}

#[test]
fn aborts() {
    if is("abort") {
        abort();
    }
}

#[test]
fn hangs() {
    while is("hang") {
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn ends_early() {
    if is("end") {
        exit(0);
    }
}

#[test]
fn leaks() {
    if is("leak") {
        // The shell ends at once; what it has started goes on with another parent.
        assert!(Command::new("setsid").args(["sh", "-c", "sleep 1234 &"]).status().unwrap().success());
    }
}

#[test]
fn flakes() {
    if is("flake") {
        let marker = std::env::var("MARKER").unwrap();
        if !Path::new(&marker).exists() {
            std::fs::write(marker, "failed once").unwrap();
            panic!("the first time");
        }
    }
}

#[test]
fn skips() {
    if is("skip") {
        println!("skipped: nothing to do it with");
    }
}
