//! The control groups that limit the memory and the processes of jobs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// Maximum number of processes of a slot, counted by its own user id or its control group. A compile needs about four,
/// `-flto=auto` one per CPU.
pub(crate) const PROCESSES_MAX: u64 = 128;

/// The number after `key` at the start of a line.
pub(crate) fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.split_ascii_whitespace().next() == Some(key))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The number that is all of a file.
pub(crate) fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The two versions of control groups, which name their files differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V1,
    V2,
}

impl Kind {
    /// The file with the limit.
    const fn limit(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }

    /// The file with the usage.
    const fn usage(self) -> &'static str {
        match self {
            Self::V1 => "memory.usage_in_bytes",
            Self::V2 => "memory.current",
        }
    }

    /// The file through which a single-threaded process enters a group by writing "0". v1's `tasks` moves only the
    /// writing thread, for which the kernel need not stop forks on the whole machine; that took 7 ms per job. v2 has no
    /// such file for groups of processes; there a sandbox is created in its group ([`Group::clone_target`]).
    const fn entry(self) -> &'static str {
        match self {
            Self::V1 => "tasks",
            Self::V2 => "cgroup.procs",
        }
    }

    /// The file that counts kills.
    const fn events(self) -> &'static str {
        match self {
            Self::V1 => "memory.oom_control",
            Self::V2 => "memory.events",
        }
    }
}

/// Our own control group of a controller.
#[derive(Clone, Debug)]
pub(crate) struct OwnGroup {
    kind: Kind,
    mount: PathBuf,
    group: PathBuf,
}

impl OwnGroup {
    /// Finds our group of a controller, as `memory`.
    pub(crate) fn of(controller: &str) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::v1(&own, &mounts, controller).or_else(|| Self::v2(&own, &mounts, controller))
    }

    /// Finds our v1 group. `own` is `/proc/self/cgroup`, `mounts` is `/proc/self/mountinfo`.
    fn v1(own: &str, mounts: &str, controller: &str) -> Option<Self> {
        let has_it = |list: &str| list.split(',').any(|w| w == controller);
        let path = own.lines().find_map(|l| {
            let (controllers, path) = l.split_once(':')?.1.split_once(':')?;
            has_it(controllers).then_some(path)
        })?;
        Self::at(Kind::V1, mounts, path, |fs_type, options| fs_type == "cgroup" && has_it(options))
    }

    /// Finds our v2 group, if the controller is available in it.
    fn v2(own: &str, mounts: &str, controller: &str) -> Option<Self> {
        let path = own.lines().find_map(|l| l.strip_prefix("0::"))?;
        let own_group = Self::at(Kind::V2, mounts, path, |fs_type, _| fs_type == "cgroup2")?;
        // Beside v1 hierarchies there may be a v2 mount without controllers, so the list of controllers decides.
        let controllers = fs::read_to_string(own_group.group.join("cgroup.controllers")).ok()?;
        controllers.split_ascii_whitespace().any(|c| c == controller).then_some(own_group)
    }

    /// Finds the mount and the directory of group `path` in it (`proc_pid_mountinfo(5)`).
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

    /// This group and each group above it, as far as they count memory.
    pub(crate) fn levels(&self) -> Vec<Level> {
        self.lineage().filter_map(|group| Level::open(self.kind, group, false).ok()).collect()
    }

    /// The smallest number in the files of this name of this group and of each group above it. In both versions "max"
    /// is no number and means no limit.
    pub(crate) fn least(&self, file: &str) -> Option<u64> {
        self.lineage().filter_map(|group| number(&group.join(file))).min()
    }

    /// This group and those above it.
    fn lineage(&self) -> impl Iterator<Item = &Path> {
        self.group.ancestors().take_while(|a| a.starts_with(&self.mount))
    }
}

/// The memory of one control group, whose files are kept open.
#[derive(Debug)]
pub(crate) struct Level {
    kind: Kind,
    limit: File,
    usage: File,
    stat: File,
}

impl Level {
    fn open(kind: Kind, group: &Path, is_ours: bool) -> io::Result<Self> {
        Ok(Self {
            kind,
            limit: OpenOptions::new().read(true).write(is_ours).open(group.join(kind.limit()))?,
            usage: File::open(group.join(kind.usage()))?,
            stat: File::open(group.join("memory.stat"))?,
        })
    }

    /// Its limit. "max" is no number and means no limit. In v1 that is a number near 2^63, which does no harm.
    pub(crate) fn limit(&self) -> Option<u64> {
        read(&self.limit).trim().parse().ok()
    }

