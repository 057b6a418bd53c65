//! Why a job is built where it is: the one list of reasons, and what is told of each.
//!
//! Logs, `ICECC_FALLBACK`, statistics and documents have their words from here.

use crate::text::Text;
use std::fmt;

mod fault;
mod list;

pub use fault::Fault;
pub use list::Reason;

impl Reason {
    /// A word for machines: lower case, with hyphens. It stays as it is from version to version.
    pub const fn word(self) -> &'static str {
        self.row().word
    }

    /// A sentence for the log. Those that 1.4 has too are in its words.
    pub const fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// What the user can do about it.
    pub const fn remedy(self) -> &'static str {
        self.row().remedy
    }

    /// Who can do something about it.
    pub const fn fault(self) -> Fault {
        self.row().fault
    }

    /// The number by which 1.4's log lines and users know it.
    pub const fn error(self) -> Option<u32> {
        match self.row().error {
            0 => None,
            number => Some(number),
        }
    }

    /// Whether the cluster failed, so that `ICECC_FALLBACK` has a say; otherwise a healthy one would not have helped.
    pub const fn is_clusters_fault(self) -> bool {
        matches!(self.fault(), Fault::SetUp | Fault::Cluster | Fault::Host)
    }

    /// Whether the other side did its work, but its result is not taken ("remote exception" in 1.4's log).
    pub const fn is_about_result(self) -> bool {
        self.row().error > 100
    }

    /// This reason, with what decided: an argument, a variable, a file, the words of a peer.
    pub fn with(self, detail: impl Into<Text>) -> Why {
        Why { reason: self, detail: detail.into(), host: Text::new() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A reason with its circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The reason.
    pub reason: Reason,
    /// What decided: an argument, a variable, a file, the words of a peer. May be empty.
    pub detail: Text,
    /// The compile server; empty if none was named.
    pub host: Text,
}

impl From<Reason> for Why {
    fn from(reason: Reason) -> Self {
        reason.with(Text::new())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.sentence())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_is_told_whole() {
        let mut words = BTreeSet::new();
        for reason in Reason::ALL {
            let (word, sentence, remedy) = (reason.word(), reason.sentence(), reason.remedy());
            assert!(words.insert(word), "{word} twice");
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{word}");
            for text in [sentence, remedy] {
                assert!(text.len() > 10 && text == text.trim(), "{word}: {text:?}");
            }
            assert!(!remedy.ends_with('.'), "{word}: a remedy is a part of a line");
        }
    }

    /// Those of 1.4 up to 105, by which its users know them.
    #[test]
    fn numbers_are_those_of_1_4() {
        use Reason as R;
        let all = [
            (1, vec![R::NoServer, R::NoScheduler, R::NoHost]),
            (2, vec![R::Unreachable]),
            (4, vec![R::ArchiveUnreadable]),
            (6, vec![R::EnvironmentNotSent]),
            (9, vec![R::HeaderNotSent]),
            (13, vec![R::NotAResult]),
            (14, vec![R::NoResult]),
            (15, vec![R::SourceNotSent]),
            (16, vec![R::SourceUnreadable]),
            (18, vec![R::NoPreprocessor]),
            (19, vec![R::ObjectCut]),
            (20, vec![R::NotAnObject]),
            (21, vec![R::ObjectUnwritten]),
            (22, vec![R::NoNativeArchive, R::NativeFailed, R::NoUsableEnvironment]),
            (23, vec![R::ServerSays]),
            (24, vec![R::DaemonGone, R::EnvironmentRefused]),
            (25, vec![R::EnvironmentUnverified, R::EnvironmentMissing]),
            (26, vec![R::CannotVerify]),
            (29, vec![R::SelfBuildLost]),
            (31, vec![R::NoTemporary]),
            (101, vec![R::OutOfMemory, R::OutOfDisk, R::Killed]),
            (102, vec![R::Messages]),
            (103, vec![R::Preprocessing]),
            (104, vec![R::FileNotFound]),
            (105, vec![R::Crash]),
            (106, vec![R::Doubtful]),
            (107, vec![R::OutputOfFailure]),
            (108, vec![R::FalseResult]),
        ];
        let numbered = Reason::ALL.iter().filter(|reason| reason.error().is_some()).count();
        assert_eq!(numbered, all.iter().map(|(_, reasons)| reasons.len()).sum::<usize>());
        for (number, reasons) in all {
            for reason in reasons {
                assert_eq!((reason.error(), reason.is_about_result()), (Some(number), number > 100), "{reason}");
                // What only a run here can show is nobody's fault.
                let own = [102, 103, 104, 106, 107].contains(&number);
                assert_eq!(reason.is_clusters_fault(), !own, "{reason}");
            }
        }
        let without = [R::UserSaidNo, R::NotACompiler, R::PreprocessOnly, R::Output, R::Wrapper];
        assert!(without.iter().all(|reason| !reason.is_clusters_fault()));
        assert!([R::NoDaemon, R::NoEnvironment].iter().all(|reason| reason.is_clusters_fault()));
    }

    #[test]
    fn circumstances_are_told() {
        assert_eq!(Why::from(Reason::NoDaemon).to_string(), "no local daemon found");
        assert_eq!(Reason::ServerSays.with("no").to_string(), "remote status: no");
    }
}
