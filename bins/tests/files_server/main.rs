//! Jobs of files mode at a real compile server, with a scripted submitter: what comes of them is what the plain compiler
//! makes, and who lies harms himself alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../fake/mod.rs"]
mod fake;
#[allow(dead_code, reason = "another test uses all of it")]
#[path = "../scenarios_daemon/place.rs"]
mod place;

mod bench;
mod hostile;
mod right;
mod submitter;
