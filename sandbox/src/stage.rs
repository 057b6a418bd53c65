//! The launcher's own root, prepared once so that each box needs few calls; and the plans of the boxes made from it.
//!
//! With mounts the launcher lives in a small tmpfs: `/base` (the environments), `/dev` (a few devices), `/box` (where a
//! box is put together). The host's files are gone for it, so that no name in a request can lead to them. The user
//! namespace (rootless) and the empty network namespace are made here too, once for all boxes
//! (decision: namespaces-once).

use crate::apply::{SingleThread, has, perform};
use crate::error::Error;
use crate::memory::{Group, Groups};
use crate::plan::{Limit, Plan, Step, c};
use crate::probe::{Guarantee, Guarantees, trial};
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getegid, geteuid};
use rustix::thread::CapabilitySet;
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the boxes are made for.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The folder of the environments.
    pub base: PathBuf,
    /// Owner of everything in it, if it is not the present user.
    pub owner: Option<(u32, u32)>,
    /// First of `slots` ids that nobody else uses.
    pub job_uid_base: Option<u32>,
    /// How many boxes there may be at a time.
    pub slots: u16,
    /// Niceness added in each.
    pub nice: i32,
}

/// How a box gets its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A mount namespace of its own.
    Mounts,
    /// chroot(2), as 1.4.
    Chroot,
    /// Not at all.
    None,
}

/// A launcher ready to make boxes.
#[derive(Debug)]
pub struct Stage {
    way: Way,
    /// The right to change ids is there.
    ids: bool,
    setup: Setup,
    owner: (u32, u32),
    namespaces: CloneFlags,
    base: PathBuf,
    /// Flags of the mount of `base`, which an outer namespace may have locked.
    flags: MsFlags,
    groups: Option<Groups>,
    filter: bool,
    guarantees: Guarantees,
}

/// One job, as far as its box is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Needs<'a> {
    /// Folders from the base to the environment.
    pub env: [&'a str; 2],
    /// Below the number of slots, or that number itself for verifications.
    pub slot: u16,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of `/tmp`.
    pub tmp: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Most time.
    pub wall: Duration,
    /// The environment is of another platform than this program.
    pub foreign: bool,
}

const NOBODY: (u32, u32) = (65534, 65534);
/// Devices of a box.
const DEVICES: [&str; 4] = ["null", "zero", "random", "urandom"];
/// Most files in a job's `/tmp`.
pub(crate) const TMP_FILES: u32 = 16384;
/// Most files and folders of an environment's `/tmp` that a job sees.
const SHOWN_MAX: usize = 64;
/// Processes of a slot, by its own id or its control group. A compile needs about four, `-flto=auto` one per CPU.
pub(crate) const PROCESSES: u64 = 128;
/// Address space of a function that fills or empties a folder: the largest window of a decompressor and the names of an archive
/// take less than half of it.
const FOLDER_MEMORY: u64 = 1 << 30;

impl Stage {
    /// Finds out what the host permits, by doing it in children, and then does the most.
    pub fn prepare(single: &SingleThread, setup: Setup) -> Result<Self, Error> {
        let what = || format!("find {}", setup.base.display());
        let base = fs::canonicalize(&setup.base).map_err(Error::step(what()))?;
        let me = (geteuid().as_raw(), getegid().as_raw());
        let wanted = setup.owner.unwrap_or(if me.0 == 0 { NOBODY } else { me });
        // Having the right is not enough: in a user namespace most ids do not exist.
        let become_owner = vec![Step::Ids { uid: wanted.0, gid: wanted.1 }];
        let ids = has(CapabilitySet::SETUID | CapabilitySet::SETGID) && trial(single, &become_owner).is_ok();
        let owner = if ids || me.0 == 0 { wanted } else { me };
        let mut stage = Self {
            way: Way::None,
            ids,
            owner,
            namespaces: CloneFlags::empty(),
            flags: MsFlags::empty(),
            groups: None,
            filter: false,
            guarantees: Guarantees::all(),
            base: base.clone(),
            setup,
        };
        // Before the stage: its files are out of reach then.
        stage.make_groups();
        let rooted = stage_steps(&base);
        let (mut own_user, outside) = if ids && owner != me { (become_owner, owner) } else { (Vec::new(), me) };
        own_user.push(Step::UserNamespace { uid: owner.0, gid: owner.1, outside });
        // Jobs must never run as root, not even as a namespace's.
        let stays_root = me.0 == 0 && !ids;
        let as_root = if stays_root { Err("jobs would run as root".to_owned()) } else { trial(single, &rooted) };
        let reason = match as_root {
            Ok(()) => {
                stage.enter_mounts(single, &[], &rooted)?;
                None
            }
            Err(as_root) => match trial(single, &[own_user.clone(), rooted.clone()].concat()) {
                Ok(()) => {
                    stage.ids = false;
                    stage.enter_mounts(single, &own_user, &rooted)?;
                    None
                }
                // The reason of the way that one would expect here.
                Err(as_user) if stays_root || !has(CapabilitySet::SYS_ADMIN) => Some(as_user),
                Err(_) => Some(as_root),
            },
        };
        if let Some(reason) = reason {
            stage.do_without_mounts(single, reason);
        }
        stage.look_at_ids(single, me);
        perform(&[Step::Umask(0o022)])?;
        stage.filter = match trial(single, &[Step::NoNewPrivileges, Step::FilterCalls { foreign: false }]) {
            Ok(()) => true,
            Err(reason) => {
                stage.guarantees.lose(Guarantee::Calls, reason);
                false
            }
        };
        Ok(stage)
    }

