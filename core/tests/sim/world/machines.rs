//! The daemons' shell: what reaches a machine, and what its daemon wants done. What is for its connections is in `servers.rs`.

use super::{Event, What, World};
use crate::hosts::{self, Link};
use crate::network::Lane;
use ice_core::daemon;
use ice_core::message::Message;
use ice_core::scheduler;
use ice_core::time::Duration;
use ice_core::version::Version;

impl World {
    pub(super) fn on_host(&mut self, host: usize, what: What) {
        match what {
            What::Timer(at) => {
                let machine = &mut self.hosts[host];
                if machine.timer != Some(at) {
                    return;
                }
                machine.timer = None;
                if machine.daemon.poll_timeout().is_some_and(|due| due <= self.now) {
                    machine.daemon.handle_timeout(self.now);
                }
                self.pump(host);
            }
            What::FromScheduler { peer, message } => {
                if self.hosts[host].link.is_some_and(|l| l.peer == peer) {
                    self.tell(host, daemon::Input::SchedulerMessage(message));
                }
            }
            What::LinkLost { peer } => {
                if self.hosts[host].link.is_some_and(|l| l.peer == peer) {
                    self.hosts[host].link = None;
                    self.tell(host, daemon::Input::SchedulerLost);
                }
            }
            What::Connect => self.connect(host),
            What::Measured => {
                let measurement = hosts::measurement(self.now, self.hosts[host].full);
                self.tell(host, daemon::Input::Measured(measurement));
            }
            What::Build { build, attempt, event } => self.build_event(host, build, attempt, event),
            what => self.connection_event(host, what),
        }
    }

    fn connect(&mut self, host: usize) {
        if self.hosts[host].cut {
            return self.tell(host, daemon::Input::SchedulerNotFound);
        }
        let peer = self.peer();
        self.links.insert(peer, host);
        self.hosts[host].link = Some(Link { peer, up: Lane::default(), down: Lane::default() });
        let (address, version) = (self.hosts[host].address(), Version::TO_SCHEDULER);
        self.tell_scheduler(scheduler::Input::Opened { peer, address: address.clone(), offer: version, version });
        self.tell(host, daemon::Input::SchedulerConnected { version, address: "10.0.0.1".into(), known_as: address });
    }

    pub fn tell(&mut self, host: usize, input: daemon::Input) {
        self.hosts[host].daemon.handle(self.now, input);
        self.pump(host);
    }

    fn pump(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].daemon.poll_output() {
            self.daemon_output(host, output);
        }
        self.check_belief(host);
        self.arm(host);
    }

    pub(super) fn arm(&mut self, host: usize) {
        if let Some(at) = self.hosts[host].daemon.poll_timeout() {
            let at = at.max(self.now);
            if self.hosts[host].timer.is_none_or(|set| at < set) {
                self.hosts[host].timer = Some(at);
                self.schedule_on(host, at, What::Timer(at));
            }
        }
    }

    fn daemon_output(&mut self, host: usize, output: daemon::Output) {
        match output {
            daemon::Output::ToScheduler(message) => {
                let (rng, now) = (&mut self.rng, self.now);
                if let Some(link) = &mut self.hosts[host].link {
                    let (peer, at) = (link.peer, self.network.arrival(rng, now, &mut link.up));
                    if let Message::Login(_) = message {
                        *self.logins.entry(peer).or_default() += 1;
                    }
                    self.schedule(at, Event::ToScheduler { peer, message });
                }
            }
            daemon::Output::Connect => {
                let at = self.later();
                self.schedule_on(host, at, What::Connect);
            }
            daemon::Output::CloseScheduler => {
                if let Some(link) = self.hosts[host].link {
                    let at = self.later();
                    self.schedule(at, Event::SchedulerClosed { peer: link.peer });
                    self.schedule_on(host, self.now, What::LinkLost { peer: link.peer });
                }
            }
            daemon::Output::Measure => self.schedule_on(host, self.now + Duration::from_millis(1), What::Measured),
            daemon::Output::Note(_) | daemon::Output::StopListening => {}
            daemon::Output::Exit => self.daemon_exits(host),
            other => self.connection_output(host, other),
        }
    }
}
