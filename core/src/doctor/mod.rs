//! What stands between this host and jobs on other hosts (`icecc --doctor`): the shell gathers facts, the checks of one
//! list judge them. A check whose facts are missing because of an earlier fault says nothing, so that the first bad
//! finding is what to do first.

mod facts;
/// Lists of the text port.
pub mod listing;
mod network;
mod own_host;
mod programs;
#[cfg(test)]
mod tests;
mod trial;

pub use facts::{
    Answer, Ccache, Compiler, DaemonFacts, DaemonOptions, Disk, Environment, Facts, HostFacts, Outcome, Place,
    PlaceKind, Port, Promise, SchedulerFacts, SocketTrouble, Trial, Usage, WhyNoSocket,
};

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Jobs run elsewhere all the same, or not all that could.
    Warn,
    /// It keeps jobs here.
    Bad,
}

impl Verdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The word of its check.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if it is as it should be.
    pub remedy: String,
}

/// One thing that is looked at.
pub struct Check {
    /// Its word, for people and machines.
    pub word: &'static str,
    /// Judges it.
    judge: fn(&Facts, &mut Findings<'_>),
}

/// All checks. What another depends on comes before it.
pub const CHECKS: [Check; 17] = [
    Check { word: "variables", judge: programs::variables },
    Check { word: "path", judge: programs::path },
    Check { word: "loop", judge: programs::loops },
    Check { word: "ccache", judge: programs::ccache },
    Check { word: "daemon", judge: network::daemon },
    Check { word: "disk", judge: own_host::disk },
    Check { word: "memory", judge: own_host::memory },
    Check { word: "clock", judge: own_host::clock },
    Check { word: "scheduler", judge: network::scheduler },
    Check { word: "login", judge: network::login },
    Check { word: "hosts", judge: network::hosts },
    Check { word: "platform", judge: network::platform },
    Check { word: "versions", judge: network::versions },
    Check { word: "ports", judge: network::ports },
    Check { word: "environment", judge: own_host::environment },
    Check { word: "promises", judge: own_host::promises },
    Check { word: "compile", judge: trial::compile },
];

/// Where a check puts what it finds.
struct Findings<'a> {
    check: &'static str,
    all: &'a mut Vec<Finding>,
}

impl Findings<'_> {
    fn ok(&mut self, found: impl Into<String>) {
        self.put(Verdict::Ok, found.into(), String::new());
    }

    fn warn(&mut self, found: impl Into<String>, remedy: impl Into<String>) {
        self.put(Verdict::Warn, found.into(), remedy.into());
    }

    fn bad(&mut self, found: impl Into<String>, remedy: impl Into<String>) {
        self.put(Verdict::Bad, found.into(), remedy.into());
    }

    fn put(&mut self, verdict: Verdict, found: String, remedy: String) {
        self.all.push(Finding { check: self.check, verdict, found, remedy });
    }

    /// Whether this check has found nothing but good.
    fn is_fine(&self) -> bool {
        self.all.iter().filter(|finding| finding.check == self.check).all(|finding| finding.verdict == Verdict::Ok)
    }
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether jobs run on other hosts, and nothing keeps some of them here.
    pub ready: bool,
    /// What to do first; empty if it is ready.
    pub first: String,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

/// Judges the facts.
pub fn judge(facts: &Facts) -> Report {
    let mut all = Vec::new();
    for check in &CHECKS {
        (check.judge)(facts, &mut Findings { check: check.word, all: &mut all });
    }
    let first = all.iter().find(|finding| finding.verdict == Verdict::Bad);
    let first = first.map(|finding| finding.remedy.clone()).unwrap_or_default();
    let ready = all.iter().all(|finding| finding.verdict != Verdict::Bad);
    Report { ready, first, findings: all }
}
