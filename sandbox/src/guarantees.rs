//! What this host permits, with the reason for what it does not.

use crate::apply::{SingleThread, perform};
use crate::plan::{Limit, Step};
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};

/// A guarantee for every job. Each holds or not independently of the others (decision: separate-guarantees).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// The job sees its environment as `/` and no other file of the host.
    Root,
    /// The job cannot write into its environment.
    ReadOnly,
    /// `/tmp` belongs to the job alone, is limited, and is removed with it.
    PrivateTmp,
    /// The job sees only its own processes, and all of them end with it.
    Processes,
    /// The job reaches no network and no socket of the host.
    Network,
    /// The job runs with a user id that only its slot uses.
    OwnId,
    /// A control group limits memory and reports reliably when a job exceeds it.
    Memory,
    /// A filter permits only the system calls that compilers need.
    Calls,
}

impl Guarantee {
    /// All guarantees, in the order in which they are printed.
    pub const ALL: [Self; 8] = [
        Self::Root,
        Self::ReadOnly,
        Self::PrivateTmp,
        Self::Processes,
        Self::Network,
        Self::OwnId,
        Self::Memory,
        Self::Calls,
    ];

    /// Its name for `--require` and `--check`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::ReadOnly => "read-only",
            Self::PrivateTmp => "private-tmp",
            Self::Processes => "processes",
            Self::Network => "network",
            Self::OwnId => "own-id",
            Self::Memory => "memory",
            Self::Calls => "calls",
        }
    }

    /// What follows where it does not hold.
    pub const fn without(self) -> &'static str {
        match self {
            Self::Root => "no jobs of others are taken",
            Self::ReadOnly => "a job can change its environment for later jobs, as far as file modes permit",
            Self::PrivateTmp => "jobs of an environment share its /tmp",
            Self::Processes => "a job sees the processes of others, and some of its own may outlive it",
            Self::Network => "only the call filter keeps a job from the network",
            Self::OwnId => "only namespaces keep jobs from each other and from the daemon",
            Self::Memory => {
                "only each process of a job is limited: a job can use up the host's memory, and is ended then"
            }
            Self::Calls => "a job can make every system call, and reach every bug behind it",
        }
    }

    /// The guarantee with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.name() == name)
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The guarantees that hold on this host, and for each other one the reason why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantees {
    /// The guarantees that do not hold, with the reasons.
    missing: Vec<(Guarantee, String)>,
}

impl Guarantees {
    /// No guarantee holds, all for the same reason.
    pub fn none(reason: &str) -> Self {
        Self { missing: Guarantee::ALL.iter().map(|&g| (g, reason.to_owned())).collect() }
    }

    /// All guarantees hold.
    pub const fn all() -> Self {
        Self { missing: Vec::new() }
    }

    /// Marks one as not holding. An earlier reason is kept.
    pub fn lose(&mut self, what: Guarantee, reason: impl Into<String>) {
        if self.has(what) {
            self.missing.push((what, reason.into()));
        }
    }

    /// Whether a guarantee holds.
    pub fn has(&self, what: Guarantee) -> bool {
        self.reason(what).is_none()
    }

    /// Why a guarantee does not hold; `None` if it does.
    pub fn reason(&self, what: Guarantee) -> Option<&str> {
        self.missing.iter().find(|(g, _)| *g == what).map(|(_, r)| r.as_str())
    }

    /// Whether jobs of other hosts can be accepted at all: what 1.4 calls "chroot possible". `Err` is the reason why
    /// not.
    pub fn accepts_jobs(&self) -> Result<(), &str> {
        self.reason(Guarantee::Root).map_or(Ok(()), Err)
    }

    /// Serialized for a socket, one line each.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.missing.iter().map(|(g, r)| format!("{g}={}\n", r.replace('\n', " "))).collect::<String>().into_bytes()
    }

    /// Parses [`Self::to_bytes`]; malformed lines are ignored.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let line = |l: &str| l.split_once('=').and_then(|(w, r)| Some((Guarantee::from_name(w)?, r.to_owned())));
        Self { missing: text.lines().filter_map(line).collect() }
    }
}

/// Prints one line per guarantee: `network: yes`, or `calls: no (REASON)` and what follows.
impl fmt::Display for Guarantees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for g in Guarantee::ALL {
            match self.reason(g) {
                None => writeln!(f, "{g}: yes")?,
                Some(reason) => writeln!(f, "{g}: no ({reason}): {}", g.without())?,
            }
        }
        Ok(())
    }
}

/// Tries steps in a child, as kernel version and settings do not tell reliably whether they work. `Err` is the first
/// failure.
pub fn trial(single: &SingleThread, steps: &[Step]) -> Result<(), String> {
    attempt(single, || perform(steps).map_err(|e| e.to_string()))
}

/// Whether the kernel counts the processes of a user namespace apart from others of the same user (Linux 5.14), and
/// permits such a namespace. `become_user` are steps that give up root.
pub(crate) fn counts_apart(single: &SingleThread, become_user: &[Step]) -> bool {
    const OF_TWO: [Step; 2] = [Step::Unshare(CloneFlags::CLONE_NEWUSER), Step::Limit(Limit::Processes, 2)];
    let third_process = || {
        perform(&OF_TWO).map_err(|e| e.to_string())?;
        attempt(single, || Ok(()))
    };
    // The second process of this user alone is in the namespace; if all three are counted, the third exceeds the limit.
    attempt(single, || {
        perform(become_user).map_err(|e| e.to_string())?;
        attempt(single, third_process)
    })
    .is_ok()
}

/// Does something in a child that may change itself. `Err` is the child's, or the reason why there is none.
pub(crate) fn attempt(single: &SingleThread, what: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let (from, to) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| e.to_string())?;
    let mut to = Some(File::from(to));
    let body = || {
        let text = what().err().unwrap_or_else(|| "ok".to_owned());
        i32::from(to.take().is_none_or(|mut to| to.write_all(text.as_bytes()).is_err()))
    };
    let pid = single.child(CloneFlags::empty(), body).map_err(|e| format!("cannot fork: {e}"))?;
    drop(to);
    let mut text = String::new();
    let read = File::from(from).take(4096).read_to_string(&mut text);
    // The child exits right after writing.
    let _ = nix::sys::wait::waitpid(pid, None);
    match text.as_str() {
        "ok" => Ok(()),
        "" => Err(format!("no answer of the trial: {read:?}")),
        refusal => Err(refusal.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guarantees_cross_a_socket() {
        let mut g = Guarantees::all();
        g.lose(Guarantee::Memory, "no writable control group");
        g.lose(Guarantee::Memory, "a second reason");
        assert_eq!(Guarantees::from_bytes(&g.to_bytes()), g);
        assert!(g.to_string().contains("memory: no (no writable control group): only each process of a job"));
        assert!(g.accepts_jobs().is_ok());
        assert_eq!(Guarantees::none("nothing").accepts_jobs(), Err("nothing"));
    }
}
