//! One supervised run of a program.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::supervise;

/// How a program ended.
pub struct Ended {
    /// What it and its children printed.
    pub text: String,
    /// Why it did not succeed.
    pub trouble: Option<String>,
    /// How long it took.
    pub time: Duration,
}

/// Runs a program in a directory, at most `bound` long.
pub fn run<S: AsRef<OsStr>>(program: &Path, arguments: &[S], directory: &Path, bound: Duration) -> Ended {
    let begun = Instant::now();
    let (text, trouble) = match supervised(program, arguments, directory, bound) {
        Ok((text, true)) => (text, None),
        Ok((text, false)) => {
            let said = text.lines().rev().find_map(|line| line.strip_prefix(supervise::MARK)).map(str::to_owned);
            (text, Some(said.unwrap_or_else(|| "its supervisor was ended".to_owned())))
        }
        Err(error) => (String::new(), Some(format!("cannot be run: {error}"))),
    };
    Ended { text, trouble, time: begun.elapsed() }
}

/// What was printed, and whether all is well. A file takes the text: what is left of a test cannot keep it open.
fn supervised<S: AsRef<OsStr>>(
    program: &Path,
    arguments: &[S],
    directory: &Path,
    bound: Duration,
) -> io::Result<(String, bool)> {
    let file = tempfile::tempfile()?;
    // Itself, also if a build has put another file in its place meanwhile.
    let status = Command::new("/proc/self/exe")
        .arg(supervise::WORD)
        .arg(bound.as_millis().to_string())
        .arg(program)
        .args(arguments)
        .current_dir(directory)
        .env("CARGO_MANIFEST_DIR", directory)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file.try_clone()?)
        // An interrupt from the terminal ends the runner; the supervisor sees that and ends its test.
        .process_group(0)
        .status()?;
    let mut text = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX)];
    let length = file.read_at(&mut text, 0)?;
    text.truncate(length);
    Ok((String::from_utf8_lossy(&text).into_owned(), status.success()))
}
