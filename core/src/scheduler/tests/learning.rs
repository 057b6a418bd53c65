//! Measured paces of hosts, as `listcs --json` shows them, relative to what the same file took elsewhere.

use super::*;

/// The paces of `one` and `two` after jobs of (host, file, milliseconds, bytes of object).
fn paces(jobs: &[(&str, &str, u32, u32)]) -> [f64; 2] {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let (one, two) = (s.host("one", 4, &["e"]), s.host("two", 4, &["e"]));
    for (host, file, ms, bytes) in jobs {
        let asks = GetCs { preferred_host: (*host).into(), ..request("e", file, 1) };
        let (job, _) = s.ask(a, asks).unwrap();
        let actor = if *host == "one" { one } else { two };
        let stats = JobStats { real_ms: *ms, out_uncompressed: *bytes, ..JobStats::default() };
        s.say(actor.peer, Message::JobDone(JobDone { job, stats, ..JobDone::default() }));
    }
    ["one", "two"].map(|name| s.host_row(name).pace)
}

#[test]
fn a_host_that_takes_half_the_time_is_twice_as_fast() {
    assert_eq!(paces(&[]), [0.0, 0.0]);
    assert_eq!(paces(&[("one", "f", 100, 0)]), [1.0, 0.0]);
    assert_eq!(paces(&[("one", "f", 100, 0), ("two", "f", 50, 0)]), [1.0, 2.0]);
    assert_eq!(paces(&[("one", "f", 0, 0)]), [0.0, 0.0], "nothing is learned of no time");
}

/// The weight of a file and the pace of a host move by a fraction with each job.
#[test]
fn a_pace_moves_with_each_job() {
    let mut jobs = vec![("one", "f", 100, 0), ("two", "f", 50, 0)];
    let mut shown = Vec::new();
    for ms in [60, 200, 80, 40, 100, 100, 100] {
        jobs.push(("two", "f", ms, 0));
        shown.push(paces(&jobs)[1]);
    }
    // With enough samples an outlier counts as at most three times as slow or fast.
    for ms in [100_000, 1] {
        jobs.push(("two", "f", ms, 0));
        shown.push(paces(&jobs)[1]);
    }
    let expected = [1.8156, 0.9628, 1.0916, 1.2704, 1.2145, 1.1860, 1.1706, 0.9303, 2.6117];
    assert_eq!(shown, expected);
}

/// The weight of a new file is estimated from the size of its object.
#[test]
fn a_new_file_is_weighed_by_its_object() {
    let mut jobs = vec![("one", "f", 100, 10_000), ("one", "g", 300, 30_000)];
    let mut shown = vec![paces(&jobs)];
    for (file, ms, bytes) in [("h", 100, 20_000), ("i", 50, 10_000), ("j", 100, 10_000), ("k", 100, 0)] {
        jobs.push(("two", file, ms, bytes));
        shown.push(paces(&jobs));
    }
    jobs.push(("one", "h", 200, 20_000));
    shown.push(paces(&jobs));
    let two = [0.0, 2.0, 2.0, 1.5873, 1.5873, 1.5873];
    assert_eq!(shown, two.map(|two| [1.0, two]));
}

/// Whatever hosts report, a pace stays between 1/10000 and 10000.
#[test]
fn a_pace_has_bounds() {
    let claims = |first: u32, then: u32| {
        let mut jobs = vec![("one", "f", first, 0)];
        jobs.extend([("two", "f", then, 0); 3]);
        paces(&jobs)[1]
    };
    assert_eq!([claims(1, 100_000), claims(4_000_000_000, 1)], [0.0001, 10000.0]);
}
