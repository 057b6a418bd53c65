//! Times and bounds, each asked at the bound and one beyond. The numbers are written out: they are what peers and users see.

use super::*;

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn pass(s: &mut Scenario, time: Duration) {
    let end = s.now + time;
    while let Some(at) = s.scheduler.poll_timeout().filter(|at| *at <= end) {
        s.now = s.now.max(at);
        s.scheduler.handle_timeout(s.now);
        s.drain();
    }
    s.now = end;
}

/// Without the check of everything that each step of a scenario ends with.
fn quietly(s: &mut Scenario, actor: Actor, message: Message) {
    s.scheduler.handle(s.now, Input::Said { peer: actor.peer, message });
}

/// Passes time until a host is probed, and says how much.
fn until_probed(s: &mut Scenario) -> u64 {
    let before = s.now;
    while s.probes.is_empty() {
        pass(s, millis(1));
        assert!(s.now.since(before) < Duration::from_secs(200));
    }
    s.probes.clear();
    s.now.since(before).as_millis() as u64
}

fn console(s: &mut Scenario, lines: &[&str]) -> PeerId {
    s.next_peer += 1;
    let peer = PeerId(s.next_peer);
    s.input(Input::TextOpened { peer });
    s.texts.clear();
    for line in lines {
        s.input(Input::Line { peer, text: (*line).into() });
    }
    peer
}

fn answered(s: &mut Scenario, peer: PeerId) -> String {
    let texts = std::mem::take(&mut s.texts);
    texts.into_iter().filter(|(to, _)| *to == peer).map(|(_, text)| text).collect()
}

#[test]
fn a_peer_has_fifteen_seconds_to_log_in() {
    let mut s = Scenario::new();
    let peer = s.peer("10.0.0.1", 43);
    pass(&mut s, millis(14_999));
    assert!(s.closed.is_empty());
    pass(&mut s, millis(1));
    assert_eq!(s.closed, [(peer, CloseReason::NoLogin)]);
}

#[test]
fn a_silent_old_host_is_asked_after_thirty_six_seconds_and_has_six() {
    let mut s = Scenario::new();
    let h = s.log_in("10.0.0.1", 26, login("h", 4, &[]));
    s.heard(h.peer);
    pass(&mut s, millis(35_999));
    assert!(s.heard(h.peer).is_empty());
    pass(&mut s, millis(1));
    assert_eq!(s.heard(h.peer), [Message::Ping]);
    pass(&mut s, millis(5_999));
    assert!(s.closed.is_empty());
    pass(&mut s, millis(1));
    assert_eq!(s.closed, [(h.peer, CloseReason::Silent)]);
}

#[test]
fn a_text_peer_may_be_silent_for_thirty_six_seconds() {
    let mut s = Scenario::new();
    let peer = console(&mut s, &[]);
    pass(&mut s, millis(35_999));
    s.input(Input::Line { peer, text: "listblocks".into() });
    pass(&mut s, millis(35_999));
    assert!(s.closed.is_empty());
    pass(&mut s, millis(1));
    assert_eq!(s.closed, [(peer, CloseReason::GoodBye)]);
}

#[test]
fn a_line_of_a_text_peer_has_four_thousand_and_ninety_six_bytes() {
    for (bytes, closed) in [(4096, false), (4097, true)] {
        let mut s = Scenario::new();
        console(&mut s, &["x".repeat(bytes).as_str()]);
        assert_eq!(!s.closed.is_empty(), closed);
    }
}

#[test]
fn internals_wait_two_seconds_and_sixty_four_lines_behind_them() {
    let mut s = Scenario::new();
    s.host("mute", 1, &[]);
    let peer = console(&mut s, &["internals"]);
    for _ in 0..64 {
        s.input(Input::Line { peer, text: "listblocks".into() });
    }
    pass(&mut s, millis(1_999));
    assert_eq!(answered(&mut s, peer), "");
    pass(&mut s, millis(1));
    assert_eq!(answered(&mut s, peer), "mute not reporting\n200 done\n".to_owned() + &"200 done\n".repeat(64));
    let peer = console(&mut s, &["internals"]);
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
        let peer = console(&mut s, &["internals"]);
        assert_eq!(answered(&mut s, peer), "");
    }
    let peer = console(&mut s, &["internals"]);
    assert_eq!(answered(&mut s, peer), "401 Too many ask that just now.\n200 done\n");
    pass(&mut s, millis(2000));
    let peer = console(&mut s, &["internals"]);
    assert_eq!(answered(&mut s, peer), "");
}

