//! Wrappers around a compiler: what they add to a command line.
//!
//! Servers run the compiler, not the wrapper. So its options must be told, or the job stays here; what is told is compared with
//! the wrapper's own account before it is believed.

use crate::driver::{Driver, Kind, quoted_words};
use crate::find;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a wrapper's own options cannot be told.
#[derive(Debug, Error)]
pub enum WrapperError {
    /// The wrapper or the compiler behind it doesn't say how it would compile, or says what cannot be had by options.
    #[error("{} does not tell its options", .0.display())]
    Silent(PathBuf),
    /// The wrapper's compiler cannot be found.
    #[error("cannot find the compiler behind {}", .0.display())]
    NoCompiler(PathBuf),
    /// It runs another compiler than its name says.
    #[error("behind {} is {}", .path.display(), .is.word())]
    OtherKind {
        /// The wrapper.
        path: PathBuf,
        /// What it runs.
        is: Kind,
    },
}

/// What a wrapper adds to the user's words: which of two options wins depends on their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrapperOptions {
    /// In front of them.
    pub before: Vec<OsString>,
    /// Behind them.
    pub after: Vec<OsString>,
}

impl WrapperOptions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// All words of a command line.
    fn around<'a>(&'a self, words: &[&'a OsStr]) -> Vec<&'a OsStr> {
        let before = self.before.iter().map(OsString::as_os_str);
        before.chain(words.iter().copied()).chain(self.after.iter().map(OsString::as_os_str)).collect()
    }
}

/// Stands for the user's words when a wrapper is asked.
const MARK: &str = "ICECC_WORDS_OF_THE_USER";
/// What a wrapper is asked about where nothing is to be compiled.
const PLAIN: [&str; 6] = ["-c", "-x", "c", "/dev/null", "-o", "/dev/null"];
/// A longer script is not looked into.
const SCRIPT_MAX: u64 = 1 << 16;

/// Whether a compiler is a script. What cannot be read is none to us; the compile itself will tell.
pub fn is_script(compiler: &Path) -> bool {
    start_of(compiler, 2).is_some_and(|start| start == b"#!")
}

/// Whether a compiler is a script that does the same each time: a shell's, of one line that does nothing but run a program, which
/// is no script in turn, and in which nothing stands for anything but the user's words and its own name. That program may still
/// do something else for other words. `path` is the value of PATH.
pub fn is_constant_script(compiler: &Path, path: &OsStr) -> bool {
    let Some(text) = script(compiler).filter(|text| is_of_a_shell(text)) else { return false };
    let mut lines = lines(&text);
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let mut pieces = line.split(|b| *b == b'$');
    pieces.next();
    let is_plain = pieces.all(|piece| matches!(piece.first(), Some(b'@' | b'*' | b'0')))
        && !line.iter().any(|b| matches!(b, b'|' | b';' | b'&' | b'`'));
    let is_program = |words: Vec<OsString>| {
        let found = words.first().and_then(|word| find::compiler(word, path, Path::new("/proc/self/exe")).ok());
        found.is_some_and(|file| file.exists() && !is_script(&file))
    };
    is_plain && command(line).is_some_and(is_program)
}

/// Whether a script is written for a shell that it calls without options.
fn is_of_a_shell(text: &[u8]) -> bool {
    let first = text.split(|b| *b == b'\n').next().and_then(|line| line.strip_prefix(b"#!")).unwrap_or_default();
    let words = first.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let names: Vec<&[u8]> = words.filter_map(|word| word.rsplit(|b| *b == b'/').next()).collect();
    matches!(names.as_slice(), [b"sh" | b"bash" | b"dash"] | [b"env", b"sh" | b"bash" | b"dash"])
}

/// Whether a program runs another one that is the compiler. `None`: it does not tell. `path` is the value of PATH.
pub fn is_wrapper(compiler: &Path, path: &OsStr) -> Option<bool> {
    let account = Driver::new(compiler).account(&PLAIN.map(OsStr::new))?;
    let real = account.compiler(path)?;
    Some(!find::is_ccache(compiler, path) && !is_same_file(&real, compiler))
}

