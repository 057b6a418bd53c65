//! Makes an environment: an archive with a compiler and all it needs.

use std::process::ExitCode;

fn main() -> ExitCode {
    ice_bins::create_env::main()
}
