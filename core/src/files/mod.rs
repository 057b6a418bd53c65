//! Files mode: the compile server runs the user's own command on what the submitter's file system holds, at the same
//! paths (`net/PROTOCOL.md`, Extension).
//!
//! A [`Fact`] says what stands at a path, [`Facts`] all that a unit depends on. They travel encoded, and as the
//! [`Difference`] to what the server knows already. [`walk()`] follows a path by them.

mod bytes;
mod encoding;
mod fact;
mod facts;
mod result;
/// Trees on compile servers.
pub mod tree;
mod walk;

pub use bytes::Malformed;
pub use encoding::MAX_ENCODED;
pub use fact::{Digest, Fact, FileFact, Time, Token, is_canonical, names_key};
pub use facts::{Difference, Facts, MAX_FACTS};
pub use result::{Output, ResultBody};
pub use walk::{Last, Lookup, Walk, walk};
