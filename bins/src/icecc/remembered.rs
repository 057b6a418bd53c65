//! What was found out about a file that costs something to find out, kept in this user's own folder: a compiler's
//! answers, an archive's content, sources whose macros must be expanded here, and what the user was told.
//!
//! A file is known by its path, size, time and inode. Nothing here must work: what is not remembered is asked again.

use super::locks::own_folder;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long what was said in a session counts as said there.
const SAID_FOR: Duration = Duration::from_secs(3600);

/// How a yes is kept.
const YES: &[u8] = b"yes";

/// The answer for this file and question: from the last time, or by asking. Only answers are remembered.
pub(super) fn answer(
    file: &Path,
    question: &[&OsStr],
    ask: impl FnOnce() -> Option<Vec<Vec<u8>>>,
) -> Option<Vec<Vec<u8>>> {
    let Some((place, key)) = place("compilers", file, question) else { return ask() };
    if let Ok(text) = fs::read(&place) {
        let mut lines = text.split(|&b| b == 0).map(<[u8]>::to_vec);
        if lines.next().is_some_and(|first| first == key) {
            return Some(lines.collect());
        }
    }
    let answer = ask()?;
    let mut text = key;
    for word in &answer {
        // Each piece ends at a NUL.
        if word.contains(&0) {
            return Some(answer);
        }
        text.push(0);
        text.extend_from_slice(word);
    }
    let temporary = place.with_extension(std::process::id().to_string());
    if fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &place)).is_err() {
        let _ = fs::remove_file(temporary);
    }
    Some(answer)
}

/// What is remembered of this question is not true any more.
pub(super) fn forget(file: &Path, question: &[&OsStr]) {
    if let Some((place, _)) = place("compilers", file, question) {
        let _ = fs::remove_file(place);
    }
}

/// Differs after each change of a file; `None` where it cannot be looked at.
pub(super) fn mark(file: &Path) -> Option<Vec<u8>> {
    fs::metadata(file).ok().map(|meta| facts(&meta).into_bytes())
}

/// As [`answer`], of a question that is answered by yes or no; no also where there is no answer.
pub(super) fn is_so(file: &Path, question: &[&OsStr], ask: impl FnOnce() -> Option<bool>) -> bool {
    let words = |is_so| if is_so { vec![YES.to_vec()] } else { Vec::new() };
    answer(file, question, || ask().map(words)).is_some_and(|answer| answer.first().is_some_and(|word| word == YES))
}

/// Warns of something about a file where a warning is seen, and once for each version of the file.
pub(super) fn warn_once(file: &Path, text: &str) {
    if log::log_enabled!(log::Level::Warn) && is_news(file, text) {
        log::warn!("{text}");
    }
}

/// Whether `text` was not said of this version of a file yet; it counts as said from now on. Where nothing can be kept, nothing
/// is news: better never than with each job.
pub(super) fn is_news(file: &Path, text: &str) -> bool {
    place("said", file, &[OsStr::new(text)]).is_some_and(|(mark, _)| File::create_new(mark).is_ok())
}

/// Whether `text` was not said yet in this session (of a terminal, or of a service) within the last hour; it counts as said from
/// now on. For what is no property of a file: a build says it once, and the next one says it again.
pub(super) fn is_news_now(text: &str) -> bool {
    let Some(directory) = own_folder().map(|own| own.join("said")) else { return false };
    let _ = fs::create_dir_all(&directory);
    let session = nix::unistd::getsid(None).map_or(0, |session| session.as_raw());
    let mark = directory.join(hash(&(session, text)));
    let is_old = |meta: Metadata| meta.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > SAID_FOR));
    if fs::metadata(&mark).is_ok_and(is_old) {
        let _ = fs::remove_file(&mark);
    }
    File::create_new(mark).is_ok()
}

/// Whether the macros of this version of `input` had to be expanded here before.
pub(super) fn is_expanded_here(input: &Path) -> bool {
    expansion_mark(input).is_some_and(|mark| mark.exists())
}

/// Remembers that the macros of this version of `input` must be expanded here.
pub(super) fn note_expansion(input: &Path) {
    if let Some(mark) = expansion_mark(input) {
        let _ = mark.parent().map(fs::create_dir_all);
        let _ = fs::write(mark, b"");
    }
}

fn expansion_mark(input: &Path) -> Option<PathBuf> {
    let meta = fs::metadata(input).ok()?;
    let key = (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size());
    Some(own_folder()?.join("expanded").join(hash(&key)))
}

/// File and key of a question.
fn place(folder: &str, file: &Path, question: &[&OsStr]) -> Option<(PathBuf, Vec<u8>)> {
    let meta = fs::metadata(file).ok()?;
    let mut key = file.as_os_str().as_bytes().to_vec();
    key.extend(facts(&meta).into_bytes());
    for word in question {
        key.push(b' ');
        key.extend_from_slice(word.as_bytes());
    }
    key.retain(|&b| b != 0);
    let folder = own_folder()?.join(folder);
    let _ = fs::create_dir_all(&folder);
    Some((folder.join(hash(&key)), key))
}

fn facts(meta: &Metadata) -> String {
    format!(" {} {}.{} {}", meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ino())
}

fn hash(key: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
