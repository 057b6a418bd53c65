//! Whose environment a job runs in where several addresses bring archives of one name.

use super::*;

const EVIL: &str = "10.0.0.66";
const FIRST: &str = "10.0.0.2";
const SECOND: &str = "10.0.0.3";
/// A name of 1.4's form.
const MD5: &str = "0123456789abcdef0123456789abcdef";

/// The environment that has a place of its own, by its content.
fn own(content: &str) -> EnvId {
    EnvId { platform: env("e").platform, name: arrived(content, 1).digest }
}

fn removed(s: &Scenario, env: &EnvId) -> bool {
    s.others.contains(&Output::Remove(env.clone()))
}

#[test]
fn e36_other_content_by_the_same_name_is_for_jobs_of_its_bringer() {
    for name in ["gcc", "gcc+deadbeef", MD5] {
        let mut s = Scenario::new(config(4));
        s.bring(EVIL, name, arrived("evil", 1));
        s.bring(FIRST, name, arrived("good", 1));
        assert_eq!(s.runs_in(FIRST, name), Some(own("good")), "{name}");
        assert_eq!(s.runs_in(EVIL, name), Some(env(name)), "{name}");
        assert_eq!(s.runs_in(SECOND, name), Some(env(name)), "who brings nothing uses the first one");
        // Also if it is asked about before.
        let peer = s.bring(SECOND, name, arrived("good", 1));
        assert!(s.others.contains(&Output::Drop(peer)), "the same is shared");
        s.others.clear();
        s.say(peer, Message::VerifyEnv(target(name)));
        assert!(s.others.contains(&Output::Verify(own("good"))));
        s.handle(Input::Verified { env: own("good"), outcome: Ok(()) });
        assert_eq!(s.runs_in(SECOND, name), Some(own("good")), "{name}");
        assert!(s.notes.iter().any(|note| note.contains("10.0.0.2 has other content")));
    }
}

/// The scheduler sends jobs of whoever names it so: by the name of its content it is nobody else's.
#[test]
fn a_copy_is_announced_by_its_content_alone() {
    let mut s = Scenario::new(config(4));
    s.bring(FIRST, "gcc", arrived("one", 1));
    s.bring(SECOND, "gcc", arrived("two", 1));
    s.conf();
    let told = announced(&s.sent_to_scheduler()).unwrap();
    assert_eq!(told, [own("two").name.to_string(), "gcc".to_owned()]);
    // Which of them had which is not known after a restart: who has the first one must bring it again.
    assert!(s.others.contains(&Output::Forget(env("gcc"))));
}

#[test]
fn twenty_addresses_share_one_renamed_archive() {
    let mut s = Scenario::new(config(4));
    let addresses: Vec<String> = (1..=20).map(|n| format!("10.0.1.{n}")).collect();
    for address in &addresses {
        s.bring(address, "team-gcc", arrived("renamed", 1));
    }
    for address in &addresses {
        assert_eq!(s.runs_in(address, "team-gcc"), Some(env("team-gcc")));
    }
    let installed = s.others.iter().filter(|o| matches!(o, Output::Install(..))).count();
    assert_eq!((installed, s.daemon.envs.number()), (1, 1));
    assert!(!s.others.contains(&Output::Forget(env("team-gcc"))));
}

#[test]
fn of_two_at_a_time_the_first_that_is_complete_is_the_first() {
    for same in [false, true] {
        let mut s = Scenario::new(config(4));
        let (slow, fast) = (s.stranger(EVIL), s.stranger(FIRST));
        for peer in [slow, fast] {
            s.say(peer, Message::TransferEnv(target("gcc")));
            assert!(s.others.contains(&Output::Receive(peer, env("gcc"), ROOM)) || peer == fast);
        }
        let fast_has = arrived("good", 1);
        s.handle(Input::Unpacked { peer: fast, arrived: fast_has });
        assert!(s.others.contains(&Output::Install(fast, env("gcc"))));
        // While that is being installed.
        s.handle(Input::Unpacked { peer: slow, arrived: arrived(if same { "good" } else { "evil" }, 1) });
        assert_eq!(s.others.contains(&Output::Drop(slow)), same);
        assert_eq!(s.others.contains(&Output::Install(slow, own("evil"))), !same);
        for peer in [slow, fast] {
            s.handle(Input::Received { peer, outcome: Ok(()) });
        }
        assert_eq!(s.runs_in(FIRST, "gcc"), Some(env("gcc")));
        assert_eq!(s.runs_in(EVIL, "gcc"), Some(if same { env("gcc") } else { own("evil") }));
        assert_eq!(s.others.contains(&Output::Forget(env("gcc"))), !same, "once it is there");
    }
}

/// Somebody may send it without an end, or another one that will be refused.
#[test]
fn nobody_waits_for_what_a_stranger_brings() {
    let mut s = Scenario::new(config(4));
    let content = EnvId { platform: env("e").platform, name: EnvName::of_content(&[7; 32]) };
    let (evil, good) = (s.stranger(EVIL), s.stranger(FIRST));
    for peer in [evil, good] {
        s.say(peer, Message::TransferEnv(target(content.name.as_str())));
    }
    s.unpacked_as(good, Arrived { size: 1, digest: content.name.clone(), proven: true });
    assert_eq!(s.runs_in(FIRST, content.name.as_str()), Some(content.clone()));
    let late = s.stranger(SECOND);
    s.say(late, Message::TransferEnv(target(content.name.as_str())));
    assert!(s.others.contains(&Output::Discard(late)));
    s.handle(Input::Received { peer: evil, outcome: Err("content does not match its name".into()) });
    assert_eq!(s.runs_in(SECOND, content.name.as_str()), Some(content));
}

