//! Environments for remote jobs, and native ones.

use super::*;
use crate::limits::ENVIRONMENTS_MAX;

/// Longer than an environment is kept after its last use.
const LATELY: Duration = Duration::from_secs(201);

fn native(path: &str, mtime_ns: i64) -> NativeKey {
    let file = FileFacts { path: path.into(), size: 1, mtime_ns, inode: 1 };
    NativeKey { compression: Text::new(), compiler: path.into(), extra_files: Vec::new(), files: vec![file] }
}

fn archive(path: &str) -> Archive {
    Archive { path: path.into(), size: 10 }
}

fn wants_native(s: &mut Scenario, key: &NativeKey, is_there: bool) -> PeerId {
    let peer = s.client();
    s.say(peer, Message::GetNativeEnv(GetNativeEnv { compiler: key.compiler.clone(), ..GetNativeEnv::default() }));
    s.handle(Input::Examined { peer, outcome: Ok((key.clone(), is_there)) });
    peer
}

fn builds(s: &Scenario) -> usize {
    s.others.iter().filter(|o| matches!(o, Output::BuildNative(_))).count()
}

#[test]
fn d40_one_build_serves_all_who_ask() {
    let mut s = Scenario::new(config(1));
    let key = native("/usr/bin/gcc", 1);
    let (first, second) = (wants_native(&mut s, &key, false), wants_native(&mut s, &key, false));
    let other = native("/usr/bin/clang", 1);
    let third = wants_native(&mut s, &other, false);
    assert_eq!(builds(&s), 1, "one at a time");
    s.handle(Input::NativeBuilt { key, outcome: Ok(archive("/n/a")) });
    assert_eq!(s.sent_to(first), [Message::NativeEnv { path: "/n/a".into() }]);
    assert_eq!(s.sent_to(second), [Message::NativeEnv { path: "/n/a".into() }]);
    assert_eq!(builds(&s), 2);
    s.handle(Input::NativeBuilt { key: other, outcome: Ok(archive("/n/b")) });
    assert_eq!(s.sent_to(third), [Message::NativeEnv { path: "/n/b".into() }]);
}

#[test]
fn d41_an_unknown_compiler_ends_the_connection() {
    let mut s = Scenario::new(config(1));
    let peer = s.client();
    s.say(peer, Message::GetNativeEnv(GetNativeEnv::default()));
    s.handle(Input::Examined { peer, outcome: Err("cannot read /x".into()) });
    assert_eq!(s.sent_to(peer), [Message::End]);
    assert_eq!(s.closed.get(&peer).map(|r| r.code()), Some(122));
}

#[test]
fn d42_a_changed_compiler_or_a_deleted_archive_is_made_again() {
    let mut s = Scenario::new(config(1));
    let old = native("/usr/bin/gcc", 1);
    wants_native(&mut s, &old, false);
    s.handle(Input::NativeBuilt { key: old.clone(), outcome: Ok(archive("/n/old")) });
    let peer = wants_native(&mut s, &old, true);
    assert_eq!(s.sent_to(peer).len(), 1);
    assert_eq!(builds(&s), 1);

    wants_native(&mut s, &old, false);
    assert_eq!(builds(&s), 2, "deleted");
    s.handle(Input::NativeBuilt { key: old.clone(), outcome: Ok(archive("/n/old")) });

    let new = native("/usr/bin/gcc", 2);
    let peer = wants_native(&mut s, &new, false);
    assert!(s.others.contains(&Output::RemoveNative(old, "/n/old".into())));
    s.handle(Input::NativeBuilt { key: new, outcome: Ok(archive("/n/new")) });
    assert_eq!(s.sent_to(peer), [Message::NativeEnv { path: "/n/new".into() }]);
}

#[test]
fn d43_another_compression_or_extra_file_is_another_archive() {
    let mut s = Scenario::new(config(1));
    let plain = native("/usr/bin/gcc", 1);
    let zstd = NativeKey { compression: "zstd".into(), ..plain.clone() };
    let more = NativeKey { extra_files: vec!["/p".into()], ..plain.clone() };
    for key in [plain, zstd, more] {
        wants_native(&mut s, &key, false);
        s.handle(Input::NativeBuilt { key, outcome: Ok(archive("/n")) });
    }
    assert_eq!(builds(&s), 3);
    assert!(!s.others.iter().any(|o| matches!(o, Output::RemoveNative(..))));
}

