//! Right in every case: commands run plain and through icecc with another host, and everything that they leave is
//! compared.
//!
//! A subject is one file with a table, and a test that tries it. To add one: write `NAME.rs` beside this file, name it
//! below, and give it
//!
//! ```text
//! use crate::compare::{Table, any, local, remote, twice};
//!
//! const TABLE: Table = Table {
//!     setup: "echo 'int x;' >a.c",                       // a shell script that fills the empty directory before each run
//!     rows: &[
//!         remote("GCC -c a.c"),                          // compiled by the other host, and by it alone
//!         local("CLANG -E a.c", "only preprocesses"),    // not sent; the client's log says this as the reason
//!         twice("GCC -c broken.c").setup("echo '!' >broken.c"), // sent, then compiled once more here
//!         any("GCC -c a.c -o /dev/null").env(&[("LC_ALL", "C")]), // wherever: only the result counts
//!     ],
//! };
//!
//! #[test]
//! fn name() {
//!     TABLE.try_all();
//! }
//! ```
//!
//! `GCC`, `GXX`, `CLANG` and `CLANGXX` stand for the compilers, `ICE COMMAND` for any other command that icecc shall
//! run. Rows run in bash, in a new directory that has the same path each time: plain twice, more often where something
//! differs (what differs between these varies by itself and is not compared), and once through icecc, with
//! `ICECC_PREFERRED_HOST=h2`. All files (kind,
//! bytes, mode, links), both outputs and the status must be equal. Rows run two at a time, on one lab for all tests of
//! this program, so a row costs little: write many. A row that fails prints the command, what differs and the client's
//! log.
//!
//! `sweep` makes its rows from what the compilers list themselves.

// A test that cannot be set up has nothing better to do than to stop and say so.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod basics;
mod clang_text;
#[path = "../e2e/cluster.rs"]
#[allow(dead_code, reason = "what another test binary needs of it")]
mod cluster;
mod compare;
mod dependencies;
mod edits;
mod files;
mod gcc_text;
mod host;
mod long;
mod needless;
mod output;
mod run;
mod spellings;
mod surroundings;
mod sweep;
mod sweep_rows;
mod variables;
