//! Options of the client's own, and calls without a command.

use super::role::Role;
use super::variables::Variables;
use super::{build_native, doctor, explain, help, links, statistics, trace};
use crate::cli::table::Program;
use crate::cli::words::{Words, only};
use crate::cli::{ParseError, unknown};
use crate::exit::{Failure, print};
use ice_core::statistics::Period;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is asked of the client itself.
#[derive(Debug, PartialEq, Eq)]
enum Own {
    Help,
    Version,
    BuildNative(Vec<OsString>),
    Doctor { as_json: bool },
    Explain { command: Vec<OsString>, as_json: bool },
    Stats { period: Period, as_json: bool },
    Trace { file: PathBuf },
    InspectEnv { archive: PathBuf, as_json: bool },
    UpdateLinks { directories: Vec<PathBuf>, dry_run: bool },
}

/// `--help` and its like, and what is no command at all.
pub(super) fn own_option(
    role: Role,
    words: &[OsString],
    variables: &Variables,
    own_exe: &Path,
) -> Result<Option<i32>, Failure> {
    let program = role.program();
    if words.is_empty() {
        return Err(
            Failure::wrong(ParseError::Nothing("a command")).hint(format!("{} --help tells more", program.name))
        );
    }
    let Some(own) = parse(program, words)? else { return Ok(None) };
    let code = match own {
        Own::Help => print(&program.help())?,
        Own::Version => print(&program.version())?,
        Own::BuildNative(words) => return Err(build_native::run(&words, variables, own_exe)),
        Own::Doctor { as_json } => doctor::run(as_json, variables, own_exe)?,
        Own::Explain { command, as_json } => explain::run(command, as_json, variables, own_exe)?,
        Own::Stats { period, as_json } => statistics::run(period, as_json, variables)?,
        Own::Trace { file } => trace::run(&file, variables)?,
        Own::InspectEnv { archive, as_json } => crate::create_env::inspect(&archive, as_json)?,
        Own::UpdateLinks { directories, dry_run } => {
            links::run(directories, dry_run, &variables.path, own_exe)?;
            0
        }
    };
    Ok(Some(code.into()))
}

/// As in 1.4, only the first argument is an option of ours: the others are the compiler's, or of what it asks for.
fn parse(program: &Program, words: &[OsString]) -> Result<Option<Own>, Failure> {
    let Some((first, rest)) = words.split_first().filter(|(first, _)| is_option(first)) else {
        return Ok(None);
    };
    let mut option = Words::new([first.clone()], program.options);
    if option.flag(["--help"]) {
        return Ok(Some(Own::Help));
    }
    if option.flag(["--version"]) {
        return Ok(Some(Own::Version));
    }
    if program.name == help::ICECC.name {
        if option.flag(["--build-native"]) {
            if let Some(first) = rest.first().filter(|first| is_option(first)) {
                return Err(Failure::wrong(unknown(program.options, first.to_string_lossy().into_owned())));
            }
            return Ok(Some(Own::BuildNative(rest.to_vec())));
        }
        if option.flag(["--doctor"]) {
            let mut words = Words::new(rest.iter().cloned(), program.options);
            let as_json = words.flag(["--json"]);
            return nothing(words).map(|()| Some(Own::Doctor { as_json }));
        }
        if option.flag(["--stats"]) {
            return stats(rest).map(Some);
        }
        if option.flag(["--trace"]) {
            let words = Words::new(rest.iter().cloned(), program.options);
            let file = words.operands().and_then(|words| only(words, "a file to write")).map_err(Failure::wrong)?;
            return Ok(Some(Own::Trace { file: file.into() }));
        }
        if option.flag(["--explain"]) {
            return explain(rest).map(Some);
        }
        if option.flag(["--inspect-env"]) {
            return inspect_env(rest).map(Some);
        }
        if option.flag(["--update-links"]) {
            return update_links(rest).map(Some);
        }
    }
    Err(Failure::wrong(unknown(program.options, first.to_string_lossy().into_owned())))
}

/// Whether all words are taken.
fn nothing(words: Words) -> Result<(), Failure> {
    let more = words.operands().map_err(Failure::wrong)?.into_iter().next();
    more.map_or(Ok(()), |word| Err(Failure::wrong(ParseError::Operand(word))))
}

