//! Native environments: archives of this host's own compilers, made once per compiler; clients get their paths.

use super::peer::State;
use super::{CloseReason, Daemon, Note, Output};
use crate::ids::PeerId;
use crate::message::Message;
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use std::collections::{BTreeMap, VecDeque};

/// An archive whose path was sent to a client within this time is not deleted: the client may not have read it yet.
const NATIVE_KEPT: Duration = Duration::from_secs(200);
/// With fewer archives than this they are kept for [`NATIVE_KEPT_FEW`].
const NATIVE_FEW: usize = 5;
/// See [`NATIVE_FEW`].
const NATIVE_KEPT_FEW: Duration = Duration::from_secs(24 * 3600);

/// After a failure a compiler is not packed again for this many times the duration of the attempt. Each job requests
/// it, and an attempt may take minutes; but a compiler that was packed during its update works again soon.
const FAILURE_KEPT: u32 = 2;

/// A file of an archive, as it was when examined.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileFacts {
    /// Absolute path, with links followed as the packer does.
    pub path: Text,
    /// Bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Inode number.
    pub inode: u64,
}

/// Identity of a native environment. Any change of a file gives another key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NativeKey {
    /// `ICECC_ENV_COMPRESSION` of the request; empty for the default.
    pub compression: Text,
    /// The requested compiler.
    pub compiler: Text,
    /// Extra files to pack.
    pub extra_files: Vec<Text>,
    /// The files examined: C compiler, C++ compiler if there is one, extra files.
    pub files: Vec<FileFacts>,
}

impl NativeKey {
    /// Whether `other` is the key of the same request with other files.
    fn replaces(&self, other: &Self) -> bool {
        let request = |k: &Self| (k.compression.clone(), k.compiler.clone(), k.extra_files.clone());
        self != other && request(self) == request(other)
    }
}

/// An archive on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Absolute path.
    pub path: Text,
    /// Bytes.
    pub size: u64,
}

/// A native archive that was on the disk at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeOnDisk {
    /// What it holds.
    pub key: NativeKey,
    /// Where it is.
    pub archive: Archive,
}

/// All native archives and requests for them.
#[derive(Debug, Default)]
pub(super) struct Natives {
    ready: BTreeMap<NativeKey, Ready>,
    /// Requested archives in order; the first one is being made.
    wanted: VecDeque<Wanted>,
    /// Recent failures: until when they count, and why.
    failed: BTreeMap<NativeKey, (Instant, Text)>,
}

#[derive(Debug)]
struct Ready {
    archive: Archive,
    last_use: Instant,
}

#[derive(Debug)]
struct Wanted {
    key: NativeKey,
    waiting: Vec<PeerId>,
    /// When it was begun; before that, when it was requested.
    begun: Instant,
}

impl Natives {
    /// The archives that were on the disk at the start.
    pub fn new(now: Instant, on_disk: &[NativeOnDisk]) -> Self {
        let ready = |n: &NativeOnDisk| (n.key.clone(), Ready { archive: n.archive.clone(), last_use: now });
        Self { ready: on_disk.iter().map(ready).collect(), ..Self::default() }
    }

    /// Bytes of all archives.
    pub fn size(&self) -> u64 {
        self.ready.values().map(|r| r.archive.size).fold(0, u64::saturating_add)
    }

    /// Removes a connection that has closed or requests something else. The archive that is being made is finished for
    /// later requests; others that nobody waits for are dropped.
    pub fn waiter_gone(&mut self, peer: PeerId) {
        for wanted in &mut self.wanted {
            wanted.waiting.retain(|p| *p != peer);
        }
        let mut is_first = true;
        self.wanted.retain(|wanted| std::mem::take(&mut is_first) || !wanted.waiting.is_empty());
    }

    /// Takes out the archive that should be deleted first, if one may be deleted.
    pub fn evict(&mut self, now: Instant) -> Option<(NativeKey, Text)> {
        let kept = if self.ready.len() < NATIVE_FEW { NATIVE_KEPT_FEW } else { NATIVE_KEPT };
        let old = self.ready.iter().filter(|(_, r)| now.since(r.last_use) > kept);
        let key = old.min_by_key(|(_, r)| r.last_use).map(|(key, _)| key.clone())?;
        self.forget(key)
    }

