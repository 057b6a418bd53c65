//! How long a client waits for what (`net/PROTOCOL.md`, Waiting times). The times of probes stand in `probing.rs`.

use super::Request;
use crate::limits::{NESTED_SERVER, SEND};
use crate::message::GetCs;
use crate::time::{Duration, Instant};

pub(super) const NATIVE_ENV: Duration = Duration::from_secs(240);
pub(super) const USE_CS: Duration = Duration::from_secs(240);
pub(super) const USE_CS_NICE: Duration = Duration::from_secs(3600);
pub(super) const DIAL: Duration = Duration::from_secs(10 + 15);
/// All writes of an environment together: longer than that no server of ours unpacks it.
pub(super) const ENVIRONMENT: Duration = Duration::from_secs(600);
/// All writes of a source together: a server that is busy takes it at once, into a file.
pub(super) const SOURCE: Duration = Duration::from_secs(120);
pub(super) const VERIFY: Duration = Duration::from_secs(60);
pub(super) const OBJECT_MESSAGE: Duration = Duration::from_secs(40);
/// Before another server is asked for in place of one of 1.4 that lacks the environment: it removes what is left of it, and only then
/// tells the scheduler. Ours tell first.
pub(super) const ASK_AGAIN_1_4: Duration = Duration::from_secs(2);
/// One write: of a message, or of a piece of a file.
pub(super) const WRITE: Duration = SEND;
/// A whole file: a server that takes longer than any network does not end the build.
pub(super) const FILE: Duration = Duration::from_secs(1800);
/// After a failed preprocessor a server is waited for only that long. One that comes is told of the job and left at once, as
/// 1.4's client does and monitors know it.
pub(super) const PREPROCESSOR_FAILED: Duration = Duration::from_millis(300);
/// A server that shows life but never a result: twice the wall limit of a job there, as it may wait for a slot first.
pub(super) const RESULT: Duration = Duration::from_secs(2 * 3600);

/// How long a server is waited for.
pub(super) fn for_server(request: &Request, ask: &GetCs) -> Duration {
    // A nice job stands behind all others.
    let is_nice = (1..=19).contains(&ask.niceness);
    match (request.is_nested, is_nice) {
        (true, _) => NESTED_SERVER,
        (false, true) => USE_CS_NICE,
        (false, false) => USE_CS,
    }
}

/// How long a server may let us wait with what is sent to it: each write has its bound, but a server that takes a piece every
/// half minute would keep a job for hours.
#[derive(Debug)]
pub(super) struct Patience {
    left: Duration,
    blocked_since: Option<Instant>,
}

impl Patience {
    /// So much, over all writes together.
    pub const fn new(limit: Duration) -> Self {
        Self { left: limit, blocked_since: None }
    }

    /// The server does not take a write.
    pub fn blocked(&mut self, now: Instant) {
        self.blocked_since.get_or_insert(now);
    }

    /// The server has taken it.
    pub fn taken(&mut self, now: Instant) {
        if let Some(since) = self.blocked_since.take() {
            self.left = self.left.saturating_sub(now.since(since));
        }
    }

    /// When it is over.
    pub fn end(&self) -> Option<Instant> {
        self.blocked_since.map(|since| since + WRITE.min(self.left))
    }
}
