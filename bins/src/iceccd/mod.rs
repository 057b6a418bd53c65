//! The daemon of a host: options, start-up, and the threads around [`ice_core::daemon::Daemon`].
//!
//! ```text
//!  launcher (forked first, keeps the privilege)
//!      ▲ run, unpack, install, remove, verify
//!  client threads (hub) ──► events ──► the loop: owns the machine ──► outputs
//!      │  job.rs, transfer.rs, worker.rs: whole dialogues     │
//!      ├──────────── orders.rs ◄─────────────────────────────┤
//!      └──► disk.rs: owns what is on the disk ◄───────────────┘
//! ```

mod dialogue;
mod disk;
mod doors;
/// The end of a compiler.
pub mod ended;
mod files;
mod greeting;
mod job;
mod job_ids;
mod keep;
mod link;
mod load;
mod native;
mod noted;
mod options;
mod orders;
mod promised;
mod pump;
mod server;
mod shared;
mod spool;
mod start;
mod transfer;
mod worker;

use std::process::ExitCode;

use crate::exit::{self, Failure};
use options::{Options, Stop};

pub use options::PROGRAM;

/// The program.
pub fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1), |name| std::env::var_os(name)) {
        Ok(options) => options,
        Err(Stop::Help) => return exit::finish("iceccd", exit::print(&PROGRAM.help())),
        Err(Stop::Version) => return exit::finish("iceccd", exit::print(&PROGRAM.version())),
        Err(Stop::Wrong(what)) => return exit::finish("iceccd", Err(Failure::wrong(what))),
    };
    let logs_to_file = options.log_file.is_some() || options.detach;
    let ended = start::run(options);
    // Standard error may be nobody's; with no log file the log is standard error itself.
    if let Some(failure) = ended.as_ref().err().filter(|_| logs_to_file) {
        log::error!("{failure}");
    }
    exit::finish("iceccd", ended)
}
