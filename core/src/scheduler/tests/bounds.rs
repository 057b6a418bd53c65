//! Everything kept for peers is bounded, and so is the work of each step.

use super::*;

#[test]
fn what_is_kept_of_environments_is_bounded_by_address() {
    let mut s = Scenario::new();
    let many = |host: usize, count: usize| {
        let env = |i: usize| format!("{host}-{i}-{}", "x".repeat(230));
        let names: Vec<String> = (0..count).map(env).collect();
        login(&format!("h{host}"), 1, &names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // Checked once at the end: checking the invariants of so many takes a while.
    for host in 0..20 {
        let (peer, version) = (PeerId(host as u64 + 1), Version::new(43));
        s.scheduler.handle(s.now, Input::Opened { peer, address: "10.1.1.1".into(), offer: version, version });
        s.scheduler.handle(s.now, Input::Message { peer, kind: '?', message: Message::Login(many(host, 4096)) });
    }
    s.next_peer = 20;
    s.drain();
    assert!(s.noted("environments of h19") && !s.noted("environments of h10"));
    let last = TestHost { peer: PeerId(20), host: HostId(20) };
    assert!(s.closed.is_empty() && s.scheduler.ledger.host(last.host).unwrap().standing().environments().is_empty());
    let elsewhere = s.log_in("10.1.1.2", 43, many(99, 50));
    assert_eq!(s.scheduler.ledger.host(elsewhere.host).unwrap().standing().environments().len(), 50);
    // Memory of environments that a host no longer announces is available to others.
    s.input(Input::Closed { peer: PeerId(1) });
    s.say(last.peer, Message::Login(many(19, 50)));
    assert_eq!(s.scheduler.ledger.host(last.host).unwrap().standing().environments().len(), 50);
}

#[test]
fn monitors_are_bounded_by_address_and_in_all() {
    let mut s = Scenario::new();
    for address in 0..6 {
        for _ in 0..MONITORS_PER_ADDRESS_MAX + 1 {
            let peer = s.peer(&format!("10.2.2.{address}"), 43);
            s.say(peer, Message::MonLogin);
        }
    }
    assert_eq!(s.scheduler.monitors.len(), MONITORS_MAX);
    assert_eq!(s.closed.len(), 6 * (MONITORS_PER_ADDRESS_MAX + 1) - MONITORS_MAX);
    assert!(s.noted("monitor from 10.2.2.0 refused") && s.noted("monitor from 10.2.2.5 refused"));
    let there = s.scheduler.monitors.keys().next().copied().unwrap();
    s.input(Input::Closed { peer: there });
    s.monitor();
    assert_eq!(s.scheduler.monitors.len(), MONITORS_MAX);
}

#[test]
fn long_names_of_a_request_are_not_kept_for_each_of_its_jobs() {
    let mut s = Scenario::new();
    let (a, m) = (s.host("a", 4, &[]), s.monitor());
    let long = "/x".repeat(400_000);
    let environments = (0..5000).map(|n| EnvRef { platform: "x86_64".into(), name: format!("E{n}").into() }).collect();
    let ask = GetCs {
        count: 64,
        environments,
        preferred_host: long.as_str().into(),
        ..request("E", &(long.clone() + "/f.c"), 1)
    };
    s.say(a.peer, Message::GetCs(ask));
    s.say(
        a.peer,
        Message::JobLocalBegin(JobLocalBegin { output_file: long.into(), id: 1, ..JobLocalBegin::default() }),
    );
    let sent: usize = s.sent_to(m).iter().map(|m| format!("{m:?}").len()).sum();
    assert!(sent < 64 * 4000, "{sent}");
    for job in s.scheduler.ledger.jobs().values() {
        assert!(job.file().len() <= 1024 && job.file().as_bytes().ends_with(b"/x/f.c"));
        let requirement = &s.scheduler.ledger.cluster().requirements().get(job.requirement()).unwrap().requirement();
        assert!(requirement.environments.len() <= 64 && requirement.preferred.len() <= 256);
    }
}

#[test]
fn a_flood_of_requests_is_answered_but_not_kept() {
    let mut s = Scenario::new();
    let a = s.host("a", 4, &[]);
    let asks = 2 * crate::limits::JOBS_PER_HOST_MAX as u32 / 64;
    for n in 0..asks {
        s.say(a.peer, Message::GetCs(GetCs { count: 64, ..request("E", "f.c", n) }));
    }
    assert!(s.scheduler.ledger.jobs().len() <= crate::limits::JOBS_PER_HOST_MAX);
    let home = s.sent_to(a.peer).iter().filter(|m| matches!(m, Message::NoCs { .. })).count();
    assert_eq!(home + s.scheduler.ledger.queue().len(), asks as usize * 64);
    // Nor is each of many requirements. (Without `say`, which checks all invariants each time.)
    let mut s = Scenario::new();
    let b = s.host("b", 4, &[]);
    for n in 0..1500 {
        let message = Message::GetCs(request(&format!("E{n}"), "f.c", n));
        s.scheduler.handle(s.now, Input::Message { peer: b.peer, kind: '?', message });
    }
    assert!(s.scheduler.ledger.cluster().requirements().all().count() <= 1024);
    s.scheduler.check().unwrap();
}

/// A submitter that leaves tens of thousands of jobs behind delays nobody: they end in portions, and none of them is
/// assigned.
#[test]
fn jobs_left_behind_end_in_portions() {
    const EACH: usize = 4000;
    let mut s = Scenario::new();
    let (leaver, stayer) = (s.host("leaver", 0, &[]), s.host("stayer", 0, &[]));
    let (large, small) = (s.host("large", 9000, &["E"]), s.host("small", 1, &["E"]));
    let on = |host: &str, n: usize| GetCs {
        preferred_host: host.into(),
        niceness: n as u32 % 3,
        ..request("E", "f.c", n as u32)
    };
    let held = s.ask(stayer, on("small", 0)).unwrap().0;
    // Some have a server, others wait in several buckets. (Without `say`, which checks all invariants each time.)
    for n in 0..2 * EACH {
        let request = on(if n < EACH { "large" } else { "small" }, n);
        s.scheduler.handle(s.now, Input::Message { peer: leaver.peer, kind: '?', message: Message::GetCs(request) });
    }
    let monitor = s.monitor();
    assert_eq!(s.scheduler.ledger.host(large.host).unwrap().work().jobs().len(), EACH);
    assert!(s.scheduler.ledger.queue().len() > EACH - 10);

    let left = s.now;
    s.input(Input::Closed { peer: leaver.peer });
    let lost = |s: &mut Scenario| {
        let sent = s.sent_to(monitor);
        sent.iter().filter(|m| matches!(m, Message::MonJobDone(done) if done.exit_code == 255)).count()
    };
    let mut ended = lost(&mut s);
    assert!(ended < 1000, "{ended} in one go");
    assert_eq!(s.scheduler.ledger.queue().len(), 0);
    // Others continue as before: free slots go to hosts that are there, and reporting an orphaned job is no error.
    s.begin(small, held);
    s.finish(small, held, 0, 0, 10);
    assert_eq!(s.ask(stayer, on("large", 1)).map(|(_, server)| server), Some(s.address(large)));
    let of_nobody = *s.scheduler.ledger.host(large.host).unwrap().work().jobs().iter().rev().nth(1).unwrap();
    s.finish(large, of_nobody.0, 0, 0, 10);
    assert!(s.closed.is_empty() && s.scheduler.ledger.jobs().contains_key(&of_nobody));
    while let Some(at) = s.scheduler.poll_timeout().filter(|at| *at < left + Duration::from_secs(1)) {
        s.now = at;
        s.scheduler.handle_timeout(at);
        s.drain();
        let now = lost(&mut s);
        assert!(now < 1000, "{now} in one go");
        ended += now;
    }
    assert_eq!(ended, 2 * EACH);
    assert!(s.now < left + Duration::from_millis(200));
    assert!(s.scheduler.ledger.jobs().values().all(|job| job.submitter() == stayer.host));
    assert!(s.ask(stayer, on("small", 2)).is_some());
}

#[test]
fn numbers_of_living_jobs_are_not_given_again() {
    let mut s = Scenario::new();
    let a = s.host("a", 4, &[]);
    let first = s.ask(a, request("E", "f.c", 1)).unwrap().0;
    s.scheduler.ledger.set_last_number(u32::MAX);
    while s.scheduler.ledger.last_number() != first + 1 {
        s.scheduler.ledger.next_number();
    }
    s.scheduler.ledger.set_last_number(first - 1);
    assert_eq!(s.ask(a, request("E", "f.c", 2)).map(|(job, _)| job), Some(first + 1));
    s.scheduler.check().unwrap();
}

#[test]
fn what_hosts_say_to_internals_is_cut() {
    let mut s = Scenario::new();
    let hosts: Vec<TestHost> = (0..40).map(|n| s.host(&format!("h{n}"), 1, &[])).collect();
    let peer = PeerId(900);
    s.input(Input::TextOpened { peer, address: "127.0.0.1".into(), may_change: true });
    s.input(Input::Line { peer, text: "internals".into() });
    for host in hosts {
        s.say(host.peer, Message::StatusText { text: "x".repeat(1 << 20).into() });
    }
    s.wait(2);
    let sent: usize = s.texts.iter().filter(|(to, _)| *to == peer).map(|(_, text)| text.len()).sum();
    assert!((2 << 20..(2 << 20) + 4096).contains(&sent), "{sent}");
}
