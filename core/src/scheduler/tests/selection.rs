//! Which host a job is assigned to.

use super::*;

#[test]
fn s38_below_37_home_is_named_by_its_address() {
    let mut s = Scenario::new();
    let a = s.log_in("10.0.0.1", 36, login("a", 1, &[]));
    s.sent_to(a.peer);
    s.say(a.peer, Message::GetCs(request("e", "f", 3)));
    let sent = s.sent_to(a.peer);
    assert!(matches!(sent.as_slice(), [Message::UseCs(u)] if u.host == "10.0.0.1" && u.env_present == 1), "{sent:?}");
}

/// The platform in its USE_CS is its own, whatever the environment's is.
#[test]
fn s38_below_37_home_has_its_own_platform() {
    let mut s = Scenario::new();
    let a = s.log_in("10.0.0.1", 36, login("a", 1, &[]));
    s.sent_to(a.peer);
    let mut asks = request("e", "f", 3);
    asks.environments[0].platform = "i686".into();
    s.say(a.peer, Message::GetCs(asks));
    let sent = s.sent_to(a.peer);
    assert!(matches!(sent.as_slice(), [Message::UseCs(u)] if u.host_platform == "x86_64"), "{sent:?}");
}

/// A daemon with that feature learns why it must build the job itself.
#[test]
fn s36_a_host_is_told_that_nobody_else_could_ever_take_its_job() {
    let mut s = Scenario::new();
    let ours = |name: &str| Login { features: features::TELLS_NO_HOST, ..login(name, 8, &["e"]) };
    let a = s.log_in("10.0.0.1", 43, ours("a"));
    s.load(a, 0);
    let old = s.host("old", 0, &[]);
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, LOCALHOST, "its own slots are nobody else's");
    let prefer = |host: &str, client| GetCs { preferred_host: host.into(), ..request("e", "f", client) };
    assert_eq!(s.ask(a, prefer("nobody", 2)).unwrap().1, LOCALHOST);
    assert_eq!(s.ask(a, prefer("a", 3)).unwrap().1, "", "it was asked for");
    assert_eq!(s.ask(old, prefer("nobody", 4)).unwrap().1, "");
    s.finish(a, 1, 1, 0, 5);
    s.log_in("10.0.0.9", 43, ours("b"));
    let (_, host) = s.ask(a, request("e", "f", 5)).unwrap();
    assert_ne!(host, LOCALHOST, "another host could take it");
}

#[test]
fn s39_s40_s41_installing_blocks_one_environment_only() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 8, &["other"]);
    s.sent_to(a.peer);
    s.say(a.peer, Message::GetCs(request("e", "f", 1)));
    let sent = s.sent_to(a.peer);
    assert!(matches!(sent.as_slice(), [Message::UseCs(u)] if u.env_present == 0), "{sent:?}");
    assert!(s.noted("put 1 in joblist of h (will install now)"));
    assert!(s.text(&["listcs"]).contains(" busy installing since 0 s"));
    assert_eq!(s.ask(a, request("e", "f", 2)), None, "on its way already");
    assert!(s.ask(a, request("other", "f", 3)).is_some(), "another environment is not concerned");
    s.say(h.peer, Message::Login(login("", 0, &["other", "e"])));
    assert_eq!(s.answers(a), [(2, "10.0.0.2".into())]);
    // Cancelled by its client.
    s.ask(a, request("third", "f", 4)).unwrap();
    assert_eq!(s.ask(a, request("third", "f", 5)), None);
    s.finish(a, 4, 1, 118, 0);
    assert_eq!(s.answers(a), [(5, "10.0.0.2".into())]);
    assert!(s.closed.is_empty());
}

#[test]
fn s40_an_environment_that_never_arrives_costs_no_connection() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 8, &[]);
    s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(s.ask(a, request("e", "f", 2)), None);
    s.wait(121);
    assert_eq!(s.answers(a).len(), 1);
    assert!(s.closed.is_empty());
}

#[test]
fn s42_jobs_of_one_request_run_one_compiler() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let mut arm = login("arm", 1, &[]);
    arm.platform = "aarch64".into();
    let arm = s.log_in("10.0.1.1", 43, arm);
    s.load(arm, 0);
    let two = |client| {
        let mut r = request("e", "f", client);
        r.count = 6;
        r.environments.insert(0, EnvRef { platform: "aarch64".into(), name: "f".into() });
        r
    };
    let pc = s.host("pc", 1, &["e"]);
    s.say(a.peer, Message::GetCs(two(1)));
    let answers = s.answers(a);
    let first = answers[0].1.clone();
    assert_eq!(first, s.address(pc), "it has the environment");
    assert!(answers.iter().all(|(_, host)| *host == first), "{answers:?}");
    assert!(s.scheduler.ledger.queue().len() >= 4);
}

