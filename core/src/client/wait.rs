//! How long a client waits for what (`net/PROTOCOL.md`, Waiting times), and how it tells a server that is gone from one
//! that only takes its time.

use crate::time::Duration;

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
/// A server that shows life but never a result: twice the wall limit of a job there, as it may wait for a slot first.
pub(super) const RESULT: Duration = Duration::from_secs(2 * 3600);

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