    /// All archives, `None` for those still being made. For the dump.
    pub fn list(&self) -> impl Iterator<Item = (&NativeKey, Option<&Archive>)> {
        let ready = self.ready.iter().map(|(key, r)| (key, Some(&r.archive)));
        ready.chain(self.wanted.iter().map(|w| (&w.key, None)))
    }

    fn forget(&mut self, key: NativeKey) -> Option<(NativeKey, Text)> {
        self.ready.remove(&key).map(|r| (key, r.archive.path))
    }

    /// An archive of the same request made from earlier versions of its files.
    fn stale(&self, key: &NativeKey) -> Option<NativeKey> {
        self.ready.keys().find(|k| k.replaces(key)).cloned()
    }
}

impl Daemon {
    /// The files of a requested native environment were examined: sends its path, or has the archive made.
    pub(super) fn native_examined(
        &mut self,
        now: Instant,
        peer: PeerId,
        outcome: Result<(NativeKey, Option<Archive>), Text>,
    ) {
        if !self.peers.get(&peer).is_some_and(|p| p.state == State::WaitCreateEnv) {
            return; // closed, or the client has gone on without it
        }
        let (key, archive) = match outcome {
            Ok(found) => found,
            Err(reason) => {
                self.no_native(peer, &reason, CloseReason::NativeMissing);
                return self.note(Note::NativeFailed(reason));
            }
        };
        while let Some(old) = self.natives.stale(&key) {
            self.note(Note::NativeStale(old.compiler.clone()));
            if let Some((old, path)) = self.natives.forget(old) {
                self.outputs.push_back(Output::RemoveNative(old, path));
            }
        }
        if let Some(archive) = archive {
            return self.native_ready(now, &key, archive, vec![peer]);
        }
        self.natives.ready.remove(&key);
        self.natives.failed.retain(|_, (until, _)| now < *until);
        if let Some((_, reason)) = self.natives.failed.get(&key) {
            let reason = reason.clone();
            return self.no_native(peer, &reason, CloseReason::NativeFailed);
        }
        if let Some(wanted) = self.natives.wanted.iter_mut().find(|w| w.key == key) {
            wanted.waiting.push(peer);
            return;
        }
        self.natives.wanted.push_back(Wanted { key, waiting: vec![peer], begun: now });
        if self.natives.wanted.len() == 1 {
            self.build_next(now);
        }
    }

    /// An archive was made, or could not be: answers all that wait for it and starts the next one.
    pub(super) fn native_built(&mut self, now: Instant, key: &NativeKey, outcome: Result<Archive, Text>) {
        if self.natives.wanted.front().is_none_or(|w| w.key != *key) {
            return;
        }
        let Some(wanted) = self.natives.wanted.pop_front() else { return };
        match outcome {
            Ok(archive) => {
                self.native_ready(now, key, archive, wanted.waiting);
                self.keep_cache_limit(now, None);
            }
            Err(reason) => {
                for peer in wanted.waiting {
                    self.no_native(peer, &reason, CloseReason::NativeFailed);
                }
                let until = now + now.since(wanted.begun) * FAILURE_KEPT;
                self.natives.failed.insert(key.clone(), (until, reason.clone()));
                self.note(Note::NativeFailed(reason));
            }
        }
        self.build_next(now);
    }

    /// Tells a client that it gets no archive. Our client gets the reason for its log; 1.4's knows only END.
    fn no_native(&mut self, peer: PeerId, reason: &Text, close: CloseReason) {
        if self.peers.get(&peer).is_some_and(|p| p.version > Version::TO_SCHEDULER) {
            self.send(peer, Message::StatusText { text: reason.clone() });
        }
        self.send(peer, Message::End);
        self.close(peer, close);
    }

    fn native_ready(&mut self, now: Instant, key: &NativeKey, archive: Archive, waiting: Vec<PeerId>) {
        let path = archive.path.clone();
        self.natives.ready.insert(key.clone(), Ready { archive, last_use: now });
        for peer in waiting {
            self.set_state(peer, State::GotNative);
            self.send(peer, Message::NativeEnv { path: path.clone() });
        }
    }

    fn build_next(&mut self, now: Instant) {
        if let Some(wanted) = self.natives.wanted.front_mut() {
            wanted.begun = now;
            let key = wanted.key.clone();
            self.note(Note::NativeBuilding(key.compiler.clone()));
            self.outputs.push_back(Output::BuildNative(key));
        }
    }
}