#[test]
fn s43_who_is_not_eligible_gets_nothing() {
    type Change = fn(&mut Login);
    let changes: [(&str, Change); 6] = [
        ("chroot", |l| l.chroot_possible = 0),
        ("no remote", |l| l.no_remote = 1),
        ("slots", |l| l.slots = 0),
        ("features", |l| l.features = 1),
        ("platform", |l| l.platform = "aarch64".into()),
        ("fine", |_| {}),
    ];
    for (what, change) in changes {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let mut l = login("h", 4, &["e"]);
        change(&mut l);
        let h = s.log_in("10.0.0.2", 43, l);
        s.load(h, 0);
        let r = GetCs { required_features: 2, minimal_version: 43, ..request("e", "f", 1) };
        let used = s.ask(a, r).unwrap().1 == "10.0.0.2";
        assert_eq!(used, what == "fine", "{what}");
        let r = GetCs { minimal_version: 44, ..request("e", "f", 1) };
        assert_eq!(s.ask(a, r).unwrap().1, "", "{what}");
        let mut r = request("e", "f", 1);
        r.environments.clear();
        assert_eq!(s.ask(a, r).unwrap().1, "", "{what}");
    }
}

#[test]
fn s44_older_programs_run_on_newer_platforms() {
    for (job, host, used) in
        [("i386", "x86_64", true), ("i686", "x86_64", true), ("ppc", "ppc64", true), ("x86_64", "i686", false)]
    {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let mut l = login("h", 4, &[]);
        l.platform = host.into();
        let h = s.log_in("10.0.0.2", 43, l);
        s.load(h, 0);
        let mut r = request("e", "f", 1);
        r.environments[0].platform = job.into();
        s.sent_to(a.peer);
        s.say(a.peer, Message::GetCs(r));
        match s.sent_to(a.peer).as_slice() {
            [Message::UseCs(u)] => assert!(used && u.host_platform == job, "{job} {host}"),
            [Message::NoCs { .. }] => assert!(!used, "{job} {host}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn s45_an_environment_counts_under_its_target_only() {
    for (target, present) in [("x86_64", 1), ("aarch64", 0)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let mut l = login("h", 4, &["e2"]);
        l.platform = "aarch64".into();
        l.environments[0].platform = target.into();
        let h = s.log_in("10.0.0.2", 43, l);
        s.load(h, 0);
        let mut r = request("e1", "f", 1);
        r.environments.push(EnvRef { platform: "aarch64".into(), name: "e2".into() });
        s.sent_to(a.peer);
        s.say(a.peer, Message::GetCs(r));
        let sent = s.sent_to(a.peer);
        assert!(
            matches!(sent.as_slice(), [Message::UseCs(u)] if u.env_present == present && u.host_platform == "aarch64"),
            "{sent:?}"
        );
    }
}

#[test]
fn s46_preload_is_that_of_1_4() {
    for (slots, most) in [(1, 2), (4, 6), (8, 11)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        s.host("h", slots, &["e"]);
        for client in 1..=20 {
            s.ask(a, request("e", "f", client));
        }
        assert_eq!(20 - s.scheduler.ledger.queue().len(), most, "{slots}");
    }
}

/// Behind long jobs a job may wait longer than in the queue, from where it goes to the first free host.
#[test]
fn s46_a_host_that_is_known_to_take_long_gets_nothing_beside_its_slots() {
    for (job_ms, most) in [(2_000, 6), (20_000, 4)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let h = s.host("h", 4, &["e"]);
        for client in 1..=10 {
            let (job, _) = s.ask(a, request("e", "f", client)).unwrap();
            s.finish(h, job, 0, 0, job_ms);
        }
        for client in 11..=30 {
            s.ask(a, request("e", "f", client));
        }
        assert_eq!(20 - s.scheduler.ledger.queue().len(), most, "{job_ms} ms");
    }
}

#[test]
fn s47_a_preferred_host_or_home() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 1, &["e"]);
    s.host("fast", 8, &["e"]);
    let mut ask = |name: &str| s.ask(a, GetCs { preferred_host: name.into(), ..request("e", "f", 1) });
    assert_eq!(ask("h").unwrap().1, "10.0.0.2");
    assert_eq!(ask("10.0.0.2").unwrap().1, "10.0.0.2");
    assert_eq!(ask("h"), None);
    assert_eq!(ask("H").unwrap().1, "");
    assert_eq!(ask("nobody").unwrap().1, "");
}

/// A preferred host that has only fallen silent may come back: its jobs wait. One that was found unreachable can never
/// take them, and a job that waited for it goes to its submitter.
#[test]
fn s47_a_preferred_host_that_is_silent_is_waited_for_and_one_out_of_reach_is_not() {
    let mut s = Scenario::new();
    let (a, h) = (s.host("a", 0, &[]), s.host("h", 4, &["e"]));
    let prefer = |client| GetCs { preferred_host: "h".into(), ..request("e", "f", client) };
    s.wait(10);
    s.reachable = None;
    let (first, _) = s.ask(a, prefer(1)).unwrap();
    s.wait(2);
    assert!(s.scheduler.ledger.host(h.host).unwrap().probing().is_silent());
    assert_eq!(s.ask(a, prefer(2)), None, "waits");
    s.begin(h, first);
    assert_eq!(s.answers(a).len(), 1, "served when it shows life");
    let probed = s.probes.pop().unwrap();
    s.input(Input::Probed { host: probed, reachable: true });
    s.wait(10);
    assert_eq!(s.ask(a, prefer(3)), None, "waits");
    let probed = s.probes.pop().unwrap();
    s.input(Input::Probed { host: probed, reachable: false });
    assert_eq!(s.answers(a).pop().unwrap().1, "");
    assert_eq!(s.ask(a, prefer(4)).unwrap().1, "");
}

#[test]
fn s48_a_blacklist_is_of_one_submitter_host_and_environment() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let b = s.host("b", 0, &[]);
    let h = s.host("h", 8, &["e", "other"]);
    let black = BlacklistHostEnv { environment: "e".into(), target: "x86_64".into(), host: "10.0.0.3".into() };
    s.say(a.peer, Message::BlacklistHostEnv(black));
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, "");
    assert_eq!(s.ask(a, request("other", "f", 1)).unwrap().1, "10.0.0.3");
    assert_eq!(s.ask(b, request("e", "f", 1)).unwrap().1, "10.0.0.3");
    s.wait(601);
    assert_eq!(s.ask(a, request("e", "f", 2)).unwrap().1, "10.0.0.3", "forgiven");
    s.input(Input::Closed { peer: h.peer });
    assert_eq!(s.ask(a, request("e", "f", 3)).unwrap().1, "");
}

