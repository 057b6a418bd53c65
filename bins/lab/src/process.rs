//! Running programs with a time limit; finding and signalling the processes of a namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;

use super::error::Error;

/// Exit status and output of a program.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs a program for at most `limit`; then its whole process group is killed.
pub fn run(command: &mut Command, limit: Duration) -> Result<Output, Error> {
    let program = line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| Error::Spawn { program: program.clone(), source })?;
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let Some(status) = wait(&mut child, limit) else {
        // The group has the program's number; an error means that it ended just now.
        let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
        let _ = child.wait();
        return Err(Error::Timeout { what: program, limit });
    };
    Ok(Output { status, stdout: finish(stdout), stderr: finish(stderr) })
}

/// As [`run`], for programs that must succeed.
pub fn run_ok(command: &mut Command, limit: Duration) -> Result<Output, Error> {
    let output = run(command, limit)?;
    if output.status.success() {
        return Ok(output);
    }
    let (program, status) = (line(command), output.status.to_string());
    Err(Error::Failed { program, status, stderr: output.error_text().trim().to_string() })
}

/// Polls a condition every 20 ms: namespaces and 1.4's programs offer nothing to wait on.
pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Result<(), Error> {
    let end = Instant::now() + limit;
    while !holds() {
        if Instant::now() >= end {
            return Err(Error::Timeout { what: what.to_string(), limit });
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process, identified by its id and start time, so that a later one with the same id is not confused with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Process {
    /// Its number, seen from where the lab was made.
    pub pid: u32,
    /// Start time, in the kernel's ticks.
    pub started: u64,
}

impl Process {
    /// The process that has this id now.
    pub fn by_pid(pid: u32) -> Option<Process> {
        Some(Process { pid, started: stat(pid)?.started })
    }

    /// Whether it still runs. A zombie does not, unless other threads of it have not ended yet: these keep its ports.
    pub fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && (stat.state != 'Z' || stat.threads > 1))
    }

    /// Whether it is stopped.
    pub fn stopped(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state == 'T')
    }

    /// Sends a signal if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.alive() {
            let _ = kill(Pid::from_raw(self.pid as i32), signal);
        }
    }
}

/// All processes in the pid namespace of `first` and in those below it, `first` last.
pub fn in_namespace_of(first: u32) -> Vec<Process> {
    let Some(own) = pid_namespace(first) else {
        return Vec::new();
    };
    let all: BTreeMap<u32, Stat> = pids().filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let mut inside: BTreeSet<u32> =
        all.keys().copied().filter(|pid| pid_namespace(*pid).as_ref() == Some(&own)).collect();
    // Jobs have pid namespaces of their own below it: they are descendants.
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(pid, stat)| inside.contains(&stat.parent) && !inside.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            break;
        }
        inside.extend(more);
    }
    inside.remove(&first);
    let mut list: Vec<u32> = inside.into_iter().collect();
    list.push(first);
    list.into_iter().filter_map(|pid| Some(Process { pid, started: all.get(&pid)?.started })).collect()
}

/// The parents, outside the namespace of `first`, of processes inside: `nsenter`, which waits for the program that it
/// started, and stops itself when that is stopped.
pub fn entered_from(first: u32) -> Vec<Process> {
    let inside: BTreeSet<u32> = in_namespace_of(first).iter().map(|p| p.pid).collect();
    let parents: BTreeSet<u32> =
        inside.iter().filter(|pid| **pid != first).filter_map(|pid| Some(stat(*pid)?.parent)).collect();
    parents.difference(&inside).filter(|pid| **pid > 1).filter_map(|pid| Process::by_pid(*pid)).collect()
}

/// The base name by which a process was called.
pub fn called_as(pid: u32) -> Option<String> {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = text.split(|b| *b == 0).next()?;
    let base = first.rsplit(|b| *b == b'/').next()?;
    Some(String::from_utf8_lossy(base).into_owned())
}

struct Stat {
    state: char,
    parent: u32,
    started: u64,
    threads: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may contain anything: the fields follow the last bracket.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn pid_namespace(pid: u32) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

type Drain = (Arc<Mutex<Vec<u8>>>, thread::JoinHandle<()>);

fn drain(mut pipe: impl Read + Send + 'static) -> Drain {
    let text = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&text);
    let handle = thread::spawn(move || {
        let mut piece = [0; 8192];
        while let Ok(n @ 1..) = pipe.read(&mut piece) {
            into.lock().extend_from_slice(&piece[..n]);
        }
    });
    (text, handle)
}

/// The output read so far; a remaining process that holds the pipe open does not delay us.
fn finish(drain: Option<Drain>) -> Vec<u8> {
    let Some((text, handle)) = drain else {
        return Vec::new();
    };
    let _ = until("end of output", Duration::from_secs(5), || handle.is_finished());
    std::mem::take(&mut *text.lock())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_come_back() {
        let output =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), Duration::from_secs(20)).unwrap();
        assert_eq!(
            (output.status.code(), output.text(), output.error_text()),
            (Some(3), "out\n".into(), "err\n".into())
        );
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let number = folder.path().join("number");
        // Renamed when complete: the time limit may expire at any moment.
        let script = "sleep 1000 & echo $! >new; mv new number; wait";
        let mut hanging = Command::new("sh");
        let error = run(hanging.args(["-c", script]).current_dir(folder.path()), Duration::from_secs(3)).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        let child = std::fs::read_to_string(number).unwrap().trim().parse().unwrap();
        until("the end of the child", Duration::from_secs(20), || {
            Process::by_pid(child).is_none_or(|process| !process.alive())
        })
        .unwrap();
    }

    #[test]
    fn a_process_is_more_than_its_number() {
        let own = Process::by_pid(std::process::id()).unwrap();
        assert!(own.alive());
        assert!(!Process { started: own.started + 1, ..own }.alive());
        assert!(in_namespace_of(own.pid).contains(&own));
    }
}
