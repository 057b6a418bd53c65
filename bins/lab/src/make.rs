//! Making the namespaces, links and first processes of a lab.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{
    Config, Delayer, Error, Holding, Host, HostConfig, Lab, Process, Programs, STEP, State, network, process, programs,
};

impl Lab {
    /// Makes a lab's switch: its namespaces, first process and bridge.
    pub(super) fn make_switch(config: &Config) -> Result<Lab, Error> {
        let folder = State::claim(&config.name)?;
        let holding =
            Holding { host: None, folder: folder.clone(), root: None, shared: Vec::new(), steady_load: false };
        let rootless = !nix::unistd::Uid::effective().is_root();
        // Many ids if the system grants them (1.4's programs need them), else one.
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
                // Owned until complete, so that an error removes it.
                let lab = Lab { state, owned: true };
                lab.state.write()?;
                Ok(lab)
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(Error::Unavailable(ice_bins::exit::chain(&error)))
            }
        }
    }

    /// Adds the hosts and starts their programs.
    pub(super) fn furnish(&mut self, config: &Config) -> Result<(), Error> {
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
        // The output of its programs is written here.
        shared.push(folder.clone());
        let steady_load = !config.real_load && !self.state.rootless;
        let holding =
            Holding { host: Some(name.clone()), folder: folder.clone(), root: host.root.clone(), shared, steady_load };
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

    /// Runs shell commands in the switch's network, with the machine's process ids.
    fn in_switch(&self, commands: &str) -> Result<(), Error> {
        let mut command = self.nsenter(self.state.switch.pid, &["-n"]);
        command.args(["sh", "-ec", commands]);
        process::run_ok(&mut command, STEP).map(|_| ())
    }
}

/// Starts `icelab hold` by a command that makes namespaces; returns the process that it reports.
fn start_holder(mut command: Command, holding: &Holding) -> Result<Process, Error> {
    let told = serde_json::to_string(holding).map_err(|e| Error::file("holding")(e.into()))?;
    command.arg(programs::icelab()?).args(["hold", &told]);
    let pid = read_ready(command)?;
    Process::by_pid(pid).ok_or(Error::Unavailable("a host's first process ended at once".to_string()))
}

/// Starts a long-running program and waits for its `ready PID`.
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
