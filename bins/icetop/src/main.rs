//! icetop, the terminal monitor of a cluster.

mod app;
mod live;
mod order;
mod palette;
mod screen;
mod words;

use std::process::ExitCode;

use ice_bins::exit::{self, Failure};
use ice_bins::monitor::feed::{self, Feed};
use ice_bins::monitor::options::{self, Show, Source, Task};
use ice_bins::monitor::recording::{self, Recorder};
use ice_bins::monitor::{Clock, PROGRAM, finder::Finder, once};

fn main() -> ExitCode {
    exit::finish("icetop", run())
}

fn run() -> Result<u8, Failure> {
    match options::parse(std::env::args_os().skip(1), |name| std::env::var_os(name))? {
        Task::Help => exit::print(&PROGRAM.help()),
        Task::Version => exit::print(&PROGRAM.version()),
        Task::Watch { source, show, record } => {
            if show == Show::Screen {
                live::check_terminal()?;
            }
            let recorder = record.map(|path| Recorder::create(&path)).transpose()?;
            match show {
                Show::Once { json, listen } => {
                    let (monitor, now) = match source {
                        Source::Recording { file, .. } => once::recorded(&file)?,
                        Source::Scheduler { .. } => {
                            let (feed, clock) = start(&source)?;
                            once::listen(&feed, clock, listen, recorder)?
                        }
                    };
                    exit::print(&if json { once::json(&monitor, now)? } else { once::text(&monitor, now) })
                }
                Show::Screen => {
                    let (feed, clock) = start(&source)?;
                    live::run(&feed, clock, recorder)
                }
            }
        }
    }
}

/// Starts the feed.
fn start(source: &Source) -> Result<(Feed, Clock), Failure> {
    match source {
        Source::Scheduler { host, port, netname } => {
            let clock = Clock::start(1.0);
            let feed = feed::start(Finder::new(host.clone(), *port, netname.clone()), clock);
            Ok((feed.map_err(|e| Failure::new(format!("cannot start a thread: {e}")))?, clock))
        }
        Source::Recording { file, speed } => {
            let clock = Clock::start(*speed);
            Ok((recording::play(file, clock)?, clock))
        }
    }
}
