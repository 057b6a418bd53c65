//! Does files mode work on this host? It is tried: an overlay is mounted, and a call is heard before the kernel looks.

use crate::apply::SingleThread;
use crate::channel;
use crate::child::{self, Files, Job, Work};
use crate::factory::{FilesNeeds, SandboxFactory};
use crate::oracle::{Oracle, Own, Stands, Walk};
use crate::report::Report;
use crate::supervisor::Tree;
use std::fs;
use std::io;
use std::time::Duration;

/// A trial takes some milliseconds; a busy host more.
const LONG: Duration = Duration::from_secs(10);
/// A path that no kernel would answer as the oracle does.
const WATCHED: &str = "/watched";

/// Tries it in a sandbox. `Err` is the reason why it does not work.
pub fn try_files(single: &SingleThread, factory: &SandboxFactory) -> Result<(), String> {
    let needs = FilesNeeds {
        below: &[],
        layers: &[".".to_owned()],
        slot: u16::MAX,
        memory: 256 << 20,
        tmp: 1 << 20,
        file: 1 << 20,
        wall: LONG,
        umask: 0o022,
    };
    let plan = factory.files(&needs)?;
    let failed = |e: io::Error| e.to_string();
    let (ours, answer) = channel::pair().map_err(failed)?;
    let (_submitter, asks) = channel::pair().map_err(failed)?;
    let tree = Tree {
        oracle: Box::new(|| Ok(Box::new(Trial))),
        asks,
        cwd: b"/".to_vec(),
        outputs: Vec::new(),
        temporary: Vec::new(),
    };
    let work = Work::Function { input: None, body: Box::new(|_| look()) };
    let (files, tree, marker) = (Files::default(), Some(tree), factory.marker());
    let job = Job { plan, work, files, tree, answer, wall: LONG, group: None, marker };
    let (pid, answer) = child::start(single, job).map_err(failed)?;
    drop(answer);
    let report = Report::receive(&ours, LONG);
    drop(ours);
    let _ = nix::sys::wait::waitpid(pid, None);
    match report {
        Ok(Some(Report::Done(_))) => Ok(()),
        Ok(Some(Report::Refused(reason))) => Err(reason),
        other => Err(format!("no answer of the trial: {other:?}")),
    }
}

/// Looks at a path that is answered without the kernel, and at one that the kernel has.
fn look() -> Result<Vec<u8>, String> {
    match fs::symlink_metadata(WATCHED) {
        Err(e) if e.raw_os_error() == Some(libc::ELOOP) => {}
        other => return Err(format!("a call was not heard: {other:?}")),
    }
    fs::symlink_metadata("/").map(|_| Vec::new()).map_err(|e| format!("a call that was heard does not go on: {e}"))
}

/// Knows the root alone.
struct Trial;

impl Oracle for Trial {
    fn at(&mut self, _: &[u8]) -> Option<Stands> {
        Some(Stands::Directory { readable: true })
    }

    fn names(&mut self, _: &[u8]) -> Option<&[Vec<u8>]> {
        None
    }

    fn walk(&mut self, _: &dyn Own, _: &[u8], path: &[u8], _: bool) -> Walk {
        if path == WATCHED.as_bytes() { Walk::Loop } else { Walk::Found(path.to_vec()) }
    }

    fn learn(&mut self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn used(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}
