//! The numbers and names of messages (`net/PROTOCOL.md`, Messages).

use ice_core::message::Message;
use std::fmt;

pub use super::layouts::{name, of};

/// The number of `message` as a character, as 1.4 logs it.
pub fn letter(message: &Message) -> char {
    char::from_u32(of(message)).unwrap_or_default()
}

/// A message number that is printed as its name, or as `message N`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named(pub u32);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "message {}", self.0),
        }
    }
}
