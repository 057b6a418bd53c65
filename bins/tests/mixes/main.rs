//! Any mix of our programs and icecream 1.4's: {ours, 1.4} as scheduler × submitter's daemon × client × compile server.
//!
//! A lab has one scheduler and hosts with either daemon; which client a host runs is chosen per job, so two labs serve
//! all sixteen mixes. Every job is proven remote by the compile server's own log. `scripts/prove.sh dropin.1` runs the
//! whole matrix and prints it; the plain test run a part of it.

// Where clippy cannot see that all of this is tests: they may expect what must be there.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../e2e/cluster.rs"]
#[allow(dead_code, reason = "what another test binary needs of it")]
mod cluster;
mod farm;
mod matrix;
mod newcomer;
mod others;
mod renamed;
mod rolling;
mod shown;
