//! The state as text or JSON, for `--once`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ice_core::cluster_view::{HostStatus, JobStatus, Status};
use ice_core::time::Instant;
use serde::Serialize;

use super::feed::Feed;
use super::recording::{self, Recorder};
use super::{Clock, Event, Link, Monitor};
use crate::exit::Failure;

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    scheduler: Option<&'a str>,
    #[serde(flatten)]
    status: Status,
}

/// Listens to a feed so long after the scheduler has let us in.
///
/// # Errors
/// If there is no scheduler.
pub fn listen(
    feed: &Feed,
    clock: Clock,
    listen: Duration,
    mut recorder: Option<Recorder>,
) -> Result<(Monitor, Instant), Failure> {
    let mut monitor = Monitor::new();
    let mut end = None;
    loop {
        // The feed itself gives up in time.
        let received = match end {
            None => feed.recv().ok(),
            Some(end) => feed.recv_deadline(end).ok(),
        };
        let Some((at, event)) = received else { break };
        monitor.hear(at, &event);
        monitor.pass(at);
        if let Some(recorder) = &mut recorder {
            recorder.write(at, &event)?;
            recorder.flush()?;
        }
        match event {
            Event::Connected { .. } => end = Some(std::time::Instant::now() + listen),
            Event::Lost { why } => return Err(Failure::new(why)),
            _ => {}
        }
    }
    Ok((monitor, clock.now()))
}

/// What a recording comes to.
///
/// # Errors
/// If it cannot be read.
pub fn recorded(file: &Path) -> Result<(Monitor, Instant), Failure> {
    let mut monitor = Monitor::new();
    let mut now = Instant::ZERO;
    for (at, event) in recording::read(file)? {
        now = now.max(at);
        monitor.hear(at, &event);
        monitor.pass(now);
    }
    Ok((monitor, now))
}

/// The state as JSON.
///
/// # Errors
/// Never, as it has no maps.
pub fn json(monitor: &Monitor, now: Instant) -> Result<String, Failure> {
    let printed = Printed { scheduler: scheduler(monitor), status: Status::new(&monitor.view, now) };
    let text = serde_json::to_string_pretty(&printed).map_err(|e| Failure::new(format!("cannot write JSON: {e}")))?;
    Ok(text + "\n")
}

/// The state as text.
pub fn text(monitor: &Monitor, now: Instant) -> String {
    let Status { now: counts, hosts, jobs, .. } = Status::new(&monitor.view, now);
    let mut out = format!(
        "scheduler {}: {} hosts, {} slots, {} jobs run, {} wait, {} local\n",
        scheduler(monitor).unwrap_or("unknown"),
        hosts.len(),
        counts.slots,
        counts.running,
        counts.waiting,
        counts.local
    );
    let width = hosts.iter().map(|host| host.name.to_string().chars().count()).max().unwrap_or(0).max(4);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\n{:<width$}  {:<15} {:>9} {:>5}  platform", "host", "address", "busy", "load");
    for host in &hosts {
        let _ = writeln!(out, "{}", host_line(host, width));
    }
    if !jobs.is_empty() {
        let _ = writeln!(out, "\n{:>8}  {:<7} {:>7}  from -> on  file", "job", "state", "seconds");
    }
    for job in &jobs {
        let _ = writeln!(out, "{}", job_line(job));
    }
    out
}

fn host_line(host: &HostStatus, width: usize) -> String {
    let load = host.load.map_or("-".to_owned(), |load| format!("{}%", load / 10));
    let busy = format!("{}/{}", host.busy, host.slots);
    let note = if host.no_remote { ", takes no jobs of others" } else { "" };
    format!("{:<width$}  {:<15} {busy:>9} {load:>5}  {}{note}", host.name, host.address, host.platform)
}

fn job_line(job: &JobStatus) -> String {
    let unknown = || "?".to_owned();
    let submitter = job.submitter.clone().unwrap_or_else(unknown);
    let host = job.host.clone().unwrap_or_else(|| "-".to_owned());
    format!("{:>8}  {:<7} {:>7.1}  {submitter} -> {host}  {}", job.id, job.state, job.seconds, job.file)
}

fn scheduler(monitor: &Monitor) -> Option<&str> {
    match &monitor.link {
        Link::Connected { scheduler, .. } | Link::Over(scheduler) => Some(scheduler),
        Link::Looking(_) | Link::Lost(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = r#"{"at":0,"event":"connected","scheduler":"10.0.0.1:8765","protocol":43}
{"at":0,"event":"host","host":1,"text":"Name:one\nIP:10.0.0.1\nMaxJobs:2\nNoRemote:true\nPlatform:x86_64\nLoad:120\n"}
{"at":0,"event":"host","host":2,"text":"Name:second\nIP:10.0.0.2\nMaxJobs:4\nPlatform:x86_64\n"}
{"at":1,"event":"asked","job":7,"host":1,"file":"src/a.cc","language":1}
{"at":2,"event":"begun","job":7,"host":2}
{"at":3,"event":"local","job":8,"host":1,"file":"a.out"}
{"at":4.5,"event":"asked","job":9,"host":1,"file":"src/b.cc","language":1}
"#;

    fn monitor() -> (Monitor, Instant) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed");
        std::fs::write(&path, RECORDING).unwrap();
        recorded(&path).unwrap()
    }

    #[test]
    fn the_text_has_hosts_and_jobs() {
        let (monitor, now) = monitor();
        let wanted = "\
scheduler 10.0.0.1:8765: 2 hosts, 4 slots, 1 jobs run, 1 wait, 1 local

host    address              busy  load  platform
one     10.0.0.1              1/2   12%  x86_64, takes no jobs of others
second  10.0.0.2              1/4     -  x86_64

     job  state   seconds  from -> on  file
       7  running     2.5  one -> second  src/a.cc
       8  local       1.5  one -> one  a.out
       9  waiting     0.0  one -> -  src/b.cc
";
        assert_eq!(text(&monitor, now), wanted);
    }

    #[test]
    fn the_json_has_the_same() {
        let (monitor, now) = monitor();
        let value: serde_json::Value = serde_json::from_str(&json(&monitor, now).unwrap()).unwrap();
        assert_eq!(
            (&value["scheduler"], &value["running"], &value["slots"]),
            (&"10.0.0.1:8765".into(), &1.into(), &4.into())
        );
        assert_eq!(
            (&value["hosts"][1]["name"], &value["hosts"][1]["load"]),
            (&"second".into(), &serde_json::Value::Null)
        );
        assert_eq!((&value["jobs"][0]["host"], &value["jobs"][0]["state"]), (&"second".into(), &"running".into()));
    }

    #[test]
    fn no_scheduler_is_a_failure_with_its_reason() {
        let (events, feed) = crossbeam::channel::bounded(4);
        events.send((Instant::ZERO, Event::Looking { target: "h".into() })).unwrap();
        events.send((Instant::ZERO, Event::Lost { why: "no scheduler here".into() })).unwrap();
        let failure = listen(&feed, Clock::start(1.0), Duration::ZERO, None).unwrap_err();
        assert_eq!((failure.to_string().as_str(), failure.code), ("no scheduler here", 1));
    }
}
