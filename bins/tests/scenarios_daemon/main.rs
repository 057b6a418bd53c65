//! Scenarios of the daemon (D…) for which the program itself has to run: each is a function named by its number, with
//! scripted peers at its sockets. `testdata/scenarios/daemon.md` says where the others are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../fake/mod.rs"]
mod fake;
#[path = "../planted/mod.rs"]
mod planted;

mod extension;
mod older;
mod place;
mod scheduler;
mod server;
mod start;
