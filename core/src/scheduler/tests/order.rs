//! Which queued job gets a host that becomes free, also when many wait for another host.

use super::*;

fn prefer(host: &str, environment: &str, client: u32) -> GetCs {
    GetCs { preferred_host: host.into(), ..request(environment, "f", client) }
}

/// Without the check of all invariants that ends each step of a scenario.
fn ask_quietly(s: &mut Scenario, actor: TestHost, request: GetCs) {
    s.scheduler.handle(s.now, Input::Message { peer: actor.peer, kind: '?', message: Message::GetCs(request) });
}

fn local(s: &mut Scenario, actor: TestHost, full: u32) {
    s.say(actor.peer, Message::JobLocalBegin(JobLocalBegin { id: 1, full, ..JobLocalBegin::default() }));
}

/// Takes both places of a host with one slot: the slot and the preload.
fn fill(s: &mut Scenario, submitter: TestHost, host: &str, environment: &str) {
    for client in 901..=902 {
        assert!(s.ask(submitter, prefer(host, environment, client)).is_some());
    }
}

/// A hundred other jobs wait for a host that is full, each with a requirement of its own.
#[test]
fn whoever_waits_for_another_host_keeps_nobody_waiting() {
    for by_address in [false, true] {
        let mut s = Scenario::new();
        let (a, b) = (s.host("a", 0, &[]), s.host("b", 0, &[]));
        let (full, h) = (s.host("full", 1, &[]), s.host("h", 1, &["e"]));
        let full_name = if by_address { s.address(full) } else { "full".into() };
        s.load(full, 1000);
        fill(&mut s, a, "h", "e");
        for n in 0..100 {
            assert_eq!(s.ask(a, prefer(&full_name, &format!("e{n}"), n)), None);
        }
        let name = if by_address { s.address(h) } else { "h".into() };
        assert_eq!(s.ask(b, prefer(&name, "e", 5)), None);
        s.finish(h, 1, 0, 0, 10);
        assert_eq!(s.answers(b), [(103, s.address(h))], "{by_address}");
        assert!(s.answers(a).is_empty());
    }
}

/// The preload is for other submitters: a host's own jobs neither take it nor keep others from it.
#[test]
fn own_jobs_of_a_host_without_a_free_slot_keep_nobody_waiting() {
    let mut s = Scenario::new();
    let (h, a) = (s.host("h", 4, &["e"]), s.host("a", 0, &[]));
    for client in 1..=6 {
        s.ask(a, request("e", "f", client)).unwrap();
    }
    for n in 0..80 {
        assert_eq!(s.ask(h, request(&format!("own{n}"), "f", n)), None);
    }
    assert_eq!(s.ask(a, request("e", "f", 7)), None);
    s.finish(h, 1, 0, 0, 10);
    assert_eq!(s.answers(a), [(87, s.address(h))]);
    assert!(s.answers(h).is_empty());
}

#[test]
fn a_host_takes_the_most_urgent_of_its_own_jobs_and_those_of_others() {
    let nice = |niceness, client| GetCs { niceness, ..request("e", "f", client) };
    for (own, others, first) in [([5, 0], 3, "own 0"), ([5, 4], 3, "other"), ([2, 9], 3, "own 2"), ([0, 9], 0, "own 0")]
    {
        let mut s = Scenario::new();
        let (h, a) = (s.host("h", 1, &["e"]), s.host("a", 0, &[]));
        local(&mut s, h, 1);
        for niceness in own {
            assert_eq!(s.ask(h, nice(niceness, niceness)), None);
        }
        assert_eq!(s.ask(a, nice(others, 100)), None);
        s.sent.clear();
        s.say(h.peer, Message::JobLocalDone { id: 1 });
        let goes = s.sent.drain(..).find_map(|(_, message)| match message {
            Message::NoCs { client, .. } => Some(format!("own {}", client.0)),
            Message::UseCs(_) => Some("other".into()),
            _ => None,
        });
        assert_eq!(goes.as_deref(), Some(first), "{own:?} {others}");
    }
}

