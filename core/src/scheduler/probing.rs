//! Whether one host is alive and can be reached: its silence, PING to old daemons, and probes of its port. All their
//! times stand here; `bins/src/scheduler/probe_threads.rs` carries probes out.
//!
//! A machine of its own: it is told what happened and says what follows. It does not know other hosts or jobs.

use crate::message::Message;
use crate::time::{Duration, Instant};
use crate::version::Version;

/// Silence after which a host below protocol 27 is sent PING.
const PING_AFTER: Duration = Duration::from_secs(36);
/// How long it may take to answer PING.
const PING_WAIT: Duration = Duration::from_secs(6);
/// How long a probe may take: connecting, and the peer's version offer.
pub(super) const PROBE_MAX: Duration = Duration::from_secs(5);
/// Interval between regular probes of a reachable host.
const PROBE_AGAIN: Duration = Duration::from_secs(60);
/// Longest pause between probes of an unreachable host, in seconds.
const PROBE_PAUSE_MAX: u64 = 60;
/// A probe that takes longer than this is slow: a new host is then assumed to be reachable, a silent host with jobs
/// becomes suspect.
const PROBE_SLOW: Duration = Duration::from_secs(1);
/// Interval between checks of a host with jobs.
pub(super) const WATCH: Duration = Duration::from_secs(2);
/// Silence after which a host whose jobs are all running is probed.
const SILENCE: Duration = Duration::from_secs(5);
/// A host that sent something or was probed within this time needs no probe when it gets a job.
const FRESH: Duration = Duration::from_secs(3);

/// Whether a host accepts connections on its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepting {
    /// Not probed yet: used only if no other host could run the job.
    Unknown,
    /// The last probe succeeded.
    Yes,
    /// The last probe failed.
    No,
}

/// What follows from a message of a host: a plain value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// It was taken for dead and may get jobs again.
    pub is_back: bool,
    /// It could not be reached when last probed, and was silent for long: probe it.
    pub woke: bool,
}

/// The end of a probe: a plain value.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProbeEnd {
    /// Whether the host can be reached now and could not before, or the other way round.
    pub changed: bool,
    /// In how many seconds the next probe follows, if this one failed.
    pub again_s: Option<u64>,
}

/// What is to be done when a host's timer expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// Send PING to it; it gets no jobs until it answers.
    Ping,
    /// It has not answered PING: remove it.
    Remove,
    /// Probe it.
    Probe,
    /// The first probe is slow: the host counts as reachable for now.
    Reachable,
    /// It has jobs, has been silent for this long and answers no probe: it gets no more jobs until it shows life.
    Suspect(Duration),
}

/// The signs of life of one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probing {
    version: Version,
    no_remote: bool,
    accepting: Accepting,
    suspect: bool,
    /// When it last sent any message.
    last_heard: Instant,
    /// When it last sent a message that counts as a sign of life below protocol 27.
    last_life: Instant,
    /// When PING was sent to it (below protocol 27), if it has not been answered.
    ping_out: Option<Instant>,
    /// When the current probe began, if one is under way.
    probe_since: Option<Instant>,
    /// When the last probe ended.
    probed_at: Option<Instant>,
    /// When the next regular probe is due.
    probe_at: Option<Instant>,
    /// Failed probes in a row.
    failures: u32,
    timer: Option<Instant>,
}

impl Probing {
    /// A host of this version that has just logged in. One that refuses jobs of others is never probed.
    pub fn new(version: Version, no_remote: bool, now: Instant) -> Self {
        Self {
            version,
            no_remote,
            accepting: if no_remote { Accepting::Yes } else { Accepting::Unknown },
            suspect: false,
            last_heard: now,
            last_life: now,
            ping_out: None,
            probe_since: None,
            probed_at: None,
            probe_at: None,
            failures: 0,
            timer: None,
        }
    }

    /// Whether its port accepts connections.
    pub fn accepting(&self) -> Accepting {
        self.accepting
    }

    /// Whether it has been sent PING and has not answered.
    pub fn is_pinged(&self) -> bool {
        self.ping_out.is_some()
    }

    /// Whether it gets no jobs until it shows life: it had jobs and then neither sent anything nor answered a probe, or
    /// has not answered PING.
    pub fn is_silent(&self) -> bool {
        self.suspect || self.is_pinged()
    }

    /// All on which it depends whether the host gets jobs.
    pub fn takes_jobs(&self) -> (Accepting, bool, bool) {
        (self.accepting, self.suspect, self.is_pinged())
    }

    /// Whether a new job makes a probe necessary, so that a frozen host gets no more.
    pub fn is_doubtful(&self, now: Instant) -> bool {
        self.probed_at.is_none_or(|at| now.since(at) >= FRESH) && now.since(self.last_heard) >= FRESH
    }

