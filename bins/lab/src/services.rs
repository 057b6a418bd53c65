//! Daemons and schedulers of a lab: starting, stopping, querying.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::{Error, Host, LOGIN, Lab, Process, Programs, STEP, network, process, programs};

impl Lab {
    /// Starts a daemon on a host that has none, from the host's programs or others.
    pub fn start_daemon(&self, name: &str, programs: Option<&Programs>) -> Result<(), Error> {
        let host = self.host(name)?;
        let programs = programs.unwrap_or(&host.daemon_programs);
        let (slots, scheduler) = (host.slots.to_string(), network::address(1).to_string());
        let mut args = vec!["-vvv", "-l", "/var/log/icecc/iceccd.log", "-b", "/var/cache/icecc", "-m", &slots];
        if !self.state.broadcast {
            args.extend(["-s", &scheduler]);
        }
        args.extend(host.daemon_options.iter().map(String::as_str));
        self.leave_running(host, &programs.daemon()?, &args)
    }

    /// Starts a scheduler on a host.
    pub fn start_scheduler(&self, name: &str, programs: Option<&Programs>) -> Result<(), Error> {
        let host = self.host(name)?;
        let programs = programs.unwrap_or(&self.state.scheduler);
        self.leave_running(host, &programs.scheduler()?, &["-vvv", "-l", "/var/log/icecc/scheduler.log"])
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

    /// The answer of the scheduler's text port to a command.
    pub fn console(&self, command: &str) -> Result<String, Error> {
        let mut program = self.nsenter(self.state.switch.pid, &["-n"]);
        program.arg(programs::icelab()?).args(["console", &network::address(1).to_string(), command]);
        Ok(process::run_ok(&mut program, STEP)?.text())
    }

    /// Waits until this number of hosts is logged in.
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

    /// The last lines of every log, for reports of failures.
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

    /// Starts a program that runs as a child of the host's first process; its output goes to a file of the host.
    fn leave_running(&self, host: &Host, program: &Path, args: &[&str]) -> Result<(), Error> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let path = host.folder.join(format!("{name}.out"));
        let mut command = self.enter(host);
        command.args(["sh", "-c", r#"out=$1; shift; exec setsid --fork "$@" >>"$out" 2>&1"#, "sh"]);
        command.arg(&path).arg(program).args(args);
        process::run_ok(&mut command, STEP).map(|_| ())
    }
}

/// How many hosts an answer to `listcs` shows: lines that begin with a blank and name slots.
fn hosts_in(listing: &str) -> usize {
    listing
        .lines()
        .filter(|line| line.starts_with(' ') && line.contains("jobs=") && !line.contains("(disabled"))
        .count()
}
