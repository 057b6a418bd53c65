//! Sizes and counts, each tested at the bound and one beyond. The numbers are literal: they are what peers and users
//! see.

use super::*;

/// Without the check of all invariants that ends each step of a scenario.
fn quietly(s: &mut Scenario, actor: TestHost, message: Message) {
    s.scheduler.handle(s.now, Input::Message { peer: actor.peer, kind: '?', message });
}

#[test]
fn a_line_of_a_text_peer_has_four_thousand_and_ninety_six_bytes() {
    for (bytes, closed) in [(4096, false), (4097, true)] {
        let mut s = Scenario::new();
        s.console(&["x".repeat(bytes).as_str()]);
        assert_eq!(!s.closed.is_empty(), closed);
    }
}

#[test]
fn internals_wait_two_seconds_and_sixty_four_lines_behind_them() {
    let mut s = Scenario::new();
    s.host("mute", 1, &[]);
    let peer = s.console(&["internals"]);
    for _ in 0..64 {
        s.input(Input::Line { peer, text: "listblocks".into() });
    }
    s.pass(millis(1_999));
    assert_eq!(s.answered(peer), "");
    s.pass(millis(1));
    assert_eq!(s.answered(peer), "mute not reporting\n200 done\n".to_owned() + &"200 done\n".repeat(64));
    let peer = s.console(&["internals"]);
    for _ in 0..65 {
        assert!(s.closed.is_empty());
        s.input(Input::Line { peer, text: "listblocks".into() });
    }
    assert_eq!(s.closed, [(peer, CloseReason::GoodBye)]);
}

#[test]
fn sixteen_ask_for_internals_at_once() {
    let mut s = Scenario::new();
    s.host("mute", 1, &[]);
    for _ in 0..16 {
        let peer = s.console(&["internals"]);
        assert_eq!(s.answered(peer), "");
    }
    let peer = s.console(&["internals"]);
    assert_eq!(s.answered(peer), "401 Too many ask that just now.\n200 done\n");
    s.pass(millis(2000));
    let peer = s.console(&["internals"]);
    assert_eq!(s.answered(peer), "");
}

#[test]
fn internals_take_256_kib_of_a_host_and_two_mib_in_all() {
    let mut s = Scenario::new();
    let hosts: Vec<TestHost> = (0..9).map(|n| s.host(&format!("h{n}"), 1, &[])).collect();
    let peer = s.console(&["internals"]);
    for host in hosts {
        s.say(host.peer, Message::StatusText { text: "x".repeat(1 << 20).into() });
    }
    s.wait(2);
    let lengths: Vec<usize> = s.answered(peer).lines().map(str::len).collect();
    assert_eq!(lengths, [262_144, 262_144, 262_144, 262_144, 262_144, 262_144, 262_144, 262_144, 0, 8]);
}

