//! The command line of icecc-create-env, with every form of 1.4's.
//!
//! pico-args reads the options. It knows no options with two values, such as `--gcc GCC GXX`, and no operands that
//! depend on an option or on whether a file exists, so the compilers are read here.

use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};
use crate::cli::words::Words;
use crate::cli::{BadValue, ParseError, unknown};
use ice_toolchain::archive::Compression;
use ice_toolchain::driver::Kind;
use ice_toolchain::native::Wanted;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The program's table, for help, manual and shells.
pub const PROGRAM: Program = Program {
    name: "icecc-create-env",
    title: "icecc-create-env",
    about: "Creates an icecream environment: an archive with a compiler and all that it needs to run elsewhere.",
    usage: &[
        "icecc-create-env COMPILER [CXX] [OPTION]...",
        "icecc-create-env --gcc GCC GXX [--clang CLANG [WRAPPER]] [OPTION]...",
        "icecc-create-env --clang CLANG [WRAPPER] [--gcc GCC GXX] [OPTION]...",
    ],
    above: "\
COMPILER is gcc, clang, or the name or path of a cross compiler; links and wrapper scripts are looked through.
The archive appears in the current folder, named for its content.
",
    options: TABLE,
    below: "",
    operands: Completes::Command,
};

/// What has to be named.
const COMPILER: &str = "a compiler";

/// The values of `--compression`.
const COMPRESSIONS: [&str; 6] = ["none", "gzip", "bzip2", "xz", "zstd", "lz4"];

const TABLE: &[Opt] = &[
    option("gcc", "pack these two").takes("GCC GXX", Completes::Command),
    option("clang", "pack this clang; WRAPPER is for servers of old versions")
        .takes("CLANG [WRAPPER]", Completes::Command)
        .manual("Pack this clang. *WRAPPER* is the program of 1.4 that is packed for servers of old versions."),
    option("respect-path", "taken as the first word, as by 1.4; compilers are always found by PATH"),
    option("addfile", "add a file with its libraries, or a folder with all below it; may be repeated")
        .takes("FILE", Completes::File)
        .manual("Add a file with its libraries, or a folder with all below it. May be repeated."),
    option("compression", "none, gzip (default), bzip2, xz, zstd; lz4 for servers of icecream-rs only")
        .takes("TYPE", Completes::Word(&COMPRESSIONS))
        .manual("`none`, `gzip` (the default), `bzip2`, `xz` or `zstd`; `lz4` for servers of icecream-rs only."),
    option("no-check", "do not try the compilers before the archive is given out"),
    option("name-only", "make no archive: print its files and, as the last line, the environment's name")
        .manual("Make no archive: print the files that belong to it and, as the last line, the environment's name."),
    HELP.short('h'),
    SHOW_VERSION,
];

/// What the command line requests.
#[derive(Debug)]
pub enum Task {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// Make an archive.
    Make(Making),
}

/// The archive to make.
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
    /// The archive is not tried before it is published (our own option).
    pub unchecked: bool,
    /// No archive is made, only its name is printed (our own option).
    pub name_only: bool,
}

