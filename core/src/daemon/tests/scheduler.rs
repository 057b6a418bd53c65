//! The connection to the scheduler: login, loss, and what must not be sent.

use super::*;

#[test]
fn d13_login_has_the_fields_of_1_4() {
    let mut s = Scenario::alone(config(2));
    assert_eq!(s.others, [Output::Connect]);
    s.handle(Input::SchedulerConnected {
        version: Version::TO_SCHEDULER,
        address: "10.0.0.9".into(),
        known_as: OWN_ADDRESS.into(),
    });
    let told = s.sent_to_scheduler();
    let [Message::Login(login)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((login.port, login.slots, login.chroot_possible, login.no_remote, login.features), (10245, 2, 1, 0, 3));
    assert_eq!((login.node_name.to_string(), login.platform.to_string()), ("h1".to_owned(), "x86_64".to_owned()));
}

#[test]
fn d17_the_scheduler_sets_how_often_the_load_is_looked_at() {
    let mut s = Scenario::new(config(2));
    s.client();
    s.scheduler(Message::CsConf(CsConf { max_pong: 1, ..CsConf::default() }));
    s.pass(Duration::from_secs(4));
    let due = s.daemon.measure_due().unwrap();
    assert!(due.since(s.now) <= Duration::from_secs(1));
}

#[test]
fn d18_one_report_then_silence_while_the_load_is_steady() {
    let mut s = Scenario::alone(config(2));
    s.log_in();
    s.pass(Duration::from_secs(4));
    assert!(matches!(s.sent_to_scheduler().as_slice(), [Message::Login(_), Message::Stats(_)]));
    s.pass(Duration::from_secs(600));
    assert!(s.sent_to_scheduler().is_empty());
}

#[test]
fn d18_a_slow_drift_is_reported_too() {
    let mut s = Scenario::new(config(2));
    s.pass(Duration::from_secs(4));
    s.sent_to_scheduler();
    for _ in 0..5 {
        s.measurement.memory.available_kb -= 8 << 20 >> 5;
        s.pass(Duration::from_secs(15));
    }
    assert_eq!(s.sent_to_scheduler().len(), 1, "a sixth of the memory went, in steps of a thirtieth");
}

#[test]
fn idle_wakes_at_most_four_times_a_minute() {
    let mut s = Scenario::new(config(2));
    s.pass(Duration::from_secs(60));
    let mut wakes = 0;
    let end = s.now + Duration::from_secs(600);
    while let Some(at) = s.daemon.poll_timeout().filter(|at| *at < end) {
        s.now = at;
        s.daemon.handle_timeout(at);
        s.collect();
        wakes += 1;
    }
    assert!(wakes <= 40, "{wakes} in 10 minutes");
}

#[test]
fn d19_a_full_disk_stops_foreign_jobs_until_it_is_freed() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    s.pass(Duration::from_secs(4));
    s.sent_to_scheduler();
    s.measurement.disk_free = 74 << 20;
    s.client();
    s.pass(Duration::from_secs(4));
    assert!(s.sent_to_scheduler().iter().any(|m| matches!(m, Message::Stats(x) if x.load == 1000)));
    s.foreign_job(1, "e");
    assert!(s.grants().is_empty());
    s.measurement.disk_free = 1 << 40;
    s.pass(Duration::from_secs(4));
    assert!(s.sent_to_scheduler().iter().any(|m| matches!(m, Message::Stats(x) if x.load < 1000)));
    assert_eq!(s.grants().len(), 1);
    assert_eq!(s.notes.iter().filter(|n| n.contains("of others")).count(), 2, "said once each");
}

#[test]
fn d20_a_lost_scheduler_is_looked_for_soon_and_told_of_the_environments() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    s.others.clear();
    s.handle(Input::SchedulerLost);
    assert!(s.notes.iter().any(|n| n == "scheduler closed connection"));
    s.pass(Duration::from_secs(1));
    assert_eq!(s.others, [Output::Connect]);
    s.sent_to_scheduler();
    s.log_in();
    assert_eq!(announced(&s.sent_to_scheduler()), Some(vec!["e".to_owned()]));
}

#[test]
fn d20_waits_double_up_to_twenty_seconds() {
    let mut s = Scenario::new(config(2));
    s.handle(Input::SchedulerLost);
    let mut waits = Vec::new();
    for _ in 0..10 {
        let before = s.now;
        let at = s.daemon.session.timeout().unwrap();
        waits.push(at.since(before).as_millis());
        s.now = at;
        s.daemon.handle_timeout(at);
        s.collect();
        s.handle(Input::SchedulerNotFound);
    }
    assert!((250..=500).contains(&waits[0]), "{waits:?}");
    assert!(waits[9] >= 10_000 && waits.iter().all(|w| *w <= 20_000), "{waits:?}");
}