/// `--explain [--json] [--] COMMAND`: what follows the command's name is the command's.
fn explain(words: &[OsString]) -> Result<Own, Failure> {
    let (options, command) = match words.iter().position(|word| word == "--" || !is_option(word)) {
        Some(at) if words[at] == "--" => (&words[..at], &words[at + 1..]),
        Some(at) => words.split_at(at),
        None => (words, &words[words.len()..]),
    };
    let mut options = Words::new(options.iter().cloned(), help::ICECC.options);
    let as_json = options.flag(["--json"]);
    options.operands().map_err(Failure::wrong)?;
    if command.is_empty() {
        return Err(Failure::wrong(ParseError::Nothing("a command")).hint("for example: icecc --explain g++ -c a.cc"));
    }
    Ok(Own::Explain { command: command.to_vec(), as_json })
}

fn is_option(word: &OsString) -> bool {
    word.as_bytes().starts_with(b"-")
}

/// `--stats [--json] [--last|--today|--all]`: the widest period that is named.
fn stats(words: &[OsString]) -> Result<Own, Failure> {
    let mut words = Words::new(words.iter().cloned(), help::ICECC.options);
    let as_json = words.flag(["--json"]);
    let mut period = Period::Last;
    for (name, named) in [("--last", Period::Last), ("--today", Period::Today), ("--all", Period::All)] {
        if words.flag([name]) {
            period = named;
        }
    }
    nothing(words).map(|()| Own::Stats { period, as_json })
}

/// `--inspect-env FILE [--json]`, in either order.
fn inspect_env(words: &[OsString]) -> Result<Own, Failure> {
    let mut words = Words::new(words.iter().cloned(), help::ICECC.options);
    let as_json = words.flag(["--json"]);
    let archive = words.operands().and_then(|words| only(words, "an archive")).map_err(Failure::wrong)?;
    Ok(Own::InspectEnv { archive: archive.into(), as_json })
}

/// `--update-links [--dry-run] [DIRECTORY...]`.
fn update_links(words: &[OsString]) -> Result<Own, Failure> {
    let mut words = Words::new(words.iter().cloned(), help::ICECC.options);
    let dry_run = words.flag(["--dry-run"]);
    let operands = words.operands().map_err(Failure::wrong)?;
    Ok(Own::UpdateLinks { directories: operands.into_iter().map(PathBuf::from).collect(), dry_run })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(program: &Program, line: &str) -> Result<Option<Own>, String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(program, &words).map_err(|failure| failure.what)
    }

    #[test]
    fn every_row_is_taken() {
        for program in [&help::ICECC, &help::ICERUN] {
            for option in program.options {
                let line = match option.long {
                    "last" | "today" | "all" => format!("--stats --{}", option.long),
                    "json" => "--inspect-env --json a".into(),
                    "dry-run" => "--update-links --dry-run".into(),
                    "inspect-env" => "--inspect-env a".into(),
                    "trace" => "--trace a".into(),
                    "explain" => "--explain gcc".into(),
                    long => format!("--{long}"),
                };
                assert!(matches!(read(program, &line), Ok(Some(_))), "{} {line}", program.name);
            }
            assert_eq!(read(program, "--other"), Err("unknown option --other".into()));
            assert_eq!(read(program, "gcc --help"), Ok(None));
        }
        let inspect = Own::InspectEnv { archive: "a".into(), as_json: true };
        assert_eq!(read(&help::ICECC, "--inspect-env a --json"), Ok(Some(inspect)));
        let command = || ["gcc", "--json"].map(OsString::from).to_vec();
        for (line, as_json) in [("--explain gcc --json", false), ("--explain --json -- gcc --json", true)] {
            assert_eq!(read(&help::ICECC, line), Ok(Some(Own::Explain { command: command(), as_json })));
        }
        assert_eq!(read(&help::ICECC, "--update-links --dry"), Err("unknown option --dry".into()));
        assert_eq!(read(&help::ICERUN, "--build-native"), Err("unknown option --build-native".into()));
    }
}