/// Parses the arguments after the program's name. `is_file` tells whether a file exists: 1.4 uses the argument after
/// `--clang CLANG` as the wrapper only if it does.
pub fn parse(args: &[OsString], is_file: &dyn Fn(&Path) -> bool) -> Result<Task, ParseError> {
    let mut rest = args.iter().map(OsString::as_os_str).peekable();
    let mut making = Making::default();
    rest.next_if(|a| *a == "--respect-path");
    match rest.next() {
        None => return Err(ParseError::Nothing(COMPILER)),
        Some(word) if word == "--help" || word == "-h" => return Ok(Task::Help),
        Some(word) if word == "--version" => return Ok(Task::Version),
        Some(first) if first == "--gcc" || first == "--clang" => {
            let mut form = first;
            loop {
                if form == "--gcc" {
                    let gcc = rest.next().filter(|a| !a.is_empty()).ok_or(ParseError::Nothing(COMPILER))?;
                    let gxx = rest.next().filter(|a| !a.is_empty()).ok_or(ParseError::Nothing(COMPILER))?;
                    making.compilers.push(wanted(gcc, Some(gxx), Some(Kind::Gcc)));
                } else {
                    let clang = rest.next().filter(|a| !a.is_empty()).ok_or(ParseError::Nothing(COMPILER))?;
                    making.compilers.push(wanted(clang, None, Some(Kind::Clang)));
                    let is_wrapper = |a: &&OsStr| *a != "--addfile" && *a != "--gcc" && is_file(Path::new(a));
                    if let Some(wrapper) = rest.next_if(is_wrapper) {
                        making.wrapper = Some(wrapper.into());
                    }
                }
                match rest.next_if(|a| *a == if form == "--gcc" { "--clang" } else { "--gcc" }) {
                    Some(other) if making.compilers.len() < 2 => form = other,
                    Some(again) => return Err(ParseError::Operand(again.into())),
                    None => break,
                }
            }
            // The first of several options for one name counts.
            making.compilers.sort_by_key(|w| w.kind == Some(Kind::Clang));
        }
        Some(first) if first.as_bytes().starts_with(b"-") => {
            return Err(unknown(TABLE, first.to_string_lossy().into_owned()));
        }
        Some(compiler) => {
            let cxx = rest.next_if(|a| !a.as_bytes().starts_with(b"--"));
            making.compilers.push(wanted(compiler, cxx, None));
        }
    }
    options(rest.map(OsStr::to_os_string), making)
}

/// The operands after the compilers.
fn options(rest: impl Iterator<Item = OsString>, mut making: Making) -> Result<Task, ParseError> {
    let mut rest = Words::new(rest, TABLE);
    for value in rest.values("--addfile")? {
        let file = PathBuf::from(&value);
        making.extra.push(if value.is_empty() { return Err(bad("--addfile", "a file", value)) } else { file });
    }
    for value in rest.values("--compression")? {
        let known = Compression::parse(value.as_bytes());
        making.compression = known.ok_or_else(|| bad("--compression", &COMPRESSIONS.join(", "), value))?;
    }
    making.unchecked = rest.flag(["--no-check"]);
    making.name_only = rest.flag(["--name-only"]);
    if rest.flag(["-h", "--help"]) {
        return Ok(Task::Help);
    }
    if rest.flag(["--version"]) {
        return Ok(Task::Version);
    }
    rest.operands()?.into_iter().next().map_or(Ok(Task::Make(making)), |more| Err(ParseError::Operand(more)))
}

fn bad(option: &str, wanted: &str, value: OsString) -> ParseError {
    BadValue { option: option.to_owned(), wanted: wanted.to_owned(), value }.into()
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
    fn every_row_is_taken() {
        for option in TABLE {
            for written in option.written() {
                let line = match option.long {
                    "gcc" => format!("{written} g gx"),
                    "clang" => format!("{written} c"),
                    "respect-path" => format!("{written} gcc"),
                    _ => format!("gcc {written}"),
                };
                let Completes::Word(words) = option.completes else {
                    let value = if option.long == "addfile" { " a" } else { "" };
                    let read = read(&format!("{line}{value}"));
                    assert!(read.as_ref().err().is_none_or(|e| e == "Help" || e == "Version"), "{line}: {read:?}");
                    continue;
                };
                for word in words {
                    assert!(read(&format!("{line} {word}")).is_ok(), "{line} {word}");
                }
            }
        }
    }

    #[test]
    fn e14_errors_name_option_and_value() {
        for (line, words) in [
            ("", "a compiler has to be named"),
            ("--gcc", "a compiler has to be named"),
            ("gcc --compression zst", "--compression wants none, gzip, bzip2, xz, zstd, lz4, not \"zst\""),
            ("gcc --compression", "--compression wants a value, TYPE"),
            ("gcc --foo", "unknown option --foo"),
            ("gcc g++ more", "unknown word \"more\""),
            ("--foo", "unknown option --foo"),
            ("gcc --addfile", "--addfile wants a value, FILE"),
            ("gcc --addfile=", "--addfile wants a file, not \"\""),
            ("--help", "Help"),
            ("gcc --version", "Version"),
        ] {
            assert_eq!(read(line).unwrap_err(), words, "{line}");
        }
    }
}
