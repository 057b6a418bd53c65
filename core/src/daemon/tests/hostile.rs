//! Hostile peers, which send too much, too often or too slowly.

use super::*;
use crate::env::EnvRef;
use crate::message::{ArgSide, BlacklistHostEnv};

#[test]
fn a_request_that_the_schedulers_link_cannot_carry_ends_its_client_only() {
    let mut s = Scenario::new(config(2));
    let long = "x".repeat(1 << 20);
    for request in [
        GetCs { count: 1, file: long.as_str().into(), ..GetCs::default() },
        GetCs { count: 1, environments: vec![EnvRef::default(); 100_000], ..GetCs::default() },
    ] {
        let peer = s.client_as(21);
        s.say(peer, Message::GetCs(request));
        assert!(s.closed.contains_key(&peer) && s.sent_to_scheduler().is_empty());
    }
    let peer = s.client();
    let entry = BlacklistHostEnv { environment: "e".into(), host: long.as_str().into(), ..BlacklistHostEnv::default() };
    s.say(peer, Message::BlacklistHostEnv(entry));
    assert!(s.sent_to_scheduler().is_empty());
    s.say(peer, Message::JobLocalBegin(JobLocalBegin { output_file: long.into(), ..JobLocalBegin::default() }));
    let told = s.sent_to_scheduler();
    assert!(matches!(told.as_slice(), [Message::JobLocalBegin(b)] if b.output_file.len() == 1024), "{}", told.len());
}

#[test]
fn what_is_for_the_hosts_own_clients_is_refused_to_others() {
    let mut s = Scenario::new(config(1));
    s.own_job(7);
    let requests = [
        get_cs(),
        Message::JobLocalBegin(JobLocalBegin { full: 1, ..JobLocalBegin::default() }),
        job_done(7, 0, 0, 0),
        Message::BlacklistHostEnv(BlacklistHostEnv::default()),
        Message::GetNativeEnv(GetNativeEnv::default()),
        compile_file(7, "__client"),
    ];
    s.sent_to_scheduler();
    for request in requests {
        let peer = s.stranger(OTHER_ADDRESS);
        s.say(peer, request);
        assert_eq!(s.closed.get(&peer), Some(&CloseReason::NotLocal));
        assert_eq!(s.sent_to(peer), [Message::End]);
        assert!(s.sent_to_scheduler().is_empty());
    }
    s.foreign_job(8, "e");
    assert_eq!(s.daemon.slots_used(), 1);
}

#[test]
fn who_wants_nothing_is_closed_unless_it_is_of_this_host() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let (idle, own) = (s.stranger(OTHER_ADDRESS), s.client());
    let (checks, runs) = (s.stranger(OTHER_ADDRESS), s.foreign_job(1, "e"));
    let waits = s.foreign_job(2, "e");
    s.pass(Duration::from_secs(100));
    s.say(checks, Message::VerifyEnv(target("e")));
    s.closed.clear();
    s.pass(Duration::from_secs(1000));
    assert_eq!(s.closed, [(idle, CloseReason::Idle)].into());
    s.handle(Input::Verified { env: env("e"), outcome: Ok(()) });
    s.pass(Duration::from_secs(2000));
    assert_eq!(s.closed.get(&checks), Some(&CloseReason::Idle), "it has its answer");
    assert!([own, runs, waits].iter().all(|peer| !s.closed.contains_key(peer)));
}

#[test]
fn a_job_of_endless_arguments_is_refused() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    for arguments in [vec![(ArgSide::Rest, Text::new()); 5000], vec![(ArgSide::Rest, "x".repeat(600 << 10).into())]] {
        let peer = s.client();
        let Message::CompileFile(job) = compile_file(1, "e") else { unreachable!() };
        s.say(peer, Message::CompileFile(CompileFile { arguments, ..job }));
        assert_eq!(s.closed.get(&peer), Some(&CloseReason::BadJob));
    }
}

