//! Counts of jobs, by tables of what ended.

use super::*;

/// Noon of some day.
const NOON: u64 = 20_000 * DAY + DAY / 2;
const SECOND: u64 = 1_000_000;

/// A job that began so many microseconds after noon: all parts take 10, its compile as said.
fn note(place: Place, after_noon: u64, compile: u64) -> Note {
    let mut spans = Spans::default();
    for part in [Part::Prepare, Part::Wait, Part::Environment, Part::Send, Part::Fetch] {
        spans.add(part, 10);
    }
    spans.add(if place == Place::Here { Part::Here } else { Part::Compile }, compile);
    let reason = if place == Place::Elsewhere { "" } else { "messages" };
    let host = if place == Place::Here { "" } else { "10.0.0.2" };
    let (reason, host) = (reason.to_owned(), host.to_owned());
    Note { place, reason, host, begun: NOON + after_noon, spans, sent: 7, received: 5, tries: 1, ..Note::default() }
}

fn of(notes: &[Note]) -> Statistics {
    let mut all = Statistics::default();
    notes.iter().for_each(|note| all.add(note.clone(), 200));
    all
}

#[test]
fn each_job_counts_once_in_its_place() {
    let over = Note { host: "10.0.0.3".into(), status: 1, ..note(Place::Here, 1, 100) };
    let again = Note { tries: 2, ..note(Place::Elsewhere, 2, 500) };
    let all = of(&[note(Place::Elsewhere, 0, 1000), over, again, note(Place::Twice, 3, 20), note(Place::Here, 4, 5)]);
    let sums = all.counters(Period::Last, 0);
    assert_eq!((sums.elsewhere, sums.here, sums.twice, sums.jobs()), (2, 2, 1, 5));
    assert_eq!((sums.failed, sums.failed_over), (1, 2));
    assert_eq!(sums.reasons.into_iter().collect::<Vec<_>>(), [("messages".to_owned(), 3)]);
    assert_eq!(sums.hosts["10.0.0.2"], HostCount { jobs: 2, bought: 1500 });
    assert_eq!((sums.bought, sums.overhead, sums.compiled_here, sums.total), (1500, 100, 105, 250 + 1625));
    assert_eq!((sums.sent, sums.received), (35, 25));
    assert_eq!((sums.begun, sums.ended), (NOON, NOON + 1050));
    assert_eq!(of(&[note(Place::Elsewhere, 0, 20)]).counters(Period::All, 0).saved(), -30);
}

#[test]
fn a_build_ends_when_no_job_was_there_for_half_a_minute() {
    let first = [note(Place::Elsewhere, 0, 10), note(Place::Elsewhere, 60 + 30 * SECOND, 10)];
    assert_eq!(of(&first).counters(Period::Last, 0).jobs(), 2, "exactly half a minute after the end of the first");
    let next = note(Place::Elsewhere, 121 + 60 * SECOND, 30);
    let all = of(&[&first[..], std::slice::from_ref(&next)].concat());
    assert_eq!((all.counters(Period::Last, 0).jobs(), all.records().count()), (1, 1));
    assert_eq!(all.records().next(), Some(&next));
    assert_eq!(all.counters(Period::All, 0).jobs(), 3);
}

#[test]
fn today_is_over_at_midnight() {
    let all = of(&[note(Place::Here, 0, 0), note(Place::Here, 10, 0), note(Place::Here, DAY, 0)]);
    let jobs = |now| all.counters(Period::Today, now).jobs();
    assert_eq!((jobs(NOON + DAY + 5), jobs(NOON + 2 * DAY)), (1, 0));
    assert_eq!(all.counters(Period::All, 0).jobs(), 3);
}

#[test]
fn the_slowest_come_first_and_what_is_kept_is_bounded() {
    let mut all = Statistics::default();
    for n in 0..1000 {
        let odd = Note { host: format!("10.0.{n}"), reason: format!("odd-{n}"), ..note(Place::Elsewhere, n, n % 70) };
        all.add(odd.clone(), 50);
        all.add(Note { place: Place::Twice, file: "ü".repeat(300), ..odd }, 50);
    }
    let last = all.counters(Period::Last, 0);
    assert_eq!((all.records().count(), all.slowest(10).len()), (50, 10));
    let times: Vec<u64> = all.slowest(10).iter().map(|note| note.spans.total()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b) && times[0] == 50 + 69, "{times:?}");
    assert_eq!((last.hosts.len(), last.reasons.len()), (257, 257));
    assert_eq!(last.hosts[""].jobs, 744);
    assert!(all.records().all(|note| note.file.len() <= 200));
}

#[test]
fn no_number_is_too_large() {
    let mut spans = Spans::default();
    spans.add(Part::Here, u64::MAX);
    spans.add(Part::Here, 1);
    assert_eq!(spans.of(Part::Here), u64::from(u32::MAX));
    let huge = Note { begun: u64::MAX, sent: u64::MAX, spans, ..note(Place::Here, 0, 0) };
    let all = of(&[huge.clone(), huge]);
    assert_eq!(all.counters(Period::All, 0).sent, u64::MAX);
    assert!(all.records().all(|note| note.ended() < 1 << 61));
}

#[test]
fn the_critical_path_goes_back_from_the_last_end() {
    let job = |begun, compile, file: &str| Note { file: file.into(), ..note(Place::Elsewhere, begun, compile) };
    let all = [job(0, 50, "a"), job(0, 200, "b"), job(120, 100, "c"), job(260, 100, "d"), job(300, 10, "e")];
    let all: Vec<&Note> = all.iter().collect();
    let path: Vec<&str> = trace::critical_path(&all).iter().map(|note| &*note.file).collect();
    assert_eq!(path, ["b", "d"]);
    let instant = Note::default();
    assert_eq!(trace::critical_path(&[&instant, &instant]).len(), 1);
    assert!(trace::critical_path(&[]).is_empty());
}

#[test]
fn a_trace_of_any_notes_is_made() {
    let odd = Note { begun: 1 << 60, host: "x".into(), ..note(Place::Twice, 0, 5) };
    for notes in [vec![], vec![&odd], vec![&odd, &note(Place::Elsewhere, 0, 3), &odd]] {
        assert_eq!(trace::Trace::of(&notes), trace::Trace::of(&notes));
    }
}
