//! A compiler driver, asked what it is: the only place here that starts programs.

use crate::find;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use thiserror::Error;

/// What a compiler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// GNU.
    Gcc,
    /// LLVM.
    Clang,
}

impl Kind {
    /// `gcc` or `clang`, as in the environment's own description.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gcc => "gcc",
            Self::Clang => "clang",
        }
    }
}

/// Why a compiler cannot be asked. The texts of the first two are 1.4's.
#[derive(Debug, Error)]
pub enum DriverError {
    /// It doesn't preprocess.
    #[error("{} is not a compiler.", .path.display())]
    NotACompiler {
        /// The program.
        path: PathBuf,
        /// What it said, or why it did not start.
        #[source]
        said: io::Error,
    },
    /// It preprocesses, but is neither gcc nor clang.
    #[error("{} is not a known compiler.", .0.display())]
    Unknown(PathBuf),
    /// It does not answer a question.
    #[error("{} does not answer {question}", .path.display())]
    NoAnswer {
        /// The program.
        path: PathBuf,
        /// The option.
        question: String,
    },
}

/// A driver that can be asked.
#[derive(Clone, Debug)]
pub struct Driver {
    path: PathBuf,
}

/// Why a wrapper script's own options cannot be told.
#[derive(Debug, Error)]
pub enum WrapperError {
    /// The script or the compiler behind it doesn't say how it would compile.
    #[error("{} does not tell its options", .0.display())]
    Silent(PathBuf),
    /// The script's compiler cannot be found.
    #[error("cannot find the compiler behind {}", .0.display())]
    NoCompiler(PathBuf),
}

/// What a wrapper script adds to the user's words: which of two options wins depends on their order.
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
}

/// Stands for the user's words when a script is asked.
const MARK: &str = "ICECC_WORDS_OF_THE_USER";

/// Whether a compiler is a script. What cannot be read is none to us; the compile itself will tell.
pub fn is_script(compiler: &Path) -> bool {
    let mut start = Vec::new();
    let was_read = File::open(compiler).and_then(|f| f.take(2).read_to_end(&mut start));
    was_read.is_ok() && start == b"#!"
}

/// The options that a wrapper script adds to those of the compiler it runs (improvement 12): `-m32` of
/// `exec gcc -m32 "$@"`. Servers run the compiler, not the script, so they must be part of the job.
///
/// None for anything but a script; costs four or five runs for one. `path` is the value of PATH.
pub fn wrapper_options(compiler: &Path, path: &OsStr) -> Result<WrapperOptions, WrapperError> {
    if !is_script(compiler) {
        return Ok(WrapperOptions::default());
    }
    let script = Driver::new(compiler);
    let no_compiler = || WrapperError::NoCompiler(compiler.to_path_buf());
    let word = script.collect_gcc().ok_or_else(no_compiler)?;
    let real = find::compiler(&word, path, Path::new("/proc/self/exe")).map_err(|_| no_compiler())?;
    let real = Driver::new(&real);
    let none = WrapperOptions::default();
    let (mut plain, _) = real.collected(&none).ok_or_else(|| WrapperError::Silent(real.path.clone()))?;
    let (all, mark) = script.collected(&none).ok_or_else(|| WrapperError::Silent(compiler.to_path_buf()))?;
    let mut added = WrapperOptions::default();
    for (at, option) in all.iter().cloned().enumerate() {
        if let Some(known) = plain.iter().position(|p| *p == option) {
            plain.swap_remove(known);
        } else if at < mark {
            added.before.push(option);
        } else {
            added.after.push(option);
        }
    }
    // What the driver itself derives, as -march from -m32, stands behind the words too, but must not win over the user's.
    let mut given = added.clone();
    given
        .after
        .retain(|option| !option.as_bytes().starts_with(b"-march=") && !option.as_bytes().starts_with(b"-mtune="));
    let proven = |options: &WrapperOptions| real.collected(options).is_some_and(|(words, _)| words == all);
    [given, added].into_iter().find(proven).ok_or_else(|| WrapperError::Silent(compiler.to_path_buf()))
}

/// The words of a line like `'-m32' '-D' 'A=b c'`; a backslash outside quotes makes the next byte literal.
fn quoted_words(line: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut is_quoted = false;
    let mut bytes = line.iter();
    while let Some(&b) = bytes.next() {
        match b {
            b'\'' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            b'\\' if !is_quoted => word.get_or_insert_default().extend(bytes.next()),
            b' ' if !is_quoted => words.extend(word.take().map(OsString::from_vec)),
            b => word.get_or_insert_default().push(b),
        }
    }
    words.extend(word.map(OsString::from_vec));
    words
}

/// Variables that would make a driver look elsewhere than it does in an environment.
const MISLEADING: [&str; 8] = [
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
];

impl Driver {
    /// The driver at `path`; nothing is asked yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is gcc or clang, by what it defines.
    pub fn kind(&self) -> Result<Kind, DriverError> {
        let refuse = |said| DriverError::NotACompiler { path: self.path.clone(), said };
        let out = self.run(&["-E", "-"], b"clang __clang__ gcc __GNUC__\n").map_err(refuse)?;
        if !out.status.success() {
            return Err(refuse(io::Error::other(String::from_utf8_lossy(&out.stderr).trim_end().to_string())));
        }
        for line in out.stdout.split(|b| *b == b'\n') {
            if line.starts_with(b"clang 1 gcc") {
                return Ok(Kind::Clang);
            }
            if line.starts_with(b"clang __clang__ gcc") && !line.ends_with(b"__GNUC__") {
                return Ok(Kind::Gcc);
            }
        }
        Err(DriverError::Unknown(self.path.clone()))
    }

