//! A daemon that keeps records, and a server that has nothing but what it is told.

use crate::stage::{Bench, patience};
use ice_core::files::{Difference, Fact, Facts, Output as Written, ResultBody};
use ice_core::ids::JobId;
use ice_core::message::{FilesJob, FilesNeed, FilesResult, HostCan, Keep, Message, UseCs, abilities, keep, need};
use ice_core::text::Text;
use ice_core::version::Version;
use ice_net::compress::{Packer, Unpacker};
use ice_net::conn::Conn;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// What the server does beside compiling.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// It asks for this before it runs the command.
    pub asks: Option<(u32, &'static str)>,
    /// It refuses all.
    pub refuses: bool,
    /// It is slow: this command runs before the result is sent.
    pub meanwhile: Option<&'static str>,
    /// It says that it wrote this too.
    pub stray: Option<&'static str>,
    /// It adds a byte to each output.
    pub adds: bool,
}

/// A daemon that keeps what it is given, and names the server for each job.
pub fn daemon(bench: &Bench, port: u16) {
    let listener = UnixListener::bind(bench.path("socket")).unwrap();
    let extension = UnixListener::bind(ice_core::extension::socket_beside(&bench.path("socket"))).unwrap();
    fs::write(bench.path("0123456789abcdef.tar.zst"), "zst").unwrap();
    let folder = bench.folder.path().to_path_buf();
    let kept: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
    for (listener, takes_files) in [(listener, false), (extension, true)] {
        let (folder, kept) = (folder.clone(), Arc::clone(&kept));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (folder, kept) = (folder.clone(), Arc::clone(&kept));
                std::thread::spawn(move || serve_client(stream, takes_files, port, &folder, &kept));
            }
        });
    }
}

fn serve_client(
    stream: UnixStream,
    takes_files: bool,
    port: u16,
    folder: &Path,
    kept: &Mutex<HashMap<String, Vec<u8>>>,
) {
    let mut conn = Conn::establish(stream, Version::TO_CLIENT, patience()).unwrap();
    while let Ok(message) = conn.recv(patience()) {
        match message {
            Message::GetNativeEnv(_) => {
                let path = folder.join("0123456789abcdef.tar.zst").to_str().unwrap().into();
                conn.send(&Message::NativeEnv { path }, patience()).unwrap();
            }
            Message::KeepGet(Keep { kind: keep::TOKEN, .. }) => send_stream(&mut conn, &[7; 32]).unwrap(),
            Message::KeepGet(Keep { key, .. }) => {
                let bytes = kept.lock().unwrap().get(&key.to_string()).cloned().unwrap_or_default();
                send_stream(&mut conn, &bytes).unwrap();
            }
            Message::KeepPut(Keep { key, .. }) => {
                let bytes = read_stream(&mut conn).unwrap();
                kept.lock().unwrap().insert(key.to_string(), bytes);
            }
            Message::GetCs(_) => {
                let job = JobId(5);
                let host = "127.0.0.1".into();
                let platform = rustix::system::uname().machine().to_str().unwrap().into();
                let server =
                    UseCs { job, port: port.into(), host, host_platform: platform, env_present: 1, ..UseCs::default() };
                let can = HostCan { job, abilities: abilities::FILES, ..HostCan::default() };
                let first = takes_files.then_some(Message::HostCan(can));
                let all: Vec<Message> = first.into_iter().chain([Message::UseCs(server)]).collect();
                conn.send_all(&all, patience()).unwrap();
            }
            Message::JobLocalBegin(_) => conn.send(&message, patience()).unwrap(),
            Message::End => break,
            _ => {}
        }
    }
}

/// `None`: the other side has gone.
fn send_stream(conn: &mut Conn, bytes: &[u8]) -> Option<()> {
    let mut packer = Packer::new(1);
    for piece in bytes.chunks(100_000) {
        let chunk = packer.pack(piece, conn.version()).unwrap();
        conn.send(&Message::FileChunk(chunk), patience()).ok()?;
    }
    conn.send(&Message::End, patience()).ok()
}

