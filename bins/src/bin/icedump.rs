//! Starts `icedump`.

fn main() -> std::process::ExitCode {
    ice_bins::icedump::main()
}
