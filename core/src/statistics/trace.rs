//! A build as a trace in the format of Chrome, which Perfetto opens too.
//!
//! Hosts are processes. Which slot had a job is not known: the jobs of a host are laid side by side into as few rows as they
//! need, and each row is a thread. The preprocessor, or the scan for files, has rows of its own. All times were taken by clocks of the
//! submitter, so no clock of another host matters. How long a server's queue held a job its protocol does not tell: that is part of the
//! slice on the server.

use super::note::{Beside, Note, Part};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The process that is the submitter.
const OWN: u32 = 1;
/// Category of slices that are parts of a job.
const PARTS: &str = "job";
/// Category of slices of what runs beside them.
const BESIDE: &str = "beside";

/// All of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    trace_events: Vec<Event>,
    display_time_unit: &'static str,
    other_data: BTreeMap<&'static str, Arg>,
}

/// One event. Times are in microseconds since the first job began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Event {
    name: String,
    cat: &'static str,
    ph: &'static str,
    ts: u64,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    /// Of a flow: which.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// Of a flow's end: it belongs to the slice around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    args: BTreeMap<&'static str, Arg>,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Arg {
    Text(String),
    Number(u64),
}

/// A place in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    pid: u32,
    tid: u32,
}

/// Which rows of the hosts are taken, and until when.
#[derive(Debug, Default)]
struct Rows(BTreeMap<u32, Vec<u64>>);

impl Rows {
    /// The first row of a host that is free from `begun` on; it is taken until `ended`.
    fn take(&mut self, pid: u32, begun: u64, ended: u64) -> Row {
        let rows = self.0.entry(pid).or_default();
        let at = rows.iter().position(|until| *until <= begun).unwrap_or(rows.len());
        match rows.get_mut(at) {
            Some(until) => *until = ended,
            None => rows.push(ended),
        }
        Row { pid, tid: u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1) }
    }
}

impl Trace {
    /// Of these jobs.
    pub fn of(notes: &[&Note]) -> Self {
        let base = notes.iter().map(|note| note.begun).min().unwrap_or_default();
        let servers: BTreeSet<&str> = notes.iter().filter(|note| elsewhere(note)).map(|note| &*note.host).collect();
        let pids: BTreeMap<&str, u32> = servers.into_iter().zip(OWN + 1..).collect();
        let mut trace = Self { display_time_unit: "ms", ..Self::default() };
        let mut jobs: Vec<&Note> = notes.to_vec();
        jobs.sort_by_key(|note| note.begun);
        let mut own = Rows::default();
        let rows: Vec<Row> = jobs.iter().map(|note| own.take(OWN, note.begun - base, note.ended() - base)).collect();
        for (note, row) in jobs.iter().zip(&rows) {
            trace.add_own(note, *row, base);
        }
        let beside = own.0.get(&OWN).map_or(0, Vec::len);
        let mut others = Rows::default();
        let mut remote: Vec<(u64, &Note, Row)> = jobs
            .iter()
            .zip(rows)
            .filter(|(note, _)| elsewhere(note))
            .map(|(n, row)| (sent(n) - base, *n, row))
            .collect();
        remote.sort_by_key(|(begun, ..)| *begun);
        for (number, (begun, note, own)) in (0..).zip(remote) {
            let pid = pids.get(&*note.host).copied().unwrap_or(OWN);
            let took = note.spans.of(Part::Compile);
            let there = others.take(pid, begun, begun + took);
            trace.slice(Part::Compile.word(), PARTS, there, begun, took, note);
            trace.flow(2 * number, own, begun, there);
            trace.flow(2 * number + 1, there, begun + took, own);
        }
        trace.add_counters(&jobs, &pids, &others, base);
        trace.add_names(&pids, &others, &own, beside);
        trace.tell(base, jobs.len());
        trace
    }

    /// What happens on the submitter.
    fn add_own(&mut self, note: &Note, row: Row, base: u64) {
        let mut at = note.begun - base;
        for part in Part::ALL {
            let took = note.spans.of(part);
            if took > 0 && !(part == Part::Compile && elsewhere(note)) {
                self.slice(part.word(), PARTS, row, at, took, note);
            }
            at += took;
        }
        for (name, beside) in [("preprocess", note.preprocess), ("scan", note.scan)] {
            let Some(Beside { begun, took }) = beside else { continue };
            let row = Row { tid: besides(row.tid), ..row };
            self.slice(name, BESIDE, row, note.begun - base + u64::from(begun), u64::from(took), note);
        }
    }

    fn slice(&mut self, name: &str, cat: &'static str, row: Row, ts: u64, took: u64, note: &Note) {
        let mut args = BTreeMap::from([("file", Arg::Text(note.file.clone()))]);
        if !note.reason.is_empty() {
            args.insert("reason", Arg::Text(note.reason.clone()));
        }
        self.event(Event { name: name.to_owned(), cat, ph: "X", ts, dur: Some(took), args, ..Event::at(row) });
    }