#[test]
fn who_asks_again_before_the_answer_is_not_kept_in_mind_again() {
    let mut s = Scenario::new(config(2));
    let (sender, peer) = (s.client(), s.client());
    s.say(sender, Message::TransferEnv(target("e")));
    s.say(peer, Message::VerifyEnv(target("e")));
    s.say(peer, Message::VerifyEnv(target("e")));
    assert_eq!(s.closed.get(&peer), Some(&CloseReason::Unexpected));
}

#[test]
fn uploads_neither_flood_the_unpacker_nor_the_disk() {
    let mut s = Scenario::new(Config { cache_limit: 1000, ..config(2) });
    let senders: Vec<PeerId> = (0..20).map(|_| s.client()).collect();
    for (n, sender) in senders.iter().enumerate() {
        s.say(*sender, Message::TransferEnv(target(&format!("e{n}"))));
    }
    assert_eq!(senders.iter().filter(|p| s.closed.contains_key(p)).count(), 16);
    for (n, sender) in senders.iter().take(4).enumerate() {
        // Its sender stays connected, so that it counts as in use.
        s.unpacked(*sender, &format!("e{n}"), 900);
    }
    s.conf();
    s.pass(Duration::ZERO);
    assert_eq!(announced(&s.sent_to_scheduler()).map(|names| names.len()), Some(2));
    assert!(s.daemon.envs.size() <= 2000);
}

#[test]
fn uploads_hold_up_nothing_that_is_built_here() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    for name in ["a", "b"] {
        let sender = s.stranger(OTHER_ADDRESS);
        s.say(sender, Message::TransferEnv(target(name)));
    }
    s.foreign_job(1, "e");
    assert!(s.grants().is_empty(), "they take slots from jobs of others");
    let (link, own, third) = (s.local_job(), s.own_job(2), s.local_job());
    assert!(matches!(s.sent_to(link).as_slice(), [Message::JobLocalBegin(_)]));
    assert!(matches!(s.sent_to(own).as_slice(), [Message::UseCs(_)]));
    assert!(s.sent_to(third).is_empty(), "both slots are used");
}

#[test]
fn objects_that_nobody_reads_take_slots_from_their_own_host_only() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let first = s.foreign_job(1, "e");
    assert_eq!(s.grants().len(), 1);
    s.handle(Input::JobEnded { peer: first, report: JobReport { held: (512 << 20) + 1, ..JobReport::default() } });
    let waits = s.foreign_job(2, "e");
    assert!(s.grants().is_empty());
    let other = s.stranger("10.0.0.3");
    s.say(other, compile_file(3, "e"));
    assert_eq!(s.grants().len(), 1, "another host's");
    s.handle(Input::JobEnded { peer: other, report: JobReport { held: 500 << 20, ..JobReport::default() } });
    assert!(s.grants().is_empty());
    s.hang_up(first);
    assert_eq!(s.grants().iter().map(|g| g.peer).collect::<Vec<_>>(), [waits]);
}

#[test]
fn who_holds_most_is_cut_where_nobody_reads() {
    let mut s = Scenario::new(config(3));
    s.install("e", 1);
    let jobs: Vec<PeerId> = (1..=3).map(|job| s.foreign_job(job, "e")).collect();
    for (peer, mib) in jobs.iter().zip([500, 400, 300]) {
        s.handle(Input::JobEnded { peer: *peer, report: JobReport { held: mib << 20, ..JobReport::default() } });
    }
    let closed = jobs.iter().filter_map(|peer| s.closed.get(peer));
    assert_eq!(closed.collect::<Vec<_>>(), [&CloseReason::Unread]);
    assert!(s.closed.contains_key(&jobs[0]));
}

#[test]
fn one_large_object_is_delivered() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let large = s.foreign_job(1, "e");
    s.handle(Input::JobEnded { peer: large, report: JobReport { held: 2 << 30, ..JobReport::default() } });
    assert_eq!(s.closed.get(&large), None);
}
