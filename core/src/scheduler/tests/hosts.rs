//! Hosts: log-in, silence, leaving, and a better scheduler.

use super::*;

#[test]
fn s13_conf_is_sent_from_24_on() {
    for (version, sent) in [(21, 0), (23, 0), (24, 1), (43, 1), (1000, 1)] {
        let mut s = Scenario::new();
        let host = s.log_in("10.0.0.1", version, login("h", 1, &[]));
        let confs = s.sent_to(host.peer).into_iter().filter(|m| matches!(m, Message::CsConf(_))).count();
        assert_eq!(confs, sent, "{version}");
    }
}

#[test]
fn s14_without_stats_a_host_gets_no_job() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    let h = s.log_in("10.0.0.9", 43, login("h", 1, &["e"]));
    assert_eq!(s.ask(submitter, request("e", "f", 1)), None);
    s.load(h, 999);
    assert_eq!(s.answers(submitter).len(), 1);
}

#[test]
fn s15_a_second_login_changes_environments_only() {
    let mut s = Scenario::new();
    let h = s.host("h", 2, &[]);
    s.sent.clear();
    let mut other = login("x", 9, &["e"]);
    other.port = 0;
    s.say(h.peer, Message::Login(other));
    assert!(matches!(s.sent_to(h.peer).as_slice(), [Message::CsConf(_)]));
    let host = s.scheduler.ledger.host(h.host).unwrap();
    assert_eq!((host.work().slots(), host.said().port, host.standing().environments().len()), (2, 10245, 1));
    assert_eq!(host.said().name, "h");
}

#[test]
fn s16_a_host_that_comes_again_replaces_its_older_self() {
    let mut s = Scenario::new();
    let old = s.log_in("10.0.0.1", 43, login("h", 1, &[]));
    s.log_in("10.0.0.2", 43, login("h", 1, &[]));
    s.log_in("10.0.0.1", 43, login("other", 1, &[]));
    assert!(s.closed.is_empty());
    s.log_in("10.0.0.1", 43, login("h", 1, &[]));
    assert_eq!(s.closed, [(old.peer, CloseReason::Replaced)]);
    assert_eq!(s.scheduler.ledger.cluster().len(), 3);
}

#[test]
fn s17_strange_messages_end_a_host_but_a_late_status_does_not() {
    let mut s = Scenario::new();
    let h = s.host("h", 1, &[]);
    s.say(h.peer, Message::StatusText { text: "late".into() });
    assert!(s.closed.is_empty());
    s.say(h.peer, Message::MonLogin);
    assert_eq!(s.closed, [(h.peer, CloseReason::InvalidMessage)]);
    assert!(s.noted("Invalid message type arrived ?"));
}