#[test]
fn s49_without_history_jobs_are_spread() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    for name in ["h1", "h2", "h3", "h4"] {
        s.host(name, 4, &["e"]);
    }
    let mut used: Vec<String> = (1..=4).map(|client| s.ask(a, request("e", "f", client)).unwrap().1).collect();
    used.sort();
    used.dedup();
    assert_eq!(used.len(), 4);
}

#[test]
fn s52_the_fast_host_is_chosen_whatever_the_order_of_ids() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let slow = s.host("slow", 4, &["e"]);
    let fast = s.host("fast", 4, &["e"]);
    for client in 1..=10 {
        for (name, actor, ms) in [("slow", slow, 400), ("fast", fast, 100)] {
            let r = GetCs { preferred_host: name.into(), ..request("e", "f", client) };
            let (job, _) = s.ask(a, r).unwrap();
            s.finish(actor, job, 0, 0, ms);
        }
    }
    for client in 1..=4 {
        let (job, host) = s.ask(a, request("e", "f", client)).unwrap();
        assert_eq!(host, "10.0.0.3");
        s.finish(fast, job, 0, 0, 100);
    }
}

#[test]
fn s53_the_submitter_keeps_its_first_job_if_nearly_as_fast() {
    for (home_ms, stays) in [(130, true), (160, false)] {
        let mut s = Scenario::new();
        let a = s.host("a", 4, &["e"]);
        let h = s.host("h", 4, &["e"]);
        for client in 1..=10 {
            for (name, actor, flags, ms) in [("a", a, 1, home_ms), ("h", h, 0, 100)] {
                let r = GetCs { preferred_host: name.into(), ..request("e", "f", client) };
                let (job, _) = s.ask(a, r).unwrap();
                s.finish(actor, job, flags, 0, ms);
            }
        }
        let first = s.ask(a, GetCs { client_count: 1, ..request("e", "f", 50) }).unwrap().1;
        assert_eq!(first.is_empty(), stays, "{home_ms}");
        let second = s.ask(a, GetCs { client_count: 2, ..request("e", "f", 51) }).unwrap().1;
        assert_eq!(second, "10.0.0.2", "the next one is distributed");
    }
}

