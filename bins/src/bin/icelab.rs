//! Labs: hosts as network namespaces.

use std::process::ExitCode;

fn main() -> ExitCode {
    ice_bins::lab::cli::main()
}
