//! Prepares the launcher once, so that a sandbox needs few system calls, and makes the plans of the sandboxes.
//!
//! If it may mount, the launcher lives in a small tmpfs: `/base` (the environments), `/dev` (a few devices), `/box`
//! (the mount point at which a sandbox is assembled). The host's files are out of its reach, so that no name in a
//! request can lead to them. The user namespace (without root) and the empty network namespace are created here too,
//! once for all sandboxes (decision: namespaces-once).

use crate::apply::{SingleThread, has, perform};
use crate::calls::Purpose;
use crate::cgroup::{Group, PROCESSES_MAX};
use crate::error::Error;
use crate::filter::{Filter, Filters};
use crate::guarantees::{Guarantee, Guarantees, attempt, counts_apart, trial};
use crate::job_memory::JobMemory;
use crate::oom::Marker;
use crate::plan::{Limit, Plan, Step, c};
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getegid, geteuid};
use rustix::thread::CapabilitySet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod files;
mod launcher_root;

pub use files::FilesNeeds;
pub(crate) use launcher_root::DEVICES;
use launcher_root::{is_in_user_namespace, launcher_root_steps};

/// The configuration of a factory.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The directory of the environments.
    pub base: PathBuf,
    /// The owner of everything in it, if that is not the present user.
    pub owner: Option<(u32, u32)>,
    /// The first of `slots + 1` user ids that nobody else uses.
    pub job_uid_base: Option<u32>,
    /// Maximum number of sandboxes for jobs at a time.
    pub slots: u16,
    /// Maximum number of threads and processes that the daemon itself has under the owner's user id.
    pub own_tasks: u64,
    /// Niceness added in each sandbox.
    pub nice: i32,
}

/// How a sandbox gets its root directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RootMethod {
    /// By mounts in a mount namespace of its own.
    Mounts,
    /// By chroot(2), as in 1.4.
    Chroot,
    /// No sandbox is possible.
    None,
}

/// The prepared launcher process, which can make sandboxes.
#[derive(Debug)]
pub struct SandboxFactory {
    /// How sandboxes get their root.
    root_method: RootMethod,
    /// Whether it may change ids.
    ids: bool,
    /// The configuration.
    setup: Setup,
    /// User and group id that own the environments.
    owner: (u32, u32),
    /// The namespaces of each sandbox.
    namespaces: CloneFlags,
    base: PathBuf,
    /// Flags of the mount of `base`, which an outer namespace may have locked.
    flags: MsFlags,
    /// How the memory of jobs is bounded.
    memory: JobMemory,
    /// Whether a user namespace of its own gives a sandbox a count of processes of its own.
    counts_apart: bool,
    /// Whether it is in a user namespace that is not the host's.
    of_user: bool,
    /// The system call filters, where they can be installed.
    filters: Option<Filters>,
    /// What every sandbox is guaranteed.
    guarantees: Guarantees,
}

/// The requirements of one job on its sandbox.
#[derive(Clone, Copy, Debug)]
pub struct Needs<'a> {
    /// The directories from the base to the environment.
    pub env: [&'a str; 2],
    /// A number below the number of slots, or that number itself for verifications.
    pub slot: u16,
    /// Limit of memory in bytes.
    pub memory: u64,
    /// Limit of `/tmp` in bytes.
    pub tmp: u64,
    /// Limit of one file in bytes.
    pub file: u64,
    /// Maximum elapsed time.
    pub wall: Duration,
    /// What runs in it.
    pub purpose: Purpose,
    /// Whether the environment is for another platform than this program.
    pub foreign: bool,
}

/// What bounds a job, and who it is.
struct Bounds {
    slot: u16,
    memory: u64,
    tmp: u64,
    file: u64,
    wall: Duration,
    umask: u32,
}

/// User and group id of "nobody".
const NOBODY: (u32, u32) = (65534, 65534);
/// Maximum number of files in a job's `/tmp`.
pub(crate) const TMP_FILES_MAX: u32 = 16384;
/// Maximum number of entries of an environment's `/tmp` that a job sees.
const SHOWN_MAX: usize = 64;
/// Address space of a function that fills or empties a directory: a decompressor with the largest window and the names
/// of an archive need less than half of it.
const DIRECTORY_MEMORY: u64 = 1 << 30;