#[test]
fn internals_take_256_kib_of_a_host_and_two_mib_in_all() {
    let mut s = Scenario::new();
    let hosts: Vec<Actor> = (0..9).map(|n| s.host(&format!("h{n}"), 1, &[])).collect();
    let peer = console(&mut s, &["internals"]);
    for host in hosts {
        s.say(host.peer, Message::StatusText { text: "x".repeat(1 << 20).into() });
    }
    let lengths: Vec<usize> = answered(&mut s, peer).lines().map(str::len).collect();
    assert_eq!(lengths, [262_144, 262_144, 262_144, 262_144, 262_144, 262_144, 262_144, 262_144, 0, 8]);
}

#[test]
fn four_thousand_and_ninety_six_hosts_can_be_blocked() {
    let mut s = Scenario::new();
    let lines: Vec<String> = (0..8).map(|n| format!("blockcs{}", format!(" h{n}").repeat(512))).collect();
    console(&mut s, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    s.host("one", 1, &[]);
    console(&mut s, &["blockcs two"]);
    assert!(!s.text(&["listblocks"]).contains("two"));
    console(&mut s, &["unblockcs h1"]);
    console(&mut s, &["blockcs three four"]);
    let blocked = s.text(&["listblocks"]);
    assert!(blocked.contains("three") && !blocked.contains("four"));
    assert_eq!(blocked.lines().count(), 4097);
}

#[test]
fn a_job_becomes_more_urgent_each_minute() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let full = s.host("full", 1, &["e"]);
    s.load(full, 1000);
    let niceness = |s: &mut Scenario| {
        let jobs = s.text(&["listjobs --json"]);
        let number = jobs.split("\"niceness\":").nth(1).unwrap().split(',').next().unwrap();
        number.parse::<u32>().unwrap()
    };
    for (asked, level) in [(1, 1), (20, 20), (21, 20), (u32::MAX, 0)] {
        s.ask(a, GetCs { niceness: asked, ..request("e", "f", 1) });
        assert_eq!(niceness(&mut s), level, "{asked}");
        pass(&mut s, millis(59_999));
        assert_eq!(niceness(&mut s), level, "{asked}");
        pass(&mut s, millis(1));
        assert_eq!(niceness(&mut s), level.saturating_sub(1), "{asked}");
        pass(&mut s, millis(60_000));
        assert_eq!(niceness(&mut s), level.saturating_sub(2), "{asked}");
        s.say(a.peer, Message::JobDone(JobDone { job: 1, flags: 3, ..JobDone::default() }));
    }
}

#[test]
fn a_request_asks_for_sixty_four_jobs() {
    for (count, queued) in [(64, 64), (65, 0)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let full = s.host("full", 1, &["e"]);
        s.load(full, 1000);
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
    let home = |s: &mut Scenario, who: Actor, count| {
        quietly(s, who, Message::GetCs(GetCs { count, ..request("e", "f", 1) }));
        s.scheduler.poll_output();
        let mut sent_home = 0;
        while let Some(output) = s.scheduler.poll_output() {
            sent_home += usize::from(matches!(output, Output::Send { message: Message::NoCs { .. }, .. }));
        }
        sent_home
    };
    let submitters: Vec<Actor> = (0..5).map(|n| s.host(&format!("s{n}"), 0, &[])).collect();
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
            assert!(s.text(&["listcs --json"]).contains(&format!("\"local\":{},", id.min(4096))));
        }
    }
}

#[test]
fn of_a_file_name_the_last_1024_bytes_are_kept() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let full = s.host("full", 1, &["e"]);
    s.load(full, 1000);
    for bytes in [1024, 1025] {
        s.ask(a, request("e", &("x".repeat(bytes - 4) + "/f.c"), 1));
    }
    let kept = format!("\"file\":\"{}/f.c\"", "x".repeat(1020));
    assert_eq!(s.text(&["listjobs --json"]).matches(&kept).count(), 2);
}

/// Whether a request's environment is known to be present on the only host.
fn is_present(s: &mut Scenario, a: Actor, request: GetCs) -> bool {
    s.heard(a.peer);
    s.say(a.peer, Message::GetCs(request));
    let told = s.heard(a.peer);
    match told.as_slice() {
        [Message::UseCs(answer)] => answer.env_present == 1,
        [Message::NoCs { .. }] => false,
        _ => panic!("{told:?}"),
    }
}

