//! The programs that a compiler starts by PATH: a compile server has those that the daemon's PATH led to.

use super::remembered;
use ice_core::cmdline::{Family, RemoteJob, Writing};
use ice_toolchain::find;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// PATH of the tool that makes environments, whoever wants one (`Builder` of the daemon).
const PATH_OF_ENVIRONMENTS: &str = "/usr/bin:/bin";
/// PATH of a program that is started without one.
const PATH_OF_NOBODY: &str = "/bin:/usr/bin";

/// A program that a compile here would run, while a compile server runs another one of that name.
pub(super) fn other_than_packed(program: &Path, job: &RemoteJob) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH_OF_NOBODY.into());
    let assembler = (job.writing == Writing::Anew).then_some("as");
    let objcopy = (job.family == Family::Gcc && job.split_dwarf).then_some("objcopy");
    assembler.into_iter().chain(objcopy).find_map(|name| other(program, job.family, OsStr::new(name), &path))
}

fn other(program: &Path, family: Family, name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    let answer = remembered::answer(program, &[OsStr::new("program"), name], || ask(program, name));
    let answer =
        answer.and_then(|words| words.into_iter().next()).map_or_else(|| name.to_os_string(), OsString::from_vec);
    let answer = Path::new(&answer);
    // gcc's own, and what clang has beside itself, come before PATH.
    if answer.is_absolute() && (family == Family::Gcc || !is_in(answer, PATH_OF_ENVIRONMENTS)) {
        return None;
    }
    let here = find::compiler(answer.file_name().unwrap_or(name), path, Path::new("/proc/self/exe")).ok()?;
    let packed = find::program(answer.file_name().unwrap_or(name), OsStr::new(PATH_OF_ENVIRONMENTS));
    let real = |path: &Path| fs::canonicalize(path).ok();
    (real(&here) != packed.as_deref().and_then(real)).then_some(here)
}

fn is_in(file: &Path, path: &str) -> bool {
    path.split(':').any(|directory| file.parent() == Some(Path::new(directory)))
}

/// Where the compiler finds a program; its bare name means PATH.
fn ask(program: &Path, name: &OsStr) -> Option<Vec<Vec<u8>>> {
    let mut question = OsString::from("-print-prog-name=");
    question.push(name);
    let mut run = Command::new(program);
    run.arg(question).env("PATH", PATH_OF_ENVIRONMENTS).stdin(Stdio::null()).stderr(Stdio::null());
    let out = run.output().ok()?;
    let answer = out.stdout.split(|&b| b == b'\n').next().unwrap_or_default().to_vec();
    (out.status.success() && !answer.is_empty()).then(|| vec![answer])
}
