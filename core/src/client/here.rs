//! Why a command is run on this host, and whose fault that is.
//!
//! This is the whole list: whatever the client runs here, it runs for one of these reasons.

use super::Trouble;
use crate::text::Text;
use std::fmt;

/// Why a command is run on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Here {
    /// It was never to go elsewhere: the user said so (`ICECC=no`, icerun), or the command line, the compiler or the output
    /// permit nothing else.
    Meant,
    /// The program is not known as a compiler, but is called as one.
    Unknown,
    /// No daemon answers.
    NoDaemon,
    /// The job can be given no environment, and why.
    NoEnvironment(String),
    /// The cluster was asked.
    Trouble {
        /// What went wrong.
        trouble: Trouble,
        /// The compile server, if one was named.
        host: Text,
    },
}

impl Here {
    /// Whether the cluster failed, so that `ICECC_FALLBACK` has a say; otherwise a healthy one would not have helped.
    pub const fn is_clusters_fault(&self) -> bool {
        match self {
            Self::Meant | Self::Unknown => false,
            Self::NoDaemon | Self::NoEnvironment(_) => true,
            Self::Trouble { trouble, .. } => trouble.is_clusters_fault(),
        }
    }
}

impl fmt::Display for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meant => f.write_str("it is for this host"),
            Self::Unknown => f.write_str("not known as a compiler"),
            Self::NoDaemon => f.write_str("no local daemon found"),
            Self::NoEnvironment(why) => f.write_str(why),
            Self::Trouble { trouble, .. } => write!(f, "{trouble} (error {})", trouble.number()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_words() {
        let trouble = |trouble| Here::Trouble { trouble, host: Text::new() }.to_string();
        assert_eq!(Here::Meant.to_string(), "it is for this host");
        assert_eq!(Here::NoDaemon.to_string(), "no local daemon found");
        assert_eq!(Here::NoEnvironment("no archive".into()).to_string(), "no archive");
        assert_eq!(trouble(Trouble::NoHost), "no host of the network can take the job (error 1)");
        assert_eq!(trouble(Trouble::ServerSays("no".into())), "remote status: no (error 23)");
        assert_eq!(trouble(Trouble::Crash), "remote compiler crashed, recompiling locally (error 105)");
    }

    #[test]
    fn a_failure_of_the_cluster_is_told_from_what_only_this_host_can_do() {
        let trouble = |trouble| Here::Trouble { trouble, host: Text::new() };
        let clusters = [Trouble::NoScheduler, Trouble::NoHost, Trouble::NoNativeEnv, Trouble::Crash, Trouble::NoResult];
        let all = clusters.map(trouble).into_iter().chain([Here::NoDaemon, Here::NoEnvironment("why".into())]);
        for here in all {
            assert!(here.is_clusters_fault(), "{here}");
        }
        let others = [Trouble::Messages, Trouble::Preprocessing, Trouble::FileNotFound, Trouble::Doubtful];
        for here in others.map(trouble).into_iter().chain([Here::Meant, Here::Unknown]) {
            assert!(!here.is_clusters_fault(), "{here}");
        }
    }
}