#[test]
fn d44_a_failed_build_ends_all_who_wait_and_is_tried_again() {
    let mut s = Scenario::new(config(1));
    let key = native("/usr/bin/gcc", 1);
    let peers = [wants_native(&mut s, &key, false), wants_native(&mut s, &key, false)];
    s.pass(Duration::from_secs(30));
    s.handle(Input::NativeBuilt { key: key.clone(), outcome: Err("no as".into()) });
    for peer in peers {
        assert_eq!(s.sent_to(peer), [Message::End]);
        assert_eq!(s.closed.get(&peer).map(|r| r.code()), Some(121));
    }
    let peer = wants_native(&mut s, &key, false);
    assert_eq!(builds(&s), 1, "not again at once");
    assert_eq!(s.closed.get(&peer).map(|r| r.code()), Some(121));
    s.pass(Duration::from_secs(60));
    wants_native(&mut s, &key, false);
    assert_eq!(builds(&s), 2);
    s.handle(Input::NativeBuilt { key: key.clone(), outcome: Err("it changed while it was packed".into()) });
    wants_native(&mut s, &key, false);
    assert_eq!(builds(&s), 3, "what is found out at once costs nothing");
}

#[test]
fn d45_transfer_verify_compile_on_one_connection() {
    let mut s = Scenario::new(config(1));
    let peer = s.client();
    s.say(peer, Message::TransferEnv(target("e")));
    assert!(s.others.contains(&Output::Receive(peer, env("e"), ROOM)));
    s.sent_to_scheduler();
    s.unpacked(peer, "e", 5);
    assert_eq!(announced(&s.sent_to_scheduler()), Some(vec!["e".to_owned()]));
    s.conf();
    s.say(peer, Message::VerifyEnv(target("e")));
    assert!(s.others.contains(&Output::Verify(env("e"))));
    s.say(peer, compile_file(1, "e"));
    assert!(s.grants().is_empty(), "not before the answer");
    s.handle(Input::Verified { env: env("e"), outcome: Ok(()) });
    assert_eq!(s.sent_to(peer), [Message::VerifyEnvResult { ok: 1 }]);
    assert_eq!(s.grants().len(), 1);

    let second = s.client();
    s.others.clear();
    s.say(second, Message::VerifyEnv(target("e")));
    assert_eq!(s.sent_to(second), [Message::VerifyEnvResult { ok: 1 }], "known");
    assert!(s.others.is_empty());
}

#[test]
fn d57_an_archive_that_is_none() {
    let mut s = Scenario::new(config(1));
    let peer = s.client();
    s.say(peer, Message::TransferEnv(target("e")));
    s.handle(Input::Received { peer, outcome: Err("not an archive".into()) });
    assert!(s.sent_to(peer).is_empty() && s.closed.is_empty());
    s.say(peer, Message::VerifyEnv(target("e")));
    assert!(matches!(s.sent_to(peer).as_slice(), [Message::StatusText { .. }, Message::VerifyEnvResult { ok: 0 }]));
}

#[test]
fn an_environment_whose_compiler_does_not_run_is_removed() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("e")));
    s.sent_to_scheduler();
    let outcome = Err(VerifyFailure::Environment("gcc: no cc1".into()));
    s.handle(Input::Verified { env: env("e"), outcome });
    assert_eq!(s.sent_to(peer), [Message::VerifyEnvResult { ok: 0 }], "no status text: the client blacklists");
    assert!(s.others.contains(&Output::Remove(env("e"))));
    assert_eq!(announced(&s.sent_to_scheduler()), Some(vec![]));
}

#[test]
fn an_environment_that_this_host_cannot_verify_now_stays() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("e")));
    s.sent_to_scheduler();
    s.others.clear();
    s.handle(Input::Verified { env: env("e"), outcome: Err(VerifyFailure::Host("cannot limit memory".into())) });
    let [Message::StatusText { text }] = &s.sent_to(peer)[..] else {
        panic!("no answer: the client does not blacklist")
    };
    assert!(text.lossy().ends_with("cannot limit memory"));
    assert!(!s.others.contains(&Output::Remove(env("e"))));
    assert_eq!(s.closed.get(&peer), Some(&CloseReason::NoEnvironment));
    assert_eq!(announced(&s.sent_to_scheduler()), None);

    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("e")));
    assert!(s.others.contains(&Output::Verify(env("e"))), "tried again");
    s.handle(Input::Verified { env: env("e"), outcome: Ok(()) });
    assert_eq!(s.sent_to(peer), [Message::VerifyEnvResult { ok: 1 }]);
}

