//! Whether a host takes jobs, and what to do where it does not: the words of the text port's data, with their meaning.

use super::host::{FULL_LOAD, Host};
use super::policy;
use super::probing::Accepting;
use serde::{Serialize, Serializer};

/// Whether a host takes jobs of others, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostState {
    /// It takes jobs.
    Ready,
    /// All its slots have jobs.
    Full,
    /// Its load is at the limit.
    Loaded,
    /// It was not probed yet.
    Unknown,
    /// Its port cannot be reached.
    Unreachable,
    /// It does not answer.
    Silent,
    /// Its jobs failed in a row.
    Pausing,
    /// It refuses jobs of others.
    NoRemote,
    /// It has no slots.
    NoSlots,
    /// It has no sandbox for compilers of others.
    NoSandbox,
}

impl HostState {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Ready,
        Self::Full,
        Self::Loaded,
        Self::Unknown,
        Self::Unreachable,
        Self::Silent,
        Self::Pausing,
        Self::NoRemote,
        Self::NoSlots,
        Self::NoSandbox,
    ];

    /// Of a host.
    pub(super) fn of(host: &Host) -> Self {
        let (said, probing) = (host.said(), host.probing());
        match probing.accepting() {
            _ if probing.is_silent() => Self::Silent,
            _ if host.work().slots() == 0 => Self::NoSlots,
            _ if said.no_remote => Self::NoRemote,
            _ if !said.chroot => Self::NoSandbox,
            Accepting::No => Self::Unreachable,
            Accepting::Unknown => Self::Unknown,
            Accepting::Yes if host.trust().rests_until().is_some() => Self::Pausing,
            Accepting::Yes if host.load() >= FULL_LOAD => Self::Loaded,
            Accepting::Yes if host.work().busy() >= policy::capacity(host) => Self::Full,
            Accepting::Yes => Self::Ready,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// What it means: a sentence.
    pub fn sentence(self) -> &'static str {
        self.row().1
    }

    /// What to do about it; empty where nothing is wrong.
    pub fn remedy(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Ready => ("ready", "it takes jobs", ""),
            Self::Full => ("full", "all its slots have jobs", ""),
            Self::Loaded => (
                "loaded",
                "its own work leaves no room: its load is at the limit, or it has not reported one yet",
                "look there what uses its processors, memory or disk",
            ),
            Self::Unknown => ("unknown", "it has just come: whether its port can be reached is being tried", ""),
            Self::Unreachable => (
                "unreachable",
                "its port for jobs cannot be reached from the scheduler",
                "open TCP port 10245 there (firewall, address translation), or start its iceccd with --no-remote",
            ),
            Self::Silent => (
                "silent",
                "it has stopped answering, so it gets no job until it speaks",
                "look whether the machine hangs, sleeps or lost its network; restart its iceccd",
            ),
            Self::Pausing => (
                "pausing",
                "its jobs failed in a row by its own fault, so it pauses and then gets one at a time",
                "read the log of its iceccd, and run iceccd --check there",
            ),
            Self::NoRemote => (
                "no-remote",
                "it refuses jobs of others",
                "to lend it to others: start its iceccd without --no-remote (ICECC_ALLOW_REMOTE=yes)",
            ),
            Self::NoSlots => ("no-slots", "it has no slots", "to lend it to others: give its iceccd jobs (-m N)"),
            Self::NoSandbox => (
                "no-sandbox",
                "it cannot make a sandbox for the compilers of others",
                "run iceccd --check there: it says what is missing",
            ),
        }
    }
}

impl Serialize for HostState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::HostState;
    use std::collections::BTreeSet;

    #[test]
    fn each_has_a_word_of_its_own_and_a_sentence() {
        let words: BTreeSet<&str> = HostState::ALL.iter().map(|state| state.word()).collect();
        assert_eq!(words.len(), HostState::ALL.len());
        assert!(HostState::ALL.iter().all(|state| state.sentence().len() > 10));
    }

    #[test]
    fn whatever_somebody_can_mend_has_a_remedy() {
        use HostState::{Full, Ready, Unknown};
        for state in HostState::ALL {
            assert_eq!(state.remedy().is_empty(), [Ready, Full, Unknown].contains(&state), "{state:?}");
        }
    }
}
