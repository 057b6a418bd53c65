//! Questions to the compiler that cost a run each: asked once per compiler, and remembered (Improve 18).

use super::remembered;
use ice_core::cmdline::{Family, Reason, RemoteJob, response};
use ice_toolchain::driver::{self, Driver};
use ice_toolchain::info::CompilerInfo;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// Asks whatever `job` still needs to know.
pub(super) fn resolve(program: &Path, job: &mut RemoteJob) -> Result<(), Reason> {
    if job.target_wanted {
        let target = remembered::answer(program, &[OsStr::new("-dumpmachine")], || target(program));
        job.resolve_target(target.as_deref().and_then(|words| words.first()).map(Vec::as_slice))?;
    }
    let native: Vec<OsString> = job.native_words().into_iter().map(|w| OsString::from_vec(w.to_vec())).collect();
    if !native.is_empty() {
        let key: Vec<&OsStr> = native.iter().map(OsString::as_os_str).collect();
        let meaning = remembered::answer(program, &key, || native_meaning(program, job.family, &native));
        job.resolve_native(meaning.as_deref())?;
    }
    Ok(())
}

/// `words` with what a script that stands for the compiler puts around them (`spec/environments.md` 10.1 no. 12): servers run
/// the compiler behind it.
pub(super) fn unwrapped(program: &Path, path: &OsStr, words: &[Vec<u8>]) -> Result<Option<Vec<Vec<u8>>>, Reason> {
    if !driver::is_script(program) {
        return Ok(None);
    }
    // Also that it cannot be told is remembered.
    let answer = remembered::answer(program, &[OsStr::new("options of the script"), path], || {
        Some(match driver::wrapper_options(program, path) {
            Ok(options) => {
                let around = options.before.iter().chain(&options.after).map(|word| word.as_bytes().to_vec());
                std::iter::once(options.before.len().to_string().into_bytes()).chain(around).collect()
            }
            Err(err) => {
                log::debug!("{}", crate::exit::chain(&err));
                Vec::new()
            }
        })
    });
    let answer = answer.unwrap_or_default();
    let (count, around) = answer.split_first().ok_or(Reason::Wrapper)?;
    let count: usize = std::str::from_utf8(count).ok().and_then(|n| n.parse().ok()).ok_or(Reason::Wrapper)?;
    let (before, after) = around.split_at_checked(count).ok_or(Reason::Wrapper)?;
    // The script gives them to the preprocessor as well, so that it gets them twice.
    if around.iter().any(|word| is_not_idempotent(word)) {
        return Err(Reason::Wrapper);
    }
    Ok((!around.is_empty()).then(|| [before, words, after].concat()))
}

/// Whether an option means something else when it is given twice, or when it was looked at through the script.
fn is_not_idempotent(word: &[u8]) -> bool {
    let starts = |with: &[u8]| word.starts_with(with);
    starts(b"-include") || starts(b"-imacros") || starts(b"-X") || starts(b"-Wp,") || word.ends_with(b"=native")
}

/// What the compiler says of itself.
pub(super) fn about(program: &Path) -> Option<CompilerInfo> {
    let answer = remembered::answer(program, &[OsStr::new("about")], || {
        let info = CompilerInfo::ask(&Driver::new(program)).ok()?;
        Some([info.compiler, info.version, info.target].map(String::into_bytes).to_vec())
    })?;
    let [compiler, version, target] = answer.try_into().ok()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some(CompilerInfo { compiler: text(compiler), version: text(version), target: text(target) })
}

fn target(program: &Path) -> Option<Vec<Vec<u8>>> {
    let out = Command::new(program).arg("-dumpmachine").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let triple = out.stdout.trim_ascii().to_vec();
    (out.status.success() && !triple.is_empty()).then(|| vec![triple])
}

/// What the compiler's inner program is told with `native` and not without: the middle part that differs (C.7).
fn native_meaning(program: &Path, family: Family, native: &[OsString]) -> Option<Vec<Vec<u8>>> {
    let without = inner_words(program, family, &[])?;
    let with = inner_words(program, family, native)?;
    Some(difference(&without, &with))
}

fn difference(without: &[Vec<u8>], with: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let shorter = without.len().min(with.len());
    let same_start = without.iter().zip(with).take_while(|(a, b)| a == b).count();
    // An option stays with its value, although both sides have the option.
    let cut = with.get(same_start).is_some_and(|word| !word.starts_with(b"-"));
    let same_start = if cut { same_start.saturating_sub(1) } else { same_start };
    let same_end = without.iter().rev().zip(with.iter().rev()).take_while(|(a, b)| a == b).count();
    let same_end = same_end.min(shorter - same_start);
    with.get(same_start..with.len() - same_end).unwrap_or_default().to_vec()
}

fn inner_words(program: &Path, family: Family, native: &[OsString]) -> Option<Vec<Vec<u8>>> {
    let out = Command::new(program)
        .args(native)
        .args(["-###", "-E", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let inner: &[u8] = if family == Family::Clang { b"-cc1" } else { b"cc1" };
    let lines = out.stderr.split(|&b| b == b'\n').map(response::words);
    lines.into_iter().find(|words| {
        words.iter().take(2).any(|word| word == inner || (word.ends_with(inner) && word.starts_with(b"/")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_native_adds() {
        let words = |line: &str| response::words(line.as_bytes());
        let added = difference(
            &words("cc1 -E - -mtune=generic -march=x86-64 -quiet"),
            &words("cc1 -E - -march=znver3 -mmmx -quiet"),
        );
        assert_eq!(added, words("-march=znver3 -mmmx"));
        assert!(difference(&words("-a b"), &words("-a b")).is_empty());
        assert_eq!(difference(&words("-a -a"), &words("-a -a -a")), words("-a"));
        let added = difference(&words("-x -cpu any -tune any -y"), &words("-x -cpu znver3 -f +sha -y"));
        assert_eq!(added, words("-cpu znver3 -f +sha"));
    }
}
