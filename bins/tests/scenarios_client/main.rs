//! The client's scenarios (G…) on a cluster of our programs: a submitter that takes no jobs of others, and two
//! compile servers, two slots each.
//!
//! One lab serves all scenarios of a file, as starting one takes longer than most of them: each is a function named by
//! its number, tried and reported one by one. `testdata/scenarios/client.md` says which are tried elsewhere and which
//! not at all.

// Where clippy cannot see that all of this is tests: they may expect what must be there.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod builds;
mod check;
#[path = "../e2e/cluster.rs"]
#[allow(dead_code, reason = "what another test binary needs of it")]
mod cluster;
mod compiles;
mod diagnostics;
