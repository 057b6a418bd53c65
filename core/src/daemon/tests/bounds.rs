//! Times and bounds, each asked at the bound and one beyond. The numbers are written out: they are what peers and users
//! see.

use super::*;
use crate::message::{ArgSide, BlacklistHostEnv};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Whether an environment was removed since the last call.
fn removed(s: &mut Scenario, name: &str) -> bool {
    std::mem::take(&mut s.others).contains(&Output::Remove(env(name)))
}

/// Installs a small environment of a client that leaves, so that the limit is checked.
fn something_comes(s: &mut Scenario) {
    s.install(&format!("small{}", s.peers), 1);
}

#[test]
fn an_environment_goes_two_hundred_seconds_after_its_last_use() {
    let mut s = Scenario::new(config(2));
    s.install("a", 700);
    s.install("b", 700);
    s.pass(secs(199));
    something_comes(&mut s);
    assert!(!removed(&mut s, "a"));
    s.pass(secs(1));
    something_comes(&mut s);
    assert!(removed(&mut s, "a"));
}

#[test]
fn an_environment_stays_at_the_limit_and_goes_one_byte_over_it() {
    let mut s = Scenario::new(config(2));
    s.install("a", 600);
    s.pass(secs(300));
    s.install("b", 400);
    assert!(!removed(&mut s, "a"));
    something_comes(&mut s);
    assert!(removed(&mut s, "a"));
}

#[test]
fn what_was_used_lately_goes_one_byte_over_twice_the_limit() {
    let mut s = Scenario::new(config(2));
    s.install("a", 900);
    s.install("b", 900);
    s.install("c", 200);
    assert!(!removed(&mut s, "a"));
    something_comes(&mut s);
    assert!(removed(&mut s, "a"));
}

/// However long it has been in use: its job or client still needs it.
#[test]
fn an_environment_in_use_is_never_evicted() {
    type Use = fn(&mut Scenario) -> PeerId;
    let uses: [(&str, Use); 4] = [
        ("a job runs in it", |s| s.foreign_job(1, "a")),
        ("a job waits for a slot", |s| {
            s.measurement.disk_free = 0;
            s.client();
            s.pass(secs(4));
            s.foreign_job(1, "a")
        }),
        ("it is checked", |s| {
            let peer = s.client();
            s.say(peer, Message::VerifyEnv(target("a")));
            peer
        }),
        ("it was brought again", |s| {
            let peer = s.client();
            s.say(peer, Message::TransferEnv(target("a")));
            peer
        }),
    ];
    for (what, begin) in uses {
        let mut s = Scenario::new(config(2));
        s.install("a", 900);
        let user = begin(&mut s);
        s.pass(secs(1000));
        s.install("b", 900);
        s.install("c", 900);
        assert!(!s.others.contains(&Output::Remove(env("a"))), "{what}");
        assert!(s.others.contains(&Output::Remove(env("b"))), "{what}: another one went instead");
        s.hang_up(user);
        s.handle(Input::Verified { env: env("a"), outcome: Ok(()) });
        s.pass(secs(1000));
        something_comes(&mut s);
        assert!(removed(&mut s, "a"), "{what}: it is over");
    }
}

#[test]
fn an_environment_that_just_came_goes_only_where_all_others_are_in_use() {
    let mut s = Scenario::new(config(2));
    s.install("a", 3000);
    assert!(!removed(&mut s, "a"), "alone it may be as large as it likes");
    s.foreign_job(1, "a");
    s.install("b", 1);
    assert!(s.others.iter().any(|o| matches!(o, Output::Drop(_))), "it does not come");
}

#[test]
fn sixteen_environments_arrive_at_once() {
    let mut s = Scenario::new(Config { cache_limit: 1 << 60, ..config(2) });
    let send = |s: &mut Scenario, n: u32| {
        let peer = s.stranger(&format!("10.0.1.{n}"));
        s.say(peer, Message::TransferEnv(target(&format!("e{n}"))));
        s.closed.contains_key(&peer)
    };
    let refused: Vec<bool> = (1..=16).map(|n| send(&mut s, n)).collect();
    assert_eq!(refused, [false; 16]);
    assert!(send(&mut s, 17));
}

