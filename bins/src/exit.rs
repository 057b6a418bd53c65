//! Failures of programs: one line of text and an exit code.
//!
//! Errors inside the crates are typed; they become text only here, with a hint what the user can do.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

pub use ice_core::error_chain::chain;

/// Exit code of a wrong command line. A service that ends so is not started again, as nothing would change.
pub const WRONG_COMMAND_LINE: u8 = 2;

/// Why a program failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed, including the path, host or option; lower case, without full stop.
    pub what: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// A failure with exit code 1 and no hint.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), hint: None, code: 1 }
    }

    /// A failure of a command line: what is wrong with it.
    pub fn wrong(what: impl fmt::Display) -> Failure {
        Failure::new(what.to_string()).code(WRONG_COMMAND_LINE)
    }

    /// A failure from an error and all its causes, on one line.
    pub fn from_error(error: &dyn Error) -> Failure {
        Failure::new(chain(error))
    }

    /// The same with another exit code.
    pub fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    /// The same with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Prints a requested text; exit code 0, also if the reader has closed the pipe.
pub fn print(text: &str) -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(0),
    }
}

/// Ends `main`: prints a failure as `PROGRAM: what (hint)` on standard error and returns its code.
pub fn finish(program: &str, result: Result<u8, Failure>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{program}: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read environment /x")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_and_hint_stand_on_one_line() {
        let error = Outer(io::Error::other("disk gone"));
        let failure = Failure::from_error(&error).hint("make it again").code(9);
        assert_eq!(failure.to_string(), "cannot read environment /x: disk gone (make it again)");
        assert_eq!(failure.code, 9);
    }
}
