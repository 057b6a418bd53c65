//! The program icecc-test-env, which checks an environment.
//!
//! As in 1.4, every failure is exit code 2; 1 means that nothing could be checked on this machine.

use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};
use crate::cli::words::{Words, only};
use crate::create_env::Scratch;
use crate::create_env::trial::{self, Trial};
use crate::exit::{Failure, chain, finish, print};
use crate::interrupt::{self, Interrupt};
use ice_toolchain::archive::{UnpackLimits, unpack};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The program's table, for help, manual and shells.
pub const PROGRAM: Program = Program {
    name: "icecc-test-env",
    title: "icecc-test-env",
    about: "Checks an icecream environment by running its compilers in it.",
    usage: &["icecc-test-env [OPTION]... ARCHIVE"],
    above: "",
    options: TABLE,
    below: "Exit code: 0 it works, 2 it does not or the command line is wrong, 1 it cannot be tried here (neither root nor user namespaces).",
    operands: Completes::File,
};

const TABLE: &[Opt] = &[option("quiet", "say nothing if all is well").short('q'), HELP.short('h'), SHOW_VERSION];

/// What the command line requests.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Help,
    Version,
    Try { archive: PathBuf, is_quiet: bool },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|a| a == trial::INSIDE) {
        return trial::inside(&args[1..]);
    }
    finish("icecc-test-env", test(&args))
}

fn parse(args: &[OsString]) -> Result<Task, Failure> {
    let mut args = Words::new(args.iter().cloned(), TABLE);
    let is_quiet = args.flag(["-q", "--quiet"]);
    if args.flag(["-h", "--help"]) {
        return Ok(Task::Help);
    }
    if args.flag(["--version"]) {
        return Ok(Task::Version);
    }
    let archive = args.operands().and_then(|words| only(words, "an archive")).map_err(Failure::wrong)?;
    Ok(Task::Try { archive: archive.into(), is_quiet })
}

fn test(args: &[OsString]) -> Result<u8, Failure> {
    let (archive, is_quiet) = match parse(args)? {
        Task::Help => return print(&PROGRAM.help()),
        Task::Version => return print(&PROGRAM.version()),
        Task::Try { archive, is_quiet } => (archive, is_quiet),
    };
    // The unpacked files are removed first.
    let interrupt = Interrupt::noted();
    let tried = try_archive(&archive);
    if interrupt.is_pressed() {
        return Ok(interrupt::STATUS);
    }
    let words = tried?;
    if !is_quiet {
        print!("{words}");
        println!("OK");
    }
    Ok(0)
}

fn try_archive(archive: &Path) -> Result<String, Failure> {
    let failed = |what: String| Failure::new(format!("{}: {what}", archive.display())).code(2);
    let input = File::open(archive).map_err(|e| failed(e.to_string()))?;
    let scratch = Scratch::new().map_err(|e| failed(format!("no scratch folder: {e}")))?;
    unpack(input, &scratch.0, &UnpackLimits::default()).map_err(|e| failed(chain(&e)))?;
    match trial::try_directory(&scratch.0).map_err(|e| failed(e.to_string()))? {
        Trial::Passed(words) => Ok(words),
        Trial::Failed(words) => Err(failed(words.trim_end().to_string())),
        Trial::Impossible(why) => Err(failed(format!("not tried: {why}")).code(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_taken() {
        let taken = |line: &[String]| {
            let line: Vec<OsString> = line.iter().map(OsString::from).chain(["a.tar.gz".into()]).collect();
            parse(&line).map(|_| ()).map_err(|failure| failure.to_string())
        };
        crate::cli::tests::check_rows(TABLE, |_| String::new(), taken);
        assert_eq!(taken(&["--loud".into()]), Err("unknown option --loud".into()));
    }
}
