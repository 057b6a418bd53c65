//! Jobs by files: with real compilers, and a server that has nothing but what it is told. It puts the told files into a directory
//! of its own and runs the user's command with that as its root.

mod server;

use super::stage::{Bench, text};
use ice_core::message::need;
use server::{Manner, daemon, serve};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// Daemon and server of a test. They live as long as its process.
struct Stage {
    bench: Bench,
    /// Questions of the server and words to it, one list for each job.
    seen: Arc<Mutex<Vec<Vec<String>>>>,
    manner: Arc<Mutex<Manner>>,
}

impl Stage {
    fn new() -> Self {
        let bench = Bench::new();
        fs::remove_file(bench.path("bin/gcc")).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let manner = Arc::default();
        let port = serve(Arc::clone(&seen), Arc::clone(&manner), bench.folder.path().to_path_buf());
        daemon(&bench, port);
        Self { bench, seen, manner }
    }

    /// A command of a shell, with icecc in its PATH.
    fn command(&self, line: &str) -> Command {
        let mut command = self.bench.icecc_with_daemon(&[]);
        let path = format!("{}:/usr/bin:/bin", Path::new(env!("CARGO_BIN_EXE_icecc")).parent().unwrap().display());
        let mut shell = self.bench.command(Path::new("sh"));
        shell
            .args(["-c", line])
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("PATH", path);
        shell.env("ICECC_FILES", "on").env("ICECC_LOGFILE", self.bench.path("log")).env("ICECC_FALLBACK", "warn");
        command.arg("");
        shell
    }

    fn log(&self) -> String {
        self.bench.read("log")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.bench.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The command, plain and by files: what it leaves must be equal. `COMPILER` stands for the compiler.
    #[track_caller]
    fn same(&self, compiler: &str, line: &str) -> String {
        let _ = fs::remove_file(self.bench.path("log"));
        let plain = self.outcome(&line.replace("COMPILER", compiler));
        let by_files = self.outcome(&line.replace("COMPILER", &format!("icecc {compiler}")));
        let log = self.log();
        assert_eq!(show(&by_files), show(&plain), "{compiler}: {line}\n{log}");
        assert!(log.contains("compiled by files on 127.0.0.1"), "{compiler}: {line}\n{log}");
        log
    }

    /// Streams, status and outputs.
    fn outcome(&self, line: &str) -> Vec<(String, Vec<u8>)> {
        let out = self.bench.path("out");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).unwrap();
        let Output { status, stdout, stderr } = self.command(line).output().unwrap();
        let mut all = vec![
            ("status".to_string(), status.to_string().into_bytes()),
            ("stdout".to_string(), stdout),
            ("stderr".to_string(), stderr),
        ];
        let mut names: Vec<PathBuf> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        all.extend(names.iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())));
        all
    }
}

fn show(outcome: &[(String, Vec<u8>)]) -> Vec<(String, usize, String)> {
    let digest = |bytes: &[u8]| ice_toolchain::digest::of_content(bytes).unwrap();
    let shown = |name: &str, bytes: &[u8]| if name.starts_with("st") { text(bytes) } else { digest(bytes) };
    outcome.iter().map(|(name, bytes)| (name.clone(), bytes.len(), shown(name, bytes))).collect()
}

#[test]
fn what_the_users_command_makes_there_is_what_it_makes_here() {
    let stage = Stage::new();
    stage.write(
        "a.c",
        "#include <stdio.h>\n#include \"d/a.h\"\n#include \"l.h\"\nint main(void) { puts(TEXT); return L; }\n",
    );
    stage
        .write("d/a.h", "#define TEXT \"text\" __FILE__\n#if __has_include(\"more.h\")\n#include \"more.h\"\n#endif\n");
    stage.write("real/l.h", "#include \"beside.h\"\n");
    stage.write("beside.h", "#define L 3\n");
    stage.write("b.cc", "#include <vector>\nint f(std::vector<int> v) { int unused; return v.size(); }\n");
    stage.write("w.c", "int f(void) { int unused = 1; return x; }\n");
    symlink("real/l.h", stage.bench.path("l.h")).unwrap();
    for (c, cxx) in [("gcc", "g++"), ("clang", "clang++")] {
        stage.same(c, "COMPILER -g -O2 -MD -MF out/a.d -c a.c -o out/a.o");
        stage.same(c, "COMPILER -S -Wall a.c -o out/a.s");
        stage.same(cxx, "COMPILER -g -Wall -MMD -c b.cc -o out/b.o");
        stage.same(c, "COMPILER -Wall -c w.c -o out/w.o");
        stage.same(c, "COMPILER -include d/a.h -Ireal -Ino -iquote d -c a.c -o out/a.o");
    }
}

