//! The command as it runs elsewhere: its environment, and what it may write.

use ice_core::cmdline::RemoteJob;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Variables that gcc, clang, the assembler or the loader read. No other travels: a build's secrets stay here.
const VARIABLES: [&str; 26] = [
    "PATH",
    "PWD",
    "HOME",
    "TMPDIR",
    "TMP",
    "TEMP",
    "LANG",
    "LANGUAGE",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "SOURCE_DATE_EPOCH",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "COLUMNS",
    "TERM",
    "TERM_URLS",
    "NO_COLOR",
    "TZ",
    "CLANG_NO_DEFAULT_CONFIG",
    "CCC_OVERRIDE_OPTIONS",
    "LOCPATH",
];
/// How others begin.
const BEGINNINGS: [&str; 4] = ["LC_", "GCC_", "LD_", "COLLECT_"];

/// The variables of this process that travel, `NAME=VALUE` each, sorted; `more` are names of others that do.
pub(super) fn environment(more: &[OsString]) -> Vec<Vec<u8>> {
    let travels = |name: &[u8]| {
        VARIABLES.iter().any(|known| known.as_bytes() == name)
            || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning.as_bytes()))
            || more.iter().any(|more| more.as_bytes() == name)
    };
    let chosen = env::vars_os().filter(|(name, _)| travels(name.as_bytes()));
    let mut all: Vec<Vec<u8>> =
        chosen.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect();
    all.sort();
    all
}

/// The files that a job may write, absolute.
pub(super) fn outputs(job: &RemoteJob, folder: &[u8]) -> Vec<Vec<u8>> {
    let dwo = job.split_dwarf.then(|| job.dwo());
    let names = [job.output.clone()].into_iter().chain(dwo).chain(job.dependency_files.iter().cloned());
    // The text of `..` is left as it is: it may lead through a link.
    let absolute = |name: Vec<u8>| if name.starts_with(b"/") { name } else { [folder, b"/", &name].concat() };
    names.map(absolute).collect()
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
