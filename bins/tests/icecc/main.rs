//! The client as a program: alone, and in dialogue with a daemon and a compile server that these tests play.
//!
//! Compilers are shell scripts, so nothing but a shell is needed, but for the formats of results.

// A test that cannot be set up has nothing better to do than to stop and say so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod archives;
mod by_files;
mod ccache;
mod commands;
mod here;
mod lies;
mod remote;
mod results;
mod silence;
mod stage;
mod wrappers;

use stage::{Bench, COMPILER, log_has, patience, result, server, server_of, text};
