//! Starts the scheduler, under the name upstream's sources build it as.

fn main() -> std::process::ExitCode {
    ice_bins::scheduler::main()
}
