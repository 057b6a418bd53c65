//! icetop, the terminal monitor of a cluster.

use std::process::ExitCode;

use ice_bins::exit::{self, Failure};
use ice_bins::monitor::feed::{self, Feed};
use ice_bins::monitor::options::{self, Show, Source, Task};
use ice_bins::monitor::recording::Recorder;
use ice_bins::monitor::{Clock, PROGRAM, finder::Finder, once};

fn main() -> ExitCode {
    exit::finish("icetop", run())
}

fn run() -> Result<u8, Failure> {
    match options::parse(std::env::args_os().skip(1), |name| std::env::var_os(name))? {
        Task::Help => exit::print(&PROGRAM.help()),
        Task::Version => exit::print(&PROGRAM.version()),
        Task::Watch { source, show, record } => {
            let recorder = record.map(|path| Recorder::create(&path)).transpose()?;
            match show {
                Show::Once { json, listen } => {
                    let (monitor, now) = match source {
                        Source::Recording { file, .. } => once::recorded(&file)?,
                        Source::Scheduler { host, port, netname } => {
                            let clock = Clock::start(1.0);
                            let feed = start(Finder::new(host, port, netname), clock)?;
                            once::listen(&feed, clock, listen, recorder)?
                        }
                    };
                    exit::print(&if json { once::json(&monitor, now)? } else { once::text(&monitor, now) })
                }
                Show::Screen => Err(Failure::new("there is no live screen yet").hint("icetop --once prints the state")),
            }
        }
    }
}

/// Starts the feed of a scheduler.
fn start(finder: Finder, clock: Clock) -> Result<Feed, Failure> {
    feed::start(finder, clock).map_err(|e| Failure::new(format!("cannot start a thread: {e}")))
}