impl SandboxFactory {
    /// Determines what the host permits by trying it in children, then changes this process to use all of it. Fails if
    /// the base directory is missing, or if a step fails that succeeded in a child.
    pub fn prepare(single: &SingleThread, setup: Setup) -> Result<Self, Error> {
        let what = || format!("find {}", setup.base.display());
        let base = fs::canonicalize(&setup.base).map_err(Error::step(what()))?;
        let me = (geteuid().as_raw(), getegid().as_raw());
        let wanted = setup.owner.unwrap_or(if me.0 == 0 { NOBODY } else { me });
        // The capability is not enough: in a user namespace most ids do not exist.
        let become_owner = vec![Step::Ids { uid: wanted.0, gid: wanted.1 }];
        let ids = has(CapabilitySet::SETUID | CapabilitySet::SETGID) && trial(single, &become_owner).is_ok();
        let owner = if ids || me.0 == 0 { wanted } else { me };
        let mut factory = Self {
            root_method: RootMethod::None,
            ids,
            owner,
            namespaces: CloneFlags::empty(),
            flags: MsFlags::empty(),
            // It comes first: its files are out of reach once the root changes.
            memory: JobMemory::open(setup.slots),
            counts_apart: false,
            of_user: is_in_user_namespace(),
            filters: None,
            guarantees: Guarantees::all(),
            base: base.clone(),
            setup,
        };
        let mut rooted = launcher_root_steps(&base, false);
        let (mut own_user, outside) = if ids && owner != me { (become_owner, owner) } else { (Vec::new(), me) };
        own_user.push(Step::UserNamespace { uid: owner.0, gid: owner.1, outside });
        // Jobs must never run as root, not even as root of a namespace.
        let stays_root = me.0 == 0 && !ids;
        let as_root = if stays_root { Err("jobs would run as root".to_owned()) } else { trial(single, &rooted) };
        let reason = match as_root {
            Ok(()) => {
                factory.enter_mounts(single, &[], &rooted)?;
                None
            }
            Err(as_root) => match trial(single, &[own_user.clone(), rooted.clone()].concat()) {
                Ok(()) => {
                    (factory.ids, factory.of_user) = (false, true);
                    let with_proc = launcher_root_steps(&base, true);
                    if trial(single, &[own_user.clone(), with_proc.clone()].concat()).is_ok() {
                        rooted = with_proc;
                    }
                    factory.enter_mounts(single, &own_user, &rooted)?;
                    None
                }
                // Report the failure of the method that one would expect to work here.
                Err(as_user) if stays_root || !has(CapabilitySet::SYS_ADMIN) => Some(as_user),
                Err(_) => Some(as_root),
            },
        };
        if let Some(reason) = reason {
            factory.fall_back_to_chroot(single, reason);
        }
        factory.counts_apart = factory.can_count_apart(single);
        factory.check_ids(single, me);
        // Once for all sandboxes, and while it is permitted: after a change of ids it is not.
        perform(&[Step::NoBounds, Step::Umask(0o022)])?;
        let works = |filter: &Filter| {
            attempt(single, || {
                perform(&[Step::NoNewPrivileges]).map_err(|e| e.to_string())?;
                filter.install().map(drop).map_err(|e| e.to_string())
            })
        };
        match Filters::prepare(works) {
            Ok(filters) => factory.filters = Some(filters),
            Err(reason) => factory.guarantees.lose(Guarantee::Calls, reason),
        }
        factory.memory.check(single, &mut factory.guarantees);
        Ok(factory)
    }

    /// The guarantees of every sandbox.
    pub fn guarantees(&self) -> &Guarantees {
        &self.guarantees
    }

    /// The path of the environments' directory for the launcher from now on.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The user and group that must own what is created below the base, if that is not the launcher.
    pub fn give_to(&self) -> Option<(u32, u32)> {
        (self.ids && geteuid().as_raw() != self.owner.0).then_some(self.owner)
    }

