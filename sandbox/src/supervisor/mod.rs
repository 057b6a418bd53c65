//! The supervisor of a job of files mode: it hears of each call that takes a path before the kernel looks, and lets it
//! look only where the tree holds what the submitter's file system does.
//!
//! It runs in the first process of the sandbox, with the job's id and no capability. What it decides guards the job's
//! result and not the host: a job that changes a path after it was read sees files of its own submitter, and no others.

mod caller;
mod collect;
mod interpreter;
mod made;
mod questions;
mod special;
mod watch;

use crate::listener::{Call, Listener, Reply};
use crate::oracle::{Oracle, Own, Stands, Walk};
use crate::path_calls::{Watched, WatchedCalls};
use caller::Caller;
use made::Made;
use nix::errno::Errno;
use questions::Questions;
pub use questions::{PACKET_MAX, PATIENCE, QUESTIONS_MAX};
use std::collections::{BTreeSet, HashMap};
use std::os::fd::{BorrowedFd, OwnedFd};
use watch::Watch;

/// What a job of files mode has besides its program.
pub struct Tree {
    /// Makes the oracle, in the first process and after all rights are given up: what was told is distrusted.
    pub oracle: Box<dyn FnOnce() -> Result<Box<dyn Oracle>, String>>,
    /// Questions go out here, one canonical path each, and what is told of it comes back.
    pub asks: OwnedFd,
    /// The working directory, canonical.
    pub cwd: Vec<u8>,
    /// Absolute paths that the job may write.
    pub outputs: Vec<Vec<u8>>,
    /// Directories of temporary files.
    pub temporary: Vec<Vec<u8>>,
}

/// Why a job ends here, to be built by its submitter.
#[derive(Debug)]
struct Refusal(String);

/// What came of something, unless the job ends by it.
type Decided<T> = Result<T, Refusal>;

/// Where all processes of a job stand.
enum Here {
    /// Where the sandbox was made; the first change leads to the job's working directory.
    Root,
    /// In this directory, as nobody has moved since.
    At(Vec<u8>),
    /// Each in its own.
    Anywhere,
}

/// Watches one job.
pub(crate) struct Supervisor {
    calls: WatchedCalls,
    oracle: Box<dyn Oracle>,
    made: Made,
    questions: Questions,
    /// Replies to calls that only look, by what they look at.
    remembered: HashMap<Vec<u8>, Reply>,
    here: Here,
    /// Outputs whose directory is not known yet.
    outputs: Vec<Vec<u8>>,
    /// Directories of temporary files, as they were named.
    temporary: Vec<Vec<u8>>,
    cwd: Vec<u8>,
    /// Declared outputs that it removed.
    removed: BTreeSet<Vec<u8>>,
    /// What it wrote and may not.
    stray: Option<Vec<u8>>,
    refused: Option<String>,
}

impl Supervisor {
    /// Watches a job whose upper layer is `upper`.
    pub(crate) fn new(tree: Tree, upper: OwnedFd) -> Result<Self, String> {
        let Tree { oracle, asks, cwd, outputs, temporary } = tree;
        let mut supervisor = Self {
            calls: WatchedCalls::new(),
            oracle: oracle()?,
            made: Made::new(upper),
            questions: Questions::new(asks),
            remembered: HashMap::new(),
            here: Here::Root,
            outputs,
            temporary,
            cwd,
            removed: BTreeSet::new(),
            stray: None,
            refused: None,
        };
        supervisor.place_outputs();
        Ok(supervisor)
    }

    /// Whether the job must end: what it needs is not told.
    pub(crate) const fn refuses(&self) -> bool {
        self.refused.is_some()
    }

    /// The reply to a call. `None`: it is none at which a job is watched. Questions are given up when `owner` hangs up.
    pub(crate) fn reply(&mut self, listener: &Listener, call: &Call, owner: BorrowedFd<'_>) -> Option<Reply> {
        let watched = self.calls.find(call.machine, call.number)?;
        let mut watch = Watch { caller: Caller { listener, call }, owner, state: self };
        let decided = match watched {
            Watched::Move => Ok(watch.moves()),
            Watched::Path(call) => watch.path_call(call),
        };
        Some(decided.unwrap_or_else(|Refusal(why)| {
            self.refused.get_or_insert(why);
            Reply::Fail(Errno::EIO)
        }))
    }

    /// Finds the places of outputs whose directories are known by now.
    fn place_outputs(&mut self) {
        for name in std::mem::take(&mut self.outputs) {
            let Some((dir, last)) = split(&name) else { continue };
            match self.oracle.walk(&self.made, b"/", dir, true) {
                Walk::Found(dir) => drop(self.made.outputs.insert(join(&dir, last), name)),
                _ => self.outputs.push(name),
            }
        }
        let _ = self.made.led_into_special();
    }

    /// What stands at a canonical path, and whether the submitter was told to have it.
    fn at(&mut self, path: &[u8]) -> Option<(Stands, bool)> {
        let own = self.made.at(path).map(|stands| (stands, false));
        own.or_else(|| self.oracle.at(path).map(|stands| (stands, true)))
    }

    /// Something of the submitter's is changed, or written that nobody declared.
    fn strays(&mut self, path: &[u8]) {
        self.stray.get_or_insert_with(|| path.to_vec());
    }
}

/// A path's directory and its last name, if it has a slash.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|c| *c == b'/')?;
    let dir = path.get(..slash).filter(|dir| !dir.is_empty()).unwrap_or(b"/");
    Some((dir, path.get(slash + 1..)?))
}

/// A canonical path in a canonical directory.
fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir == b"/" { [b"/", name].concat() } else { [dir, b"/", name].concat() }
}
