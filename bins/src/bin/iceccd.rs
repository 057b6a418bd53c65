//! Starts `iceccd`.

fn main() -> std::process::ExitCode {
    ice_bins::iceccd::main()
}
