//! A job that another host has compiled is compiled here too, and the outputs are compared (`ICECC_VERIFY`, `ICECC_REPEAT_RATE`). The
//! user gets what is made here; a difference that no two honest hosts make is told whatever is logged.

use super::account::Account;
use super::local;
use super::task::Task;
use ice_core::cmdline::RemoteJob;
use ice_core::message::arg_flags;
use ice_core::text::Text;
use ice_net::conn::Conn;
use ice_toolchain::{digest, object};
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

/// Larger outputs are not looked into for what may differ.
const LOOKED_INTO_MAX: u64 = 256 << 20;

/// What a server made of a job.
pub(super) struct Theirs {
    pub(super) host: Text,
    pub(super) status: i32,
    /// The outputs: where they belong, and their content, which has no name any more.
    pub(super) files: Vec<(PathBuf, File)>,
}

/// Compiles the job here in a slot of `daemon`, and compares. Returns the exit status of the compile here.
pub(super) fn run(
    task: &Task,
    job: &RemoteJob,
    mut theirs: Theirs,
    (daemon, account): (Option<Conn>, &mut Account),
) -> i32 {
    log::info!("compiling here too, to compare with what {} made", theirs.host);
    let mut slot = daemon.and_then(|daemon| local::wait_for_slot(task, daemon, account));
    let mut ran = local::run_child(task);
    if (ran.status == 0) != (theirs.status == 0) {
        let output = String::from_utf8_lossy(&job.output);
        let (host, there, here) = (&theirs.host, theirs.status, ran.status);
        eprintln!("icecc: {output}: the compile ended with status {there} on {host} and with {here} here");
    } else {
        for (path, file) in &mut theirs.files {
            match compare(task, job, &theirs.host, path, file) {
                Ok(true) => {}
                // What the second compile here has made of the outputs is not what the first one left.
                Ok(false) => ran = local::run_child(task),
                Err(err) => log::warn!("cannot compare {}: {err}", path.display()),
            }
        }
    }
    if let Some(slot) = &mut slot {
        account.tell(ran.status, slot);
    }
    drop(slot);
    ran.end_alike();
    ran.status
}

/// Compares one output; `false` if a compile failed that did not before.
fn compare(task: &Task, job: &RemoteJob, host: &Text, path: &Path, theirs: &mut File) -> io::Result<bool> {
    let here = || digest::of_content(File::open(path)?);
    let (ours, other) = (here()?, digest::of_content(&mut *theirs)?);
    if ours == other {
        log::info!("{} is the same as here", path.display());
    } else if let Some(why) = excuse(job, path, theirs)? {
        log::info!("{} is not the same as here: {why}", path.display());
    } else if !local::run_silent(task) {
        return Ok(false);
    } else if here()? == ours {
        let path = path.display();
        eprintln!("icecc: {host} made another {path} than the compiler here: BLAKE3 {other} there, {ours} here");
    } else {
        log::info!("{} is not the same as here: it is another one with each compile", path.display());
    }
    Ok(true)
}

/// Why two honest hosts may differ: gcc names options in debug information that only a remote one gets, and clang sums of files that
/// a remote one does not see.
fn excuse(job: &RemoteJob, path: &Path, theirs: &mut File) -> io::Result<Option<&'static str>> {
    if fs::metadata(path)?.len().max(theirs.metadata()?.len()) > LOOKED_INTO_MAX {
        return Ok(None);
    }
    let mut other = Vec::new();
    theirs.rewind()?;
    theirs.read_to_end(&mut other)?;
    let flags = job.arg_flags();
    // Macros in debug information make other sections, and a text cannot be taken apart.
    let is_text = flags & arg_flags::DEBUG != 0 && !other.starts_with(b"\x7fELF");
    let is_incomparable = flags & arg_flags::DEBUG3 != 0 || is_text;
    Ok(if object::differ_in_debug_alone(&fs::read(path)?, &other) {
        Some("it is in debug information alone")
    } else {
        is_incomparable.then_some("debug information of this kind cannot be compared")
    })
}
