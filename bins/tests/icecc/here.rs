//! What is compiled here although it should not be, and what the user is told: `ICECC_FALLBACK`, and values that mean
//! nothing.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Output;

use ice_core::ids::JobId;
use ice_core::message::{LOCALHOST, Message, UseCs};
use ice_core::version::Version;
use ice_net::conn::Conn;

use super::{Bench, log_has, patience, text};

const COMPILE: [&str; 5] = ["gcc", "-c", "a.c", "-o", "x.o"];

/// A daemon's answer that names its own host.
fn own(platform: &str, env_present: u32) -> UseCs {
    UseCs { job: JobId(5), host: LOCALHOST.into(), host_platform: platform.into(), env_present, ..UseCs::default() }
}

/// A compile with such a daemon, as somebody runs it who wants no log.
fn compile(answer: UseCs, fallback: &str, connections: usize) -> (Output, String, Vec<Message>) {
    let bench = Bench::new();
    let daemon = bench.daemon_that_says(answer, connections);
    let mut command = bench.icecc_with_daemon(&COMPILE);
    let output = command.env("ICECC_FALLBACK", fallback).env_remove("ICECC_DEBUG").output().unwrap();
    (output, bench.read("x.o"), daemon.join().unwrap())
}

#[test]
fn a_host_for_want_of_others_is_the_clusters_fault() {
    for (answer, why) in [
        (own("x86_64", 1), "the daemon has no scheduler (error 1)"),
        (own("", 0), "no host of the network can take the job (error 1)"),
    ] {
        let (output, object, _) = compile(answer.clone(), "never", 1);
        assert_eq!(output.status.code(), Some(1), "{why}");
        assert_eq!(text(&output.stderr), format!("icecc: not compiled, as ICECC_FALLBACK=never: {why}\n"));
        assert!(object.is_empty(), "{why}");
        let (output, object, said) = compile(answer.clone(), "warn", 2);
        assert!(output.status.success() && object == "object:int x;\n", "{why}: {output:?}");
        assert_eq!(text(&output.stderr), format!("icecc: compiling here: {why}\n"));
        assert!(matches!(said.last(), Some(Message::JobLocalBegin(_))), "{said:?}");
        let (output, object, said) = compile(answer, "", 1);
        assert!(
            output.status.success() && output.stderr.is_empty() && object == "object:int x;\n",
            "{why}: {output:?}"
        );
        assert!(said.iter().any(|message| matches!(message, Message::CompileFile(_))), "{why}: the daemon is told");
    }
}

#[test]
fn a_host_that_the_scheduler_chose_is_as_good_as_another() {
    for fallback in ["never", "warn"] {
        let (output, object, _) = compile(own("", 1), fallback, 1);
        assert!(output.status.success() && output.stderr.is_empty() && object == "object:int x;\n", "{output:?}");
    }
}

#[test]
fn a_command_that_no_cluster_could_take_is_run_without_a_word() {
    let bench = Bench::new();
    let daemon = bench.daemon(1, 2);
    for words in [&["gcc", "-E", "a.c"][..], &["true"]] {
        let mut command = bench.icecc_with_daemon(words);
        let output = command.env("ICECC_FALLBACK", "never").env_remove("ICECC_DEBUG").output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    daemon.join().unwrap();
}

#[test]
fn a_compiler_of_another_name_is_known_by_its_link() {
    let bench = Bench::new();
    for (name, target) in [("mycc", "gcc"), ("c++-12", "g++-12")] {
        if target != "gcc" {
            std::fs::rename(bench.path("bin/gcc"), bench.path("bin").join(target)).unwrap();
        }
        symlink(target, bench.path("bin").join(name)).unwrap();
        let mut command = bench.icecc_with_daemon(&[name, "-c", "a.c", "-o", "x.o"]);
        let daemon = bench.daemon_that_says(own("", 0), 1);
        let output = command.env("ICECC_FALLBACK", "never").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output.stderr));
        daemon.join().unwrap();
        std::fs::remove_file(bench.path("socket")).unwrap();
    }
}

#[test]
fn a_program_that_could_be_a_compiler_is_named_once() {
    let bench = Bench::new();
    let compiler = std::fs::read_to_string(bench.path("bin/gcc")).unwrap();
    bench.script("bin/mycc", &compiler);
    let daemon = bench.daemon(1, 4);
    let run = |words: &[&str], fallback: &str| {
        let mut command = bench.icecc_with_daemon(words);
        let output = command.env("ICECC_FALLBACK", fallback).env_remove("ICECC_DEBUG").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        text(&output.stderr)
    };
    let compile = ["mycc", "-c", "a.c", "-o", "x.o"];
    assert_eq!(run(&["mycc", "-E", "a.c"], "warn"), "");
    assert_eq!(run(&compile, ""), "");
    let said =
        format!("icecc: {} is not known as a compiler: what it does is done here\n", bench.path("bin/mycc").display());
    assert_eq!(run(&compile, "never"), said);
    assert_eq!(run(&compile, "warn"), "");
    daemon.join().unwrap();
}

