//! A folder with our daemon in it, where it has all that it needs and nothing is the host's.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use ice_core::message::{JobLocalBegin, Message};
use nix::unistd::{Uid, User};
use tempfile::TempDir;

use crate::fake::{Client, LIMIT, Process, SchedulerDouble, free_ports, holds_within, scratch, until};

/// Who the daemon is where the tests are root: nobody that the host knows.
const USER: u32 = 41_000;
/// The daemon's first word when all is up.
const READY: &str = "Netnames:";

static COUNT: AtomicU32 = AtomicU32::new(0);
/// Where programs are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether the tests are root, and may change who sees what.
pub fn has_own_mounts() -> bool {
    is_root() && own_mounts().arg("true").status().is_ok_and(|status| status.success())
}

/// What follows sees mounts that nobody else does.
pub fn own_mounts() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    command
}

/// Whether the tests are root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Gives a file away, where that is possible.
#[track_caller]
pub fn give(path: &Path, uid: u32) {
    if is_root() {
        chown(path, Some(uid), Some(uid)).unwrap();
    }
}

/// A folder of the daemon's user with the program in it, and a port.
pub struct Place {
    folder: TempDir,
    /// The port.
    pub port: u16,
}

impl Place {
    /// A new one.
    #[track_caller]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder, port: free_ports() };
        fs::set_permissions(place.folder.path(), Permissions::from_mode(0o755)).unwrap();
        give(place.folder.path(), USER);
        // The program itself may lie where that user cannot go.
        let (built, here) = (env!("CARGO_BIN_EXE_iceccd"), place.path("iceccd"));
        if fs::hard_link(built, &here).is_err() {
            // Not by this process: what another test starts meanwhile would hold the file open, and the system run no
            // such program.
            assert!(Command::new("cp").args([Path::new(built), &here]).status().unwrap().success());
        }
        place
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The socket of a daemon that is no root.
    pub fn socket(&self) -> PathBuf {
        self.path(".iceccd.socket")
    }

    /// The folder of the environments.
    pub fn base(&self) -> PathBuf {
        self.path("envs")
    }

    /// The program of that name as an ordinary user, with nothing of the tests' own variables.
    pub fn as_user(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("PATH", PATH).env("HOME", self.folder.path());
        command.current_dir(self.folder.path());
        if is_root() {
            command.uid(USER).gid(USER);
        }
        command
    }

    /// What a daemon gets that a test changes nothing for. Of two options the last one counts, so more may follow.
    pub fn arguments(&self) -> Vec<String> {
        let (base, port) = (self.base().display().to_string(), self.port.to_string());
        ["-vvv", "-m", "2", "-s", "127.0.0.1:1", "-b", &base, "-p", &port].map(str::to_owned).to_vec()
    }

    /// The daemon as an ordinary user.
    pub fn daemon(&self) -> Command {
        let mut command = self.as_user(self.path("iceccd"));
        command.args(self.arguments());
        command
    }

    /// The daemon by a root who has `/var/run` and `/var/log` for himself, and the folder of that account. `None`, and
    /// a reason printed, where there is no such root.
    pub fn daemon_by_root(&self, account: &str) -> Option<(Command, PathBuf)> {
        let Ok(Some(user)) = User::from_name(account) else { return skip(&format!("no user {account}")) };
        if !has_own_mounts() {
            return skip("needs root with mounts of its own");
        }
        let folder = self.path(account);
        fs::create_dir_all(&folder).unwrap();
        chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        let mut command = own_mounts();
        let script = "mount -t tmpfs none /var/run && mount -t tmpfs none /var/log && exec \"$0\" \"$@\"";
        command.args(["sh", "-c", script]).arg(self.path("iceccd"));
        command.env_clear().env("PATH", PATH).current_dir(self.folder.path());
        command.args(self.arguments()).arg("-b").arg(folder.join("envs")).args(["-u", account]);
        Some((command, folder))
    }

    /// Starts a daemon.
    #[track_caller]
    pub fn launch(&self, command: Command) -> Process {
        Process::start(command, scratch(&format!("daemon-{}.log", COUNT.fetch_add(1, Ordering::Relaxed))))
    }

    /// Starts a daemon and waits until it is up.
    #[track_caller]
    pub fn start(&self, command: Command) -> Process {
        let mut daemon = self.launch(command);
        let mut ended = None;
        let up = holds_within(LIMIT, || {
            ended = daemon.ended();
            ended.is_some() || daemon.log().contains(READY)
        });
        assert!(up && ended.is_none(), "the daemon is not up: {ended:?}");
        daemon
    }

    /// The same for one that logs to a file.
    #[track_caller]
    pub fn start_logging_to(&self, log: &Path, command: Command) -> Process {
        let daemon = self.launch(command);
        until("a daemon", || fs::read_to_string(log).is_ok_and(|text| text.contains(READY)));
        daemon
    }

    /// Starts an ordinary user's daemon with these arguments besides.
    #[track_caller]
    pub fn start_with(&self, args: &[impl AsRef<OsStr>]) -> Process {
        let mut command = self.daemon();
        command.args(args);
        self.start(command)
    }
}

/// The arguments to use that scheduler.
pub fn at(scheduler: &SchedulerDouble) -> [String; 2] {
    ["-s".to_owned(), format!("127.0.0.1:{}", scheduler.port())]
}

/// Whether a daemon takes jobs of others; says so if not.
pub fn accepts_jobs(daemon: &Process) -> bool {
    let log = daemon.log();
    let refused = log.lines().find_map(|line| line.split_once(": reason: "));
    if let Some((_, reason)) = refused {
        skip::<()>(reason);
    }
    refused.is_none()
}

/// Says why something is not tried.
pub fn skip<T>(reason: &str) -> Option<T> {
    println!("skipped: {reason}");
    None
}

/// Makes sure that a daemon serves: a local job may begin at once.
#[track_caller]
pub fn serves(socket: &Path) {
    let mut client = Client::unix(socket, 44);
    client.send(&Message::JobLocalBegin(JobLocalBegin { output_file: "x.o".into(), ..JobLocalBegin::default() }));
    assert!(matches!(client.next(), Message::JobLocalBegin(_)));
    client.send(&Message::End);
    client.until_closed();
}

/// Permission bits of a file.
#[track_caller]
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).mode() & 0o7777
}

/// An address of this host that is no loopback, and its device.
pub fn device() -> Option<(String, Ipv4Addr)> {
    let found = nix::ifaddrs::getifaddrs().ok()?.find_map(|entry| {
        let address = entry.address?.as_sockaddr_in()?.ip();
        (!address.is_loopback()).then_some((entry.interface_name, address))
    });
    if found.is_none() { skip("no device with an address but lo") } else { found }
}