    /// What every box is promised.
    pub fn guarantees(&self) -> &Guarantees {
        &self.guarantees
    }

    /// The folder of the environments as the launcher sees it from now on.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Who shall own what is made below the base, if that is somebody else than the launcher.
    pub fn give_to(&self) -> Option<(u32, u32)> {
        (self.ids && geteuid().as_raw() != self.owner.0).then_some(self.owner)
    }

    /// Whether what a job writes to its `/tmp` stays there.
    pub fn shares_tmp(&self) -> bool {
        self.way != Way::Mounts
    }

    /// The control group of a slot.
    pub fn group(&self, slot: u16) -> Option<&Group> {
        self.groups.as_ref()?.slot(slot.into())
    }

    /// The box of a job. `Err` says why there can be none.
    pub fn job(&self, needs: &Needs<'_>) -> Result<Plan, String> {
        self.guarantees.accepts_jobs().map_err(|reason| format!("no foreign jobs on this host: {reason}"))?;
        let uid = self.job_uid(needs.slot);
        let mut steps = self.first_steps(&needs.env, MsFlags::MS_RDONLY);
        if self.way == Way::Mounts {
            let at = steps.len() - 1; // before the root changes
            let (size, gid) = (needs.tmp, self.owner.1);
            let options = c(format!("mode=700,uid={uid},gid={gid},size={size},nr_inodes={TMP_FILES}"));
            let own = [
                Step::Tmpfs { at: c("/box/tmp"), options },
                Step::Bind { from: c("/dev"), to: c("/box/dev"), all: true },
            ];
            steps.splice(at..at, own.into_iter().chain(self.shown_in_tmp(&needs.env)));
        }
        let shared = uid == self.owner.0;
        let processes = if shared { PROCESSES * (u64::from(self.setup.slots) + 4) } else { PROCESSES };
        steps.extend([
            Step::Chdir(c("/tmp")),
            Step::Umask(0o077),
            Step::Nice(self.setup.nice),
            Step::Limit(Limit::Core, 0),
            Step::Limit(Limit::File, needs.file),
            Step::Limit(Limit::Descriptors, 256),
            Step::Limit(Limit::Processes, processes),
            Step::Limit(Limit::Cpu, needs.wall.as_secs().saturating_add(1)),
        ]);
        if self.groups.is_none() {
            steps.push(Step::Limit(Limit::AddressSpace, needs.memory));
        }
        self.last_steps(&mut steps, uid, needs.foreign);
        // The id after the slots' may be used by several boxes at a time.
        let own_id = self.guarantees.has(Guarantee::OwnId) && needs.slot < self.setup.slots;
        Ok(Plan { namespaces: self.namespaces, alone: self.counts_processes() || own_id, steps })
    }

