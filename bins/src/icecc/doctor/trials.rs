//! One real compile for each host, by the client itself.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ice_core::doctor::{Compiler, HostFacts, Outcome, Trial};

use super::child::{self, Scratch};
use super::own_host;

/// How long a compile may take, an environment sent before included.
const COMPILE: Duration = Duration::from_secs(90);
/// Hosts that are tried.
const HOSTS_MAX: usize = 64;

pub(super) fn compile(others: &[HostFacts], compilers: &[Compiler], scratch: &Scratch, own_exe: &Path) -> Vec<Trial> {
    let Some(compiler) = own_host::for_trial(compilers) else { return Vec::new() };
    let one = |host: &HostFacts| {
        let begun = Instant::now();
        let outcome = compile_on(host, others, compiler, scratch, own_exe);
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Trial { host: host.name.clone(), outcome, milliseconds }
    };
    others.iter().take(HOSTS_MAX).map(one).collect()
}

fn compile_on(host: &HostFacts, others: &[HostFacts], compiler: &str, scratch: &Scratch, own_exe: &Path) -> Outcome {
    let source = scratch.0.join("doctor.c");
    if let Err(error) = std::fs::write(&source, "int doctor(int n) { return n * 2 + 1; }\n") {
        return Outcome::Failed(error.to_string());
    }
    let mut command = Command::new(own_exe);
    command.args([compiler, "-O1", "-c", "doctor.c", "-o", "doctor.o"]).current_dir(&scratch.0);
    command.env("ICECC_PREFERRED_HOST", &host.name).env("ICECC_DEBUG", "info").env("ICECC_FALLBACK", "warn");
    // That it keeps jobs here was told; whether they could go is the question.
    command.env_remove("ICECC").env_remove("ICECC_LOGFILE").env_remove("ICECC_VERIFY").env_remove("ICECC_REPEAT_RATE");
    match child::run(&mut command, COMPILE) {
        Err(error) => Outcome::Failed(error.to_string()),
        Ok(said) if said.status.is_none() => Outcome::Late(COMPILE.as_secs()),
        Ok(said) if !said.status.is_some_and(|status| status.success()) => {
            Outcome::Failed(said.text.lines().last().unwrap_or("without a word").to_owned())
        }
        Ok(said) => outcome(&said.text, host, others),
    }
}

/// What the client's log says of a compile that succeeded.
fn outcome(log: &str, host: &HostFacts, others: &[HostFacts]) -> Outcome {
    if let Some((_, why)) = log.lines().find_map(|line| line.split_once("icecc: compiling here: ")) {
        return Outcome::Here(why.to_owned());
    }
    let place = log.lines().filter_map(|line| line.split_once("Have to use host ")).next_back();
    let address = place.and_then(|(_, rest)| rest.split(" - ").next()?.rsplit_once(':')).map(|(address, _)| address);
    let address = address.map(|address| address.trim_matches(['[', ']']));
    match address {
        Some(address) if address == host.address => Outcome::There,
        Some(address) => match others.iter().find(|other| other.address == address) {
            Some(other) => Outcome::Elsewhere(other.name.clone()),
            None => Outcome::Here(format!("the scheduler chose {address}")),
        },
        None => {
            // What stays is told in the log.
            let why = log.lines().find_map(|line| line.strip_suffix(", building locally")?.split_once(": "));
            Outcome::Here(why.map_or("the scheduler chose this host", |(_, why)| why).to_owned())
        }
    }
}
