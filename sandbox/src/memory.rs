//! How much memory this host has left, and what a job may take of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::stage::PROCESSES;
use nix::fcntl::{Flock, FlockArg};

/// Bytes that jobs may still take: the least of the host's available memory and, for each control group around us, its
/// limit less what is in use. Page cache counts as free. `None` if not even the first is known.
pub fn headroom() -> Option<u64> {
    let available = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?.saturating_mul(1024);
    let around = Place::of_memory().map(|p| p.headrooms()).unwrap_or_default();
    around.into_iter().chain([available]).min()
}

/// The number behind a word at the start of a line.
fn field(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.split_ascii_whitespace().next() == Some(word))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The two kinds of control groups, which name their files differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V1,
    V2,
}

impl Kind {
    const fn limit(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }

    const fn usage(self) -> &'static str {
        match self {
            Self::V1 => "memory.usage_in_bytes",
            Self::V2 => "memory.current",
        }
    }

    /// Where a process of one thread enters by writing "0". v1's `tasks` moves the writing thread alone, for which the kernel
    /// need not stop the forks of the whole machine: that took 7 ms a job. v2 has no such file for groups of processes; there a
    /// box is born in its group ([`Group::cradle`]).
    const fn entry(self) -> &'static str {
        match self {
            Self::V1 => "tasks",
            Self::V2 => "cgroup.procs",
        }
    }

    const fn events(self) -> &'static str {
        match self {
            Self::V1 => "memory.oom_control",
            Self::V2 => "memory.events",
        }
    }
}

/// Our own control group that counts memory.
#[derive(Clone, Debug)]
struct Place {
    kind: Kind,
    mount: PathBuf,
    group: PathBuf,
}

impl Place {
    fn of_memory() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::v1(&own, &mounts).or_else(|| Self::v2(&own, &mounts))
    }

    fn v1(own: &str, mounts: &str) -> Option<Self> {
        let has_memory = |list: &str| list.split(',').any(|w| w == "memory");
        let path = own.lines().find_map(|l| {
            let (controllers, path) = l.split_once(':')?.1.split_once(':')?;
            has_memory(controllers).then_some(path)
        })?;
        Self::at(Kind::V1, mounts, path, |fs_type, options| fs_type == "cgroup" && has_memory(options))
    }

    fn v2(own: &str, mounts: &str) -> Option<Self> {
        let path = own.lines().find_map(|l| l.strip_prefix("0::"))?;
        let place = Self::at(Kind::V2, mounts, path, |fs_type, _| fs_type == "cgroup2")?;
        // Beside v1 hierarchies an empty-handed v2 mount exists in the field: only the list of controllers counts.
        let controllers = fs::read_to_string(place.group.join("cgroup.controllers")).ok()?;
        controllers.split_ascii_whitespace().any(|c| c == "memory").then_some(place)
    }

    /// Finds the mount and the folder of the group `path` in it (`proc_pid_mountinfo(5)`).
    fn at(kind: Kind, mounts: &str, path: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<Self> {
        mounts.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut right = right.split(' ');
            let (fs_type, options) = (right.next()?, right.nth(1)?);
            let mut left = left.split(' ').skip(3);
            let (root, mount) = (left.next()?, PathBuf::from(left.next()?));
            let below = Path::new(path).strip_prefix(root).ok()?;
            wanted(fs_type, options).then(|| Self { kind, group: mount.join(below), mount })
        })
    }

    /// Limit less use of this group and each above it, where there is a limit.
    fn headrooms(&self) -> Vec<u64> {
        let above = self.group.ancestors().take_while(|a| a.starts_with(&self.mount));
        above.filter_map(|group| self.headroom(group)).collect()
    }

    fn headroom(&self, group: &Path) -> Option<u64> {
        let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
        // "max" is no number: no limit. In v1 no limit is a number near 2^63, which does not matter.
        let limit = number(self.kind.limit())?;
        let usage = number(self.kind.usage())?;
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let (cache, shared) = match self.kind {
            Kind::V1 => ("total_cache", "total_shmem"),
            Kind::V2 => ("file", "shmem"),
        };
        let cache = field(&stat, cache).unwrap_or(0).saturating_sub(field(&stat, shared).unwrap_or(0));
        Some(limit.saturating_sub(usage.saturating_sub(cache)))
    }
}

/// Control groups for jobs: one per slot, made once, their files kept open because the launcher's root goes away.
#[derive(Debug)]
pub struct Groups {
    slots: Vec<Group>,
    /// The folder that holds `top`, by which the groups are removed when no path leads there any more.
    above: File,
    top: String,
    /// Locked as long as we live: other daemons in the same group sweep only what nobody locks.
    _alive: Flock<File>,
}

