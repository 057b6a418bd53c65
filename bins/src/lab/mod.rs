//! Hosts as network namespaces, for tests, demo and benchmarks.
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
//! names and addresses. Each host has its own `/run`, `/var/cache`, `/var/log` and `/var/tmp`, so that programs run with
//! their default paths; all else is the machine's, or a root file system of the host's own.
//!
//! An ordinary user's lab works with our programs. 1.4's daemon there needs a user namespace with many ids
//! (`newuidmap` and a line in `/etc/subuid`), since it insists on becoming another user.

pub mod cli;
mod error;
mod hold;
pub mod network;
pub mod process;
mod programs;
mod relay;
mod state;

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

pub use error::Error;
pub use hold::Holding;
pub use network::{Delayer, Link};
pub use process::{Output, Process};
pub use programs::{PEER_1_4, Programs, own_programs};
pub use state::{Host, State};

/// How long one step of making or removing a lab may take.
const STEP: Duration = Duration::from_secs(20);
/// How long all hosts may take to be logged in: 1.4's scheduler may let a login wait for 36 s.
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
    /// Folders that hosts with their own root share with the machine.
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
            shared: Vec::new(),
        }
    }
}

/// A lab that is up. Dropping the value leaves it up, unless it is [`Config::tied`]; see [`Lab::down`].
#[derive(Debug)]
pub struct Lab {
    state: State,
    /// Whether `drop` takes it down.
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

    /// Who delays its links.
    pub fn delayer(&self) -> Delayer {
        self.state.delayer
    }

    /// A host by number (`2`) or name (`h2`).
    pub fn host(&self, name: &str) -> Result<&Host, Error> {
        let wanted = if name.starts_with('h') { name.to_string() } else { format!("h{name}") };
        self.state.hosts.iter().find(|host| host.name == wanted).ok_or_else(|| Error::NoHost(name.to_string()))
    }

    /// Runs a command on a host, in the current folder, with the host's programs first in PATH.
    pub fn exec<S: AsRef<OsStr>>(&self, host: &str, command: &[S], limit: Duration) -> Result<Output, Error> {
        let mut words = self.enter(self.host(host)?);
        words.args(command);
        process::run(&mut words, limit)
    }