#[test]
fn what_a_variable_cannot_mean_is_said_once() {
    let bench = Bench::new();
    let problems = [
        ("ICECC", "off", "ICECC=off is none of no, disable: ignored"),
        ("ICECC_FALLBACK", "fail", "ICECC_FALLBACK=fail is none of warn, never: ignored"),
        ("ICECC_LOGFILE", "/nonexistent/log", "ICECC_LOGFILE: "),
    ];
    for (name, value, said) in problems {
        let mut first = Vec::new();
        for _ in 0..3 {
            let mut command = bench.icecc(&COMPILE);
            command.env_remove("ICECC").env("ICECC_TEST_SOCKET", bench.path("socket"));
            let daemon = bench.daemon_that_says(own("", 1), 1);
            let output = command.env(name, value).output().unwrap();
            assert!(output.status.success() && bench.read("x.o") == "object:int x;\n", "{name}: {output:?}");
            daemon.join().unwrap();
            std::fs::remove_file(bench.path("socket")).unwrap();
            first.push(text(&output.stderr));
        }
        assert!(first[0].contains(said) && first[0].lines().count() == 1, "{name}: {first:?}");
        assert_eq!(first[1..], ["", ""], "{name}");
    }
    // What means something, or nothing at all, is no problem.
    for (name, value) in [("ICECC", ""), ("ICECC", "NO"), ("ICECC_FALLBACK", "Warn"), ("ICECC_FALLBACK", "")] {
        let daemon = bench.daemon_that_says(own("", 1), 1);
        let mut command = bench.icecc(&COMPILE);
        command.env_remove("ICECC").env("ICECC_TEST_SOCKET", bench.path("socket"));
        let output = command.env(name, value).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{name}={value}: {output:?}");
        daemon.join().unwrap();
        std::fs::remove_file(bench.path("socket")).unwrap();
    }
}

#[test]
fn what_a_variable_changes_is_compiled_here() {
    let bench = Bench::new();
    let daemon = bench.daemon(1, 1);
    let mut command = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]);
    let output = command.env("GCC_COMPARE_DEBUG", "1").output().unwrap();
    assert!(output.status.success() && bench.read("x.o") == "object:int x;\n", "{}", text(&output.stderr));
    assert!(log_has(&output, "GCC_COMPARE_DEBUG is set, building locally"));
    assert!(!daemon.join().unwrap().iter().any(|said| matches!(said, Message::GetCs(_))));
}

#[test]
fn a_user_may_rule_fall_back_out() {
    let bench = Bench::new();
    let daemon = bench.daemon(1, 1);
    let mut command = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]);
    let output = command.env("ICECC_FALLBACK", "never").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(log_has(&output, "ICECC_FALLBACK=never") && !bench.path("x.o").exists());
    daemon.join().unwrap();
}

#[test]
fn a_user_may_rule_out_that_nobody_is_there() {
    let bench = Bench::new();
    let daemon = bench.daemon(1, 2);
    let run = |fallback: &str, words: &[&str]| {
        bench
            .icecc_with_daemon(words)
            .env("ICECC_FALLBACK", fallback)
            .env("ICECC_VERSION", "none.tar.gz")
            .output()
            .unwrap()
    };
    let compile = ["gcc", "-c", "a.c", "-o", "x.o"];
    let output = run("never", &compile);
    assert!(output.status.code() == Some(1) && !bench.path("x.o").exists(), "{output:?}");
    let why = "no environment can be given to the job: nothing usable in ICECC_VERSION";
    assert!(log_has(&output, &format!("not compiled, as ICECC_FALLBACK=never: {why}")), "{output:?}");
    let output = run("warn", &compile);
    assert!(output.status.success() && log_has(&output, &format!("icecc: compiling here: {why}")), "{output:?}");
    daemon.join().unwrap();
    // Where none of the usual places can have a daemon.
    let apart = |words: &[&str]| {
        let mut unshare = bench.command(Path::new("/usr/bin/unshare"));
        unshare.args(["-rnm", "sh", "-c", "mount -t tmpfs none /run && exec \"$0\" \"$@\""]).args(words);
        unshare
    };
    if !apart(&["true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no network of one's own");
        return;
    }
    let alone = |fallback: &str, words: &[&str]| {
        let words = [&[env!("CARGO_BIN_EXE_icecc")], words].concat();
        apart(&words).env("ICECC_FALLBACK", fallback).output().unwrap()
    };
    std::fs::remove_file(bench.path("x.o")).unwrap();
    let output = alone("never", &compile);
    assert!(output.status.code() == Some(1) && !bench.path("x.o").exists(), "{output:?}");
    assert!(log_has(&output, "ICECC_FALLBACK=never: no local daemon found"), "{output:?}");
    let output = alone("warn", &compile);
    assert!(output.status.success() && log_has(&output, "icecc: compiling here: no local daemon found"), "{output:?}");
    // What would not go elsewhere anyway is no fallback.
    let output = alone("never", &["gcc", "-E", "a.c"]);
    assert!(output.status.success() && text(&output.stderr).is_empty(), "{output:?}");
}

#[test]
fn e42_why_no_environment_can_be_made_is_said_once() {
    let bench = Bench::new();
    let listener = UnixListener::bind(bench.path("socket")).unwrap();
    let daemon = std::thread::spawn(move || {
        for reason in ["cannot read cc1", "", "cannot read cc1", "", "no assembler", ""] {
            let mut conn = Conn::establish(listener.accept().unwrap().0, Version::TO_CLIENT, patience()).unwrap();
            let answer = match conn.recv(patience()).unwrap() {
                Message::GetNativeEnv(_) => Message::StatusText { text: reason.into() },
                slot => slot,
            };
            conn.send(&answer, patience()).unwrap();
            while conn.recv(patience()).is_ok() {}
        }
    });
    for said in ["cannot read cc1", "", "no assembler"] {
        let mut command = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]);
        let output = command.env_remove("ICECC_DEBUG").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stderr).lines().count(), usize::from(!said.is_empty()), "{output:?}");
        assert!(log_has(&output, said), "{output:?}");
    }
    daemon.join().unwrap();
}

#[test]
fn the_test_socket_is_the_only_way() {
    let bench = Bench::new();
    assert_eq!(bench.icecc_with_daemon(&["gcc", "-c", "a.c"]).status().unwrap().code(), Some(119));
}
