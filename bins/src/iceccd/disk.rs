//! The thread that owns what the daemon keeps on disk: the records of environments, and native archives
//! (decision: disk-thread).
//!
//! What changes them is a task, carried out one after another: an environment is gone before one of its name is entered.
//! The loop hands its tasks over and never waits; a connection waits for the answer to its own. No task takes long where
//! disk and launcher work: archives are unpacked, made and compared by the threads that want them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use ice_core::daemon::{Archive, Input, NativeKey};
use ice_core::env::EnvId;
use ice_core::files::{Digest, Token};
use ice_core::text::Text;
use ice_launcher::{Contents, LaunchError};
use ice_toolchain::kept::Kept;
use ice_toolchain::native_store::{KeepError, Made, NativeStore, Packed};
use ice_toolchain::store::{Record, Store, StoreError};
use log::{error, warn};
use parking_lot::RwLock;
use thiserror::Error;

use super::load;
use crate::exit::chain;

/// While more tasks than these wait, uses are not recorded: eviction after a restart needs them roughly.
const USES_MAX: usize = 256;
/// While more tasks than these wait, no record is taken: each may have a megabyte.
const RECORDS_MAX: usize = 32;
/// Stack of the thread.
const STACK: usize = 128 << 10;

/// Why a task was not carried out.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The record of an environment.
    #[error(transparent)]
    Record(#[from] StoreError),
    /// An archive.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The thread has ended.
    #[error("nobody keeps what is on the disk any more")]
    Gone,
}

enum Task {
    Use(EnvId, u64),
    Remove(EnvId),
    Enter(EnvId, Record, Sender<Result<(), StoreError>>),
    Forget(EnvId),
    Keep(NativeKey, Made, Sender<Result<Archive, KeepError>>),
    ForgetNative(NativeKey),
    RemoveNative(NativeKey, Text),
    Token(u32, Sender<Option<Token>>),
    KeepRecord(u32, Digest, Vec<u8>),
    UseRecord(u32, Digest),
    KeepStatistics(u32, Vec<u8>),
    Measure,
    Finish(Sender<()>),
}

/// The way to the thread. No call waits but those that return something.
#[derive(Debug)]
pub struct Disk {
    /// Never more than what is on the disk, which came by here, can go by here; besides a question of each connection, one
    /// measurement, the statistics of users, [`USES_MAX`] and [`RECORDS_MAX`].
    tasks: Sender<Task>,
    /// The native archives as the thread's last change has left them.
    natives: Arc<RwLock<BTreeMap<NativeKey, Packed>>>,
}

/// What the thread owns.
pub struct Owned<R> {
    /// The records of environments.
    pub store: Store,
    /// The native archives.
    pub natives: NativeStore,
    /// What is kept for users.
    pub kept: Kept,
    /// Removes an environment's directory.
    pub remove: R,
    /// Where all lies.
    pub base: PathBuf,
}

impl Disk {
    /// Starts the thread. `measured` gets the measurements.
    pub fn start<R>(owned: Owned<R>, measured: Sender<Input>) -> io::Result<Self>
    where
        R: Fn(&EnvId) -> Result<(), LaunchError> + Send + 'static,
    {
        let (tasks, waiting) = unbounded();
        let natives = Arc::new(RwLock::new(owned.natives.index().clone()));
        let shown = Arc::clone(&natives);
        thread::Builder::new()
            .name("disk".into())
            .stack_size(STACK)
            .spawn(move || owned.work(&waiting, &measured, &shown))?;
        Ok(Self { tasks, natives })
    }

    /// A job begins in an environment.
    pub fn uses(&self, env: EnvId) {
        if self.tasks.len() < USES_MAX {
            self.give(Task::Use(env, unix_now()));
        }
    }

    /// Removes an environment with its record.
    pub fn remove(&self, env: EnvId) {
        self.give(Task::Remove(env));
    }

    /// Enters an environment that is about to be installed: by then what had its name is gone.
    pub fn enter(&self, env: EnvId, contents: &Contents) -> Result<(), DiskError> {
        let Contents { bytes, digest, proven, .. } = *contents;
        let record = Record { bytes, last_use: unix_now(), digest: Some(digest), proven };
        Ok(self.ask(|answer| Task::Enter(env, record, answer))??)
    }

    /// Drops the record of an environment that was entered, but not installed.
    pub fn forget(&self, env: EnvId) {
        self.give(Task::Forget(env));
    }

    /// What was made of a compiler, perhaps of earlier versions of its files. Each remote job asks, so nobody is woken for it.
    pub fn find(&self, key: &NativeKey) -> Option<Packed> {
        self.natives.read().get(key).cloned()
    }

    /// Keeps a native archive.
    pub fn keep(&self, key: NativeKey, made: Made) -> Result<Archive, DiskError> {
        Ok(self.ask(|answer| Task::Keep(key, made, answer))??)
    }

    /// Deletes what was made of a compiler, whatever its path.
    pub fn forget_native(&self, key: NativeKey) {
        self.give(Task::ForgetNative(key));
    }

    /// Deletes a native archive.
    pub fn remove_native(&self, key: NativeKey, path: Text) {
        self.give(Task::RemoveNative(key, path));
    }

    /// The token of a user who has none yet.
    pub fn token(&self, uid: u32) -> Option<Token> {
        self.ask(|answer| Task::Token(uid, answer)).ok().flatten()
    }

    /// Keeps a record of a user, unless much waits: it costs time only.
    pub fn keep_record(&self, uid: u32, key: Digest, record: Vec<u8>) {
        if self.tasks.len() < RECORDS_MAX {
            self.give(Task::KeepRecord(uid, key, record));
        }
    }

