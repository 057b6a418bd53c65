//! `icerun`: the same program as `icecc`, which looks at its name. Packages install a link instead.

fn main() -> std::process::ExitCode {
    ice_bins::icecc::main()
}
