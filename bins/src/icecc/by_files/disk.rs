//! The user's own files as facts: looked at once for a job, each with the stamp by which a change is seen.

use super::stamp::Stamp;
use ice_core::files::{Digest, Fact, Facts, FileFact, Last, Time, Walk, names_key, walk};
use ice_core::reason::{Reason, Why};
use rustix::fs::{Access, AtFlags, CWD, accessat, statfs};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Largest file that is looked through for dates.
const SOURCE_MAX: u64 = 16 << 20;
/// Kinds of file systems whose times and contents others may change unseen, or that are no files at all.
const UNFIT: [u64; 14] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xfe53_4d42, // SMB 2
    0xff53_4d42, // CIFS
    0x6573_5546, // FUSE
    0x0102_1997, // 9P
    0x5346_414f, // AFS
    0x6b41_4653, // AFS of the kernel
    0x7375_7245, // Coda
    0x00c3_6400, // Ceph
    0x0bd0_0bd0, // Lustre
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x1cd1,      // devpts
];

/// Why a job cannot be done by files.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Unfit {
    /// A pipe, socket or device.
    #[error("{} is no file, directory or link", show(.0))]
    Kind(Vec<u8>),
    /// A network or FUSE file system, or one of the kernel's.
    #[error("{} is on a file system that changes unseen", show(.0))]
    FileSystem(Vec<u8>),
    /// It cannot be looked at or read.
    #[error("{} cannot be read", show(.0))]
    Unreadable(Vec<u8>, #[source] io::Error),
    /// It changed while it was read, or since.
    #[error("{} has just changed", show(.0))]
    Changed(Vec<u8>),
    /// The command means something else elsewhere.
    #[error("the command is about this host")]
    Command,
    /// A source shows the date or time, and another host's clock is another one.
    #[error("{} shows the date or time", show(.0))]
    Dated(Vec<u8>),
    /// A path that leads nowhere.
    #[error("{} leads nowhere", show(.0))]
    Path(Vec<u8>),
}

impl From<Unfit> for Why {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Changed(path) => Reason::FilesChanged.with(path),
            Unfit::Dated(path) => Reason::FilesDate.with(path),
            Unfit::Command => Reason::FilesUnfit.into(),
            Unfit::Kind(path) | Unfit::FileSystem(path) | Unfit::Unreadable(path, _) | Unfit::Path(path) => {
                Reason::FilesUnfit.with(path)
            }
        }
    }
}

fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// What is known of a path.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) fact: Fact,
    /// None of what is absent, and of lists of names.
    pub(super) stamp: Option<Stamp>,
    /// It is a source that shows the date or time.
    pub(super) shows_date: bool,
}

/// The files, as far as this job has looked at them.
#[derive(Debug)]
pub(super) struct Disk {
    facts: Facts,
    stamps: BTreeMap<Vec<u8>, Stamp>,
    dates: BTreeSet<Vec<u8>>,
    /// By number of a device: whether its files can be trusted.
    devices: HashMap<u64, bool>,
    /// When the first of them was looked at.
    since: i64,
}

