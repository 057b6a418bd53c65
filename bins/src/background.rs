//! Detaching from the terminal, pid files, giving up root.
//!
//! Order in a program: options, `Start::here`, log, launcher, sockets, `PidFile::write`, `drop_root`,
//! `Start::ready`.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ice_core::limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User};

use crate::exit::Failure;

/// Directory of the sockets of daemon and scheduler (`RUNDIR/icecc`).
pub const RUN_DIR: &str = "/var/run/icecc";

/// Directory of their logs when detached as root without `-l`.
pub const LOG_DIR: &str = "/var/log/icecc";

/// The user as which services run if root starts them, as in 1.4.
pub const DEFAULT_USER: &str = "icecc";

/// Variable set for the detached process. Its value is the parent's pid, so that processes further down ignore it.
const DETACHED: &str = "ICECC_DETACHED_BY";

/// Message of the detached process to its parent when it is ready.
const READY: &[u8] = b"ready\n";

/// Raises the limit of open files to what a service may need, as far as the system allows. Returns the limit.
pub fn raise_descriptors() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    let wanted = hard.min(limits::DESCRIPTORS);
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft }
}

/// The account as which a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User id; never 0 if this process is root.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What an account must be that it is not.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccountError {
    /// No such user, or an empty name.
    #[error("the name of a user of this system")]
    Unknown,
    /// Root, or a member of root's group.
    #[error("a user who is neither root nor in root's group")]
    Root,
}

impl Account {
    /// The account of `-u NAME`.
    pub fn named(name: &str) -> Result<Account, AccountError> {
        let user = User::from_name(name).ok().flatten().ok_or(AccountError::Unknown)?;
        let account = Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() };
        if account.uid == 0 || account.gid == 0 { Err(AccountError::Root) } else { Ok(account) }
    }

    /// The account without `-u`: the current one, or for root `icecc`, else nobody with 1.4's warning on standard
    /// error.
    pub fn default_for_service() -> Account {
        if !Uid::effective().is_root() {
            return Account { uid: Uid::current().as_raw(), gid: Gid::current().as_raw() };
        }
        Account::named(DEFAULT_USER).unwrap_or_else(|_| {
            eprintln!("No icecc user on system. Falling back to nobody.");
            Account { uid: 65_534, gid: 65_533 }
        })
    }
}

/// Why root could not be given up.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} to give up root for uid {uid}")]
pub struct DropError {
    step: &'static str,
    uid: u32,
    #[source]
    source: io::Error,
}

/// Result of giving up root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// This process was not root: nothing to do.
    WasNotRoot,
    /// The account does not exist in this user namespace (an ordinary user's lab): root is that user here, and is kept.
    NotMapped,
    /// The process has become the account, without groups and capabilities, and cannot gain any again.
    Done,
}

/// Becomes `account` for good, without further groups and capabilities; programs that it runs gain none either.
pub fn drop_root(account: &Account) -> Result<Dropped, DropError> {
    if !Uid::effective().is_root() {
        return Ok(Dropped::WasNotRoot);
    }
    if !maps("/proc/self/uid_map", account.uid) || !maps("/proc/self/gid_map", account.gid) {
        return Ok(Dropped::NotMapped);
    }
    let fail = |step, source: nix::Error| DropError { step, uid: account.uid, source: source.into() };
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    empty_bounding_set();
    nix::unistd::setgroups(&[]).map_err(|e| fail("drop the groups", e))?;
    nix::unistd::setresgid(gid, gid, gid).map_err(|e| fail("set the group", e))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(|e| fail("set the user", e))?;
    // Leaving uid 0 empties the effective and permitted sets; this also covers "keep" bits set by a parent.
    let empty = rustix::thread::CapabilitySet::empty();
    let none = rustix::thread::CapabilitySets { effective: empty, permitted: empty, inheritable: empty };
    rustix::thread::set_capabilities(None, none)
        .and_then(|()| rustix::thread::set_no_new_privs(true))
        .map_err(|e| DropError { step: "clear the capabilities", uid: account.uid, source: e.into() })?;
    // The account also runs tools for local users: they must not read this process's memory nor stop it with a
    // debugger.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).map_err(|e| DropError {
        step: "close itself to debuggers",
        uid: account.uid,
        source: e.into(),
    })?;
    Ok(Dropped::Done)
}

/// Runs a function with the rights of `account` and returns to root. Root uses it in directories of the account: a link
/// placed there must lead no further than the account could go itself. Only for processes with one thread. If the
/// account does not exist or this process is not root, the function runs with the current rights.
pub fn as_account<T>(account: &Account, work: impl FnOnce() -> T) -> T {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    // Nor by a group of the administrator who started the process.
    let groups = nix::unistd::getgroups().ok().filter(|_| uid.is_root() && nix::unistd::setgroups(&[]).is_ok());
    let becomes = uid.is_root() && nix::unistd::setegid(Gid::from_raw(account.gid)).is_ok();
    let became = becomes && nix::unistd::seteuid(Uid::from_raw(account.uid)).is_ok();
    let done = work();
    if became {
        // This cannot fail: the real and saved ids are still root's.
        let _ = nix::unistd::seteuid(uid);
    }
    if becomes {
        let _ = nix::unistd::setegid(gid);
    }
    if let Some(groups) = groups {
        let _ = nix::unistd::setgroups(&groups);
    }
    done
}

