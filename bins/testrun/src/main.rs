//! Runs all tests of the workspace and counts them. `scripts/test.sh` calls it; it is not installed.
//!
//! Each test runs in a process of its own, below a supervisor that bounds its time and finds what it leaves behind. So a test
//! that aborts, hangs or leaks processes is known by name, no other test suffers, and exactly the failed ones run again.
//!
//! A test that cannot do its work here prints a line `skipped: REASON`. A program without a harness answers `--list` with one
//! test, prints a line `row: NAME: ok` for each thing it has tried, and ends with the harness's `test result:` line.

mod list;
mod machine;
mod process;
mod report;
mod run;
mod supervise;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use pico_args::Arguments;

const USAGE: &str = "\
Usage: testrun [OPTION]...
Runs the tests of the workspace in the current directory.

  --bound SECONDS    how long one test may take (600)
  --totals FILE      write the numbers of passed, failed and skipped tests there
  --program PATH     run the tests of this program instead (any number of times)

With ICE_TEST_STRICT=1 a skipped test is a failed one.
Exit status: 0 if no test failed, 1 if some did, 2 if nothing could be tested.";

/// What the command line asks for.
struct Options {
    bound: Duration,
    totals: Option<PathBuf>,
    programs: Vec<PathBuf>,
    strict: bool,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}\n{USAGE}")]
    Usage(String),
    #[error(transparent)]
    Arguments(#[from] pico_args::Error),
    #[error(transparent)]
    List(#[from] list::Error),
    #[error("totals: {0}")]
    Totals(std::io::Error),
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first() {
        if first == supervise::WORD {
            return supervise::main(rest);
        }
    }
    match test(Arguments::from_vec(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("testrun: {error}");
            ExitCode::from(2)
        }
    }
}

fn options(mut arguments: Arguments) -> Result<Options, Error> {
    let path = |text: &std::ffi::OsStr| Ok::<_, pico_args::Error>(PathBuf::from(text));
    let options = Options {
        bound: Duration::from_secs(arguments.opt_value_from_str("--bound")?.unwrap_or(600)),
        totals: arguments.opt_value_from_os_str("--totals", path)?,
        programs: arguments.values_from_os_str("--program", path)?,
        strict: std::env::var("ICE_TEST_STRICT").is_ok_and(|value| value == "1"),
    };
    match arguments.finish().first() {
        None => Ok(options),
        Some(unknown) => Err(Error::Usage(format!("unknown argument {}", unknown.to_string_lossy()))),
    }
}

/// Whether all is well.
fn test(arguments: Arguments) -> Result<bool, Error> {
    let options = options(arguments)?;
    let mut report = report::Report::new(options.strict);
    if options.programs.is_empty() {
        run::all(&list::workspace()?, options.bound, &mut report);
        run::examples(&mut report);
    } else {
        let programs: Vec<_> = options.programs.iter().map(|path| list::Program::alone(path)).collect();
        run::all(&programs, options.bound, &mut report);
    }
    report.print();
    if let Some(file) = options.totals {
        std::fs::write(file, report.totals()).map_err(Error::Totals)?;
    }
    Ok(report.is_good())
}
