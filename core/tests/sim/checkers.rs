//! What must be true at every moment of a run, whatever breaks: kept apart from the world that it watches.

use crate::workload::{Build, End};
use ice_core::ids::{HostId, JobId};
use ice_core::message::{Message, MonStats};
use ice_core::reason::Reason;
use std::collections::{BTreeMap, BTreeSet};

/// What the monitor of the run has seen, and what follows from it.
#[derive(Default)]
pub struct Checkers {
    /// Hosts by the scheduler's number, and the machine's index.
    pub hosts: BTreeMap<HostId, usize>,
    /// Jobs that began for monitors and did not end yet.
    open: BTreeMap<JobId, bool>,
    /// Jobs of others that run on each machine now, by the world's own count.
    running: BTreeMap<usize, BTreeSet<u64>>,
    /// Order-dependent digest of everything that happened: equal for equal seeds.
    pub trace: u64,
    pub ends: BTreeMap<End, u64>,
    pub remote_begins: u64,
    /// Environments removed; jobs that asked again since theirs was; jobs lost to that.
    pub removed: u64,
    pub asked_again: u64,
    pub lost: u64,
    /// Why jobs came home, by number.
    pub troubles: BTreeMap<u32, u64>,
}

impl Checkers {
    /// Mixes a number into the digest.
    pub fn mix(&mut self, n: u64) {
        self.trace = (self.trace ^ n).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(17);
    }

    /// A new scheduler starts with nothing.
    pub fn scheduler_restarted(&mut self) {
        self.hosts.clear();
        self.open.clear();
    }

    /// The monitor was told something.
    pub fn monitor(&mut self, message: &Message) {
        match message {
            Message::MonStats(MonStats { host, text }) => {
                let text = text.lossy();
                let name = text.lines().find_map(|l| l.strip_prefix("Name:h"));
                if let Some(index) = name.and_then(|n| n.parse().ok()) {
                    self.hosts.insert(*host, index);
                } else if text.starts_with("State:Offline") {
                    self.hosts.remove(host);
                }
            }
            Message::MonGetCs(get) => {
                assert!(self.open.insert(get.job, false).is_none(), "job {} was asked for twice", get.job);
            }
            Message::MonJobBegin(begin) => {
                let known = self.open.insert(begin.job, true);
                assert!(known.is_some(), "job {} began for monitors, but was never asked for", begin.job);
            }
            Message::MonJobDone(done) => {
                assert!(self.open.remove(&JobId(done.job)).is_some(), "job {} ended twice for monitors", done.job);
            }
            _ => {}
        }
    }

    /// A job of others starts on a machine.
    pub fn starts(&mut self, machine: usize, connection: u64, slots: u32) {
        self.remote_begins += 1;
        let running = self.running.entry(machine).or_default();
        assert!(running.insert(connection), "connection {connection} was granted two slots");
        let most = slots.max(1) as usize;
        assert!(running.len() <= most, "host {machine} runs {} jobs in {most} slots", running.len());
    }

    /// It is over, whatever the reason.
    pub fn stops(&mut self, machine: usize, connection: u64) {
        if let Some(running) = self.running.get_mut(&machine) {
            running.remove(&connection);
        }
    }

    /// The machine died.
    pub fn dies(&mut self, machine: usize) {
        self.running.remove(&machine);
    }

    /// A build comes home.
    pub fn comes_home(&mut self, reason: Reason) {
        *self.troubles.entry(reason.error().unwrap_or_default()).or_default() += 1;
    }

    /// A build ended.
    pub fn ended(&mut self, build: &Build, end: End) {
        assert!(!build.is_ended(), "{} ended twice", build.file);
        *self.ends.entry(end).or_default() += 1;
    }

    /// At the end of a run nothing is left over.
    pub fn drained(&self, builds: &[Build]) {
        let forgotten: Vec<_> = builds.iter().filter(|b| !b.is_ended()).map(|b| (&b.file, b.state)).take(5).collect();
        assert!(forgotten.is_empty(), "builds that never ended: {forgotten:?}");
        assert!(self.open.is_empty(), "jobs that never ended for monitors: {:?}", self.open.iter().take(5));
        let still = self.running.values().map(BTreeSet::len).sum::<usize>();
        assert_eq!(still, 0, "jobs still run on some host");
    }
}
