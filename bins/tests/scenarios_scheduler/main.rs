//! The scheduler's numbered scenarios (S…) over real sockets, and its event feed beside 1.4's.
//!
//! One test for each scenario, named by its number. Where 1.4 is described too, the same test runs against 1.4's
//! program: that checks the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../fake/mod.rs"]
mod fake;

mod extension;
mod feed;
mod jobs;
mod load;
mod peers;
mod same_feed;
mod selection;
mod start;
mod table;
mod web;

use fake::{Kind, Scheduler};

/// Our program.
const OURS: Kind = Kind::Ours(env!("CARGO_BIN_EXE_icecc-scheduler"));

/// A fresh scheduler of ours.
#[track_caller]
fn ours() -> Scheduler {
    Scheduler::start(OURS)
}

/// Runs a test against ours and, where it is installed, against 1.4, at the same time.
fn both(test: impl Fn(&Scheduler) + Sync) {
    both_kinds(|kind| test(&Scheduler::start(kind)));
}

/// The same for tests that start schedulers themselves.
fn both_kinds(test: impl Fn(Kind) + Sync) {
    std::thread::scope(|scope| {
        let theirs = Kind::Debian.is_here().then(|| scope.spawn(|| test(Kind::Debian)));
        let ours = scope.spawn(|| test(OURS));
        let ours_failed = ours.join().is_err();
        let theirs_failed = theirs.is_some_and(|theirs| theirs.join().is_err());
        assert!(!ours_failed, "failed with our scheduler");
        assert!(!theirs_failed, "failed with 1.4's scheduler");
    });
}
