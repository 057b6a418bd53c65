//! The programs of icecream-rs. Each file in `src/bin` only calls the module of its program.

/// Detaching, pid files, giving up root.
pub mod background;
/// Command lines of the programs.
pub mod cli;
/// The program icecc-create-env.
pub mod create_env;
/// Failures of programs.
pub mod exit;
/// The client icecc.
pub mod icecc;
/// The daemon iceccd.
pub mod iceccd;
/// The program icedump.
pub mod icedump;
/// Ctrl-C in programs run in a terminal.
pub mod interrupt;
/// Log files and log lines.
pub mod logging;
/// What icetop knows; its screen is in a package of its own.
pub mod monitor;
/// What services say while they start.
pub mod readiness;
/// The program icecc-scheduler.
pub mod scheduler;
/// Signals as events of a channel.
pub mod signals;
/// The program icecc-test-env.
pub mod test_env;

/// Every program that users call, for the manual and for shells.
pub const PROGRAMS: [&cli::table::Program; 8] = [
    &icecc::ICECC,
    &icecc::ICERUN,
    &iceccd::PROGRAM,
    &scheduler::PROGRAM,
    &create_env::PROGRAM,
    &test_env::PROGRAM,
    &icedump::PROGRAM,
    &monitor::PROGRAM,
];
