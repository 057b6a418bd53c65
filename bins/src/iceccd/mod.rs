//! The daemon of a host.
pub mod launcher;