/// What changes between builds is seen, whatever was told of it before, and nothing else is told again.
#[test]
fn each_build_is_of_the_files_as_they_are() {
    let stage = Stage::new();
    stage.write("a.c", "#include \"a.h\"\n#include <b.h>\nint x = A + B;\n");
    stage.write("a.h", "#pragma once\n#define A 1\n");
    stage.write("second/b.h", "#define B 10\n");
    let command = "COMPILER -Ifirst -Isecond -MD -c a.c -o out/a.o";
    let told = || stage.seen.lock().unwrap().last().unwrap().clone();
    let mkdir = |name: &str| fs::create_dir(stage.bench.path(name)).unwrap();
    mkdir("first");
    stage.same("gcc", command);
    let [contents] = &told()[..] else { panic!("{:?}", told()) };
    assert_ne!(contents, "0 contents");
    stage.same("gcc", command);
    assert!(told()[0].starts_with("difference of ") && told()[1] == "0 contents", "{:?}", told());
    stage.same("gcc", command);
    assert_eq!(told(), ["difference of 0 and 0", "0 contents"]);

    stage.write("a.h", "#pragma once\n#define A 2\n");
    stage.same("gcc", command);
    assert_eq!(told()[1], "1 contents");
    stage.write("first/b.h", "#define B 20\n#include <c.h>\n");
    stage.write("second/c.h", "#define C\n");
    stage.same("gcc", command);
    assert_eq!(told()[1], "2 contents");
    fs::remove_file(stage.bench.path("first/b.h")).unwrap();
    stage.same("gcc", command);
    assert_eq!(told()[1], "0 contents");
    // The same time as before, which only another time shows.
    let header = stage.bench.path("second/b.h");
    let before = fs::metadata(&header).unwrap().modified().unwrap();
    fs::write(&header, "#define B 30\n").unwrap();
    fs::File::open(&header).unwrap().set_modified(before).unwrap();
    stage.same("gcc", command);
    assert_eq!(told()[1], "1 contents");
    fs::rename(&header, stage.bench.path("other")).unwrap();
    symlink("../other", &header).unwrap();
    stage.same("gcc", command);
    // A unit beside it.
    stage.write("b.c", "#include <b.h>\nint y = B;\n");
    stage.same("gcc", "COMPILER -Ifirst -Isecond -MD -c b.c -o out/b.o");
    assert_eq!(told(), ["1 contents"]);
    // Headers that are equal are one for nobody who includes each once.
    stage.write("one.h", "#pragma once\nint N;\n#undef N\n#define N m\n");
    stage.write("two.h", "#pragma once\nint N;\n#undef N\n#define N m\n");
    stage.write("c.c", "#define N n\n#include \"one.h\"\n#include \"two.h\"\n");
    stage.same("gcc", "COMPILER -c c.c -o out/c.o");
}

#[test]
fn a_job_in_a_directory_behind_a_link_is_the_same() {
    let stage = Stage::new();
    stage.write("real/a.c", "#include \"../up.h\"\nconst char *f = __FILE__;\n");
    stage.write("up.h", "int up;\n");
    symlink("real", stage.bench.path("link")).unwrap();
    stage.same("gcc", "cd link && COMPILER -g -c a.c -o ../out/a.o");
}

