//! The daemon's check of invariants finds each violation.

use super::super::job::SessionJob;
use super::super::peer::Peer;
use super::super::served::Task;
use super::*;

/// A connection's job runs in this slot and environment.
fn runs(slot: u16, environment: &'static str) -> impl Fn(&mut Peer) {
    move |peer| {
        let job = SessionJob { job: JobId(1), session: None };
        peer.wait_for_slot(Instant::ZERO, job, Some(env(environment)), Task::Text(Box::default()));
        peer.start(Instant::ZERO, slot);
    }
}

/// The violation in a daemon of two slots after these changes of its two connections.
fn wrong(first: impl Fn(&mut Peer), second: impl Fn(&mut Peer)) -> String {
    let mut s = Scenario::new(config(2));
    s.install("e", 1);
    s.others.clear();
    let (one, two) = (s.stranger(OTHER_ADDRESS), s.stranger(OTHER_ADDRESS));
    first(s.daemon.peers.get_mut(one).unwrap());
    second(s.daemon.peers.get_mut(two).unwrap());
    s.daemon.check().err().unwrap_or_default()
}

#[test]
fn slots_and_environments_of_jobs_are_checked() {
    assert_eq!(wrong(runs(0, "e"), runs(1, "e")), "");
    assert_eq!(wrong(runs(1, "e"), runs(1, "e")), "slot 1 was granted twice");
    assert_eq!(wrong(runs(0, "e"), runs(2, "e")), "slot 2 of 2");
    assert_eq!(wrong(runs(0, "e"), runs(1, "f")), "a job runs in f(x86_64), which is not installed");
    assert_eq!(wrong(|_| {}, |p| p.receive(env("e"))), "what connection 3 sends is not arriving");
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
