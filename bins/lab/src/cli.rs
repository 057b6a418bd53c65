//! The command line of icelab.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;
use pico_args::Arguments;

use super::{Config, Delayer, Error, Holding, HostConfig, Lab, Programs, hold, own_programs, relay};
use ice_bins::exit::{self, Failure};
use ice_bins::interrupt::{self, Interrupt};

const HELP: &str = "\
icelab: hosts as network namespaces, each with its own daemon, cache and socket; h1 has the scheduler

  icelab up N [--slots A,B,...] [--programs P,Q,...] [--daemon P,Q,...] [--scheduler P]
              [--delay 1ms] [--rate 100mbit] [--root DIR] [--broadcast] [--bare] [--real-load]
              [--daemon-options 'OPTIONS']
  icelab exec HOST COMMAND...       runs it there, in the current folder, with the host's programs first in PATH
  icelab status                     hosts, processes, what the scheduler says
  icelab logs                       the end of every log
  icelab console COMMAND            asks the scheduler's text port (listcs, listjobs, ...)
  icelab stop HOST daemon|scheduler|all       ends it (TERM); all: kills the whole host
  icelab start HOST daemon|scheduler [--programs P]
  icelab freeze HOST | thaw HOST    stops all its processes, lets them go on
  icelab down                       ends everything and removes it

  --name NAME    several labs side by side (default: lab)
  P              1.4 (Debian's programs), or a folder of ours; default: those beside icelab.
                 A list is used host by host, its last one for the rest; the same for slots (default 2)
  --real-load    hosts report the machine's load as their own (else: idle)
  --root DIR     every host but h1 has DIR as its root file system, unchanged after
";

/// Timeout of commands to the scheduler's text port.
const ANSWER: Duration = Duration::from_secs(10);

/// Runs icelab.
pub fn main() -> ExitCode {
    exit::finish("icelab", run(std::env::args_os().skip(1).collect()))
}

fn run(args: Vec<OsString>) -> Result<u8, Failure> {
    let mut args = Arguments::from_vec(args);
    if args.contains(["-h", "--help"]) {
        print!("{HELP}");
        return Ok(0);
    }
    let command = args.subcommand().map_err(usage)?.unwrap_or_default();
    // The command for a host has its own options, so ours must come before the host.
    if command == "exec" {
        return exec(args);
    }
    let name = args.opt_value_from_str::<_, String>("--name").map_err(usage)?.unwrap_or_else(default_name);
    let result = match command.as_str() {
        "up" => return up(&name, args),
        "hold" => return internal_hold(args),
        "relay" => return internal_relay(args),
        "console" => return console(&name, args),
        "status" => Lab::find(&name).map(|lab| status(&lab)),
        "logs" => Lab::find(&name).map(|lab| print!("{}", lab.logs())),
        "down" => Lab::find(&name).and_then(Lab::down),
        "stop" => stop(&name, &operands(args)?),
        "start" => {
            let programs: Option<String> = args.opt_value_from_str("--programs").map_err(usage)?;
            start(&name, &operands(args)?, programs.map(|p| Programs::named(&p)).as_ref())
        }
        "freeze" | "thaw" => match &operands(args)?[..] {
            [host] if command == "freeze" => Lab::find(&name).and_then(|lab| lab.freeze_host(host)),
            [host] => Lab::find(&name).and_then(|lab| lab.thaw_host(host)),
            _ => return Err(usage("a host is wanted")),
        },
        "" => return Err(usage("no command given")),
        other => return Err(usage(format!("unknown command {other}"))),
    };
    result.map(|()| 0).map_err(failure)
}

fn up(name: &str, mut args: Arguments) -> Result<u8, Failure> {
    let list = |args: &mut Arguments, option: &'static str| -> Result<Vec<String>, Failure> {
        let text: Option<String> = args.opt_value_from_str(option).map_err(usage)?;
        Ok(text.map_or(Vec::new(), |text| text.split(',').map(str::to_string).collect()))
    };
    let slots = list(&mut args, "--slots")?;
    let programs = list(&mut args, "--programs")?;
    let daemons = list(&mut args, "--daemon")?;
    let scheduler: Option<String> = args.opt_value_from_str("--scheduler").map_err(usage)?;
    let delay: Option<String> = args.opt_value_from_str("--delay").map_err(usage)?;
    let rate = args.opt_value_from_str("--rate").map_err(usage)?;
    let root: Option<std::path::PathBuf> = args.opt_value_from_str("--root").map_err(usage)?;
    let options: Option<String> = args.opt_value_from_str("--daemon-options").map_err(usage)?;
    let (broadcast, bare) = (args.contains("--broadcast"), args.contains("--bare"));
    let real_load = args.contains("--real-load");
    let count: usize = match &operands(args)?[..] {
        [count] => count.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or_else(|| usage("1 to 1000 hosts"))?,
        _ => return Err(usage("how many hosts?")),
    };
    let own = own_programs().map_err(failure)?;
    let mut config = Config::new(name, &own, &[]);
    for index in 0..count {
        let slots = match pick(&slots, index) {
            Some(text) => text.parse().map_err(|_| usage(format!("--slots: {text} is no number")))?,
            None => 2,
        };
        let mut host = HostConfig::new(pick(&programs, index).map_or(own.clone(), |p| Programs::named(p)), slots);
        host.daemon_programs = pick(&daemons, index).map(|p| Programs::named(p));
        host.root = root.clone().filter(|_| index > 0);
        host.daemon_options = options.iter().flat_map(|o| o.split_whitespace()).map(str::to_string).collect();
        config.hosts.push(host);
    }
    config.scheduler = scheduler.map(|p| Programs::named(&p));
    config.link.delay = delay.map_or(Ok(Duration::ZERO), |text| duration(&text))?;
    config.link.rate = rate;
    config.broadcast = broadcast;
    config.bare = bare;
    config.real_load = real_load;
    // A partial lab is of no use.
    let interrupt = Interrupt::noted();
    let lab = Lab::up(&config);
    if interrupt.is_pressed() {
        lab.and_then(Lab::down).map_err(failure)?;
        return Ok(interrupt::STATUS);
    }
    let lab = lab.map_err(failure)?;
    match lab.delayer() {
        Delayer::Relay => println!("lab {name}: {count} hosts up (this kernel has no netem: delay by packet relay)"),
        _ => println!("lab {name}: {count} hosts up"),
    }
    Ok(0)
}

