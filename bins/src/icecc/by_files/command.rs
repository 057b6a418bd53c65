//! The command as it runs elsewhere: its environment, and where its files are.

use ice_core::cmdline::RemoteJob;
use ice_core::files;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// The variables of this process that travel, `NAME=VALUE` each, sorted; `more` are names of others that do.
pub(super) fn environment(more: &[OsString]) -> Vec<Vec<u8>> {
    let more: Vec<&[u8]> = more.iter().map(|name| name.as_bytes()).collect();
    let chosen = env::vars_os().filter(|(name, _)| files::travels(name.as_bytes(), &more));
    let mut all: Vec<Vec<u8>> =
        chosen.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect();
    all.sort();
    all
}

/// The directories of the files that a command names, as it names them.
pub(super) fn named_directories(job: &RemoteJob) -> Vec<Vec<u8>> {
    let files = job.extra_files.iter().chain([&job.input, &job.output]).chain(&job.dependency_files);
    let directory = |path: &[u8]| match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => path.get(..=slash).unwrap_or_default().to_vec(),
        None => b".".to_vec(),
    };
    let mut all: Vec<Vec<u8>> = files.map(|path| directory(path)).collect();
    // `-fplugin=/dir/file`; `-D` names no file, and where headers are searched the compiler tells.
    let names_file =
        |word: &&[u8]| [&b"-f"[..], b"-B", b"-specs=", b"--sysroot=", b"/"].iter().any(|start| word.starts_with(start));
    all.extend(job.words.iter().map(|word| word.text.as_slice()).filter(names_file).filter_map(|word| {
        let start = word.iter().position(|b| *b == b'=').map_or(0, |equals| equals + 1);
        let path = word.get(start..)?;
        path.contains(&b'/').then(|| directory(path.strip_prefix(b"-B").unwrap_or(path)))
    }));
    all
}
