//! `icecc --doctor`: gathers what [`ice_core::doctor`] judges, and prints what that found.

mod child;
mod cluster;
mod own_host;
mod programs;
mod trials;

use std::path::{Path, PathBuf};

use ice_core::doctor::{Facts, Report, Verdict, judge};

pub(super) use cluster::NextHost;

use super::variables::Variables;
use crate::exit::{Failure, print};

/// Exit code if something keeps jobs on this host.
const NOT_READY: u8 = 1;

/// Looks at everything, and tells; exit code 0 only if jobs run on other hosts.
pub(super) fn run(as_json: bool, variables: &Variables, own_exe: &Path) -> Result<u8, Failure> {
    let report = judge(&gather(variables, own_exe));
    let text = if as_json {
        serde_json::to_string_pretty(&report).map_err(|err| Failure::from_error(&err))? + "\n"
    } else {
        shown(&report)
    };
    print(&text)?;
    Ok(if report.ready { 0 } else { NOT_READY })
}

/// The hosts that would get a job now, the first one first; none if nobody can tell.
pub(super) fn next_hosts(variables: &Variables) -> Option<Vec<NextHost>> {
    cluster::next_hosts(&cluster::daemon(variables).ok()?)
}

fn gather(variables: &Variables, own_exe: &Path) -> Facts {
    let compilers = programs::compilers(variables, own_exe);
    let scratch = child::Scratch::new();
    let mut daemon = cluster::daemon(variables);
    let (scheduler, lists) = daemon.as_ref().ok().map(cluster::scheduler).unzip();
    let (hosts, is_blocked) = cluster::hosts(lists.flatten());
    let others = cluster::others(&hosts);
    let environments = match &mut daemon {
        Ok(daemon) => own_host::environments(daemon, &compilers, variables, own_exe),
        Err(_) => Vec::new(),
    };
    let trials = match &scratch {
        Some(scratch) if daemon.is_ok() => trials::compile(&others, &compilers, scratch, own_exe),
        _ => Vec::new(),
    };
    Facts {
        usage: programs::usage(variables.usage),
        problems: variables.problems.clone(),
        preferred: Some(variables.preferred_host.to_string_lossy().into_owned()).filter(|host| !host.is_empty()),
        links: programs::links(own_exe),
        ccache: programs::ccache(variables, own_exe),
        disks: own_host::disks(&daemon),
        memory: own_host::memory(&daemon),
        clock_ahead: own_host::clock_ahead(),
        platform: super::environment::own_platform(),
        ports: cluster::ports(&others),
        promises: scratch.as_ref().and_then(|scratch| own_host::promises(&daemon, scratch, own_exe)),
        daemon: cluster::daemon_facts(daemon),
        compilers,
        scheduler,
        hosts,
        is_blocked,
        environments,
        trials,
    }
}

/// A line for each finding, with what to do below it, and a last line.
fn shown(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        text += &format!("{:<4}  {:<11}  {}\n", finding.verdict.word(), finding.check, finding.found);
        if !finding.remedy.is_empty() {
            text += &format!("{:19}-> {}\n", "", finding.remedy);
        }
    }
    let warnings = report.findings.iter().filter(|finding| finding.verdict == Verdict::Warn).count();
    text + &match (report.ready, warnings) {
        (true, 0) => "ready: jobs run on other hosts\n".to_owned(),
        (true, _) => format!("ready: jobs run on other hosts ({warnings} to look at)\n"),
        (false, _) => format!("not ready. Do first: {}\n", report.first),
    }
}

/// A program of this installation: beside us, in `sbin` beside our folder, or where packages put it.
fn installed(name: &str, own_exe: &Path) -> Option<PathBuf> {
    let folder = own_exe.parent()?;
    let places = [folder.join(name), folder.join("../sbin").join(name), Path::new("/usr/sbin").join(name)];
    places.into_iter().find(|place| place.is_file())
}
