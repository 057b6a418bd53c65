//! The command line of icecc-create-env, every form of 1.4's.
//!
//! pico-args reads the options. It has none with two values, as `--gcc GCC GXX`, and no operand that is one only behind a certain
//! option or if it names a file: what names the compilers is read here.

use crate::cli::words::{Words, WordsError};
use ice_toolchain::archive::Compression;
use ice_toolchain::driver::Kind;
use ice_toolchain::native::Wanted;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the command line is wrong; the texts are 1.4's.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ArgError {
    /// No compiler: the usage is shown.
    #[error("no compiler given")]
    NoCompiler,
    /// Something that is no option.
    #[error("Unknown argument '{}'", Path::new(.0).display())]
    Unknown(OsString),
    /// `--compression` with a wrong word, or none.
    #[error("Unknown compression type '{}'.", Path::new(.0).display())]
    Compression(OsString),
    /// `--addfile` without a name.
    #[error("--addfile needs the name of a file")]
    AddFile,
}

/// What shall be done.
#[derive(Debug)]
pub enum Task {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// An archive.
    Make(Making),
}

/// What shall be made.
#[derive(Debug, Default)]
pub struct Making {
    /// One compiler, or gcc and clang.
    pub compilers: Vec<Wanted>,
    /// The program of the old clang form's second argument.
    pub wrapper: Option<PathBuf>,
    /// `--addfile`, in order.
    pub extra: Vec<PathBuf>,
    /// The last `--compression`.
    pub compression: Compression,
    /// The archive is not tried before it is given out (ours).
    pub unchecked: bool,
    /// No archive is made: only its name is told (ours).
    pub name_only: bool,
}

/// Reads the arguments behind the program's name. `is_file` tells whether a file exists: 1.4 takes the argument behind
/// `--clang CLANG` for the wrapper only if it does.
pub fn parse(args: &[OsString], is_file: &dyn Fn(&Path) -> bool) -> Result<Task, ArgError> {
    let mut rest = args.iter().map(OsString::as_os_str).peekable();
    let mut making = Making::default();
    rest.next_if(|a| *a == "--respect-path");
    match rest.next() {
        None => return Err(ArgError::NoCompiler),
        Some(word) if word == "--help" || word == "-h" => return Ok(Task::Help),
        Some(word) if word == "--version" => return Ok(Task::Version),
        Some(first) if first == "--gcc" || first == "--clang" => {
            let mut form = first;
            loop {
                if form == "--gcc" {
                    let gcc = rest.next().filter(|a| !a.is_empty()).ok_or(ArgError::NoCompiler)?;
                    let gxx = rest.next().filter(|a| !a.is_empty()).ok_or(ArgError::NoCompiler)?;
                    making.compilers.push(wanted(gcc, Some(gxx), Some(Kind::Gcc)));
                } else {
                    let clang = rest.next().filter(|a| !a.is_empty()).ok_or(ArgError::NoCompiler)?;
                    making.compilers.push(wanted(clang, None, Some(Kind::Clang)));
                    let is_wrapper = |a: &&OsStr| *a != "--addfile" && *a != "--gcc" && is_file(Path::new(a));
                    if let Some(wrapper) = rest.next_if(is_wrapper) {
                        making.wrapper = Some(wrapper.into());
                    }
                }
                match rest.next_if(|a| *a == if form == "--gcc" { "--clang" } else { "--gcc" }) {
                    Some(other) if making.compilers.len() < 2 => form = other,
                    Some(again) => return Err(ArgError::Unknown(again.into())),
                    None => break,
                }
            }
            // One archive, one name: whichever came first.
            making.compilers.sort_by_key(|w| w.kind == Some(Kind::Clang));
        }
        Some(first) if first.as_bytes().starts_with(b"-") => return Err(ArgError::Unknown(first.into())),
        Some(compiler) => {
            let cxx = rest.next_if(|a| !a.as_bytes().starts_with(b"--"));
            making.compilers.push(wanted(compiler, cxx, None));
        }
    }
    options(rest.map(OsStr::to_os_string), making)
}

