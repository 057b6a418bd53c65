//! The programs of icecream-rs. Each file in `src/bin` only calls the module of its program.

pub mod background;
pub mod cli;
pub mod create_env;
pub mod exit;
pub mod icecc;
pub mod iceccd;
pub mod icedump;
pub mod interrupt;
pub mod logging;
pub mod scheduler;
pub mod signals;
pub mod test_env;

/// Every program that users call, for the manual and for shells.
pub const PROGRAMS: [&cli::table::Program; 7] = [
    &icecc::ICECC,
    &icecc::ICERUN,
    &iceccd::PROGRAM,
    &scheduler::PROGRAM,
    &create_env::PROGRAM,
    &test_env::PROGRAM,
    &icedump::PROGRAM,
];
