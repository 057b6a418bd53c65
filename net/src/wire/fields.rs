//! The fields of a message in wire order, with their names in `net/PROTOCOL.md`; for logs and `icedump`.

use ice_core::message::Message;
use ice_core::version::Version;

use super::layouts;
pub use super::types::{Field, Named};

/// The fields that `message` has in version `v`. Of a chunk's data only the length is included.
pub fn of(message: &Message, v: Version) -> Vec<Named<'_>> {
    let mut fields = Vec::new();
    layouts::show(message, v, &mut fields);
    fields
}