    /// Whether all jobs of an environment share its `/tmp`, so that a job's files stay there.
    pub fn shares_tmp(&self) -> bool {
        self.root_method != RootMethod::Mounts
    }

    /// The control group of a slot.
    pub fn group(&self, slot: u16) -> Option<&Group> {
        self.memory.group(slot)
    }

    /// Limits the memory of a slot's next job, if it has a control group.
    pub fn limit_memory(&self, slot: u16, bytes: u64) -> io::Result<()> {
        self.memory.limit_slot(slot, bytes)
    }

    /// What marks a sandbox as the first to be ended.
    pub fn marker(&self) -> Option<&Marker> {
        self.memory.marker()
    }

    /// The plan of a job's sandbox. `Err` is the reason why there can be none.
    pub fn job(&self, needs: &Needs<'_>) -> Result<Plan, String> {
        self.guarantees.accepts_jobs().map_err(|reason| format!("no foreign jobs on this host: {reason}"))?;
        let uid = self.job_uid(needs.slot);
        let mut steps = self.first_steps(&needs.env, MsFlags::MS_RDONLY);
        if self.root_method == RootMethod::Mounts {
            let at = steps.len() - 1; // before the step that changes the root
            let (size, gid) = (self.memory.tmp_max(needs.memory, needs.tmp), self.owner.1);
            let options = c(format!("mode=700,uid={uid},gid={gid},size={size},nr_inodes={TMP_FILES_MAX}"));
            let own = [
                Step::Tmpfs { at: c("/box/tmp"), options },
                Step::Bind { from: c("/dev"), to: c("/box/dev"), all: true },
            ];
            steps.splice(at..at, own.into_iter().chain(self.shown_in_tmp(&needs.env)));
        }
        steps.push(Step::Chdir(c("/tmp")));
        let &Needs { slot, memory, tmp, file, wall, .. } = needs;
        let plan = self.bounded(steps, &Bounds { slot, memory, tmp, file, wall, umask: 0o077 });
        Ok(Plan { filter: self.filter(needs.purpose, needs.foreign), ..plan })
    }

    /// The plan of a job's sandbox whose root is made by these steps, without a filter.
    fn bounded(&self, mut steps: Vec<Step>, bounds: &Bounds) -> Plan {
        let uid = self.job_uid(bounds.slot);
        steps.extend([
            Step::Umask(bounds.umask),
            Step::Nice(self.setup.nice),
            Step::Limit(Limit::Core, 0),
            Step::Limit(Limit::File, bounds.file),
            Step::Limit(Limit::Descriptors, 256),
            Step::Limit(Limit::Cpu, bounds.wall.as_secs().saturating_add(1)),
        ]);
        steps.extend(self.memory.limit(bounds.memory, bounds.tmp));
        self.change_ids(&mut steps, uid);
        self.limit_processes(&mut steps, uid);
        self.give_up_rights(&mut steps);
        // The id after those of the slots may be used by several sandboxes at a time.
        let own_id = self.guarantees.has(Guarantee::OwnId) && bounds.slot < self.setup.slots;
        let alone = self.has_pid_namespace() || own_id;
        Plan { namespaces: self.namespaces, alone, steps, filter: None }
    }