#[test]
fn four_thousand_and_ninety_six_hosts_can_be_blocked() {
    let mut s = Scenario::new();
    let lines: Vec<String> = (0..8).map(|n| format!("blockcs{}", format!(" h{n}").repeat(512))).collect();
    s.console(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    s.host("one", 1, &[]);
    s.console(&["blockcs two"]);
    assert!(!s.text(&["listblocks"]).contains("two"));
    s.console(&["unblockcs h1"]);
    s.console(&["blockcs three four"]);
    let blocked = s.text(&["listblocks"]);
    assert!(blocked.contains("three") && !blocked.contains("four"));
    assert_eq!(blocked.lines().count(), 4097);
}

#[test]
fn a_request_asks_for_sixty_four_jobs() {
    for (count, queued) in [(64, 64), (65, 0)] {
        let (mut s, a, _) = Scenario::in_which_jobs_wait();
        s.ask(a, GetCs { count, ..request("e", "f", 1) });
        assert!(s.text(&["stats"]).contains(&format!(" jobs_queued={queued}\n")));
    }
}

/// Four submitters fill the queue.
#[test]
fn twenty_five_thousand_jobs_of_a_host_are_kept_and_a_hundred_thousand_wait() {
    let mut s = Scenario::new();
    let full = s.host("full", 1, &["e"]);
    s.load(full, 1000);
    let home = |s: &mut Scenario, who: TestHost, count| {
        quietly(s, who, Message::GetCs(GetCs { count, ..request("e", "f", 1) }));
        s.scheduler.poll_output();
        let mut sent_home = 0;
        while let Some(output) = s.scheduler.poll_output() {
            sent_home += usize::from(matches!(output, Output::Send { message: Message::NoCs { .. }, .. }));
        }
        sent_home
    };
    let submitters: Vec<TestHost> = (0..5).map(|n| s.host(&format!("s{n}"), 0, &[])).collect();
    for submitter in submitters.iter().take(4) {
        for _ in 0..500 {
            assert_eq!(home(&mut s, *submitter, 50), 0);
        }
        assert_eq!(home(&mut s, *submitter, 1), 1);
    }
    assert_eq!(home(&mut s, submitters[4], 1), 1);
    s.say(submitters[0].peer, Message::JobDone(JobDone { job: 1, flags: 3, ..JobDone::default() }));
    assert_eq!(home(&mut s, submitters[4], 1), 0);
}

#[test]
fn of_local_jobs_four_thousand_and_ninety_six_are_kept() {
    let mut s = Scenario::new();
    let h = s.host("h", 4, &[]);
    for id in 1..=4097 {
        quietly(&mut s, h, Message::JobLocalBegin(JobLocalBegin { id, ..JobLocalBegin::default() }));
        if id >= 4095 {
            assert_eq!(s.host_row("h").local, id.min(4096) as usize);
        }
    }
}

#[test]
fn of_a_file_name_the_last_1024_bytes_are_kept() {
    let (mut s, a, _) = Scenario::in_which_jobs_wait();
    for bytes in [1024, 1025] {
        s.ask(a, request("e", &("x".repeat(bytes - 4) + "/f.c"), 1));
    }
    let kept = Text::from("x".repeat(1020) + "/f.c");
    assert_eq!(s.job_rows().iter().map(|job| &job.file).collect::<Vec<_>>(), [&kept, &kept]);
}

/// Whether a request's environment is believed to be present on the only host.
fn is_present(s: &mut Scenario, a: TestHost, request: GetCs) -> bool {
    s.sent_to(a.peer);
    s.say(a.peer, Message::GetCs(request));
    let sent = s.sent_to(a.peer);
    match sent.as_slice() {
        [Message::UseCs(answer)] => answer.env_present == 1,
        [Message::NoCs { .. }] => false,
        _ => panic!("{sent:?}"),
    }
}

#[test]
fn of_a_request_sixty_four_environments_are_looked_at() {
    for (others, present) in [(63, true), (64, false)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        s.host("h", 4, &["e"]);
        let mut asks = request("e", "f", 1);
        // One for each of many platforms: only the first of a platform counts.
        let other = |n: usize| EnvRef { platform: format!("p{n}").into(), name: "o".into() };
        asks.environments = (0..others).map(other).chain(asks.environments).collect();
        assert_eq!(is_present(&mut s, a, asks), present, "{others}");
    }
}

#[test]
fn of_a_host_four_thousand_and_ninety_six_environments_are_kept() {
    for (others, present) in [(4095, true), (4096, false)] {
        for again in [false, true] {
            let mut s = Scenario::new();
            let a = s.host("a", 0, &[]);
            let mut names: Vec<String> = (0..others).map(|n| format!("o{n}")).collect();
            names.push("e".into());
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let h = s.host("h", 4, if again { &[] } else { &names });
            if again {
                s.say(h.peer, Message::Login(login("h", 4, &names)));
            }
            assert_eq!(is_present(&mut s, a, request("e", "f", 1)), present, "{others}");
        }
    }
}

#[test]
fn names_have_255_bytes() {
    type Change = fn(&mut Login, Text);
    let changes: [Change; 4] = [
        |l, t| l.node_name = t,
        |l, t| l.platform = t,
        |l, t| l.environments[0].name = t,
        |l, t| l.environments[0].platform = t,
    ];
    for change in changes {
        for (bytes, refused) in [(255, false), (256, true)] {
            let mut s = Scenario::new();
            let mut l = login("h", 1, &["e"]);
            change(&mut l, "x".repeat(bytes).into());
            s.log_in("10.0.0.1", 43, l);
            assert_eq!(!s.closed.is_empty(), refused, "{bytes}");
        }
    }
}

#[test]
fn monitors_are_256_in_all_and_64_at_an_address() {
    let mut s = Scenario::new();
    for n in 0..4 * 65 {
        let peer = s.peer(&format!("10.2.2.{}", n / 65), 43);
        s.say(peer, Message::MonLogin);
        assert_eq!(s.closed.len(), (n + 1) / 65);
    }
    let peer = s.peer("10.2.2.99", 43);
    s.say(peer, Message::MonLogin);
    assert_eq!(s.closed.last(), Some(&(peer, CloseReason::LoginRefused)));
    assert!(s.text(&["stats"]).contains(" monitors=256\n"));
}

#[test]
fn five_hundred_jobs_of_who_left_end_at_once_the_others_a_millisecond_later() {
    let (mut s, a, _) = Scenario::in_which_jobs_wait();
    for n in 0..501 {
        quietly(&mut s, a, Message::GetCs(request("e", "f", n)));
    }
    let monitor = s.monitor();
    s.input(Input::Closed { peer: a.peer });
    let ended = |s: &mut Scenario| {
        s.sent_to(monitor).into_iter().filter(|m| matches!(m, Message::MonJobDone(d) if d.exit_code == 255)).count()
    };
    assert_eq!(ended(&mut s), 500);
    s.pass(Duration::from_micros(999));
    assert_eq!(ended(&mut s), 0);
    s.pass(Duration::from_micros(1));
    assert_eq!(ended(&mut s), 1);
}

#[test]
fn of_slots_ten_thousand_are_believed() {
    for (claimed, believed) in [(9_999, 9_999), (10_000, 10_000), (10_001, 10_000)] {
        let mut s = Scenario::new();
        s.host("h", claimed, &[]);
        assert!(s.text(&["listcs"]).contains(&format!("jobs=0/{believed} ")));
    }
}

#[test]
fn a_submitter_avoids_64_environments_of_a_host_and_1024_in_all() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    for n in 0..17 {
        let h = s.host(&format!("h{n}"), 1, &[]);
        let host = s.address(h);
        for e in 0..65 {
            s.say(a.peer, black(&format!("e{e}"), "x86_64", &host));
        }
    }
    // One of them once more takes no other's place, nor loses its own.
    let first = s.scheduler.ledger.cluster().named(&"h0".into()).next().unwrap().said().address.clone();
    s.say(a.peer, black("e0", "x86_64", &first.lossy()));
    let mut goes = |n: usize, e: usize| {
        let asks = GetCs { preferred_host: format!("h{n}").into(), ..request(&format!("e{e}"), "f", 1) };
        let goes = !s.ask(a, asks).unwrap().1.is_empty();
        s.say(a.peer, Message::JobDone(JobDone { job: 1, flags: 3, ..JobDone::default() }));
        goes
    };
    assert!(!goes(0, 0) && !goes(0, 63) && goes(0, 64));
    assert!(!goes(15, 63));
    assert!(goes(16, 0), "the 1025th");
}
