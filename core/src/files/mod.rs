//! Files mode: the compile server runs the user's own command on what the submitter's file system holds, at the same
//! paths (`net/PROTOCOL.md`, Extension).
//!
//! A `Fact` says what stands at a path, `Facts` all that a unit depends on. They travel encoded, and as the
//! `Difference` to what the server knows already. `walk()` follows a path by them; `scan()` guesses what a text
//! includes; `Roots` bounds what a server may ask for, `travels()` the environment that it is told, `outputs()` what it may write.

mod bytes;
mod encoding;
mod environment;
mod fact;
mod facts;
mod outputs;
mod result;
mod roots;
mod scan;
/// Trees on compile servers.
pub mod tree;
mod walk;

pub use bytes::Malformed;
pub use encoding::MAX_ENCODED;
pub use environment::travels;
pub use fact::{Digest, Fact, FileFact, Time, Token, child, is_canonical, names_key, parent};
pub use facts::{Difference, Facts, MAX_FACTS};
pub use outputs::outputs;
pub use result::{Output, ResultBody};
pub use roots::{Roots, is_secret};
pub use scan::{By, Form, Named, scan};
pub use walk::{Last, Lookup, Walk, walk};