fn exec(args: Arguments) -> Result<u8, Failure> {
    let mut words = args.finish().into_iter().peekable();
    let mut name = default_name();
    if words.peek().is_some_and(|word| word == "--name") {
        name = words.nth(1).and_then(|n| n.into_string().ok()).ok_or_else(|| usage("--name wants a name"))?;
    }
    let host = words.next().and_then(|h| h.into_string().ok()).ok_or_else(|| usage("exec wants a host"))?;
    let command: Vec<OsString> = words.collect();
    if command.is_empty() {
        return Err(usage("exec wants a command"));
    }
    let lab = Lab::find(&name).map_err(failure)?;
    let mut inside = lab.enter(lab.host(&host).map_err(failure)?);
    // The command gets the signal too, and decides.
    let _ = Interrupt::noted();
    let status = inside.args(&command).status().map_err(|e| Failure::new(format!("cannot run nsenter: {e}")))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}

fn status(lab: &Lab) {
    println!("{:<6}{:<14}{:>8}{:>7}  daemon", "host", "address", "process", "slots");
    for host in lab.hosts() {
        let daemon = match lab.processes(&host.name, "iceccd") {
            Ok(all) if all.is_empty() => "none".to_string(),
            Ok(all) => format!("{} of {}", all[0].pid, host.daemon_programs.daemon().unwrap_or_default().display()),
            Err(_) => "?".to_string(),
        };
        let note = match (host.first.alive(), host.first.stopped()) {
            (false, _) => " (dead)",
            (_, true) => " (frozen)",
            _ => "",
        };
        println!(
            "{:<6}{:<14}{:>8}{:>7}  {daemon}{note}",
            host.name,
            host.address.to_string(),
            host.first.pid,
            host.slots
        );
    }
    match lab.console("listcs") {
        Ok(text) => print!("{text}"),
        Err(error) => println!("scheduler: {}", exit::chain(&error)),
    }
}

fn stop(name: &str, operands: &[String]) -> Result<(), Error> {
    let lab = Lab::find(name)?;
    match operands {
        [host, what] if what == "all" => lab.kill_host(host),
        [host, what] => lab.stop(host, program(what)?, Signal::SIGTERM),
        _ => Err(what_program()),
    }
}

