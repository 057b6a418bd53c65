//! Questions to the compiler that cost a run each: asked once per compiler and remembered.

use super::remembered;
use ice_core::cmdline::{Family, Reason, RemoteJob, outputs};
use ice_toolchain::driver::{Driver, DriverError, Kind};
use ice_toolchain::info::CompilerInfo;
use ice_toolchain::wrapper::{self, WrapperOptions};
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
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
        let key: Vec<&OsStr> =
            [OsStr::new("meaning of")].into_iter().chain(native.iter().map(OsString::as_os_str)).collect();
        let meaning = remembered::answer(program, &key, || native_meaning(program, job.family, &native));
        job.resolve_native(meaning.as_deref())?;
    }
    let pragmas: Vec<OsString> = job.pragma_words().into_iter().map(|w| OsString::from_vec(w.to_vec())).collect();
    if !pragmas.is_empty() {
        let language = job.language.option();
        let key = [OsStr::new("macros of"), OsStr::new(language)].into_iter();
        let key: Vec<&OsStr> = key.chain(pragmas.iter().map(OsString::as_os_str)).collect();
        let macros = remembered::answer(program, &key, || added_macros(program, language, &pragmas));
        job.resolve_pragmas(macros);
    }
    Ok(())
}

/// The words for the compiler behind a wrapper.
#[derive(Debug)]
pub(super) struct Unwrapped {
    /// All of them.
    pub(super) words: Vec<Vec<u8>>,
    /// Which are the user's.
    pub(super) own: Range<usize>,
}

/// `words` with what a wrapper that stands for the compiler puts around them: servers run the compiler behind it.
pub(super) fn unwrapped(
    program: &Path,
    family: Family,
    path: &OsStr,
    words: &[Vec<u8>],
) -> Result<Option<Unwrapped>, Reason> {
    let is_script = wrapper::is_script(program);
    if !is_script && !is_wrapper(program, path) {
        return Ok(None);
    }
    let kind = if family == Family::Clang { Kind::Clang } else { Kind::Gcc };
    let ask = |words| {
        let told = wrapper::wrapper_options(program, path, kind, words);
        told.inspect_err(|err| log::debug!("{}", crate::exit::chain(err))).ok()
    };
    // Also that it cannot be told is remembered.
    let known = remembered::answer(program, &[OsStr::new("options of the wrapper"), path], || Some(told(ask(None))));
    let known = known.as_deref().and_then(options);
    let options = if wrapper::is_constant_script(program, path) {
        known
    } else {
        // They may depend on the words, on variables or on other files.
        let fits = |options: &WrapperOptions| wrapper::is_proven(program, path, options, words);
        known.filter(fits).or_else(|| ask(Some(words)))
    };
    let Some(WrapperOptions { before, after }) = options else {
        let text = format!("{} is a wrapper whose options cannot be told: its jobs are built here", program.display());
        remembered::warn_once(program, &text);
        return Err(Reason::Wrapper);
    };
    let bytes = |words: Vec<OsString>| words.into_iter().map(OsString::into_vec).collect::<Vec<_>>();
    let (before, after) = (bytes(before), bytes(after));
    // What it means was asked through the wrapper.
    if before.iter().chain(&after).any(|word| word.ends_with(b"=native")) {
        return Err(Reason::Wrapper);
    }
    let is_empty = before.is_empty() && after.is_empty();
    let own = before.len()..before.len() + words.len();
    Ok((!is_empty).then(|| Unwrapped { words: [&before, words, &after].concat(), own }))
}

/// Whether a program is none of the compilers but runs one.
fn is_wrapper(program: &Path, path: &OsStr) -> bool {
    remembered::is_so(program, &[OsStr::new("is a wrapper"), path], || wrapper::is_wrapper(program, path))
}

/// What [`options`] reads: how many words stand before the user's, and all of them. Empty: it cannot be told.
fn told(options: Option<WrapperOptions>) -> Vec<Vec<u8>> {
    let Some(WrapperOptions { before, after }) = options else { return Vec::new() };
    let count = before.len().to_string().into_bytes();
    std::iter::once(count).chain(before.into_iter().chain(after).map(OsString::into_vec)).collect()
}

fn options(told: &[Vec<u8>]) -> Option<WrapperOptions> {
    let (count, around) = told.split_first()?;
    let count = std::str::from_utf8(count).ok()?.parse().ok()?;
    let (before, after) = around.split_at_checked(count)?;
    let words = |words: &[Vec<u8>]| words.iter().map(|word| OsString::from_vec(word.clone())).collect();
    Some(WrapperOptions { before: words(before), after: words(after) })
}

/// Which kind of compiler it is, whatever its name; `None` if it does not tell.
pub(super) fn family(program: &Path) -> Option<Family> {
    let answer = remembered::answer(program, &[OsStr::new("family")], || match Driver::new(program).kind() {
        Ok(kind) => Some(vec![kind.word().into()]),
        // That it is another one shall be remembered too.
        Err(DriverError::Unknown(_)) => Some(Vec::new()),
        Err(_) => None,
    })?;
    match answer.first()?.as_slice() {
        b"clang" => Some(Family::Clang),
        _ => Some(Family::Gcc),
    }
}

/// Whether the compiler knows the option for coloured messages; gcc does since 4.9.
pub(super) fn takes_color(program: &Path, family: Family) -> bool {
    let option = "-fdiagnostics-color";
    family == Family::Clang
        || remembered::is_so(program, &[OsStr::new("takes"), OsStr::new(option)], || takes(program, option))
}

fn takes(program: &Path, option: &str) -> Option<bool> {
    let mut run = Command::new(program);
    run.args([option, "-E", "-x", "c", "/dev/null"]);
    let status = run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    status.code().map(|code| code == 0)
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

/// `-D` arguments for the macros that the compiler defines only with `words`.
fn added_macros(program: &Path, language: &str, words: &[OsString]) -> Option<Vec<Vec<u8>>> {
    outputs::added_macros(&macros(program, language, &[])?, &macros(program, language, words)?)
}

fn macros(program: &Path, language: &str, words: &[OsString]) -> Option<Vec<u8>> {
    let mut run = Command::new(program);
    run.args(words).args(["-E", "-dM", "-x", language, "/dev/null"]);
    let out = run.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    out.status.success().then_some(out.stdout)
}

fn target(program: &Path) -> Option<Vec<Vec<u8>>> {
    let out = Command::new(program).arg("-dumpmachine").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let triple = out.stdout.trim_ascii().to_vec();
    (out.status.success() && !triple.is_empty()).then(|| vec![triple])
}

/// What the compiler's inner program is told with `native` and not without.
fn native_meaning(program: &Path, family: Family, native: &[OsString]) -> Option<Vec<Vec<u8>>> {
    outputs::native_meaning(family, &inner_commands(program, &[])?, &inner_commands(program, native)?)
}

fn inner_commands(program: &Path, words: &[OsString]) -> Option<Vec<u8>> {
    let mut run = Command::new(program);
    run.args(words).args(["-###", "-E", "-"]).env("LC_ALL", "C");
    Some(run.stdin(Stdio::null()).stdout(Stdio::null()).output().ok()?.stderr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_old_gcc_takes_no_colours() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let old = script("old", "#!/bin/sh\ncase $* in *-fdiagnostics-color*) exit 1 ;; esac\n");
        assert_eq!(takes(&old, "-fdiagnostics-color"), Some(false));
        assert_eq!(takes(&old, "-O2"), Some(true));
        assert_eq!(takes(Path::new("/nonexistent"), "-O2"), None);
    }
}
