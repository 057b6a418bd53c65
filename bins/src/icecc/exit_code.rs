//! Exit codes of our own, as 1.4 has them.

pub(super) const RESPONSE_FILE: i32 = 1;
pub(super) const FALLBACK_REFUSED: i32 = 1;
pub(super) const RECURSION: i32 = 111;
pub(super) const NOT_FOUND: i32 = 115;
pub(super) const TEST_SOCKET: i32 = 119;
