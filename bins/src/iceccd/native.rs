//! Archives of this host's compilers, made by `icecc-create-env` and kept under `BASE/native`.
//!
//! Which archive belongs to which compiler stands in an index beside them, so that they survive a restart. When one is
//! wanted, made or deleted is decided by the daemon's machine.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ice_core::daemon::{Archive, FileFacts, NativeKey, NativeOnDisk};
use ice_core::env::EnvName;
use ice_core::message::GetNativeEnv;
use ice_core::text::Text;
use ice_core::version::Version;
use ice_toolchain::archive::Compression;
use ice_toolchain::{compiler_names, find};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;

use super::index::{self, Packed};
use crate::background::{LOG_DIR, RUN_DIR};
use crate::create_env::apart::HIDES;

/// How long making one archive may take.
const LIMIT: Duration = Duration::from_secs(120);
/// What is kept of the tool's output: a line per file of an environment.
const OUTPUT_MAX: usize = 1 << 20;
/// Niceness of the tool: people wait for it, but not only they use the machine.
const NICENESS: i32 = 5;
/// What is read of the complaints of a tool.
const COMPLAINTS_MAX: u64 = 64 << 10;
/// How far behind the kernel's time of a change may be.
const TICK: Duration = Duration::from_millis(10);
/// The index file.
const INDEX: &str = ".index";

/// `icecc-create-env`. It is opened while we may reach it: a folder that is closed to the daemon's user (a home of root's)
/// does not keep that user from running it.
#[derive(Debug)]
pub struct Tool {
    path: PathBuf,
    opened: Option<File>,
}

impl Tool {
    /// The program at `path`. One that cannot be opened fails when it is wanted.
    pub fn open(path: PathBuf) -> Self {
        Self { opened: File::open(&path).ok(), path }
    }

    /// Starts the program that `command` makes, given its path.
    fn spawn(&self, command: impl Fn(&Path) -> io::Result<Command>) -> io::Result<Child> {
        match (command(&self.path)?.spawn(), &self.opened) {
            (Err(e), Some(file)) if e.kind() == io::ErrorKind::PermissionDenied => {
                command(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?.spawn()
            }
            (child, _) => child,
        }
    }
}

/// The archives on disk.
#[derive(Debug)]
pub struct Natives {
    folder: PathBuf,
    tool: Tool,
    /// Folders of the daemon that no compiler has to see, as the tool is told of them.
    hidden: OsString,
    index: Mutex<BTreeMap<NativeKey, Packed>>,
}

impl Natives {
    /// Reads the index in `folder`, forgets what is gone, and removes what is not in it.
    pub fn open(folder: PathBuf, tool: Tool) -> io::Result<Self> {
        let mut index = index::parse(&fs::read(folder.join(INDEX)).unwrap_or_default());
        index.retain(|_, packed| is_there(&packed.archive));
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let known = index.values().any(|p| p.archive.path.as_bytes() == path.as_os_str().as_bytes());
            if !known && path.file_name() != Some(OsStr::new(INDEX)) {
                let _ = ice_toolchain::store::remove_tree(&path);
            }
        }
        let base = folder.parent().unwrap_or(&folder).as_os_str();
        let hidden = [base, LOG_DIR.as_ref(), RUN_DIR.as_ref()].join(OsStr::new(":"));
        Ok(Self { folder, tool, hidden, index: Mutex::new(index) })
    }

    /// What is on the disk.
    pub fn on_disk(&self) -> Vec<NativeOnDisk> {
        let index = self.index.lock();
        index.iter().map(|(key, packed)| NativeOnDisk { key: key.clone(), archive: packed.archive.clone() }).collect()
    }