/// A pid file; see [`PidFile::remove`].
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes `/var/run/PROGRAM.pid`, where PROGRAM is the base name of its path. Call it before [`drop_root`]; 1.4
    /// does so afterwards, and never gets one.
    pub fn write() -> io::Result<PidFile> {
        let name = std::env::args_os().next().unwrap_or_default();
        let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        PidFile::write_to(PathBuf::from(format!("/var/run/{name}.pid")))
    }

    fn write_to(path: PathBuf) -> io::Result<PidFile> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
            .open(&path)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(PidFile { path, file })
    }

    /// Removes the file. If the directory is root's and root was given up, the file is emptied instead, so that nobody
    /// kills an unrelated process that gets this pid.
    pub fn remove(self) {
        if std::fs::remove_file(&self.path).is_err() {
            let _ = self.file.set_len(0);
        }
    }
}

/// How this process was started: in the foreground, or detached.
#[derive(Debug)]
#[must_use]
pub struct Start {
    detached: bool,
}

impl Start {
    /// With `detach`, starts this program again in a new session and waits until that process is ready. Then this
    /// process exits with 0, otherwise with 1 or the other's code. Returns in the process that does the work.
    ///
    /// Starting the program again instead of forking needs no `unsafe`, and working directory, log and standard error
    /// stay the caller's until [`Start::ready`]. Call it before any thread or file exists.
    pub fn here(detach: bool) -> Result<Start, Failure> {
        if !detach {
            return Ok(Start { detached: false });
        }
        let parent = std::os::unix::process::parent_id().to_string();
        if std::env::var(DETACHED).is_ok_and(|by| by == parent) {
            // An error means that it is a session leader already.
            let _ = nix::unistd::setsid();
            return Ok(Start { detached: true });
        }
        std::process::exit(start_detached()?);
    }

    /// Tells a waiting parent that the service works, and detaches from the terminal. In the foreground it notifies
    /// systemd, if that waits.
    pub fn ready(self) -> io::Result<()> {
        if !self.detached {
            if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
                // systemd then stops this service after its timeout, and logs it.
                let _ = notify(&socket);
            }
            return Ok(());
        }
        let null = null()?;
        nix::unistd::dup2_stderr(&null)?;
        // A parent that was killed meanwhile is no reason to exit.
        let _ = io::stdout().write_all(READY).and_then(|()| io::stdout().flush());
        nix::unistd::dup2_stdout(&null)?;
        Ok(())
    }
}

fn null() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}

/// Notifies systemd for a unit of `Type=notify`. A name that begins with `@` is an abstract socket.
fn notify(socket: &OsStr) -> io::Result<()> {
    let address = match socket.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address).map(|_| ())
}

/// The waiting parent; returns the exit code for the caller.
fn start_detached() -> Result<i32, Failure> {
    let cannot = |source: io::Error| Failure::new(format!("cannot detach: {source}"));
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let mut child = Command::new(std::env::current_exe().map_err(cannot)?)
        .arg0(name)
        .args(args)
        .env(DETACHED, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let mut said = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(READY.len() as u64).read_to_end(&mut said).map_err(cannot)?;
    }
    if said == READY {
        return Ok(0);
    }
    let status = child.wait().map_err(cannot)?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Err(Failure::new("the detached process ended before it was ready")),
        (Some(code), _) => Ok(code),
        (None, signal) => {
            Err(Failure::new(format!("the detached process was ended by signal {}", signal.unwrap_or(0))))
        }
    }
}

/// Programs started later cannot gain capabilities that are not in this set. Emptying it needs a capability that
/// containers may lack, and "no new privileges" has the same effect, so failures are ignored.
fn empty_bounding_set() {
    for number in 0..64 {
        if let Some(capability) = 1u64.checked_shl(number).map(rustix::thread::CapabilitySet::from_bits_retain) {
            let _ = rustix::thread::remove_capability_from_bounding_set(capability);
        }
    }
}

/// Whether an id exists in this user namespace. If the map is unreadable (no /proc), every id does.
fn maps(path: &str, id: u32) -> bool {
    match std::fs::read_to_string(path) {
        Ok(text) => map_has(&text, id),
        Err(_) => true,
    }
}

fn map_has(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut fields = line.split_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
        let (inside, _outside, count) = (fields.next(), fields.next(), fields.next());
        matches!((inside, count), (Some(first), Some(count)) if (first..first + count).contains(&u64::from(id)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_the_command_line() {
        assert_eq!(Account::named(""), Err(AccountError::Unknown));
        assert_eq!(Account::named("no such user"), Err(AccountError::Unknown));
        assert_eq!(Account::named("root"), Err(AccountError::Root));
    }

    #[test]
    fn a_service_has_descriptors_enough() {
        let hard = getrlimit(Resource::RLIMIT_NOFILE).unwrap().1;
        let raised = raise_descriptors();
        assert!(raised >= hard.min(limits::DESCRIPTORS));
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (raised, hard));
    }

    #[test]
    fn maps_of_user_namespaces() {
        assert!(map_has("         0          0 4294967295\n", 65_534));
        assert!(map_has("0 1000 1\n", 0) && !map_has("0 1000 1\n", 1));
        assert!(map_has("0 1000 1\n1 100000 65536\n", 65_534));
        assert!(!map_has("", 0));
    }

    #[test]
    fn systemd_hears_of_it_by_path_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("icecream-rs-{}", std::process::id());
        let hears = |bound: UnixDatagram, told: &OsStr| {
            bound.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
            notify(told).unwrap();
            let mut heard = [0; 64];
            let length = bound.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        };
        hears(UnixDatagram::bind(&path).unwrap(), path.as_os_str());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        hears(UnixDatagram::bind_addr(&address).unwrap(), OsStr::new(&format!("@{name}")));
        assert!(notify(OsStr::new("/nonexistent/notify")).is_err());
    }

    #[test]
    fn a_pid_file_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pid");
        let pid = PidFile::write_to(path.clone()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        pid.remove();
        assert!(!path.exists());
    }
}