    /// What is used of it, with page cache counted as free.
    pub(crate) fn used(&self) -> u64 {
        let usage = read(&self.usage).trim().parse().unwrap_or(0);
        let stat = read(&self.stat);
        let (cache, shared) = match self.kind {
            Kind::V1 => ("total_cache", "total_shmem"),
            Kind::V2 => ("file", "shmem"),
        };
        let cache = field(&stat, cache).unwrap_or(0).saturating_sub(field(&stat, shared).unwrap_or(0));
        u64::saturating_sub(usage, cache)
    }

    /// Sets the limit.
    fn bound(&self, bytes: u64) -> io::Result<()> {
        (&self.limit).write_all(bytes.to_string().as_bytes())
    }
}

/// Control groups for jobs: one per slot, created once. Their files are kept open, because the launcher loses its
/// access to the host's files.
#[derive(Debug)]
pub struct Groups {
    slots: Vec<Group>,
    /// The group above those of all slots.
    all: Level,
    /// The directory that contains `top`. The groups are removed relative to it, as no path leads there any more.
    above: File,
    top: String,
    /// A lock held while this process lives: other daemons in the same group remove only groups that nobody has locked.
    _alive: Flock<File>,
}

/// The control group of a slot.
#[derive(Debug)]
pub struct Group {
    kind: Kind,
    dir: File,
    entry: File,
    limit: File,
    stat: File,
    events: File,
}

/// Prefix of our groups' names; a process id follows.
const NAME: &str = "icecream-rs-jobs-";

impl Groups {
    /// Creates `slots` groups below our own. `Err` is the reason why this host permits none.
    pub fn make(slots: usize) -> Result<Self, String> {
        let own_group = OwnGroup::of("memory").ok_or("no control group counts memory here")?;
        let at = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
        if own_group.kind == Kind::V2 {
            move_to_leaf(&own_group).map_err(|e| at(&own_group.group, e))?;
        }
        remove_stale(&own_group.group);
        let above = File::open(&own_group.group).map_err(|e| at(&own_group.group, e))?;
        let (name, top) = new_top(&own_group.group)?;
        let alive = File::open(&top).map_err(|e| at(&top, e))?;
        let alive = Flock::lock(alive, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| at(&top, e.into()))?;
        if own_group.kind == Kind::V2 {
            fs::write(top.join("cgroup.subtree_control"), "+memory").map_err(|e| at(&top, e))?;
            // Without delegation of this controller, processes are counted by their user id alone.
            for dir in [&own_group.group, &top] {
                let _ = fs::write(dir.join("cgroup.subtree_control"), "+pids");
            }
        }
        // Only old kernels have a choice: there the limit of a group counts those below it only if this is set.
        let _ = fs::write(top.join("memory.use_hierarchy"), "1");
        let all = Level::open(own_group.kind, &top, true).map_err(|e| at(&top, e))?;
        let slot = |n: usize| {
            let dir = top.join(format!("slot-{n}"));
            Group::make(own_group.kind, &dir).map_err(|e| at(&dir, e))
        };
        let slots = (0..slots).map(slot).collect::<Result<_, _>>()?;
        Ok(Self { slots, all, above, top: name, _alive: alive })
    }

    /// Limits what all slots use together to what they use now and so much more.
    pub(crate) fn bound_all(&self, headroom: u64) -> io::Result<()> {
        self.all.bound(self.all.used().saturating_add(headroom))
    }

    /// The group of a slot; `None` if the number is too large.
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

/// v2 allows processes in leaf groups only: this moves us into one, if no other process is in our group.
fn move_to_leaf(own_group: &OwnGroup) -> io::Result<()> {
    let control = own_group.group.join("cgroup.subtree_control");
    if fs::read_to_string(&control)?.split_ascii_whitespace().any(|c| c == "memory") {
        return Ok(());
    }
    let leaf = own_group.group.join("daemon");
    match fs::create_dir(&leaf) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let all = fs::read_to_string(own_group.group.join("cgroup.procs"))?;
    let ours = [std::process::id(), std::os::unix::process::parent_id()];
    if let Some(other) = all.lines().find(|p| !ours.iter().any(|o| o.to_string() == **p)) {
        return Err(io::Error::other(format!("process {other} lives in our control group")));
    }
    for pid in all.lines() {
        fs::write(leaf.join("cgroup.procs"), pid)?;
    }
    fs::write(control, "+memory")
}

/// Creates a directory of a new name. The process id is not enough, as process ids repeat between pid namespaces.
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

/// Removes the groups that earlier daemons left. Groups of living daemons are locked; a group in use cannot be removed
/// anyway.
fn remove_stale(group: &Path) {
    let old = fs::read_dir(group).into_iter().flatten().flatten();
    for top in old.filter(|e| e.file_name().to_string_lossy().starts_with(NAME)) {
        let Ok(dir) = File::open(top.path()) else { continue };
        let Ok(_dead) = Flock::lock(dir, FlockArg::LockExclusiveNonblock) else { continue };
        for slot in fs::read_dir(top.path()).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(slot.path());
        }
        let _ = fs::remove_dir(top.path());
    }
}

