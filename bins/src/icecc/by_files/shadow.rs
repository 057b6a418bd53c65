//! A job that another host has compiled by files is compiled here too, and all that both made is compared (`ICECC_FILES=shadow`).
//! The user gets what is made here; a difference is told whatever is logged.

use super::super::account::Account;
use super::super::local;
use super::super::task::Task;
use super::super::variables::Variables;
use super::disk;
use ice_core::message::FilesResult;
use ice_core::text::Text;
use ice_net::conn::Conn;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a server made of a job.
pub(in super::super) struct Theirs {
    pub(in super::super) host: Text,
    pub(in super::super) result: FilesResult,
    /// The outputs: where they belong, and their content, which has no name any more.
    pub(in super::super) files: Vec<(PathBuf, File)>,
    /// What the command may write, whether it was written or not.
    pub(in super::super) declared: Vec<PathBuf>,
}

/// Compiles the job here in a slot of `daemon`, and compares. Returns the exit status of the compile here.
pub(in super::super) fn run(
    task: &Task,
    mut theirs: Theirs,
    variables: &Variables,
    (daemon, account): (Option<Conn>, &mut Account),
) -> i32 {
    log::info!("compiling here too, to compare with what {} made by files", theirs.host);
    let mut slot = daemon.and_then(|daemon| local::wait_for_slot(task, daemon, account));
    let spoken = temporary().and_then(|out| Ok([out, temporary()?]));
    let Ok([mut out, mut err]) = spoken else {
        note(variables, "not-tried", "no temporary file for messages");
        return local::run_child(task).status;
    };
    let ran = local::run_child_into(task, &out, &err).unwrap_or_else(|_| local::run_child(task));
    if let Some(slot) = &mut slot {
        account.tell(ran.status, slot);
    }
    drop(slot);
    let differences = compare(&mut theirs, ran.status, &mut out, &mut err);
    for difference in &differences {
        eprintln!("icecc: by files, {} made another result than the compiler here: {difference}", theirs.host);
    }
    let what = differences.first().map_or_else(|| shown(&theirs.declared), Clone::clone);
    note(variables, if differences.is_empty() { "equal" } else { "different" }, &format!("{} {what}", theirs.host));
    pass_on(&mut out, io::stdout());
    pass_on(&mut err, io::stderr());
    ran.end_alike();
    ran.status
}

fn shown(declared: &[PathBuf]) -> String {
    declared.first().map(|path| path.display().to_string()).unwrap_or_default()
}

/// All that differs, each as a person is told.
fn compare(theirs: &mut Theirs, status: i32, out: &mut File, err: &mut File) -> Vec<String> {
    let mut all = Vec::new();
    if theirs.result.status != status {
        all.push(format!("status {} there, {status} here", theirs.result.status));
    }
    for (name, there, here) in
        [("standard output", &theirs.result.stdout, out), ("standard error", &theirs.result.stderr, err)]
    {
        all.extend(difference(name, Some(digest_of(there.as_bytes())), Some(digest_of_file(here))));
    }
    let mut paths = theirs.declared.clone();
    paths.extend(theirs.files.iter().map(|(path, _)| path.clone()).filter(|path| !theirs.declared.contains(path)));
    for path in paths {
        let there = theirs.files.iter_mut().find(|(named, _)| *named == path).map(|(_, file)| digest_of_file(file));
        let here = File::open(&path).ok().map(|mut file| digest_of_file(&mut file));
        all.extend(difference(&path.display().to_string(), there, here));
    }
    all
}

fn difference(name: &str, there: Option<String>, here: Option<String>) -> Option<String> {
    let show = |digest: Option<String>| digest.map_or("nothing".to_owned(), |digest| format!("BLAKE3 {digest}"));
    (there != here).then(|| format!("{name}: {} there, {} here", show(there), show(here)))
}

fn digest_of(bytes: &[u8]) -> String {
    disk::digest(bytes).map_or_else(|err| err.to_string(), |digest| digest.to_string())
}

fn digest_of_file(file: &mut File) -> String {
    let digest = file.rewind().and_then(|()| disk::digest(file));
    digest.map_or_else(|err| err.to_string(), |digest| digest.to_string())
}

fn pass_on(from: &mut File, mut to: impl Write) {
    let copied = from.rewind().and_then(|()| io::copy(from, &mut to)).and_then(|_| to.flush());
    // Who closed the pipe does not want it.
    drop(copied);
}

/// A file without name.
fn temporary() -> io::Result<File> {
    let mut number = 0_u32;
    loop {
        let path = std::env::temp_dir().join(format!("icecc-shadow-{}-{number}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => return fs::remove_file(path).map(|()| file),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists && number < 100 => number += 1,
            Err(err) => return Err(err),
        }
    }
}

/// Adds a line to the user's list of what was compared (`ICECC_FILES_SHADOW_LOG`).
pub(in super::super) fn note(variables: &Variables, word: &str, what: &str) {
    let Some(path) = variables.files.shadow_log() else { return };
    let line = format!("{word} {}\n", what.replace('\n', " "));
    let written = OpenOptions::new().append(true).create(true).open(path);
    if let Err(err) = written.and_then(|mut file| file.write_all(line.as_bytes())) {
        log::warn!("cannot write {}: {err}", Path::new(OsStr::from_bytes(path.as_os_str().as_bytes())).display());
    }
}
