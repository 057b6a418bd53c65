//! The client as a program: alone, and in dialogue with a daemon and a compile server that these tests play.
//!
//! Compilers are shell scripts, so nothing but a shell is needed.

// A test that cannot be set up has nothing better to do than to stop and say so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "icecc/archives.rs"]
mod archives;
#[path = "icecc/ccache.rs"]
mod ccache;
#[path = "icecc/here.rs"]
mod here;
#[path = "icecc/lies.rs"]
mod lies;
#[path = "icecc/silence.rs"]
mod silence;
#[path = "icecc/wrappers.rs"]
mod wrappers;

use ice_core::ids::JobId;
use ice_core::message::{CompileResult, Message, UseCs};
use ice_core::version::Version;
use ice_net::compress::{Packer, Unpacker};
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;
use std::time::Duration;

/// A compiler that preprocesses by `cat` and compiles by putting `object:` in front. It tells what it is as gcc does: its
/// target is that of its name.
const COMPILER: &str = r#"#!/bin/sh
case " $* " in
  *" -dumpmachine "*) t=${0##*/}; case $t in *-gcc) echo "${t%-gcc}" ;; *) echo "$(uname -m)-linux-gnu" ;; esac; exit ;;
  *" -v "*) printf '%s\n' "COLLECT_GCC=$0" "gcc version 12 (test)" >&2; exit ;;
  *" -### "*)
    words=
    for word; do case $word in -\#\#\#|-o|/dev/null|-x|c) ;; *) words="$words '$word'" ;; esac; done
    printf '%s\n' "COLLECT_GCC=$0" "COLLECT_GCC_OPTIONS=$words" >&2; exit ;;
  " -E - ") echo "clang __clang__ gcc 12"; exit ;;
esac
out=a.o; in=; mode=compile
while [ $# -gt 0 ]; do
  case "$1" in -o) out=$2; shift ;; -E) mode=preprocess ;; -MF) echo "deps" > "$2"; shift ;; -MQ) shift ;; -*) ;; *) in=$1 ;; esac
  shift
done
[ -r "$in" ] || { echo "$in: no such file" >&2; exit 4; }
if [ $mode = preprocess ]; then cat "$in"; else printf 'object:' > "$out"; cat "$in" >> "$out"; fi
"#;