/// The options that a wrapper adds to those of the compiler it runs: `-m32` of `exec gcc -m32 "$@"`. Servers
/// run the compiler, not the wrapper, so they must be part of the job.
///
/// Costs three to five runs. `path` is the value of PATH, `kind` what the wrapper is taken for, `words` the user's, for which the
/// answer is proven then; `None`: those that it adds where the user gives no options.
pub fn wrapper_options(
    compiler: &Path,
    path: &OsStr,
    kind: Kind,
    words: Option<&[Vec<u8>]>,
) -> Result<WrapperOptions, WrapperError> {
    let wrapper = Driver::new(compiler);
    let mark = format!("-D{MARK}");
    let plain = || PLAIN.map(OsStr::new).to_vec();
    let words = words.map_or_else(plain, |words| words.iter().map(|word| OsStr::from_bytes(word)).collect());
    let asked: Vec<&OsStr> = iter::once(OsStr::new(&mark)).chain(words).collect();
    let silent = || WrapperError::Silent(compiler.to_path_buf());
    let account = wrapper.account(&asked).ok_or_else(|| WrapperError::NoCompiler(compiler.to_path_buf()))?;
    if account.kind != kind {
        return Err(WrapperError::OtherKind { path: compiler.to_path_buf(), is: account.kind });
    }
    let real = account.compiler(path).ok_or_else(|| WrapperError::NoCompiler(compiler.to_path_buf()))?;
    let real = Driver::new(&real);
    let by_text = by_text(compiler);
    let mut candidates = match kind {
        Kind::Gcc => {
            let plain = real.account(&asked).ok_or_else(|| WrapperError::Silent(real.path().to_path_buf()))?;
            by_difference(plain.words, account.words.clone()).ok_or_else(silent)?
        }
        Kind::Clang => vec![WrapperOptions::default()],
    };
    candidates.extend(by_text);
    let is_right = |options: &WrapperOptions| real.account(&options.around(&asked)).is_some_and(|a| a.agrees(&account));
    candidates.into_iter().find(is_right).ok_or_else(silent)
}

/// Whether a wrapper does with the user's `words` what the compiler behind it does with these `options` around them. Costs two runs.
pub fn is_proven(compiler: &Path, path: &OsStr, options: &WrapperOptions, words: &[Vec<u8>]) -> bool {
    let words: Vec<&OsStr> = words.iter().map(|word| OsStr::from_bytes(word)).collect();
    let Some(account) = Driver::new(compiler).account(&words) else { return false };
    let Some(real) = account.compiler(path) else { return false };
    if is_same_file(&real, compiler) {
        return options.is_empty();
    }
    Driver::new(&real).account(&options.around(&words)).is_some_and(|real| real.agrees(&account))
}

/// What may have been added to the options that gcc collects, by those of a `plain` run. `None`: the mark is not among them.
fn by_difference(plain: Vec<OsString>, all: Vec<OsString>) -> Option<Vec<WrapperOptions>> {
    let ((mut front, middle), (all, mark)) = (without_mark(plain)?, without_mark(all)?);
    let mut back = front.split_off(middle.min(front.len()));
    let mut added = WrapperOptions::default();
    for (at, option) in all.into_iter().enumerate() {
        let (known, added) = if at < mark { (&mut front, &mut added.before) } else { (&mut back, &mut added.after) };
        match known.iter().position(|known| *known == option) {
            Some(at) => drop(known.swap_remove(at)),
            None => added.push(option),
        }
    }
    // What the driver itself derives, as -march from -m32, stands behind the words too, but must not win over the user's.
    let mut given = added.clone();
    given
        .after
        .retain(|option| !option.as_bytes().starts_with(b"-march=") && !option.as_bytes().starts_with(b"-mtune="));
    Some(vec![given, added])
}

/// The words without the mark, and where it was. gcc shows `-DX` as two words.
fn without_mark(mut words: Vec<OsString>) -> Option<(Vec<OsString>, usize)> {
    let is_mark = |word: &OsString| word.as_bytes().strip_prefix(b"-D").unwrap_or(word.as_bytes()) == MARK.as_bytes();
    let mut at = words.iter().position(is_mark)?;
    if words.remove(at) == *MARK {
        at = at.checked_sub(1)?;
        words.remove(at);
    }
    Some((words, at))
}

/// What a script may add, by each line like `exec clang --target=X "$@"` in it; to be proven. clang's account has no options of
/// the driver in it, gcc's none that it hands on to the assembler.
fn by_text(compiler: &Path) -> Vec<WrapperOptions> {
    let is_literal = |word: &OsString| !word.as_bytes().iter().any(|b| matches!(b, b'$' | b'`'));
    let options_of = |words: Vec<OsString>| {
        let at = words.iter().position(|word| word == "$@")?;
        let (before, after) = (words.get(1..at)?.to_vec(), words.get(at + 1..)?.to_vec());
        before.iter().chain(&after).all(is_literal).then_some(WrapperOptions { before, after })
    };
    let text = script(compiler).unwrap_or_default();
    commands(&text).filter_map(options_of).filter(|options| !options.is_empty()).collect()
}

