//! Results that are none: what a compile server sends must have the format that the compiler makes here. With real compilers, and a
//! server that sends what the table says.

use super::{Bench, log_has, patience, text};
use ice_core::message::{CompileResult, Message};
use ice_net::compress::Packer;
use ice_net::conn::Conn;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;

/// What the server sends, after it was made by a compiler.
type Change = fn(Vec<u8>) -> Vec<u8>;

const AS_IT_IS: Change = |made| made;
const TEXT: Change = |_| b"not an object at all\n".to_vec();
const EMPTY: Change = |_| Vec::new();
const HALF: Change = |made| made[..made.len() / 2].to_vec();
/// The processor of an ELF header is another one: ARM's, of 64 bits.
const OTHER_MACHINE: Change = |mut made| {
    made[18] = 183;
    made
};

/// The job's command but for its input, the command that makes what is sent, and what becomes of that.
type Row = (&'static str, &'static str, Change);

const RIGHT: &[Row] = &[
    ("gcc -c", "gcc -O2 -c", AS_IT_IS),
    ("gcc -S", "gcc -O2 -S", AS_IT_IS),
    ("gcc -flto -c", "gcc -flto -c", AS_IT_IS),
    ("gcc -m32 -c", "gcc -m32 -c", AS_IT_IS),
    ("gcc -mx32 -c", "gcc -mx32 -c", AS_IT_IS),
    ("clang -flto -c", "clang -flto -c", AS_IT_IS),
    ("clang -flto -S", "clang -flto -S", AS_IT_IS),
    ("clang -emit-llvm -c", "clang -emit-llvm -c", AS_IT_IS),
    ("clang -fembed-bitcode -c", "clang -fembed-bitcode -c", AS_IT_IS),
    ("clang --target=wasm32 -c", "clang --target=wasm32 -c", AS_IT_IS),
    ("clang --target=x86_64-w64-mingw32 -c", "clang --target=x86_64-w64-mingw32 -c", AS_IT_IS),
    ("clang -target x86_64-apple-darwin -c", "clang -target x86_64-apple-darwin -c", AS_IT_IS),
    ("arm-linux-gnueabihf-gcc -c", "arm-linux-gnueabihf-gcc -c", AS_IT_IS),
];

const FALSE: &[Row] = &[
    ("gcc -c", "gcc -c", TEXT),
    ("gcc -c", "gcc -c", EMPTY),
    ("gcc -c", "gcc -c", HALF),
    ("gcc -c", "gcc -c", OTHER_MACHINE),
    ("gcc -c", "gcc -m32 -c", AS_IT_IS),
    ("gcc -m32 -c", "gcc -c", AS_IT_IS),
    ("gcc -c", "gcc -S", AS_IT_IS),
    ("gcc -S", "gcc -c", AS_IT_IS),
    ("gcc -S", "gcc -S", EMPTY),
    ("gcc -flto -c", "clang -flto -c", AS_IT_IS),
    ("clang -c", "clang -flto -c", AS_IT_IS),
    ("clang -emit-llvm -c", "clang -c", AS_IT_IS),
    ("clang --target=wasm32 -c", "clang -c", AS_IT_IS),
    ("arm-linux-gnueabihf-gcc -c", "gcc -c", AS_IT_IS),
];

/// Real compilers, and a source that the server compiles in place of the user's.
fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::remove_file(bench.path("bin/gcc")).unwrap();
    std::fs::write(bench.path("theirs.c"), "int theirs;\n").unwrap();
    bench
}

/// What this command makes of this source.
fn made(bench: &Bench, command: &str, source: &str) -> Vec<u8> {
    let output = bench.path("made");
    let line = format!("{command} {source} -o {}", output.display());
    let status = bench.command(Path::new("sh")).args(["-c", &line]).status().unwrap();
    assert!(status.success(), "{line}");
    std::fs::read(output).unwrap()
}

