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

/// The options that a wrapper script adds to those of the compiler it runs (improvement 12): `-m32` of
/// `exec gcc -m32 "$@"`. Servers run the compiler, not the script, so they must be part of the job.
///
/// Empty for anything but a script; costs three runs for one. `path` is the value of PATH.
pub fn wrapper_options(compiler: &Path, path: &OsStr) -> Result<Vec<OsString>, WrapperError> {
    let mut start = Vec::new();
    // What cannot be read is no script to us; the compile itself will tell.
    let was_read = File::open(compiler).and_then(|f| f.take(2).read_to_end(&mut start));
    if was_read.is_err() || start != b"#!" {
        return Ok(Vec::new());
    }
    let script = Driver::new(compiler);
    let no_compiler = || WrapperError::NoCompiler(compiler.to_path_buf());
    let word = script.collect_gcc().ok_or_else(no_compiler)?;
    let real = find::compiler(&word, path, Path::new("/proc/self/exe")).map_err(|_| no_compiler())?;
    let mut plain = Driver::new(&real).collected().ok_or_else(|| WrapperError::Silent(real.clone()))?;
    let mut added = script.collected().ok_or_else(|| WrapperError::Silent(compiler.to_path_buf()))?;
    added.retain(|option| match plain.iter().position(|p| p == option) {
        Some(at) => {
            plain.swap_remove(at);
            false
        }
        None => true,
    });
    Ok(added)
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

    /// The options that gcc collects for a plain `-c`, its defaults included.
    fn collected(&self) -> Option<Vec<OsString>> {
        let out = self.run(&["-###", "-c", "-x", "c", "/dev/null", "-o", "/dev/null"], b"").ok()?;
        let line = out.stderr.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(b"COLLECT_GCC_OPTIONS="))?;
        Some(quoted_words(line))
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
        assert_eq!(wrapper_options(&plain, path).unwrap(), [""; 0]);
        let adds = script("adds", format!("#!/bin/sh\nexec {} -fwrapv -DA='b c' \"$@\"\n", gcc.display()));
        assert_eq!(wrapper_options(&adds, path).unwrap(), ["-fwrapv", "-D", "A=b c"]);
        assert_eq!(wrapper_options(&gcc, path).unwrap(), [""; 0]);
        let other = script("other", "#!/bin/sh\nexit 0\n".to_string());
        assert!(matches!(wrapper_options(&other, path), Err(WrapperError::NoCompiler(_))));
    }
}