    /// Bind mounts of what the environment itself has in `/tmp`, which the job's own `/tmp` would hide: plugins and
    /// lists of a project that is built there. Links are left out, as they would be resolved here and not in the
    /// sandbox.
    fn shown_in_tmp(&self, env: &[&str; 2]) -> Vec<Step> {
        let dir = self.base.join(env[0]).join(env[1]).join("tmp");
        let mut steps = Vec::new();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten().take(SHOWN_MAX) {
            let to = || c([b"/box/tmp/", entry.file_name().as_encoded_bytes()].concat());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => steps.push(Step::MakeDir(to())),
                Ok(kind) if kind.is_file() => steps.push(Step::MakeFile(to())),
                _ => continue,
            }
            let from = c(entry.path().as_os_str().as_encoded_bytes());
            let flags = self.flags | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            steps.extend([Step::Bind { from, to: to(), all: false }, Step::Remount { at: to(), flags }]);
        }
        steps
    }

    /// The plan of a sandbox for a function that fills or empties the directory `below` the base, as the base's owner.
    pub fn directory(&self, below: &[&str]) -> Plan {
        let mut steps = self.first_steps(below, MsFlags::MS_NOEXEC);
        steps.extend([
            Step::Umask(0o022),
            Step::Nice(self.setup.nice),
            Step::Limit(Limit::Core, 0),
            Step::Limit(Limit::AddressSpace, DIRECTORY_MEMORY),
        ]);
        self.change_ids(&mut steps, self.owner.0);
        self.give_up_rights(&mut steps);
        let filter = self.filter(Purpose::Unpacking, false);
        Plan { namespaces: self.namespaces, alone: self.has_pid_namespace(), steps, filter }
    }

    /// Whether sandboxes have a pid namespace.
    fn has_pid_namespace(&self) -> bool {
        self.namespaces.contains(CloneFlags::CLONE_NEWPID)
    }

    /// The path of that directory for the function in a sandbox of [`Self::directory`].
    pub fn directory_root(&self, below: &[&str]) -> PathBuf {
        if self.root_method == RootMethod::None {
            self.base.join(below.iter().collect::<PathBuf>())
        } else {
            PathBuf::from("/")
        }
    }

    /// The steps up to the change of the root to the directory `below` the base.
    fn first_steps(&self, below: &[&str], flags: MsFlags) -> Vec<Step> {
        let mut steps = vec![Step::DieWithParent];
        match self.root_method {
            RootMethod::Mounts => {
                let from = c(below.iter().fold("/base".to_owned(), |path, name| path + "/" + name));
                let flags = self.flags | flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
                steps.push(Step::Bind { from, to: c("/box"), all: false });
                steps.push(Step::Remount { at: c("/box"), flags });
                steps.push(Step::PivotRoot { new: c("/box"), old: None });
            }
            RootMethod::Chroot => {
                let base = c(self.base.as_os_str().as_encoded_bytes());
                steps.push(Step::Chroot { base, below: below.iter().map(c).collect() });
            }
            RootMethod::None => {}
        }
        steps
    }

    /// The step that changes to a user id, where that is permitted.
    fn change_ids(&self, steps: &mut Vec<Step>, uid: u32) {
        if self.ids {
            steps.push(Step::Ids { uid, gid: self.owner.1 });
        }
    }

    /// The steps that limit the processes of a job with this user id. The kernel counts all tasks of an id in a user
    /// namespace together, so a job that shares its id gets a namespace of its own: else its neighbours, or the
    /// threads that the daemon has for its connections, could leave it none.
    fn limit_processes(&self, steps: &mut Vec<Step>, uid: u32) {
        let is_counted_alone = uid != self.owner.0 || self.counts_apart;
        if uid == self.owner.0 && self.counts_apart {
            steps.push(Step::Unshare(CloneFlags::CLONE_NEWUSER));
        }
        let all = PROCESSES_MAX * (u64::from(self.setup.slots) + 4) + self.setup.own_tasks;
        steps.push(Step::Limit(Limit::Processes, if is_counted_alone { PROCESSES_MAX } else { all }));
    }

    /// The steps that give up all rights.
    fn give_up_rights(&self, steps: &mut Vec<Step>) {
        steps.extend([Step::NoCapabilities, Step::NoNewPrivileges, Step::NotDumpable, Step::DieWithParent]);
        if !self.has_pid_namespace() {
            steps.push(Step::Adopt);
        }
    }

    /// The call filter of a sandbox, where there can be one.
    fn filter(&self, purpose: Purpose, foreign: bool) -> Option<Filter> {
        self.filters.as_ref()?.filter(purpose, foreign)
    }

    /// The user id of a slot.
    fn job_uid(&self, slot: u16) -> u32 {
        let slot = u32::from(slot.min(self.setup.slots));
        match self.setup.job_uid_base {
            Some(base) if self.ids => base.saturating_add(slot),
            _ => self.owner.0,
        }
    }

    /// Changes the root of this process, and determines which other namespaces a sandbox can have.
    fn enter_mounts(&mut self, single: &SingleThread, user: &[Step], rooted: &[Step]) -> Result<(), Error> {
        self.root_method = RootMethod::Mounts;
        perform(user)?;
        self.isolate_network(single);
        self.detect_namespaces(single);
        perform(rooted)?;
        self.namespaces |= CloneFlags::CLONE_NEWNS;
        self.base = PathBuf::from("/base");
        let flags = statvfs(c"/base").map_err(Error::step("look at the mount of the environments"))?.flags();
        for (has, keep) in [
            (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
            (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
            (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
            (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        ] {
            if flags.contains(has) {
                self.flags |= keep;
            }
        }
        if flags.contains(FsFlags::ST_NOEXEC) {
            let reason = format!("{} is mounted noexec", self.setup.base.display());
            self.guarantees.lose(Guarantee::Root, reason);
        }
        Ok(())
    }

    /// Falls back to chroot, where mounts are not permitted for `reason`.
    fn fall_back_to_chroot(&mut self, single: &SingleThread, reason: String) {
        for lost in [Guarantee::PrivateTmp, Guarantee::ReadOnly] {
            self.guarantees.lose(lost, reason.clone());
        }
        let here = [Step::Chroot { base: c(self.base.as_os_str().as_encoded_bytes()), below: Vec::new() }];
        match trial(single, &here) {
            Ok(()) => self.root_method = RootMethod::Chroot,
            Err(chroot) => self.guarantees.lose(Guarantee::Root, format!("{reason}; {chroot}")),
        }
        self.isolate_network(single);
        self.detect_namespaces(single);
    }

    /// Gives the launcher, and so all sandboxes, an empty network.
    fn isolate_network(&mut self, single: &SingleThread) {
        let step = [Step::Unshare(CloneFlags::CLONE_NEWNET)];
        if let Err(reason) = trial(single, &step).and_then(|()| perform(&step).map_err(|e| e.to_string())) {
            self.guarantees.lose(Guarantee::Network, reason);
        }
    }

    /// Determines which namespaces a sandbox can have.
    fn detect_namespaces(&mut self, single: &SingleThread) {
        let wanted = [CloneFlags::CLONE_NEWPID, CloneFlags::CLONE_NEWIPC, CloneFlags::CLONE_NEWUTS];
        for flag in wanted {
            match trial(single, &[Step::Unshare(flag)]) {
                Ok(()) => self.namespaces |= flag,
                Err(reason) => self.guarantees.lose(Guarantee::Processes, reason),
            }
        }
    }

    /// Determines whether the processes of a job that shares its user id can be counted apart.
    fn can_count_apart(&self, single: &SingleThread) -> bool {
        let mut steps = Vec::new();
        self.change_ids(&mut steps, self.owner.0);
        counts_apart(single, &steps)
    }

    /// Determines whether jobs can have ids of their own. `me` is the user and group id of this process.
    fn check_ids(&mut self, single: &SingleThread, me: (u32, u32)) {
        let shared = match self.setup.job_uid_base {
            _ if !self.ids && me.0 == 0 && self.root_method != RootMethod::Mounts => {
                self.guarantees.lose(Guarantee::Root, "jobs would run as root");
                "no right to change ids"
            }
            _ if !self.ids => "no right to change ids",
            None => "no range of unused ids",
            Some(0) => {
                self.guarantees.lose(Guarantee::Root, "the range of job ids begins with root's");
                "the range of job ids begins with root's"
            }
            Some(base) => {
                let (last, gid) = (base.saturating_add(self.setup.slots.into()), self.owner.1);
                let trials = [base, last].map(|uid| trial(single, &[Step::Ids { uid, gid }]));
                if let Some(reason) = trials.into_iter().find_map(Result::err) {
                    self.setup.job_uid_base = None;
                    self.guarantees.lose(Guarantee::OwnId, reason);
                }
                return;
            }
        };
        let limit = if self.counts_apart { "" } else { " and one limit of processes" };
        self.guarantees.lose(Guarantee::OwnId, format!("{shared}: all jobs share one{limit}"));
    }
}