/// What stands behind the compilers.
fn options(rest: impl Iterator<Item = OsString>, mut making: Making) -> Result<Task, ArgError> {
    let mut rest = Words::new(rest, &["--addfile", "--compression"]);
    for file in rest.values("--addfile").map_err(|_| ArgError::AddFile)? {
        making.extra.push(if file.is_empty() { return Err(ArgError::AddFile) } else { file.into() });
    }
    for word in rest.values("--compression").map_err(|_| ArgError::Compression(OsString::new()))? {
        let known = Compression::parse(word.as_bytes());
        making.compression = known.ok_or(ArgError::Compression(word))?;
    }
    making.unchecked = rest.flag("--no-check");
    making.name_only = rest.flag("--name-only");
    if rest.flag(["-h", "--help"]) {
        return Ok(Task::Help);
    }
    if rest.flag("--version") {
        return Ok(Task::Version);
    }
    match rest.operands() {
        Ok(operands) => operands.into_iter().next().map_or(Ok(Task::Make(making)), |more| Err(ArgError::Unknown(more))),
        Err(WordsError::Unknown(option)) => Err(ArgError::Unknown(option)),
        Err(WordsError::NoValue(option)) => Err(ArgError::Unknown(option.into())),
    }
}

fn wanted(compiler: &OsStr, cxx: Option<&OsStr>, kind: Option<Kind>) -> Wanted {
    Wanted { compiler: compiler.into(), cxx: cxx.map(OsStr::to_os_string), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Making, String> {
        let args: Vec<OsString> = line.split(' ').filter(|a| !a.is_empty()).map(OsString::from).collect();
        match parse(&args, &|path| path == Path::new("/wrapper")) {
            Ok(Task::Make(making)) => Ok(making),
            Ok(other) => Err(format!("{other:?}")),
            Err(e) => Err(e.to_string()),
        }
    }

    fn compilers(making: &Making) -> Vec<(&str, Option<&str>, Option<Kind>)> {
        making
            .compilers
            .iter()
            .map(|w| (w.compiler.to_str().unwrap(), w.cxx.as_ref().and_then(|c| c.to_str()), w.kind))
            .collect()
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(compilers(&read("gcc").unwrap()), [("gcc", None, None)]);
        assert_eq!(compilers(&read("--respect-path gcc g++").unwrap()), [("gcc", Some("g++"), None)]);
        let both = [("/g", Some("/gx"), Some(Kind::Gcc)), ("/c", None, Some(Kind::Clang))];
        let one = read("--gcc /g /gx --clang /c /wrapper --addfile a").unwrap();
        assert_eq!((compilers(&one), one.wrapper.as_deref()), (both.to_vec(), Some(Path::new("/wrapper"))));
        let other = read("--clang /c --gcc /g /gx").unwrap();
        assert_eq!((compilers(&other), &other.wrapper), (both.to_vec(), &None));
        assert_eq!(compilers(&read("--clang /c --addfile x").unwrap()), [("/c", None, Some(Kind::Clang))]);
    }

    #[test]
    fn options_come_in_both_spellings() {
        let making = read("gcc --addfile a --compression xz --addfile=b=c --compression=zstd").unwrap();
        assert_eq!(making.extra, [Path::new("a"), Path::new("b=c")]);
        assert_eq!(making.compression, Compression::Zstd);
        assert_eq!(read("gcc").unwrap().compression, Compression::Gzip);
    }

    #[test]
    fn e14_errors_have_the_known_words() {
        for (line, words) in [
            ("", "no compiler given"),
            ("--gcc", "no compiler given"),
            ("gcc --compression zst", "Unknown compression type 'zst'."),
            ("gcc --compression", "Unknown compression type ''."),
            ("gcc --foo", "Unknown argument '--foo'"),
            ("gcc g++ more", "Unknown argument 'more'"),
            ("--foo", "Unknown argument '--foo'"),
            ("gcc --addfile", "--addfile needs the name of a file"),
            ("--help", "Help"),
            ("gcc --version", "Version"),
        ] {
            assert_eq!(read(line).unwrap_err(), words, "{line}");
        }
    }
}
