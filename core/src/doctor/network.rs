//! The daemon, the scheduler, and the other hosts.

use std::fmt::Write as _;

use super::facts::{Answer, HostFacts, SchedulerFacts};
use super::{DaemonFacts, Facts, Findings, WhyNoSocket};

pub(super) fn daemon(facts: &Facts, findings: &mut Findings<'_>) {
    let start = "start the daemon: systemctl start iceccd (or iceccd -d)";
    let sockets = match &facts.daemon {
        DaemonFacts::Answers { protocol, newest, options } => {
            findings.ok(format!("answers, protocol {protocol}"));
            if protocol < newest {
                findings.warn(
                    format!("the daemon is older than this icecc, which knows protocol {newest}"),
                    "install the daemon of the same version, and restart it",
                );
            }
            if options.as_ref().is_some_and(|options| options.slots == Some(0)) {
                findings.warn("it has no slots (-m 0): commands that stay here run one at a time", "leave out -m 0");
            }
            return;
        }
        DaemonFacts::None(sockets) => sockets,
    };
    let of = |why| sockets.iter().find(|socket| socket.why == why).map(|socket| socket.path.as_str());
    if let Some(path) = of(WhyNoSocket::Forbidden) {
        findings.bad(
            format!("you may not connect to the daemon's socket {path}"),
            format!("let everybody in: chmod 755 the directory and 777 {path}"),
        );
    } else if let Some(path) = of(WhyNoSocket::NotADaemon) {
        findings.bad(format!("who answers at {path} is no daemon of this host"), format!("end it, and {start}"));
    } else if let Some(path) = of(WhyNoSocket::Stale) {
        findings.bad(format!("no daemon: {path} was left by one that has ended"), start);
    } else {
        findings.bad("no daemon runs on this host", start);
    }
}

pub(super) fn scheduler(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(scheduler) = &facts.scheduler else { return };
    match &scheduler.named {
        Some((at, Some(error))) => findings.bad(
            format!("the scheduler that the daemon was told, {at}, cannot be reached: {error}"),
            "start icecc-scheduler there, open its port in the firewall, or correct the daemon's -s",
        ),
        Some((at, None)) => findings.ok(format!("{at} answers, as the daemon was told by -s")),
        None => by_broadcast(scheduler, findings),
    }
}

fn by_broadcast(scheduler: &SchedulerFacts, findings: &mut Findings<'_>) {
    let netname = &scheduler.netname;
    let (ours, others): (Vec<&Answer>, Vec<&Answer>) =
        scheduler.answers.iter().partition(|answer| answer.netname.eq_ignore_ascii_case(netname));
    let list = |answers: &[&Answer]| {
        let all: Vec<String> = answers.iter().map(|a| format!("{} of {}", a.at, a.netname)).collect();
        all.join(", ")
    };
    match (&ours[..], &others[..]) {
        ([], []) => findings.bad(
            format!("no scheduler answers broadcasts (netname {netname})"),
            "start icecc-scheduler on one host of this network, or name its host to the daemon by -s",
        ),
        ([], [first, ..]) => findings.bad(
            format!("no scheduler has netname {netname}; there are {}", list(&others)),
            format!("start the daemon with -n {}, or a scheduler with -n {netname}", first.netname),
        ),
        ([one], _) => findings.ok(format!("{} answers, netname {netname}, protocol {}", one.at, one.version)),
        (several, _) => findings.warn(
            format!("several have netname {netname}: {}", list(several)),
            "stop all but one; until then the best is chosen: the highest protocol, then the oldest",
        ),
    }
}

/// The hosts, if they are known.
fn known(facts: &Facts) -> Option<&[HostFacts]> {
    facts.hosts.as_ref()?.as_ref().ok().map(Vec::as_slice)
}

