//! Remote jobs.

use super::*;
use crate::job::JobStats;

#[test]
fn d61_input_is_taken_and_the_job_starts_when_a_slot_is_free() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let jobs: Vec<PeerId> = (1..=3).map(|n| s.foreign_job(n, "e")).collect();
    let grants = s.grants();
    assert_eq!(grants.iter().map(|g| (g.peer, g.slot)).collect::<Vec<_>>(), [(jobs[0], 0), (jobs[1], 1)]);
    assert_eq!(grants[0].memory_mib, 4096);
    let begun = |told: &[Message]| told.iter().filter(|m| matches!(m, Message::JobBegin(_))).count();
    assert_eq!(begun(&s.sent_to_scheduler()), 2);
    let stats = JobStats { real_ms: 5, ..JobStats::default() };
    let report = JobReport { exit_code: 1, stats, ..JobReport::default() };
    s.handle(Input::JobEnded { peer: jobs[0], report });
    let told = s.sent_to_scheduler();
    assert!(
        matches!(told.as_slice(), [Message::JobDone(d), Message::JobBegin(b)]
        if d.job == 1 && d.exit_code == 1 && d.flags == 0 && d.stats.real_ms == 5 && d.client_count == 3 && b.job == JobId(3)),
        "{told:?}"
    );
    assert_eq!(s.grants().iter().map(|g| g.slot).collect::<Vec<_>>(), [0]);
    s.hang_up(jobs[0]);
    assert!(s.sent_to_scheduler().is_empty(), "its end was reported");
}

#[test]
fn d49_a_thread_that_dies_without_a_report_frees_its_slot() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let peer = s.foreign_job(1, "e");
    s.sent_to_scheduler();
    s.hang_up(peer);
    assert_eq!(s.sent_to_scheduler(), [job_done(1, 151, 0, 0)]);
    assert_eq!(s.daemon.slots_used(), 0);
}

#[test]
fn d55_a_broken_environment_is_removed_and_announced() {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    let (first, second) = (s.foreign_job(1, "e"), s.foreign_job(2, "e"));
    s.grants();
    s.sent_to_scheduler();
    s.handle(Input::JobEnded {
        peer: first,
        report: JobReport { exit_code: 110, broken: true, ..JobReport::default() },
    });
    let told = s.sent_to_scheduler();
    assert_eq!(announced(&told), Some(vec![]));
    s.conf();
    assert_eq!(s.sent_to_scheduler(), [job_done(1, 110, 0, 2)]);
    assert!(!s.others.contains(&Output::Remove(env("e"))), "another job still runs in it");
    let third = s.foreign_job(3, "e");
    assert_eq!(s.closed.get(&third), Some(&CloseReason::NoEnvironment), "nothing new starts in it");
    s.handle(Input::JobEnded { peer: second, report: JobReport::default() });
    assert!(s.others.contains(&Output::Remove(env("e"))));
}

#[test]
fn an_environment_that_is_not_here() {
    let mut s = Scenario::new(config(1));
    let peer = s.foreign_job(20, "gone");
    assert!(matches!(s.sent_to(peer).as_slice(), [Message::StatusText { .. }]));
    assert_eq!(s.closed.get(&peer).map(|r| r.code()), Some(110));
    assert_eq!(s.sent_to_scheduler(), [job_done(20, 110, 0, 0)]);
}

#[test]
fn d58_names_that_are_none_are_refused() {
    for name in ["..", ".", "a/b", "", "a b"] {
        let mut s = Scenario::new(config(1));
        let peer = s.foreign_job(1, name);
        assert_eq!(s.closed.get(&peer), Some(&CloseReason::BadEnvironment), "{name:?}");
        let peer = s.client();
        s.say(peer, Message::TransferEnv(target(name)));
        assert_eq!(s.closed.get(&peer).map(|r| r.code()), Some(144), "{name:?}");
        let peer = s.client();
        s.say(peer, Message::TransferEnv(EnvTarget { name: "e".into(), target: "x86_64/../..".into() }));
        assert_eq!(s.closed.get(&peer).map(|r| r.code()), Some(144));
        let peer = s.client();
        s.say(peer, Message::VerifyEnv(target(name)));
        assert!(matches!(s.sent_to(peer).as_slice(), [Message::StatusText { .. }, Message::VerifyEnvResult { ok: 0 }]));
    }
}

#[test]
fn d62_no_remote_takes_nothing() {
    let mut s = Scenario::new(Config { no_remote: true, port: 0, ..config(1) });
    let peer = s.foreign_job(1, "e");
    assert!(s.closed.contains_key(&peer));
    let peer = s.client();
    s.say(peer, Message::TransferEnv(target("e")));
    assert!(s.closed.contains_key(&peer));
}

#[test]
fn a_language_that_we_do_not_know_is_refused() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let peer = s.client();
    let Message::CompileFile(file) = compile_file(1, "e") else { unreachable!() };
    s.say(peer, Message::CompileFile(CompileFile { language: 4, ..file }));
    assert!(matches!(s.sent_to(peer).as_slice(), [Message::StatusText { .. }]));
    assert!(s.grants().is_empty() && s.closed.contains_key(&peer));
}

#[test]
fn a_job_that_is_under_way_is_not_ended_by_another_of_its_number() {
    let mut s = Scenario::new(config(3));
    s.install("e", 1);
    let (first, own) = (s.foreign_job(1, "e"), s.own_job(2));
    s.sent_to_scheduler();
    for job in [1, 2] {
        s.foreign_job(job, "gone");
        let second = s.foreign_job(job, "e");
        s.hang_up(second);
    }
    assert!(s.sent_to_scheduler().is_empty());
    s.say(own, job_done(2, 0, 0, 0));
    s.handle(Input::JobEnded { peer: first, report: JobReport::default() });
    assert_eq!(s.sent_to_scheduler(), [job_done(2, 0, 0, 2), job_done(1, 0, 0, 2)]);
}

#[test]
fn compile_jobs_that_nobody_announced_run_without_being_reported() {
    let mut s = Scenario::alone(config(1));
    s.install("e", 1);
    let peer = s.foreign_job(1, "e");
    assert_eq!(s.grants().len(), 1);
    s.log_in();
    s.sent_to_scheduler();
    s.handle(Input::JobEnded { peer, report: JobReport::default() });
    assert!(s.sent_to_scheduler().is_empty());
}