/// The submitter is the last resort: no other host can take the job now.
#[test]
fn a_submitter_that_gets_a_slot_free_builds_what_waits() {
    let mut s = Scenario::new();
    let (a, full) = (s.host("a", 1, &[]), s.host("full", 1, &["e"]));
    s.load(full, 1000);
    local(&mut s, a, 0);
    assert_eq!(s.ask(a, request("e", "f", 1)), None);
    s.say(a.peer, Message::JobLocalDone { id: 1 });
    assert_eq!(s.answers(a), [(2, String::new())]);
    // Not if it could not run the compiler, or its user prefers another host.
    let mut s = Scenario::new();
    let arm = s.log_in("10.0.0.1", 43, Login { platform: "aarch64".into(), ..login("arm", 4, &[]) });
    s.load(arm, 0);
    let a = s.log_in("10.0.0.2", 43, Login { no_remote: 1, ..login("a", 4, &[]) });
    s.load(a, 0);
    let full = s.host("full", 1, &["e"]);
    s.load(full, 1000);
    assert_eq!(s.ask(arm, request("e", "f", 1)), None);
    assert_eq!(s.ask(a, prefer("full", "e", 2)), None);
    s.load(arm, 5);
    s.load(a, 5);
    assert!(s.answers(arm).is_empty() && s.answers(a).is_empty());
    s.load(full, 0);
    assert_eq!((s.answers(arm), s.answers(a)), (vec![(1, s.address(full))], vec![(2, s.address(full))]));
}

/// A submitter at the most urgent level keeps its turn, however long it waits.
#[test]
fn a_minute_changes_nothing_for_the_most_urgent() {
    let mut s = Scenario::new();
    let (a, b) = (s.host("a", 0, &[]), s.host("b", 0, &[]));
    let h = s.host("h", 1, &["e"]);
    fill(&mut s, a, "h", "e");
    s.begin(h, 1);
    assert_eq!(s.ask(a, request("e", "f", 1)), None);
    s.wait(30);
    assert_eq!(s.ask(b, request("e", "f", 1)), None);
    s.wait(40);
    s.finish(h, 1, 0, 0, 10);
    assert_eq!((s.answers(a).len(), s.answers(b).len()), (1, 0));
}

#[test]
fn that_a_job_waits_is_said_once_for_all_that_are_alike() {
    let (mut s, a, _) = Scenario::in_which_jobs_wait();
    let sent =
        |s: &Scenario| s.notes.iter().filter(|note| note.starts_with("No suitable host found, delaying")).count();
    for (environment, expected) in [("e", 1), ("e", 1), ("e", 1), ("q", 2), ("e", 2), ("q", 2)] {
        assert_eq!(s.ask(a, request(environment, "f", 1)), None);
        assert_eq!(sent(&s), expected);
    }
}

/// A bucket holds what a submitter waits for at one level.
#[test]
fn of_8192_lanes_no_more_are_waited_in() {
    let (mut s, a, _) = Scenario::in_which_jobs_wait();
    let asks = |n: u32| GetCs { niceness: n % 20, ..request(&format!("e{}", n / 20), "f", n) };
    for n in 0..8191 {
        ask_quietly(&mut s, a, asks(n));
    }
    while s.scheduler.poll_output().is_some() {}
    for (n, waits) in [(8191, true), (8192, false), (5, true), (8193, false), (8191, true)] {
        ask_quietly(&mut s, a, asks(n));
        let mut home = 0;
        while let Some(output) = s.scheduler.poll_output() {
            home += usize::from(matches!(output, Output::Send { message: Message::NoCs { .. }, .. }));
        }
        assert_eq!(home == 0, waits, "{n}");
    }
}

#[test]
fn a_preferred_host_that_installs_takes_no_second_job_for_that() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 8, &["other"]);
    assert_eq!(s.ask(a, prefer("h", "new", 1)), Some((1, s.address(h))));
    assert_eq!(s.ask(a, prefer("h", "new", 2)), None, "it is on its way");
    assert_eq!(s.ask(a, prefer("h", "other", 3)), Some((3, s.address(h))));
    s.say(h.peer, Message::Login(login("h", 0, &["other", "new"])));
    assert_eq!(s.answers(a), [(2, s.address(h))]);
}

/// Queued jobs are bound to the platform of their request's first job; other requests are not.
#[test]
fn only_jobs_of_the_same_request_are_bound_to_a_platform() {
    for count in [2, 3] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let arm = s.log_in("10.0.1.1", 43, Login { platform: "aarch64".into(), ..login("arm", 8, &[]) });
        s.load(arm, 1000);
        let pc = s.host("pc", 1, &[]);
        s.load(pc, 1000);
        let mut asks = GetCs { count, ..request("e", "f", 1) };
        asks.environments.push(EnvRef { platform: "aarch64".into(), name: "e".into() });
        for _ in 0..2 {
            assert_eq!(s.ask(a, asks.clone()), None);
        }
        s.load(pc, 0);
        assert_eq!(s.answers(a), [(1, s.address(pc))], "the environment is on its way for the others");
        s.load(arm, 0);
        assert_eq!(s.answers(a), [(count + 1, s.address(arm))]);
        s.say(arm.peer, Message::Login(Login { platform: "aarch64".into(), ..login("", 0, &["e"]) }));
        let there = |answers: Vec<(u32, String)>| answers.into_iter().map(|(job, _)| job).collect::<Vec<_>>();
        assert_eq!(there(s.answers(a)), (count + 2..=2 * count).collect::<Vec<_>>(), "all of the second request");
        s.say(pc.peer, Message::Login(login("", 0, &["e"])));
        assert_eq!(s.answers(a), [(2, s.address(pc))]);
    }
}

