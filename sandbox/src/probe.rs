//! What this host permits, with the reason when it does not.

use crate::apply::{SingleThread, perform};
use crate::plan::Step;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};

/// A promise about every job. Each is on or off by itself (decision: separate-guarantees).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// The job sees its environment as `/` and no other file of the host.
    Root,
    /// The job cannot write into its environment.
    ReadOnly,
    /// `/tmp` is the job's own, bounded, and gone with it.
    PrivateTmp,
    /// The job sees no process but its own, and all of them end with it.
    Processes,
    /// The job reaches no network and no socket of the host.
    Network,
    /// The job runs under an id of its slot alone.
    OwnId,
    /// Memory is bounded by a control group, and running out of it is known for certain.
    Memory,
    /// Calls that no compiler needs are refused by a filter.
    Calls,
}

impl Guarantee {
    /// All of them, in the order they are printed.
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

    /// Its word for `--require` and `--check`.
    pub const fn word(self) -> &'static str {
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

    /// The guarantee of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.word() == word)
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What this host can promise: for each guarantee nothing when it holds, else why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantees {
    missing: Vec<(Guarantee, String)>,
}

impl Guarantees {
    /// Nothing holds, all for the same reason.
    pub fn none(reason: &str) -> Self {
        Self { missing: Guarantee::ALL.iter().map(|&g| (g, reason.to_owned())).collect() }
    }

    /// Everything holds.
    pub const fn all() -> Self {
        Self { missing: Vec::new() }
    }

    /// Takes one back. The first reason stays.
    pub fn lose(&mut self, what: Guarantee, reason: impl Into<String>) {
        if self.has(what) {
            self.missing.push((what, reason.into()));
        }
    }

    /// Whether it holds.
    pub fn has(&self, what: Guarantee) -> bool {
        self.reason(what).is_none()
    }

    /// Why it does not hold; `None` if it does.
    pub fn reason(&self, what: Guarantee) -> Option<&str> {
        self.missing.iter().find(|(g, _)| *g == what).map(|(_, r)| r.as_str())
    }

    /// Whether strangers' jobs can be run at all: what 1.4 calls "chroot possible". `Err` says why not.
    pub fn accepts_jobs(&self) -> Result<(), &str> {
        self.reason(Guarantee::Root).map_or(Ok(()), Err)
    }

    /// As bytes, to cross a socket: a line each.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.missing.iter().map(|(g, r)| format!("{g}={}\n", r.replace('\n', " "))).collect::<String>().into_bytes()
    }

    /// Reads [`Self::to_bytes`]; lines that are none are left out.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let line = |l: &str| l.split_once('=').and_then(|(w, r)| Some((Guarantee::from_word(w)?, r.to_owned())));
        Self { missing: text.lines().filter_map(line).collect() }
    }
}

/// One line per guarantee: `network: yes`, `memory: no (no writable control group)`.
impl fmt::Display for Guarantees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for g in Guarantee::ALL {
            match self.reason(g) {
                None => writeln!(f, "{g}: yes")?,
                Some(reason) => writeln!(f, "{g}: no ({reason})")?,
            }
        }
        Ok(())
    }
}

/// Tries steps in a child, for versions and settings tell little. `Err` is the first refusal.
pub(crate) fn trial(single: &SingleThread, steps: &[Step]) -> Result<(), String> {
    let (from, to) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| e.to_string())?;
    let mut to = Some(File::from(to));
    let body = || {
        let text = perform(steps).err().map_or_else(|| "ok".to_owned(), |e| e.to_string());
        i32::from(to.take().is_none_or(|mut to| to.write_all(text.as_bytes()).is_err()))
    };
    let pid = single.child(CloneFlags::empty(), body).map_err(|e| format!("cannot fork: {e}"))?;
    drop(to);
    let mut text = String::new();
    let read = File::from(from).take(4096).read_to_string(&mut text);
    // The child ends right after writing.
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
        assert!(g.to_string().contains("memory: no (no writable control group)\n"));
        assert!(g.accepts_jobs().is_ok());
        assert_eq!(Guarantees::none("nothing").accepts_jobs(), Err("nothing"));
    }
}
