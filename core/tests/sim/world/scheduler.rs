//! The scheduler's shell: what reaches it, and what it wants done.

use super::{Event, What, World};
use crate::hosts;
use ice_core::ids::{JobId, PeerId};
use ice_core::message::Message;
use ice_core::scheduler::{self, Scheduler};
use ice_core::time::Instant;
use ice_core::version::Version;

pub(super) fn new(seed: u64, now: Instant) -> Scheduler {
    Scheduler::new(
        scheduler::Config { seed, notes: ice_core::level::Level::Error, ..scheduler::Config::default() },
        now,
    )
}

impl World {
    pub(super) fn monitor_logs_in(&mut self) {
        self.monitor = self.peer();
        let (peer, version) = (self.monitor, Version::TO_SCHEDULER);
        self.tell_scheduler(scheduler::Input::Opened { peer, address: "127.0.0.1".into(), offer: version, version });
        self.tell_scheduler(scheduler::Input::Message { peer, kind: '?', message: Message::MonLogin });
    }

    /// What the text port answers.
    pub(super) fn ask(&mut self, line: &str) -> String {
        let peer = self.peer();
        self.tell_scheduler(scheduler::Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
        self.console.clear();
        self.tell_scheduler(scheduler::Input::Line { peer, text: line.into() });
        std::mem::take(&mut self.console)
    }

    pub(super) fn hand_to_scheduler(&mut self, peer: PeerId, message: Message) {
        let Some(host) = self.links.get(&peer).copied() else { return };
        let job = match &message {
            Message::JobBegin(begin) => Some(begin.job),
            Message::JobDone(done) => Some(JobId(done.job)),
            _ => None,
        };
        self.checkers.mix(host as u64);
        if let (Message::Login(_), Some(out)) = (&message, self.logins.get_mut(&peer)) {
            *out -= 1;
        }
        self.tell_scheduler(scheduler::Input::Message { peer, kind: '?', message });
        self.check_belief(host);
        if let Some(job) = job {
            self.expect(self.scheduler.check_job(job));
        }
        let id = self.checkers.hosts.iter().find(|(_, index)| **index == host).map(|(id, _)| *id);
        if let Some(id) = id {
            self.expect(self.scheduler.check_host(id));
        }
    }

    pub(super) fn scheduler_closed(&mut self, peer: PeerId) {
        if self.links.remove(&peer).is_some() {
            self.logins.remove(&peer);
            self.tell_scheduler(scheduler::Input::Closed { peer });
        }
    }

    /// What the scheduler believes of a machine's environments is true, but for a report that is on its way.
    pub(super) fn check_belief(&self, host: usize) {
        let machine = &self.hosts[host];
        let Some(link) = machine.link.filter(|link| machine.alive && self.links.get(&link.peer) == Some(&host)) else {
            return;
        };
        if self.logins.get(&link.peer).is_some_and(|out| *out > 0) {
            return;
        }
        let id = self.checkers.hosts.iter().find(|(_, index)| **index == host).map(|(id, _)| *id);
        if let Some(believed) = id.and_then(|id| self.scheduler.environments_of(id)) {
            let is = machine.daemon.environments();
            assert_eq!(believed, is, "host {host} is believed to have other environments at {}", self.now);
        }
    }

    pub(super) fn scheduler_timer(&mut self, at: Instant) {
        if self.timer == Some(at) {
            self.timer = None;
            if self.scheduler.poll_timeout().is_some_and(|due| due <= self.now) {
                self.scheduler.handle_timeout(self.now);
            }
            self.pump_scheduler();
        }
    }

    pub(super) fn tell_scheduler(&mut self, input: scheduler::Input) {
        self.scheduler.handle(self.now, input);
        self.pump_scheduler();
    }

    fn pump_scheduler(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            self.scheduler_output(output);
        }
        if let Some(at) = self.scheduler.poll_timeout() {
            let at = at.max(self.now);
            if self.timer.is_none_or(|set| at < set) {
                self.timer = Some(at);
                self.schedule(at, Event::SchedulerTimer(at));
            }
        }
    }

    fn scheduler_output(&mut self, output: scheduler::Output) {
        match output {
            scheduler::Output::Send { peer, message } if peer == self.monitor => self.checkers.monitor(&message),
            scheduler::Output::Send { peer, message } => {
                let Some(host) = self.links.get(&peer).copied() else { return };
                let (rng, now) = (&mut self.rng, self.now);
                if let Some(link) = self.hosts[host].link.as_mut().filter(|l| l.peer == peer) {
                    let at = self.network.arrival(rng, now, &mut link.down);
                    self.schedule_on(host, at, What::FromScheduler { peer, message });
                }
            }
            scheduler::Output::SendText { text, .. } => self.console.push_str(&text),
            scheduler::Output::Close { peer, .. } => {
                assert_ne!(peer, self.monitor, "the monitor was thrown out");
                if let Some(host) = self.links.remove(&peer) {
                    let at = self.later();
                    self.schedule_on(host, at, What::LinkLost { peer });
                }
            }
            scheduler::Output::Probe { host, address, patience, .. } => {
                let machine = hosts::index_of(&address).map(|index| &self.hosts[index]);
                let reachable = machine.is_some_and(|m| m.answers() && !m.cut);
                let at = if reachable { self.later() } else { self.now + patience };
                self.schedule(at, Event::Probed { epoch: self.epoch, host, reachable });
            }
            scheduler::Output::SendRows { .. } | scheduler::Output::Note(_) => {}
        }
    }
}
