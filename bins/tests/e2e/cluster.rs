//! A lab for one test, and what tests do with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ice_lab::process::{self, Process};
use ice_lab::{Config, Error, Lab, Output, Programs, own_programs};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;

/// How long one compile on a lab may take before the test fails.
pub const COMPILE: Duration = Duration::from_secs(120);
/// How long a wait for what should be there at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Whose programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This project's.
    Ours,
    /// icecream 1.4's, as Debian packages it.
    Peer14,
}

impl Whose {
    /// The programs.
    pub fn programs(self) -> Programs {
        match self {
            Whose::Ours => own_programs().unwrap_or_else(|e| panic!("{}", ice_bins::exit::chain(&e))),
            Whose::Peer14 => Programs::peer_1_4(),
        }
    }
}

/// A command that runs on a host, to be waited for.
pub struct Background<'a> {
    cluster: &'a Cluster,
    child: Child,
    command: String,
}

impl Background<'_> {
    /// Its status; it must end in time.
    pub fn wait(mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        self.cluster.until(&format!("end of: {}", self.command), limit, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status.unwrap_or_else(|| self.cluster.fail("a status"))
    }
}

impl Drop for Background<'_> {
    /// What it started on the host ends with the lab.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A lab that ends with its test, and a folder to compile in.
pub struct Cluster {
    /// The hosts.
    pub lab: Lab,
    folder: tempfile::TempDir,
    _turn: Option<Turn>,
}

/// The right to have a lab. One lab at a time, whichever process has it: a loaded machine makes 1.4's daemons refuse
/// jobs, and each test shall say the same alone and in the suite.
type Turn = Flock<File>;

/// Waits for its turn: the runner of the tests bounds that.
fn turn() -> Turn {
    let file = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-lab")).expect("a file to lock");
    Flock::lock(file, FlockArg::LockExclusive).unwrap_or_else(|(_, error)| panic!("turn: {error}"))
}

impl Cluster {
    /// Hosts with these slots and the same programs, or `None` with a printed reason where that is impossible.
    pub fn up(whose: Whose, slots: &[u32]) -> Option<Cluster> {
        Cluster::with(&Config::new("", &whose.programs(), slots))
    }

    /// As configured, but for the name.
    pub fn with(config: &Config) -> Option<Cluster> {
        Cluster::make(config, Some(turn()))
    }

    /// A second lab beside this one, for comparisons in turn.
    pub fn beside(&self, slots: &[u32]) -> Option<Cluster> {
        Cluster::make(&Config::new("", &Whose::Ours.programs(), slots), None)
    }

    fn make(config: &Config, turn: Option<Turn>) -> Option<Cluster> {
        let all = config.hosts.iter().flat_map(|h| [Some(&h.programs), h.daemon_programs.as_ref()]);
        for programs in all.chain([config.scheduler.as_ref()]).flatten() {
            if !programs.complete() {
                // Our own were built with this test.
                assert_ne!(*programs, Whose::Ours.programs(), "programs of ours are missing");
                return skip(&format!("{programs:?}: programs are missing"));
            }
        }
        let mut config = config.clone();
        config.name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        config.tied = true;
        let services = !config.bare;
        config.bare = true;
        match Lab::up(&config) {
            Ok(lab) => {
                let cluster = Cluster { lab, folder: tempfile::tempdir().expect("a temporary folder"), _turn: turn };
                if services {
                    cluster.start_services();
                }
                Some(cluster)
            }
            Err(Error::Unavailable(reason)) => skip(&reason),
            Err(error) => panic!("lab {}: {}", config.name, ice_bins::exit::chain(&error)),
        }
    }

    fn start_services(&self) {
        let result = self.lab.start_scheduler("h1", None).and_then(|()| {
            process::until("scheduler", SOON, || self.lab.console("help").is_ok())?;
            self.lab.hosts().iter().try_for_each(|host| self.lab.start_daemon(&host.name, None))?;
            self.lab.wait_for_hosts(self.lab.hosts().len())
        });
        self.check(result);
    }

    /// The folder that the test may use, on all hosts at the same path.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// Reads a file of the folder.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.folder().join(name);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Runs a shell command on a host, in the folder, with these variables set.
    pub fn sh(&self, host: &str, variables: &[(&str, &str)], command: &str) -> Output {
        self.sh_within(COMPILE, host, variables, command)
    }

    /// As [`Cluster::sh`], with a limit of its own.
    pub fn sh_within(&self, limit: Duration, host: &str, variables: &[(&str, &str)], command: &str) -> Output {
        self.check(self.lab.exec(host, &["sh", "-c", &self.text(variables, command)], limit))
    }

    fn text(&self, variables: &[(&str, &str)], command: &str) -> String {
        let set: String = variables.iter().map(|(name, value)| format!("export {name}='{value}'; ")).collect();
        format!("cd '{}' && {set}{command}", self.folder().display())
    }