/// A server for one job, which sends these files.
fn server(files: Vec<Vec<u8>>) -> (u16, JoinHandle<(String, Vec<String>)>) {
    super::server(move |conn, _| {
        let has_dwo = u32::from(files.len() > 1);
        let result = Message::CompileResult(CompileResult { has_dwo, ..CompileResult::default() });
        let mut all = vec![result];
        for file in &files {
            let mut packer = Packer::new(1);
            let pieces = file.chunks(100_000).map(|piece| packer.pack(piece, conn.version()).unwrap());
            all.extend(pieces.map(Message::FileChunk).chain([Message::End]));
        }
        send(conn, &all);
    })
}

/// The client may have had enough of it before the end.
fn send(conn: &mut Conn, all: &[Message]) {
    let _ = conn.send_all(all, patience());
}

fn icecc(bench: &Bench, command: &str) -> Command {
    bench.icecc_with_daemon(&format!("{command} a.c -o x.o").split(' ').collect::<Vec<_>>())
}

#[test]
fn what_the_compiler_would_make_is_taken() {
    for (job, sent, change) in RIGHT {
        let bench = bench();
        let object = change(made(&bench, sent, "theirs.c"));
        let (port, server) = server(vec![object.clone()]);
        let daemon = bench.daemon(port, 1);
        let output = icecc(&bench, job).output().unwrap();
        assert!(output.status.success(), "{job}: {}", text(&output.stderr));
        assert!(std::fs::read(bench.path("x.o")).unwrap() == object, "{job}: {}", text(&output.stderr));
        server.join().unwrap();
        assert!(!daemon.join().unwrap().iter().any(|said| matches!(said, Message::BlacklistHostEnv(_))), "{job}");
    }
}

#[test]
fn what_it_would_not_make_is_compiled_here_and_the_host_reported() {
    for (job, sent, change) in FALSE {
        let bench = bench();
        refuses(&bench, job, vec![change(made(&bench, sent, "theirs.c"))], &format!("{job}, sent {sent}"));
    }
}

#[test]
fn split_debug_information_is_looked_at_too() {
    let job = "gcc -g -gsplit-dwarf -c";
    for change in [EMPTY, TEXT, HALF, OTHER_MACHINE] {
        let bench = bench();
        let object = made(&bench, job, "theirs.c");
        refuses(&bench, job, vec![object.clone(), change(object)], job);
        assert!(bench.path("x.dwo").metadata().unwrap().len() > 0);
    }
}

/// Nothing of what the server sends is taken, the log names it and what is wrong, and the daemon is told twice.
fn refuses(bench: &Bench, job: &str, files: Vec<Vec<u8>>, row: &str) {
    let (port, server) = server(files);
    let daemon = bench.daemon(port, 2);
    let output = icecc(bench, job).output().unwrap();
    assert!(output.status.success(), "{row}: {}", text(&output.stderr));
    let object = std::fs::read(bench.path("x.o")).unwrap();
    assert!(!object.is_empty() && !object.windows(6).any(|name| name == b"theirs"), "{row}");
    let is_told = log_has(&output, "127.0.0.1 sent a result that is none") && log_has(&output, "Error 108");
    assert!(is_told, "{row}: {}", text(&output.stderr));
    server.join().unwrap();
    let said = daemon.join().unwrap();
    let reports = said.iter().filter_map(|said| match said {
        Message::BlacklistHostEnv(report) => Some((report.environment.to_string(), report.host.to_string())),
        _ => None,
    });
    let expected = ["0123456789abcdef", ""].map(|environment| (environment.to_owned(), "127.0.0.1".to_owned()));
    assert_eq!(reports.collect::<Vec<_>>(), expected, "{row}");
}