#[test]
fn d20_in_tests_the_wait_is_three_seconds() {
    let mut s = Scenario::new(Config { test_reconnect: true, ..config(2) });
    s.handle(Input::SchedulerLost);
    assert_eq!(s.daemon.session.timeout().unwrap().since(s.now), Duration::from_secs(3));
}

#[test]
fn d21_running_jobs_outlive_the_scheduler_and_are_not_reported_to_the_next() {
    let mut s = Scenario::new(config(3));
    s.install("e", 1);
    let foreign = s.foreign_job(1, "e");
    let own = s.own_job(2);
    let elsewhere = s.remote_job(3);
    s.handle(Input::SchedulerLost);
    assert_eq!(s.daemon.slots_used(), 2);
    assert!(s.closed.len() == 1, "only the sender of the environment");
    s.sent_to_scheduler();
    s.log_in();
    s.sent_to_scheduler();
    s.handle(Input::JobEnded { peer: foreign, report: JobReport::default() });
    s.say(own, job_done(2, 0, 0, 0));
    s.hang_up(elsewhere);
    assert!(s.sent_to_scheduler().is_empty(), "ids of another session mean nothing");
    assert_eq!(s.daemon.slots_used(), 0);
}

#[test]
fn requests_are_asked_again_at_the_next_login() {
    let mut s = Scenario::new(config(1));
    let peer = s.asking();
    s.handle(Input::SchedulerLost);
    s.pass(Duration::from_secs(4));
    assert!(s.sent_to(peer).is_empty());
    s.sent_to_scheduler();
    s.log_in();
    assert!(matches!(s.sent_to_scheduler().get(1), Some(Message::GetCs(g)) if g.client == ClientId(1)));
    s.use_other(peer, 1);
    assert_eq!(s.sent_to(peer).len(), 1);
}

#[test]
fn requests_are_answered_here_after_five_seconds() {
    let mut s = Scenario::new(config(1));
    let peer = s.asking();
    s.handle(Input::SchedulerLost);
    s.pass(Duration::from_secs(3));
    let second = s.asking();
    s.pass(Duration::from_secs(1));
    assert!(s.sent_to(peer).is_empty());
    s.pass(Duration::from_secs(1));
    assert!(matches!(s.sent_to(peer).as_slice(), [Message::UseCs(u)] if u.host == "127.0.0.1"));
    assert!(s.sent_to(second).is_empty(), "one slot");
    s.sent_to_scheduler();
    s.log_in();
    s.sent_to_scheduler();
    s.say(peer, job_done(1, 0, 1, 0));
    assert_eq!(s.sent_to(second).len(), 1);
    assert!(s.sent_to_scheduler().is_empty(), "a number made up here is not told");
}

#[test]
fn local_jobs_are_announced_to_the_next_scheduler() {
    let mut s = Scenario::new(config(1));
    let peer = s.local_job();
    s.handle(Input::SchedulerLost);
    s.sent_to_scheduler();
    s.log_in();
    assert!(s.sent_to_scheduler().iter().any(|m| matches!(m, Message::JobLocalBegin(b) if b.id == 1)));
    s.hang_up(peer);
    assert_eq!(s.sent_to_scheduler(), [Message::JobLocalDone { id: 1 }]);
}

#[test]
fn d22_an_unknown_message_closes_and_reconnects() {
    let mut s = Scenario::new(config(1));
    s.others.clear();
    s.scheduler(Message::MonLogin);
    assert_eq!(s.others, [Output::CloseScheduler]);
    s.handle(Input::SchedulerLost);
    s.pass(Duration::from_secs(1));
    assert!(s.others.contains(&Output::Connect));
}

#[test]
fn d23_internals() {
    let mut s = Scenario::new(config(2));
    s.pass(Duration::from_secs(4));
    let expected = "Node Name: h1\n  Remote name: 10.0.0.1\n  Architecture: x86_64\n  Current kids: 0 (max: 2)\n  Supported features: \
                    env_xz env_zstd\n  Scheduler protocol: 43\n  cpu: 1000 idle, 0 nice\n  load: 0.000, icecream_load: 0\n  memory: 0 (free: 8192)\n";
    assert_eq!(s.internals(), expected);
}

