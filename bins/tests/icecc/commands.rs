//! The client as a command: its own options, its links, and what it runs when nothing goes elsewhere.

use super::{Bench, log_has, text};
use ice_core::message::Message;
use std::path::Path;

#[test]
fn without_daemon_it_is_the_compiler() {
    let bench = Bench::new();
    let good = bench.icecc(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
    assert!(good.status.success() && good.stderr.is_empty() && good.stdout.is_empty(), "{good:?}");
    assert_eq!(bench.read("x.o"), "object:int x;\n");
    let bad = bench.icecc(&["gcc", "-c", "nofile.c"]).output().unwrap();
    assert_eq!((bad.status.code(), text(&bad.stderr)), (Some(4), "nofile.c: no such file\n".into()));
}

/// A build's sandbox: locks and what is found out about compilers have a place all the same.
#[test]
fn who_has_no_home_has_temporary_files() {
    let bench = Bench::new();
    let mut command = bench.icecc(&["gcc", "-c", "a.c", "-o", "x.o"]);
    command.env_remove("HOME").env("TMPDIR", bench.folder.path());
    assert!(command.status().unwrap().success());
    let own = bench.path(&format!("icecream-rs-{}", nix::unistd::geteuid()));
    assert!(own.join("cpus").is_dir());
}

#[test]
fn own_options_and_what_is_none() {
    let bench = Bench::new();
    let run = |words: &[&str]| bench.icecc(words).output().unwrap();
    assert!(text(&run(&["--version"]).stdout).starts_with("ICECC 1.4.0 "));
    assert!(text(&run(&["--help"]).stdout).contains("--build-native"));
    for wrong in [&[][..], &["--foo"]] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let missing = run(&["nosuch-command"]);
    assert_eq!(missing.status.code(), Some(115));
    assert!(
        log_has(&missing, "couldn't find any nosuch-command")
            && log_has(&missing, "could not find nosuch-command in PATH.")
    );
    assert_eq!(run(&["/nonexistent/gcc"]).status.code(), Some(127));
}

#[test]
fn g16_commands_that_are_no_compilers() {
    for (command, status) in [("/bin/true", 0), ("/bin/false", 1), ("/nonexistent", 127)] {
        let bench = Bench::new();
        let daemon = bench.daemon(1, 1);
        let output = bench.icecc_with_daemon(&[command]).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{command}: {output:?}");
        // It takes a local slot, and asks for no server.
        let said = daemon.join().unwrap();
        assert!(matches!(said[..], [Message::JobLocalBegin(_), ..]), "{command}: {said:?}");
    }
}

#[test]
fn g39_icerun_takes_no_command_of_the_current_folder() {
    let bench = Bench::new();
    bench.script("only-here", "#!/bin/sh\necho ran >ran\n");
    let icerun = |command: &str| {
        let mut run = bench.command(Path::new(env!("CARGO_BIN_EXE_icerun")));
        run.arg(command).env("ICECC", "disable").output().unwrap()
    };
    let output = icerun("only-here");
    assert_eq!(output.status.code(), Some(115));
    assert!(log_has(&output, "could not find only-here in PATH."), "{output:?}");
    assert!(!bench.path("ran").exists(), "it was run");
    assert!(icerun("./only-here").status.success() && bench.path("ran").exists());
}

#[test]
fn a_link_with_a_compilers_name_runs_the_next_one_in_path() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("links")).unwrap();
    let link = bench.path("links/gcc");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_icecc"), &link).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", bench.path("links").display(), bench.path("bin").display());
    let mut command = bench.command(&link);
    let status = command.args(["-c", "a.c", "-o", "l.o"]).env("PATH", path).env("ICECC", "disable").status().unwrap();
    assert!(status.success());
    assert_eq!(bench.read("l.o"), "object:int x;\n");
}

#[test]
fn g41_a_script_that_calls_us_again_is_refused() {
    let bench = Bench::new();
    bench.script("wrapped-gcc", &format!("#!/bin/sh\nexec {} gcc \"$@\"\n", env!("CARGO_BIN_EXE_icecc")));
    let output = bench.icecc(&["./wrapped-gcc", "-c", "a.c"]).output().unwrap();
    assert_eq!(output.status.code(), Some(111));
    assert!(log_has(
        &output,
        "icecream seems to have invoked itself recursively! ./wrapped-gcc, run by icecc, runs icecc again"
    ));
    assert!(!bench.path("a.o").exists());
}