#[test]
fn an_environment_that_is_never_verified_in_time_is_no_good() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let late = || Err(VerifyFailure::Late("/bin/true not done".into()));
    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("e")));
    s.handle(Input::Verified { env: env("e"), outcome: late() });
    assert!(matches!(&s.sent_to(peer)[..], [Message::StatusText { .. }]), "this host may be busy");
    assert!(!s.others.contains(&Output::Remove(env("e"))));
    s.pass(Duration::from_secs(59));
    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("e")));
    s.handle(Input::Verified { env: env("e"), outcome: late() });
    assert!(matches!(&s.sent_to(peer)[..], [Message::StatusText { .. }]), "still");
    s.pass(Duration::from_secs(1));
    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("e")));
    s.handle(Input::Verified { env: env("e"), outcome: late() });
    assert_eq!(s.sent_to(peer), [Message::VerifyEnvResult { ok: 0 }]);
    assert!(s.others.contains(&Output::Remove(env("e"))));
}

/// A client of another host that brought an environment and waits for its check.
fn waits_for_check(s: &mut Scenario, address: &str, name: &str) -> PeerId {
    let peer = s.stranger(address);
    s.say(peer, Message::TransferEnv(target(name)));
    s.unpacked(peer, name, 1);
    s.conf();
    s.say(peer, Message::VerifyEnv(target(name)));
    peer
}

/// What is to be checked or stopped since the last call.
fn checks(s: &mut Scenario) -> Vec<Output> {
    let is_check = |o: &Output| matches!(o, Output::Verify(_) | Output::StopVerify);
    std::mem::take(&mut s.others).into_iter().filter(is_check).collect()
}

#[test]
fn a_slow_check_gives_way_and_nobody_is_refused() {
    let mut s = Scenario::new(config(2));
    let slow = waits_for_check(&mut s, OTHER_ADDRESS, "slow");
    let more = waits_for_check(&mut s, OTHER_ADDRESS, "more");
    s.pass(Duration::from_secs(5));
    assert_eq!(checks(&mut s), [Output::Verify(env("slow"))], "one at a time");
    let first = waits_for_check(&mut s, "10.0.0.3", "first");
    assert_eq!(checks(&mut s), [Output::StopVerify]);
    s.say(slow, compile_file(1, "slow"));
    s.handle(Input::Verified { env: env("slow"), outcome: Err(VerifyFailure::Stopped) });
    assert_eq!(checks(&mut s), [Output::Verify(env("first"))]);
    assert!(s.grants().is_empty(), "its environment is still to be checked");
    s.handle(Input::Verified { env: env("first"), outcome: Ok(()) });
    assert_eq!(s.sent_to(first), [Message::VerifyEnvResult { ok: 1 }]);
    assert_eq!(checks(&mut s), [Output::Verify(env("slow"))]);
    s.handle(Input::Verified { env: env("slow"), outcome: Ok(()) });
    assert_eq!(s.sent_to(slow), [Message::VerifyEnvResult { ok: 1 }]);
    s.hang_up(more);
    s.handle(Input::Verified { env: env("more"), outcome: Ok(()) });
    assert!(checks(&mut s).iter().all(|o| *o == Output::Verify(env("more"))));
}

#[test]
fn a_check_that_is_new_gives_way_after_two_seconds() {
    let mut s = Scenario::new(config(2));
    waits_for_check(&mut s, OTHER_ADDRESS, "a");
    waits_for_check(&mut s, "10.0.0.3", "b");
    assert_eq!(checks(&mut s), [Output::Verify(env("a"))]);
    s.pass(Duration::from_millis(1999));
    assert_eq!(checks(&mut s), []);
    s.pass(Duration::from_millis(1));
    assert_eq!(checks(&mut s), [Output::StopVerify]);
}

#[test]
fn nobody_who_waits_for_a_check_is_nobodys_turn() {
    let mut s = Scenario::new(config(2));
    waits_for_check(&mut s, OTHER_ADDRESS, "a");
    let gone = waits_for_check(&mut s, "10.0.0.3", "b");
    s.hang_up(gone);
    s.pass(Duration::from_secs(5));
    assert_eq!(checks(&mut s), [Output::Verify(env("a"))]);
    s.handle(Input::Verified { env: env("a"), outcome: Ok(()) });
    assert_eq!(checks(&mut s), []);
}

#[test]
fn d59_a_second_upload_is_thrown_away_and_served_by_the_first() {
    let mut s = Scenario::new(config(2));
    let (first, second) = (s.client(), s.client());
    s.say(first, Message::TransferEnv(target("e")));
    s.say(second, Message::TransferEnv(target("e")));
    assert!(s.others.contains(&Output::Discard(second)));
    s.say(second, Message::VerifyEnv(target("e")));
    assert!(s.sent_to(second).is_empty());
    s.unpacked(first, "e", 1);
    s.handle(Input::Verified { env: env("e"), outcome: Ok(()) });
    assert_eq!(s.sent_to(second), [Message::VerifyEnvResult { ok: 1 }]);
}

