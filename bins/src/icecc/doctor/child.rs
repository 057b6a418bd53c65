//! Programs that are run for what they say, and a folder for them.

use std::fs::{self, File, Permissions};
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(5);
/// As much of what it says is read.
const SAID_MAX: u64 = 256 << 10;

/// A folder that goes with its owner. Everybody may look into it: the daemon's account reads environments there.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// Below the folder for such; `None` if nothing can be made there.
    pub(super) fn new() -> Option<Self> {
        let path = nix::unistd::mkdtemp(&std::env::temp_dir().join("icecc-doctor-XXXXXX")).ok()?;
        let scratch = Self(path);
        fs::set_permissions(&scratch.0, Permissions::from_mode(0o755)).ok()?;
        Some(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a program said, on both streams, and how it ended; `None` if it had to be ended.
pub(super) struct Said {
    pub(super) text: String,
    pub(super) status: Option<ExitStatus>,
}

/// Runs a program for so long at most.
pub(super) fn run(command: &mut Command, limit: Duration) -> std::io::Result<Said> {
    let mut file = ice_sandbox::channel::memory()?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file.try_clone()?);
    let mut child = command.spawn()?;
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        thread::sleep(LOOK);
    };
    Ok(Said { text: read(&mut file)?, status })
}

fn read(file: &mut File) -> std::io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(SAID_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file's name as text.
pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}
