//! Lists of hosts and jobs for text peers, made in pieces: a turn of the loop makes a bounded part of one.

use super::host::Host;
use super::rows::{HostRow, JobRow, Row};
use super::{Output, Scheduler, Timer};
use crate::ids::{HostId, JobId, PeerId};
use crate::time::Duration;
use std::fmt::Write as _;
use std::ops::Bound::{Excluded, Unbounded};

/// Rows of a piece.
pub(super) const ROWS_MAX: usize = 256;
/// Bytes of a piece, about: one row may exceed it.
const BYTES_MAX: usize = 128 << 10;
/// Until the next piece, so that whatever else has come is handled before.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// Whether a piece has as much as one turn of the loop makes. Whatever is answered in pieces asks here.
pub(super) const fn is_full(rows: usize, bytes: usize) -> bool {
    rows >= ROWS_MAX || bytes >= BYTES_MAX
}

/// A list under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    what: What,
    /// As JSON.
    json: bool,
    /// It is the first piece.
    is_first: bool,
}

/// What is listed, from which record on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Hosts { after: HostId, environments: bool },
    Jobs { after: JobId },
}

/// A piece, as text or as rows.
#[derive(Default)]
struct Piece {
    text: String,
    rows: Vec<Row>,
    count: usize,
    bytes: usize,
}

impl Piece {
    fn is_full(&self) -> bool {
        is_full(self.count, self.bytes.max(self.text.len()))
    }

    fn add(&mut self, row: Row, bytes: usize) {
        self.rows.push(row);
        self.count += 1;
        self.bytes += bytes;
    }

    fn add_job(&mut self, indent: &str, job: &JobRow) {
        let name = |host: &Option<_>| host.as_ref().map_or("<unknown>".to_owned(), ToString::to_string);
        let (submitter, server) = (name(&job.submitter), name(&job.server));
        let _ = writeln!(self.text, "{indent}{} {} sub:{submitter} on:{server} {}", job.id, job.state, job.file);
        self.count += 1;
    }
}

impl Listing {
    /// All hosts. Their environments are listed only if somebody asks for them: they may be thousands.
    pub fn hosts(json: bool, environments: bool) -> Self {
        Self { what: What::Hosts { after: HostId(0), environments }, json, is_first: true }
    }

    /// All jobs.
    pub fn jobs(json: bool) -> Self {
        Self { what: What::Jobs { after: JobId(0) }, json, is_first: true }
    }
}

impl Scheduler {
    /// Answers with the next piece of a list. If there is more, it follows in a while.
    pub(super) fn list(&mut self, peer: PeerId, mut listing: Listing) {
        let mut piece = Piece::default();
        let is_last = match &mut listing.what {
            What::Hosts { after, environments } => self.list_hosts(&mut piece, listing.json, after, *environments),
            What::Jobs { after } => self.list_jobs(&mut piece, listing.json, after),
        };
        let bytes = piece.bytes + piece.text.len();
        if listing.json {
            self.output(Output::SendRows { peer, rows: piece.rows, is_first: listing.is_first, is_last });
        } else {
            self.send_text(peer, piece.text);
        }
        listing.is_first = false;
        let next = self.spend(peer, bytes).unwrap_or(self.now + PAUSE);
        if is_last {
            return self.send_text(peer, "200 done\n".into());
        }
        if let Some(console) = self.consoles.get_mut(&peer) {
            console.listing = Some(listing);
        }
        self.pause(peer, next);
    }

    fn list_hosts(&self, piece: &mut Piece, json: bool, after: &mut HostId, environments: bool) -> bool {
        for host in self.ledger.cluster().hosts_after(*after) {
            if piece.is_full() {
                return false;
            }
            *after = host.id();
            if json {
                let row = HostRow::of(host, environments);
                let names: usize = row.environments.iter().map(|env| env.target.len() + env.name.len() + 24).sum();
                piece.add(Row::Host(row), 320 + names);
                continue;
            }
            self.host_line(&mut piece.text, host);
            piece.count += 1;
            for id in host.work().jobs() {
                if let Some(job) = self.ledger.job(*id) {
                    piece.add_job("   ", &JobRow::of(&self.ledger, *id, job));
                }
            }
        }
        true
    }

    fn host_line(&self, out: &mut String, host: &Host) {
        let silent = if host.probing().is_pinged() { "-" } else { "" };
        let _ = write!(
            out,
            " {} ({}:{}) [{}] speed={:.2} jobs={}/{silent}{} load={}",
            host.said().name,
            host.said().address,
            host.said().port,
            host.said().platform,
            host.shown().value(),
            host.work().jobs().len(),
            host.work().slots(),
            host.load()
        );
        if let Some(since) = host.work().installs().map(|i| i.since).min() {
            let _ = write!(out, " busy installing since {} s", self.now.since(since).as_secs());
        }
        out.push('\n');
    }

    fn list_jobs(&self, piece: &mut Piece, json: bool, after: &mut JobId) -> bool {
        for (id, job) in self.ledger.jobs().range((Excluded(*after), Unbounded)) {
            if piece.is_full() {
                return false;
            }
            *after = *id;
            let row = JobRow::of(&self.ledger, *id, job);
            if json {
                let bytes = 128 + row.file.len();
                piece.add(Row::Job(row), bytes);
            } else {
                piece.add_job(" ", &row);
            }
        }
        true
    }

    /// Answers a text peer no further until then.
    pub(super) fn pause(&mut self, peer: PeerId, until: crate::time::Instant) {
        let Some(console) = self.consoles.get_mut(&peer) else { return };
        let old = console.paused_until.replace(until);
        self.cancel_timer(old, Timer::Text(peer));
        self.set_timer(until, Timer::Text(peer));
    }
}
