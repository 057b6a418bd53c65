//! The client: one compile from a command line to an exit code.

pub mod files;
pub mod response;
