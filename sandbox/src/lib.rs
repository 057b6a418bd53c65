//! Where a job runs: the box around a compiler.
//!
//! In scope: a [`plan::Plan`] (printable steps, made without privilege), [`apply`] which carries it out in a fresh
//! process, [`stage`] which prepares the launcher once so that a job needs few calls, [`child`] which is the first
//! process of a box and watches the job, [`probe`] which says what this host permits, [`memory`].
//! Out of scope: requests, environments as names, archives. Nothing here reads from a peer.
//! SECURITY.md says what each guarantee is worth.

pub mod apply;
pub mod channel;
pub mod child;
pub mod error;
mod filter;
pub mod memory;
pub mod plan;
pub mod probe;
pub mod report;
pub mod stage;
