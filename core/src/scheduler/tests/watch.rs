//! When a host is checked, sent PING, avoided and used again.

use super::*;

fn count(s: &Scenario, part: &str) -> usize {
    s.notes.iter().filter(|note| note.contains(part)).count()
}

const SILENT: &str = "host with jobs gives no sign of life";

/// A submitter that is never probed.
fn quiet(s: &mut Scenario, name: &str) -> TestHost {
    let address = format!("10.0.8.{}", s.next_peer);
    s.log_in(&address, 43, Login { no_remote: 1, ..login(name, 0, &[]) })
}

#[test]
fn a_host_that_takes_no_jobs_is_not_probed_and_no_host_twice_at_once() {
    let mut s = Scenario::new();
    s.reachable = None;
    let a = quiet(&mut s, "a");
    s.say(a.peer, Message::Login(login("", 0, &[])));
    assert_eq!((s.probes.len(), s.scheduler.poll_timeout()), (0, None));
    let h = s.host("h", 4, &[]);
    s.say(h.peer, Message::Login(login("", 0, &[])));
    assert_eq!(s.probes, [h.host]);
    s.input(Input::Probed { host: h.host, reachable: true });
    s.say(h.peer, Message::Login(login("", 0, &[])));
    assert_eq!(s.probes, [h.host, h.host]);
}

/// A host without a port accepts no connections either, whatever the probe says.
#[test]
fn a_port_that_is_none_is_not_probed() {
    for (port, probes) in [(0, 0), (1, 1), (65_535, 1), (65_536, 0), (u32::MAX, 0)] {
        let mut s = Scenario::new();
        s.reachable = None;
        s.log_in("10.0.0.1", 43, Login { port, ..login("h", 1, &[]) });
        assert_eq!((s.probes.len(), s.noted("failed to accept")), (probes, probes == 0), "{port}");
    }
}

#[test]
fn an_unreachable_host_that_speaks_after_five_seconds_is_probed_at_once() {
    for (silence, probed) in [(4_999, false), (5_000, true)] {
        let mut s = Scenario::new();
        s.reachable = Some(false);
        let h = s.host("h", 4, &[]);
        // The next regular probe would be much later.
        (0..5).for_each(|_| s.input(Input::Probed { host: h.host, reachable: false }));
        s.reachable = None;
        s.pass(millis(silence));
        s.load(h, 0);
        assert_eq!(!s.probes.is_empty(), probed, "{silence}");
        // A reachable host is not.
        let mut s = Scenario::new();
        let h = s.host("h", 4, &[]);
        s.reachable = None;
        s.pass(millis(silence));
        s.load(h, 0);
        assert!(s.probes.is_empty());
    }
}

#[test]
fn a_routine_probe_without_an_answer_wakes_nobody_where_there_are_no_jobs() {
    let mut s = Scenario::new();
    s.host("h", 4, &[]);
    s.reachable = None;
    s.pass(millis(60_000));
    assert_eq!((s.probes.len(), s.scheduler.poll_timeout()), (1, None));
}

#[test]
fn a_silent_host_is_told_of_once() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 4, &["e"]);
    let idle = s.host("idle", 4, &[]);
    s.pass(millis(30_000));
    s.reachable = None;
    s.ask(a, request("e", "f", 1)).unwrap();
    s.pass(millis(50_000));
    assert_eq!(count(&s, SILENT), 1);
    let suspect = |s: &Scenario, host: TestHost| s.scheduler.ledger.host(host.host).unwrap().probing().is_silent();
    assert!(suspect(&s, h) && !suspect(&s, idle));
}

/// It sent a message when the probe began, and none afterwards.
#[test]
fn a_host_is_silent_after_a_second_without_an_answer() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 4, &["e"]);
    let (job, _) = s.ask(a, request("e", "f", 1)).unwrap();
    s.begin(h, job);
    for _ in 0..30 {
        s.pass(millis(2_000));
        s.reachable = None;
        s.load(h, 0);
    }
    assert_eq!(s.probes.len(), 1);
    s.pass(millis(999));
    assert_eq!(count(&s, SILENT), 0);
    s.pass(millis(1));
    assert_eq!(count(&s, SILENT), 1);
}

/// Another deadline of the host is half a second after the probe began: the probe is not given up for it.
#[test]
fn a_host_has_a_second_to_answer_whatever_else_is_due() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 4, &["e"]);
    s.host("other", 1, &[]);
    s.say(h.peer, black("x", "x86_64", "10.0.0.3"));
    s.pass(millis(599_500));
    s.reachable = None;
    s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(s.probes, [h.host]);
    s.pass(millis(999));
    assert_eq!(count(&s, SILENT), 0);
    s.pass(millis(1));
    assert_eq!(count(&s, SILENT), 1);
}

