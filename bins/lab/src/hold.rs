//! The first process of a host (or of the lab's switch): sets up its files, then only reaps orphans.
//!
//! `unshare` starts it as process 1 of new namespaces. When it is killed, the kernel ends all processes inside and
//! removes the network and mounts of the host.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Uid, User, chown, pivot_root};

use super::error::Error;

/// Arguments of the first process of a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Holding {
    /// The host's name, or `None` for the switch, which keeps the machine's files.
    pub host: Option<String>,
    /// The host's directory in the lab's state.
    pub folder: PathBuf,
    /// A root file system of its own; changes to it go to the host's directory.
    pub root: Option<PathBuf>,
    /// Directories that such a host shares with the machine, at the same paths.
    pub shared: Vec<PathBuf>,
    /// Show the host an idle processor: see [`super::Config::real_load`].
    pub steady_load: bool,
}

/// Directories that each host has of its own: the programs' default locations.
const OWN: [&str; 3] = ["/var/cache", "/var/log", "/var/tmp"];

/// Runs until killed. Prints `ready PID`, with the number seen from where the lab was made.
pub fn hold(holding: &Holding) -> Result<(), Error> {
    // /proc is still the machine's and has the machine's process ids.
    let pid = fs::read_link("/proc/self").map_err(Error::file("/proc/self"))?;
    if let Some(name) = &holding.host {
        furnish(holding, name)?;
    }
    println!("ready {}", pid.display());
    io::stdout().flush().map_err(Error::file("standard output"))?;
    reap()
}

fn furnish(holding: &Holding, name: &str) -> Result<(), Error> {
    let old = Path::new("/");
    let root = match &holding.root {
        None => old.to_path_buf(),
        Some(lower) => overlay(lower, &holding.folder)?,
    };
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    if root != old {
        for path in ["/dev", "/sys"] {
            bind(Path::new(path), &at(path), MsFlags::MS_REC)?;
        }
        for path in &holding.shared {
            bind(path, &at(&path.to_string_lossy()), MsFlags::empty())?;
        }
    }
    let account = User::from_name(ice_bins::background::DEFAULT_USER).ok().flatten();
    for path in OWN {
        let own = holding.folder.join(path.trim_start_matches("/var/"));
        let service = own.join("icecc");
        fs::create_dir_all(&service).map_err(Error::file(&service))?;
        give(&service, account.as_ref());
        bind(&own, &at(path), MsFlags::empty())?;
    }
    open_to_all(&at("/var/tmp"))?;
    mounted(&at("/run"), "tmpfs", "mode=755")?;
    let run = at("/run/icecc");
    fs::create_dir(&run).map_err(Error::file(&run))?;
    give(&run, account.as_ref());
    mounted(&at("/proc"), "proc", "")?;
    if holding.steady_load {
        let (now, still) = (at("/proc/stat"), holding.folder.join("stat"));
        fs::copy(&now, &still).map_err(Error::file(&now))?;
        bind(&still, &now, MsFlags::empty())?;
    }
    if root != old {
        enter(&root)?;
    }
    nix::unistd::sethostname(name).map_err(|e| Error::file("host name")(e.into()))
}

/// The given root with a writable layer above it.
fn overlay(lower: &Path, folder: &Path) -> Result<PathBuf, Error> {
    let [upper, work, root] = ["upper", "work", "root"].map(|name| folder.join(name));
    for path in [&upper, &work, &root] {
        fs::create_dir_all(path).map_err(Error::file(path))?;
    }
    let data = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mounted(&root, "overlay", &data)?;
    Ok(root)
}

fn enter(root: &Path) -> Result<(), Error> {
    let old = root.join("mnt");
    fs::create_dir_all(&old).map_err(Error::file(&old))?;
    let result = std::env::set_current_dir(root).and_then(|()| {
        pivot_root(".", "mnt")?;
        std::env::set_current_dir("/")?;
        Ok(umount2("/mnt", MntFlags::MNT_DETACH)?)
    });
    result.map_err(Error::file(root))
}

fn bind(from: &Path, to: &Path, more: MsFlags) -> Result<(), Error> {
    if from.is_dir() {
        fs::create_dir_all(to).map_err(Error::file(to))?;
    } else if !to.exists() {
        fs::File::create(to).map_err(Error::file(to))?;
    }
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | more, None::<&str>).map_err(|e| Error::file(to)(e.into()))
}

fn mounted(to: &Path, kind: &str, data: &str) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::file(to))?;
    mount(Some(kind), to, Some(kind), MsFlags::empty(), Some(data)).map_err(|e| Error::file(to)(e.into()))
}

/// If the account does not exist in this user namespace, the directory keeps its owner.
fn give(path: &Path, account: Option<&User>) {
    let (uid, gid) = account.map_or((Uid::from_raw(65_534), Gid::from_raw(65_534)), |user| (user.uid, user.gid));
    let _ = chown(path, Some(uid), Some(gid));
}

fn open_to_all(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o1777)).map_err(Error::file(path))
}

/// Process 1 inherits orphans: they must not stay as zombies, or a test that looks for left-over processes finds them.
fn reap() -> Result<(), Error> {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block().map_err(|e| Error::file("signal mask")(e.into()))?;
    loop {
        while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(_)) {}
        let _ = children.wait();
    }
}
