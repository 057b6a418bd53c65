//! An ordered list of steps that make the box: made without privilege, printable.
//!
//! A plan decides nothing while it is carried out: a step works, or the box is not made.

use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use std::ffi::CString;
use std::fmt;

/// One thing done to the process that will be the box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A user namespace of its own in which only this user and group exist. Gives every right *inside*.
    UserNamespace {
        /// The one user, as it is called inside.
        uid: u32,
        /// The one group, likewise.
        gid: u32,
        /// Who they are outside: this process's user and group.
        outside: (u32, u32),
    },
    /// Other namespaces of its own.
    Unshare(CloneFlags),
    /// Mounts made from here on stay here.
    Private,
    /// Shows `from` at `to` as well, with everything mounted below it if `all`.
    Bind {
        /// What.
        from: CString,
        /// Where.
        to: CString,
        /// With its submounts.
        all: bool,
    },
    /// Changes the flags of the mount at `at`.
    Remount {
        /// The mount.
        at: CString,
        /// Its new flags.
        flags: MsFlags,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Where.
        at: CString,
        /// Options as mount(2) takes them.
        options: CString,
    },
    /// A folder; one that exists is fine.
    MakeDir(CString),
    /// An empty file, for a device to be shown at.
    MakeFile(CString),
    /// Makes `new` the root; the old root is shown at `old`, or gone if that is `None`.
    PivotRoot {
        /// The new root.
        new: CString,
        /// Where the old one goes.
        old: Option<CString>,
    },
    /// Takes the mount at this place away.
    Detach(CString),
    /// Makes a folder the root by chroot(2); each component is opened without following links.
    Chroot {
        /// The folder to start from, trusted.
        base: CString,
        /// What follows it, not trusted.
        below: Vec<CString>,
    },
    /// The working directory.
    Chdir(CString),
    /// Permissions that new files do not get.
    Umask(u32),
    /// Niceness added.
    Nice(i32),
    /// A resource limit, soft and hard.
    Limit(Limit, u64),
    /// No supplementary group, this group and user.
    Ids {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// No capability, now or after any exec.
    NoCapabilities,
    /// No gain by set-id programs.
    NoNewPrivileges,
    /// No tracing by others of the same user.
    NotDumpable,
    /// Killed when its parent dies. Armed anew after each change of ids, which disarms it.
    DieWithParent,
    /// Orphans below become its children, so that none is out of reach. A pid namespace does that by itself.
    Adopt,
    /// Calls that no compiler needs are refused.
    FilterCalls {
        /// Programs of the machine of half the width may run too, by a list of their own.
        foreign: bool,
    },
}

/// A resource that can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of address space.
    AddressSpace,
    /// Seconds of CPU time of one process.
    Cpu,
    /// Bytes of one file.
    File,
    /// Descriptors.
    Descriptors,
    /// Processes of this user.
    Processes,
    /// Bytes of a core dump.
    Core,
}

/// The whole of a box: how its first process is made, then its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Namespaces the first process is born into.
    pub namespaces: CloneFlags,
    /// A signal to "all" by the first process reaches the job's processes and no other: they have a pid namespace, or a
    /// user id, of their own.
    pub alone: bool,
    /// What it does then, in order.
    pub steps: Vec<Step>,
}

/// Text for a C call; a NUL, which no caller lets through, would end it.
pub fn c(text: impl AsRef<[u8]>) -> CString {
    let bytes: Vec<u8> = text.as_ref().iter().copied().take_while(|&b| b != 0).collect();
    CString::new(bytes).unwrap_or_default()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserNamespace { uid, gid, outside } => {
                write!(f, "enter a user namespace as {uid}:{gid}, outside {}:{}", outside.0, outside.1)
            }
            Self::Unshare(flags) => write!(f, "unshare {flags:?}"),
            Self::Private => f.write_str("make mounts private"),
            Self::Bind { from, to, all } => {
                write!(f, "bind {from:?} at {to:?}{}", if *all { " with submounts" } else { "" })
            }
            Self::Remount { at, flags } => write!(f, "remount {at:?} as {flags:?}"),
            Self::Tmpfs { at, options } => write!(f, "mount a tmpfs at {at:?} with {options:?}"),
            Self::MakeDir(at) => write!(f, "make folder {at:?}"),
            Self::MakeFile(at) => write!(f, "make file {at:?}"),
            Self::PivotRoot { new, old } => write!(f, "pivot the root to {new:?}, the old one to {old:?}"),
            Self::Detach(at) => write!(f, "detach {at:?}"),
            Self::Chroot { base, below } => write!(f, "change the root to {base:?} {below:?}"),
            Self::Chdir(to) => write!(f, "change the folder to {to:?}"),
            Self::Umask(mask) => write!(f, "set umask {mask:03o}"),
            Self::Nice(by) => write!(f, "add niceness {by}"),
            Self::Limit(what, to) => write!(f, "limit {what:?} to {to}"),
            Self::Ids { uid, gid } => write!(f, "become {uid}:{gid}"),
            Self::NoCapabilities => f.write_str("drop all capabilities"),
            Self::NoNewPrivileges => f.write_str("refuse new privileges"),
            Self::NotDumpable => f.write_str("refuse tracing"),
            Self::DieWithParent => f.write_str("die with the parent"),
            Self::Adopt => f.write_str("adopt orphans"),
            Self::FilterCalls { foreign: false } => f.write_str("filter system calls"),
            Self::FilterCalls { foreign: true } => f.write_str("filter system calls, those of the narrow machine too"),
        }
    }
}

/// One step per line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "clone into {:?}", self.namespaces)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