/// Later jobs do not hide that the first one does not begin.
#[test]
fn the_job_that_waits_longest_is_the_reason_to_look() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    s.host("h", 4, &["e"]);
    s.reachable = None;
    s.ask(a, request("e", "f", 1)).unwrap();
    s.pass(millis(1_900));
    s.ask(a, request("e", "f", 2)).unwrap();
    s.pass(millis(99));
    assert!(s.probes.is_empty());
    s.pass(millis(1));
    assert_eq!(s.probes.len(), 1);
}

#[test]
fn a_host_that_was_probed_just_now_is_not_when_it_gets_a_job() {
    for (after, probes) in [(2_999, 0), (3_000, 1)] {
        let mut s = Scenario::new();
        let a = quiet(&mut s, "a");
        s.host("h", 4, &["e"]);
        s.pass(millis(60_000));
        s.reachable = None;
        s.pass(millis(after));
        s.ask(a, request("e", "f", 1)).unwrap();
        assert_eq!(s.probes.len(), probes, "{after}");
    }
}

/// Nor is a host that builds its own jobs: it requested them.
#[test]
fn a_submitter_that_is_sent_home_is_not_probed() {
    let (mut s, a, full) = Scenario::in_which_jobs_wait();
    assert_eq!(s.ask(a, request("e", "f", 1)), None);
    s.pass(millis(10_000));
    s.reachable = None;
    s.input(Input::Closed { peer: full.peer });
    assert_eq!(s.answers(a).len(), 1);
    assert!(s.probes.is_empty());
}

#[test]
fn a_silent_host_of_old_with_jobs_has_its_six_seconds() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.log_in("10.0.0.1", 26, login("h", 4, &["e"]));
    s.load(h, 0);
    s.ask(a, request("e", "f", 1)).unwrap();
    s.pass(millis(41_999));
    assert!(s.closed.is_empty() && s.noted("send ping h"));
    s.pass(millis(1));
    assert_eq!(s.closed, [(h.peer, CloseReason::Silent)]);
}

#[test]
fn each_ban_ends_in_its_own_time() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 8, &["e", "q"]);
    // No other host could take its jobs, so they wait only while this one is full.
    let other = s.host("other", 1, &["e", "q"]);
    s.load(other, 1000);
    let host = s.address(h);
    // Every minute some other deadline occurs.
    s.pass(millis(500));
    s.say(a.peer, black("e", "x86_64", &host));
    s.pass(millis(100_000));
    s.say(a.peer, black("q", "x86_64", &host));
    for environment in ["e", "q"] {
        assert_eq!(s.ask(a, request(environment, "f", 1)), None);
    }
    s.pass(millis(499_999));
    assert!(s.answers(a).is_empty());
    s.pass(millis(1));
    assert_eq!(s.answers(a), [(1, host.clone())], "who waits is served at once");
    s.pass(millis(100_000));
    assert_eq!(s.answers(a), [(2, host)]);
}

#[test]
fn the_end_of_a_hosts_only_ban_serves_who_waits() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 8, &["e"]);
    let other = s.host("other", 1, &["e"]);
    s.load(other, 1000);
    let host = s.address(h);
    s.pass(millis(500));
    s.say(a.peer, black("e", "x86_64", &host));
    assert_eq!(s.ask(a, request("e", "f", 1)), None);
    s.pass(millis(599_999));
    assert!(s.answers(a).is_empty());
    s.pass(millis(1));
    assert_eq!(s.answers(a), [(1, host)]);
}

/// The client names its target, while a job also has the environment's platform: either matches.
#[test]
fn a_ban_is_of_a_name_with_the_target_or_the_platform() {
    for (name, target, banned) in
        [("e", "x86_64", true), ("e", "i686", true), ("e", "ppc", false), ("q", "x86_64", false), ("q", "i686", false)]
    {
        let mut s = Scenario::new();
        let a = quiet(&mut s, "a");
        let h = s.host("h", 8, &["e"]);
        let host = s.address(h);
        s.say(a.peer, black(name, target, &host));
        let mut asks = request("e", "f", 1);
        asks.environments[0].platform = "i686".into();
        assert_eq!(s.ask(a, asks).unwrap().1.is_empty(), banned, "{name} {target}");
    }
}

#[test]
fn of_two_environments_that_are_there_the_one_that_is_not_banned_is_used() {
    for (banned, used) in [("one", "i686"), ("two", "x86_64")] {
        let mut s = Scenario::new();
        let a = quiet(&mut s, "a");
        let h = s.host("h", 8, &["one", "two"]);
        let host = s.address(h);
        s.say(a.peer, black(banned, "x86_64", &host));
        let mut asks = request("one", "f", 1);
        asks.environments.push(EnvRef { platform: "i686".into(), name: "two".into() });
        s.say(a.peer, Message::GetCs(asks));
        let sent = s.sent_to(a.peer);
        let Some(Message::UseCs(answer)) = sent.last() else { panic!("{sent:?}") };
        assert_eq!((answer.host_platform.lossy().as_ref(), answer.env_present), (used, 1));
    }
}