    /// A record of a user is used.
    pub fn uses_record(&self, uid: u32, key: Digest) {
        if self.tasks.len() < USES_MAX {
            self.give(Task::UseRecord(uid, key));
        }
    }

    /// Keeps the statistics of a user, which come now and then.
    pub fn keep_statistics(&self, uid: u32, text: Vec<u8>) {
        self.give(Task::KeepStatistics(uid, text));
    }

    /// Measures this host: it asks the file system too, which may wait for its disk.
    pub fn measure(&self) {
        self.give(Task::Measure);
    }

    /// Waits until all is done, at the end. `false`: it was not within `timeout`.
    pub fn finish(&self, timeout: Duration) -> bool {
        let (answer, finished) = bounded(1);
        self.give(Task::Finish(answer));
        finished.recv_timeout(timeout).is_ok()
    }

    fn give(&self, task: Task) {
        // The thread lives as long as this.
        let _ = self.tasks.send(task);
    }

    fn ask<T>(&self, task: impl FnOnce(Sender<T>) -> Task) -> Result<T, DiskError> {
        let (answer, answered) = bounded(1);
        self.give(task(answer));
        answered.recv().map_err(|_| DiskError::Gone)
    }
}

impl<R: Fn(&EnvId) -> Result<(), LaunchError>> Owned<R> {
    /// Until nobody can give a task any more. Who asked may have gone meanwhile.
    fn work(mut self, tasks: &Receiver<Task>, measured: &Sender<Input>, shown: &RwLock<BTreeMap<NativeKey, Packed>>) {
        for task in tasks {
            match task {
                Task::Use(env, unix) => {
                    if let Err(e) = self.store.touch(&env, unix) {
                        warn!("{}", chain(&e));
                    }
                }
                Task::Remove(env) => {
                    if let Err(e) = (self.remove)(&env) {
                        error!("cannot remove environment {env}: {}", chain(&e));
                    }
                    self.store.forget(&env);
                }
                Task::Enter(env, record, answer) => {
                    let _ = answer.send(self.store.enter(&env, record));
                }
                Task::Forget(env) => self.store.forget(&env),
                Task::Keep(key, made, answer) => {
                    let kept = self.change_natives(shown, |natives| natives.keep(&key, made));
                    let _ = answer.send(kept);
                }
                Task::ForgetNative(key) => self.change_natives(shown, |natives| natives.forget(&key)),
                Task::RemoveNative(key, path) => self.change_natives(shown, |natives| natives.remove(&key, &path)),
                Task::Token(uid, answer) => {
                    let token = self.kept.token(uid).map_err(|e| warn!("no token for uid {uid}: {}", chain(&e)));
                    let _ = answer.send(token.ok());
                }
                Task::KeepRecord(uid, key, record) => {
                    if let Err(e) = self.kept.put(uid, key, &record) {
                        warn!("{}", chain(&e));
                    }
                }
                Task::UseRecord(uid, key) => self.kept.touch(uid, key),
                Task::KeepStatistics(uid, text) => {
                    if let Err(e) = self.kept.put_statistics(uid, &text) {
                        warn!("{}", chain(&e));
                    }
                }
                Task::Measure => {
                    let _ = measured.send(Input::Measured(load::measure(&self.base)));
                }
                Task::Finish(answer) => {
                    let _ = answer.send(());
                }
            }
        }
    }

    /// An index that cannot be written costs new archives after the next start.
    fn change_natives<T>(
        &mut self,
        shown: &RwLock<BTreeMap<NativeKey, Packed>>,
        change: impl FnOnce(&mut NativeStore) -> T,
    ) -> T {
        let changed = change(&mut self.natives);
        *shown.write() = self.natives.index().clone();
        if let Err(error) = self.natives.save() {
            warn!("cannot write the index of native environments: {error}");
        }
        changed
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ice_core::store_layout;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn env(name: &str) -> EnvId {
        EnvId::new(b"x86_64", name.as_bytes()).unwrap()
    }

    #[test]
    fn what_a_slow_disk_does_later_it_does_in_order_and_nobody_waits_but_who_asks() {
        let base = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(base.path()).unwrap();
        let natives = NativeStore::open(store_layout::native(base.path())).unwrap();
        let (begins, begun) = bounded(1);
        let (go_on, goes_on) = bounded::<()>(1);
        let remove = move |_: &EnvId| {
            begins.send(()).unwrap();
            goes_on.recv().unwrap();
            Err(LaunchError::Gone)
        };
        let (measured, measurements) = bounded(1);
        let kept = Kept::open(base.path(), 1 << 20).unwrap();
        let owned = Owned { store, natives, kept, remove, base: base.path().to_path_buf() };
        let disk = Disk::start(owned, measured).unwrap();
        let record = store_layout::record(base.path(), &env("e"));

        let contents = |bytes| Contents { bytes, ..Contents::default() };
        disk.enter(env("e"), &contents(5)).unwrap();
        disk.remove(env("e"));
        begun.recv_timeout(MINUTE).unwrap();
        for _ in 0..2 * USES_MAX {
            disk.uses(env("e"));
        }
        disk.measure();
        assert!(disk.tasks.len() <= USES_MAX + 1 && record.exists() && measurements.is_empty());
        assert!(!disk.finish(Duration::ZERO));

        go_on.send(()).unwrap();
        disk.enter(env("e"), &contents(7)).unwrap();
        assert!(fs::read_to_string(&record).unwrap().starts_with("bytes 7\n"), "entered after the removal");
        assert!(matches!(measurements.recv_timeout(MINUTE), Ok(Input::Measured(_))));
        disk.forget(env("e"));
        assert!(disk.finish(MINUTE) && !record.exists());
    }
}
