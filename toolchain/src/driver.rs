//! Queries to a compiler driver: what it is, where its parts are, how it would compile.

use crate::find;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::iter;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use thiserror::Error;

/// The kind of a compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// GNU gcc.
    Gcc,
    /// LLVM clang.
    Clang,
}

impl Kind {
    /// `gcc` or `clang`, as written in an environment's description.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gcc => "gcc",
            Self::Clang => "clang",
        }
    }
}

/// Why a compiler cannot be queried. The texts of the first two are 1.4's.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The program does not preprocess, so it is no compiler.
    #[error("{} is not a compiler.", .path.display())]
    NotACompiler {
        /// The program.
        path: PathBuf,
        /// Its error output, or why it did not start.
        #[source]
        source: io::Error,
    },
    /// The program preprocesses, but is neither gcc nor clang.
    #[error("{} is not a known compiler.", .0.display())]
    Unknown(PathBuf),
    /// The compiler does not answer an option that asks for information.
    #[error("{} does not answer {question}", .path.display())]
    NoAnswer {
        /// The program.
        path: PathBuf,
        /// The option.
        question: String,
    },
}

/// A compiler driver that can be queried. Each query runs it.
#[derive(Clone, Debug)]
pub struct Driver {
    path: PathBuf,
}

/// Splits a line of quoted arguments like `'-m32' '-D' 'A=b c'`, or clang's `"-triple" "x"`. A backslash outside single
/// quotes makes the next byte literal.
pub(crate) fn split_quoted(line: &[u8]) -> Vec<OsString> {
    let mut args = Vec::new();
    let mut arg: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = line.iter();
    while let Some(&b) = bytes.next() {
        match (b, quote) {
            (b'\'' | b'"', None) => {
                quote = Some(b);
                arg.get_or_insert_default();
            }
            (b, Some(open)) if b == open => quote = None,
            (b'\\', None | Some(b'"')) => arg.get_or_insert_default().extend(bytes.next()),
            (b' ', None) => args.extend(arg.take().map(OsString::from_vec)),
            (b, _) => arg.get_or_insert_default().push(b),
        }
    }
    args.extend(arg.map(OsString::from_vec));
    args
}

/// The arguments of a line that runs an assembler, without its name and its input. With `-pipe` the input has no name.
fn assembler_args(line: &[u8]) -> Option<Vec<OsString>> {
    let mut args = split_quoted(line.strip_prefix(b" ")?);
    let name = Path::new(args.first()?).file_name()?.as_bytes();
    if name != b"as" && !name.ends_with(b"-as") {
        return None;
    }
    args.remove(0);
    if args.last().is_some_and(|last| last.as_bytes().ends_with(b".s")) {
        args.pop();
    }
    Some(args)
}

/// How a driver would compile, by its own output of `-###`.
pub(crate) struct DryRun {
    /// Of which kind the compiler is.
    pub(crate) kind: Kind,
    /// The compiler, as it was called.
    compiler: OsString,
    /// For gcc, the options that it collected, with its defaults; for clang, those of its inner program `-cc1` without
    /// the header directories.
    pub(crate) args: Vec<OsString>,
    /// The options of the assembler, if one is run: gcc prints `-Wa,X` nowhere else. The input is left out, as its name
    /// may differ each time.
    assembler: Vec<OsString>,
}

impl DryRun {
    /// Whether both would produce the same object.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        (&self.args, &self.assembler) == (&other.args, &other.assembler)
    }

    /// The compiler's file. `path` is the value of PATH.
    pub(crate) fn compiler(&self, path: &OsStr) -> Option<PathBuf> {
        find::compiler(&self.compiler, path, Path::new("/proc/self/exe")).ok()
    }
}