impl Disk {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            facts: Facts::new(),
            stamps: BTreeMap::new(),
            dates: BTreeSet::new(),
            devices: HashMap::new(),
            since: i64::try_from(now).unwrap_or(i64::MAX),
        }
    }

    /// All that is known.
    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// When the first file was looked at.
    pub(super) fn since(&self) -> i64 {
        self.since
    }

    /// What is known of a path.
    pub(super) fn known(&self, path: &[u8]) -> Option<Known> {
        let fact = self.facts.get(path)?.clone();
        Some(Known { fact, stamp: self.stamps.get(path).copied(), shows_date: self.dates.contains(path) })
    }

    /// The first of these paths that is a source that shows the date or time.
    pub(super) fn dated<'a>(&self, paths: impl IntoIterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
        if self.dates.is_empty() {
            return None;
        }
        paths.into_iter().find(|path| self.dates.contains(*path))
    }

    /// Follows a path from a canonical directory, looking at what was not looked at yet.
    pub(super) fn learn(&mut self, start: &[u8], path: &[u8], last: Last) -> Result<Walk, Unfit> {
        loop {
            match walk(&self.facts, start, path, last) {
                Walk::Unknown(place) => self.look(&place)?,
                found => return Ok(found),
            }
        }
    }

    /// As [`Disk::learn`]: the canonical path of the file or directory that is found.
    pub(super) fn find(&mut self, start: &[u8], path: &[u8]) -> Result<Option<Vec<u8>>, Unfit> {
        Ok(match self.learn(start, path, Last::Follow)? {
            Walk::Found(found) => Some(found),
            _ => None,
        })
    }

    /// Learns the names in a canonical directory.
    pub(super) fn list(&mut self, directory: &[u8]) -> Result<(), Unfit> {
        let key = key_of_names(directory);
        if self.facts.get(&key).is_none() {
            let names = names(directory).map_err(|err| Unfit::Unreadable(directory.to_vec(), err))?;
            self.facts.insert(key, Fact::Names(names));
        }
        Ok(())
    }

    /// Looks at a canonical path.
    fn look(&mut self, path: &[u8]) -> Result<(), Unfit> {
        let unreadable = |err| Unfit::Unreadable(path.to_vec(), err);
        let meta = match fs::symlink_metadata(as_path(path)) {
            Ok(meta) => meta,
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                self.facts.insert(path.to_vec(), Fact::Absent);
                return Ok(());
            }
            Err(err) => return Err(unreadable(err)),
        };
        let stamp = Stamp::of(&meta);
        self.check_device(path, &stamp)?;
        let fact = match meta.file_type() {
            kind if kind.is_dir() => Fact::Dir { perm: permissions(path).map_err(unreadable)? },
            kind if kind.is_symlink() => {
                let target = fs::read_link(as_path(path)).map_err(unreadable)?;
                Fact::Link { target: target.into_os_string().into_vec() }
            }
            kind if kind.is_file() => self.read(path, &stamp)?,
            kind => {
                debug_assert!(kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device());
                return Err(Unfit::Kind(path.to_vec()));
            }
        };
        self.keep(path, Known { fact, stamp: Some(stamp), shows_date: self.dates.contains(path) });
        Ok(())
    }

    /// Reads a regular file for its digest.
    fn read(&mut self, path: &[u8], stamp: &Stamp) -> Result<Fact, Unfit> {
        let unreadable = |err| Unfit::Unreadable(path.to_vec(), err);
        let file = open(path).map_err(unreadable)?;
        let is_same = |meta: Metadata| Stamp::of(&meta) == *stamp;
        let looked_through = look_through(&file, stamp.size).map_err(unreadable)?;
        if !is_same(file.metadata().map_err(unreadable)?) {
            return Err(Unfit::Changed(path.to_vec()));
        }
        if looked_through.shows_date {
            self.dates.insert(path.to_vec());
        }
        Ok(Fact::File(FileFact {
            size: stamp.size,
            mtime: Time { seconds: stamp.changed.0, nanoseconds: u32::try_from(stamp.changed.1).unwrap_or(0) },
            perm: permissions(path).map_err(unreadable)?,
            group: stamp.link_group(),
            digest: looked_through.digest,
        }))
    }

    fn check_device(&mut self, path: &[u8], stamp: &Stamp) -> Result<(), Unfit> {
        let is_fit = *self.devices.entry(stamp.device).or_insert_with(|| {
            statfs(as_path(path)).is_ok_and(|system| !UNFIT.contains(&(system.f_type as u64 & 0xffff_ffff)))
        });
        if is_fit { Ok(()) } else { Err(Unfit::FileSystem(path.to_vec())) }
    }

    fn keep(&mut self, path: &[u8], known: Known) {
        self.facts.insert(path.to_vec(), known.fact);
        if let Some(stamp) = known.stamp {
            self.stamps.insert(path.to_vec(), stamp);
        }
        if known.shows_date {
            self.dates.insert(path.to_vec());
        }
    }

    /// Takes what was known of a path at the second `then`, if it is still so; otherwise looks at it. `false`: it is another
    /// fact now. Paths are to be given in order, as nothing is known in what is no directory any more.
    pub(super) fn take(&mut self, path: &[u8], known: Known, then: i64) -> Result<bool, Unfit> {
        if self.facts.get(path).is_some() {
            return Ok(true);
        }
        if !self.is_in_directory(path) {
            return Ok(false);
        }
        if let Fact::Names(_) = known.fact {
            return self.list(path.strip_suffix(b"/").filter(|path| !path.is_empty()).unwrap_or(b"/")).map(|()| true);
        }
        let found = fs::symlink_metadata(as_path(path));
        match (&known.fact, &known.stamp, found) {
            (Fact::Absent, _, Err(err)) if err.kind() == io::ErrorKind::NotFound => {
                self.keep(path, known);
                return Ok(true);
            }
            (_, Some(stamp), Ok(meta)) if Stamp::of(&meta) == *stamp && !stamp.is_young(then) => {
                let stamp = *stamp;
                self.check_device(path, &stamp)?;
                self.keep(path, known);
                return Ok(true);
            }
            _ => {}
        }
        self.look(path)?;
        Ok(self.facts.get(path) == Some(&known.fact))
    }

    fn is_in_directory(&self, path: &[u8]) -> bool {
        match path.iter().rposition(|b| *b == b'/') {
            None => false,
            Some(0) if path.len() == 1 => true,
            Some(0) => matches!(self.facts.get(b"/"), Some(Fact::Dir { .. })),
            Some(slash) => matches!(self.facts.get(path.get(..slash).unwrap_or_default()), Some(Fact::Dir { .. })),
        }
    }

    /// Whether all is still as it was when it was looked at.
    pub(super) fn prove(&self) -> Result<(), Unfit> {
        match self.facts.iter().find(|(path, fact)| !self.still_holds(path, fact)) {
            Some((path, _)) => Err(Unfit::Changed(path.to_vec())),
            None => Ok(()),
        }
    }

    fn still_holds(&self, path: &[u8], fact: &Fact) -> bool {
        if let Fact::Names(known) = fact {
            return names(path).is_ok_and(|names| names == *known);
        }
        let found = fs::symlink_metadata(as_path(path));
        match (fact, self.stamps.get(path), found) {
            (Fact::Absent, _, Err(err)) => err.kind() == io::ErrorKind::NotFound,
            (Fact::Dir { perm }, Some(stamp), Ok(meta)) => {
                let is_same = Stamp::of(&meta) == *stamp;
                is_same || meta.is_dir() && permissions(path).is_ok_and(|now| now == *perm)
            }
            (_, Some(stamp), Ok(meta)) => {
                Stamp::of(&meta) == *stamp && (!stamp.is_young(self.since) || self.reads_the_same(path, fact))
            }
            _ => false,
        }
    }

    /// Whether a file or link that was changed just before it was read still has the same content.
    fn reads_the_same(&self, path: &[u8], fact: &Fact) -> bool {
        match fact {
            Fact::File(known) => {
                let digest = open(path).and_then(digest);
                digest.is_ok_and(|digest| digest == known.digest)
            }
            Fact::Link { target } => {
                fs::read_link(as_path(path)).is_ok_and(|now| now.as_os_str().as_bytes() == target.as_slice())
            }
            _ => true,
        }
    }
}