    /// The answer to `-print-prog-name=NAME`: a path, or the bare word.
    pub fn program(&self, name: &OsStr) -> Option<PathBuf> {
        self.print("-print-prog-name=", name)
    }

    /// The answer to `-print-file-name=NAME`, if it is a path: an answer without one would mean the current folder.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        self.print("-print-file-name=", OsStr::new(name)).filter(|p| p.is_absolute() && p.is_file())
    }

    /// The triple that it makes code for.
    pub fn target(&self) -> Result<String, DriverError> {
        let question = "-dumpmachine";
        let answer = self.line(question).and_then(|l| l.into_string().ok()).filter(|l| !l.is_empty());
        answer.ok_or(DriverError::NoAnswer { path: self.path.clone(), question: question.into() })
    }

    /// The line of `-v` that tells its version, without any path or name of its own: `gcc version 12.2.0 (Debian …)`.
    pub fn version(&self) -> Result<String, DriverError> {
        let said = self.verbose();
        let line = said.lines().find(|l| l.contains("gcc version ") || l.contains("clang version "));
        line.map(|l| l.trim().to_string())
            .ok_or(DriverError::NoAnswer { path: self.path.clone(), question: "-v".into() })
    }

    /// The real gcc that a wrapper runs, by its own word.
    pub fn collect_gcc(&self) -> Option<OsString> {
        let out = self.run(&["-v"], b"").ok()?;
        let line = out.stderr.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(b"COLLECT_GCC="))?;
        Some(OsString::from_vec(line.to_vec()))
    }

    /// Where clang keeps its own headers and lists.
    pub fn resource_folder(&self) -> Option<PathBuf> {
        self.line("-print-resource-dir").map(PathBuf::from).filter(|p| p.is_absolute())
    }

    /// The options that gcc collects for a plain `-c` with some `around` it, its defaults included; and where among them the user's words would be.
    fn collected(&self, around: &WrapperOptions) -> Option<(Vec<OsString>, usize)> {
        let mark = format!("-D{MARK}");
        let asked = ["-###", &mark, "-c", "-x", "c", "/dev/null", "-o", "/dev/null"].map(OsString::from);
        let words: Vec<&OsString> = around.before.iter().chain(&asked).chain(&around.after).collect();
        let out = self.run(&words, b"").ok()?;
        let line = out.stderr.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(b"COLLECT_GCC_OPTIONS="))?;
        let mut words = quoted_words(line);
        // gcc shows `-DX` as two words.
        let is_mark =
            |word: &OsString| word.as_bytes().strip_prefix(b"-D").unwrap_or(word.as_bytes()) == MARK.as_bytes();
        let mut at = words.iter().position(is_mark)?;
        if words.remove(at) == *MARK {
            at = at.checked_sub(1)?;
            words.remove(at);
        }
        Some((words, at))
    }

    fn verbose(&self) -> String {
        self.run(&["-v"], b"").map(|o| String::from_utf8_lossy(&o.stderr).into_owned()).unwrap_or_default()
    }

    fn print(&self, question: &str, name: &OsStr) -> Option<PathBuf> {
        let mut option = OsString::from(question);
        option.push(name);
        self.line(option).map(PathBuf::from).filter(|p| !p.as_os_str().is_empty())
    }

    fn line(&self, option: impl AsRef<OsStr>) -> Option<OsString> {
        let out = self.run(&[option], b"").ok()?;
        let line = out.stdout.split(|b| *b == b'\n').next().unwrap_or_default();
        out.status.success().then(|| OsStr::from_bytes(line).to_os_string())
    }

    fn run(&self, options: &[impl AsRef<OsStr>], input: &[u8]) -> io::Result<Output> {
        let mut command = Command::new(&self.path);
        command.args(options).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in MISLEADING {
            command.env_remove(name);
        }
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A few bytes; whoever doesn't read them shows it by the answer.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn words_in_quotes() {
        let words = quoted_words(br"'-m32' '-DX='\''a b'\''' '' '-c'");
        assert_eq!(words, ["-m32", "-DX='a b'", "", "-c"]);
    }

    #[test]
    fn e6_a_scripts_own_options_are_told() {
        let path = OsStr::new("/usr/bin");
        let Some(gcc) = find::program(OsStr::new("gcc"), path) else {
            eprintln!("skipped: no /usr/bin/gcc");
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, text: String| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let plain = script("plain", format!("#!/bin/sh\nexec {} \"$@\"\n", gcc.display()));
        assert!(wrapper_options(&plain, path).unwrap().is_empty());
        let adds = script("adds", format!("#!/bin/sh\nexec {} -fwrapv -DA='b c' \"$@\"\n", gcc.display()));
        let added = wrapper_options(&adds, path).unwrap();
        assert_eq!(
            (added.before.as_slice(), added.after.len()),
            (&["-fwrapv", "-D", "A=b c"].map(OsString::from)[..], 0)
        );
        let wins = script("wins", format!("#!/bin/sh\nexec {} -m32 \"$@\" -O2\n", gcc.display()));
        let added = wrapper_options(&wins, path).unwrap();
        assert_eq!((added.before.as_slice(), added.after.as_slice()), (&["-m32".into()][..], &["-O2".into()][..]));
        assert!(wrapper_options(&gcc, path).unwrap().is_empty());
        let other = script("other", "#!/bin/sh\nexit 0\n".to_string());
        assert!(matches!(wrapper_options(&other, path), Err(WrapperError::NoCompiler(_))));
    }
}