/// What the job makes is what it makes here, and the log says why.
fn stays_here(stage: &Stage, manner: Manner, source: &str, said: &str) {
    *stage.manner.lock().unwrap() = manner;
    let _ = fs::remove_file(stage.bench.path("log"));
    stage.write("a.c", source);
    stage.write("a.h", "int h;\n");
    let line = "gcc -c a.c -o out/a.o";
    let by_files = stage.outcome(&format!("icecc {line}"));
    let log = stage.log();
    let plain = stage.outcome(line);
    // But for what is said of the cluster's failures.
    let made = |outcome: Vec<_>| outcome.into_iter().filter(|(name, _)| name != "stderr").collect::<Vec<_>>();
    assert_eq!(show(&made(by_files)), show(&made(plain)), "{said}: {log}");
    assert!(log.contains(said) && !log.contains("compiled by files"), "{said}: {log}");
}

#[test]
fn any_doubt_ends_in_a_compile_here() {
    let plain = "#include \"a.h\"\nint x;\n";
    let usual = Manner::default();
    let stage = Stage::new();
    for (manner, said) in [
        (Manner { refuses: true, ..usual }, "leaving the compile server"),
        (Manner { asks: Some((need::FACTS, "/etc/shadow")), ..usual }, "/etc/shadow"),
        (Manner { asks: Some((need::CONTENTS, "/etc/shadow")), ..usual }, "/etc/shadow"),
        (Manner { asks: Some((need::FACTS, "/dev/zero")), ..usual }, "/dev"),
        (Manner { asks: Some((7, "/")), ..usual }, "asked for files too often"),
        (Manner { stray: Some("/root/.profile"), ..usual }, "/root/.profile"),
        (Manner { meanwhile: Some("echo 'int other;' >a.h"), ..usual }, "a.h"),
        (Manner { meanwhile: Some("rm a.h; echo 'int i;' >a.h"), ..usual }, "a.h"),
    ] {
        stays_here(&stage, manner, plain, said);
    }
    stays_here(&stage, usual, "int now = sizeof __TIME__;\n", "a.c shows the date or time");
}

#[test]
fn in_shadow_mode_a_difference_is_told_and_the_own_result_counts() {
    let stage = Stage::new();
    let line = "export ICECC_FILES=shadow ICECC_FILES_SHADOW_LOG=$PWD/shadow; COMPILER -Wall -MD -c a.c -o out/a.o";
    stage.write("a.c", "#include \"a.h\"\nint x;\nvoid f(void) { int unused; }\n");
    stage.write("a.h", "int h;\n");
    let plain = stage.outcome(&line.replace("COMPILER", "gcc"));
    let compared = stage.outcome(&line.replace("COMPILER", "icecc gcc"));
    assert_eq!(show(&compared), show(&plain), "{}", stage.log());
    assert!(
        stage.bench.read("shadow").starts_with("equal 127.0.0.1 "),
        "{}{}",
        stage.bench.read("shadow"),
        stage.log()
    );
    stage.outcome("export ICECC_FILES=shadow ICECC_FILES_SHADOW_LOG=$PWD/shadow; icecc gcc -E a.c");
    assert!(stage.bench.read("shadow").lines().nth(1).unwrap().starts_with("not-tried preprocessing"));

    *stage.manner.lock().unwrap() = Manner { adds: true, ..Manner::default() };
    fs::remove_file(stage.bench.path("shadow")).unwrap();
    let compared = stage.outcome(&line.replace("COMPILER", "icecc gcc"));
    let told = text(&compared[2].1);
    assert!(
        told.contains("127.0.0.1 made another result") && told.contains("out/a.o: BLAKE3 "),
        "{told}{}",
        stage.log()
    );
    assert_eq!(stage.bench.read("shadow").matches("different 127.0.0.1 ").count(), 1);
    assert_eq!(compared[3..].len(), 2);
    let plain = stage.outcome(&line.replace("COMPILER", "gcc"));
    assert_eq!(show(&compared[3..]), show(&plain[3..]));
}