fn start(name: &str, operands: &[String], programs: Option<&Programs>) -> Result<(), Error> {
    let lab = Lab::find(name)?;
    match operands {
        [host, what] if program(what)? == "iceccd" => lab.start_daemon(host, programs),
        [host, _] => lab.start_scheduler(host, programs),
        _ => Err(what_program()),
    }
}

fn program(word: &str) -> Result<&'static str, Error> {
    match word {
        "daemon" => Ok("iceccd"),
        "scheduler" => Ok("icecc-scheduler"),
        _ => Err(what_program()),
    }
}

fn what_program() -> Error {
    Error::Option { option: "stop, start", reason: "a host, and daemon or scheduler, are wanted".to_string() }
}

/// `console COMMAND`; it runs itself as `console ADDRESS COMMAND` inside the lab's network.
fn console(name: &str, args: Arguments) -> Result<u8, Failure> {
    match &operands(args)?[..] {
        [command] => print!("{}", Lab::find(name).and_then(|lab| lab.console(command)).map_err(failure)?),
        [address, command] => {
            let answer =
                ask(address, command).map_err(|e| Failure::new(format!("no answer from {address}:8766: {e}")))?;
            print!("{answer}");
        }
        _ => return Err(usage("console wants a command")),
    }
    Ok(0)
}

/// Sends a command to the scheduler's text port; returns the answer without greeting and last line.
fn ask(address: &str, command: &str) -> std::io::Result<String> {
    let address: SocketAddr = format!("{address}:8766").parse().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(format!("{command}\nquit\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.lines().filter(|line| !line.starts_with("200")).map(|line| format!("{line}\n")).collect())
}

fn internal_hold(args: Arguments) -> Result<u8, Failure> {
    let operands = operands(args)?;
    let text = operands.first().ok_or_else(|| usage("hold is for icelab itself"))?;
    let holding: Holding = serde_json::from_str(text).map_err(usage)?;
    hold::hold(&holding).map(|()| 0).map_err(failure)
}

fn internal_relay(args: Arguments) -> Result<u8, Failure> {
    let operands = operands(args)?;
    let (delay, names) = operands.split_first().ok_or_else(|| usage("relay is for icelab itself"))?;
    let delay = Duration::from_micros(delay.parse().map_err(usage)?);
    let pairs: Vec<(String, String)> = names.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    relay::run(delay, &pairs).map(|()| 0).map_err(failure)
}

/// `1ms`, `200us`, `1.5s`.
fn duration(text: &str) -> Result<Duration, Failure> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err(usage(format!("--delay: {text} has no unit us, ms or s"))),
    };
    let seconds = number.parse::<f64>().map_err(usage)? * seconds;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|d| *d <= Duration::from_secs(60))
        .ok_or_else(|| usage("--delay: too long"))
}

/// The entry for a host; the last one holds for all after it.
fn pick(list: &[String], index: usize) -> Option<&String> {
    list.get(index).or(list.last())
}

fn operands(args: Arguments) -> Result<Vec<String>, Failure> {
    let all: Vec<String> = args.finish().into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match all.iter().find(|word| word.starts_with("--")) {
        Some(option) => Err(usage(format!("unknown option {option}"))),
        None => Ok(all),
    }
}

fn default_name() -> String {
    "lab".to_string()
}

fn usage(reason: impl std::fmt::Display) -> Failure {
    Failure::new(reason.to_string()).hint("icelab --help tells how").code(2)
}

fn failure(error: Error) -> Failure {
    let failure = Failure::from_error(&error);
    match error {
        Error::Exists(name) => failure.hint(format!("icelab down --name {name} removes it")),
        Error::NoLab(_) => failure.hint("icelab up N makes one"),
        Error::NoProgram { .. } => failure.hint("cargo build makes ours; 1.4's are in the package icecc"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_have_units() {
        assert_eq!(duration("1ms").unwrap(), Duration::from_millis(1));
        assert_eq!(duration("200us").unwrap(), Duration::from_micros(200));
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert!(
            duration("1").is_err()
                && duration("ms").is_err()
                && duration("1h").is_err()
                && duration("100000s").is_err()
        );
    }

    #[test]
    fn lists_hold_for_the_hosts_after_them() {
        let list = ["2".to_string(), "4".to_string()];
        assert_eq!([0, 1, 5].map(|i| pick(&list, i).map(String::as_str)), [Some("2"), Some("4"), Some("4")]);
        assert_eq!(pick(&[], 0), None);
    }
}
