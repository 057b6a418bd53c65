//! The scenarios of operation (O…): what is installed as on Debian, on hosts of a lab, by its own service scripts.
//!
//! Each is a function of its number; `testdata/scenarios/operations.md` says which are tried elsewhere and which not at
//! all.

// Where clippy cannot see that all of this is tests: they may expect what must be there.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod builds;
#[path = "../e2e/cluster.rs"]
#[allow(dead_code, reason = "what another test binary needs of it")]
mod cluster;
#[path = "../e2e/held.rs"]
#[allow(dead_code, reason = "as above")]
mod held;
mod installed;
mod links;
mod service;
mod settings;
