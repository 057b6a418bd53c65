//! Checking an environment: the program icecc-test-env.
//!
//! As 1.4's, every failure is exit code 2; 1 means that nothing could be checked here.

use crate::cli::words::{Words, WordsError};
use crate::create_env::Scratch;
use crate::create_env::trial::{self, Trial};
use crate::exit::{Failure, chain, finish};
use crate::interrupt::{self, Interrupt};
use ice_toolchain::archive::{UnpackLimits, unpack};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Check an icecream environment by running its compilers in it.

Usage: icecc-test-env [OPTION]... ARCHIVE

  -q, --quiet    say nothing if all is well
  -h, --help     show this
  --version      show the version

Exit code: 0 it works, 2 it does not, 1 it cannot be tried here (neither root nor user namespaces).
";

/// The whole program.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|a| a == trial::INSIDE) {
        return trial::inside(&args[1..]);
    }
    finish("icecc-test-env", test(&args))
}

fn test(args: &[OsString]) -> Result<u8, Failure> {
    let mut args = Words::new(args.iter().cloned(), &[]);
    if args.flag(["-h", "--help"]) {
        print!("{USAGE}");
        return Ok(0);
    }
    if args.flag("--version") {
        println!("icecc-test-env {} (icecream-rs)", env!("CARGO_PKG_VERSION"));
        return Ok(0);
    }
    let is_quiet = args.flag(["-q", "--quiet"]);
    let archive = match args.operands() {
        Ok(mut archives) => archives.pop().map(PathBuf::from),
        Err(WordsError::Unknown(option)) => {
            return Err(Failure::new(format!("Unknown option '{}'", option.to_string_lossy())).code(2));
        }
        Err(other) => return Err(Failure::from_error(&other).code(2)),
    };
    let archive = archive.ok_or_else(|| Failure::new("Toolchain argument is required").code(2))?;
    // What was unpacked is removed first.
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
    match trial::try_folder(&scratch.0).map_err(|e| failed(e.to_string()))? {
        Trial::Passed(words) => Ok(words),
        Trial::Failed(words) => Err(failed(words.trim_end().to_string())),
        Trial::Impossible(why) => Err(failed(format!("not tried: {why}")).code(1)),
    }
}