    /// Looks at the files of a request: its key, and its archive if there is a readable one.
    pub fn examine(&self, request: &GetNativeEnv, version: Version) -> Result<(NativeKey, Option<Archive>), Text> {
        if !request.compression.is_empty() && Compression::parse(request.compression.as_bytes()).is_none() {
            return Err(format!("unknown compression type {:?}", request.compression).into());
        }
        let compiler = c_compiler(request, version);
        if let Some(e) = fs::metadata(&compiler).err().filter(|e| e.kind() == io::ErrorKind::PermissionDenied) {
            return Err(format!("cannot reach {} as the daemon's user: {e}", compiler.display()).into());
        }
        if !find::is_executable_file(&compiler) {
            return Err(format!("Compiler binary {} for environment not found.", compiler.display()).into());
        }
        let mut files = vec![facts(&compiler)?];
        let partner =
            compiler.file_name().and_then(compiler_names::cxx_partner).map(|name| compiler.with_file_name(name));
        files.extend(partner.filter(|p| find::is_executable_file(p)).and_then(|p| facts(&p).ok()));
        for extra in &request.extra_files {
            files.push(facts(Path::new(OsStr::from_bytes(extra.as_bytes())))?);
        }
        // Both words for the default mean the same archive.
        let compression = match request.compression.as_bytes() {
            b"gzip" | b"gz" => Text::new(),
            _ => request.compression.clone(),
        };
        let key = NativeKey {
            compression,
            compiler: compiler.as_os_str().as_bytes().into(),
            extra_files: request.extra_files.clone(),
            files,
        };
        // An update of the compiler replaces one file after another, the programs asked for before or after those they run.
        let is_current = |packed: &Packed| {
            is_there(&packed.archive)
                && packed.parts.iter().all(|part| facts(path_of(&part.path)).is_ok_and(|now| now == *part))
        };
        let packed = self.index.lock().get(&key).cloned();
        Ok((key, packed.filter(is_current).map(|packed| packed.archive)))
    }

    /// Makes an archive. Takes up to [`LIMIT`].
    pub fn build(&self, key: &NativeKey) -> Result<Archive, Text> {
        let scratch = self.folder.join(".new");
        let cannot = |what: &str, e: io::Error| Text::from(format!("cannot {what} {}: {e}", scratch.display()));
        ice_toolchain::store::remove_tree(&scratch).map_err(|e| cannot("empty", e))?;
        fs::create_dir(&scratch).map_err(|e| cannot("make", e))?;
        let begun = SystemTime::now();
        let made = self.run_tool(key, &scratch).and_then(|said| {
            let parts = parts(&said.text, begun)?;
            self.keep(key, &scratch.join(said.archive), parts)
        });
        let _ = ice_toolchain::store::remove_tree(&scratch);
        if made.is_err() {
            self.drop_old(key);
        }
        made
    }

    /// What was made of a key before is old, or it would not be made again: nobody asks for its removal any more.
    fn drop_old(&self, key: &NativeKey) {
        let mut index = self.index.lock();
        if let Some(old) = index.remove(key) {
            remove_unused(&index, &old.archive.path);
            self.save(&index);
        }
    }

    /// Deletes an archive, unless another key has the same one.
    pub fn remove(&self, key: &NativeKey, path: &Text) {
        let mut index = self.index.lock();
        if index.get(key).is_some_and(|packed| packed.archive.path == *path) {
            index.remove(key);
        }
        remove_unused(&index, path);
        self.save(&index);
    }