#[test]
fn g42_icecc_inside_icerun_says_so_once() {
    let bench = Bench::new();
    let mut run = bench.command(Path::new(env!("CARGO_BIN_EXE_icerun")));
    run.args([env!("CARGO_BIN_EXE_icecc"), "gcc", "-c", "a.c", "-o", "n.o"]).env("ICECC", "disable");
    let output = run.env("ICECC_DEBUG", "info").output().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stderr).matches("recursive invocation from icerun").count(), 1, "{output:?}");
    assert_eq!(bench.read("n.o"), "object:int x;\n");
}

#[test]
fn a_response_file_is_looked_into_but_passed_as_it_is() {
    let bench = Bench::new();
    bench.script("bin/gcc", "#!/bin/sh\necho \"$@\"\n");
    std::fs::write(bench.path("x.rsp"), "-c a.c").unwrap();
    let output = bench.icecc(&["gcc", "@x.rsp", "-o", "x.o"]).output().unwrap();
    assert_eq!(text(&output.stdout), "@x.rsp -o x.o\n");
    std::fs::write(bench.path("loop.rsp"), "@loop.rsp").unwrap();
    assert_eq!(bench.icecc(&["gcc", "@loop.rsp"]).status().unwrap().code(), Some(1));
}

/// What stands in a pipe is there once, for the compiler.
#[test]
fn a_response_file_that_is_none_is_left_alone() {
    let bench = Bench::new();
    bench.script("bin/gcc", "#!/bin/sh\necho \"$@\"\ncat\n");
    let line = format!("echo -c a.c | ICECC=disable {} gcc @/dev/stdin", env!("CARGO_BIN_EXE_icecc"));
    let output = bench.command(Path::new("/bin/sh")).args(["-c", &line]).output().unwrap();
    assert_eq!(text(&output.stdout), "@/dev/stdin\n-c a.c\n");
    std::fs::create_dir(bench.path("types")).unwrap();
    let mut run = bench.command(Path::new(env!("CARGO_BIN_EXE_icerun")));
    let output = run.args(["echo", "@types"]).env("ICECC", "disable").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "@types\n".into()));
}

#[test]
fn pipes_end_quietly() {
    let bench = Bench::new();
    let line = format!("ICECC=disable {} yes | head -1", env!("CARGO_BIN_EXE_icerun"));
    let output = bench.command(Path::new("/bin/sh")).args(["-c", &line]).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("y\n".into(), String::new()));
}

#[test]
fn links_are_made_for_compilers_that_are_here() {
    let bench = Bench::new();
    let folder = bench.path("links");
    let update = |words: &[&str]| {
        let mut command = bench.icecc(&["--update-links"]);
        command.args(words).arg("links").env("PATH", bench.path("bin"));
        let done = command.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        text(&done.stdout)
    };
    std::fs::create_dir(&folder).unwrap();
    assert!(update(&["--dry-run"]).starts_with("would be made links/gcc -> "));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert!(update(&[]).starts_with("made links/gcc -> "));
    assert_eq!(update(&[]), "");
    let through = bench.command(&folder.join("gcc")).args(["-c", "a.c", "-o", "x.o"]).env("ICECC", "disable").output();
    assert!(through.unwrap().status.success());
    assert_eq!(bench.read("x.o"), "object:int x;\n");
    std::fs::remove_file(bench.path("bin/gcc")).unwrap();
    assert_eq!(update(&[]), "removed links/gcc: no gcc in PATH\n");
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["icecc"]);
}

#[test]
fn links_are_made_in_directories_alone() {
    let bench = Bench::new();
    let refused = bench.icecc(&["--update-links", "gcc"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(text(&refused.stderr), "icecc: gcc is no directory (nothing was changed)\n");
    assert!(refused.stdout.is_empty() && !bench.path("gcc").exists());
}
