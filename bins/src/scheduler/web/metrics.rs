//! `/metrics`: what Prometheus collects. What is not known is absent, not 0.

use std::fmt::{Display, Write as _};

use ice_core::cluster_view::HostView;
use ice_core::scheduler::{HostRow, HostState};

use super::Identity;
use super::feed::Feed;
use super::known::Known;
use super::status::{load, pace};

/// Hosts that have figures of their own. Those of the others are added up, under the name `other`.
const HOSTS_MAX: usize = 500;

/// The text, family by family.
#[derive(Default)]
struct Exposition(String);

/// A value with its labels as they are written, braces included.
type Value = (String, String);

impl Exposition {
    /// A family; without values it is left out.
    fn family(&mut self, name: &str, kind: &str, help: &str, values: impl IntoIterator<Item = Value>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            let _ = writeln!(self.0, "# HELP icecc_{name} {help}\n# TYPE icecc_{name} {kind}");
        }
        for (labels, value) in values {
            let _ = writeln!(self.0, "icecc_{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl IntoIterator<Item = impl Display>) {
        self.family(name, "gauge", help, value.into_iter().map(|value| (String::new(), value.to_string())));
    }

    fn counter(&mut self, name: &str, help: &str, value: impl IntoIterator<Item = impl Display>) {
        self.family(name, "counter", help, value.into_iter().map(|value| (String::new(), value.to_string())));
    }
}

/// The answer.
pub fn metrics(identity: &Identity, feed: &Feed) -> String {
    let known = feed.known();
    let mut out = Exposition::default();
    let labels = labels(&[("version", identity.version), ("netname", &identity.netname)]);
    out.family("scheduler_info", "gauge", "The scheduler's version and netname.", [(labels, "1".into())]);
    out.gauge("scheduler_uptime_seconds", "Time since the scheduler began.", known.count("uptime_s"));
    cluster(&mut out, &known);
    jobs(&mut out, &known);
    hosts(&mut out, &known);
    out.0
}

fn cluster(out: &mut Exposition, known: &Known) {
    if let Some(rows) = known.hosts() {
        let count = |state| rows.iter().filter(|row| row.state == state).count();
        let states = HostState::ALL.map(|state| (labels(&[("state", state.word())]), count(state).to_string()));
        out.family("hosts", "gauge", "Hosts by whether they take jobs, or why not.", states);
    }
    let sample = known.view().sample();
    out.gauge("monitors", "Monitors that are logged in, with this one.", known.count("monitors"));
    out.gauge("slots", "Slots of hosts that take jobs of others.", [sample.slots]);
    out.gauge("jobs_queued", "Jobs that wait for a host.", known.count("jobs_queued"));
    out.gauge("jobs_assigned", "Jobs that have a host and have not begun there.", known.count("jobs_waiting"));
    out.gauge("jobs_compiling", "Jobs that hosts compile for others.", known.count("jobs_compiling"));
    out.gauge("local_jobs_running", "Jobs that hosts kept for themselves.", [sample.local]);
}

fn jobs(out: &mut Exposition, known: &Known) {
    out.counter("jobs_requested_total", "Numbers given to jobs, local ones too.", known.count("jobs_total"));
    out.counter("jobs_placed_total", "Jobs that were given a host.", known.count("jobs_placed"));
    let results = [
        ("succeeded", "jobs_succeeded"),
        ("failed", "jobs_failed"),
        ("cancelled", "jobs_cancelled"),
        ("lost", "jobs_lost"),
    ];
    let of = |(label, name): (&str, &str)| Some((labels(&[("result", label)]), known.count(name)?.to_string()));
    out.family("jobs_total", "counter", "Jobs by what became of them.", results.into_iter().filter_map(of));
    let totals = known.view().totals();
    out.counter("local_jobs_total", "Jobs that hosts kept for themselves and ended.", [totals.local]);
    out.counter("job_source_bytes_total", "Sources as they were sent.", [totals.bytes_in]);
    out.counter("job_object_bytes_total", "Objects as they were sent.", [totals.bytes_out]);
    let seconds = totals.real_ms as f64 / 1000.0;
    out.counter("job_seconds_total", "Time that hosts took for jobs of the scheduler.", [seconds]);
}

/// A figure of a host: its name, type, help, and where it comes from.
type Figure = (&'static str, &'static str, &'static str, fn(&HostView, Option<&HostRow>) -> Option<f64>);

/// What can be added up.
const COUNTED: [Figure; 5] = [
    ("host_slots", "gauge", "Slots of a host.", |host, _| Some(f64::from(host.slots))),
    ("host_jobs", "gauge", "Jobs on a host, its own too.", |host, _| Some(host.busy() as f64)),
    ("host_jobs_done_total", "counter", "Jobs that a host did for the scheduler.", |host, _| Some(host.done as f64)),
    ("host_jobs_failed_total", "counter", "Those of them that ended with another status than 0.", |host, _| {
        Some(host.failed as f64)
    }),
    ("host_jobs_submitted_total", "counter", "Jobs that a host asked for.", |host, _| Some(host.submitted as f64)),
];

/// What is of one host alone.
const MEASURED: [Figure; 3] = [
    ("host_load_ratio", "gauge", "Load that a host reports; at 1 it takes no jobs.", |host, _| {
        load(host).map(|load| f64::from(load) / 1000.0)
    }),
    ("host_free_memory_bytes", "gauge", "Memory that a host reports as free.", |host, _| {
        host.free_mem.map(|mib| f64::from(mib) * 1_048_576.0)
    }),
    ("host_pace_ratio", "gauge", "Speed of a host beside the others'; 1 is their mean.", |_, row| row.and_then(pace)),
];

fn hosts(out: &mut Exposition, known: &Known) {
    let hosts: Vec<_> = known.view().hosts().iter().map(|(id, host)| (host, known.row(*id))).collect();
    let (named, others) = hosts.split_at(hosts.len().min(HOSTS_MAX));
    for (name, kind, help, of) in COUNTED.iter().chain(&MEASURED) {
        let value = |(host, row): &(&HostView, _)| Some((host_labels(host), of(host, *row)?.to_string()));
        let mut values: Vec<Value> = named.iter().filter_map(value).collect();
        if !others.is_empty() && COUNTED.iter().any(|(counted, ..)| counted == name) {
            let sum: f64 = others.iter().filter_map(|(host, row)| of(host, *row)).sum();
            values.push((labels(&[("host", "other"), ("address", "")]), sum.to_string()));
        }
        out.family(name, kind, help, values);
    }
}

/// Name and address: two hosts may have the same name, and the scheduler has none twice with both the same.
fn host_labels(host: &HostView) -> String {
    labels(&[("host", &host.name.to_string()), ("address", &host.address.to_string())])
}

/// Labels as they are written: names are what hosts say, so nothing in them may end a label.
fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let written: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", written.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(labels(&[("a", "x\"y\\z\n"), ("b", "ä{}")]), "{a=\"x\\\"y\\\\z\\n\",b=\"ä{}\"}");
    }

    #[test]
    fn a_family_without_values_is_absent() {
        let mut out = Exposition::default();
        out.gauge("a", "None.", None::<u64>);
        out.counter("b_total", "One.", [1.5]);
        assert_eq!(out.0, "# HELP icecc_b_total One.\n# TYPE icecc_b_total counter\nicecc_b_total 1.5\n");
    }
}
