//! Logging: levels, 1.4's line format, reopening after rotation.
//!
//! `simplelog` writes the bare text of a record; `Log` below it adds 1.4's prefix to each line and writes each line
//! in one system call, so that processes that share a file never mix their lines. The prefix is not made by
//! `simplelog`, whose offset from UTC is fixed at the start, while a daemon lives through changes of summer time.

mod zone;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ice_core::level::Level;
use log::LevelFilter;
use nix::unistd::Uid;
use parking_lot::Mutex;
use simplelog::{ConfigBuilder, WriteLogger};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::background::{self, Account};
use zone::Zone;

const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Longest line, in bytes; the rest of a longer one becomes a line of its own.
const LINE_MAX: usize = 64 << 10;

/// Longest first line of a test's mark file, in bytes.
const MARK_MAX: usize = 4096;

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard error.
    Stderr,
    /// A file, opened to append. Make the path absolute before the working directory changes.
    File(PathBuf),
    /// An open descriptor by number (ccache's `UNCACHED_ERR_FD`).
    Descriptor(u32),
}

/// The prefix of each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// `[PID] YYYY-MM-DD HH:MM:SS: `: daemon and scheduler.
    Service,
    /// `ICECC[PID] YYYY-MM-DD HH:MM:SS: `: client.
    Client,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file or descriptor cannot be written.
    #[error("cannot open log {path}")]
    Open {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Logging was set up before in this process.
    #[error("the log is set up already")]
    Twice,
}

/// The level for a number of `-v`: errors, warnings, info, debug as in 1.4; a fourth one (ours) adds every message on
/// the wire.
pub fn level(verbose: usize) -> LevelFilter {
    match verbose {
        0 => LevelFilter::Error,
        1 => LevelFilter::Warn,
        2 => LevelFilter::Info,
        3 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

/// Writes a note of a state machine to the log.
pub fn note(level: Level, text: &dyn fmt::Display) {
    let level = match level {
        Level::Error => log::Level::Error,
        Level::Warning => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
    };
    log::log!(level, "{text}");
}

/// Sets up the log of this process, once. If it fails nothing is logged; a program that shall run without its log, as
/// in 1.4, reports the error and calls this again with [`Target::Stderr`].
pub fn start(target: Target, level: LevelFilter, prefix: Prefix) -> Result<Log, LogError> {
    let log = Log::open(target, prefix)?;
    let mut config = ConfigBuilder::new();
    config.set_time_level(LevelFilter::Off);
    config.set_max_level(LevelFilter::Off);
    config.set_thread_level(LevelFilter::Off);
    config.set_target_level(LevelFilter::Off);
    config.set_location_level(LevelFilter::Off);
    WriteLogger::init(level, config.build(), log.clone()).map_err(|_| LogError::Twice)?;
    Ok(log)
}

/// Like [`start`], for a service that may still be root: opens the file with the rights of `account`. Otherwise a link
/// in a directory of the account would make root append to any file and give it away. In a directory that only root can
/// write, root creates the file and gives it to the account, which reopens it at SIGHUP. (1.4 opens it after giving up
/// root, so that as shipped no log ever appears.)
pub fn start_service(account: &Account, path: &Path, level: LevelFilter) -> Result<Log, LogError> {
    let open = || start(Target::File(path.to_path_buf()), level, Prefix::Service);
    match background::as_account(account, open) {
        Err(LogError::Open { .. }) if Uid::effective().is_root() && path.parent().is_some_and(is_roots) => open()
            .inspect(|_| {
                let _ = std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid));
            }),
        opened => opened,
    }
}

/// Whether only root can write to a directory.
fn is_roots(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|m| m.uid() == 0 && m.permissions().mode() & 0o022 == 0)
}

/// The open log, shared by all threads.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Mutex<Sink>>,
}

#[derive(Debug)]
struct Sink {
    target: Target,
    prefix: Prefix,
    /// `None`: standard error.
    file: Option<File>,
    /// The line being assembled.
    line: Vec<u8>,
    zone: Zone,
}

impl Log {
    fn open(target: Target, prefix: Prefix) -> Result<Log, LogError> {
        let file = open_target(&target)?;
        let sink = Sink { target, prefix, file, line: Vec::new(), zone: Zone::local() };
        Ok(Log { shared: Arc::new(Mutex::new(sink)) })
    }

    /// Opens the file again, after rotation. If that fails the old one stays in use.
    pub fn reopen(&self) -> Result<(), LogError> {
        let mut sink = self.shared.lock();
        sink.file = open_target(&sink.target)?;
        Ok(())
    }

