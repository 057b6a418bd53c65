//! Which environments are removed when there are too many, and that each removal is announced to the scheduler.

use super::*;

/// Seconds for which an environment is kept after its last use.
const KEPT: u64 = 200;

fn is_removed(s: &Scenario, name: &str) -> bool {
    s.others.contains(&Output::Remove(env(name)))
}

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

/// A daemon whose environments together exceed the limit of 1000, but not twice the limit. The oldest is first.
fn crowded(environments: &[&str]) -> Scenario {
    let mut s = Scenario::new(config(1));
    for name in environments {
        s.install(name, 600);
        s.pass(Duration::from_secs(1));
    }
    s.conf();
    s.sent_to_scheduler();
    s
}

#[test]
fn what_the_timer_evicts_is_announced() {
    let mut s = crowded(&["gcc", "clang"]);
    s.pass(Duration::from_secs(KEPT - 10));
    assert!(!is_removed(&s, "gcc"), "used lately");
    assert_eq!(announced(&s.sent_to_scheduler()), None);
    s.pass(Duration::from_secs(20));
    assert!(is_removed(&s, "gcc") && !is_removed(&s, "clang"));
    assert_eq!(announced(&s.sent_to_scheduler()), names(&["clang"]));
}

#[test]
fn what_a_native_archive_pushes_out_is_announced() {
    let mut s = Scenario::new(config(1));
    s.install("e", 600);
    s.pass(Duration::from_secs(KEPT + 1));
    s.conf();
    s.sent_to_scheduler();
    let file = FileFacts { path: "/usr/bin/gcc".into(), size: 1, mtime_ns: 1, inode: 1 };
    let key = NativeKey {
        compression: Text::new(),
        compiler: "/usr/bin/gcc".into(),
        extra_files: Vec::new(),
        files: vec![file],
    };
    let peer = s.client();
    s.say(peer, Message::GetNativeEnv(GetNativeEnv::default()));
    s.handle(Input::Examined { peer, outcome: Ok((key.clone(), false)) });
    s.handle(Input::NativeBuilt { key, outcome: Ok(Archive { path: "/n/a".into(), size: 900 }) });
    assert!(is_removed(&s, "e"));
    assert_eq!(announced(&s.sent_to_scheduler()), names(&[]));
}

/// The end of a job frees a slot: the scheduler must not fill it with a job for an environment that was just removed.
#[test]
fn a_broken_environment_is_announced_before_the_end_of_its_job() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    let runs = s.foreign_job(1, "e");
    s.sent_to_scheduler();
    s.handle(Input::JobEnded {
        peer: runs,
        report: JobReport { exit_code: 110, broken: true, ..JobReport::default() },
    });
    s.conf();
    let told = s.sent_to_scheduler();
    assert!(matches!(&told[..], [Message::Login(l), Message::JobDone(d)] if l.environments.is_empty() && d.job == 1));
}

#[test]
fn an_attempt_to_install_is_announced_even_if_nothing_changed() {
    let mut s = Scenario::new(config(1));
    let peer = s.client();
    s.say(peer, Message::TransferEnv(target("e")));
    s.sent_to_scheduler();
    s.handle(Input::Received { peer, outcome: Err("truncated".into()) });
    assert_eq!(announced(&s.sent_to_scheduler()), names(&[]));
    s.conf();
    s.pass(Duration::from_secs(60));
    assert_eq!(announced(&s.sent_to_scheduler()), None, "once");
}

#[test]
fn without_a_scheduler_nothing_is_announced_and_the_next_one_hears_all() {
    let mut s = crowded(&["gcc", "clang"]);
    s.handle(Input::SchedulerLost);
    s.pass(Duration::from_secs(KEPT + 10));
    s.daemon.handle_timeout(s.now);
    s.collect();
    assert!(is_removed(&s, "gcc"));
    assert_eq!(announced(&s.sent_to_scheduler()), None);
    s.log_in();
    assert_eq!(announced(&s.sent_to_scheduler()), names(&["clang"]));
}

/// A job that uses it keeps it, whether the job runs or waits.
#[test]
fn what_a_job_runs_in_or_waits_for_stays() {
    let mut s = crowded(&["runs", "waits"]);
    let runs = s.foreign_job(1, "runs");
    let waits = s.foreign_job(2, "waits");
    s.pass(Duration::from_secs(KEPT + 10));
    s.install("new", 700);
    assert!(!is_removed(&s, "runs") && !is_removed(&s, "waits"));
    s.handle(Input::JobEnded { peer: runs, report: JobReport::default() });
    s.hang_up(runs);
    s.pass(Duration::from_secs(KEPT + 10));
    assert!(is_removed(&s, "runs"), "nobody uses it any more");
    assert!(!is_removed(&s, "waits"), "its job runs now");
    assert!(!s.closed.contains_key(&waits));
}

/// The client that requested the check may be gone, but the check still runs.
#[test]
fn what_is_being_checked_stays() {
    let mut s = crowded(&["checked", "other"]);
    let peer = s.client();
    s.say(peer, Message::VerifyEnv(target("checked")));
    s.hang_up(peer);
    s.pass(Duration::from_secs(KEPT + 10));
    assert!(!is_removed(&s, "checked"));
    s.handle(Input::Verified { env: env("checked"), outcome: Ok(()) });
    s.pass(Duration::from_secs(10));
    assert!(is_removed(&s, "other") || is_removed(&s, "checked"), "the limit holds again");
}

/// A slot would not help the job, and its client can request another server.
#[test]
fn a_job_without_its_environment_is_told_so_at_once() {
    let mut s = Scenario::new(config(1));
    s.install("e", 1);
    s.foreign_job(1, "e");
    s.sent_to_scheduler();
    let late = s.foreign_job(2, "gone");
    let [Message::StatusText { text }] = &s.sent_to(late)[..] else { panic!("it waits for a slot") };
    assert_eq!(text.lossy(), "environment gone(x86_64) is not installed, removed?");
    assert_eq!(s.closed.get(&late), Some(&CloseReason::NoEnvironment));
    assert_eq!(s.sent_to_scheduler(), [job_done(2, 110, 0, 1)]);
}