    fn run_tool(&self, key: &NativeKey, scratch: &Path) -> Result<Said, Text> {
        let complaints = self.folder.join(".complaints");
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.arg(OsStr::from_bytes(key.compiler.as_bytes()));
            for file in &key.extra_files {
                command.arg("--addfile").arg(OsStr::from_bytes(file.as_bytes()));
            }
            if !key.compression.is_empty() {
                command.arg("--compression").arg(OsStr::from_bytes(key.compression.as_bytes()));
            }
            // Nothing of the daemon's own environment, but the tests' wish for speed.
            command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
            command.envs(std::env::var_os("ICECC_TESTS").map(|v| ("ICECC_TESTS", v)));
            command.env(HIDES, &self.hidden);
            command.current_dir(scratch).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
            command.stderr(File::create(&complaints)?);
            Ok(command)
        };
        let tool = self.tool.path.display();
        let mut child = self.tool.spawn(command).map_err(|e| Text::from(format!("cannot run {tool}: {e}")))?;
        let (stdout, ended) = watch(&mut child, Instant::now() + LIMIT);
        let mut stderr = Vec::new();
        let _ = File::open(&complaints).and_then(|file| file.take(COMPLAINTS_MAX).read_to_end(&mut stderr));
        let text = String::from_utf8_lossy(&stdout).into_owned();
        match ended {
            None => return Err(format!("{tool} took longer than {LIMIT:?}").into()),
            Some(true) => {}
            Some(false) => {
                let said = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr }).into_owned();
                let last = said.lines().last().unwrap_or("no reason given");
                return Err(format!("{tool}: {last}").into());
            }
        }
        let name = text.lines().rev().find_map(|l| l.strip_prefix("creating ")).unwrap_or_default();
        EnvName::new(name.as_bytes())
            .map(|name| Said { archive: name.to_string(), text: text.clone() })
            .map_err(|e| format!("{tool} named no archive: {e}").into())
    }

    /// Gives a finished archive its place and enters it.
    fn keep(&self, key: &NativeKey, made: &Path, parts: Vec<FileFacts>) -> Result<Archive, Text> {
        let place = self.folder.join(made.file_name().unwrap_or_default());
        let cannot = |e: io::Error| Text::from(format!("cannot keep {}: {e}", made.display()));
        let m = fs::symlink_metadata(made).map_err(cannot)?;
        if !m.is_file() {
            return Err(format!("{} is no file", made.display()).into());
        }
        // Every local user reads it.
        fs::set_permissions(made, Permissions::from_mode(0o644)).map_err(cannot)?;
        let archive = Archive { path: place.as_os_str().as_bytes().into(), size: m.len() };
        let mut index = self.index.lock();
        // The name comes from a program that a user may have chosen: it must not put its archive in the place of another's.
        let is_of_others = index.iter().any(|(of, packed)| of != key && packed.archive.path == archive.path);
        if is_of_others && !same_content(made, &place).map_err(cannot)? {
            index.retain(|_, packed| packed.archive.path != archive.path);
            remove_unused(&index, &archive.path);
            self.save(&index);
            return Err(format!("two archives are named {}: neither is kept", place.display()).into());
        }
        fs::rename(made, &place).map_err(cannot)?;
        if let Some(old) = index.insert(key.clone(), Packed { archive: archive.clone(), parts }) {
            remove_unused(&index, &old.archive.path);
        }
        self.save(&index);
        Ok(archive)
    }

    /// An index that cannot be written costs a new archive after the next start.
    fn save(&self, index: &BTreeMap<NativeKey, Packed>) {
        let new = self.folder.join(".index.new");
        let written = fs::write(&new, index::text(index)).and_then(|()| fs::rename(&new, self.folder.join(INDEX)));
        if let Err(error) = written {
            log::warn!("cannot write {}: {error}", new.display());
        }
    }
}

/// What the tool printed, and the archive it named.
struct Said {
    archive: String,
    text: String,
}

/// The files that the tool says it packed (`adding file NAME`, `adding file NAME=FILE`). One that changed meanwhile may be in the
/// archive as it was or as it is. A name that is none of a file now (it may hold odd characters) is left out.
fn parts(said: &str, begun: SystemTime) -> Result<Vec<FileFacts>, Text> {
    let clock = |time: SystemTime| {
        i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
    };
    let (begun, now) = (clock(begun.checked_sub(TICK).unwrap_or(begun)), clock(SystemTime::now()));
    let mut all = Vec::new();
    for line in said.lines().filter_map(|line| line.strip_prefix("adding file ")) {
        let path = Path::new(line.split_once('=').map_or(line, |(_, file)| file));
        let Ok(m) = fs::metadata(path) else { continue };
        let part = facts_of(path, &m);
        // A time to come is that of another clock. A link that somebody made to the file is no change of it; an update never has two.
        let is_linked = m.nlink() > 1 && part.mtime_ns < begun;
        if (begun..=now).contains(&ns(m.ctime(), m.ctime_nsec())) && !is_linked {
            return Err(format!("{} changed while it was packed", path.display()).into());
        }
        // What [`facts`] refuses to look at is never found current again.
        if path.is_absolute() {
            all.push(part);
        }
    }
    Ok(all)
}

