//! Native environments: archives of this host's own compilers, made once per compiler; clients get their paths.

use super::{CloseReason, Note};
use crate::ids::PeerId;
use crate::text::Text;
use crate::time::{Duration, Instant};
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

/// A file of an archive, as it was when examined. A plain value from the shell.
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

/// Identity of a native environment. Any change of a file gives another key. A plain value from the shell.
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
        self != other && self.request() == other.request()
    }

    fn request(&self) -> (&Text, &Text, &[Text]) {
        (&self.compression, &self.compiler, &self.extra_files)
    }
}

/// An archive on the disk. A plain value from the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Absolute path.
    pub path: Text,
    /// Bytes.
    pub size: u64,
}

/// A native archive that was on the disk at the start. A plain value from the shell.
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

/// What follows from an event; to be carried out in order.
#[derive(Debug)]
pub(super) enum Effect {
    /// A line for the log.
    Note(Note),
    /// An archive must be made.
    Build(NativeKey),
    /// An archive must be deleted from this path.
    Remove(NativeKey, Text),
    /// A client gets the path of its archive.
    Ready(PeerId, Text),
    /// A client gets no archive, and why.
    Refused(PeerId, Text, CloseReason),
    /// There are more bytes on the disk.
    Grown,
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

    /// The files that a client requested were examined: it gets the path, or the archive is made. One that was there may
    /// have been evicted since.
    pub fn examined(&mut self, now: Instant, peer: PeerId, outcome: Result<(NativeKey, bool), Text>) -> Vec<Effect> {
        let (key, is_there) = match outcome {
            Ok(found) => found,
            Err(reason) => {
                let refused = Effect::Refused(peer, reason.clone(), CloseReason::NativeMissing);
                return vec![refused, Effect::Note(Note::NativeFailed(reason))];
            }
        };
        let mut effects = self.drop_stale(&key);
        match self.ready.get_mut(&key).filter(|_| is_there) {
            Some(ready) => {
                ready.last_use = now;
                effects.push(Effect::Ready(peer, ready.archive.path.clone()));
            }
            None => effects.extend(self.want(now, key, peer)),
        }
        effects
    }

    /// An archive was made, or could not be: answers all that wait for it and starts the next one.
    pub fn built(&mut self, now: Instant, key: NativeKey, outcome: Result<Archive, Text>) -> Vec<Effect> {
        let is_first = self.wanted.front().is_some_and(|first| first.key == key);
        let Some(wanted) = is_first.then(|| self.wanted.pop_front()).flatten() else { return Vec::new() };
        let mut effects = match outcome {
            Ok(archive) => {
                let mut effects = self.ready(now, key, archive, wanted.waiting);
                effects.push(Effect::Grown);
                effects
            }
            Err(reason) => self.failed(now, wanted, reason),
        };
        effects.extend(self.build_next(now));
        effects
    }

    fn forget(&mut self, key: NativeKey) -> Option<(NativeKey, Text)> {
        self.ready.remove(&key).map(|r| (key, r.archive.path))
    }

    /// An archive of the same request made from earlier versions of its files.
    fn stale(&self, key: &NativeKey) -> Option<NativeKey> {
        self.ready.keys().find(|k| k.replaces(key)).cloned()
    }

    /// Deletes what was made from earlier versions of the files.
    fn drop_stale(&mut self, key: &NativeKey) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some((old, path)) = self.stale(key).and_then(|old| self.forget(old)) {
            effects.push(Effect::Note(Note::NativeStale(old.compiler.clone())));
            effects.push(Effect::Remove(old, path));
        }
        effects
    }

    fn ready(&mut self, now: Instant, key: NativeKey, archive: Archive, waiting: Vec<PeerId>) -> Vec<Effect> {
        let path = archive.path.clone();
        self.ready.insert(key, Ready { archive, last_use: now });
        waiting.into_iter().map(|peer| Effect::Ready(peer, path.clone())).collect()
    }

    /// Has an archive made for a client, unless that failed a short time ago.
    fn want(&mut self, now: Instant, key: NativeKey, peer: PeerId) -> Vec<Effect> {
        self.ready.remove(&key);
        self.failed.retain(|_, (until, _)| now < *until);
        if let Some((_, reason)) = self.failed.get(&key) {
            return vec![Effect::Refused(peer, reason.clone(), CloseReason::NativeFailed)];
        }
        if let Some(wanted) = self.wanted.iter_mut().find(|w| w.key == key) {
            wanted.waiting.push(peer);
            return Vec::new();
        }
        self.wanted.push_back(Wanted { key, waiting: vec![peer], begun: now });
        if self.wanted.len() == 1 { self.build_next(now) } else { Vec::new() }
    }

    fn failed(&mut self, now: Instant, wanted: Wanted, reason: Text) -> Vec<Effect> {
        let refused = |peer| Effect::Refused(peer, reason.clone(), CloseReason::NativeFailed);
        let mut effects: Vec<Effect> = wanted.waiting.into_iter().map(refused).collect();
        effects.push(Effect::Note(Note::NativeFailed(reason.clone())));
        let until = now + now.since(wanted.begun) * FAILURE_KEPT;
        self.failed.insert(wanted.key, (until, reason));
        effects
    }

    fn build_next(&mut self, now: Instant) -> Vec<Effect> {
        let Some(wanted) = self.wanted.front_mut() else { return Vec::new() };
        wanted.begun = now;
        let key = wanted.key.clone();
        vec![Effect::Note(Note::NativeBuilding(key.compiler.clone())), Effect::Build(key)]
    }
}