    /// What the environment itself has in `/tmp`, where the job's own would hide it: plugins and lists of a project that is built
    /// there. Links are left out, as they would be followed here and not in the box.
    fn shown_in_tmp(&self, env: &[&str; 2]) -> Vec<Step> {
        let folder = self.base.join(env[0]).join(env[1]).join("tmp");
        let mut steps = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten().take(SHOWN_MAX) {
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

    /// A box for a function of ours that fills or empties the folder `below` the base as its owner.
    pub fn folder(&self, below: &[&str]) -> Plan {
        let mut steps = self.first_steps(below, MsFlags::MS_NOEXEC);
        steps.extend([
            Step::Umask(0o022),
            Step::Nice(self.setup.nice),
            Step::Limit(Limit::Core, 0),
            Step::Limit(Limit::AddressSpace, FOLDER_MEMORY),
        ]);
        self.last_steps(&mut steps, self.owner.0, false);
        Plan { namespaces: self.namespaces, alone: self.counts_processes(), steps }
    }

    fn counts_processes(&self) -> bool {
        self.namespaces.contains(CloneFlags::CLONE_NEWPID)
    }

    /// The folder that [`Self::folder`]'s function sees as the one it was made for.
    pub fn folder_root(&self, below: &[&str]) -> PathBuf {
        if self.way == Way::None { self.base.join(below.iter().collect::<PathBuf>()) } else { PathBuf::from("/") }
    }

    fn first_steps(&self, below: &[&str], flags: MsFlags) -> Vec<Step> {
        let mut steps = vec![Step::DieWithParent];
        match self.way {
            Way::Mounts => {
                let from = c(below.iter().fold("/base".to_owned(), |path, name| path + "/" + name));
                let flags = self.flags | flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
                steps.push(Step::Bind { from, to: c("/box"), all: false });
                steps.push(Step::Remount { at: c("/box"), flags });
                steps.push(Step::PivotRoot { new: c("/box"), old: None });
            }
            Way::Chroot => {
                let base = c(self.base.as_os_str().as_encoded_bytes());
                steps.push(Step::Chroot { base, below: below.iter().map(c).collect() });
            }
            Way::None => {}
        }
        steps
    }

    fn last_steps(&self, steps: &mut Vec<Step>, uid: u32, foreign: bool) {
        if self.ids {
            steps.push(Step::Ids { uid, gid: self.owner.1 });
        }
        steps.extend([Step::NoCapabilities, Step::NoNewPrivileges, Step::NotDumpable, Step::DieWithParent]);
        if !self.counts_processes() {
            steps.push(Step::Adopt);
        }
        if self.filter {
            steps.push(Step::FilterCalls { foreign });
        }
    }

    fn job_uid(&self, slot: u16) -> u32 {
        let slot = u32::from(slot.min(self.setup.slots));
        match self.setup.job_uid_base {
            Some(base) if self.ids => base.saturating_add(slot),
            _ => self.owner.0,
        }
    }

    fn make_groups(&mut self) {
        match Groups::make(usize::from(self.setup.slots) + 1) {
            Ok(groups) => self.groups = Some(groups),
            Err(reason) => self.guarantees.lose(Guarantee::Memory, reason),
        }
    }

    /// Builds the stage in this process and finds out which further namespaces a box can have.
    fn enter_mounts(&mut self, single: &SingleThread, user: &[Step], rooted: &[Step]) -> Result<(), Error> {
        self.way = Way::Mounts;
        perform(user)?;
        self.take_network(single);
        self.find_namespaces(single);
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

    fn do_without_mounts(&mut self, single: &SingleThread, reason: String) {
        for lost in [Guarantee::PrivateTmp, Guarantee::ReadOnly] {
            self.guarantees.lose(lost, reason.clone());
        }
        let here = [Step::Chroot { base: c(self.base.as_os_str().as_encoded_bytes()), below: Vec::new() }];
        match trial(single, &here) {
            Ok(()) => self.way = Way::Chroot,
            Err(chroot) => self.guarantees.lose(Guarantee::Root, format!("{reason}; {chroot}")),
        }
        self.take_network(single);
        self.find_namespaces(single);
    }

    /// An empty network for the launcher, and so for all boxes.
    fn take_network(&mut self, single: &SingleThread) {
        let step = [Step::Unshare(CloneFlags::CLONE_NEWNET)];
        if let Err(reason) = trial(single, &step).and_then(|()| perform(&step).map_err(|e| e.to_string())) {
            self.guarantees.lose(Guarantee::Network, reason);
        }
    }

    fn find_namespaces(&mut self, single: &SingleThread) {
        let wanted = [CloneFlags::CLONE_NEWPID, CloneFlags::CLONE_NEWIPC, CloneFlags::CLONE_NEWUTS];
        for flag in wanted {
            match trial(single, &[Step::Unshare(flag)]) {
                Ok(()) => self.namespaces |= flag,
                Err(reason) => self.guarantees.lose(Guarantee::Processes, reason),
            }
        }
    }

    fn look_at_ids(&mut self, single: &SingleThread, me: (u32, u32)) {
        let reason = match self.setup.job_uid_base {
            _ if !self.ids && me.0 == 0 && self.way != Way::Mounts => {
                self.guarantees.lose(Guarantee::Root, "jobs would run as root");
                "no right to change ids"
            }
            _ if !self.ids => "no right to change ids: all jobs share one",
            None => "no range of ids given (--job-uid-base): all jobs share one",
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
        self.guarantees.lose(Guarantee::OwnId, reason);
    }
}

/// The small root of the launcher.
fn stage_steps(base: &Path) -> Vec<Step> {
    let at = |path: &str| c(path);
    let host = |path: &[u8]| -> CString { c([b"/host", path].concat()) };
    let mut steps = vec![
        Step::Unshare(CloneFlags::CLONE_NEWNS),
        Step::Private,
        // /tmp is on every host; what is mounted over it is our root a moment later.
        Step::Tmpfs { at: at("/tmp"), options: at("mode=755,size=64k") },
    ];
    steps.extend(["/tmp/host", "/tmp/base", "/tmp/box", "/tmp/dev"].map(|d| Step::MakeDir(at(d))));
    steps.extend(DEVICES.map(|d| Step::MakeFile(c(format!("/tmp/dev/{d}")))));
    steps.push(Step::PivotRoot { new: at("/tmp"), old: Some(at("/tmp/host")) });
    steps.push(Step::Bind { from: host(base.as_os_str().as_encoded_bytes()), to: at("/base"), all: true });
    steps.extend(DEVICES.map(|d| Step::Bind {
        from: host(format!("/dev/{d}").as_bytes()),
        to: c(format!("/dev/{d}")),
        all: false,
    }));
    steps.push(Step::Detach(at("/host")));
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    steps.push(Step::Remount { at: at("/"), flags });
    steps
}
