//! Starts the scheduler.

fn main() -> std::process::ExitCode {
    ice_bins::scheduler::main()
}
