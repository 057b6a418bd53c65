//! What a server says that the command wrote: checked, and told where each file belongs.

use super::super::output::Target;
use super::disk::{Disk, as_path};
use ice_core::cmdline::RemoteJob;
use ice_core::files::{Last, MAX_ENCODED, Output, ResultBody, Walk, child};
use ice_core::message::Chunk;
use ice_core::reason::{Reason, Why};
use ice_net::compress::Unpacker;
use std::collections::VecDeque;

/// An output that the command may write: the canonical path of its directory, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) path: Vec<u8>,
}

/// The outputs that a command may write, whose directories are there.
pub(super) fn declare(disk: &mut Disk, folder: &[u8], names: Vec<Vec<u8>>) -> Vec<Declared> {
    let mut all = Vec::new();
    for name in names {
        let (directory, base) = match name.iter().rposition(|b| *b == b'/') {
            Some(slash) => name.split_at(slash + 1),
            None => (&b"."[..], name.as_slice()),
        };
        let found = disk.learn(folder, directory, Last::Follow);
        if let Ok(Walk::Found(directory)) = found {
            all.push(Declared { path: child(&directory, base) });
        }
    }
    all
}

/// What arrives of a result, until its first output.
#[derive(Default)]
pub(super) struct Arriving {
    plain: Vec<u8>,
    unpacker: Unpacker,
    /// Those that did not arrive yet.
    left: VecDeque<Output>,
    /// The paths of all of them.
    pub(super) written: Vec<Vec<u8>>,
    pub(super) deleted: Vec<Vec<u8>>,
    pub(super) used: Vec<Vec<u8>>,
}

impl Arriving {
    /// Takes a piece of the first stream; how many bytes it is.
    pub(super) fn add(&mut self, chunk: &Chunk) -> Result<u64, Why> {
        let before = self.plain.len();
        let unpacked = self.unpacker.unpack(chunk, &mut self.plain);
        if unpacked.is_err() || self.plain.len() > MAX_ENCODED {
            return Err(Reason::FilesFalse.with("what came cannot be read"));
        }
        Ok((self.plain.len() - before) as u64)
    }

    /// The first stream has ended.
    pub(super) fn end(&mut self, declared: &[Declared]) -> Result<(), Why> {
        let body = ResultBody::decode(&self.plain).map_err(|err| Reason::FilesFalse.with(err.to_string()))?;
        let is_declared = |path: &Vec<u8>| declared.iter().any(|declared| declared.path == *path);
        let written = || body.outputs.iter().map(|output| &output.path);
        if let Some(stray) = written().chain(&body.deleted).find(|path| !is_declared(path)) {
            return Err(Reason::FilesStray.with(stray.as_slice()));
        }
        self.written = written().cloned().collect();
        if let Some(twice) =
            self.written.iter().enumerate().find(|(n, path)| self.written.iter().take(*n).any(|p| p == *path))
        {
            return Err(Reason::FilesFalse.with(twice.1.as_slice()));
        }
        self.deleted = body.deleted;
        self.used = body.used;
        self.left = body.outputs.into();
        self.plain = Vec::new();
        Ok(())
    }

    /// The next output to arrive.
    pub(super) fn next(&mut self) -> Option<Output> {
        self.left.pop_front()
    }
}

/// Where an output belongs, and whether it must have the format of an object. `object` and `dwo` are canonical.
pub(super) fn target(job: &RemoteJob, objects: [Option<&Declared>; 2], path: &[u8]) -> (Target, bool) {
    match objects.map(|known| known.is_some_and(|known| known.path == path)) {
        [true, _] => (Target::object(job), true),
        [_, true] => (Target::dwo(job), true),
        _ => (Target::side(as_path(path).to_path_buf()), false),
    }
}