#[test]
fn five_hundred_and_twelve_environments_are_kept() {
    let on_disk = |n: u32| EnvOnDisk { id: env(&format!("e{n}")), size: 1, last_use: n, content: None };
    let with = |count| Config { cache_limit: 1 << 30, environments: (0..count).map(on_disk).collect(), ..config(1) };
    assert!(!removed(&mut Scenario::alone(with(512)), "e0"));
    let s = Scenario::alone(with(513));
    assert!(s.others.contains(&Output::Remove(env("e0"))));
    assert!(!s.others.contains(&Output::Remove(env("e1"))));
}

#[test]
fn a_native_archive_is_kept_two_hundred_seconds_or_a_day_if_there_are_fewer_than_five() {
    for (archives, stays, goes) in [(4, 24 * 3600, 24 * 3600 + 1), (5, 200, 201)] {
        let file = |n: i64| FileFacts { path: "/gcc".into(), size: 1, mtime_ns: n, inode: 1 };
        let key = |n: i64| NativeKey {
            compression: Text::new(),
            compiler: format!("/gcc{n}").into(),
            extra_files: Vec::new(),
            files: vec![file(n)],
        };
        let natives = (0..archives)
            .map(|n| NativeOnDisk { key: key(n), archive: Archive { path: format!("/n{n}").into(), size: 300 } });
        let mut s = Scenario::new(Config { natives: natives.collect(), ..config(1) });
        let gone = |s: &Scenario| s.others.iter().filter(|o| matches!(o, Output::RemoveNative(..))).count();
        s.pass(secs(stays));
        something_comes(&mut s);
        assert_eq!(gone(&s), 0, "{archives}");
        s.pass(secs(goes - stays));
        something_comes(&mut s);
        assert!(gone(&s) > 0, "{archives}");
    }
}