struct Bench {
    folder: tempfile::TempDir,
    /// What its daemon announces.
    version: Version,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder, version: Version::TO_CLIENT };
        bench.script("bin/gcc", COMPILER);
        std::fs::write(bench.path("a.c"), "int x;\n").unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("HOME", self.folder.path());
        command
    }

    fn icecc(&self, words: &[&str]) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_icecc")));
        command.args(words).env("ICECC", "disable");
        command
    }

    /// The client with a daemon at `socket`.
    fn icecc_with_daemon(&self, words: &[&str]) -> Command {
        let mut command = self.icecc(words);
        command.env_remove("ICECC").env("ICECC_TEST_SOCKET", self.path("socket")).env("ICECC_TEST_REMOTEBUILD", "1");
        command.env("ICECC_DEBUG", "debug");
        command
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Plays a daemon that names `server` for every job and grants every local slot, for `connections` connections.
    /// Returns what the client said.
    fn daemon(&self, server: u16, connections: usize) -> JoinHandle<Vec<Message>> {
        self.daemon_of(server, 1, connections)
    }

    /// The same, where the server has the environment or not.
    fn daemon_of(&self, port: u16, env_present: u32, connections: usize) -> JoinHandle<Vec<Message>> {
        let server =
            UseCs { job: JobId(5), port: port.into(), host: "127.0.0.1".into(), env_present, ..UseCs::default() };
        self.daemon_that_says(server, connections)
    }

    /// The same with any answer.
    fn daemon_that_says(&self, server: UseCs, connections: usize) -> JoinHandle<Vec<Message>> {
        let listener = UnixListener::bind(self.path("socket")).unwrap();
        for packing in ["gz", "zst"] {
            std::fs::write(self.path(&format!("0123456789abcdef.tar.{packing}")), packing).unwrap();
        }
        let (folder, version) = (self.folder.path().to_path_buf(), self.version);
        std::thread::spawn(move || {
            let accepted = (0..connections).map(|_| listener.accept().unwrap().0);
            let threads = accepted.map(|stream| {
                let (server, folder) = (server.clone(), folder.clone());
                std::thread::spawn(move || serve_client(stream, version, &server, &folder))
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    }
}

fn serve_client(stream: UnixStream, version: Version, server: &UseCs, folder: &Path) -> Vec<Message> {
    let mut heard = Vec::new();
    let mut conn = Conn::establish(stream, version, patience()).unwrap();
    while let Ok(message) = conn.recv(patience()) {
        heard.push(message.clone());
        let answer = match message {
            Message::GetNativeEnv(ask) => {
                let packing = if ask.compression == "zstd" { "zst" } else { "gz" };
                let path = folder.join(format!("0123456789abcdef.tar.{packing}"));
                Message::NativeEnv { path: path.to_str().unwrap().into() }
            }
            Message::GetCs(_) => Message::UseCs(server.clone()),
            Message::JobLocalBegin(_) => message,
            Message::End => break,
            _ => continue,
        };
        conn.send(&answer, patience()).unwrap();
    }
    heard
}

fn patience() -> Deadline {
    Deadline::after(Step::Message, Duration::from_secs(60))
}

/// Plays a compile server for one job: takes the source until END, then does `answer`. Returns source and arguments.
fn server(answer: impl FnOnce(&mut Conn, &str) + Send + 'static) -> (u16, JoinHandle<(String, Vec<String>)>) {
    server_of(Version::TO_CLIENT, answer)
}

/// The same, announcing another version.
fn server_of(
    version: Version,
    answer: impl FnOnce(&mut Conn, &str) + Send + 'static,
) -> (u16, JoinHandle<(String, Vec<String>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut conn = Conn::establish(stream, version, patience()).unwrap();
        let Ok(Message::CompileFile(job)) = conn.recv(patience()) else { panic!("no job") };
        let mut source = Vec::new();
        while let Ok(Message::FileChunk(chunk)) = conn.recv(patience()) {
            Unpacker::new().unpack(&chunk, &mut source).unwrap();
        }
        let source = String::from_utf8(source).unwrap();
        answer(&mut conn, &source);
        // But what the mode of preprocessing adds.
        let arguments = job.arguments.iter().map(|(_, word)| word.to_string()).filter(|w| w != "-fdirectives-only");
        (source, arguments.collect())
    });
    (port, thread)
}

fn result(status: i32, stderr: &str) -> Message {
    Message::CompileResult(CompileResult { status, stderr: stderr.into(), ..CompileResult::default() })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn log_has(output: &Output, line: &str) -> bool {
    text(&output.stderr).contains(line)
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
        assert_eq!(output.status.code(), Some(1));
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
fn what_a_variable_changes_is_compiled_here() {
    let bench = Bench::new();
    let daemon = bench.daemon(1, 1);
    let mut command = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]);
    let output = command.env("GCC_COMPARE_DEBUG", "1").output().unwrap();
    assert!(output.status.success() && bench.read("x.o") == "object:int x;\n", "{}", text(&output.stderr));
    assert!(log_has(&output, "GCC_COMPARE_DEBUG is set, building locally"));
    assert!(!daemon.join().unwrap().iter().any(|said| matches!(said, Message::GetCs(_))));
}

/// As its commands are clang's, the server must be told so.
#[test]
fn a_clang_of_any_name_is_known_by_its_answer() {
    let bench = Bench::new();
    let clang = COMPILER.replace("clang __clang__ gcc 12", "clang 1 gcc 4");
    bench.script("bin/cc", &clang.replace("COLLECT_GCC_OPTIONS=$words", " '$0' '-cc1' $words"));
    let (port, server) = server(|conn, _| {
        let object = Packer::new(1).pack(b"remote", conn.version()).unwrap();
        conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
    });
    let daemon = bench.daemon(port, 1);
    let output = bench.icecc_with_daemon(&["cc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
    assert!(output.status.success() && bench.read("x.o") == "remote", "{}", text(&output.stderr));
    let arguments = server.join().unwrap().1;
    assert!(arguments.contains(&"-target".to_owned()), "{arguments:?}");
    daemon.join().unwrap();
}

#[test]
fn pipes_end_quietly() {
    let bench = Bench::new();
    let line = format!("ICECC=disable {} yes | head -1", env!("CARGO_BIN_EXE_icerun"));
    let output = bench.command(Path::new("/bin/sh")).args(["-c", &line]).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("y\n".into(), String::new()));
}

#[test]
fn a_remote_object_is_put_in_place() {
    let bench = Bench::new();
    let (port, server) = server(|conn, source| {
        let object = Packer::new(1).pack(format!("remote:{source}").as_bytes(), conn.version()).unwrap();
        conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
    });
    let daemon = bench.daemon(port, 1);
    std::fs::create_dir(bench.path("out")).unwrap();
    let output = bench.icecc_with_daemon(&["gcc", "-MMD", "-c", "a.c", "-o", "out/x.o"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(server.join().unwrap().0, "int x;\n");
    assert_eq!(bench.read("out/x.o"), "remote:int x;\n");
    assert!(log_has(&output, &format!("Have to use host 127.0.0.1:{port}")));
    // Object and dependency file, no temporary.
    assert_eq!(std::fs::read_dir(bench.path("out")).unwrap().count(), 2);
    assert_eq!(daemon.join().unwrap().last(), Some(&Message::End));
}

#[test]
fn e24_each_server_gets_the_environment_in_a_form_that_it_can_read() {
    for (version, expected, connections) in [(44, "zst", 1), (43, "zst", 1), (41, "gz", 2)] {
        let bench = Bench::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut conn = Conn::establish(stream, Version::new(version), patience()).unwrap();
            let Ok(Message::TransferEnv(target)) = conn.recv(patience()) else { panic!("no environment") };
            let mut archive = Vec::new();
            while let Ok(Message::FileChunk(chunk)) = conn.recv(patience()) {
                Unpacker::new().unpack(&chunk, &mut archive).unwrap();
            }
            assert!(matches!(conn.recv(patience()), Ok(Message::VerifyEnv(_))));
            conn.send(&Message::VerifyEnvResult { ok: 1 }, patience()).unwrap();
            while !matches!(conn.recv(patience()), Ok(Message::End)) {}
            let object = Packer::new(1).pack(b"remote", conn.version()).unwrap();
            conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
            (target.name.to_string(), String::from_utf8(archive).unwrap())
        });
        let daemon = bench.daemon_of(port, 0, connections);
        let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
        assert!(output.status.success() && bench.read("x.o") == "remote", "{}", text(&output.stderr));
        assert_eq!(server.join().unwrap(), ("0123456789abcdef".to_owned(), expected.to_owned()), "version {version}");
        daemon.join().unwrap();
    }
}

#[test]
fn a_server_that_goes_is_replaced_by_the_own_compiler() {
    for cut in ["before the result", "in the object"] {
        let bench = Bench::new();
        let (port, server) = server(move |conn, _| {
            if cut == "in the object" {
                let piece = Packer::new(1).pack(b"half an obj", conn.version()).unwrap();
                conn.send_all(&[result(0, ""), Message::FileChunk(piece)], patience()).unwrap();
            }
        });
        let daemon = bench.daemon(port, 2);
        let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
        assert!(output.status.success(), "{cut}: {}", text(&output.stderr));
        assert_eq!(bench.read("x.o"), "object:int x;\n", "{cut}");
        assert!(log_has(&output, "got exception Error ") && log_has(&output, "<building_local>"));
        let _ = server.join();
        let heard = daemon.join().unwrap();
        assert!(matches!(heard.last(), Some(Message::JobLocalBegin(_))), "{heard:?}");
        let left = std::fs::read_dir(bench.folder.path()).unwrap();
        assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().ends_with(".tmp")));
    }
}

#[test]
fn messages_of_a_remote_gcc_lead_to_one_local_run() {
    let bench = Bench::new();
    let (port, server) = server(|conn, _| conn.send(&result(1, "a.c:1:1: error: x\n"), patience()).unwrap());
    let daemon = bench.daemon(port, 2);
    let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
    assert!(output.status.success());
    let line = "local build forced by remote exception: Error 102 - command needs stdout/stderr workaround, recompiling locally";
    assert!(log_has(&output, line), "{}", text(&output.stderr));
    server.join().unwrap();
    daemon.join().unwrap();
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
    assert!(log_has(&output, "not compiled, as ICECC_FALLBACK=never: nothing usable in ICECC_VERSION"), "{output:?}");
    let output = run("warn", &compile);
    assert!(output.status.success() && log_has(&output, "icecc: compiling here: nothing usable"), "{output:?}");
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

/// Versions at which the wire changed, from the oldest on, and two newer ones that forks announce.
const VERSIONS: [u32; 20] = [21, 22, 24, 27, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 48, 50];

#[test]
fn older_daemons_and_servers_are_spoken_to_in_their_version() {
    for number in VERSIONS {
        let version = Version::new(number);
        let bench = Bench { version, ..Bench::new() };
        let (port, server) = server_of(version, |conn, source| {
            let object = Packer::new(1).pack(format!("remote:{source}").as_bytes(), conn.version()).unwrap();
            conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
        });
        let daemon = bench.daemon(port, 1);
        let output = bench.icecc_with_daemon(&["gcc", "-c", "a.c", "-o", "x.o"]).output().unwrap();
        assert!(output.status.success(), "{number}: {}", text(&output.stderr));
        assert_eq!(bench.read("x.o"), "remote:int x;\n", "{number}: {}", text(&output.stderr));
        assert_eq!(server.join().unwrap().0, "int x;\n");
        let heard = daemon.join().unwrap();
        let native = heard.iter().find_map(|m| if let Message::GetNativeEnv(ask) = m { Some(ask) } else { None });
        // Daemons before 41 know compilers by two words only, those before 32 just their own one.
        let wanted = match number {
            ..=31 => String::new(),
            32..=40 => "gcc".to_string(),
            _ => bench.path("bin/gcc").display().to_string(),
        };
        assert_eq!(native.unwrap().compiler.lossy(), wanted, "{number}");
    }
}
