//! The connection to the scheduler: reconnecting, logging in, and when messages must be held back.

use super::Output;
use crate::env::EnvId;
use crate::message::{Login, Message};
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;

/// First wait before a lost scheduler is searched again; it doubles with each failure.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// Longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(20);
/// Fixed wait with `ICECC_TESTS`, as in 1.4.
const BACKOFF_TEST: Duration = Duration::from_secs(3);
/// How long a request waits for a scheduler that has just been lost (decision: scheduler-lost).
const EXPECTED: Duration = Duration::from_secs(5);
/// How long messages are held back for the scheduler's answer to LOGIN (decision: login-again).
const HOLD: Duration = Duration::from_secs(1);
/// Maximum number of messages held back for that answer; more are sent at once.
const HELD_MAX: usize = 1000;

/// The connection to the scheduler, and what it was last told.
#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    /// Number of the session: job ids of an earlier one are invalid for the current scheduler.
    number: u32,
    failures: u32,
    /// Address of the last scheduler.
    scheduler: Option<Text>,
    /// State of the xorshift generator for the jitter.
    random: u64,
    test_reconnect: bool,
    /// Until when requests wait for a scheduler that has just been lost.
    expected_until: Option<Instant>,
    /// The environments in the last LOGIN; `None` if they must be announced again in any case.
    announced: Option<Vec<EnvId>>,
}

#[derive(Debug)]
enum Link {
    /// Not connected; the next search begins at this time.
    Absent(Instant),
    /// The shell searches a scheduler.
    Looking,
    /// Logged in.
    Up { version: Version, known_as: Text, hold: Option<Hold> },
    /// The shell closes the connection; `SchedulerLost` follows.
    Closing,
}

/// Messages held back: LOGIN was sent and CS_CONF has not arrived.
#[derive(Debug)]
struct Hold {
    until: Instant,
    held: Vec<Message>,
}

impl Session {
    /// A session that searches a scheduler at once. `seed` is for the jitter; see [`super::Config::test_reconnect`].
    pub fn new(now: Instant, seed: u64, test_reconnect: bool) -> Self {
        Self {
            link: Link::Absent(now),
            number: 0,
            failures: 0,
            scheduler: None,
            random: seed | 1,
            test_reconnect,
            expected_until: None,
            announced: None,
        }
    }

    /// Number of the current session, if connected.
    pub fn current(&self) -> Option<u32> {
        matches!(self.link, Link::Up { .. }).then_some(self.number)
    }

    /// Whether a job number of this session is valid for the current scheduler.
    pub fn is_current(&self, session: Option<u32>) -> bool {
        session.is_some() && session == self.current()
    }

    /// Version agreed on with the scheduler, if connected.
    pub fn version(&self) -> Option<Version> {
        match &self.link {
            Link::Up { version, .. } => Some(*version),
            _ => None,
        }
    }

    /// This host's address on the connection to the scheduler, if connected.
    pub fn known_as(&self) -> Option<&Text> {
        match &self.link {
            Link::Up { known_as, .. } => Some(known_as),
            _ => None,
        }
    }

    /// No scheduler was found: waits before the next search.
    pub fn not_found(&mut self, now: Instant) {
        if matches!(self.link, Link::Looking) {
            let wait = self.backoff();
            self.link = Link::Absent(now + wait);
        }
    }

    /// When [`Self::tick`] must be called.
    pub fn timeout(&self) -> Option<Instant> {
        match &self.link {
            Link::Absent(at) => Some(*at),
            Link::Up { hold: Some(hold), .. } => Some(hold.until),
            _ => None,
        }
    }

    /// Starts a search, or sends the messages held back, if that is due. A daemon that stops searches no more.
    pub fn tick(&mut self, now: Instant, is_stopping: bool) -> Vec<Output> {
        match &self.link {
            Link::Absent(at) if *at <= now && is_stopping => self.link = Link::Closing,
            Link::Absent(at) if *at <= now => {
                self.link = Link::Looking;
                return vec![Output::Connect];
            }
            Link::Up { hold: Some(hold), .. } if hold.until <= now => return self.release(),
            _ => {}
        }
        Vec::new()
    }

    /// A scheduler is connected. It must be logged in to at once. Returns the address of the one before, if that was
    /// another.
    pub fn connected(&mut self, version: Version, address: Text, known_as: Text) -> Option<Text> {
        self.number += 1;
        self.failures = 0;
        self.expected_until = None;
        self.link = Link::Up { version, known_as, hold: None };
        let before = self.scheduler.replace(address);
        before.filter(|before| Some(before) != self.scheduler.as_ref())
    }

    /// Sends LOGIN, which announces these environments, after what is held back for an earlier one. Further messages
    /// are held back until [`Self::release`], if the scheduler answers LOGIN.
    pub fn log_in(&mut self, now: Instant, login: Login, announced: Vec<EnvId>) -> Vec<Output> {
        let mut sent = self.release();
        sent.push(Output::ToScheduler(Message::Login(login)));
        self.announced = Some(announced);
        if let Link::Up { version, hold, .. } = &mut self.link {
            if version.has_cs_conf() {
                *hold = Some(Hold { until: now + HOLD, held: Vec::new() });
            }
        }
        sent
    }

    /// The environments in the last LOGIN; `None` if they must be announced again in any case.
    pub fn announced(&self) -> Option<&[EnvId]> {
        self.announced.as_deref()
    }

    /// Has the environments announced again even if they do not change.
    pub fn announce_again(&mut self) {
        self.announced = None;
    }

    /// Sends a message, if connected; holds it back while LOGIN has not been answered.
    pub fn send(&mut self, message: Message) -> Vec<Output> {
        match &mut self.link {
            Link::Up { hold: Some(hold), .. } if hold.held.len() < HELD_MAX => hold.held.push(message),
            Link::Up { .. } => {
                let mut sent = self.release();
                sent.push(Output::ToScheduler(message));
                return sent;
            }
            _ => {}
        }
        Vec::new()
    }

    /// LOGIN was answered: sends what was held back.
    pub fn release(&mut self) -> Vec<Output> {
        let hold = match &mut self.link {
            Link::Up { hold, .. } => hold.take(),
            _ => None,
        };
        hold.into_iter().flat_map(|hold| hold.held).map(Output::ToScheduler).collect()
    }

    /// The connection was closed: waits before the next search. Returns whether a scheduler was logged in to.
    pub fn lost(&mut self, now: Instant) -> bool {
        let was_up = self.current().is_some();
        if was_up {
            self.expected_until = Some(now + EXPECTED);
        }
        let wait = self.backoff();
        self.link = Link::Absent(now + wait);
        was_up
    }

    /// Closes the connection, as its scheduler is none.
    pub fn close(&mut self, now: Instant) -> Output {
        self.expected_until = Some(now + EXPECTED);
        self.link = Link::Closing;
        Output::CloseScheduler
    }

    /// Until when requests wait for a scheduler that has just been lost.
    pub fn expected_until(&self) -> Option<Instant> {
        self.expected_until
    }

    /// Requests wait for the lost scheduler no longer.
    pub fn give_up(&mut self) {
        self.expected_until = None;
    }

    /// The next wait: doubles with each failure, with jitter between half and the whole of it.
    fn backoff(&mut self) -> Duration {
        if self.test_reconnect {
            return BACKOFF_TEST;
        }
        let whole = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(6)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let per_mille = u32::try_from(500 + self.random % 501).unwrap_or(1000);
        whole * per_mille / 1000
    }
}
