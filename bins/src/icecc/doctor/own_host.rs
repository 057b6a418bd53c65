//! What this host has: room, memory, a clock, environments, promises.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use ice_core::doctor::{Compiler, Disk, Environment, PlaceKind, Promise, SocketTrouble};
use ice_core::limits;
use ice_core::message::{GetNativeEnv, Message};
use ice_net::deadline::{Deadline, Step};
use ice_toolchain::{find, spec};
use nix::unistd::{AccessFlags, Uid, access};

use super::child::{self, Scratch};
use super::cluster::OwnDaemon;
use crate::icecc::variables::Variables;

/// Where daemons keep environments if they are not told.
const BASE: &str = "/var/tmp/icecc-envs";
/// How long an environment may take to be made.
const MAKE: Duration = Duration::from_secs(240);
/// How long a daemon may take to find out what it can promise.
const CHECK: Duration = Duration::from_secs(30);

/// Where jobs of here and environments are written.
pub(super) fn disks(daemon: &Result<OwnDaemon, Vec<SocketTrouble>>) -> Vec<Disk> {
    let temporary = std::env::temp_dir();
    let is_writable = access(&temporary, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    let mut disks = vec![disk("what compilers write", &temporary, is_writable)];
    if let Ok(daemon) = daemon {
        let base = daemon.options.as_ref().and_then(|options| options.base.clone());
        let base = base.unwrap_or_else(|| BASE.into());
        disks.extend(base.is_dir().then(|| disk("environments", &base, true)));
    }
    disks
}

fn disk(what: &'static str, path: &Path, is_writable: bool) -> Disk {
    let free =
        nix::sys::statvfs::statvfs(path).map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
    Disk { what, path: child::text(path), free: free.unwrap_or(0), is_writable }
}

/// Bytes that are available, and slots.
pub(super) fn memory(daemon: &Result<OwnDaemon, Vec<SocketTrouble>>) -> Option<(u64, u32)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    let told = daemon.as_ref().ok().and_then(|daemon| daemon.options.as_ref()?.slots);
    let processors = || std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    Some((kilobytes << 10, told.unwrap_or_else(processors)))
}

/// By how many seconds a new file in the working directory is ahead of the clock; nothing where none can be made.
pub(super) fn clock_ahead() -> Option<i64> {
    let path = PathBuf::from(format!(".icecc-doctor-{}", std::process::id()));
    let before = SystemTime::now();
    let file = File::create_new(&path).ok()?;
    let modified = file.metadata().and_then(|file| file.modified());
    let _ = std::fs::remove_file(&path);
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match modified.ok()?.duration_since(before) {
        Ok(ahead) => Some(seconds(ahead)),
        Err(behind) => Some(-seconds(behind.duration())),
    }
}

/// Asks the daemon for the environments of a gcc and a clang, if they are there.
pub(super) fn environments(
    daemon: &mut OwnDaemon,
    compilers: &[Compiler],
    variables: &Variables,
    own_exe: &Path,
) -> Vec<Environment> {
    if variables.version.is_some() {
        return Vec::new();
    }
    let has = |name: &str| compilers.iter().any(|compiler| compiler.name == name);
    let asked = ["gcc", "clang"].into_iter().filter(|name| has(name));
    asked
        .filter_map(|name| {
            let program = find::compiler(name.as_ref(), &variables.path, own_exe).ok()?;
            Some(Environment { compiler: name.to_owned(), made: ask(daemon, name, &program) })
        })
        .collect()
}

fn ask(daemon: &mut OwnDaemon, name: &str, program: &Path) -> Result<String, String> {
    let version = daemon.conn.version();
    let compiler = if version.has_ordered_args() { program.as_os_str().as_bytes().into() } else { name.into() };
    let compression = if version.has_full_jobs() { "zstd".into() } else { Default::default() };
    let ask = Message::GetNativeEnv(GetNativeEnv { compiler, extra_files: Vec::new(), compression });
    let sent = daemon.conn.send(&ask, Deadline::after(Step::Send, limits::SEND));
    let answer = sent.and_then(|()| daemon.conn.recv(Deadline::after(Step::NativeEnv, MAKE)));
    match answer {
        Ok(Message::NativeEnv { path }) => {
            let path = path.lossy().into_owned();
            let name = spec::name_of(Path::new(&path)).map(|name| name.to_string_lossy().into_owned());
            name.ok_or_else(|| "the daemon could make none (its log tells why)".to_owned())
        }
        Ok(Message::StatusText { text }) => Err(text.to_string()),
        Ok(_) => Err("the daemon could make none (its log tells why)".to_owned()),
        Err(error) => Err(crate::exit::chain(&error)),
    }
}

/// Has a daemon of this installation try what it can promise, where it would do so with the rights of the one that runs.
pub(super) fn promises(
    daemon: &Result<OwnDaemon, Vec<SocketTrouble>>,
    scratch: &Scratch,
    own_exe: &Path,
) -> Option<Vec<Promise>> {
    let uid = daemon.as_ref().ok()?.uid?;
    if !Uid::effective().is_root() && uid != Uid::effective().as_raw() {
        return None;
    }
    let mut command = Command::new(super::installed("iceccd", own_exe)?);
    command.args(["--check", "-b"]).arg(scratch.0.join("envs"));
    let said = child::run(&mut command, CHECK).ok()?;
    let promise = |line: &str| {
        let (word, rest) = line.split_once(": ")?;
        // What follows are no guarantees.
        let missing = rest.strip_prefix("no ").map(|why| why.trim_start_matches('(').replacen("):", ";", 1));
        (!word.contains(' ') && (missing.is_some() || rest == "yes"))
            .then(|| Promise { word: word.to_owned(), missing })
    };
    Some(said.text.lines().filter_map(promise).collect()).filter(|promises: &Vec<_>| !promises.is_empty())
}

/// A compiler that PATH leads to, for a trial.
pub(super) fn for_trial(compilers: &[Compiler]) -> Option<&str> {
    let is_real = |compiler: &&Compiler| compiler.places.iter().any(|place| place.kind == PlaceKind::Compiler);
    compilers.iter().find(is_real).map(|compiler| compiler.name.as_str())
}