#[test]
fn of_a_request_sixty_four_environments_are_looked_at() {
    for (others, present) in [(63, true), (64, false)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        s.host("h", 4, &["e"]);
        let mut asks = request("e", "f", 1);
        // One for each of many platforms: of one platform the first alone counts.
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
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let full = s.host("full", 1, &["e"]);
    s.load(full, 1000);
    for n in 0..501 {
        quietly(&mut s, a, Message::GetCs(request("e", "f", n)));
    }
    let monitor = s.monitor();
    s.input(Input::Closed { peer: a.peer });
    let ended = |s: &mut Scenario| {
        s.heard(monitor).into_iter().filter(|m| matches!(m, Message::MonJobDone(d) if d.exit_code == 255)).count()
    };
    assert_eq!(ended(&mut s), 500);
    pass(&mut s, Duration::from_micros(999));
    assert_eq!(ended(&mut s), 0);
    pass(&mut s, Duration::from_micros(1));
    assert_eq!(ended(&mut s), 1);
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
        pass(&mut s, millis(wait));
        assert_eq!(s.ask(a, request("e", "f", 5)).is_some(), goes, "{wait}");
    }
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
fn a_host_that_is_probed_for_a_second_counts_as_reachable() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("small", 1, &[]);
    s.reachable = None;
    s.host("new", 8, &["e"]);
    pass(&mut s, millis(999));
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, "10.0.0.2");
    pass(&mut s, millis(1));
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
    pass(&mut s, millis(119_999));
    assert_eq!(s.answers(a), []);
    pass(&mut s, millis(1));
    assert_eq!(s.answers(a).len(), 1);
}

fn black(name: &str, host: &str) -> Message {
    Message::BlacklistHostEnv(BlacklistHostEnv { environment: name.into(), target: "x86_64".into(), host: host.into() })
}

#[test]
fn a_host_is_avoided_with_an_environment_for_ten_minutes() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 8, &["e"]);
    let host = s.address(h);
    s.say(a.peer, black("e", &host));
    pass(&mut s, millis(599_999));
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, "");
    pass(&mut s, millis(1));
    assert_eq!(s.ask(a, request("e", "f", 2)).unwrap().1, host);
}

#[test]
fn a_submitter_avoids_64_environments_of_a_host_and_1024_in_all() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    for n in 0..17 {
        let h = s.host(&format!("h{n}"), 1, &[]);
        let host = s.address(h);
        for e in 0..65 {
            s.say(a.peer, black(&format!("e{e}"), &host));
        }
    }
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

#[test]
fn a_job_that_never_begins_is_lost_after_an_hour() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 1, &["e"]);
    let monitor = s.monitor();
    s.ask(a, request("e", "f", 1)).unwrap();
    s.heard(monitor);
    pass(&mut s, millis(3_599_999));
    assert!(!s.heard(monitor).iter().any(|m| matches!(m, Message::MonJobDone(_))));
    pass(&mut s, millis(1));
    assert!(matches!(s.heard(monitor).as_slice(), [Message::MonJobDone(d)] if d.job == 1 && d.exit_code == 255));
}

#[test]
fn a_job_that_does_not_begin_takes_its_slot_for_a_minute() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 1, &["e"]);
    // The second one is beside the slot.
    for client in 1..=2 {
        s.ask(a, request("e", "f", client)).unwrap();
    }
    assert_eq!(s.ask(a, request("e", "f", 3)), None);
    pass(&mut s, millis(61_999));
    assert_eq!(s.answers(a), []);
    pass(&mut s, millis(1));
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

/// It is looked at every two seconds.
#[test]
fn a_host_whose_jobs_run_is_probed_after_five_seconds_of_silence() {
    for (speaks, probed) in [(0, 6000), (1000, 5000), (1001, 6999)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let h = s.host("h", 4, &["e"]);
        s.reachable = None;
        let (job, _) = s.ask(a, request("e", "f", 1)).unwrap();
        pass(&mut s, millis(speaks));
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
        pass(&mut s, millis(wait));
        s.ask(a, request("e", "f", 1)).unwrap();
        assert_eq!(!s.probes.is_empty(), probes, "{wait}");
    }
}