/// Numbers of existing jobs are skipped, so those of one request need not be consecutive.
#[test]
fn a_job_of_another_between_those_of_a_request_is_left_alone() {
    let mut s = Scenario::new();
    let (a, b) = (s.host("a", 0, &[]), s.host("b", 0, &[]));
    let arm = s.log_in("10.0.1.1", 43, Login { platform: "aarch64".into(), ..login("arm", 8, &[]) });
    s.load(arm, 1000);
    let pc = s.host("pc", 1, &[]);
    s.load(pc, 1000);
    let mut asks = request("e", "f", 1);
    asks.environments.push(EnvRef { platform: "aarch64".into(), name: "e".into() });
    s.scheduler.ledger.set_last_number(101);
    assert_eq!(s.ask(b, GetCs { niceness: 5, ..asks.clone() }), None);
    s.scheduler.ledger.set_last_number(100);
    assert_eq!(s.ask(a, GetCs { count: 2, ..asks }), None);
    s.load(pc, 0);
    assert_eq!(s.answers(a), [(101, s.address(pc))]);
    s.load(arm, 0);
    assert_eq!(s.answers(a), [(103, s.address(arm))]);
    s.say(arm.peer, Message::Login(Login { platform: "aarch64".into(), ..login("", 0, &["e"]) }));
    assert_eq!(s.answers(b), [(102, s.address(arm))]);
}

/// Whatever host they were on.
#[test]
fn of_a_submitter_the_last_two_hundred_jobs_are_known() {
    for (others, matched) in [(199, 1), (200, 0)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let (h, other) = (s.host("h", 1, &["e"]), s.host("other", 1, &["q"]));
        for job in 1..=others + 1 {
            let (environment, server) = if job == 1 { ("e", h) } else { ("q", other) };
            ask_quietly(&mut s, a, request(environment, "f", 1));
            let stats = JobStats { real_ms: 10, user_ms: 10, out_uncompressed: 10_000, ..JobStats::default() };
            let message = Message::JobDone(JobDone { job, stats, ..JobDone::default() });
            s.scheduler.handle(s.now, Input::Message { peer: server.peer, kind: '?', message });
        }
        s.drain();
        s.sent.clear();
        s.say(a.peer, Message::GetCs(request("e", "f", 1)));
        let sent = s.sent_to(a.peer);
        assert!(matches!(sent.as_slice(), [Message::UseCs(u)] if u.matched_job == JobId(matched)), "{sent:?}");
    }
}

/// Of a class that did not exist when the job was requested.
#[test]
fn a_host_that_comes_takes_what_waits() {
    let (mut s, a, _) = Scenario::in_which_jobs_wait();
    let strict = GetCs { minimal_version: 40, ..request("e", "f", 2) };
    assert_eq!((s.ask(a, request("e", "f", 1)), s.ask(a, strict)), (None, None));
    let old = s.log_in("10.0.5.5", 39, login("old", 4, &["e"]));
    s.load(old, 0);
    assert_eq!(s.answers(a), [(1, "10.0.5.5".into())]);
    let newer = s.log_in("10.0.6.6", 40, login("newer", 4, &["e"]));
    s.load(newer, 0);
    assert_eq!(s.answers(a), [(2, "10.0.6.6".into())]);
}

#[test]
fn an_earlier_job_is_looked_for_among_the_last_two_hundred() {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 0, &[]), s.host("h", 1, &["e"]));
    for job in 1..=202u32 {
        ask_quietly(&mut s, a, request("e", "f", 1));
        while let Some(output) = s.scheduler.poll_output() {
            let Output::Send { message: Message::UseCs(answer), .. } = output else { continue };
            let expected = if job == 1 { 0 } else { job.saturating_sub(200).max(1) };
            assert_eq!((answer.job.0, answer.matched_job.0), (job, expected));
        }
        let stats = JobStats { real_ms: 10, user_ms: 10, out_uncompressed: 10_000, ..JobStats::default() };
        let message = Message::JobDone(JobDone { job, stats, ..JobDone::default() });
        s.scheduler.handle(s.now, Input::Message { peer: h.peer, kind: '?', message });
    }
}