#[test]
fn s18_s20_when_a_host_leaves_its_jobs_end_queued_ones_first() {
    let mut s = Scenario::new();
    let h = s.host("h", 1, &["e"]);
    let other = s.host("o", 0, &[]);
    let monitor = s.monitor();
    for client in 1..=4 {
        s.ask(h, request("e", "f", client));
    }
    s.ask(other, request("e", "f", 9));
    assert_eq!(s.ask(other, request("e", "f", 10)), None);
    s.sent_to(monitor);
    s.input(Input::Closed { peer: h.peer });
    let sent: Vec<u32> = s
        .sent_to(monitor)
        .into_iter()
        .map(|m| match m {
            Message::MonStats(stats) => {
                assert_eq!(stats.text, "State:Offline\n");
                0
            }
            Message::MonJobDone(done) => {
                assert_eq!(done.exit_code, 255);
                done.job
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sent, [0, 2, 3, 4, 1, 5]);
    assert_eq!(s.answers(other), [(6, String::new())], "what only waited goes home");
}

#[test]
fn s21_old_silent_hosts_are_asked_then_removed() {
    let mut s = Scenario::new();
    let h = s.log_in("10.0.0.1", 26, login("h", 4, &[]));
    s.load(h, 0);
    s.wait(35);
    s.sent_to(h.peer);
    s.wait(2);
    assert_eq!(s.sent_to(h.peer), [Message::Ping]);
    assert!(s.text(&["listcs"]).contains("jobs=0/-4"));
    s.say(h.peer, Message::Ping);
    assert!(s.text(&["listcs"]).contains("jobs=0/4"));
    s.wait(43);
    assert_eq!(s.closed.pop(), Some((h.peer, CloseReason::Silent)));
}

#[test]
fn s22_who_does_not_log_in_is_closed() {
    let mut s = Scenario::new();
    let peer = s.peer("10.0.0.1", 43);
    s.wait(14);
    assert!(s.closed.is_empty());
    s.wait(2);
    assert_eq!(s.closed, [(peer, CloseReason::NoLogin)]);
}

#[test]
fn s24_an_unreachable_host_gets_nothing_and_is_tried_again() {
    let mut s = Scenario::new();
    let submitter = s.host("s", 0, &[]);
    s.reachable = None;
    let h = s.host("h", 4, &["e"]);
    s.wait(5);
    s.probes.clear();
    s.input(Input::Probed { host: h.host, reachable: false });
    assert_eq!(s.ask(submitter, request("e", "f", 1)).unwrap().1, "", "nobody can: home");
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let before = s.now;
        while s.probes.is_empty() {
            s.wait(1);
        }
        pauses.push(s.now.since(before).as_secs());
        s.probes.clear();
        s.input(Input::Probed { host: h.host, reachable: false });
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
    s.reachable = Some(true);
    s.wait(61);
    assert!(s.noted("Client (h 10.0.0.2:10245) is accepting incoming connections."));
    assert_eq!(s.ask(submitter, request("e", "f", 2)).unwrap().1, "10.0.0.2");
}

#[test]
fn s26_long_names_are_refused() {
    let mut s = Scenario::new();
    let monitor = s.monitor();
    let peer = s.peer("10.0.0.1", 43);
    s.say(peer, Message::Login(login(&"x".repeat(3000), 1, &[])));
    assert_eq!(s.closed, [(peer, CloseReason::LoginRefused)]);
    assert!(s.sent_to(monitor).is_empty());
}

#[test]
fn s26_names_of_control_characters_are_refused() {
    for name in ["a\nb", "\u{1}", "ab\u{7f}"] {
        for platform in [false, true] {
            let mut s = Scenario::new();
            let mut l = login("h", 1, &[]);
            *(if platform { &mut l.platform } else { &mut l.node_name }) = name.into();
            s.log_in("10.0.0.1", 43, l);
            assert_eq!(s.closed.len(), 1, "{name:?}");
        }
    }
}

#[test]
fn a_frozen_host_gets_no_more_jobs() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let frozen = s.host("frozen", 4, &["e"]);
    s.wait(30);
    s.reachable = None;
    assert!(s.ask(a, request("e", "f", 1)).is_some());
    assert_eq!(s.probes, [frozen.host], "it was silent for long: look at once");
    s.wait(1);
    assert!(s.noted("host with jobs gives no sign of life, avoiding it host=frozen"));
    assert_eq!(s.ask(a, request("e", "f", 2)), None);
    let other = s.host("other", 1, &["e"]);
    s.input(Input::Probed { host: other.host, reachable: true });
    assert_eq!(s.answers(a), [(2, "10.0.0.3".into())]);
    // It wakes up.
    assert_eq!(s.ask(a, request("e", "f", 3)).unwrap().1, "10.0.0.3");
    assert_eq!(s.ask(a, request("e", "f", 4)), None);
    s.load(frozen, 0);
    assert_eq!(s.answers(a), [(4, "10.0.0.2".into())]);
}

#[test]
fn a_host_that_freezes_with_jobs_is_found_out() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 4, &["e"]);
    s.reachable = None;
    for client in 1..=3 {
        s.ask(a, request("e", "f", client)).unwrap();
    }
    s.begin(h, 1);
    s.wait(3);
    assert_eq!(s.probes, [h.host]);
    s.wait(1);
    assert!(s.noted("host with jobs gives no sign of life"));
    assert_eq!(s.ask(a, request("e", "f", 9)), None);
    s.input(Input::Probed { host: h.host, reachable: false });
    assert_eq!(s.answers(a).len(), 1, "now it is known to be unreachable");
}

#[test]
fn a_better_scheduler_takes_hosts_and_monitors_over() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let monitor = s.monitor();
    s.input(Input::ElectionLost { address: "10.1.1.1".into(), port: 8765, version: Version::new(43) });
    assert_eq!(s.closed, [(a.peer, CloseReason::ElectionLost), (monitor, CloseReason::ElectionLost)]);
    assert!(s.noted("Scheduler from 10.1.1.1:8765 (version 43) has announced itself as a preferred scheduler, disconnecting all connections."));
    assert_eq!(s.sent_to(monitor).len(), 1);
}

#[test]
fn a_better_scheduler_that_serves_nobody_is_not_believed_again() {
    let mut s = Scenario::new();
    let claim = || Input::ElectionLost { address: "10.1.1.1".into(), port: 8765, version: Version::new(44) };
    s.host("a", 0, &[]);
    s.input(claim());
    s.closed.clear();
    s.wait(2);
    let a = s.host("a", 0, &[]);
    assert!(s.noted("the preferred scheduler at 10.1.1.1 does not serve the hosts that were sent there"));
    s.input(claim());
    assert_eq!(s.closed, []);
    s.wait(3600);
    s.input(claim());
    assert_eq!(s.closed, [(a.peer, CloseReason::ElectionLost)]);
}
