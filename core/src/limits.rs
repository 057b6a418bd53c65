//! Every bound in the system, each with its reason.

use std::time::Duration;

/// Longest environment, platform or node name in bytes: what a file system takes as one name.
pub const NAME_MAX: usize = 255;
/// Longest body of a frame (`spec/wire.md` 3).
pub const FRAME_MAX: usize = 1 << 20;
/// Longest plain text of one chunk (`spec/wire.md` 4).
pub const CHUNK_PLAIN_MAX: usize = 1 << 20;
/// How much plain data a sender puts into one chunk, as 1.4 does.
pub const CHUNK_PLAIN: usize = 100_000;
/// One step of the opening handshake (`spec/wire.md` 8).
pub const HANDSHAKE: Duration = Duration::from_secs(15);
/// A blocked send (`spec/wire.md` 8).
pub const SEND: Duration = Duration::from_secs(30);
