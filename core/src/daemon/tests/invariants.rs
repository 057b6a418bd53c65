//! The daemon's check of invariants finds each violation.

use super::super::peer::{SessionJob, State};
use super::*;

fn runs(slot: u16, environment: &str) -> State {
    let job = SessionJob { job: JobId(1), session: None };
    State::WaitForChild { job, env: env(environment), slot, since: Instant::ZERO }
}

/// The violation in a daemon of two slots whose two connections are in these states.
fn wrong(states: [State; 2]) -> String {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    s.others.clear();
    for state in states {
        let peer = s.stranger(OTHER_ADDRESS);
        s.daemon.set_state(peer, state);
    }
    s.daemon.check().err().unwrap_or_default()
}

#[test]
fn slots_and_environments_of_jobs_are_checked() {
    assert_eq!(wrong([runs(0, "e"), runs(1, "e")]), "");
    assert_eq!(wrong([runs(1, "e"), runs(1, "e")]), "slot 1 was granted twice");
    assert_eq!(wrong([runs(0, "e"), runs(2, "e")]), "slot 2 of 2");
    assert_eq!(wrong([runs(0, "e"), runs(1, "f")]), "a job runs in f(x86_64), which is not installed");
    assert_eq!(wrong([State::Unknown, State::ToInstall(env("e"))]), "e(x86_64) is received, but not arriving");
    let mut s = Scenario::new(config(2));
    let peer = s.client();
    s.say(peer, Message::TransferEnv(target("f")));
    assert_eq!(s.daemon.check(), Ok(()));
}

#[test]
fn what_the_scheduler_was_told_is_checked() {
    let mut s = Scenario::new(config(2));
    assert_eq!(s.daemon.check(), Ok(()));
    s.daemon.session.announce_again();
    assert_eq!(s.daemon.check(), Ok(()), "there are none");
    s.install("e", 1);
    assert_eq!(s.daemon.check(), Ok(()));
    s.daemon.session.announce_again();
    assert_eq!(s.daemon.check(), Err("the scheduler was told of other environments".to_owned()));
    s.daemon.handle(s.now, Input::SchedulerLost);
    assert_eq!(s.daemon.check(), Ok(()), "there is no scheduler");
}
