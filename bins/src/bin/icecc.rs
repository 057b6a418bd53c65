//! `icecc`, `icerun` and every compiler's name.

fn main() -> std::process::ExitCode {
    ice_bins::icecc::main()
}
