//! Carries out the scheduler's probes of hosts: one thread for each, a bounded number at a time.
//!
//! When a host is probed, how long that may take and what follows is decided in `core/src/scheduler/probing.rs`.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use crossbeam::channel::Sender;
use ice_core::ids::HostId;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial;

/// Maximum number of probes at a time: most take a millisecond; those that hang are rare.
const AT_ONCE_MAX: usize = 64;
const STACK: usize = 64 << 10;

/// A probe to be carried out.
#[derive(Debug)]
pub struct Probe {
    /// The host.
    pub host: HostId,
    /// Its address as text.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// How long it may take.
    pub patience: Duration,
}

/// Result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// The host.
    pub host: HostId,
    /// Whether it offered a version.
    pub reachable: bool,
}

/// Runs probes. Each probe ends in exactly one [`Probed`]; the caller must then call [`ProbeThreads::ended`].
#[derive(Debug)]
pub struct ProbeThreads {
    answers: Sender<Probed>,
    running: usize,
    waiting: VecDeque<Probe>,
}

impl ProbeThreads {
    /// Results are sent to `answers`, which must not stay full.
    pub fn new(answers: Sender<Probed>) -> Self {
        Self { answers, running: 0, waiting: VecDeque::new() }
    }

    /// Starts a probe, or queues it.
    pub fn start(&mut self, probe: Probe) {
        self.waiting.push_back(probe);
        self.run();
    }

    /// A probe has ended: starts the next one.
    pub fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.run();
    }

    fn run(&mut self) {
        while self.running < AT_ONCE_MAX {
            let Some(Probe { host, address, port, patience }) = self.waiting.pop_front() else { return };
            let answers = self.answers.clone();
            let work = move || {
                let reachable = dial::probe(&address, port, Deadline::after(Step::Connect, patience));
                if let Err(error) = &reachable {
                    log::debug!("probe failed: {}", crate::exit::chain(error));
                }
                let _ = answers.send(Probed { host, reachable: reachable.is_ok() });
            };
            self.running += 1;
            let started = thread::Builder::new().name("probe".into()).stack_size(STACK).spawn(work);
            if started.is_err() {
                // Without a thread nothing is known against the host.
                let _ = self.answers.send(Probed { host, reachable: true });
            }
        }
    }
}
