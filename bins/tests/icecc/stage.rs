//! The stage: a directory with a compiler that is a script, and the daemon and compile server that these tests play.

use ice_core::ids::JobId;
use ice_core::message::{CompileResult, Message, UseCs};
use ice_core::version::Version;
use ice_net::compress::Unpacker;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;
use std::time::Duration;

/// A compiler that preprocesses by `cat` and compiles by putting `object:` in front. It tells what it is as gcc does:
/// its target is that of its name.
pub const COMPILER: &str = r#"#!/bin/sh
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

pub struct Bench {
    pub folder: tempfile::TempDir,
    /// What its daemon announces.
    pub version: Version,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder, version: Version::TO_CLIENT };
        bench.script("bin/gcc", COMPILER);
        std::fs::write(bench.path("a.c"), "int x;\n").unwrap();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("HOME", self.folder.path());
        command
    }

    pub fn icecc(&self, words: &[&str]) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_icecc")));
        command.args(words).env("ICECC", "disable");
        command
    }

    /// The client with a daemon at `socket`.
    pub fn icecc_with_daemon(&self, words: &[&str]) -> Command {
        let mut command = self.icecc(words);
        command.env_remove("ICECC").env("ICECC_TEST_SOCKET", self.path("socket")).env("ICECC_TEST_REMOTEBUILD", "1");
        command.env("ICECC_DEBUG", "debug");
        command
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Plays a daemon that names `server` for every job and grants every local slot, for `connections` connections.
    /// Returns what the client said.
    pub fn daemon(&self, server: u16, connections: usize) -> JoinHandle<Vec<Message>> {
        self.daemon_of(server, 1, connections)
    }

    /// The same, where the server has the environment or not.
    pub fn daemon_of(&self, port: u16, env_present: u32, connections: usize) -> JoinHandle<Vec<Message>> {
        let server =
            UseCs { job: JobId(5), port: port.into(), host: "127.0.0.1".into(), env_present, ..UseCs::default() };
        self.daemon_that_says(server, connections)
    }

    /// The same with any answer.
    pub fn daemon_that_says(&self, server: UseCs, connections: usize) -> JoinHandle<Vec<Message>> {
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

pub fn serve_client(stream: UnixStream, version: Version, server: &UseCs, folder: &Path) -> Vec<Message> {
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

pub fn patience() -> Deadline {
    Deadline::after(Step::Message, Duration::from_secs(60))
}

/// Plays a compile server for one job: takes the source until END, then does `answer`. Returns source and arguments.
pub fn server(answer: impl FnOnce(&mut Conn, &str) + Send + 'static) -> (u16, JoinHandle<(String, Vec<String>)>) {
    server_of(Version::TO_CLIENT, answer)
}

/// The same, announcing another version.
pub fn server_of(
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

pub fn result(status: i32, stderr: &str) -> Message {
    Message::CompileResult(CompileResult { status, stderr: stderr.into(), ..CompileResult::default() })
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn log_has(output: &Output, line: &str) -> bool {
    text(&output.stderr).contains(line)
}
