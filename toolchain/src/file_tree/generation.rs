//! One generation of a tree on disk: directories of layers, which overlay mounts.

use super::TreeError;
use super::room::Room;
use ice_core::files::tree::{Layer, Make, Place, Source, Step, Tree};
use ice_core::files::{Digest, Fact, FileFact, Time, Token};
use ice_core::store_layout;
use parking_lot::Mutex;
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, mknodat};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The layers of a generation. They go when nobody uses them any more.
#[derive(Debug)]
pub(super) struct Generation {
    pub number: u32,
    /// What is in them. To be locked after the state of its submitter.
    pub tree: Mutex<Tree>,
    dir: PathBuf,
    room: Room,
}

impl Generation {
    /// What a path takes besides its contents: of the disk, and of memory, where it is absent too.
    pub const ENTRY: u64 = 4096;

    /// One without a path yet, for what `tree` holds.
    pub fn new(base: &Path, token: &Token, number: u32, tree: Tree, room: Room) -> Result<Self, TreeError> {
        let dir = store_layout::tree_generation(base, token, number);
        let generation = Self { number, tree: Mutex::new(tree), dir, room };
        DirBuilder::new().recursive(true).mode(0o700).create(&generation.dir).map_err(TreeError::Disk)?;
        generation.make_dir(&generation.place(0, b"/"), Fact::READABLE | Fact::EXECUTABLE)?;
        Ok(generation)
    }

    /// What steps take of the disk, beside what has arrived and is counted already. What is linked counts again: it stays
    /// when the other one goes.
    pub fn cost(steps: &[Step]) -> u64 {
        let cost = |step: &Step| match &step.make {
            Make::File { file, from: Source::Copy(_) | Source::Same(_) } => Self::ENTRY.saturating_add(file.size),
            _ => Self::ENTRY,
        };
        steps.iter().map(cost).fold(0, u64::saturating_add)
    }

    /// Counts bytes as this generation's, if there is room for them.
    pub fn take_room(&self, bytes: u64) -> Result<(), TreeError> {
        self.room.take(bytes)
    }

    /// What has arrived is counted here from now on.
    pub fn take_over(&self, bytes: u64, from: &Room) {
        from.hand_over(bytes, &self.room);
    }

    /// Carries out steps. What has arrived lies in `arriving`; other files come from `from`. If it fails, nothing more may be done
    /// with this generation: it holds what its tree does not know.
    pub fn carry_out(&self, steps: &[Step], arriving: &Path, from: &Self) -> Result<(), TreeError> {
        steps.iter().try_for_each(|step| self.make(step, arriving, from))
    }

    fn make(&self, step: &Step, arriving: &Path, from: &Self) -> Result<(), TreeError> {
        let at = self.place(step.layer, &step.path);
        match &step.make {
            Make::Dir { perm } => self.make_dir(&at, *perm),
            Make::Link { target } => symlink(OsStr::from_bytes(target), &at).map_err(TreeError::Disk),
            Make::Whiteout => {
                // 0/0, which overlay takes for nothing, and which anybody may make.
                mknodat(CWD, &at, FileType::CharacterDevice, Mode::empty(), 0).map_err(|e| TreeError::Disk(e.into()))
            }
            Make::File { file, from: source } => match source {
                Source::Same(place) => fs::hard_link(from.of(place), &at).map_err(TreeError::Disk),
                Source::Arrived => place(&arrived(arriving, &file.digest), file, &at).map_err(TreeError::Disk),
                Source::Copy(of) => {
                    copy(&from.of(of), &arriving.join("copy")).map_err(TreeError::Disk)?;
                    place(&arriving.join("copy"), file, &at).map_err(TreeError::Disk)
                }
                Source::Nothing => {
                    // Of the right size, without bytes.
                    let hollow = arriving.join("copy");
                    let made = create(&hollow).and_then(|made| made.set_len(file.size));
                    made.and_then(|()| place(&hollow, file, &at)).map_err(TreeError::Disk)
                }
            },
        }
    }

    fn make_dir(&self, at: &Path, perm: u8) -> Result<(), TreeError> {
        let others = u32::from(perm & (Fact::READABLE | Fact::EXECUTABLE));
        let made = DirBuilder::new().mode(0o700).create(at);
        // The job writes there, under an id of its own.
        made.and_then(|()| fs::set_permissions(at, Permissions::from_mode(0o722 | others << 3 | others)))
            .map_err(TreeError::Disk)
    }

    fn of(&self, place: &Place) -> PathBuf {
        self.place(place.layer, &place.path)
    }

    fn place(&self, layer: Layer, path: &[u8]) -> PathBuf {
        let layer = self.dir.join(store_layout::layer_name(layer));
        match path.strip_prefix(b"/") {
            None | Some([]) => layer,
            Some(path) => layer.join(OsStr::from_bytes(path)),
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        // What is left is removed at the next start.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Where contents lie until they are put into a layer.
pub(super) fn arrived(arriving: &Path, digest: &Digest) -> PathBuf {
    arriving.join(digest.to_string())
}

/// A new file, or an empty one in place of what a failure left.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Copies bytes, by the file system's own means if it has some.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut create(to)?).map(drop)
}

/// Gives a file that is whole its mode, its time and its place, in this order: who sees it there sees all.
fn place(made: &Path, file: &FileFact, at: &Path) -> io::Result<()> {
    let bits = u32::from(file.perm & (Fact::READABLE | Fact::EXECUTABLE));
    let Time { seconds, nanoseconds } = file.mtime;
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    rustix::fs::utimensat(
        CWD,
        made,
        &Timestamps { last_access: time, last_modification: time },
        rustix::fs::AtFlags::empty(),
    )?;
    fs::set_permissions(made, Permissions::from_mode(bits << 6 | bits << 3 | bits))?;
    fs::rename(made, at)
}
