//! `iceccd` as a process that nobody prepared anything for.

use std::error::Error;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn Error>>;

/// As root the daemon would use the folders of the host's own one.
const USER: u32 = 41_000;
const LONG: Duration = Duration::from_secs(60);

/// Killed at the end.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a process's descriptors lead.
fn descriptors(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|e| fs::read_link(e.path()).ok()).collect()
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

#[test]
fn nothing_inherited_stays_open_in_daemon_and_launcher() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (home, marker) = (folder.path().join("home"), folder.path().join("marker"));
    fs::create_dir(&home)?;
    fs::write(&marker, "")?;
    let root = fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m))? == 0;
    if root {
        let own = |path: &Path| chown(path, Some(USER), Some(USER));
        own(folder.path())?;
        own(&home)?;
    }
    // The program itself may lie where that user cannot go.
    let program = folder.path().join("iceccd");
    fs::copy(env!("CARGO_BIN_EXE_iceccd"), &program)?;
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "exec 7<\"$1\" 9<\"$1\"; exec \"$0\" --no-remote -s 127.0.0.1:1 -b \"$HOME/envs\""])
        .args([&program, &marker])
        .env("HOME", &home)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    if root {
        command.uid(USER).gid(USER);
    }
    let daemon = Daemon(command.spawn()?);
    let (pid, start) = (daemon.0.id(), Instant::now());
    while !home.join(".iceccd.socket").exists() {
        if start.elapsed() > LONG {
            return Err("the daemon did not start".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let launchers = children(pid);
    assert!(!launchers.is_empty(), "no launcher");
    for process in launchers.into_iter().chain([pid]) {
        let open = descriptors(process);
        // As an ordinary user one may not look into a launcher that has privilege.
        assert!(!open.contains(&marker), "{process}: {open:?}");
        assert!(process != pid || !open.is_empty());
    }
    Ok(())
}