/// Whether two files are the same, byte by byte.
fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let n = a.len().min(b.len());
        if a[..n] != b[..n] || (n == 0 && a.len() != b.len()) {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
        one.consume(n);
        other.consume(n);
    }
}

/// Removes the file of an archive that no key has.
fn remove_unused(index: &BTreeMap<NativeKey, Packed>, path: &Text) {
    if !index.values().any(|packed| packed.archive.path == *path) {
        let _ = fs::remove_file(path_of(path));
    }
}

/// Reads what `child` says to its end: that, and whether it ended well. `None`: its time was over, it was killed with all
/// that it had started.
fn watch(child: &mut Child, deadline: Instant) -> (Vec<u8>, Option<bool>) {
    let pid = i32::try_from(child.id()).map(Pid::from_raw);
    if let Some(pid) = rustix::process::Pid::from_raw(pid.map_or(0, Pid::as_raw)) {
        // Only a wish. It leads a group, and has perhaps started another process by now.
        let _ = rustix::process::setpriority_pgrp(Some(pid), NICENESS);
    }
    let mut said = Vec::new();
    let mut pipe = child.stdout.take();
    while let Some(stdout) = &mut pipe {
        let mut buffer = [0; 4096];
        if !readable(stdout, deadline) {
            break;
        }
        match stdout.read(&mut buffer) {
            Ok(0) => pipe = None,
            Ok(n) if said.len() < OUTPUT_MAX => said.extend_from_slice(buffer.get(..n).unwrap_or_default()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => pipe = None,
        }
    }
    // Its output has ended; so will it, in a moment.
    while pipe.is_none() && Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return (said, Some(status.success())),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return (said, Some(false)),
        }
    }
    if let Ok(pid) = pid {
        let _ = killpg(pid, Signal::SIGKILL);
    }
    let _ = child.wait();
    (said, None)
}

/// Waits until there is something to read, or the end. `false`: `deadline` came first.
fn readable(pipe: &impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// The C compiler of a request: peers below 41 send a word, below 32 nothing.
fn c_compiler(request: &GetNativeEnv, version: Version) -> PathBuf {
    let given = request.compiler.as_bytes();
    let path = match given {
        b"" => PathBuf::from("/usr/bin/gcc"),
        _ if !version.has_ordered_args() && !given.contains(&b'/') => {
            Path::new("/usr/bin").join(OsStr::from_bytes(given))
        }
        _ => PathBuf::from(OsStr::from_bytes(given)),
    };
    match path.file_name().map(compiler_names::c_partner) {
        Some(name) => path.with_file_name(name),
        None => path,
    }
}

fn facts(path: &Path) -> Result<FileFacts, Text> {
    let cannot = |e: String| Text::from(format!("cannot read {}: {e}", path.display()));
    if !path.is_absolute() {
        return Err(cannot("not an absolute path".to_owned()));
    }
    let m = fs::metadata(path).map_err(|e| cannot(e.to_string()))?;
    Ok(facts_of(path, &m))
}

fn facts_of(path: &Path, m: &Metadata) -> FileFacts {
    FileFacts {
        path: path.as_os_str().as_bytes().into(),
        size: m.len(),
        mtime_ns: ns(m.mtime(), m.mtime_nsec()),
        inode: m.ino(),
    }
}

/// A time of a file, in nanoseconds since 1970.
fn ns(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

fn path_of(text: &Text) -> &Path {
    Path::new(OsStr::from_bytes(text.as_bytes()))
}

fn is_there(archive: &Archive) -> bool {
    fs::symlink_metadata(path_of(&archive.path)).is_ok_and(|m| m.is_file() && m.len() == archive.size)
}

#[cfg(test)]
mod tests;