impl Group {
    /// Creates the group and opens its files.
    fn make(kind: Kind, dir: &Path) -> io::Result<Self> {
        fs::create_dir(dir)?;
        let write = |name: &str| OpenOptions::new().write(true).open(dir.join(name));
        let no_swap = match kind {
            Kind::V1 => "memory.swappiness",
            Kind::V2 => "memory.swap.max",
        };
        // The file is absent without swap accounting; then nothing needs to be forbidden.
        let _ = fs::write(dir.join(no_swap), "0");
        // The file is absent in v1 and without the controller. The limit matters because jobs that share a user id
        // could otherwise use up its process limit, and other jobs could not fork.
        let _ = fs::write(dir.join("pids.max"), PROCESSES_MAX.to_string());
        Ok(Self {
            kind,
            dir: File::open(dir)?,
            entry: write(kind.entry())?,
            limit: write(kind.limit())?,
            stat: File::open(dir.join("memory.stat"))?,
            events: File::open(dir.join(kind.events()))?,
        })
    }

    /// Sets the limit for the next job. Outputs of earlier jobs that are still being read are memory of this group.
    /// They are added, as a limit below the present usage kills (v2) or is refused (v1).
    pub fn limit(&self, bytes: u64) -> io::Result<()> {
        let outputs = field(&read(&self.stat), "shmem").unwrap_or(0);
        (&self.limit).write_all(bytes.saturating_add(outputs).to_string().as_bytes())
    }

    /// Moves the calling process, which must have one thread, into the group; its children are created there.
    pub fn join(&self) -> io::Result<()> {
        (&self.entry).write_all(b"0")
    }

    /// The directory descriptor for a process to be created in the group. Only v2 can do that.
    pub(crate) fn clone_target(&self) -> Option<BorrowedFd<'_>> {
        (self.kind == Kind::V2).then(|| self.dir.as_fd())
    }

    /// How often the kernel has killed a process of this group because of its memory limit.
    pub fn kills(&self) -> u64 {
        let text = read(&self.events);
        debug_assert!(self.kind == Kind::V2 || text.contains("oom_kill_disable"));
        field(&text, "oom_kill").unwrap_or(0)
    }

    /// The descriptors that a sandbox's first process needs.
    pub(crate) fn fds(&self) -> [std::os::fd::RawFd; 2] {
        use std::os::fd::AsRawFd;
        [self.entry.as_raw_fd(), self.events.as_raw_fd()]
    }
}

/// Reads a file of a control group, which has at most a page in v1 and little more in v2.
pub(crate) fn read(file: &File) -> String {
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
        let own_group = OwnGroup::v1("5:cpu,cpuacct:/a\n4:memory:/jobs/a\n0::/\n", mounts, "memory");
        assert_eq!(own_group.map(|p| p.group), Some(PathBuf::from("/sys/fs/cgroup/memory/jobs/a")));
        let own_group = OwnGroup::at(Kind::V2, mounts, "/docker/x/y", |t, _| t == "cgroup2");
        assert_eq!(own_group.map(|p| p.group), Some(PathBuf::from("/sys/fs/cgroup/y")));
        assert!(OwnGroup::v1("0::/\n", mounts, "memory").is_none());
    }

    #[test]
    fn outputs_that_are_still_read_come_on_top_of_a_limit() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let file = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text)?;
            OpenOptions::new().read(true).write(true).open(dir.path().join(name))
        };
        let group = Group {
            kind: Kind::V2,
            dir: File::open(dir.path())?,
            entry: file("cgroup.procs", "")?,
            limit: file("memory.max", "")?,
            stat: file("memory.stat", "anon 300\nfile 400\nshmem 100\n")?,
            events: file("memory.events", "oom_kill 0\n")?,
        };
        group.limit(1000)?;
        assert_eq!(fs::read_to_string(dir.path().join("memory.max"))?, "1100");
        Ok(())
    }

    #[test]
    fn limit_and_use_with_cache_as_free() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let at = |name: &str, text: &str| fs::write(dir.path().join(name), text);
        at("memory.max", "1000\n")?;
        at("memory.current", "700\n")?;
        at("memory.stat", "anon 300\nfile 400\nshmem 100\n")?;
        let own_group = OwnGroup { kind: Kind::V2, mount: dir.path().into(), group: dir.path().into() };
        let levels = || own_group.levels().iter().map(|level| (level.limit(), level.used())).collect::<Vec<_>>();
        assert_eq!(levels(), [(Some(1000), 400)]);
        at("memory.max", "max\n")?;
        assert_eq!(levels(), [(None, 400)]);
        Ok(())
    }
}