    /// Starts a shell command on a host and does not wait; what it prints is lost.
    pub fn start(&self, host: &str, variables: &[(&str, &str)], command: &str) -> Background<'_> {
        let mut enter: Command = self.lab.enter(self.check(self.lab.host(host)));
        enter.args(["sh", "-c", &self.text(variables, command)]);
        // It ends by the signal of its child, but not by one that is ignored, as ^C is by all that a shell has in the
        // background.
        let mut plain = Command::new("env");
        plain.arg("--default-signal=INT").arg(enter.get_program()).args(enter.get_args());
        plain.envs(enter.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = plain.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nsenter");
        Background { cluster: self, child, command: command.to_string() }
    }

    /// As [`Cluster::sh`]; the command must succeed.
    pub fn ok(&self, host: &str, variables: &[(&str, &str)], command: &str) -> Output {
        let output = self.sh(host, variables, command);
        if !output.status.success() {
            self.fail(&format!("{command}: {}\n{}{}", output.status, output.text(), output.error_text()));
        }
        output
    }

    /// Starts a shell command on a host that goes on by itself.
    pub fn start_and_leave(&self, host: &str, command: &str) {
        self.ok(host, &[], &format!("setsid --fork sh -c '{command}' >/dev/null 2>&1"));
    }

    /// Waits for a line in a host's log.
    pub fn wait_for_log(&self, host: &str, file: &str, text: &str) {
        self.until(&format!("{text} in {host} {file}"), SOON, || self.count_in_log(host, file, text) > 0);
    }

    /// How many lines of a host's log have this text.
    pub fn count_in_log(&self, host: &str, file: &str, text: &str) -> usize {
        self.lab.log(host, file).unwrap_or_default().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits for a condition.
    pub fn until(&self, what: &str, limit: Duration, holds: impl FnMut() -> bool) {
        self.check(process::until(what, limit, holds));
    }

    /// Kernel's names of the processes on a host, those in boxes too, with their processes.
    pub fn running(&self, host: &str) -> Vec<(String, Process)> {
        let first = self.check(self.lab.host(host)).first;
        let all = process::in_namespace_of(first.pid).into_iter().filter(|p| p.alive() && p.pid != first.pid);
        let name = |p: Process| Some((fs::read_to_string(format!("/proc/{}/comm", p.pid)).ok()?.trim().to_string(), p));
        all.filter_map(name).collect()
    }

    /// The processes of this name on a host, oldest first.
    pub fn called(&self, host: &str, name: &str) -> Vec<Process> {
        let mut all: Vec<Process> = self.running(host).into_iter().filter(|(n, _)| n == name).map(|(_, p)| p).collect();
        all.sort_by_key(|p| (p.started, p.pid));
        all
    }

    /// Kills (SIGKILL) the daemon of a host and waits until nothing of it is left.
    pub fn kill_daemon(&self, host: &str) {
        self.check(self.lab.stop(host, "iceccd", Signal::SIGKILL));
    }

    /// Ends the daemon of a host by TERM.
    pub fn stop_daemon(&self, host: &str) {
        self.check(self.lab.stop(host, "iceccd", Signal::SIGTERM));
    }

    /// Starts the daemon of a host again and waits until all hosts are logged in.
    pub fn start_daemon(&self, host: &str) {
        self.check(self.lab.start_daemon(host, None).and_then(|()| self.lab.wait_for_hosts(self.lab.hosts().len())));
    }

    /// The value, or the test fails.
    pub fn check<T>(&self, result: Result<T, Error>) -> T {
        result.unwrap_or_else(|e| self.fail(&ice_bins::exit::chain(&e)))
    }

    /// Fails the test; its logs are printed.
    pub fn fail(&self, reason: &str) -> ! {
        // The lab prints its logs when it is dropped by this.
        panic!("{reason}");
    }
}

/// Says why a test can do nothing here.
pub fn skip<T>(reason: &str) -> Option<T> {
    eprintln!("skipped: {reason}");
    None
}

/// Jobs that a daemon has run for others.
pub fn completed(cluster: &Cluster, host: &str) -> usize {
    let log = cluster.lab.log(host, "iceccd.log").unwrap_or_default();
    log.matches("Remote compilation completed with exit code 0").count()
}

/// A root file system of a shell, a few tools and their libraries: enough to start a daemon there.
pub fn bare_root(root: &Path) {
    let script = "set -e; cd \"$0\"
        mkdir -p dev proc sys run tmp mnt etc var/cache var/log var/tmp root usr/lib
        for p in sh setsid cat ls find wc; do
            f=$(command -v $p); cp -L --parents $f .
            ldd $f | grep -o '/[^ ]*' | xargs -I{} cp -L --parents {} .
        done
        ldd $1 | grep -o '/[^ ]*' | xargs -I{} cp -Ln --parents {} .
        cp /etc/passwd /etc/group /etc/nsswitch.conf etc/
        chmod 1777 tmp; chmod 0755 .";
    let daemon = Whose::Ours.programs().daemon().expect("our daemon");
    let status = Command::new("sh").args(["-c", script]).arg(root).arg(daemon).status().expect("sh");
    assert!(status.success(), "the bare root cannot be made");
}