/// The control group of a slot.
#[derive(Debug)]
pub struct Group {
    kind: Kind,
    folder: File,
    entry: File,
    limit: File,
    stat: File,
    events: File,
}

/// Start of the names of our groups; the rest is a process id.
const NAME: &str = "icecream-rs-jobs-";

impl Groups {
    /// Makes `slots` groups below our own. `Err` is the reason why this host gives none.
    pub fn make(slots: usize) -> Result<Self, String> {
        let place = Place::of_memory().ok_or("no control group counts memory here")?;
        let at = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
        if place.kind == Kind::V2 {
            make_room(&place).map_err(|e| at(&place.group, e))?;
        }
        sweep(&place.group);
        let above = File::open(&place.group).map_err(|e| at(&place.group, e))?;
        let (name, top) = new_top(&place.group)?;
        let alive = File::open(&top).map_err(|e| at(&top, e))?;
        let alive = Flock::lock(alive, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| at(&top, e.into()))?;
        if place.kind == Kind::V2 {
            fs::write(top.join("cgroup.subtree_control"), "+memory").map_err(|e| at(&top, e))?;
            // Where this is not delegated, processes are counted by their user id alone.
            for folder in [&place.group, &top] {
                let _ = fs::write(folder.join("cgroup.subtree_control"), "+pids");
            }
        }
        let slot = |n: usize| {
            let folder = top.join(format!("slot-{n}"));
            Group::make(place.kind, &folder).map_err(|e| at(&folder, e))
        };
        let slots = (0..slots).map(slot).collect::<Result<_, _>>()?;
        Ok(Self { slots, above, top: name, _alive: alive })
    }

    /// The group of a slot.
    pub fn slot(&self, n: usize) -> Option<&Group> {
        self.slots.get(n)
    }
}

impl Drop for Groups {
    /// Groups with living processes stay until the next start.
    fn drop(&mut self) {
        let remove = |name: &str| rustix::fs::unlinkat(&self.above, name, rustix::fs::AtFlags::REMOVEDIR);
        for slot in 0..self.slots.len() {
            let _ = remove(&format!("{}/slot-{slot}", self.top));
        }
        let _ = remove(&self.top);
    }
}

/// v2 wants processes in leaves only: we move into one, if nobody else lives in our group.
fn make_room(place: &Place) -> io::Result<()> {
    let control = place.group.join("cgroup.subtree_control");
    if fs::read_to_string(&control)?.split_ascii_whitespace().any(|c| c == "memory") {
        return Ok(());
    }
    let leaf = place.group.join("daemon");
    match fs::create_dir(&leaf) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let all = fs::read_to_string(place.group.join("cgroup.procs"))?;
    let ours = [std::process::id(), std::os::unix::process::parent_id()];
    if let Some(other) = all.lines().find(|p| !ours.iter().any(|o| o.to_string() == **p)) {
        return Err(io::Error::other(format!("process {other} lives in our control group")));
    }
    for pid in all.lines() {
        fs::write(leaf.join("cgroup.procs"), pid)?;
    }
    fs::write(control, "+memory")
}

/// A folder of a new name: process ids repeat between pid namespaces.
fn new_top(group: &Path) -> Result<(String, PathBuf), String> {
    let mut tries = 0;
    loop {
        let name = format!("{NAME}{}-{tries}", std::process::id());
        let top = group.join(&name);
        match fs::create_dir(&top) {
            Ok(()) => return Ok((name, top)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < 100 => tries += 1,
            Err(e) => return Err(format!("{}: {e}", top.display())),
        }
    }
}

/// Removes what earlier daemons left. Groups of living ones are locked; groups in use refuse it anyway.
fn sweep(group: &Path) {
    let old = fs::read_dir(group).into_iter().flatten().flatten();
    for top in old.filter(|e| e.file_name().to_string_lossy().starts_with(NAME)) {
        let Ok(folder) = File::open(top.path()) else { continue };
        let Ok(_dead) = Flock::lock(folder, FlockArg::LockExclusiveNonblock) else { continue };
        for slot in fs::read_dir(top.path()).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(slot.path());
        }
        let _ = fs::remove_dir(top.path());
    }
}

