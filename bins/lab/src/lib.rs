//! Hosts simulated with network namespaces, for tests, demo and benchmarks.
//!
//! ```text
//!   switch: pid, mount and network namespace with a bridge (10.77.255.254); an ordinary user's also has a user namespace
//!     ├── h1: its own pid, mount, network, uts and ipc namespaces; 10.77.0.1; scheduler and daemon
//!     ├── h2: 10.77.0.2; daemon
//!     └── ...
//! ```
//!
//! All is below the switch's first process: killing that one ends every process and removes every interface and mount,
//! and nothing of a lab is ever visible in the machine's own network. So several labs run side by side with the same
//! names and addresses. Each host has its own `/run`, `/var/cache`, `/var/log` and `/var/tmp`, so that programs run
//! with their default paths; all else is the machine's, or a root file system of the host's own.
//!
//! An ordinary user's lab works with our programs. 1.4's daemon there needs a user namespace with many ids
//! (`newuidmap` and a line in `/etc/subuid`), since it insists on becoming another user.

pub mod cli;
mod error;
mod hold;
mod make;
pub mod network;
pub mod process;
mod programs;
mod relay;
mod services;
mod state;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

pub use error::Error;
pub use hold::Holding;
pub use network::{Delayer, Link};
pub use process::{Output, Process};
pub use programs::{PEER_1_4, Programs, own_programs};
pub use state::{Host, State};

/// Timeout of each step of making or removing a lab.
const STEP: Duration = Duration::from_secs(20);
/// Timeout for all hosts to log in: 1.4's scheduler may delay a login by 36 s.
const LOGIN: Duration = Duration::from_secs(60);

/// One host of a lab to be made.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Jobs at once (`iceccd -m`).
    pub slots: u32,
    /// Whose programs run there.
    pub programs: Programs,
    /// Whose `iceccd` runs there, if not that of `programs`.
    pub daemon_programs: Option<Programs>,
    /// A root file system of its own, left unchanged.
    pub root: Option<PathBuf>,
    /// More options for its daemon.
    pub daemon_options: Vec<String>,
}

impl HostConfig {
    /// A host with these programs and slots.
    pub fn new(programs: Programs, slots: u32) -> HostConfig {
        HostConfig { slots, programs, daemon_programs: None, root: None, daemon_options: Vec::new() }
    }
}

/// A lab to be made.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name; two labs of one user that are up together have different ones.
    pub name: String,
    /// Its hosts; the first one has the scheduler.
    pub hosts: Vec<HostConfig>,
    /// Whose scheduler, if not that of the first host's programs.
    pub scheduler: Option<Programs>,
    /// What every link does.
    pub link: Link,
    /// Daemons find the scheduler by broadcast instead of by `-s`.
    pub broadcast: bool,
    /// Start no scheduler and no daemon.
    pub bare: bool,
    /// Ends with the thread that makes it, even if that is killed (tests).
    pub tied: bool,
    /// Whether hosts see the real load of the machine. They share its processors, and each would report the work of all
    /// others as its own load, so by default root's labs show an idle processor. An ordinary user's lab always shows
    /// the real load: such a user cannot mount a `/proc` if anything covers part of the old one.
    pub real_load: bool,
    /// Directories that hosts with their own root share with the machine.
    pub shared: Vec<PathBuf>,
}

impl Config {
    /// A lab of hosts with the same programs and these slots.
    pub fn new(name: &str, programs: &Programs, slots: &[u32]) -> Config {
        let hosts = slots.iter().map(|slots| HostConfig::new(programs.clone(), *slots)).collect();
        Config {
            name: name.to_string(),
            hosts,
            scheduler: None,
            link: Link::default(),
            broadcast: false,
            bare: false,
            tied: false,
            real_load: false,
            shared: Vec::new(),
        }
    }
}

/// A lab that is up. Dropping the value leaves it up, unless it is [`Config::tied`]; see [`Lab::down`].
#[derive(Debug)]
pub struct Lab {
    state: State,
    /// Whether dropping the value takes the lab down.
    owned: bool,
}

impl Lab {
    /// Makes a lab and waits until all its daemons are logged in. If anything fails, what was made is removed.
    pub fn up(config: &Config) -> Result<Lab, Error> {
        let mut lab = Lab::make_switch(config)?;
        match lab.furnish(config) {
            Ok(()) => {
                lab.owned = config.tied;
                Ok(lab)
            }
            Err(error) => {
                eprint!("{}", lab.logs());
                Err(error)
            }
        }
    }

    /// The lab of this name that is up.
    pub fn find(name: &str) -> Result<Lab, Error> {
        Ok(Lab { state: State::read(name)?, owned: false })
    }