#[test]
fn internals_show_when_environments_were_used_as_1_4_does() {
    let mut s = Scenario::new(config(2));
    s.install("e", 5);
    s.pass(Duration::from_secs(7));
    let text = s.internals();
    let lines = text.lines().skip_while(|l| !l.starts_with("  Now: ")).take(2).collect::<Vec<_>>();
    let [now, env] = lines[..] else { panic!("{text}") };
    let time = |text: &str| text.parse::<u32>().unwrap();
    let last_use = env.strip_prefix("  ReceivedEnv[x86_64/e] last_use ").and_then(|l| l.strip_suffix(", size 5"));
    assert_eq!(time(now.trim_start_matches("  Now: ")) - time(last_use.unwrap()), 7, "{text}");
}

#[test]
fn nothing_follows_a_login_before_its_answer_at_most_a_second() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let sender = s.client();
    s.say(sender, Message::TransferEnv(target("f")));
    s.unpacked(sender, "f", 1);
    s.sent_to_scheduler();
    let asking = s.asking();
    s.foreign_job(1, "e");
    assert!(s.sent_to_scheduler().is_empty());
    s.conf();
    let told = s.sent_to_scheduler();
    assert!(matches!(told.as_slice(), [Message::GetCs(_), Message::JobBegin(_)]), "{told:?}");
    s.hang_up(asking);
    s.sent_to_scheduler();

    s.say(sender, Message::TransferEnv(target("g")));
    s.unpacked(sender, "g", 1);
    s.sent_to_scheduler();
    s.asking();
    s.pass(Duration::from_millis(999));
    assert!(s.sent_to_scheduler().is_empty());
    s.pass(Duration::from_millis(1));
    assert_eq!(s.sent_to_scheduler().len(), 1, "it never answered");
}

#[test]
fn a_ping_is_answered_only_below_27() {
    let mut s = Scenario::new(config(1));
    s.scheduler(Message::Ping);
    assert!(s.sent_to_scheduler().is_empty());
    let mut s = Scenario::alone(config(1));
    s.log_in_as(26);
    s.sent_to_scheduler();
    s.scheduler(Message::Ping);
    assert_eq!(s.sent_to_scheduler(), [Message::Ping]);
}

#[test]
fn d10_term_while_idle_leaves_at_once() {
    let mut s = Scenario::new(config(1));
    s.client();
    s.others.clear();
    s.handle(Input::Terminate);
    assert_eq!(s.others, [Output::StopListening, Output::CloseScheduler, Output::Exit]);
    assert_eq!(s.closed.values().map(|r| r.code()).collect::<Vec<_>>(), [116]);
    s.handle(Input::SchedulerLost);
    assert_eq!(s.daemon.poll_timeout(), None);
}

#[test]
fn d11_term_lets_jobs_end_for_ten_seconds() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let first = s.foreign_job(1, "e");
    let second = s.foreign_job(2, "e");
    let waits = s.foreign_job(3, "e");
    s.others.clear();
    s.sent_to_scheduler();
    s.handle(Input::Terminate);
    assert_eq!(s.closed.get(&waits).map(|r| r.code()), Some(116));
    s.pass(Duration::from_secs(5));
    s.handle(Input::JobEnded { peer: first, report: JobReport::default() });
    s.hang_up(first);
    assert_eq!(s.others, [Output::StopListening]);
    s.pass(Duration::from_secs(5));
    assert_eq!(s.others.get(1), Some(&Output::Kill(second)));
    assert_eq!(s.others.last(), Some(&Output::Exit));
    let told = s.sent_to_scheduler();
    assert!(told.contains(&job_done(3, 116, 0, 2)) && told.contains(&job_done(2, 116, 0, 0)), "{told:?}");
}

#[test]
fn d11_a_second_term_does_not_wait() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    s.foreign_job(1, "e");
    s.handle(Input::Terminate);
    s.handle(Input::Terminate);
    assert_eq!(s.others.last(), Some(&Output::Exit));
}

#[test]
fn another_scheduler_is_told_once_with_both_addresses() {
    let mut s = Scenario::alone(config(2));
    let connected = |address: &str| Input::SchedulerConnected {
        address: address.into(),
        version: Version::TO_SCHEDULER,
        known_as: OWN_ADDRESS.into(),
    };
    let told = |s: &Scenario| s.notes.iter().filter(|note| note.starts_with("this host is now served by")).count();
    for (address, expected) in [("10.0.0.9", 0), ("10.0.0.9", 0), ("10.0.0.3", 1), ("10.0.0.3", 1), ("10.0.0.9", 2)] {
        s.handle(connected(address));
        s.handle(Input::SchedulerLost);
        assert_eq!(told(&s), expected, "{address}");
    }
    let last = "this host is now served by the scheduler at 10.0.0.9, before by the one at 10.0.0.3";
    assert!(s.notes.iter().any(|note| note == last));
}
