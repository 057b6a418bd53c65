//! Jobs that the scheduler did not give to this host, and those that wait for their slots.

use super::*;
use crate::extension;
use crate::message::features;

/// Between two steps of a test that are at the same time for the rules.
const MOMENT: Duration = Duration::from_millis(1);
/// A moment before a given job's patience ends, counted from the end of its source.
const NEARLY: Duration = Duration::from_millis(29_999);

/// So many slots, and an environment.
fn quiet(slots: u32) -> Scenario {
    let mut s = Scenario::new(config(slots));
    s.install("e", 1);
    s.closed.clear();
    s
}

/// Two slots, and a scheduler that tells this host its jobs.
fn scenario() -> Scenario {
    let mut s = quiet(2);
    gives(&mut s);
    s
}

fn gives(s: &mut Scenario) {
    let extra = extension::greeting(features::EXTENSION | features::TAKES_JOB_GIVEN);
    s.scheduler(Message::CsConf(CsConf { max_pong: 3, max_ping: 36, extra }));
}

fn given(s: &mut Scenario, job: u32) -> PeerId {
    s.scheduler(Message::JobGiven { job: JobId(job) });
    complete(s, job)
}

fn complete(s: &mut Scenario, job: u32) -> PeerId {
    let peer = s.foreign_job(job, "e");
    s.handle(Input::Complete { peer });
    peer
}

fn granted(s: &mut Scenario) -> Vec<PeerId> {
    s.grants().iter().map(|grant| grant.peer).collect()
}

#[test]
fn a_job_of_nobodys_ends_when_a_given_one_has_waited_for_its_slot() {
    let mut s = scenario();
    let strangers = [complete(&mut s, 901), complete(&mut s, 902)];
    assert_eq!(granted(&mut s), strangers);
    let (late, first) = (complete(&mut s, 903), given(&mut s, 1));
    s.pass(NEARLY);
    assert!(s.closed.is_empty());
    s.pass(MOMENT);
    assert_eq!(s.closed.get(&strangers[0]), Some(&CloseReason::NotGiven));
    assert!(
        matches!(s.sent_to(strangers[0]).as_slice(), [Message::StatusText { text }] if text.to_string().contains("did not give this job"))
    );
    assert_eq!(granted(&mut s), [first], "before the stranger's that came first");
    s.pass(Duration::from_secs(3600));
    assert_eq!(s.closed.len(), 1, "nobody needs the other slot: {:?}", s.closed.get(&late));
}

#[test]
fn given_jobs_wait_for_each_other_as_long_as_it_takes() {
    let mut s = scenario();
    for job in 1..=8 {
        given(&mut s, job);
    }
    assert_eq!(granted(&mut s).len(), 2);
    s.pass(Duration::from_secs(7200));
    assert!(s.closed.is_empty());
}

#[test]
fn a_job_may_be_announced_after_it_came() {
    let mut s = scenario();
    let waiting = [given(&mut s, 1), given(&mut s, 2)];
    let late = [complete(&mut s, 3), complete(&mut s, 4)];
    for peer in waiting {
        s.handle(Input::JobEnded { peer, report: JobReport::default() });
    }
    given(&mut s, 5);
    s.scheduler(Message::JobGiven { job: JobId(3) });
    s.scheduler(Message::JobGiven { job: JobId(4) });
    s.pass(Duration::from_secs(600));
    assert!(s.closed.is_empty(), "{late:?} {:?}", s.closed);
}

#[test]
fn jobs_of_other_sessions_are_not_ended_and_the_given_one_goes_back() {
    let mut s = quiet(2);
    let before = [complete(&mut s, 901), complete(&mut s, 902)];
    assert_eq!(granted(&mut s), before);
    s.pass(MOMENT);
    gives(&mut s);
    let waiting = given(&mut s, 1);
    s.pass(NEARLY + MOMENT);
    assert_eq!(s.closed.get(&waiting), Some(&CloseReason::SlotsHeld));
    assert_eq!(s.closed.len(), 1);
    assert!(s.sent_to_scheduler().contains(&job_done(1, 100, 0, 2)), "its slot is free for the scheduler");
}

#[test]
fn nothing_changes_with_a_scheduler_that_tells_nothing() {
    let mut s = quiet(1);
    s.scheduler(Message::JobGiven { job: JobId(2) });
    for job in [1, 2, 3] {
        complete(&mut s, job);
    }
    s.pass(Duration::from_secs(7200));
    assert!(s.closed.is_empty());
}

#[test]
fn a_source_that_is_not_complete_is_nobodys_wait() {
    let mut s = scenario();
    complete(&mut s, 901);
    complete(&mut s, 902);
    s.scheduler(Message::JobGiven { job: JobId(1) });
    let slow = s.foreign_job(1, "e");
    s.pass(Duration::from_secs(600));
    assert!(s.closed.is_empty());
    s.handle(Input::Complete { peer: slow });
    s.pass(NEARLY + MOMENT);
    assert_eq!(s.closed.len(), 1);
}

#[test]
fn a_number_counts_once() {
    let mut s = scenario();
    let first = given(&mut s, 1);
    s.handle(Input::JobEnded { peer: first, report: JobReport::default() });
    s.hang_up(first);
    let again = [complete(&mut s, 1), complete(&mut s, 902)];
    given(&mut s, 2);
    s.pass(NEARLY + MOMENT);
    assert_eq!(s.closed.get(&again[0]), Some(&CloseReason::NotGiven), "its number was used up");
}

/// The loads of which the scheduler was told since the last call.
fn loads(s: &mut Scenario) -> Vec<u32> {
    let load = |message: Message| if let Message::Stats(stats) = message { Some(stats.load) } else { None };
    s.sent_to_scheduler().into_iter().filter_map(load).collect()
}

#[test]
fn the_scheduler_is_told_when_others_hold_all_slots() {
    let mut s = scenario();
    loads(&mut s);
    let strangers = [complete(&mut s, 901), complete(&mut s, 902)];
    s.pass(Duration::from_millis(249));
    assert_eq!(loads(&mut s), []);
    s.pass(MOMENT);
    assert_eq!(loads(&mut s), [1000]);
    let waiting = given(&mut s, 1);
    s.pass(Duration::from_secs(20));
    assert_eq!((loads(&mut s), s.closed.len()), (vec![], 0), "told once, and jobs that wait do so as before");
    s.handle(Input::JobEnded { peer: strangers[0], report: JobReport::default() });
    assert_eq!(loads(&mut s), [0]);
    assert!(granted(&mut s).contains(&waiting));
}

#[test]
fn jobs_that_may_be_the_schedulers_hold_nothing() {
    let mut s = scenario();
    given(&mut s, 1);
    complete(&mut s, 901);
    s.pass(Duration::from_secs(5));
    assert!(!loads(&mut s).contains(&1000), "one is the scheduler's");
    // A scheduler that tells nothing; jobs that came before it told; no scheduler at all.
    let mut untold = quiet(1);
    complete(&mut untold, 901);
    untold.pass(Duration::from_secs(5));
    gives(&mut untold);
    untold.pass(Duration::from_secs(5));
    untold.handle(Input::SchedulerLost);
    untold.pass(Duration::from_secs(5));
    assert!(!loads(&mut untold).contains(&1000));
}