/// `None`: the other side has gone.
fn read_stream(conn: &mut Conn) -> Option<Vec<u8>> {
    let (mut unpacker, mut plain) = (Unpacker::new(), Vec::new());
    loop {
        match conn.recv(patience()) {
            Ok(Message::FileChunk(chunk)) => unpacker.unpack(&chunk, &mut plain).unwrap(),
            Ok(Message::End) => return Some(plain),
            _ => return None,
        }
    }
}

/// What the server has of its clients.
#[derive(Default)]
struct Shelf {
    sets: HashMap<String, Facts>,
    blobs: HashMap<[u8; 32], Vec<u8>>,
}

/// A server for any number of jobs, one after another; its port.
pub fn serve(seen: Arc<Mutex<Vec<Vec<String>>>>, manner: Arc<Mutex<Manner>>, folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut shelf = Shelf::default();
        while let Ok((stream, _)) = listener.accept() {
            seen.lock().unwrap().push(Vec::new());
            let note = |line: String| seen.lock().unwrap().last_mut().unwrap().push(line);
            let manner = *manner.lock().unwrap();
            let _ = work(stream, &mut shelf, manner, &folder, &note);
        }
    });
    port
}

fn work(stream: TcpStream, shelf: &mut Shelf, manner: Manner, folder: &Path, note: &dyn Fn(String)) -> Option<()> {
    let mut conn = Conn::establish(stream, Version::TO_CLIENT, patience()).ok()?;
    let Ok(Message::FilesJob(job)) = conn.recv(patience()) else {
        note("no files".into());
        return None;
    };
    if manner.refuses {
        conn.send(&Message::StatusText { text: "no room for files".into() }, patience()).ok()?;
        return None;
    }
    let facts = facts(&mut conn, &job, shelf, note)?;
    if let Some((kind, path)) = manner.asks {
        ask(&mut conn, kind, vec![path.into()])?;
    }
    contents(&mut conn, &facts, shelf, note)?;
    let root = tempfile::tempdir().unwrap();
    make_tree(root.path(), &facts, shelf);
    let output = run(root.path(), &job);
    if let Some(line) = manner.meanwhile {
        assert!(Command::new("sh").args(["-c", line]).current_dir(folder).status().unwrap().success());
    }
    answer(&mut conn, &job, &facts, root.path(), &output, manner)
}

/// The facts of a job.
fn facts(conn: &mut Conn, job: &FilesJob, shelf: &mut Shelf, note: &dyn Fn(String)) -> Option<Facts> {
    let stream = read_stream(conn)?;
    let base = job.base.to_string();
    let facts = match shelf.sets.get(&base) {
        _ if base.is_empty() => Facts::decode(&stream).unwrap(),
        Some(known) => {
            let difference = Difference::decode(&stream).unwrap();
            note(format!("difference of {} and {}", difference.set.len(), difference.removed.len()));
            let mut facts = known.clone();
            facts.apply(difference).unwrap();
            facts
        }
        None => {
            note("all".into());
            Facts::decode(&ask(conn, need::ALL, Vec::new())?).unwrap()
        }
    };
    assert_eq!(job.set.to_string(), ice_toolchain::digest::of_content(facts.encode().as_slice()).unwrap());
    shelf.sets.insert(job.set.to_string(), facts.clone());
    Some(facts)
}

fn ask(conn: &mut Conn, kind: u32, paths: Vec<Text>) -> Option<Vec<u8>> {
    conn.send(&Message::FilesNeed(FilesNeed { kind, paths }), patience()).ok()?;
    read_stream(conn)
}

/// The contents that are not here yet.
fn contents(conn: &mut Conn, facts: &Facts, shelf: &mut Shelf, note: &dyn Fn(String)) -> Option<()> {
    let files = facts.iter().filter_map(|(path, fact)| match fact {
        Fact::File(file) => Some((Text::from(path), file.clone())),
        _ => None,
    });
    let lacking: Vec<_> = files.filter(|(_, file)| !shelf.blobs.contains_key(&file.digest.0)).collect();
    note(format!("{} contents", lacking.len()));
    if lacking.is_empty() {
        return Some(());
    }
    let all = ask(conn, need::CONTENTS, lacking.iter().map(|(path, _)| path.clone()).collect())?;
    let mut rest = all.as_slice();
    for (path, file) in lacking {
        let (blob, after) = rest.split_at(usize::try_from(file.size).unwrap());
        assert_eq!(ice_toolchain::digest::of_content(blob).unwrap(), file.digest.to_string(), "{path}");
        shelf.blobs.insert(file.digest.0, blob.to_vec());
        rest = after;
    }
    assert!(rest.is_empty());
    Some(())
}