/// The key of the names in a canonical directory.
fn key_of_names(directory: &[u8]) -> Vec<u8> {
    names_key(directory)
}

/// What came of reading a file.
struct LookedThrough {
    digest: Digest,
    shows_date: bool,
}

fn look_through(mut file: &File, size: u64) -> io::Result<LookedThrough> {
    if size > SOURCE_MAX {
        return Ok(LookedThrough { digest: digest(file)?, shows_date: false });
    }
    let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.read_to_end(&mut text)?;
    let digest = digest(text.as_slice())?;
    Ok(LookedThrough { digest, shows_date: !is_program(&text) && shows_date(&text) })
}

fn is_program(text: &[u8]) -> bool {
    text.starts_with(b"\x7fELF") || text.starts_with(b"!<arch>")
}

/// Whether a source names a macro that another host fills in otherwise. `__TIMESTAMP__` is the file's own time.
fn shows_date(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.windows(3).position(|three| three == b"__D" || three == b"__T") {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(b"__DATE__") || rest.starts_with(b"__TIME__") {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

/// BLAKE3 of what can be read.
pub(super) fn digest(content: impl Read) -> io::Result<Digest> {
    let hex = ice_toolchain::digest::of_content(content)?;
    Digest::from_hex(hex.as_bytes()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Opens what shall be a regular file: no link is followed, no pipe is waited for.
pub(super) fn open(path: &[u8]) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(as_path(path))
}

fn names(directory: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let entries = fs::read_dir(as_path(directory))?;
    let mut names = entries.map(|entry| Ok(entry?.file_name().into_vec())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// What the user may do with it.
fn permissions(path: &[u8]) -> io::Result<u8> {
    let may = |access| match accessat(CWD, as_path(path), access, AtFlags::EACCESS) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::ACCESS) => Ok(false),
        Err(err) => Err(io::Error::from(err)),
    };
    let bit = |may, bit| if may { bit } else { 0 };
    Ok(bit(may(Access::READ_OK)?, Fact::READABLE) | bit(may(Access::EXEC_OK)?, Fact::EXECUTABLE))
}

pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
