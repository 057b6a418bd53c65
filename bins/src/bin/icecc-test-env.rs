//! Checks an environment by running its compilers.

use std::process::ExitCode;

fn main() -> ExitCode {
    ice_bins::test_env::main()
}