/// Among a thousand daemons both ends of the random range occur.
#[test]
fn a_scheduler_is_looked_for_after_half_to_all_of_a_wait_that_doubles_up_to_twenty_seconds() {
    let waits = |seed: u64| {
        let mut s = Scenario::alone(Config { seed, ..config(2) });
        let mut waits = Vec::new();
        for _ in 0..9 {
            let begun = s.now;
            s.others.clear();
            s.handle(Input::SchedulerNotFound);
            while !s.others.contains(&Output::Connect) {
                s.now = s.daemon.poll_timeout().unwrap();
                s.daemon.handle_timeout(s.now);
                s.collect();
            }
            waits.push(s.now.since(begun).as_millis());
        }
        waits
    };
    let all: Vec<Vec<u128>> = (0..4000_u64).map(|seed| waits(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let of = |n: usize| all.iter().map(move |waits| waits[n]);
    for (n, whole) in [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000, 20_000].into_iter().enumerate() {
        assert_eq!((of(n).min(), of(n).max()), (Some(whole / 2), Some(whole)), "wait {n}");
    }
    // After a connection the next search begins as early as the first one.
    let mut s = Scenario::alone(config(2));
    for _ in 0..9 {
        s.handle(Input::SchedulerNotFound);
        s.pass(secs(20));
    }
    s.log_in();
    s.others.clear();
    s.handle(Input::SchedulerLost);
    s.pass(millis(500));
    assert!(s.others.contains(&Output::Connect));
}

#[test]
fn a_thousand_messages_wait_for_the_answer_to_a_login() {
    let mut s = Scenario::alone(config(2));
    s.handle(Input::SchedulerConnected {
        version: Version::new(43),
        address: "10.0.0.9".into(),
        known_as: OWN_ADDRESS.into(),
    });
    s.sent_to_scheduler();
    let peer = s.client();
    s.sent_to_scheduler();
    let entry =
        || Message::BlacklistHostEnv(BlacklistHostEnv { environment: "e".into(), ..BlacklistHostEnv::default() });
    // One message is the first report of the load.
    for _ in 0..999 {
        s.say(peer, entry());
    }
    assert!(s.sent_to_scheduler().is_empty());
    s.say(peer, entry());
    assert_eq!(s.sent_to_scheduler().len(), 1001);
}

#[test]
fn a_login_is_waited_for_a_second() {
    let mut s = Scenario::alone(config(2));
    s.handle(Input::SchedulerConnected {
        version: Version::new(43),
        address: "10.0.0.9".into(),
        known_as: OWN_ADDRESS.into(),
    });
    s.pass(Duration::ZERO);
    s.sent_to_scheduler();
    s.pass(millis(999));
    assert!(s.sent_to_scheduler().is_empty());
    s.pass(millis(1));
    assert!(matches!(s.sent_to_scheduler().as_slice(), [Message::Stats(_)]));
}

#[test]
fn a_request_waits_five_seconds_for_a_lost_scheduler() {
    let mut s = Scenario::new(config(2));
    let peer = s.asking();
    s.handle(Input::SchedulerLost);
    s.pass(millis(4999));
    assert!(s.sent_to(peer).is_empty());
    s.pass(millis(1));
    assert!(matches!(s.sent_to(peer).as_slice(), [Message::UseCs(u)] if u.host == "127.0.0.1"));
}

#[test]
fn jobs_may_end_for_ten_seconds_after_term() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let peer = s.foreign_job(1, "e");
    s.handle(Input::Terminate);
    s.pass(millis(9999));
    assert!(!s.others.contains(&Output::Kill(peer)));
    s.pass(millis(1));
    assert!(s.others.contains(&Output::Kill(peer)) && s.others.contains(&Output::Exit));
}

#[test]
fn clients_of_others_may_be_idle_for_two_minutes_or_twenty_with_an_environment() {
    let mut s = Scenario::new(config(2));
    let name = "0".repeat(64);
    s.install(&name, 1);
    // Not at the times of the measurements.
    s.pass(millis(500));
    let idle = s.stranger(OTHER_ADDRESS);
    let brought = s.stranger(OTHER_ADDRESS);
    s.say(brought, Message::TransferEnv(target(&name)));
    s.pass(millis(119_999));
    assert!(!s.closed.contains_key(&idle));
    s.pass(millis(1));
    assert_eq!(s.closed.get(&idle), Some(&CloseReason::Idle));
    s.pass(millis(1_079_999));
    assert!(!s.closed.contains_key(&brought));
    s.pass(millis(1));
    assert_eq!(s.closed.get(&brought), Some(&CloseReason::Idle));
}

#[test]
fn texts_and_arguments_of_a_job_have_bounds() {
    let text = |n: usize| Text::from("x".repeat(n));
    type Change = fn(&mut CompileFile, Text);
    let paths: [Change; 4] =
        [|j, t| j.compiler = t, |j, t| j.input_file = t, |j, t| j.working_directory = t, |j, t| j.output_file = t];
    let closed = |change: &dyn Fn(&mut CompileFile)| {
        let mut s = Scenario::new(config(2));
        s.install("e", 1);
        let Message::CompileFile(mut job) = compile_file(1, "e") else { unreachable!() };
        change(&mut job);
        let peer = s.stranger(OTHER_ADDRESS);
        s.say(peer, Message::CompileFile(job));
        s.closed.get(&peer).copied()
    };
    for set in paths {
        assert_eq!(closed(&|j| set(j, text(4096))), None);
        assert_eq!(closed(&|j| set(j, text(4097))), Some(CloseReason::BadJob));
    }
    let arguments = |count: usize, each: usize| vec![(ArgSide::Rest, text(each)); count];
    assert_eq!(closed(&|j| j.arguments = arguments(4096, 1)), None);
    assert_eq!(closed(&|j| j.arguments = arguments(4097, 1)), Some(CloseReason::BadJob));
    assert_eq!(closed(&|j| j.arguments = arguments(512, 1024)), None);
    let more = |j: &mut CompileFile| {
        j.arguments = arguments(512, 1024);
        j.arguments.push((ArgSide::Rest, text(1)));
    };
    assert_eq!(closed(&more), Some(CloseReason::BadJob));
}

#[test]
fn texts_of_a_request_have_bounds() {
    let text = |n: usize| Text::from("x".repeat(n));
    let passed_on = |request: GetCs| {
        let mut s = Scenario::new(config(2));
        let peer = s.client();
        s.say(peer, Message::GetCs(request));
        s.sent_to_scheduler().len() == 1
    };
    let request = |n: usize| GetCs { count: 1, file: text(n), target: text(1), ..GetCs::default() };
    assert!(passed_on(request(65_535)));
    assert!(!passed_on(request(65_536)));
    // An environment also takes two lengths, of its two names.
    let one = || crate::env::EnvRef { platform: text(100), name: text(900) };
    let named =
        |n: usize, more: usize| GetCs { environments: vec![one(); n], preferred_host: text(more), ..request(23) };
    assert!(passed_on(named(64, 1000)) && !passed_on(named(64, 1001)));

    let mut s = Scenario::new(config(2));
    let peer = s.client();
    let name = |n: usize| {
        Message::BlacklistHostEnv(BlacklistHostEnv {
            environment: "e".into(),
            host: text(n),
            ..BlacklistHostEnv::default()
        })
    };
    s.say(peer, name(255));
    s.say(peer, name(256));
    assert_eq!(s.sent_to_scheduler(), [name(255)]);
}

#[test]
fn a_request_asks_for_sixteen_copies_at_most() {
    let mut s = Scenario::alone(config(2));
    for (count, copies) in [(0, 1), (1, 1), (16, 16), (17, 16)] {
        let peer = s.client();
        let request = GetCs { count, target: "x86_64".into(), ..GetCs::default() };
        s.say(peer, Message::GetCs(request));
        assert_eq!(s.sent_to(peer).len(), copies, "{count}");
        s.hang_up(peer);
    }
}

/// Negative values arrive wrapped and count as 0.
#[test]
fn niceness_is_zero_to_twenty() {
    let first = |one: u32, two: u32| {
        let mut s = Scenario::alone(config(1));
        let busy = s.local_job();
        let mut ask = |niceness| {
            let peer = s.client();
            s.say(peer, Message::GetCs(GetCs { count: 1, niceness, ..GetCs::default() }));
            peer
        };
        let peers = [ask(one), ask(two)];
        s.hang_up(busy);
        peers.map(|peer| !s.sent_to(peer).is_empty())
    };
    assert_eq!(first(20, 19), [false, true]);
    assert_eq!(first(21, 20), [true, false], "21 counts as 20");
    assert_eq!(first(1, u32::MAX), [false, true]);
    assert_eq!(first(0, u32::MAX), [true, false]);
}

#[test]
fn a_local_job_within_a_second_of_a_dropped_one_is_a_fallback() {
    for (wait, counts) in [(1000, true), (1001, false)] {
        let mut s = Scenario::new(config(2));
        let peer = s.remote_job(5);
        s.hang_up(peer);
        s.pass(millis(wait));
        s.local_job();
        assert_eq!(s.internals().contains("Fallbacks to local builds: 1"), counts, "{wait} ms");
    }
}

#[test]
fn no_more_than_two_hundred_and_fifty_six_dropped_jobs_are_remembered() {
    let mut s = Scenario::new(config(2));
    for job in 1..=257 {
        let peer = s.remote_job(job);
        s.hang_up(peer);
    }
    for _ in 0..257 {
        let peer = s.local_job();
        s.hang_up(peer);
    }
    assert!(s.internals().contains("Fallbacks to local builds: 256\n"));
}

#[test]
fn half_a_gibibyte_unread_by_a_host_stops_its_jobs() {
    for (held, starts) in [(512 << 20, true), ((512 << 20) + 1, false)] {
        let mut s = Scenario::new(config(1));
        s.install("e", 1);
        let first = s.foreign_job(1, "e");
        s.handle(Input::JobEnded { peer: first, report: JobReport { held, ..JobReport::default() } });
        s.grants();
        s.foreign_job(2, "e");
        assert_eq!(s.grants().len(), usize::from(starts), "{held}");
    }
}

#[test]
fn a_gibibyte_unread_by_all_closes_the_largest() {
    for (more, closes) in [(0, false), (1, true)] {
        let mut s = Scenario::new(config(2));
        s.install("e", 1);
        let jobs = [s.foreign_job(1, "e"), s.foreign_job(2, "e")];
        for (peer, held) in jobs.iter().zip([(600 << 20) + more, 424 << 20]) {
            s.handle(Input::JobEnded { peer: *peer, report: JobReport { held, ..JobReport::default() } });
        }
        assert_eq!(s.closed.contains_key(&jobs[0]), closes);
        assert!(!s.closed.contains_key(&jobs[1]));
    }
}
