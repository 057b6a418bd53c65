//! Lists in their orders.

use std::cmp::Reverse;

use ice_core::cluster_view::{ClusterView, Finished, HostView, JobView, Place};
use ice_core::ids::{HostId, JobId};

/// How hosts are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSort {
    /// By name.
    Name,
    /// The busiest first.
    Busy,
    /// The highest load first.
    Load,
    /// Those that did most jobs first.
    Done,
}

impl HostSort {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Self::Name => Self::Busy,
            Self::Busy => Self::Load,
            Self::Load => Self::Done,
            Self::Done => Self::Name,
        }
    }

    /// Its name on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Busy => "busy",
            Self::Load => "load",
            Self::Done => "done",
        }
    }
}

/// How jobs that have not ended are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSort {
    /// Those first that have been longest in their state.
    Longest,
    /// The newest first.
    Newest,
    /// By the host that does them; those that wait come first.
    Host,
    /// By the host that asked for them.
    Submitter,
}

impl JobSort {
    /// The next one.
    pub fn next(self) -> Self {
        match self {
            Self::Longest => Self::Newest,
            Self::Newest => Self::Host,
            Self::Host => Self::Submitter,
            Self::Submitter => Self::Longest,
        }
    }

    /// Its name on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Longest => "longest",
            Self::Newest => "newest",
            Self::Host => "host",
            Self::Submitter => "submitter",
        }
    }
}

/// A job in a list.
#[derive(Clone, Copy, Debug)]
pub struct JobRow<'a> {
    /// Its number.
    pub id: JobId,
    /// The job.
    pub job: &'a JobView,
    /// How it ended, if it has.
    pub ended: Option<&'a Finished>,
}

impl<'a> JobRow<'a> {
    fn ended(finished: &'a Finished) -> Self {
        Self { id: finished.id, job: &finished.job, ended: Some(finished) }
    }

    /// The host that does it.
    pub fn host(&self) -> Option<HostId> {
        match self.job.place {
            Place::On(host) => Some(host),
            Place::Local => Some(self.job.submitter),
            Place::Waiting => None,
        }
    }
}

/// Names with numbers in them in the order of the numbers: n2 before n10.
fn by_name(name: &str) -> (String, u64, String) {
    let head = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name.get(head.len()..).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    (head.to_owned(), number, name.to_owned())
}

/// All hosts.
pub fn hosts(view: &ClusterView, sort: HostSort) -> Vec<HostId> {
    let mut all: Vec<(HostId, &HostView)> = view.hosts().iter().map(|(id, host)| (*id, host)).collect();
    all.sort_by_cached_key(|(id, host)| {
        let first = match sort {
            HostSort::Name => 0,
            HostSort::Busy => host.busy() as u64,
            HostSort::Load => host.load.map_or(0, |load| u64::from(load) + 1),
            HostSort::Done => host.done,
        };
        (Reverse(first), by_name(&host.name.to_string()), *id)
    });
    all.into_iter().map(|(id, _)| id).collect()
}

/// All jobs: those that have not ended, then the last that ended.
pub fn jobs(view: &ClusterView, sort: JobSort) -> Vec<JobRow<'_>> {
    let mut all: Vec<JobRow<'_>> = view.jobs().iter().map(|(id, job)| JobRow { id: *id, job, ended: None }).collect();
    match sort {
        JobSort::Longest => all.sort_by_key(|row| (row.job.since, row.id)),
        JobSort::Newest => all.reverse(),
        JobSort::Host => all.sort_by_cached_key(|row| (row.host().map(|host| by_name(&view.name(host))), row.id)),
        JobSort::Submitter => all.sort_by_cached_key(|row| (by_name(&view.name(row.job.submitter)), row.id)),
    }
    all.extend(view.finished().rev().map(JobRow::ended));
    all
}

/// The jobs on a host by their slots, then the last that ended there.
pub fn jobs_of(view: &ClusterView, host: HostId) -> Vec<JobRow<'_>> {
    let seats = view.hosts().get(&host).map(|host| host.seats.as_slice()).unwrap_or_default();
    let sitting =
        seats.iter().flatten().filter_map(|id| Some(JobRow { id: *id, job: view.jobs().get(id)?, ended: None }));
    let ended = view.finished().rev().map(JobRow::ended).filter(|row| row.host() == Some(host));
    sitting.chain(ended).collect()
}

