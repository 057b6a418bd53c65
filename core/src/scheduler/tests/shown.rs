//! The exact output of the text port, and its figures.

use super::*;

#[test]
fn statistics_count_what_became_of_jobs() {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 0, &[]), s.host("h", 4, &["e"]));
    s.monitor();
    for client in 1..=5 {
        s.ask(a, request("e", "f", client)).unwrap();
    }
    for (job, code) in [(1, 0), (2, 0), (3, 1)] {
        s.begin(h, job);
        s.finish(h, job, 0, code, 10);
    }
    s.say(a.peer, Message::JobDone(JobDone { job: 4, flags: 3, ..JobDone::default() }));
    s.ask(a, request("e", "f", 6)).unwrap();
    s.begin(h, 6);
    let full = s.host("full", 1, &["q"]);
    s.load(full, 1000);
    for client in 7..=9 {
        s.ask(a, GetCs { preferred_host: "full".into(), ..request("q", "f", client) });
    }
    let shown = s.text(&["stats"]);
    let expected = " uptime_s=0\n hosts=3\n monitors=1\n slots=5\n jobs_queued=3\n jobs_waiting=1\n jobs_compiling=1\n \
                    jobs_total=9\n jobs_placed=6\n jobs_succeeded=2\n jobs_failed=1\n jobs_cancelled=1\n jobs_lost=0\n200 done\n";
    assert_eq!(shown, expected);
    s.input(Input::Closed { peer: h.peer });
    assert!(s.text(&["stats"]).contains(" jobs_lost=2\n"));
    s.say(a.peer, Message::JobDone(JobDone { job: 99, flags: 3, ..JobDone::default() }));
    assert!(s.text(&["stats"]).contains(" jobs_cancelled=1\n"), "nobody's");
}

#[test]
fn a_hosts_state_is_a_word() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let state = |s: &mut Scenario, name: &str| s.host_row(name).state.word();
    let h = s.host("h", 1, &["e"]);
    assert_eq!(state(&mut s, "h"), "ready");
    s.load(h, 999);
    assert_eq!(state(&mut s, "h"), "ready");
    s.load(h, 1000);
    assert_eq!(state(&mut s, "h"), "loaded");
    s.load(h, 0);
    for client in 1..=2 {
        assert_eq!(state(&mut s, "h"), "ready");
        s.ask(a, request("e", "f", client)).unwrap();
    }
    assert_eq!(state(&mut s, "h"), "full");
    s.reachable = None;
    let new = s.host("new", 1, &["e"]);
    assert_eq!(state(&mut s, "new"), "unknown");
    s.input(Input::Probed { host: new.host, reachable: false });
    assert_eq!(state(&mut s, "new"), "unreachable");
    s.wait(10);
    assert_eq!(state(&mut s, "h"), "silent");
    // An old host that was sent PING.
    let mut s = Scenario::new();
    s.log_in("10.0.0.1", 26, login("old", 1, &[]));
    s.wait(36);
    assert_eq!(state(&mut s, "old"), "silent");
}

#[test]
fn hosts_and_jobs_as_data() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 4, &["e", "g"]);
    s.say(h.peer, Message::JobLocalBegin(JobLocalBegin { id: 1, ..JobLocalBegin::default() }));
    for client in 1..=2 {
        s.ask(a, request("e", "f\n", client)).unwrap();
    }
    s.begin(h, 2);
    let environments = ["e", "g"].map(|name| EnvironmentRow { target: "x86_64".into(), name: name.into() });
    let expected = HostRow {
        id: 2,
        name: "h".into(),
        address: "10.0.0.2".into(),
        port: 10245,
        platform: "x86_64".into(),
        version: 43,
        speed: 0.0,
        pace: 0.0,
        jobs: 2,
        running: 1,
        local: 1,
        slots: 4,
        load: 0,
        no_remote: false,
        state: HostState::Ready,
        environments: environments.into(),
    };
    assert_eq!(s.host_row("h"), expected);
    let full = s.host("full", 1, &["q"]);
    s.load(full, 1000);
    s.ask(a, GetCs { preferred_host: "full".into(), niceness: 5, ..request("q", "f\n", 3) });
    let job = |id, state, server: Option<&str>, niceness| {
        let (submitter, server) = (Some("a".into()), server.map(Text::from));
        JobRow { id, state, submitter, server, niceness, file: "f\n".into() }
    };
    let (h, none) = (Some("h"), None);
    assert_eq!(s.job_rows(), [job(2, "COMP", h, 0), job(3, "WAIT", h, 0), job(4, "PEND", none, 5)]);
}

#[test]
fn hosts_are_removed_and_asked_by_name_or_address() {
    for by in ["h", "10.0.0.2"] {
        let mut s = Scenario::new();
        let (a, h) = (s.host("a", 1, &[]), s.host("h", 1, &[]));
        s.sent.clear();
        s.text(&[&format!("internals {by}")]);
        assert_eq!(s.sent_to(h.peer), [Message::GetInternals], "{by}");
        assert!(s.sent_to(a.peer).is_empty(), "{by}");
        s.say(h.peer, Message::StatusText { text: "h".into() });
        let removed = s.text(&[&format!("removecs nobody {by}")]);
        assert_eq!(removed, format!("401 No host nobody.\nremoving host {by}\n200 done\n"));
        assert_eq!(s.closed, [(h.peer, CloseReason::Removed)]);
        s.closed.clear();
        s.log_in("10.0.0.2", 43, login("h", 1, &[]));
        assert!(s.closed.is_empty(), "it may come again");
        s.text(&[&format!("blockcs {by}")]);
        s.closed.clear();
        s.log_in("10.0.0.2", 43, login("h", 1, &[]));
        assert_eq!(s.closed.len(), 1, "{by}: it may not");
    }
}

