//! What came of the jobs of this host's users: clients tell it (JOB_NOTE), `icecc --stats` and `--trace` ask for it.
//!
//! It is in memory for the users of late, and on the disk for all of them: written some seconds after a job, and at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ice_core::statistics::{Note, Statistics};
use ice_core::store_layout;
use ice_core::text::Text;
use log::{debug, warn};
use parking_lot::Mutex;

use super::disk::Disk;

/// How many jobs of a user's last build are remembered one by one, …
const RECORDS_MAX: usize = 2000;
/// … and on a host with less free memory than `SMALL_HOST`.
const RECORDS_MAX_SMALL: usize = 200;
/// In MiB.
const SMALL_HOST: u64 = 1024;
/// How many users are kept in memory. Another makes room by the one whose last job is oldest.
const USERS_MAX: usize = 32;
/// Longest file. That of 2,000 jobs with long names has 1.2 million bytes.
const FILE_MAX: u64 = 4 << 20;
/// How often a user's are written.
const PAUSE: Duration = Duration::from_secs(20);

/// The statistics of users.
#[derive(Debug)]
pub struct Noted {
    base: PathBuf,
    records_max: usize,
    users: Mutex<BTreeMap<u32, User>>,
}

#[derive(Debug)]
struct User {
    statistics: Statistics,
    /// When it was last changed or asked for.
    used: Instant,
    /// When it was last written, or read.
    written: Instant,
    is_changed: bool,
}

impl Noted {
    /// Of a daemon with this directory, on a host with so many MiB of free memory.
    pub fn new(base: &Path, memory_mib: u64) -> Self {
        let records_max = if memory_mib < SMALL_HOST { RECORDS_MAX_SMALL } else { RECORDS_MAX };
        Self { base: base.to_path_buf(), records_max, users: Mutex::default() }
    }

    /// A job of a user has ended. What cannot be read is left out.
    pub fn add(&self, uid: u32, text: &Text, disk: &Disk) {
        match serde_json::from_slice::<Note>(text.as_bytes()) {
            Ok(note) => self.with(uid, disk, |user| {
                user.statistics.add(note, self.records_max);
                user.is_changed = true;
            }),
            Err(e) => debug!("a note of a job of uid {uid} cannot be read: {e}"),
        }
    }

    /// A user's, as JSON.
    pub fn shown(&self, uid: u32, disk: &Disk) -> Vec<u8> {
        self.with(uid, disk, |user| encode(&user.statistics))
    }

    /// Has written what has changed and was not written for a while, or `all`.
    pub fn save(&self, disk: &Disk, all: bool) {
        for (uid, user) in self.users.lock().iter_mut() {
            if user.is_changed && (all || user.written.elapsed() >= PAUSE) {
                user.save(*uid, disk);
            }
        }
    }

    fn with<T>(&self, uid: u32, disk: &Disk, use_it: impl FnOnce(&mut User) -> T) -> T {
        let mut users = self.users.lock();
        if !users.contains_key(&uid) {
            make_room(&mut users, disk);
        }
        let user = users.entry(uid).or_insert_with(|| User::open(&self.base, uid));
        user.used = Instant::now();
        use_it(user)
    }
}

fn make_room(users: &mut BTreeMap<u32, User>, disk: &Disk) {
    if users.len() < USERS_MAX {
        return;
    }
    let oldest = users.iter().min_by_key(|(_, user)| user.used).map(|(uid, _)| *uid);
    if let Some((uid, mut user)) = oldest.and_then(|uid| users.remove_entry(&uid)) {
        if user.is_changed {
            user.save(uid, disk);
        }
    }
}

impl User {
    /// As it was written; new if it never was.
    fn open(base: &Path, uid: u32) -> Self {
        let now = Instant::now();
        let statistics = read(&store_layout::user_statistics(base, uid)).unwrap_or_default();
        Self { statistics, used: now, written: now, is_changed: false }
    }

    fn save(&mut self, uid: u32, disk: &Disk) {
        disk.keep_statistics(uid, encode(&self.statistics));
        (self.is_changed, self.written) = (false, Instant::now());
    }
}

fn encode(statistics: &Statistics) -> Vec<u8> {
    // It has no maps but those of texts, and no numbers but whole ones.
    serde_json::to_vec(statistics).unwrap_or_default()
}

/// What a file holds. `None`: nothing, which is told if it should be something.
fn read(path: &Path) -> Option<Statistics> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut text).ok()?;
    let read = serde_json::from_slice(&text);
    read.map_err(|e| warn!("statistics begin anew: {} cannot be read: {e}", path.display())).ok()
}
