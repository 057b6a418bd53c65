//! The name of the environment that belongs to a compiler as this process sees it, found out without making an archive.
//!
//! A name tells the content, so one that equals the daemon's says that the daemon has packed this very compiler.

use super::{build_native, remembered};
use ice_core::message::GetNativeEnv;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The name of what `ask` asks the daemon for, if it can be told. Remembered until one of the files that belong to it changes.
pub(super) fn of(ask: &GetNativeEnv) -> Option<OsString> {
    let compiler = OsStr::from_bytes(ask.compiler.as_bytes());
    // Before protocol 32 a daemon chooses the compiler.
    let compiler = Path::new(compiler).is_absolute().then_some(Path::new(compiler))?;
    let extra: Vec<&OsStr> = ask.extra_files.iter().map(|file| OsStr::from_bytes(file.as_bytes())).collect();
    let question: Vec<&OsStr> = [OsStr::new("environment")].into_iter().chain(extra.iter().copied()).collect();
    let known =
        || remembered::answer(compiler, &question, || find_out(compiler, &extra)).and_then(|words| name(&words));
    known().or_else(|| {
        remembered::forget(compiler, &question);
        known()
    })
}

/// The name among remembered words, if the files behind it, each with its mark, are the same as then.
fn name(words: &[Vec<u8>]) -> Option<OsString> {
    let (name, files) = words.split_first()?;
    let is_same = |file: &[Vec<u8>]| match file {
        [path, mark] => remembered::mark(Path::new(OsStr::from_bytes(path))).as_ref() == Some(mark),
        _ => false,
    };
    files.chunks(2).all(is_same).then(|| OsStr::from_bytes(name).to_os_string())
}

/// Has the environment planned as the daemon has it made: its files first, its name in the last line.
fn find_out(compiler: &Path, extra: &[&OsStr]) -> Option<Vec<Vec<u8>>> {
    let mut tool = Command::new(build_native::tool(&std::env::current_exe().ok()?));
    tool.arg(compiler).arg("--name-only");
    for file in extra {
        tool.arg("--addfile").arg(file);
    }
    tool.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    let output = tool.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let mut lines: Vec<&[u8]> = output.stdout.split(|&b| b == b'\n').filter(|line| !line.is_empty()).collect();
    let name = lines.pop().filter(|_| output.status.success())?;
    let mut words = vec![name.to_vec()];
    for line in lines.iter().filter_map(|line| line.strip_prefix(b"adding file ")) {
        // `NAME=SOURCE` where the two differ.
        let path = line.splitn(2, |&b| b == b'=').last().unwrap_or(line);
        words.extend([path.to_vec(), remembered::mark(Path::new(OsStr::from_bytes(path)))?]);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_until_a_file_changes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cc1");
        std::fs::write(&file, "one").unwrap();
        let path = file.as_os_str().as_bytes().to_vec();
        let words = [b"name".to_vec(), path, remembered::mark(&file).unwrap()];
        assert_eq!(name(&words).as_deref(), Some(OsStr::new("name")));
        assert_eq!(name(&words[..2]), None);
        std::fs::write(&file, "other").unwrap();
        assert_eq!(name(&words), None);
        assert_eq!(name(&[]), None);
    }
}
