//! A host as a monitor sees it.

use crate::ids::JobId;
use crate::text::Text;
use crate::time::Instant;

/// Maximum number of seats of a host: what runs beyond them is counted, but has no place in a picture.
const SEATS_MAX: usize = 1024;

/// A host. Numbers that its scheduler has not told are `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostView {
    /// Its node name.
    pub name: Text,
    /// Its address.
    pub address: Text,
    /// Its platform.
    pub platform: Text,
    /// The protocol version of its daemon.
    pub version: Option<u32>,
    /// How many jobs it takes.
    pub slots: u32,
    /// Whether it refuses jobs of others.
    pub no_remote: bool,
    /// 1.4's figure.
    pub speed: Option<f64>,
    /// 0 to 1000; with 1000 it takes no jobs.
    pub load: Option<u32>,
    /// Free memory in MiB.
    pub free_mem: Option<u32>,
    /// Its job in each slot; more of them than slots where its scheduler gave it more.
    pub seats: Vec<Option<JobId>>,
    /// Jobs that it asked for since the feed began.
    pub submitted: u64,
    /// Jobs that it did.
    pub done: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Jobs that it kept for itself.
    pub local: u64,
    /// When its scheduler spoke of it last.
    pub heard: Instant,
}

impl HostView {
    /// Takes in lines of MON_STATS; those that cannot be read mean nothing.
    pub(super) fn says(&mut self, now: Instant, lines: &str) {
        self.heard = now;
        for (key, value) in lines.lines().filter_map(|line| line.split_once(':')) {
            match key {
                "Name" => self.name = value.into(),
                "IP" => self.address = value.into(),
                "Platform" => self.platform = value.into(),
                "Version" => self.version = value.parse().ok(),
                "MaxJobs" => self.slots = value.parse().unwrap_or(self.slots),
                "NoRemote" => self.no_remote = value == "true",
                "Speed" => self.speed = value.parse().ok().filter(|speed: &f64| speed.is_finite()),
                "Load" => self.load = value.parse().ok(),
                "FreeMem" => self.free_mem = value.parse().ok(),
                _ => {}
            }
        }
    }

    /// The jobs that are on it.
    pub fn busy(&self) -> usize {
        self.seats.iter().flatten().count()
    }

    /// Gives a job the first free seat; its number.
    pub(super) fn sit(&mut self, job: JobId) -> usize {
        let free = self.seats.iter().position(Option::is_none).unwrap_or(self.seats.len());
        match self.seats.get_mut(free) {
            Some(seat) => *seat = Some(job),
            None if free < SEATS_MAX => self.seats.push(Some(job)),
            None => {}
        }
        free
    }

    /// A job leaves its seat.
    pub(super) fn stand(&mut self, job: JobId) {
        for seat in self.seats.iter_mut().filter(|seat| **seat == Some(job)) {
            *seat = None;
        }
        while self.seats.last().is_some_and(Option::is_none) {
            self.seats.pop();
        }
    }
}
