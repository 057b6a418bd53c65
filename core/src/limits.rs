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
/// Jobs one request may ask for: a client asks for 1, or 3 to compare them (decisions.md 17).
pub const JOBS_PER_REQUEST_MAX: u32 = 64;
/// Jobs a scheduler lets wait; what comes on top is built by its submitter (decisions.md 17).
pub const QUEUED_MAX: usize = 100_000;
/// Local jobs of one host that a scheduler keeps in mind: far more than any machine runs.
pub const LOCAL_JOBS_MAX: usize = 4096;
/// From the end of the handshake to LOGIN or MON_LOGIN.
pub const LOGIN: Duration = Duration::from_secs(15);
/// Text peers of a scheduler without a command.
pub const TEXT_IDLE: Duration = Duration::from_secs(36);
/// Longest command line of a text peer.
pub const TEXT_LINE_MAX: usize = 4096;