    /// Ends every process of the lab and removes its files.
    pub fn down(mut self) -> Result<(), Error> {
        self.owned = false;
        self.remove()
    }

    /// Its hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.state.hosts
    }

    /// What delays its links.
    pub fn delayer(&self) -> Delayer {
        self.state.delayer
    }

    /// A host by number (`2`) or name (`h2`).
    pub fn host(&self, name: &str) -> Result<&Host, Error> {
        let wanted = if name.starts_with('h') { name.to_string() } else { format!("h{name}") };
        self.state.hosts.iter().find(|host| host.name == wanted).ok_or_else(|| Error::NoHost(name.to_string()))
    }

    /// Runs a command on a host, in the current directory, with the host's programs first in PATH.
    pub fn exec<S: AsRef<OsStr>>(&self, host: &str, command: &[S], limit: Duration) -> Result<Output, Error> {
        let mut words = self.enter(self.host(host)?);
        words.args(command);
        process::run(&mut words, limit)
    }

    /// A command that runs on a host; arguments, working directory and environment can still be set.
    pub fn enter(&self, host: &Host) -> Command {
        let mut command = self.nsenter(host.first.pid, &["-m", "-u", "-i", "-n", "-p"]);
        command.arg(format!("--wd={}", std::env::current_dir().unwrap_or_else(|_| "/".into()).display()));
        if let Some(path) = host.programs.path_variable() {
            command.env("PATH", path);
        }
        command
    }

    /// Kills all processes of a host at once; its link goes down with it.
    pub fn kill_host(&self, name: &str) -> Result<(), Error> {
        let host = self.host(name)?;
        self.end_host(host)?;
        process::until("end of the host", STEP, || process::in_namespace_of(host.first.pid).is_empty())
    }

    /// Stops all processes of a host (SIGSTOP): its kernel still accepts connections, but nothing answers.
    pub fn freeze_host(&self, name: &str) -> Result<(), Error> {
        let host = self.host(name)?;
        // Repeats until no process runs: some may have forked meanwhile.
        process::until("host to freeze", STEP, || {
            let running: Vec<Process> =
                process::in_namespace_of(host.first.pid).into_iter().filter(|p| p.alive() && !p.stopped()).collect();
            running.is_empty() || self.signal_all(&running, Signal::SIGSTOP).is_err()
        })
    }

    /// Resumes a frozen host.
    pub fn thaw_host(&self, name: &str) -> Result<(), Error> {
        let host = self.host(name)?;
        let mut all = process::in_namespace_of(host.first.pid);
        all.extend(process::entered_from(host.first.pid));
        self.signal_all(&all, Signal::SIGCONT)
    }

    fn nsenter(&self, pid: u32, namespaces: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid.to_string()]);
        if self.state.rootless {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.args(namespaces);
        command
    }

    fn end_host(&self, host: &Host) -> Result<(), Error> {
        // A stopped `nsenter` would never collect what it started, and the kernel keeps the namespace until it does.
        self.signal_all(&process::entered_from(host.first.pid), Signal::SIGCONT)?;
        self.signal_all(&[host.first], Signal::SIGKILL)
    }

    /// Ids other than the user's own can only be signalled from inside the user namespace.
    fn signal_all(&self, processes: &[Process], signal: Signal) -> Result<(), Error> {
        if !self.state.rootless {
            processes.iter().for_each(|process| process.signal(signal));
            return Ok(());
        }
        let alive = processes.iter().filter(|p| p.alive()).map(|p| p.pid.to_string());
        let mut command = self.nsenter(self.state.switch.pid, &[]);
        command.args(["kill", "-s", signal.as_str().trim_start_matches("SIG")]).args(alive);
        // `kill` fails for a process that ended meanwhile, which is no error.
        process::run(&mut command, STEP).map(|_| ())
    }

    fn remove(&self) -> Result<(), Error> {
        if self.state.switch.alive() {
            for host in &self.state.hosts {
                self.end_host(host)?;
            }
            // Files of other ids of a user namespace can only be removed inside it, while it lasts.
            if self.state.rootless {
                let mut command = self.nsenter(self.state.switch.pid, &["-m"]);
                command.args(["rm", "-rf"]).args(self.state.hosts.iter().map(|h| &h.folder));
                process::run(&mut command, STEP)?;
            }
            let switch = self.state.switch;
            self.signal_all(&[switch], Signal::SIGKILL)?;
            process::until("end of the lab", STEP, || !switch.alive())?;
        }
        fs::remove_dir_all(&self.state.folder).map_err(Error::file(&self.state.folder))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.owned {
            if std::thread::panicking() {
                eprint!("{}", self.logs());
            }
            if let Err(error) = self.remove() {
                eprintln!("lab {}: {}", self.state.name, ice_bins::exit::chain(&error));
            }
        }
    }
}
