//! Where log lines go: `ICECC_LOGFILE`, else ccache's descriptor, else standard error.

use crate::logging::{self, Prefix, Target};
use log::LevelFilter;
use rustix::fs::OFlags;
use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

/// Sets the log up. Nothing that fails here keeps a compile from running; the user's file that cannot be written is what is
/// returned, as text.
pub(super) fn start() -> Option<String> {
    let level = env::var_os("ICECC_DEBUG").map_or(LevelFilter::Error, |value| level(&value));
    let file = env::var_os("ICECC_LOGFILE").filter(|file| !file.is_empty());
    if let Some(file) = file {
        let opened = logging::start(Target::File(PathBuf::from(file)), level, Prefix::Client);
        return opened.err().map(|err| {
            // Errors are told as if no file was named; the rest is lost, as in 1.4.
            let _ = logging::start(Target::Stderr, LevelFilter::Error, Prefix::Client);
            format!("ICECC_LOGFILE: {}", crate::exit::chain(&err))
        });
    }
    let target = match env::var_os("UNCACHED_ERR_FD") {
        None => Target::Stderr,
        Some(number) => match number.to_str().and_then(|n| n.parse::<u32>().ok()).filter(|&n| writable(n)) {
            Some(number) => Target::Descriptor(number),
            None => {
                eprintln!("ICECC: UNCACHED_ERR_FD provides an invalid file descriptor, using stderr");
                Target::Stderr
            }
        },
    };
    if logging::start(target, level, Prefix::Client).is_err() {
        let _ = logging::start(Target::Stderr, level, Prefix::Client);
    }
    None
}

/// `error` means errors, as the manual has it; 1.4 takes it, and all it does not know, for `debug`.
fn level(value: &OsStr) -> LevelFilter {
    match value.to_string_lossy().to_ascii_lowercase().as_str() {
        "error" | "errors" => LevelFilter::Error,
        "warning" | "warnings" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "trace" => LevelFilter::Trace,
        _ => LevelFilter::Debug,
    }
}

/// Whether ccache's descriptor is open for writing; asked through `/proc`, as a bare number is no descriptor of ours.
fn writable(number: u32) -> bool {
    let Ok(info) = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else { return false };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & (OFlags::WRONLY | OFlags::RDWR).bits() != 0)
}

/// A word list as a person would type it, for `invoking:` lines.
pub(super) fn words<T: AsRef<OsStr>>(program: &OsStr, words: &[T]) -> String {
    let mut line = program.to_string_lossy().into_owned();
    for word in words {
        line.push(' ');
        line.push_str(&word.as_ref().to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_name() {
        assert_eq!(level(OsStr::new("WARNINGS")), LevelFilter::Warn);
        assert_eq!(level(OsStr::new("error")), LevelFilter::Error);
        assert_eq!(level(OsStr::new("")), LevelFilter::Debug);
    }

    #[test]
    fn descriptors_are_checked() {
        assert!(!writable(987));
    }
}