#[test]
fn one_that_fails_is_no_obstacle_to_another() {
    let mut s = Scenario::new(config(4));
    let (evil, good, waits) = (s.stranger(EVIL), s.stranger(FIRST), s.stranger(SECOND));
    s.say(evil, Message::TransferEnv(target("gcc")));
    s.say(good, Message::TransferEnv(target("gcc")));
    s.say(waits, Message::VerifyEnv(target("gcc")));
    s.handle(Input::Received { peer: evil, outcome: Err("not an archive".into()) });
    assert!(s.sent_to(waits).is_empty(), "another one comes");
    s.handle(Input::Unpacked { peer: good, arrived: arrived("good", 1) });
    s.handle(Input::Received { peer: good, outcome: Err("no room".into()) });
    assert_eq!(s.closed.get(&waits), Some(&CloseReason::NoEnvironment));
    s.bring(FIRST, "gcc", arrived("good", 1));
    assert_eq!(s.runs_in(FIRST, "gcc"), Some(env("gcc")));
}

/// 1.4 makes archives of the same compiler on each host, which differ in times and owners.
#[test]
fn one_compiler_by_the_name_of_its_content_is_shared_whatever_the_bytes() {
    let mut s = Scenario::new(config(4));
    let proven = |content: &str| Arrived { proven: true, ..arrived(content, 1) };
    s.bring(FIRST, MD5, proven("one"));
    let peer = s.bring(SECOND, MD5, proven("two"));
    assert!(s.others.contains(&Output::Drop(peer)));
    s.bring(EVIL, MD5, arrived("evil", 1));
    for (address, its) in [(FIRST, env(MD5)), (SECOND, env(MD5)), (EVIL, own("evil"))] {
        assert_eq!(s.runs_in(address, MD5), Some(its));
    }
}

/// Whoever has it pushed out to bring another one gains nothing with those who used it.
#[test]
fn who_used_one_that_is_gone_does_not_get_another() {
    for (first, name) in [(arrived("good", 600), "gcc"), (Arrived { proven: true, ..arrived("good", 600) }, MD5)] {
        let mut s = Scenario::new(config(4));
        s.bring(FIRST, name, first.clone());
        assert_eq!(s.runs_in(SECOND, name), Some(env(name)));
        s.pass(Duration::from_secs(2 * 3600));
        s.install("more", 600);
        assert!(removed(&s, &env(name)));
        s.others.clear();
        s.pass(Duration::from_secs(300));
        s.bring(EVIL, name, arrived("evil", 1));
        assert_eq!(s.runs_in(EVIL, name), Some(env(name)));
        assert_eq!((s.runs_in(FIRST, name), s.runs_in(SECOND, name)), (None, None));
        s.bring(FIRST, name, Arrived { size: 1, ..first });
        assert_eq!((s.runs_in(FIRST, name), s.runs_in(EVIL, name)), (Some(own("good")), Some(env(name))));
        // After a day it is taken as its team's new one.
        s.pass(Duration::from_secs(24 * 3600));
        assert_eq!(s.runs_in(SECOND, name), Some(env(name)));
    }
}

#[test]
fn what_waits_for_a_slot_follows_what_its_address_brings() {
    let mut s = Scenario::new(config(1));
    s.bring(EVIL, "gcc", arrived("evil", 1));
    let busy = s.stranger(EVIL);
    s.conf();
    s.say(busy, compile_file(1, "gcc"));
    let waits = s.stranger(FIRST);
    s.say(waits, compile_file(2, "gcc"));
    s.bring(FIRST, "gcc", arrived("good", 1));
    s.conf();
    assert_eq!(s.grants().len(), 1);
    s.handle(Input::JobEnded { peer: busy, report: JobReport::default() });
    assert_eq!(s.grants().iter().map(|grant| grant.work.env().cloned()).collect::<Vec<_>>(), [Some(own("good"))]);
}

#[test]
fn what_is_on_the_disk_is_the_first_one_and_compared_if_its_content_is_known() {
    for (content, is_shared) in [(Some(arrived("good", 1).digest), true), (None, false)] {
        let environments = vec![EnvOnDisk { id: env("gcc"), size: 1, last_use: 1, content }];
        let mut s = Scenario::new(Config { environments, ..config(4) });
        assert_eq!(s.runs_in(SECOND, "gcc"), Some(env("gcc")));
        s.bring(FIRST, "gcc", arrived("good", 1));
        assert_eq!(s.runs_in(FIRST, "gcc"), Some(if is_shared { env("gcc") } else { own("good") }));
    }
}

#[test]
fn names_that_say_nothing_can_be_refused() {
    let content = EnvId { platform: env("e").platform, name: EnvName::of_content(&[7; 32]) };
    let on_disk = |id: &EnvId, content| EnvOnDisk { id: id.clone(), size: 1, last_use: 1, content };
    let environments =
        vec![on_disk(&env("gcc"), Some(arrived("x", 1).digest)), on_disk(&content, Some(content.name.clone()))];
    let mut s = Scenario::new(Config { refuse_plain_names: true, environments, ..config(4) });
    assert!(removed(&s, &env("gcc")) && !removed(&s, &content));
    let peer = s.bring(FIRST, "gcc", arrived("good", 1));
    s.say(peer, Message::VerifyEnv(target("gcc")));
    let [Message::StatusText { text }, Message::VerifyEnvResult { ok: 0 }] = &s.sent_to(peer)[..] else {
        panic!("taken")
    };
    assert!(text.lossy().contains("--refuse-plain-names"), "{}", text.lossy());
    s.bring(FIRST, MD5, Arrived { proven: true, ..arrived("good", 1) });
    assert_eq!(s.runs_in(FIRST, MD5), Some(env(MD5)));
}
