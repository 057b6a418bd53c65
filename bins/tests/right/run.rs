//! One command in one directory: runs it with a bound, and looks at everything it leaves.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long one command may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What is looked at after a command: `status`, `stdout` and `stderr`, and each path of the directory with what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// How the command ended.
    Status(Option<i32>, Option<i32>),
    /// What it printed.
    Text(Vec<u8>),
    /// A regular file: mode, number of its names, bytes.
    File(u32, u64, Vec<u8>),
    /// A symbolic link and its target.
    Link(PathBuf),
    /// Anything else, by kind and mode.
    Other(u32),
}

/// Everything that a command left, by name.
pub type Left = BTreeMap<String, Thing>;

/// Empties the directory, or makes it.
pub fn make_fresh(directory: &Path) {
    if fs::remove_dir_all(directory).is_err() && directory.exists() {
        // A command may have made a file or a mount of it that root cannot remove at once.
        panic!("cannot empty {}", directory.display());
    }
    fs::create_dir_all(directory).expect("a directory");
}

/// Runs a script of bash in the directory and looks at what it leaves.
pub fn run(directory: &Path, environment: &[(&str, &str)], script: &str) -> Left {
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(directory).env("LC_ALL", "C").envs(environment.iter().copied());
    for name in ["ICECC_DEBUG", "ICECC_LOGFILE", "ICECC_PREFERRED_HOST"] {
        if !environment.iter().any(|(set, _)| *set == name) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("bash");
    let texts = read_both(&mut child, Instant::now() + LIMIT);
    let status = child.wait().expect("a child");
    let mut left = Left::from([("status".to_string(), Thing::Status(status.code(), status.signal()))]);
    for (name, text) in ["stdout", "stderr"].into_iter().zip(texts) {
        left.insert(name.to_string(), Thing::Text(with_same_temporaries(&text)));
    }
    look(directory, directory, &mut left);
    left
}

/// What it prints to both; past the limit its process group is killed. No thread: the caller may not be able to start
/// one.
fn read_both(child: &mut Child, end: Instant) -> [Vec<u8>; 2] {
    let mut out = child.stdout.take().expect("a pipe");
    let mut err = child.stderr.take().expect("a pipe");
    let mut texts = [Vec::new(), Vec::new()];
    let mut open = [true, true];
    let mut killed = false;
    while open != [false, false] {
        let wanted = |open: bool| if open { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut both = [PollFd::new(out.as_fd(), wanted(open[0])), PollFd::new(err.as_fd(), wanted(open[1]))];
        let _ = poll(&mut both, PollTimeout::from(200u16));
        let ready = [0, 1].map(|i| open[i] && both[i].any().unwrap_or(false));
        if Instant::now() > end && !killed {
            killed = true;
            // The group has the shell's number; an error means that it ended just now.
            let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
            texts[1].extend_from_slice(b"killed: it took too long\n");
        }
        let mut buffer = [0; 65536];
        for i in 0..2 {
            if !ready[i] {
                continue;
            }
            let read = if i == 0 { out.read(&mut buffer) } else { err.read(&mut buffer) };
            match read {
                Ok(0) | Err(_) => open[i] = false,
                Ok(length) => texts[i].extend_from_slice(&buffer[..length]),
            }
        }
    }
    texts
}

/// Names of temporary files are random: they count as the same.
fn with_same_temporaries(text: &[u8]) -> Vec<u8> {
    const PLACE: &[u8] = b"/tmp/cc";
    let mut same = Vec::new();
    let mut rest = text;
    while let Some(found) = rest.windows(PLACE.len()).position(|at| at == PLACE) {
        let (before, after) = rest.split_at(found + PLACE.len());
        same.extend_from_slice(before);
        let name = after.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        same.push(b'X');
        rest = &after[name..];
    }
    same.extend_from_slice(rest);
    same
}

fn look(top: &Path, directory: &Path, left: &mut Left) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(found) = path.symlink_metadata() else { continue };
        let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
        let thing = if found.is_symlink() {
            Thing::Link(fs::read_link(&path).unwrap_or_default())
        } else if found.is_file() {
            Thing::File(found.permissions().mode(), found.nlink(), fs::read(&path).unwrap_or_default())
        } else {
            Thing::Other(found.permissions().mode())
        };
        left.insert(format!("./{name}"), thing);
        if found.is_dir() {
            look(top, &path, left);
        }
    }
}