    /// A command that runs on a host; arguments, folder and environment can still be added to it.
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
        self.signal_all(&[host.first], Signal::SIGKILL)?;
        process::until("end of the host", STEP, || process::in_namespace_of(host.first.pid).is_empty())
    }

    /// Stops all processes of a host (SIGSTOP): its kernel still accepts connections, nobody answers.
    pub fn freeze_host(&self, name: &str) -> Result<(), Error> {
        let host = self.host(name)?;
        // Until a look finds nobody running: processes may have forked meanwhile.
        process::until("host to freeze", STEP, || {
            let running: Vec<Process> =
                process::in_namespace_of(host.first.pid).into_iter().filter(|p| p.alive() && !p.stopped()).collect();
            running.is_empty() || self.signal_all(&running, Signal::SIGSTOP).is_err()
        })
    }

    /// Lets a frozen host go on.
    pub fn thaw_host(&self, name: &str) -> Result<(), Error> {
        let host = self.host(name)?;
        self.signal_all(&process::in_namespace_of(host.first.pid), Signal::SIGCONT)
    }

    /// Starts a daemon on a host that has none, from the host's programs or others.
    pub fn start_daemon(&self, name: &str, programs: Option<&Programs>) -> Result<(), Error> {
        let host = self.host(name)?;
        let programs = programs.unwrap_or(&host.daemon_programs);
        let mut command = self.enter(host);
        command.arg(programs.daemon()?);
        command.args(["-vvv", "-l", "/var/log/icecc/iceccd.log", "-b", "/var/cache/icecc"]);
        command.args(["-m", &host.slots.to_string()]);
        if !self.state.broadcast {
            command.args(["-s", &network::address(1).to_string()]);
        }
        command.args(&host.daemon_options);
        self.leave_running(command, &host.folder, "iceccd")
    }

    /// Starts a scheduler on a host.
    pub fn start_scheduler(&self, name: &str, programs: Option<&Programs>) -> Result<(), Error> {
        let host = self.host(name)?;
        let programs = programs.unwrap_or(&self.state.scheduler);
        let mut command = self.enter(host);
        command.arg(programs.scheduler()?);
        command.args(["-vvv", "-l", "/var/log/icecc/scheduler.log"]);
        self.leave_running(command, &host.folder, "icecc-scheduler")
    }

    /// Sends a signal to the first process of a program (`iceccd`, `icecc-scheduler`) on a host and, for TERM and KILL,
    /// waits for its end.
    pub fn stop(&self, name: &str, program: &str, signal: Signal) -> Result<(), Error> {
        let all = self.processes(name, program)?;
        // The launcher has the daemon's name too: the oldest is the one that was started.
        let Some(first) = all.iter().min_by_key(|p| (p.started, p.pid)).copied() else {
            return Ok(());
        };
        self.signal_all(&[first], signal)?;
        match signal {
            Signal::SIGTERM | Signal::SIGKILL => {
                process::until("end of the program", LOGIN, || all.iter().all(|p| !p.alive()))
            }
            _ => Ok(()),
        }
    }

    /// The processes on a host that were called by this name.
    pub fn processes(&self, name: &str, program: &str) -> Result<Vec<Process>, Error> {
        let all = process::in_namespace_of(self.host(name)?.first.pid);
        Ok(all.into_iter().filter(|p| process::called_as(p.pid).as_deref() == Some(program)).collect())
    }

    /// What the scheduler's text port answers to a command.
    pub fn console(&self, command: &str) -> Result<String, Error> {
        let mut program = self.nsenter(self.state.switch.pid, &["-n"]);
        program.arg(programs::icelab()?).args(["console", &network::address(1).to_string(), command]);
        Ok(process::run_ok(&mut program, STEP)?.text())
    }

    /// Waits until the scheduler knows this number of hosts.
    pub fn wait_for_hosts(&self, count: usize) -> Result<(), Error> {
        let mut last = String::new();
        process::until(&format!("log-in of {count} hosts"), LOGIN, || {
            last = self.console("listcs").unwrap_or_default();
            hosts_in(&last) == count
        })
    }

    /// A log of a host: `iceccd.log`, `scheduler.log`.
    pub fn log(&self, name: &str, file: &str) -> Result<String, Error> {
        let path = self.host(name)?.folder.join("log/icecc").join(file);
        let text = fs::read(&path).map_err(Error::file(path))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The end of every log, for the report of a failure.
    pub fn logs(&self) -> String {
        const LINES: usize = 40;
        let mut text = String::new();
        for host in &self.state.hosts {
            for folder in [host.folder.join("log/icecc"), host.folder.clone()] {
                for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
                    if !path.extension().is_some_and(|e| e == "log" || e == "out") {
                        continue;
                    }
                    let log = fs::read(&path).unwrap_or_default();
                    let log = String::from_utf8_lossy(&log).into_owned();
                    let lines: Vec<&str> = log.lines().collect();
                    text.push_str(&format!(
                        "--- {} {} ---\n",
                        host.name,
                        path.file_name().unwrap_or_default().to_string_lossy()
                    ));
                    text.push_str(&lines[lines.len().saturating_sub(LINES)..].join("\n"));
                    text.push('\n');
                }
            }
        }
        text
    }

    fn make_switch(config: &Config) -> Result<Lab, Error> {
        let folder = State::claim(&config.name)?;
        let holding = Holding { host: None, folder: folder.clone(), root: None, shared: Vec::new() };
        let rootless = !nix::unistd::Uid::effective().is_root();
        // Many ids where the system grants them (1.4's programs need them), else one.
        let users: &[&[&str]] = match rootless {
            false => &[&[]],
            true => &[&["--user", "--map-root-user", "--map-auto"], &["--user", "--map-root-user"]],
        };
        let mut result = Err(Error::Unavailable("no way to make namespaces".to_string()));
        for options in users {
            let mut command = Command::new(if config.tied { "setpriv" } else { "unshare" });
            if config.tied {
                command.args(["--pdeathsig", "KILL", "unshare"]);
            }
            command.args(*options).args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
            result = start_holder(command, &holding);
            if result.is_ok() {
                break;
            }
        }
        match result {
            Ok(switch) => {
                let scheduler = config.scheduler.clone().or_else(|| config.hosts.first().map(|h| h.programs.clone()));
                let state = State {
                    name: config.name.clone(),
                    folder,
                    switch,
                    rootless,
                    broadcast: config.broadcast,
                    delayer: Delayer::Nobody,
                    scheduler: scheduler.unwrap_or_else(|| Programs::at("/usr")),
                    hosts: Vec::new(),
                };
                // Owned until complete, so that an error on the way removes it.
                let lab = Lab { state, owned: true };
                lab.state.write()?;
                Ok(lab)
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(Error::Unavailable(crate::exit::chain(&error)))
            }
        }
    }

    fn furnish(&mut self, config: &Config) -> Result<(), Error> {
        self.in_switch(&network::make_switch())?;
        self.state.delayer = match config.link.delay.is_zero() {
            true => Delayer::Nobody,
            false if self.in_switch(network::TRY_NETEM).is_ok() => Delayer::Kernel,
            false => Delayer::Relay,
        };
        for (index, host) in config.hosts.iter().enumerate() {
            self.make_host(index + 1, host, config)?;
        }
        if self.state.delayer == Delayer::Relay {
            self.start_relay(config)?;
        }
        self.state.write()?;
        if !config.bare && !config.hosts.is_empty() {
            self.start_scheduler("h1", None)?;
            process::until("scheduler", STEP, || self.console("help").is_ok())?;
            for index in 1..=config.hosts.len() {
                self.start_daemon(&format!("h{index}"), None)?;
            }
            self.wait_for_hosts(config.hosts.len())?;
        }
        Ok(())
    }

    fn make_host(&mut self, n: usize, host: &HostConfig, config: &Config) -> Result<(), Error> {
        let name = format!("h{n}");
        let folder = self.state.folder.join(&name);
        fs::create_dir(&folder).map_err(Error::file(&folder))?;
        let mut shared = config.shared.clone();
        shared.push(programs::icelab()?.parent().unwrap_or(Path::new("/")).to_path_buf());
        let holding = Holding { host: Some(name.clone()), folder: folder.clone(), root: host.root.clone(), shared };
        let mut command = self.nsenter(self.state.switch.pid, &["-m", "-p", "-n"]);
        command.args(["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]);
        let first = start_holder(command, &holding)?;
        let delayer = self.state.delayer;
        self.in_switch(&network::link_host(n, first.pid, &config.link, delayer))?;
        let mut set_up = self.nsenter(first.pid, &["-n"]);
        set_up.args(["sh", "-ec", &network::set_up_host(n, &config.link, delayer)]);
        process::run_ok(&mut set_up, STEP)?;
        self.state.hosts.push(Host {
            name,
            address: network::address(n),
            folder,
            first,
            slots: host.slots,
            programs: host.programs.clone(),
            daemon_programs: host.daemon_programs.clone().unwrap_or_else(|| host.programs.clone()),
            daemon_options: host.daemon_options.clone(),
        });
        Ok(())
    }

    fn start_relay(&self, config: &Config) -> Result<(), Error> {
        let mut command = self.nsenter(self.state.switch.pid, &["-n", "-p"]);
        command.arg(programs::icelab()?).args(["relay", &config.link.delay.as_micros().to_string()]);
        for n in 1..=config.hosts.len() {
            let (host, bridge) = network::relay_pair(n);
            command.args([host, bridge]);
        }
        read_ready(command).map(|_| ())
    }

    /// Runs shell commands in the switch's network, by machine's process numbers.
    fn in_switch(&self, commands: &str) -> Result<(), Error> {
        let mut command = self.nsenter(self.state.switch.pid, &["-n"]);
        command.args(["sh", "-ec", commands]);
        process::run_ok(&mut command, STEP).map(|_| ())
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

    /// Ids other than the user's own can only be signalled from inside the user namespace.
    fn signal_all(&self, processes: &[Process], signal: Signal) -> Result<(), Error> {
        if !self.state.rootless {
            processes.iter().for_each(|process| process.signal(signal));
            return Ok(());
        }
        let alive = processes.iter().filter(|p| p.alive()).map(|p| p.pid.to_string());
        let mut command = self.nsenter(self.state.switch.pid, &[]);
        command.args(["kill", "-s", signal.as_str().trim_start_matches("SIG")]).args(alive);
        // One that ended meanwhile makes kill fail: no trouble.
        process::run(&mut command, STEP).map(|_| ())
    }

    /// Starts a program that goes on when this one has ended; what it prints goes to a file of the host.
    fn leave_running(&self, mut command: Command, folder: &Path, name: &str) -> Result<(), Error> {
        use std::os::unix::process::CommandExt;
        let path = folder.join(format!("{name}.out"));
        let out = fs::OpenOptions::new().append(true).create(true).open(&path).map_err(Error::file(&path))?;
        let again = out.try_clone().map_err(Error::file(&path))?;
        command.stdin(Stdio::null()).stdout(out).stderr(again).process_group(0);
        let child = command.spawn().map_err(|source| Error::Spawn { program: name.to_string(), source })?;
        // `nsenter` waits for the program; a thread of ours collects it in turn.
        reap_later(child);
        Ok(())
    }

    fn remove(&self) -> Result<(), Error> {
        if self.state.switch.alive() {
            for host in &self.state.hosts {
                self.signal_all(&[host.first], Signal::SIGKILL)?;
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
                eprintln!("lab {}: {}", self.state.name, crate::exit::chain(&error));
            }
        }
    }
}

/// How many hosts an answer to `listcs` shows: lines that begin with a blank and name slots.
fn hosts_in(listing: &str) -> usize {
    listing
        .lines()
        .filter(|line| line.starts_with(' ') && line.contains("jobs=") && !line.contains("(disabled"))
        .count()
}

/// Starts `icelab hold` through a command that makes namespaces; the process it reports.
fn start_holder(mut command: Command, holding: &Holding) -> Result<Process, Error> {
    let told = serde_json::to_string(holding).map_err(|e| Error::file("holding")(e.into()))?;
    command.arg(programs::icelab()?).args(["hold", &told]);
    let pid = read_ready(command)?;
    Process::by_pid(pid).ok_or(Error::Unavailable("a host's first process ended at once".to_string()))
}

/// Starts a program that stays, and waits for its `ready PID`.
fn read_ready(mut command: Command) -> Result<u32, Error> {
    use std::os::unix::process::CommandExt;
    let program = command.get_program().to_string_lossy().into_owned();
    // Its standard error is kept apart in a file: a pipe would tie it to this process.
    let errors = tempfile_for_errors()?;
    let again = errors.try_clone().map_err(Error::file("temporary file"))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(again).process_group(0);
    let mut child = command.spawn().map_err(|source| Error::Spawn { program: program.clone(), source })?;
    let mut said = String::new();
    if let Some(pipe) = child.stdout.take() {
        let mut reader = std::io::BufReader::new(pipe);
        // Bounded: the program prints its line or ends, and either ends the wait.
        let _ = std::io::BufRead::read_line(&mut reader, &mut said);
    }
    if let Some(pid) = said.trim().strip_prefix("ready ").and_then(|pid| pid.parse().ok()) {
        reap_later(child);
        return Ok(pid);
    }
    let _ = child.kill();
    let status = child.wait().map_err(|source| Error::Spawn { program: program.clone(), source })?;
    let mut stderr = String::new();
    let mut errors = errors;
    let _ = std::io::Seek::rewind(&mut errors).and_then(|()| errors.read_to_string(&mut stderr));
    Err(Error::Failed { program, status: status.to_string(), stderr: stderr.trim().to_string() })
}

fn tempfile_for_errors() -> Result<fs::File, Error> {
    let path =
        std::env::temp_dir().join(format!("icelab-err-{}-{:?}", std::process::id(), std::thread::current().id()));
    let file =
        fs::OpenOptions::new().read(true).append(true).create_new(true).open(&path).map_err(Error::file(&path))?;
    fs::remove_file(&path).map_err(Error::file(&path))?;
    Ok(file)
}

/// Collects a child when it ends, so that no zombie stays while a test goes on.
fn reap_later(mut child: std::process::Child) {
    std::thread::spawn(move || {
        let _ = child.wait();
    });
}