    /// When its timer expires.
    pub fn timer(&self) -> Option<Instant> {
        self.timer
    }

    /// Sets its timer. Returns the previous one, which is to be cancelled.
    pub fn set_timer(&mut self, at: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut self.timer, at)
    }

    /// A message arrived.
    pub fn heard(&mut self, now: Instant, message: &Message) -> Heard {
        let silent = now.since(self.last_heard);
        self.last_heard = now;
        let is_life = match message {
            Message::Ping => true,
            // Protocols 25 and 26 must answer with PING.
            Message::Stats(_) => !self.version.has_pong(),
            _ => false,
        };
        if is_life {
            self.last_life = now;
        }
        let answered = is_life && self.ping_out.take().is_some();
        let was_suspect = std::mem::take(&mut self.suspect);
        Heard { is_back: answered || was_suspect, woke: self.accepting == Accepting::No && silent >= SILENCE }
    }

    /// A probe shall begin. Returns false if it must not, or one is under way.
    pub fn begin_probe(&mut self, now: Instant) -> bool {
        if self.no_remote || self.probe_since.is_some() {
            return false;
        }
        self.probe_since = Some(now);
        self.probe_at = None;
        true
    }

    /// A probe has ended.
    pub fn probed(&mut self, now: Instant, reachable: bool) -> ProbeEnd {
        self.probe_since = None;
        self.probed_at = Some(now);
        let was_closed = self.accepting == Accepting::No;
        if reachable {
            self.accepting = Accepting::Yes;
            self.suspect = false;
            self.failures = 0;
            self.probe_at = Some(now + PROBE_AGAIN);
            return ProbeEnd { changed: was_closed, again_s: None };
        }
        self.accepting = Accepting::No;
        self.failures = self.failures.saturating_add(1);
        let again_s = 1u64.checked_shl(self.failures).map_or(PROBE_PAUSE_MAX, |s| s.clamp(1, PROBE_PAUSE_MAX));
        self.probe_at = Some(now + Duration::from_secs(again_s));
        ProbeEnd { changed: !was_closed, again_s: Some(again_s) }
    }

    /// Whether PING is due, or its answer.
    pub fn tick_ping(&mut self, now: Instant) -> Due {
        match self.ping_out {
            _ if self.version.has_keepalive() => Due::Nothing,
            Some(at) if now >= at + PING_WAIT => Due::Remove,
            None if now >= self.last_life + PING_AFTER => {
                self.ping_out = Some(now);
                Due::Ping
            }
            _ => Due::Nothing,
        }
    }

    /// Whether a probe is due or slow. `watched`: it has jobs; `oldest_wait`: since when its oldest job has waited that
    /// has not begun.
    pub fn tick_probe(&mut self, now: Instant, watched: bool, oldest_wait: Option<Instant>) -> Due {
        let silent = now.since(self.last_heard);
        if let Some(since) = self.probe_since {
            return if now >= since + PROBE_SLOW { self.slow_probe(watched, silent) } else { Due::Nothing };
        }
        let waits_long = oldest_wait.is_some_and(|since| now.since(since) >= WATCH) && silent >= WATCH;
        let rested = |pause| self.probed_at.is_none_or(|at| now.since(at) >= pause);
        let worried = watched && ((waits_long && rested(WATCH)) || (silent >= SILENCE && rested(SILENCE)));
        let regular = self.probe_at.is_some_and(|at| now >= at);
        if regular || (worried && self.accepting != Accepting::No) { Due::Probe } else { Due::Nothing }
    }

    fn slow_probe(&mut self, watched: bool, silent: Duration) -> Due {
        if self.accepting == Accepting::Unknown {
            self.accepting = Accepting::Yes;
            return Due::Reachable;
        }
        if !watched || self.suspect || silent < PROBE_SLOW {
            return Due::Nothing;
        }
        self.suspect = true;
        Due::Suspect(silent)
    }

    /// When PING or a probe is due next. `watched`: it has jobs.
    pub fn deadline(&self, now: Instant, watched: bool) -> Option<Instant> {
        let ping = (!self.version.has_keepalive()).then(|| match self.ping_out {
            Some(at) => at + PING_WAIT,
            None => self.last_life + PING_AFTER,
        });
        let undecided = self.accepting == Accepting::Unknown || (watched && !self.suspect);
        let probe = match self.probe_since {
            Some(since) => Some(since + PROBE_SLOW).filter(|at| undecided && now < *at),
            None => self.probe_at,
        };
        let watch = watched.then(|| now + WATCH);
        [ping, probe, watch].into_iter().flatten().min()
    }
}
