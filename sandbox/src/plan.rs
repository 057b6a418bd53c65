//! A plan: the ordered steps that make a sandbox. It is made without privileges and can be printed.
//!
//! Carrying out a plan involves no decisions: if a step fails, there is no sandbox.

use crate::filter::Filter;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use std::ffi::CString;
use std::fmt;

/// One step of the process that becomes a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Enters a new user namespace in which only this user and group exist. It grants all capabilities *inside*.
    UserNamespace {
        /// The user id inside.
        uid: u32,
        /// The group id inside.
        gid: u32,
        /// This process's user and group id outside.
        outside: (u32, u32),
    },
    /// Enters other new namespaces.
    Unshare(CloneFlags),
    /// Makes mounts private: later ones are not propagated to the host.
    Private,
    /// Bind-mounts `from` at `to`.
    Bind {
        /// The source.
        from: CString,
        /// The mount point.
        to: CString,
        /// Whether to include everything mounted below `from`.
        all: bool,
    },
    /// Changes the flags of the mount at `at`.
    Remount {
        /// The mount point.
        at: CString,
        /// Its new flags.
        flags: MsFlags,
    },
    /// Mounts an empty file system in memory.
    Tmpfs {
        /// The mount point.
        at: CString,
        /// Options in the syntax of mount(2).
        options: CString,
    },
    /// Mounts a `/proc` of the sandbox's own processes, and nothing of the host but them.
    Proc(CString),
    /// Mounts layers over each other.
    Overlay {
        /// The mount point.
        at: CString,
        /// The layers, never written.
        lower: Lower,
        /// A directory for what is written, and one beside it for the kernel.
        upper: [CString; 2],
        /// A `/proc`, by which layers are named that are open already.
        proc: CString,
        /// Whether the kernel keeps its notes in attributes that a user namespace may set.
        of_user: bool,
    },
    /// Opens a directory, and keeps it open for the sandbox's first process.
    Keep(CString),
    /// Creates a directory; an existing one is no error.
    MakeDir(CString),
    /// Creates an empty file as a mount point for a device or file.
    MakeFile(CString),
    /// Makes `new` the root. The old root is mounted at `old`, or detached if that is `None`.
    PivotRoot {
        /// The new root.
        new: CString,
        /// The mount point of the old root.
        old: Option<CString>,
    },
    /// Detaches the mount at this path.
    Detach(CString),
    /// Makes a directory the root by chroot(2). Each component is opened without following links.
    Chroot {
        /// The directory to start from, trusted.
        base: CString,
        /// The components below it, not trusted.
        below: Vec<CString>,
    },
    /// Changes the working directory.
    Chdir(CString),
    /// Sets the umask.
    Umask(u32),
    /// Adds niceness.
    Nice(i32),
    /// Refuses sockets, and system calls for memory that no limit of a process counts. For processes that are in no
    /// sandbox, whose filter is [`Plan::filter`].
    RefuseUncounted,
    /// Lowers a resource limit, soft and hard.
    Limit(Limit, u64),
    /// Changes to this user and group, without supplementary groups.
    Ids {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    },
    /// Empties the bounding set, as far as permitted, so that no program gets a capability again.
    NoBounds,
    /// Drops all capabilities, also for programs executed later.
    NoCapabilities,
    /// Disables privilege gain by set-id programs (`no_new_privs`).
    NoNewPrivileges,
    /// Forbids tracing by other processes of the same user.
    NotDumpable,
    /// Lets processes of the same user read the memory of this one.
    Dumpable,
    /// Kills the process when its parent dies. A change of ids disarms this, so it is repeated after each.
    DieWithParent,
    /// Makes orphaned descendants children of this process, so that it can kill them. Not needed in a pid namespace,
    /// whose first process gets them anyway.
    Adopt,
}

/// The lower layers of an overlay. Each component is opened without following links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lower {
    /// The directory to start from, trusted.
    pub base: CString,
    /// The components from there to the layers' directory, not trusted.
    pub below: Vec<CString>,
    /// The layers' names there, the topmost first.
    pub layers: Vec<CString>,
}

/// A resource with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of address space.
    AddressSpace,
    /// Seconds of CPU time of one process.
    Cpu,
    /// Bytes of one file.
    File,
    /// Number of descriptors.
    Descriptors,
    /// Number of processes of this user.
    Processes,
    /// Bytes of a core dump.
    Core,
}

/// A complete sandbox: how its first process is created, its steps, and what its work may not do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Namespaces in which the first process is created.
    pub namespaces: CloneFlags,
    /// Whether kill(-1) by the first process reaches only processes of this job, because they have a pid namespace or a
    /// user id of their own.
    pub alone: bool,
    /// The steps of the first process, in order.
    pub steps: Vec<Step>,
    /// Installed by the process of the work before it begins. The first process, which answers unknown calls, cannot
    /// be under it.
    pub filter: Option<Filter>,
}

/// A C string. It ends at the first NUL; callers have refused text with one.
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
            Self::Proc(at) => write!(f, "mount the sandbox's processes at {at:?}"),
            Self::Overlay { at, lower: Lower { base, below, layers }, .. } => {
                write!(f, "mount an overlay at {at:?} of {base:?} {below:?} {layers:?}")
            }
            Self::Keep(at) => write!(f, "keep {at:?} open"),
            Self::MakeDir(at) => write!(f, "make directory {at:?}"),
            Self::MakeFile(at) => write!(f, "make file {at:?}"),
            Self::PivotRoot { new, old } => write!(f, "pivot the root to {new:?}, the old one to {old:?}"),
            Self::Detach(at) => write!(f, "detach {at:?}"),
            Self::Chroot { base, below } => write!(f, "change the root to {base:?} {below:?}"),
            Self::Chdir(to) => write!(f, "change the directory to {to:?}"),
            Self::Umask(mask) => write!(f, "set umask {mask:03o}"),
            Self::Nice(by) => write!(f, "add niceness {by}"),
            Self::RefuseUncounted => f.write_str("refuse sockets and memory that no limit counts"),
            Self::Limit(what, to) => write!(f, "limit {what:?} to {to}"),
            Self::Ids { uid, gid } => write!(f, "become {uid}:{gid}"),
            Self::NoBounds => f.write_str("empty the bounding set of capabilities"),
            Self::NoCapabilities => f.write_str("drop all capabilities"),
            Self::NoNewPrivileges => f.write_str("refuse new privileges"),
            Self::NotDumpable => f.write_str("refuse tracing"),
            Self::Dumpable => f.write_str("permit tracing"),
            Self::DieWithParent => f.write_str("die with the parent"),
            Self::Adopt => f.write_str("adopt orphans"),
        }
    }
}

/// Prints one step per line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "clone into {:?}", self.namespaces)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        self.filter.iter().try_for_each(|filter| writeln!(f, "for the work: {filter}"))
    }
}
