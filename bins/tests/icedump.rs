//! `icedump` on the recorded traffic: what it prints, what it writes anew, how it ends.

#![allow(clippy::unwrap_used, reason = "a test")]

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire")
}

fn icedump(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icedump")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file(vector: &str, name: &str) -> String {
    vectors().join(vector).join(name).to_str().unwrap().to_owned()
}

fn wanted(vector: &str) -> Value {
    serde_json::from_slice(&fs::read(file(vector, "vector.json")).unwrap()).unwrap()
}

/// Every vector: each message with all its fields, checksums too, and both files written again as they were.
#[test]
fn recorded_traffic_is_printed_and_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut names: Vec<_> =
        fs::read_dir(vectors()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| vectors().join(name).join("vector.json").exists());
    names.sort();
    for name in names {
        let want = wanted(&name);
        if want["handshake"].is_null() {
            continue;
        }
        let (a, b) = (file(&name, "a.bin"), file(&name, "b.bin"));
        let output = icedump(&[&a, &b]);
        let got = lines(&output);
        assert_eq!(got[0], json!({ "handshake": want["handshake"] }), "{name}");
        let of = |side: &str| {
            want["messages"].as_array().unwrap().iter().filter(move |m| m["dir"] == *side).collect::<Vec<_>>()
        };
        let messages = [of("a"), of("b")].concat();
        assert_eq!(got.len() - 1, messages.len(), "{name}");
        for (want, got) in messages.into_iter().zip(&got[1..]) {
            if want["type"].is_null() {
                assert!(got["error"].is_string() && got["offset"] == want["offset"], "{name}: {got}");
                continue;
            }
            for key in ["dir", "offset", "length", "type", "name", "fields"] {
                assert_eq!(got[key], want[key], "{name}: {key} of {want}");
            }
        }
        let malformed = want.get("malformed").is_some();
        assert_eq!(output.status.code(), Some(i32::from(malformed)), "{name}");
        if !malformed {
            let written = icedump(&["--reencode", dir.path().to_str().unwrap(), &a, &b]);
            assert!(written.status.success(), "{name}: {}", String::from_utf8_lossy(&written.stderr));
            assert_eq!(fs::read(dir.path().join("a.bin")).unwrap(), fs::read(a).unwrap(), "{name}");
            assert_eq!(fs::read(dir.path().join("b.bin")).unwrap(), fs::read(b).unwrap(), "{name}");
        }
    }
}

#[test]
fn datagrams_are_printed() {
    for name in ["udp-discovery", "udp-announce-election", "udp-old-scheduler-32", "udp-old-scheduler-37"] {
        let want = wanted(name);
        let datagrams = want["datagrams"].as_array().unwrap();
        let files: Vec<String> = datagrams.iter().map(|d| file(name, d["file"].as_str().unwrap())).collect();
        let args: Vec<&str> = ["--udp"].into_iter().chain(files.iter().map(String::as_str)).collect();
        let want: Vec<Value> = datagrams.iter().map(|d| d["decoded"].clone()).collect();
        assert_eq!(lines(&icedump(&args)), want, "{name}");
    }
}

#[test]
fn one_direction_comes_from_standard_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_icedump"))
        .args(["--protocol", "43", "--dir", "b", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A STATUS_TEXT with a byte that is not UTF-8, then half a frame.
    let bytes = b"\0\0\0\x0b\0\0\0\x5a\0\0\0\x03a\xff\0\0\0\0\x08\0\0";
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (first, second) = text.trim_end().split_once('\n').unwrap();
    let want =
        r#"{"dir": "b", "offset": 0, "length": 15, "type": 90, "name": "STATUS_TEXT", "fields": {"text": "a\udcff"}}"#;
    assert_eq!(first, want);
    assert_eq!(second, r#"{"dir": "b", "offset": 15, "error": "ends within a frame, of which 6 bytes are there"}"#);
    assert_eq!(output.status.code(), Some(1));
}

/// What a capture goes on writing is shown as it comes, until Ctrl-C.
#[test]
fn a_stream_is_watched_until_it_is_enough() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_icedump"))
        .args(["--protocol=43", "--dir", "b", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = child.stdin.take().unwrap();
    stream.write_all(b"\0\0\0\x0a\0\0\0\x5a\0\0\0\x02a\0").unwrap();
    let mut shown = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut shown).unwrap();
    assert!(shown.contains("STATUS_TEXT") && shown.ends_with("}\n"), "{shown}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stream);
}

#[test]
fn a_wrong_command_line_is_told_apart() {
    for args in [&[][..], &["a"], &["--udp", "--dir", "a"], &["--protocol", "20", "--dir", "a", "-"], &["--nothing"]] {
        let output = icedump(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("icedump: "), "{args:?}");
    }
    let output = icedump(&["/nonexistent/a", "/nonexistent/b"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/a"));
    assert!(icedump(&["--help"]).status.success());
}
