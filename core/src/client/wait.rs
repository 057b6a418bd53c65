//! How long a client waits for what (`net/PROTOCOL.md`, Waiting times), and how it tells a server that is gone from one
//! that only takes its time.

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

/// How a server that is silent is asked whether it is still there: a probe is a second connection to its port, which must bring
/// the offer of its protocol version.
#[derive(Debug)]
pub(super) struct SignsOfLife {
    /// Silence before the first probe.
    pub silence: Duration,
    /// Pause after the answer to a probe before the next one.
    pub pause: Duration,
    /// How long the answer may take.
    pub answer: Duration,
    /// Probes in a row without an answer after which the server is given up.
    pub misses: u32,
}

impl SignsOfLife {
    /// A server of ours answers beside its work, so that 13 s tell a dead one.
    pub const OF_OURS: Self = Self {
        silence: Duration::from_secs(5),
        pause: Duration::from_secs(2),
        answer: Duration::from_secs(3),
        misses: 2,
    };
    /// A daemon of 1.4 serves one peer after the other, and may be busy with one of them for 30 s. So it is asked once and has time
    /// for that; 50 s after its last word it is given up.
    pub const OF_1_4: Self = Self {
        silence: Duration::from_secs(10),
        pause: Duration::from_secs(10),
        answer: Duration::from_secs(40),
        misses: 1,
    };
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

/// A server that is waited for: whether it shows life, and how long that helps.
#[derive(Debug)]
pub(super) struct Watch {
    signs: &'static SignsOfLife,
    /// When it is given up all the same.
    due: Instant,
    is_asked: bool,
    missed: u32,
}

impl Watch {
    /// It has `limit` from now.
    pub fn new(now: Instant, limit: Duration, signs: &'static SignsOfLife) -> Self {
        Self { signs, due: now + limit, is_asked: false, missed: 0 }
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// It is asked for a sign, which may take so long.
    pub fn ask(&mut self) -> Duration {
        self.is_asked = true;
        self.signs.answer
    }

    /// It has answered, or not. When it is to be asked again; `None`: it is given up.
    pub fn answered(&mut self, now: Instant, alive: bool) -> Option<Instant> {
        self.is_asked = false;
        self.missed = if alive { 0 } else { self.missed + 1 };
        (self.missed < self.signs.misses && !self.is_over(now)).then(|| now + self.signs.pause)
    }

    /// Whether an answer is awaited.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }
}
