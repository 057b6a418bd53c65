//! What the page knows: the view of a monitor, the last changes of jobs, and the scheduler's own rows and counts.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ice_core::cluster_view::ClusterView;
use ice_core::ids::{HostId, JobId};
use ice_core::message::Message;
use ice_core::scheduler::{Field, HostRow, Row};
use ice_core::time::Instant;

use super::changes::{Change, Log};

/// All of it.
#[derive(Debug)]
pub struct Known {
    view: ClusterView,
    log: Log,
    hosts: Vec<HostRow>,
    counts: BTreeMap<String, u64>,
    /// What has come of the next list.
    next: (Vec<HostRow>, BTreeMap<String, u64>),
    lists: u64,
    listed_at: Option<std::time::Instant>,
}

impl Known {
    /// Nothing yet.
    pub fn new() -> Self {
        // So that what a page has of a scheduler before is not taken for this one's.
        let base = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self {
            view: ClusterView::new(),
            log: Log::new(u64::try_from(base).unwrap_or_default()),
            hosts: Vec::new(),
            counts: BTreeMap::new(),
            next: Default::default(),
            lists: 0,
            listed_at: None,
        }
    }

    /// The view of a monitor.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// The changes of jobs.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The scheduler's rows of hosts; `None` before there are any.
    pub fn hosts(&self) -> Option<&[HostRow]> {
        self.listed_at.map(|_| self.hosts.as_slice())
    }

    /// The scheduler's row of a host.
    pub fn row(&self, id: HostId) -> Option<&HostRow> {
        // They come in the order of their numbers.
        let at = self.hosts.binary_search_by_key(&id.0, |row| row.id).ok()?;
        self.hosts.get(at)
    }

    /// A number of its `stats`.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.counts.get(name).copied()
    }

    /// How many lists have come.
    pub fn lists(&self) -> u64 {
        self.lists
    }

    /// Whether the last list is not older than this.
    pub fn listed_since(&self, age: Duration) -> bool {
        self.listed_at.is_some_and(|at| at.elapsed() < age)
    }

    /// The feed begins.
    pub fn begin_anew(&mut self) {
        self.view = ClusterView::new();
        self.log.begin_anew();
    }

    /// A message of the feed.
    pub fn hear(&mut self, now: Instant, message: &Message) {
        self.view.hear(now, message);
        match message {
            Message::MonJobBegin(begin) => self.log.add(Change::Began(begin.job)),
            Message::MonLocalJobBegin(begin) => self.log.add(Change::Began(begin.job)),
            Message::MonJobDone(done) => self.ended(JobId(done.job)),
            Message::JobLocalDone { id } => self.ended(JobId(*id)),
            _ => {}
        }
    }

    fn ended(&mut self, id: JobId) {
        let last = self.view.finished().next_back().filter(|finished| finished.id == id);
        self.log.add(last.map_or(Change::Gone(id), |finished| Change::Ended(Box::new(finished.clone()))));
    }

    /// A second has passed.
    pub fn pass(&mut self, now: Instant) {
        self.view.pass(now);
    }

    /// A row of the next list: a host, or a number with its name.
    pub fn row_came(&mut self, row: Row) {
        match row {
            Row::Host(host) => self.next.0.push(host),
            Row::Fields(fields) => {
                if let [(_, Field::Text(name)), (_, Field::Number(number))] = fields.as_slice() {
                    self.next.1.insert(name.to_string(), *number);
                }
            }
            Row::Job(_) => {}
        }
    }

    /// The list is complete.
    pub fn listed(&mut self) {
        (self.hosts, self.counts) = std::mem::take(&mut self.next);
        self.lists += 1;
        self.listed_at = Some(std::time::Instant::now());
    }
}
