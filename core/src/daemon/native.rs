//! Archives of this host's own compilers, made once per compiler and given to clients by path.

use super::peer::State;
use super::{CloseReason, Daemon, Note, Output};
use crate::ids::PeerId;
use crate::message::Message;
use crate::text::Text;
use crate::time::{Duration, Instant};
use crate::version::Version;
use std::collections::{BTreeMap, VecDeque};

/// A native archive that somebody was told of within this time is not deleted: its file is still to be read.
const NATIVE_KEPT: Duration = Duration::from_secs(200);
/// With fewer archives than this, one day.
const NATIVE_FEW: usize = 5;
/// See [`NATIVE_FEW`].
const NATIVE_KEPT_FEW: Duration = Duration::from_secs(24 * 3600);

/// How many times as long as it was tried a compiler that could not be packed is not tried again. Each job would ask for it,
/// for minutes if it takes that long; but one that was packed amid an update is whole a moment later.
const FAILURE_KEPT: u32 = 2;

/// A file that goes into an archive, as it was when looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileFacts {
    /// Absolute path, links followed as the maker does.
    pub path: Text,
    /// Bytes.
    pub size: u64,
    /// Last change in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Number within its file system.
    pub inode: u64,
}

/// What makes two native environments the same. Any change of a file gives another key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NativeKey {
    /// `ICECC_ENV_COMPRESSION` of the request; empty = default.
    pub compression: Text,
    /// The compiler that was asked for.
    pub compiler: Text,
    /// Files to be packed too.
    pub extra_files: Vec<Text>,
    /// The facts: C compiler, C++ compiler if there is one, extra files.
    pub files: Vec<FileFacts>,
}

impl NativeKey {
    /// Whether `other` is the same request at another time.
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

#[derive(Debug, Default)]
pub(super) struct Natives {
    ready: BTreeMap<NativeKey, Ready>,
    /// In the order of asking; the first one is being made.
    wanted: VecDeque<Wanted>,
    /// What could not be made lately, until when that counts, and why.
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
    /// When it was begun, or asked for until then.
    begun: Instant,
}

impl Natives {
    pub fn new(now: Instant, on_disk: &[NativeOnDisk]) -> Self {
        let ready = |n: &NativeOnDisk| (n.key.clone(), Ready { archive: n.archive.clone(), last_use: now });
        Self { ready: on_disk.iter().map(ready).collect(), ..Self::default() }
    }

    /// Bytes of all archives.
    pub fn size(&self) -> u64 {
        self.ready.values().map(|r| r.archive.size).fold(0, u64::saturating_add)
    }

    /// A connection ended, or wants another: it gets no answer any more. An archive that is being made is made all the same,
    /// for the next one; others that nobody waits for are not.
    pub fn waiter_gone(&mut self, peer: PeerId) {
        for wanted in &mut self.wanted {
            wanted.waiting.retain(|p| *p != peer);
        }
        let mut is_first = true;
        self.wanted.retain(|wanted| std::mem::take(&mut is_first) || !wanted.waiting.is_empty());
    }

    /// The archive to delete first, if one may go; it is forgotten here.
    pub fn evict(&mut self, now: Instant) -> Option<(NativeKey, Text)> {
        let kept = if self.ready.len() < NATIVE_FEW { NATIVE_KEPT_FEW } else { NATIVE_KEPT };
        let old = self.ready.iter().filter(|(_, r)| now.since(r.last_use) > kept);
        let key = old.min_by_key(|(_, r)| r.last_use).map(|(key, _)| key.clone())?;
        self.forget(key)
    }

    /// The archives of all: compiler, path, bytes, whether still being made. For the dump.
    pub fn list(&self) -> impl Iterator<Item = (&NativeKey, Option<&Archive>)> {
        let ready = self.ready.iter().map(|(key, r)| (key, Some(&r.archive)));
        ready.chain(self.wanted.iter().map(|w| (&w.key, None)))
    }

    fn forget(&mut self, key: NativeKey) -> Option<(NativeKey, Text)> {
        self.ready.remove(&key).map(|r| (key, r.archive.path))
    }

    /// Archives of the same request at an earlier time.
    fn stale(&self, key: &NativeKey) -> Option<NativeKey> {
        self.ready.keys().find(|k| k.replaces(key)).cloned()
    }
}

impl Daemon {
    pub(super) fn native_examined(
        &mut self,
        now: Instant,
        peer: PeerId,
        outcome: Result<(NativeKey, Option<Archive>), Text>,
    ) {
        if !self.peers.get(&peer).is_some_and(|p| p.state == State::WaitCreateEnv) {
            return; // gone, or it has gone on without
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

    /// There is no archive for this client. One of ours is told why, for its log; 1.4's knows only END.
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
