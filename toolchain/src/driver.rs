//! A compiler driver, asked what it is.

use crate::find;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::iter;
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

/// The words of a line like `'-m32' '-D' 'A=b c'`, or of clang's `"-triple" "x"`; a backslash outside single quotes makes the next
/// byte literal.
pub(crate) fn quoted_words(line: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = line.iter();
    while let Some(&b) = bytes.next() {
        match (b, quote) {
            (b'\'' | b'"', None) => {
                quote = Some(b);
                word.get_or_insert_default();
            }
            (b, Some(open)) if b == open => quote = None,
            (b'\\', None | Some(b'"')) => word.get_or_insert_default().extend(bytes.next()),
            (b' ', None) => words.extend(word.take().map(OsString::from_vec)),
            (b, _) => word.get_or_insert_default().push(b),
        }
    }
    words.extend(word.map(OsString::from_vec));
    words
}

/// The words of a line that runs an assembler, without its own name and its input. With `-pipe` the input has no name.
fn assembler_words(line: &[u8]) -> Option<Vec<OsString>> {
    let mut words = quoted_words(line.strip_prefix(b" ")?);
    let name = Path::new(words.first()?).file_name()?.as_bytes();
    if name != b"as" && !name.ends_with(b"-as") {
        return None;
    }
    words.remove(0);
    if words.last().is_some_and(|last| last.as_bytes().ends_with(b".s")) {
        words.pop();
    }
    Some(words)
}

/// How a driver would compile some words, by its own account.
pub(crate) struct Account {
    pub(crate) kind: Kind,
    /// Itself, as it was called.
    compiler: OsString,
    /// gcc: the options it collected, its defaults included. clang: those of its inner program, but for header folders.
    pub(crate) words: Vec<OsString>,
    /// Those of the assembler that it runs, if it does: `-Wa,X` is nowhere else in gcc's account. Without its input, which may
    /// have another name each time.
    assembler: Vec<OsString>,
}

impl Account {
    /// Whether another driver would compile the same way.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        (&self.words, &self.assembler) == (&other.words, &other.assembler)
    }

    /// Its file. `path` is the value of PATH.
    pub(crate) fn compiler(&self, path: &OsStr) -> Option<PathBuf> {
        find::compiler(&self.compiler, path, Path::new("/proc/self/exe")).ok()
    }
}

/// Variables that would make a driver look elsewhere than it does in an environment, or write files of the user's.
const MISLEADING: [&str; 13] = [
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "CCC_OVERRIDE_OPTIONS",
    "CC_PRINT_OPTIONS",
    "CC_PRINT_HEADERS",
    "CC_LOG_DIAGNOSTICS",
    "CC_PRINT_PROC_STAT",
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

    /// How it would compile `words`. Neither gcc nor clang writes anything when asked so.
    pub(crate) fn account(&self, words: &[&OsStr]) -> Option<Account> {
        let asked: Vec<&OsStr> = iter::once(OsStr::new("-###")).chain(words.iter().copied()).collect();
        let out = self.run(&asked, b"").ok()?;
        let mut lines = out.stderr.split(|b| *b == b'\n');
        let assembler = lines.clone().find_map(assembler_words).unwrap_or_default();
        let tail = |start: &[u8]| lines.clone().find_map(|line| line.strip_prefix(start));
        if let Some(options) = tail(b"COLLECT_GCC_OPTIONS=") {
            let compiler = OsStr::from_bytes(tail(b"COLLECT_GCC=")?).to_os_string();
            return Some(Account { kind: Kind::Gcc, compiler, words: quoted_words(options), assembler });
        }
        let is_inner = |words: &Vec<OsString>| words.get(1).is_some_and(|word| word == "-cc1");
        let mut words = lines.find_map(|line| Some(quoted_words(line)).filter(is_inner))?;
        let compiler = words.remove(0);
        // Where it looks for headers, which a driver words by the path that it was called by: nothing that an object depends on.
        while let Some(at) =
            words.iter().position(|word| word == "-internal-isystem" || word == "-internal-externc-isystem")
        {
            words.drain(at..words.len().min(at + 2));
        }
        // What it hands to an assembler has another name each time.
        if let Some(at) = words.iter().position(|word| word == "-o").filter(|_| !assembler.is_empty()) {
            words.drain(at..words.len().min(at + 2));
        }
        Some(Account { kind: Kind::Clang, compiler, words, assembler })
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
        // A wrapper may lead to a client of ours. Only the compiler's own answer is wanted: a client that asked the wrapper again
        // would not come to an end.
        command.env("ICECC", "disable");
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

    #[test]
    fn words_in_quotes() {
        let words = quoted_words(br"'-m32' '-DX='\''a b'\''' '' '-c'");
        assert_eq!(words, ["-m32", "-DX='a b'", "", "-c"]);
        assert_eq!(quoted_words(br#" "/x/clang" "-cc1" "a\"b" -D'"'"#), ["/x/clang", "-cc1", "a\"b", "-D\""]);
    }
}