pub(super) fn login(facts: &Facts, findings: &mut Findings<'_>) {
    match &facts.hosts {
        None => {}
        Some(Err(error)) => findings.warn(
            format!("the scheduler's text port does not answer, so its hosts are not known: {error}"),
            "let this host reach the scheduler's port + 1 (--text-interface, --allow, firewall)",
        ),
        Some(Ok(_)) if facts.is_blocked => findings.bad(
            "the scheduler has blocked this host",
            "give unblockcs and this host's name to the scheduler's text port",
        ),
        Some(Ok(hosts)) => match hosts.iter().find(|host| host.is_own) {
            Some(own) => findings.ok(format!("the scheduler lists this host as {}", own.name)),
            None => findings.bad(
                "the scheduler does not list this host",
                "look into the daemon's log: another scheduler, --allow, or a connection that is cut",
            ),
        },
    }
}

pub(super) fn hosts(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(hosts) = known(facts) else { return };
    let others: Vec<&HostFacts> = hosts.iter().filter(|host| !host.is_own).collect();
    if others.is_empty() {
        return findings.bad("no other host is there", "start iceccd on other hosts of this network");
    }
    let takes = |host: &&&HostFacts| !host.no_remote && host.port != 0;
    let taking: Vec<&&HostFacts> = others.iter().filter(takes).collect();
    if taking.is_empty() {
        return findings.bad(
            format!("none of the {} other hosts takes jobs of others", others.len()),
            "on one of them: iceccd --check tells why, or leave out --no-remote",
        );
    }
    for host in &taking {
        match host.state.as_deref() {
            Some("unreachable") => findings.warn(
                format!("{} cannot be reached by the scheduler", host.name),
                format!("open TCP port {} in the firewall of {}", host.port, host.name),
            ),
            Some("silent") => {
                findings.warn(format!("{} has fallen silent", host.name), "look whether it hangs or sleeps");
            }
            _ => {}
        }
    }
    let slots: u64 = taking.iter().map(|host| u64::from(host.slots)).sum();
    findings.ok(format!("{} of {} others take jobs, {slots} at a time", taking.len(), others.len()));
}

pub(super) fn platform(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(hosts) = known(facts) else { return };
    let mut others = hosts.iter().filter(|host| !host.is_own).peekable();
    if others.peek().is_none() {
        return;
    }
    if others.any(|host| crate::platform::runs(host.platform.as_bytes(), facts.platform.as_bytes())) {
        return findings.ok(format!("others run programs of {}", facts.platform));
    }
    findings.bad(
        format!("no other host runs programs of {}", facts.platform),
        format!("add hosts of {}, or name cross compilers by ICECC_VERSION", facts.platform),
    );
}

pub(super) fn versions(facts: &Facts, findings: &mut Findings<'_>) {
    let Some(hosts) = known(facts) else { return };
    let mut by_version = std::collections::BTreeMap::<u32, Vec<&str>>::new();
    for host in hosts {
        if let Some(version) = host.version {
            by_version.entry(version).or_default().push(&host.name);
        }
    }
    if by_version.is_empty() {
        return;
    }
    let mut text = String::new();
    for (version, names) in &mut by_version {
        names.sort_unstable();
        let _ = write!(text, "{}protocol {version}: {}", if text.is_empty() { "" } else { "; " }, names.join(", "));
    }
    match by_version.first_key_value() {
        Some((oldest, names)) if *oldest < OLD => findings.warn(
            format!("{text}; those below {OLD} verify no environments"),
            format!("bring {} up to date", names.join(", ")),
        ),
        _ => findings.ok(text),
    }
}

/// Hosts of an older protocol do not try an environment before its first job.
const OLD: u32 = 31;

pub(super) fn ports(facts: &Facts, findings: &mut Findings<'_>) {
    if facts.ports.is_empty() {
        return;
    }
    let closed: Vec<_> = facts.ports.iter().filter_map(|port| Some((port, port.error.as_ref()?))).collect();
    for (port, error) in &closed {
        let found = format!("{} cannot be reached from here at {}: {error}", port.host, port.at);
        let remedy = format!("open TCP {} in the firewall of {}", port.at, port.host);
        // With all of them closed nothing goes anywhere.
        if closed.len() == facts.ports.len() { findings.bad(found, remedy) } else { findings.warn(found, remedy) }
    }
    if closed.is_empty() {
        findings.ok(format!("{} hosts can be reached", facts.ports.len()));
    }
}