#[test]
fn d59_the_first_sender_dies() {
    let mut s = Scenario::new(config(2));
    let (first, second) = (s.client(), s.client());
    s.say(first, Message::TransferEnv(target("e")));
    s.say(second, Message::VerifyEnv(target("e")));
    s.sent_to_scheduler();
    s.hang_up(first);
    assert_eq!(s.daemon.slots_used(), 0);
    s.handle(Input::Received { peer: first, outcome: Err("sender gone".into()) });
    assert!(
        matches!(s.sent_to(second).as_slice(), [Message::StatusText { .. }]),
        "no verdict on what it did not bring"
    );
    assert_eq!(s.closed.get(&second), Some(&CloseReason::NoEnvironment));
    assert!(announced(&s.sent_to_scheduler()).is_some(), "the scheduler learns that the installation is over");
    s.others.clear();
    let third = s.client();
    s.say(third, Message::TransferEnv(target("e")));
    assert!(s.others.contains(&Output::Receive(third, env("e"), ROOM)));
}

#[test]
fn d60_the_least_recently_used_idle_one_goes() {
    let mut s = Scenario::new(config(2));
    for name in ["a", "b", "c"] {
        s.install(name, 300);
    }
    s.pass(LATELY);
    let runs = s.foreign_job(1, "a");
    s.conf();
    s.sent_to_scheduler();
    s.install("d", 300);
    assert!(s.others.contains(&Output::Remove(env("b"))), "a is older, but in use");
    assert!(!s.others.contains(&Output::Remove(env("a"))));
    assert_eq!(announced(&s.sent_to_scheduler()), Some(["a", "c", "d"].map(str::to_owned).to_vec()));
    s.handle(Input::JobEnded { peer: runs, report: JobReport::default() });
    s.install("e", 300);
    assert!(s.others.contains(&Output::Remove(env("c"))), "a was used since");
}

#[test]
fn what_was_used_lately_stays_up_to_twice_the_limit() {
    let mut s = Scenario::new(config(2));
    for name in ["a", "b", "c"] {
        s.install(name, 700);
    }
    assert!(s.others.contains(&Output::Remove(env("a"))), "all three are more than twice the limit");
    assert!(!s.others.contains(&Output::Remove(env("b"))), "b was used a moment ago");
    // Its removal after that time needs no new client.
    s.pass(LATELY);
    assert!(s.others.contains(&Output::Remove(env("b"))) && !s.others.contains(&Output::Remove(env("c"))));
    s.install("d", 100);
    assert!(!s.others.contains(&Output::Remove(env("c"))) && !s.others.contains(&Output::Remove(env("d"))));
}

#[test]
fn d60_one_that_is_checked_for_a_client_stays_for_it() {
    let mut s = Scenario::new(config(2));
    s.install("a", 900);
    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("a")));
    s.handle(Input::Verified { env: env("a"), outcome: Ok(()) });
    s.install("b", 900);
    assert!(!s.others.iter().any(|o| matches!(o, Output::Remove(_))), "the limit is soft");
    s.hang_up(peer);
    s.pass(LATELY);
    s.install("c", 1);
    assert!(s.others.contains(&Output::Remove(env("a"))));
}

#[test]
fn many_tiny_ones_are_too_many_for_a_login() {
    let tiny = |n: usize| env(&format!("{n:0255}"));
    let on_disk = |n| EnvOnDisk { id: tiny(n), size: 1, last_use: 0, content: None };
    let config = Config { cache_limit: 1 << 30, environments: (0..1200).map(on_disk).collect(), ..config(1) };
    let mut s = Scenario::alone(config);
    s.log_in();
    let latest: Vec<String> = (1200 - ENVIRONMENTS_MAX..1200).map(|n| format!("{n:0255}")).collect();
    assert_eq!(announced(&s.sent_to_scheduler()), Some(latest));
    s.conf();
    s.others.clear();
    s.install("z", 1);
    assert!(s.others.contains(&Output::Remove(tiny(1200 - ENVIRONMENTS_MAX))));
    assert_eq!(announced(&s.sent_to_scheduler()).map(|names| names.len()), Some(ENVIRONMENTS_MAX));
}

#[test]
fn environments_survive_a_restart() {
    let on_disk = |name: &str, last_use| EnvOnDisk { id: env(name), size: 600, last_use, content: None };
    let environments = vec![on_disk("new", 2), on_disk("old", 1)];
    let mut s = Scenario::alone(Config { environments, ..config(1) });
    assert!(s.others.contains(&Output::Remove(env("old"))), "over the limit");
    s.log_in();
    assert_eq!(announced(&s.sent_to_scheduler()), Some(vec!["new".to_owned()]));
    s.foreign_job(1, "new");
    assert_eq!(s.grants().len(), 1);
}