/// The lines of a script that run something with the user's words, as words.
fn commands(text: &[u8]) -> impl Iterator<Item = Vec<OsString>> {
    lines(text).filter_map(command)
}

/// The lines of a script in which something stands.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// What a line runs, if the user's words are among its own.
fn command(line: &[u8]) -> Option<Vec<OsString>> {
    let words: Vec<_> = quoted_words(line).into_iter().skip_while(|word| word == "exec").collect();
    words.iter().any(|word| word == "$@" || word == "$*").then_some(words)
}

/// A script's text, if it is one and not too long.
fn script(compiler: &Path) -> Option<Vec<u8>> {
    let text = start_of(compiler, SCRIPT_MAX)?;
    (text.starts_with(b"#!") && (text.len() as u64) < SCRIPT_MAX).then_some(text)
}

fn start_of(file: &Path, max: u64) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    File::open(file).and_then(|f| f.take(max).read_to_end(&mut start)).ok()?;
    Some(start)
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::metadata(a), fs::metadata(b)), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    const PATH: &str = "/usr/bin";

    fn compiler(name: &str) -> Option<PathBuf> {
        let found = find::program(OsStr::new(name), OsStr::new(PATH));
        if found.is_none() {
            eprintln!("skipped: no {PATH}/{name}");
        }
        found
    }

    fn script(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn e6_a_scripts_own_options_are_told() {
        let (path, dir) = (OsStr::new(PATH), tempfile::tempdir().unwrap());
        let Some(gcc) = compiler("gcc") else { return };
        let told = |name, text: &str| wrapper_options(&script(&dir, name, text), path, Kind::Gcc, None);
        let run = gcc.display();
        assert!(told("plain", &format!("exec {run} \"$@\"")).unwrap().is_empty());
        let added = told("adds", &format!("exec {run} -fwrapv -DA='b c' \"$@\"")).unwrap();
        assert_eq!(
            (added.before.as_slice(), added.after.len()),
            (&["-fwrapv", "-D", "A=b c"].map(OsString::from)[..], 0)
        );
        let added = told("wins", &format!("exec {run} -m32 \"$@\" -O2")).unwrap();
        assert_eq!((added.before.as_slice(), added.after.as_slice()), (&["-m32".into()][..], &["-O2".into()][..]));
        let added = told("assembles", &format!("exec {run} -Wa,--noexecstack \"$@\"")).unwrap();
        assert_eq!((added.before.as_slice(), added.after.len()), (&["-Wa,--noexecstack".into()][..], 0));
        let hidden = told("hides", &format!("x=-Wa,--noexecstack; exec {run} $x \"$@\""));
        assert!(matches!(hidden, Err(WrapperError::Silent(_))), "{hidden:?}");
        assert!(wrapper_options(&gcc, path, Kind::Gcc, None).unwrap().is_empty());
        assert!(matches!(told("other", "exit 0"), Err(WrapperError::NoCompiler(_))));
    }

    #[test]
    fn e6_a_programs_own_options_are_told() {
        let (path, dir) = (OsStr::new(PATH), tempfile::tempdir().unwrap());
        let Some(gcc) = compiler("gcc") else { return };
        let source = dir.path().join("wrap.c");
        // As Buildroot's: it adds an option only where the user gave none of that kind.
        let text = r#"#include <string.h>
#include <unistd.h>
int main(int n, char **words) {
    char *all[n + 2]; int m = 0, is_set = 0;
    for (int i = 1; i < n; i++) is_set |= !strncmp(words[i], "-march", 6);
    all[m++] = "/usr/bin/gcc";
    if (!is_set) all[m++] = "-m32";
    for (int i = 1; i < n; i++) all[m++] = words[i];
    all[m] = 0;
    return execv(all[0], all);
}
"#;
        fs::write(&source, text).unwrap();
        let wrapper = dir.path().join("my-gcc");
        let built = Command::new(&gcc).arg(&source).arg("-o").arg(&wrapper).status().unwrap();
        assert!(built.success() && !is_script(&wrapper));
        assert_eq!(is_wrapper(&wrapper, path), Some(true));
        assert_eq!(is_wrapper(&gcc, path), Some(false));
        let options = wrapper_options(&wrapper, path, Kind::Gcc, None).unwrap();
        assert_eq!((options.before.as_slice(), options.after.len()), (&["-m32".into()][..], 0));
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        assert!(is_proven(&wrapper, path, &options, &words("-O2 -c a.c -o a.o")));
        assert!(!is_proven(&wrapper, path, &WrapperOptions::default(), &words("-O2 -c a.c -o a.o")));
        // What it adds for other words is told with them.
        let own = words("-march=x86-64 -c a.c -o a.o");
        assert!(!is_proven(&wrapper, path, &options, &own));
        assert!(wrapper_options(&wrapper, path, Kind::Gcc, Some(&own)).unwrap().is_empty());
        let same = script(&dir, "same", "exec /usr/bin/gcc -DA -O2 \"$@\"");
        let same = wrapper_options(&same, path, Kind::Gcc, Some(&words("-O1 -DA -O2 -c a.c -o a.o"))).unwrap();
        assert_eq!((same.before.as_slice(), same.after.len()), (&["-D", "A", "-O2"].map(OsString::from)[..], 0));
    }

    #[test]
    fn a_script_that_asks_its_environment_is_not_constant() {
        let dir = tempfile::tempdir().unwrap();
        let path = OsStr::new("/usr/bin:/bin");
        let inner = script(&dir, "inner", "exec cat $EXTRA \"$@\"");
        let inner = format!("exec {} \"$@\"", inner.display());
        for (name, text, is_constant) in [
            ("at", "exec cat -m32 \"$@\"", true),
            ("star", "# $0\ncat $*", true),
            ("variable", "exec cat $EXTRA \"$@\"", false),
            ("braces", "exec cat ${EXTRA} \"$@\"", false),
            ("first", "test \"$1\" = -cc1 || exec cat \"$@\"", false),
            ("command", "exec cat $(cat flags) \"$@\"", false),
            ("old", "exec cat `cat flags` \"$@\"", false),
            ("twice", &inner, false),
            ("nothing", "exec /no/such/program \"$@\"", false),
            ("reads", ". /opt/sdk/env\nexec cat \"$@\"", false),
            ("looks", "echo \"$@\" | grep -q x && exec cat -O3 \"$@\"", false),
            ("lines", "# as it is\n\n  exec cat \"$@\"", true),
        ] {
            assert_eq!(is_constant_script(&script(&dir, name, text), path), is_constant, "{text}");
        }
        assert!(!is_constant_script(Path::new("/bin/sh"), path));
        let file = script(&dir, "head", "");
        for (head, is_constant) in [
            ("/bin/bash", true),
            (" /usr/bin/env dash", true),
            ("/bin/bash -l", false),
            ("/usr/bin/python3", false),
            ("/usr/bin/env python3", false),
        ] {
            fs::write(&file, format!("#!{head}\ncat \"$@\"\n")).unwrap();
            assert_eq!(is_constant_script(&file, path), is_constant, "{head}");
        }
    }

    #[test]
    fn clangs_options_are_read_and_proven() {
        let (path, dir) = (OsStr::new(PATH), tempfile::tempdir().unwrap());
        let Some(clang) = compiler("clang") else { return };
        let told = |name, text: &str| wrapper_options(&script(&dir, name, text), path, Kind::Clang, None);
        let run = clang.display();
        assert!(told("plain", &format!("exec {run} \"$@\"")).unwrap().is_empty());
        let added = told("assembles", &format!("exec {run} -fno-integrated-as \"$@\"")).unwrap();
        assert_eq!((added.before.as_slice(), added.after.len()), (&["-fno-integrated-as".into()][..], 0));
        // As the Android NDK's.
        let ndk = format!(
            "if [ \"$1\" != \"-cc1\" ]; then\n  \"`dirname {run}`/clang\" --target=aarch64-linux-android21 \"$@\"\nelse\n  \"`dirname {run}`/clang\" \"$@\"\nfi"
        );
        let options = told("ndk-clang", &ndk).unwrap();
        assert_eq!(options.before, ["--target=aarch64-linux-android21"]);
        let source = script(&dir, "a.c", "");
        let words = ["-O2".as_ref(), "-c".as_ref(), source.as_os_str(), "-o".as_ref(), "a.o".as_ref()];
        let words = words.map(|word: &OsStr| word.as_bytes().to_vec());
        assert!(is_proven(&dir.path().join("ndk-clang"), path, &options, &words));
        let hidden = told("hidden", &format!("x=--target=arm-linux-gnueabi; exec {run} $x \"$@\""));
        assert!(matches!(hidden, Err(WrapperError::Silent(_))));
        let other = wrapper_options(&script(&dir, "gcc", &format!("exec {run} \"$@\"")), path, Kind::Gcc, None);
        assert!(matches!(other, Err(WrapperError::OtherKind { is: Kind::Clang, .. })));
        assert_eq!(is_wrapper(&clang, path), Some(false));
    }
}