#[test]
fn a_host_not_probed_yet_is_used_only_where_nobody_else_could() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.reachable = None;
    s.host("new", 8, &["e"]);
    assert_eq!(s.ask(a, request("e", "f", 1)).unwrap().1, "10.0.0.2");
    s.reachable = Some(true);
    s.host("known", 1, &[]);
    assert_eq!(s.ask(a, request("e", "f", 2)).unwrap().1, "10.0.0.3");
    s.wait(1);
    assert_eq!(s.ask(a, request("e", "f", 3)).unwrap().1, "10.0.0.2", "after a second it counts as reachable");
}

/// A submitter that its own user prefers builds what it has room for, whatever environments are on their way to it.
#[test]
fn a_host_that_prefers_itself_builds_what_it_has_room_for() {
    let mut s = Scenario::new();
    let (h, a) = (s.host("h", 2, &[]), s.host("a", 0, &[]));
    let own = |client| GetCs { preferred_host: "h".into(), ..request("e", "f", client) };
    let (first, _) = s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(s.ask(h, own(2)).unwrap().1, "", "what another job brings is none of its business");
    assert_eq!(s.ask(h, own(3)), None, "no slot of its own, though there is room beside them");
    s.load(h, 1000);
    s.finish(h, first, 0, 0, 10);
    assert_eq!(s.answers(h), [], "it is loaded");
    s.load(h, 999);
    assert_eq!(s.answers(h).len(), 1);
}

#[test]
fn a_preferred_host_that_takes_no_jobs_is_no_host() {
    type Change = fn(&mut Login);
    let changes: [(&str, Change, bool); 4] = [
        ("chroot", |l| l.chroot_possible = 0, false),
        ("no remote", |l| l.no_remote = 1, false),
        ("slots", |l| l.slots = 0, false),
        ("fine", |_| {}, true),
    ];
    for (what, change, takes) in changes {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let mut l = login("h", 4, &["e"]);
        change(&mut l);
        let h = s.log_in("10.0.0.2", 43, l);
        s.load(h, 0);
        let asks = GetCs { preferred_host: "h".into(), ..request("e", "f", 1) };
        assert_eq!(!s.ask(a, asks).unwrap().1.is_empty(), takes, "{what}");
    }
}

/// Requirements without jobs are removed, some at a time; the environments of hosts stay known.
#[test]
fn needs_come_and_go() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let names: Vec<String> = (0..150).map(|n| format!("e{n}")).collect();
    let h = s.host("h", 4, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let arm = s.log_in("10.0.0.9", 43, Login { platform: "aarch64".into(), ..login("arm", 4, &[]) });
    // Each environment with three versions, then environments that no host has.
    for n in 0..900 {
        let (environment, minimal_version) =
            if n < 450 { (format!("e{}", n % 150), n / 150) } else { (format!("x{n}"), 0) };
        let asks = GetCs { minimal_version, ..request(&environment, "f", 1) };
        s.scheduler.handle(s.now, Input::Message { peer: a.peer, kind: '?', message: Message::GetCs(asks) });
        let done = JobDone { job: n + 1, exit_code: 1, ..JobDone::default() };
        s.scheduler.handle(s.now, Input::Message { peer: h.peer, kind: '?', message: Message::JobDone(done) });
        if n % 30 == 0 {
            s.drain();
        }
        if n == 600 {
            s.input(Input::Closed { peer: arm.peer });
        }
    }
    s.drain();
    assert!(s.scheduler.ledger.jobs().is_empty());
    let requirements = s.scheduler.ledger.cluster().requirements().all().count();
    assert!((129..=257).contains(&requirements), "{requirements}");
    assert_eq!(
        s.scheduler.ledger.cluster().environments().owners().len(),
        150 + requirements,
        "those of the host, and those that are asked for"
    );
    s.host("new", 4, &["e3"]);
    for (environment, present) in [("e3", 1), ("e149", 1), ("x450", 0)] {
        s.sent_to(a.peer);
        s.say(a.peer, Message::GetCs(request(environment, "f", 1)));
        let sent = s.sent_to(a.peer);
        assert!(matches!(sent.as_slice(), [Message::UseCs(u)] if u.env_present == present), "{sent:?}");
    }
}