/// A tree that has what the facts say. Facts come in order, directories first.
fn make_tree(root: &Path, facts: &Facts, shelf: &Shelf) {
    let mut groups: HashMap<u64, PathBuf> = HashMap::new();
    for (path, fact) in facts.iter() {
        let place = root.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap()));
        match fact {
            Fact::Dir { .. } if path == b"/" => {}
            Fact::Dir { .. } => fs::create_dir(&place).unwrap(),
            Fact::Link { target } => symlink(OsStr::from_bytes(target), &place).unwrap(),
            Fact::Absent | Fact::Names(_) => {}
            Fact::File(file) => {
                if let Some(first) = groups.get(&file.group).filter(|_| file.group != 0) {
                    fs::hard_link(first, &place).unwrap();
                    continue;
                }
                fs::write(&place, &shelf.blobs[&file.digest.0]).unwrap();
                let mode = if file.perm & Fact::EXECUTABLE == 0 { 0o444 } else { 0o555 };
                fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
                let since = Duration::new(file.mtime.seconds.try_into().unwrap(), file.mtime.nanoseconds);
                fs::File::open(&place).unwrap().set_modified(SystemTime::UNIX_EPOCH + since).unwrap();
                groups.insert(file.group, place);
            }
        }
    }
    for (name, mode) in [("proc", 0o755), ("dev", 0o755), ("tmp", 0o1777)] {
        let place = root.join(name);
        let _ = fs::create_dir(&place);
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn run(root: &Path, job: &FilesJob) -> Output {
    let script =
        "umask $3; mount --rbind /proc \"$1/proc\" && mount --rbind /dev \"$1/dev\" && r=$1 w=$2 p=$4 && shift 4 &&
        exec env \"$p\" unshare --root=\"$r\" --wd=\"$w\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(root).arg(as_os(&job.working_directory));
    // The shell sets it anew.
    let directory = job.environment.iter().find(|variable| variable.as_bytes().starts_with(b"PWD="));
    command.arg(format!("{:o}", job.umask)).arg(directory.map_or(OsStr::new("--unset=PWD"), as_os));
    command.arg(as_os(&job.compiler));
    command.args(job.arguments.iter().skip(1).map(as_os));
    command.env_clear().envs(job.environment.iter().map(|variable| {
        let variable = variable.as_bytes();
        let equals = variable.iter().position(|b| *b == b'=').unwrap();
        (OsStr::from_bytes(&variable[..equals]), OsStr::from_bytes(&variable[equals + 1..]))
    }));
    command.output().unwrap()
}

fn as_os(text: &Text) -> &OsStr {
    OsStr::from_bytes(text.as_bytes())
}

fn answer(conn: &mut Conn, job: &FilesJob, facts: &Facts, root: &Path, output: &Output, manner: Manner) -> Option<()> {
    let mut files = Vec::new();
    let mut outputs = Vec::new();
    for path in &job.outputs {
        let place = root.join(OsStr::from_bytes(&path.as_bytes()[1..]));
        if let Ok(mut bytes) = fs::read(place) {
            bytes.extend(manner.adds.then_some(0));
            outputs.push(Written { path: path.as_bytes().to_vec(), mode: 0o644, len: bytes.len() as u64 });
            files.push(bytes);
        }
    }
    if let Some(stray) = manner.stray {
        outputs.push(Written { path: stray.into(), mode: 0o644, len: 0 });
        files.push(Vec::new());
    }
    let result = FilesResult {
        status: output.status.code().unwrap(),
        out_of_memory: 0,
        stdout: Text::from(output.stdout.as_slice()),
        stderr: Text::from(output.stderr.as_slice()),
    };
    let used = facts.iter().map(|(path, _)| path.to_vec()).collect();
    conn.send(&Message::FilesResult(result), patience()).ok()?;
    send_stream(conn, &ResultBody { used, outputs, deleted: Vec::new() }.encode())?;
    files.iter().try_for_each(|file| send_stream(conn, file))?;
    let _ = conn.recv(patience());
    Some(())
}
