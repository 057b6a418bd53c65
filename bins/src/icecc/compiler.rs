//! Questions to the compiler that cost a run each: asked once per compiler, remembered by path, time and size (Improve 18).

use super::locks::own_folder;
use ice_core::cmdline::{Family, Reason, RemoteJob, response};
use ice_toolchain::archive::{UnpackLimits, read_info};
use ice_toolchain::driver::{self, Driver};
use ice_toolchain::info::{CompilerInfo, EnvInfo};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Asks whatever `job` still needs to know.
pub(super) fn resolve(program: &Path, job: &mut RemoteJob) -> Result<(), Reason> {
    if job.target_wanted {
        let target = remembered(program, &[OsStr::new("-dumpmachine")], || target(program));
        job.resolve_target(target.as_deref().and_then(|words| words.first()).map(Vec::as_slice))?;
    }
    let native: Vec<OsString> = job.native_words().into_iter().map(|w| OsString::from_vec(w.to_vec())).collect();
    if !native.is_empty() {
        let key: Vec<&OsStr> = native.iter().map(OsString::as_os_str).collect();
        let meaning = remembered(program, &key, || native_meaning(program, job.family, &native));
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
    let answer = remembered(program, &[OsStr::new("options of the script"), path], || {
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
    let answer = remembered(program, &[OsStr::new("about")], || {
        let info = CompilerInfo::ask(&Driver::new(program)).ok()?;
        Some([info.compiler, info.version, info.target].map(String::into_bytes).to_vec())
    })?;
    let [compiler, version, target] = answer.try_into().ok()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some(CompilerInfo { compiler: text(compiler), version: text(version), target: text(target) })
}

/// What an archive says of itself: nothing if it was made by 1.4, or cannot be read.
pub(super) fn about_archive(archive: &Path) -> Option<EnvInfo> {
    let answer = remembered(archive, &[OsStr::new("about")], || {
        let file = std::fs::File::open(archive).ok()?;
        let info = read_info(file, &UnpackLimits::default()).ok()?;
        Some(vec![info.map(|info| info.text()).unwrap_or_default().into_bytes()])
    })?;
    EnvInfo::parse(std::str::from_utf8(answer.first()?).ok()?)
}

/// Whether dates were seen in this version of `input` before (decisions.md 35).
pub(super) fn had_dates(input: &Path) -> bool {
    dates_mark(input).is_some_and(|mark| mark.exists())
}

/// Remembers that there are dates in this version of `input`.
pub(super) fn note_dates(input: &Path) {
    if let Some(mark) = dates_mark(input) {
        let _ = mark.parent().map(std::fs::create_dir_all);
        let _ = std::fs::write(mark, b"");
    }
}

fn dates_mark(input: &Path) -> Option<PathBuf> {
    let meta = std::fs::metadata(input).ok()?;
    let key = (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size());
    Some(own_folder()?.join("dates").join(hash(&key)))
}

fn hash(key: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The answer for this compiler and question: from the last time, or by asking. Only answers are remembered.
fn remembered(program: &Path, question: &[&OsStr], ask: impl FnOnce() -> Option<Vec<Vec<u8>>>) -> Option<Vec<Vec<u8>>> {
    let Some((file, key)) = place(program, question) else { return ask() };
    if let Ok(text) = std::fs::read(&file) {
        let mut lines = text.split(|&b| b == 0).map(<[u8]>::to_vec);
        if lines.next().is_some_and(|first| first == key) {
            return Some(lines.collect());
        }
    }
    let answer = ask()?;
    let mut text = key;
    for word in &answer {
        text.push(0);
        text.extend_from_slice(word);
    }
    let _ = file.parent().map(std::fs::create_dir_all);
    let temporary = file.with_extension(std::process::id().to_string());
    if std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &file)).is_err() {
        let _ = std::fs::remove_file(temporary);
    }
    Some(answer)
}

/// File and key of a question.
fn place(program: &Path, question: &[&OsStr]) -> Option<(PathBuf, Vec<u8>)> {
    let meta = std::fs::metadata(program).ok()?;
    let mut key = program.as_os_str().as_bytes().to_vec();
    key.extend(format!(" {} {}.{} {}", meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ino()).into_bytes());
    for word in question {
        key.push(b' ');
        key.extend_from_slice(word.as_bytes());
    }
    // Each piece of the file ends at a NUL.
    key.retain(|&b| b != 0);
    Some((own_folder()?.join("compilers").join(hash(&key)), key))
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
