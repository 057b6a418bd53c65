//! Checking an environment: the program icecc-test-env (`spec/environments.md` 1.4).

use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