/// A job, also one of those that ended last.
pub fn job(view: &ClusterView, id: JobId) -> Option<JobRow<'_>> {
    let running = view.jobs().get(&id).map(|job| JobRow { id, job, ended: None });
    running.or_else(|| view.finished().rev().find(|finished| finished.id == id).map(JobRow::ended))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use ice_bins::monitor::{Event, Monitor};
    use ice_core::job::JobStats;
    use ice_core::message::{JobDone, Message, MonGetCs, MonJobBegin, MonLocalJobBegin, MonStats};
    use ice_core::time::Instant;

    /// Seconds since the feed began.
    pub fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    /// What a scheduler says of a host.
    pub fn host(id: u32, name: &str, slots: u32, load: u32) -> Message {
        let text = format!("Name:{name}\nIP:10.0.0.{id}\nMaxJobs:{slots}\nPlatform:x86_64\nVersion:43\nLoad:{load}\n");
        Message::MonStats(MonStats { host: HostId(id), text: text.as_str().into() })
    }

    /// A job is asked for.
    pub fn asked(job: u32, by: u32, file: &str) -> Message {
        let (job, host, file) = (JobId(job), HostId(by), file.into());
        Message::MonGetCs(MonGetCs { file, language: 1, job, host, request: None })
    }

    /// A job begins.
    pub fn begun(job: u32, on: u32) -> Message {
        Message::MonJobBegin(MonJobBegin { job: JobId(job), start_time: 0, host: HostId(on) })
    }

    /// A job ends.
    pub fn done(job: u32, exit_code: i32) -> Message {
        let stats = JobStats { real_ms: 1500, in_compressed: 120_000, out_compressed: 3000, ..JobStats::default() };
        Message::MonJobDone(JobDone { job, exit_code, stats, ..JobDone::default() })
    }

    /// A monitor that was told this, at second 1, 2, …
    pub fn told(messages: &[Message]) -> Monitor {
        let mut monitor = Monitor::new();
        monitor.hear(at(0), &Event::Connected { scheduler: "10.0.0.1:8765".into(), protocol: 43 });
        for (second, message) in (1..).zip(messages) {
            monitor.hear(at(second), &Event::Said(message.clone()));
        }
        monitor
    }

    /// Three hosts: n2 with two jobs, n10 without slots, and last; one job waits, one has failed.
    pub fn monitor() -> Monitor {
        let local = MonLocalJobBegin { host: HostId(2), job: JobId(9), start_time: 0, file: "prog".into() };
        told(&[
            host(1, "n10", 0, 1000),
            host(2, "n2", 4, 100),
            host(3, "zoo", 2, 50),
            asked(7, 1, "src/a.cc"),
            begun(7, 2),
            Message::MonLocalJobBegin(local),
            asked(10, 3, "src/b.cc"),
            asked(6, 1, "src/bad.cc"),
            begun(6, 3),
            done(6, 1),
        ])
    }

    #[test]
    fn hosts_are_sorted_by_what_is_wanted() {
        let monitor = monitor();
        let mut sort = HostSort::Name;
        for wanted in [[2, 1, 3], [2, 1, 3], [1, 2, 3], [3, 2, 1]] {
            let ids: Vec<u32> = hosts(&monitor.view, sort).iter().map(|id| id.0).collect();
            assert_eq!(ids, wanted, "{}", sort.word());
            sort = sort.next();
        }
        assert_eq!(sort, HostSort::Name);
    }

    #[test]
    fn jobs_are_sorted_by_what_is_wanted_and_ended_ones_are_last() {
        let monitor = monitor();
        let mut sort = JobSort::Longest;
        for wanted in [[7, 9, 10, 6], [10, 9, 7, 6], [10, 7, 9, 6], [9, 7, 10, 6]] {
            let ids: Vec<u32> = jobs(&monitor.view, sort).iter().map(|row| row.id.0).collect();
            assert_eq!(ids, wanted, "{}", sort.word());
            sort = sort.next();
        }
        assert_eq!(sort, JobSort::Longest);
        let ids = |host| jobs_of(&monitor.view, HostId(host)).iter().map(|row| row.id.0).collect::<Vec<_>>();
        assert_eq!((ids(2), ids(3), ids(1)), (vec![7, 9], vec![6], vec![]));
        assert!(job(&monitor.view, JobId(6)).is_some_and(|row| row.ended.is_some()));
        assert!(job(&monitor.view, JobId(99)).is_none());
    }
}