/// Environment variables that would make a driver look for files elsewhere than in an environment, or write files of
/// the user's.
const MISLEADING_VARIABLES: [&str; 13] = [
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
    /// A driver at `path`. It is not run yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// The driver's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Determines whether it is gcc or clang, by the macros that it defines.
    pub fn kind(&self) -> Result<Kind, DriverError> {
        let refuse = |source| DriverError::NotACompiler { path: self.path.clone(), source };
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

    /// The answer to `-print-prog-name=NAME`: a path, or the name unchanged if the driver has no such program of its
    /// own.
    pub fn program(&self, name: &OsStr) -> Option<PathBuf> {
        self.print("-print-prog-name=", name)
    }

    /// The answer to `-print-file-name=NAME`, if it is an absolute path of a file. A bare name means that there is
    /// none.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        self.print("-print-file-name=", OsStr::new(name)).filter(|p| p.is_absolute() && p.is_file())
    }

    /// The triple that it generates code for.
    pub fn target(&self) -> Result<String, DriverError> {
        let question = "-dumpmachine";
        let answer = self.line(question).and_then(|l| l.into_string().ok()).filter(|l| !l.is_empty());
        answer.ok_or(DriverError::NoAnswer { path: self.path.clone(), question: question.into() })
    }

    /// The version line of `-v`, without the compiler's path or name: `gcc version 12.2.0 (Debian …)`.
    pub fn version(&self) -> Result<String, DriverError> {
        let output = self.verbose();
        let line = output.lines().find(|l| l.contains("gcc version ") || l.contains("clang version "));
        line.map(|l| l.trim().to_string())
            .ok_or(DriverError::NoAnswer { path: self.path.clone(), question: "-v".into() })
    }

    /// The gcc that a wrapper runs, by `COLLECT_GCC` in the output of `-v`.
    pub fn collect_gcc(&self) -> Option<OsString> {
        let out = self.run(&["-v"], b"").ok()?;
        let line = out.stderr.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(b"COLLECT_GCC="))?;
        Some(OsString::from_vec(line.to_vec()))
    }

    /// The directory of clang's own headers and lists.
    pub fn resource_dir(&self) -> Option<PathBuf> {
        self.line("-print-resource-dir").map(PathBuf::from).filter(|p| p.is_absolute())
    }

    /// How it would compile with the arguments `args`. With `-###` neither gcc nor clang writes any file. `None` if it
    /// does not start or prints something else.
    pub(crate) fn dry_run(&self, args: &[&OsStr]) -> Option<DryRun> {
        let asked: Vec<&OsStr> = iter::once(OsStr::new("-###")).chain(args.iter().copied()).collect();
        let out = self.run(&asked, b"").ok()?;
        let mut lines = out.stderr.split(|b| *b == b'\n');
        let assembler = lines.clone().find_map(assembler_args).unwrap_or_default();
        let tail = |start: &[u8]| lines.clone().find_map(|line| line.strip_prefix(start));
        if let Some(options) = tail(b"COLLECT_GCC_OPTIONS=") {
            let compiler = OsStr::from_bytes(tail(b"COLLECT_GCC=")?).to_os_string();
            return Some(DryRun { kind: Kind::Gcc, compiler, args: split_quoted(options), assembler });
        }
        let is_inner = |args: &Vec<OsString>| args.get(1).is_some_and(|arg| arg == "-cc1");
        let mut args = lines.find_map(|line| Some(split_quoted(line)).filter(is_inner))?;
        let compiler = args.remove(0);
        // The header directories depend on the path by which the driver was called, but no object depends on them.
        while let Some(at) =
            args.iter().position(|arg| arg == "-internal-isystem" || arg == "-internal-externc-isystem")
        {
            args.drain(at..args.len().min(at + 2));
        }
        // The file handed to an assembler is a temporary one with another name each time.
        if let Some(at) = args.iter().position(|arg| arg == "-o").filter(|_| !assembler.is_empty()) {
            args.drain(at..args.len().min(at + 2));
        }
        Some(DryRun { kind: Kind::Clang, compiler, args, assembler })
    }

    /// The error output of `-v`; empty if the driver does not start.
    fn verbose(&self) -> String {
        self.run(&["-v"], b"").map(|o| String::from_utf8_lossy(&o.stderr).into_owned()).unwrap_or_default()
    }

    /// The answer to an option that ends with a name.
    fn print(&self, question: &str, name: &OsStr) -> Option<PathBuf> {
        let mut option = OsString::from(question);
        option.push(name);
        self.line(option).map(PathBuf::from).filter(|p| !p.as_os_str().is_empty())
    }

    /// The first line of the answer to `option`, if the driver succeeds.
    fn line(&self, option: impl AsRef<OsStr>) -> Option<OsString> {
        let out = self.run(&[option], b"").ok()?;
        let line = out.stdout.split(|b| *b == b'\n').next().unwrap_or_default();
        out.status.success().then(|| OsStr::from_bytes(line).to_os_string())
    }

    /// Runs the driver with `options` and `input` in a neutral environment.
    fn run(&self, options: &[impl AsRef<OsStr>], input: &[u8]) -> io::Result<Output> {
        let mut command = Command::new(&self.path);
        command.args(options).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in MISLEADING_VARIABLES {
            command.env_remove(name);
        }
        // A wrapper may call our own client. Only the compiler's own answer is wanted, and a client that queried the
        // wrapper again would loop for ever.
        command.env("ICECC", "disable");
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // The input is a few bytes. A program that does not read them reveals itself by its answer.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_arguments_are_split() {
        let args = split_quoted(br"'-m32' '-DX='\''a b'\''' '' '-c'");
        assert_eq!(args, ["-m32", "-DX='a b'", "", "-c"]);
        assert_eq!(split_quoted(br#" "/x/clang" "-cc1" "a\"b" -D'"'"#), ["/x/clang", "-cc1", "a\"b", "-D\""]);
    }
}
