//! Where a job runs: the box around a compiler.

pub mod apply;
pub mod channel;
pub mod child;
pub mod error;
pub mod memory;
pub mod plan;
pub mod probe;