    /// Writes a line at any level: what everybody wants to know of a service.
    pub fn tell(&self, text: &str) {
        self.shared.lock().with_prefix(text);
    }

    /// Handles SIGHUP in daemon and scheduler: [`Log::reopen`], then the marks that tests request by 1.4's variables.
    /// Marks are written at any level.
    pub fn hang_up(&self) {
        if let Err(error) = self.reopen() {
            log::error!("{}", crate::exit::chain(&error));
        }
        if let Some(lines) = marked("ICECC_TEST_FLUSH_LOG_MARK") {
            self.shared.lock().with_prefix(&format!("flush log mark: {}", lines[0]));
        }
        if let Some(lines) = marked("ICECC_TEST_LOG_HEADER") {
            let mut sink = self.shared.lock();
            for line in lines.iter().take(3) {
                sink.put(format!("{line}\n").as_bytes());
            }
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sink = self.shared.lock();
        for byte in bytes {
            if *byte != b'\n' {
                sink.line.push(*byte);
            }
            if *byte == b'\n' || sink.line.len() >= LINE_MAX {
                sink.end_line();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.with_prefix(&String::from_utf8_lossy(&line));
        self.line = line;
        self.line.clear();
        self.line.shrink_to(1024);
    }

    fn with_prefix(&mut self, text: &str) {
        let program = match self.prefix {
            Prefix::Service => "",
            Prefix::Client => "ICECC",
        };
        let line = format!("{program}[{}] {}: {text}\n", process::id(), self.clock());
        self.put(line.as_bytes());
    }

    /// Writes the line in one call. An error is ignored: a log that cannot be written is no reason to fail.
    fn put(&mut self, line: &[u8]) {
        let _ = match &mut self.file {
            Some(file) => file.write_all(line),
            None => io::stderr().lock().write_all(line),
        };
    }

    fn clock(&self) -> String {
        let utc = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let utc = i64::try_from(utc).unwrap_or(0);
        let local = utc + i64::from(self.zone.offset_s(utc));
        OffsetDateTime::from_unix_timestamp(local).ok().and_then(|t| t.format(CLOCK).ok()).unwrap_or_default()
    }
}

fn open_target(target: &Target) -> Result<Option<File>, LogError> {
    let path = match target {
        Target::Stderr => return Ok(None),
        Target::File(path) => path.clone(),
        Target::Descriptor(number) => PathBuf::from(format!("/proc/self/fd/{number}")),
    };
    match OpenOptions::new().append(true).create(true).open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(source) => Err(LogError::Open { path, source }),
    }
}

/// The lines of the file named by a test's variable, if its first line is not empty.
fn marked(variable: &str) -> Option<Vec<String>> {
    let path = std::env::var_os(variable)?;
    let lines = first_lines(Path::new(&path)).ok()?;
    lines.first().is_some_and(|line| !line.is_empty()).then_some(lines)
}

fn first_lines(path: &Path) -> io::Result<Vec<String>> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, MARK_MAX as u64), &mut text)?;
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_to(path: &Path, prefix: Prefix) -> Log {
        Log::open(Target::File(path.to_path_buf()), prefix).unwrap()
    }

    #[test]
    fn each_line_gets_the_prefix_of_1_4() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = log_to(&path, Prefix::Service);
        writeln!(log, "one {}\ntwo", 1).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let (head, tail) = lines[0].split_at(lines[0].len() - "2026-01-01 00:00:00: one 1".len());
        assert_eq!(head, format!("[{}] ", process::id()));
        assert!(
            tail.as_bytes()[..19].iter().zip(b"0000-00-00 00:00:00").all(|(a, b)| a == b || a.is_ascii_digit()),
            "{tail}"
        );
        assert!(tail.ends_with(": one 1") && lines[1].ends_with(": two"), "{text}");
    }

    #[test]
    fn the_client_names_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        writeln!(log_to(&path, Prefix::Client), "x").unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(&format!("ICECC[{}] ", process::id())));
    }

    #[test]
    fn a_rotated_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = log_to(&path, Prefix::Service);
        std::fs::rename(&path, folder.path().join("log.1")).unwrap();
        log.reopen().unwrap();
        writeln!(log, "new").unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with(": new\n"));
    }

    #[test]
    fn an_unusable_file_is_an_error_with_its_path() {
        let error = Log::open(Target::File("/nonexistent/log".into()), Prefix::Service).unwrap_err();
        assert_eq!(error.to_string(), "cannot open log /nonexistent/log");
    }
}
