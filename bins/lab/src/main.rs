//! Labs: hosts as network namespaces.

use std::process::ExitCode;

fn main() -> ExitCode {
    ice_lab::cli::main()
}
