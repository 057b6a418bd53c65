//! By what it is seen that a file is still the same, without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// A file that was changed so many seconds before it was looked at may change once more without another time: it is read
/// again. Clocks of files may stand still for some milliseconds, those of some file systems for two seconds.
const YOUNG: i64 = 2;

/// What `lstat` says of a file, directory or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    inode: u64,
    mode: u32,
    user: u32,
    group: u32,
    pub(super) links: u64,
    pub(super) size: u64,
    pub(super) changed: (i64, i64),
    status_changed: (i64, i64),
}

impl Stamp {
    /// Bytes of [`Stamp::encode`].
    pub(super) const SIZE: usize = 11 * 8;

    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            mode: meta.mode(),
            user: meta.uid(),
            group: meta.gid(),
            links: meta.nlink(),
            size: meta.size(),
            changed: (meta.mtime(), meta.mtime_nsec()),
            status_changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// Whether a change at that second might not be seen by the times.
    pub(super) fn is_young(&self, second: i64) -> bool {
        self.changed.0.max(self.status_changed.0).saturating_add(YOUNG) >= second
    }

    /// A number that the names of one file share.
    pub(super) fn link_group(&self) -> u64 {
        if self.links < 2 {
            return 0;
        }
        // Never 0: that is a file with one name.
        self.device.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.inode) | 1 << 63
    }

    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        let numbers =
            [self.device, self.inode, self.mode.into(), self.user.into(), self.group.into(), self.links, self.size];
        numbers.iter().for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
        let times = [self.changed.0, self.changed.1, self.status_changed.0, self.status_changed.1];
        times.iter().for_each(|time| to.extend_from_slice(&time.to_le_bytes()));
    }

    /// `None`: these are not the bytes of one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let words: Vec<[u8; 8]> = bytes.chunks(8).map(<[u8; 8]>::try_from).collect::<Result<_, _>>().ok()?;
        let words: [[u8; 8]; 11] = words.try_into().ok()?;
        let [device, inode, mode, user, group, links, size, rest @ ..] = words;
        let [device, inode, mode, user, group, links, size] =
            [device, inode, mode, user, group, links, size].map(u64::from_le_bytes);
        let [changed, changed_ns, status_changed, status_changed_ns] = rest.map(i64::from_le_bytes);
        Some(Self {
            device,
            inode,
            mode: u32::try_from(mode).ok()?,
            user: u32::try_from(user).ok()?,
            group: u32::try_from(group).ok()?,
            links,
            size,
            changed: (changed, changed_ns),
            status_changed: (status_changed, status_changed_ns),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_stamp_comes_back_and_shows_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let stamp = || Stamp::of(&fs::symlink_metadata(&path).unwrap());
        fs::write(&path, "1").unwrap();
        let first = stamp();
        let mut bytes = Vec::new();
        first.encode(&mut bytes);
        assert_eq!(bytes.len(), Stamp::SIZE);
        assert_eq!(Stamp::decode(&bytes), Some(first));
        assert_eq!(Stamp::decode(&bytes[1..]), None);
        assert!(first.is_young(first.changed.0 + 2) && !first.is_young(first.changed.0 + 3));
        assert_eq!(first.link_group(), 0);
        fs::hard_link(&path, folder.path().join("b")).unwrap();
        assert!(stamp() != first && stamp().link_group() != 0);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1").unwrap();
        assert_ne!(stamp(), first);
    }
}
