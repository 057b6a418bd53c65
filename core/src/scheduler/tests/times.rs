//! Times, each tested when it is over and a millisecond before. The numbers are literal: they are what peers and users
//! see.

use super::*;

/// Advances the clock until a host is probed; returns the time passed.
fn until_probed(s: &mut Scenario) -> u64 {
    let before = s.now;
    while s.probes.is_empty() {
        s.pass(millis(1));
        assert!(s.now.since(before) < Duration::from_secs(200));
    }
    s.probes.clear();
    s.now.since(before).as_millis() as u64
}

#[test]
fn a_peer_has_fifteen_seconds_to_log_in() {
    let mut s = Scenario::new();
    let peer = s.peer("10.0.0.1", 43);
    s.pass(millis(14_999));
    assert!(s.closed.is_empty());
    s.pass(millis(1));
    assert_eq!(s.closed, [(peer, CloseReason::NoLogin)]);
}

#[test]
fn a_silent_old_host_is_asked_after_thirty_six_seconds_and_has_six() {
    let mut s = Scenario::new();
    let h = s.log_in("10.0.0.1", 26, login("h", 4, &[]));
    s.sent_to(h.peer);
    s.pass(millis(35_999));
    assert!(s.sent_to(h.peer).is_empty());
    s.pass(millis(1));
    assert_eq!(s.sent_to(h.peer), [Message::Ping]);
    s.pass(millis(5_999));
    assert!(s.closed.is_empty());
    s.pass(millis(1));
    assert_eq!(s.closed, [(h.peer, CloseReason::Silent)]);
}

#[test]
fn a_text_peer_may_be_silent_for_thirty_six_seconds() {
    let mut s = Scenario::new();
    let peer = s.console(&[]);
    s.pass(millis(35_999));
    s.input(Input::Line { peer, text: "listblocks".into() });
    s.pass(millis(35_999));
    assert!(s.closed.is_empty());
    s.pass(millis(1));
    assert_eq!(s.closed, [(peer, CloseReason::GoodBye)]);
}

#[test]
fn a_job_becomes_more_urgent_each_minute() {
    let (mut s, a, _) = Scenario::in_which_jobs_wait();
    let niceness = |s: &mut Scenario| s.job_rows()[0].niceness;
    for (asked, level) in [(1, 1), (20, 20), (21, 20), (u32::MAX, 0)] {
        s.ask(a, GetCs { niceness: asked, ..request("e", "f", 1) });
        assert_eq!(niceness(&mut s), level, "{asked}");
        s.pass(millis(59_999));
        assert_eq!(niceness(&mut s), level, "{asked}");
        s.pass(millis(1));
        assert_eq!(niceness(&mut s), level.saturating_sub(1), "{asked}");
        s.pass(millis(60_000));
        assert_eq!(niceness(&mut s), level.saturating_sub(2), "{asked}");
        s.say(a.peer, Message::JobDone(JobDone { job: 1, flags: 3, ..JobDone::default() }));
    }
}

#[test]
fn beside_full_slots_a_host_gets_jobs_for_250_ms_after_they_moved() {
    for (wait, goes) in [(250, true), (251, false)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        s.host("h", 4, &["e"]);
        for client in 1..=4 {
            assert!(s.ask(a, request("e", "f", client)).is_some());
        }
        s.pass(millis(wait));
        assert_eq!(s.ask(a, request("e", "f", 5)).is_some(), goes, "{wait}");
    }
}

#[test]
fn a_host_that_is_probed_for_a_second_counts_as_reachable() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("small", 1, &[]);
    s.reachable = None;
    s.host("new", 8, &["e"]);
    s.pass(millis(999));
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, "10.0.0.2");
    s.pass(millis(1));
    assert_eq!(s.ask(a, request("e", "f", 2)).unwrap().1, "10.0.0.3");
}

#[test]
fn a_reachable_host_is_probed_again_after_a_minute() {
    let mut s = Scenario::new();
    s.host("h", 1, &[]);
    s.reachable = None;
    assert_eq!(until_probed(&mut s), 60_000);
}

#[test]
fn an_environment_is_on_its_way_for_two_minutes() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 8, &[]);
    s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(s.ask(a, request("e", "f", 2)), None);
    s.pass(millis(119_999));
    assert_eq!(s.answers(a), []);
    s.pass(millis(1));
    assert_eq!(s.answers(a).len(), 1);
}

#[test]
fn a_host_is_avoided_with_an_environment_for_ten_minutes() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 8, &["e"]);
    let host = s.address(h);
    s.say(a.peer, black("e", "x86_64", &host));
    s.pass(millis(599_999));
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, "");
    s.pass(millis(1));
    assert_eq!(s.ask(a, request("e", "f", 2)).unwrap().1, host);
}

#[test]
fn a_job_that_never_begins_is_lost_after_an_hour() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 1, &["e"]);
    let monitor = s.monitor();
    s.ask(a, request("e", "f", 1)).unwrap();
    s.sent_to(monitor);
    s.pass(millis(3_599_999));
    assert!(!s.sent_to(monitor).iter().any(|m| matches!(m, Message::MonJobDone(_))));
    s.pass(millis(1));
    assert!(matches!(s.sent_to(monitor).as_slice(), [Message::MonJobDone(d)] if d.job == 1 && d.exit_code == 255));
}

#[test]
fn a_job_that_does_not_begin_takes_its_slot_for_a_minute() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 1, &["e"]);
    // The second one is preloaded.
    for client in 1..=2 {
        s.ask(a, request("e", "f", client)).unwrap();
    }
    assert_eq!(s.ask(a, request("e", "f", 3)), None);
    s.pass(millis(61_999));
    assert_eq!(s.answers(a), []);
    s.pass(millis(1));
    assert_eq!(s.answers(a).len(), 1, "looked at every two seconds, the first time after two");
}

#[test]
fn a_host_with_a_job_that_waits_is_probed_after_two_seconds_of_silence() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 4, &["e"]);
    s.reachable = None;
    s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(until_probed(&mut s), 2000);
}

/// It is checked every two seconds.
#[test]
fn a_host_whose_jobs_run_is_probed_after_five_seconds_of_silence() {
    for (speaks, probed) in [(0, 6000), (1000, 5000), (1001, 6999)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let h = s.host("h", 4, &["e"]);
        s.reachable = None;
        let (job, _) = s.ask(a, request("e", "f", 1)).unwrap();
        s.pass(millis(speaks));
        s.begin(h, job);
        assert_eq!(until_probed(&mut s), probed, "{speaks}");
    }
}

#[test]
fn a_host_that_was_heard_of_three_seconds_ago_is_probed_when_it_gets_a_job() {
    for (wait, probes) in [(2_999, false), (3_000, true)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        s.host("h", 4, &["e"]);
        s.reachable = None;
        s.pass(millis(wait));
        s.ask(a, request("e", "f", 1)).unwrap();
        assert_eq!(!s.probes.is_empty(), probes, "{wait}");
    }
}