/// 1.4's speed: bytes of object per millisecond, with a bonus for few samples; no sample counts more than 20 % off the
/// known speed.
#[test]
fn the_speed_of_a_host() {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 0, &[]), s.host("h", 4, &["e"]));
    let after = |s: &mut Scenario, out: u32, user_ms: u32, arg_flags: u32| {
        let (job, _) = s.ask(a, GetCs { arg_flags, ..request("e", "f", 1) }).unwrap();
        let stats = JobStats { real_ms: user_ms, user_ms, out_uncompressed: out, ..JobStats::default() };
        s.say(h.peer, Message::JobDone(JobDone { job, stats, ..JobDone::default() }));
        s.host_row("h").speed
    };
    assert_eq!(after(&mut s, 4095, 100, 0), 0.00, "too small to count");
    assert_eq!(after(&mut s, 4096, 100, 0), 163.84);
    assert_eq!(after(&mut s, 5904, 100, 0), 175.00);
    (0..4).for_each(|_| _ = after(&mut s, 5000, 100, 0));
    assert_eq!(after(&mut s, 5000, 100, 0), 50.00);
    assert_eq!(after(&mut s, 40_000, 100, 0), 51.25, "counts as 60 a millisecond");
    assert_eq!(after(&mut s, 4096, 400, 0), 48.40, "as 42.7");
    // Options make objects larger or smaller: debug information, optimisation.
    for (flags, size) in [(0, 10_000), (1, 2777), (2, 2222), (4, 16_571), (8, 16_571), (16, 16_571), (5, 4601)] {
        let mut s = Scenario::new();
        let (a, h) = (s.host("a", 0, &[]), s.host("h", 4, &["e"]));
        let (job, _) = s.ask(a, GetCs { arg_flags: flags, ..request("e", "f", 1) }).unwrap();
        s.finish(h, job, 0, 0, 100);
        let speed = f64::from(size) / 100.0 * 4.0;
        assert_eq!(format!("{:.2}", s.host_row("h").speed), format!("{speed:.2}"), "{flags}");
    }
}

#[test]
fn an_earlier_job_on_the_same_host_is_named() {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 0, &[]), s.host("h", 4, &["e"]));
    let (b, other) = (s.host("b", 0, &[]), s.host("other", 4, &["q"]));
    let mut matched = |who: TestHost, env: &str, server: TestHost| {
        s.sent_to(who.peer);
        s.say(who.peer, Message::GetCs(request(env, "f", 1)));
        let sent = s.sent_to(who.peer);
        let [Message::UseCs(answer)] = sent.as_slice() else { panic!("{sent:?}") };
        s.finish(server, answer.job.0, 0, 0, 100);
        (answer.job.0, answer.matched_job.0)
    };
    assert_eq!(matched(b, "e", h), (1, 0));
    assert_eq!(matched(a, "q", other), (2, 0));
    assert_eq!(matched(a, "e", h), (3, 0));
    assert_eq!(matched(a, "e", h), (4, 3));
    assert_eq!(matched(b, "e", h), (5, 1));
}

/// Below protocol 25 STATS is a sign of life; 25 and 26 must answer PING.
#[test]
fn what_counts_as_a_sign_of_life() {
    for (version, asked) in [(24, false), (25, true), (26, true), (27, false)] {
        let mut s = Scenario::new();
        let h = s.log_in("10.0.0.1", version, login("h", 1, &[]));
        s.wait(20);
        s.load(h, 0);
        s.sent_to(h.peer);
        s.wait(30);
        assert_eq!(s.sent_to(h.peer).contains(&Message::Ping), asked, "{version}");
    }
}

#[test]
fn of_several_daemons_at_an_address_the_one_that_had_the_job_is_avoided() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let two = ["one", "two"].map(|name| {
        let host = s.log_in("10.0.7.7", 43, login(name, 4, &["e"]));
        s.load(host, 0);
        host
    });
    let prefer = |name: &str, client| GetCs { preferred_host: name.into(), ..request("e", "f", client) };
    let (job, _) = s.ask(a, prefer("two", 1)).unwrap();
    let black = BlacklistHostEnv { environment: "e".into(), target: "x86_64".into(), host: "10.0.7.7".into() };
    s.say(a.peer, Message::BlacklistHostEnv(black.clone()));
    s.finish(two[1], job, 0, 0, 10);
    assert_eq!(s.ask(a, prefer("two", 2)).unwrap().1, "");
    assert_eq!(s.ask(a, prefer("one", 3)).unwrap().1, "10.0.7.7");
    // If that cannot be determined, all of them are.
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    for name in ["one", "two"] {
        let host = s.log_in("10.0.7.7", 43, login(name, 4, &["e"]));
        s.load(host, 0);
    }
    s.say(a.peer, Message::BlacklistHostEnv(black));
    for name in ["one", "two"] {
        assert_eq!(s.ask(a, prefer(name, 1)).unwrap().1, "");
    }
}
