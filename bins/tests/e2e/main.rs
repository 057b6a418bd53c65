//! End to end: real programs on hosts of a lab. Each file is one subject; `cluster` is what they stand on.
//!
//! Where labs are impossible (neither root nor user namespaces) or 1.4's programs are missing, a test prints why and
//! counts as passed; `scripts/test.sh` counts those lines.

// A test that cannot be set up has nothing better to do than to stop and say so.
#![allow(clippy::expect_used)]

mod broken;
mod by_files;
mod cluster;
mod compile;
mod cross;
mod doctor;
mod environments;
mod explain;
mod fallback;
mod held;

mod messages;
mod page;
mod prove;
mod received;
mod restart;
mod schedulers;
mod special;
mod statistics;
mod strangers;
mod turns;
mod user;
mod visitor;
mod watched;