    /// An arrow at this time, from the end of one slice to another.
    fn flow(&mut self, id: u64, from: Row, ts: u64, to: Row) {
        let of =
            |row, ph, ts, bp| Event { name: "job".into(), cat: "flow", ph, ts, id: Some(id), bp, ..Event::at(row) };
        self.event(of(from, "s", ts.saturating_sub(1), None));
        self.event(of(to, "f", ts, Some("e")));
    }

    /// Rows that are free on each host, and bytes so far.
    fn add_counters(&mut self, jobs: &[&Note], pids: &BTreeMap<&str, u32>, others: &Rows, base: u64) {
        for (host, pid) in pids {
            let rows = others.0.get(pid).map_or(0, Vec::len) as u64;
            let mine = || jobs.iter().filter(|note| elsewhere(note) && note.host == *host);
            let begins = mine().map(|note| (sent(note) - base, true));
            let ends = mine().map(|note| (sent(note) - base + note.spans.of(Part::Compile), false));
            let mut all: Vec<(u64, bool)> = begins.chain(ends).collect();
            // Of what happens at the same time the end comes first.
            all.sort_unstable();
            let mut free = rows;
            self.counter("free slots", *pid, 0, [("free", free)]);
            for (ts, begins) in all {
                free = if begins { free.saturating_sub(1) } else { free + 1 };
                self.counter("free slots", *pid, ts, [("free", free)]);
            }
        }
        let mut ended: Vec<&&Note> = jobs.iter().collect();
        ended.sort_by_key(|note| note.ended());
        let (mut sent, mut received) = (0_u64, 0_u64);
        for note in ended {
            sent = sent.saturating_add(note.sent);
            received = received.saturating_add(note.received);
            self.counter("bytes", OWN, note.ended() - base, [("sent", sent), ("received", received)]);
        }
    }

    fn counter<const N: usize>(&mut self, name: &str, pid: u32, ts: u64, values: [(&'static str, u64); N]) {
        let args = values.map(|(name, value)| (name, Arg::Number(value))).into();
        self.event(Event {
            name: name.to_owned(),
            cat: "counter",
            ph: "C",
            ts,
            args,
            ..Event::at(Row { pid, tid: 0 })
        });
    }

    fn add_names(&mut self, pids: &BTreeMap<&str, u32>, others: &Rows, own: &Rows, beside: usize) {
        self.named("process_name", Row { pid: OWN, tid: 0 }, "this host".to_owned());
        for (host, pid) in pids {
            self.named("process_name", Row { pid: *pid, tid: 0 }, (*host).to_owned());
        }
        for (pid, rows) in own.0.iter().chain(&others.0) {
            for tid in 1..=u32::try_from(rows.len()).unwrap_or_default() {
                self.named("thread_name", Row { pid: *pid, tid }, format!("row {tid}"));
            }
        }
        for tid in 1..=u32::try_from(beside).unwrap_or_default() {
            self.named("thread_name", Row { pid: OWN, tid: besides(tid) }, format!("row {tid}, preprocessor"));
        }
    }

    fn named(&mut self, what: &str, row: Row, name: String) {
        let args = BTreeMap::from([("name", Arg::Text(name))]);
        self.event(Event { name: what.to_owned(), cat: "", ph: "M", args, ..Event::at(row) });
    }

    /// What must be known to read it.
    fn tell(&mut self, base: u64, jobs: usize) {
        let text = |text: &str| Arg::Text(text.to_owned());
        self.other_data = BTreeMap::from([
            ("begun_us_since_1970", Arg::Number(base)),
            ("jobs", Arg::Number(jobs as u64)),
            ("clocks", text("all times are of the submitter's clock: there are no offsets to correct")),
            ("rows", text("slots are not told: jobs of a host are laid into as few rows as they need")),
            ("queue", text("the wait for a slot of a server is part of \"queue and compile\"")),
        ]);
    }

    fn event(&mut self, event: Event) {
        self.trace_events.push(event);
    }
}

impl Event {
    fn at(row: Row) -> Self {
        Self { pid: row.pid, tid: row.tid, ..Self::default() }
    }
}

/// The row of what runs beside the jobs of another row.
fn besides(tid: u32) -> u32 {
    tid.saturating_add(100_000)
}

/// Whether a compile server had the job.
fn elsewhere(note: &Note) -> bool {
    !note.host.is_empty() && note.spans.of(Part::Compile) > 0
}

/// When all of it was sent.
fn sent(note: &Note) -> u64 {
    let before = [Part::Prepare, Part::Wait, Part::Environment, Part::Send];
    note.begun.saturating_add(before.map(|part| note.spans.of(part)).iter().sum())
}

/// Jobs that determined how long the build took: the one that ended last, before it the one that ended last before that began,
/// and so on; the first of them first.
pub fn critical_path<'n>(notes: &[&'n Note]) -> Vec<&'n Note> {
    let mut path: Vec<&Note> = Vec::new();
    let mut before = u64::MAX;
    while let Some(last) = notes.iter().filter(|note| note.ended() <= before).max_by_key(|note| note.ended()) {
        // A job that took no time at all would come again.
        if path.last().is_some_and(|next| next.begun == last.begun) {
            break;
        }
        before = last.begun;
        path.push(last);
    }
    path.reverse();
    path
}