/// The compiler is asked once; and again where what comes is not what is remembered.
#[test]
fn the_format_is_learned_once() {
    let bench = bench();
    let ask = "case $* in *nothing.o*) echo asked >>asked ;; esac";
    bench.script("bin/gcc", &format!("#!/bin/sh\n{ask}\nexec /usr/bin/gcc \"$@\"\n"));
    let jobs = [("gcc -O2 -c", false, 1), ("gcc -g -DX -c", false, 1), ("gcc -c", true, 2), ("gcc -c", false, 3)];
    for (job, is_outdated, asked) in jobs {
        if is_outdated {
            let sed = "sed -i 's/ELF (64/ELF (32/' .cache/icecream-rs/compilers/*";
            assert!(bench.command(Path::new("sh")).args(["-c", sed]).status().unwrap().success());
        }
        let object = made(&bench, "gcc -c", "theirs.c");
        let (port, server) = server(vec![object.clone()]);
        let daemon = bench.daemon(port, 1);
        let output = icecc(&bench, job).output().unwrap();
        assert!(std::fs::read(bench.path("x.o")).unwrap() == object, "{job}: {}", text(&output.stderr));
        server.join().unwrap();
        daemon.join().unwrap();
        std::fs::remove_file(bench.path("socket")).unwrap();
        assert_eq!(bench.read("asked").lines().count(), asked, "{job} {is_outdated}");
    }
}

/// `ICECC_VERIFY` and 1.4's `ICECC_REPEAT_RATE`: what is made here stays, and a difference is told without any log.
#[test]
fn samples_are_compared_with_what_is_made_here() {
    let run = |job: &str, sent: Vec<u8>, bench: &Bench, variable: (&str, &str)| {
        let (port, server) = server(vec![sent]);
        let daemon = bench.daemon(port, 2);
        let output = icecc(bench, job).env_remove("ICECC_DEBUG").env(variable.0, variable.1).output().unwrap();
        server.join().unwrap();
        let said = daemon.join().unwrap();
        assert!(output.status.success() && matches!(said.last(), Some(Message::JobLocalBegin(_))), "{job}: {said:?}");
        std::fs::remove_file(bench.path("socket")).unwrap();
        text(&output.stderr)
    };
    let (bench, verify) = (bench(), ("ICECC_VERIFY", "1"));
    let ours = made(&bench, "gcc -c", "a.c");
    assert_eq!(run("gcc -c", ours.clone(), &bench, verify), "");
    for variable in [verify, ("ICECC_REPEAT_RATE", "1000")] {
        let said = run("gcc -c", made(&bench, "gcc -c", "theirs.c"), &bench, variable);
        assert!(said.starts_with("icecc: 127.0.0.1 made another x.o than the compiler here: BLAKE3 "), "{said}");
        assert!(said.ends_with(" here\n") && said.lines().count() == 1, "{said}");
        assert!(std::fs::read(bench.path("x.o")).unwrap() == ours);
    }
    // What honest hosts may do: debug information is another one, and so are names that LTO makes by chance.
    let (debug, lto) = (made(&bench, "gcc -g -D_X -c", "./a.c"), made(&bench, "gcc -flto -c", "a.c"));
    assert_eq!(run("gcc -g -c", debug, &bench, verify), "");
    assert_eq!(run("gcc -flto -c", lto, &bench, verify), "");
}

/// The status is that of the compile here, whatever the other host says.
#[test]
fn a_sample_ends_with_the_status_of_the_compile_here() {
    let bench = bench();
    std::fs::write(bench.path("a.c"), "int x = y;\n").unwrap();
    let (port, server) = server(vec![made(&bench, "gcc -c", "theirs.c")]);
    let daemon = bench.daemon(port, 2);
    let output = icecc(&bench, "gcc -c").env_remove("ICECC_DEBUG").env("ICECC_VERIFY", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(log_has(&output, "icecc: x.o: the compile ended with status 0 on 127.0.0.1 and with 1 here\n"));
    assert!(!bench.path("x.o").exists());
    let left = std::fs::read_dir(bench.folder.path()).unwrap().flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().ends_with(".tmp")));
    server.join().unwrap();
    daemon.join().unwrap();
}
