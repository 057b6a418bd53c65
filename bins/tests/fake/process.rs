//! A program that runs, whichever it is, and one that ends by itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{holds_within, scratch, until};

/// A program that runs; killed when dropped, with the end of its log shown if the test fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it. Its complaints are the log.
    #[track_caller]
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(&log).unwrap();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let child = started.unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        Self { name, child, log }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits for a line with this text.
    #[track_caller]
    pub fn until_log(&self, text: &str) {
        until(&format!("{text:?} in the log"), || self.log().contains(text));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// How it ended, if it does so in time.
    pub fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        holds_within(limit, || {
            status = self.ended();
            status.is_some()
        });
        status
    }

    /// Processes it has started and not waited for.
    pub fn children(&self) -> Vec<u32> {
        children(self.pid())
    }

    /// Memory it holds, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.proc_number("status", "VmRSS:")
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    /// CPU time used, in milliseconds.
    pub fn cpu_ms(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>() * 10
    }

    /// A number in one of its files below `/proc`.
    pub fn proc_number(&self, file: &str, key: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
        line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("--- end of the log of {}, kept whole as {}:", self.name, self.log.display());
            lines.iter().rev().take(60).rev().for_each(|line| println!("{line}"));
            return;
        }
        let _ = fs::remove_file(&self.log);
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Runs a program that ends by itself; killed, and without a code, if it does not.
#[track_caller]
pub fn run(mut command: Command, limit: Duration) -> Ended {
    let path = |name: &str| scratch(&format!("run-{name}-{}", RUNS.fetch_add(1, Ordering::Relaxed)));
    let (out, err) = (path("out"), path("err"));
    command.stdin(Stdio::null()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let mut code = None;
    let ended = holds_within(limit, || {
        code = child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
    }
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let ended = Ended { code: code.flatten(), stdout: read(&out), stderr: read(&err) };
    let _ = fs::remove_file(out);
    let _ = fs::remove_file(err);
    ended
}

static RUNS: AtomicU32 = AtomicU32::new(0);

/// Processes that this one has started and not waited for.
pub fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    texts.flat_map(|text| text.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Processes with this argument.
pub fn processes_with(argument: &str) -> Vec<i32> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).any(|a| a == argument.as_bytes())
        })
        .collect()
}