impl Group {
    fn make(kind: Kind, folder: &Path) -> io::Result<Self> {
        fs::create_dir(folder)?;
        let write = |name: &str| OpenOptions::new().write(true).open(folder.join(name));
        let no_swap = match kind {
            Kind::V1 => "memory.swappiness",
            Kind::V2 => "memory.swap.max",
        };
        // Absent without swap accounting; then there is nothing to forbid.
        let _ = fs::write(folder.join(no_swap), "0");
        // Absent in v1 and without the controller. Jobs that share a user id can fill its count, and other jobs could not fork.
        let _ = fs::write(folder.join("pids.max"), PROCESSES.to_string());
        Ok(Self {
            kind,
            folder: File::open(folder)?,
            entry: write(kind.entry())?,
            limit: write(kind.limit())?,
            stat: File::open(folder.join("memory.stat"))?,
            events: File::open(folder.join(kind.events()))?,
        })
    }

    /// Sets the limit for the next job. Outputs of earlier ones that are still being read are memory of this group: they come on
    /// top, as a limit below what is in use kills (v2) or is refused (v1).
    pub fn limit(&self, bytes: u64) -> io::Result<()> {
        let outputs = field(&read(&self.stat), "shmem").unwrap_or(0);
        (&self.limit).write_all(bytes.saturating_add(outputs).to_string().as_bytes())
    }

    /// Moves the calling process in, which has one thread; its children are born there.
    pub fn join(&self) -> io::Result<()> {
        (&self.entry).write_all(b"0")
    }

    /// The folder, for a process that shall be born in the group; v2 alone can do that.
    pub(crate) fn cradle(&self) -> Option<BorrowedFd<'_>> {
        (self.kind == Kind::V2).then(|| self.folder.as_fd())
    }

    /// How often the kernel has killed here for want of memory, so far.
    pub fn kills(&self) -> u64 {
        let text = read(&self.events);
        debug_assert!(self.kind == Kind::V2 || text.contains("oom_kill_disable"));
        field(&text, "oom_kill").unwrap_or(0)
    }

    /// The descriptors that a process of the box needs.
    pub(crate) fn fds(&self) -> [std::os::fd::RawFd; 2] {
        use std::os::fd::AsRawFd;
        [self.entry.as_raw_fd(), self.events.as_raw_fd()]
    }
}

/// A file of a control group: a page at most in v1, little more in v2.
fn read(file: &File) -> String {
    let mut text = [0; 8192];
    let len = file.read_at(&mut text, 0).unwrap_or(0);
    String::from_utf8_lossy(&text[..len]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_both_kinds_of_mount_tables() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                      31 25 0:27 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let place = Place::v1("5:cpu,cpuacct:/a\n4:memory:/jobs/a\n0::/\n", mounts);
        assert_eq!(place.map(|p| p.group), Some(PathBuf::from("/sys/fs/cgroup/memory/jobs/a")));
        let place = Place::at(Kind::V2, mounts, "/docker/x/y", |t, _| t == "cgroup2");
        assert_eq!(place.map(|p| p.group), Some(PathBuf::from("/sys/fs/cgroup/y")));
        assert!(Place::v1("0::/\n", mounts).is_none());
    }

    #[test]
    fn headroom_is_below_the_hosts_memory() {
        let total = fs::read_to_string("/proc/meminfo").ok().and_then(|t| field(&t, "MemTotal:")).unwrap_or(0) * 1024;
        assert!(headroom().is_some_and(|h| h > 0 && h <= total));
    }

    #[test]
    fn outputs_that_are_still_read_come_on_top_of_a_limit() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text)?;
            OpenOptions::new().read(true).write(true).open(folder.path().join(name))
        };
        let group = Group {
            kind: Kind::V2,
            folder: File::open(folder.path())?,
            entry: file("cgroup.procs", "")?,
            limit: file("memory.max", "")?,
            stat: file("memory.stat", "anon 300\nfile 400\nshmem 100\n")?,
            events: file("memory.events", "oom_kill 0\n")?,
        };
        group.limit(1000)?;
        assert_eq!(fs::read_to_string(folder.path().join("memory.max"))?, "1100");
        Ok(())
    }

    #[test]
    fn limit_less_use_with_cache_as_free() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str, text: &str| fs::write(folder.path().join(name), text);
        at("memory.max", "1000\n")?;
        at("memory.current", "700\n")?;
        at("memory.stat", "anon 300\nfile 400\nshmem 100\n")?;
        let place = Place { kind: Kind::V2, mount: folder.path().into(), group: folder.path().into() };
        assert_eq!(place.headrooms(), [600]);
        at("memory.max", "max\n")?;
        assert!(place.headrooms().is_empty());
        Ok(())
    }
}