#[test]
fn names_that_nobody_has_are_not_banned() {
    let names = |lengths: [usize; 3]| lengths.map(|n| "x".repeat(n));
    for (lengths, heeded) in [([255, 255, 255], true), ([256, 1, 1], false), ([1, 256, 1], false), ([1, 1, 256], false)]
    {
        let mut s = Scenario::new();
        let a = quiet(&mut s, "a");
        let [environment, target, host] = names(lengths);
        s.say(a.peer, black(&environment, &target, &host));
        assert_eq!(s.noted("Blacklisting host"), heeded, "{lengths:?}");
    }
}

/// A submitter that bans a host stops sending it its environments; those of other submitters are not affected.
#[test]
fn a_ban_ends_the_installation_of_its_submitter_alone() {
    for own in [true, false] {
        let mut s = Scenario::new();
        let (a, b) = (quiet(&mut s, "a"), quiet(&mut s, "b"));
        let h = s.host("h", 8, &[]);
        let first = if own { a } else { b };
        s.ask(first, request("e", "f", 1)).unwrap();
        assert_eq!(s.ask(b, request("e", "f", 2)), None, "it is on its way");
        let host = s.address(h);
        s.say(a.peer, black("e", "x86_64", &host));
        assert_eq!(s.answers(b).len(), usize::from(own));
    }
}

/// Sending an environment takes time: only a job that waits without a reason loses its slot.
#[test]
fn a_job_whose_environment_is_on_its_way_keeps_its_slot() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    s.host("h", 4, &["e"]);
    for environment in ["new", "e"] {
        s.ask(a, request(environment, "f", 1)).unwrap();
    }
    s.pass(millis(70_000));
    assert!(s.noted("jobs given to a host do not begin, others get their slots host=h count=1"));
    let dormant = [1, 2].map(|job| s.scheduler.ledger.jobs().get(&JobId(job)).unwrap().was_dormant());
    assert_eq!(dormant, [false, true]);
}

#[test]
fn of_jobs_that_run_nobody_says_that_they_do_not_begin() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 4, &["e"]);
    let (job, _) = s.ask(a, request("e", "f", 1)).unwrap();
    s.begin(h, job);
    s.pass(millis(200_000));
    assert_eq!(count(&s, "do not begin"), 0);
}

#[test]
fn since_when_a_host_installs_is_the_first_of_all() {
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    s.host("h", 4, &[]);
    s.ask(a, request("one", "f", 1)).unwrap();
    s.pass(millis(30_000));
    s.ask(a, request("two", "f", 1)).unwrap();
    s.pass(millis(10_000));
    assert!(s.text(&["listcs"]).contains(" busy installing since 40 s\n"));
}

/// A host with jobs is checked every two seconds from its last answer to a probe on: here in odd seconds.
#[test]
fn what_is_due_between_two_looks_is_done_by_the_next() {
    // An environment on its way has a deadline of its own.
    let odd = |s: &mut Scenario, h: TestHost, environments: &[&str]| {
        s.pass(millis(1_000));
        s.say(h.peer, Message::Login(login("", 0, environments)));
    };
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 8, &[]);
    s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(s.ask(a, request("e", "f", 2)), None);
    odd(&mut s, h, &[]);
    s.ask(a, request("later", "f", 3)).unwrap();
    s.pass(millis(118_999));
    assert_eq!(s.answers(a), []);
    s.pass(millis(1));
    assert_eq!(s.answers(a).len(), 1);
    // A job that is lost after an hour.
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 8, &["e"]);
    s.ask(a, request("e", "f", 1)).unwrap();
    odd(&mut s, h, &["e"]);
    s.pass(millis(3_599_999));
    assert!(!s.noted("no end of a job for an hour"));
    s.pass(millis(1));
    assert!(s.noted("no end of a job for an hour"));
    // A job that does not begin, on a host that was first checked after two seconds.
    let mut s = Scenario::new();
    let a = quiet(&mut s, "a");
    let h = s.host("h", 8, &["e"]);
    s.ask(a, request("e", "f", 1)).unwrap();
    s.pass(millis(30_000));
    odd(&mut s, h, &["e"]);
    s.pass(millis(31_999));
    assert!(!s.noted("do not begin"));
    s.pass(millis(1));
    assert!(s.noted("do not begin"));
}
