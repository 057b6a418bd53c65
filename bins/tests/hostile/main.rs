//! Attacks on a running lab, one subject a file: each does what an attacker would do from a host of the network, and looks
//! whether the others go on.

// A test that cannot be set up has nothing better to do than to stop and say so.
#![allow(clippy::expect_used)]

mod archives;
mod bystander;
mod calls;
#[path = "../e2e/cluster.rs"]
#[allow(dead_code, reason = "what another test binary needs of it")]
mod cluster;
mod connections;
#[path = "../../../net/tests/damage/mod.rs"]
mod damage;
mod discovery;
mod environments;
mod memory;
mod monitors;
mod mutated;
mod natives;
#[path = "../planted/mod.rs"]
mod planted;
mod results;
mod slots;
mod text_port;
mod verification;
#[path = "../e2e/visitor.rs"]
mod visitor;
