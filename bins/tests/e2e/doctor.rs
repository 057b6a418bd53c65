//! `icecc --doctor` on hosts with a fault each: it is named first, with what to do, by exit status 1.

use ice_lab::Config;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cluster::{Cluster, Whose};

/// Links named as all compilers that are installed, first in PATH.
const LINKED: &str = "export PATH=\"$PWD/links:$PATH\"; ";

/// Asks h1. Returns the finding that decides, or none if it is ready.
fn asked(cluster: &Cluster, host: &str, before: &str) -> Option<Value> {
    let output = cluster.sh(host, &[], &format!("{LINKED}{before} icecc --doctor --json"));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let findings = report["findings"].as_array().expect("findings").clone();
    let first = findings.into_iter().find(|finding| finding["verdict"] == "bad");
    assert_eq!(output.status.code(), Some(i32::from(first.is_some())), "{report:#}");
    assert_eq!(report["ready"], first.is_none(), "{report:#}");
    let remedy = first.as_ref().map_or("", |finding| finding["remedy"].as_str().expect("a remedy"));
    assert_eq!(report["first"], remedy, "{report:#}");
    first
}

/// The first bad finding is of this check and has these words.
fn names(cluster: &Cluster, before: &str, check: &str, words: &str) {
    let first = asked(cluster, "h1", before).unwrap_or_else(|| panic!("{before}: nothing is found, not {words}"));
    let found = first["found"].as_str().expect("words");
    assert!(first["check"] == check && found.contains(words), "{before}: {first}, not {check}: {words}");
}

fn with_links(config: &Config) -> Option<Cluster> {
    let cluster = Cluster::with(config)?;
    cluster.ok("h1", &[], "mkdir links && icecc --update-links links");
    Some(cluster)
}

#[test]
fn a_users_faults_are_named_first() {
    let Some(cluster) = with_links(&Config::new("", &Whose::Ours.programs(), &[2, 2])) else { return };
    assert_eq!(asked(&cluster, "h1", ""), None);
    let output = cluster.ok("h1", &[], &format!("{LINKED} icecc --doctor"));
    let text = output.text();
    assert!(
        text.contains("\nok    compile      h2 compiled a file in ")
            && text.lines().last().is_some_and(|line| line.starts_with("ready: ")),
        "{text}"
    );

    cluster.ok(
        "h1",
        &[],
        "mkdir fake bad && printf '#!/bin/sh\\nexec icecc gcc \"$@\"\\n' >fake/gcc && chmod 755 fake/gcc",
    );
    cluster.ok("h1", &[], "printf '#!/bin/sh\\nexit 1\\n' >bad/gcc && chmod 755 bad/gcc");
    for (before, check, words) in [
        ("ICECC=no", "variables", "ICECC=no"),
        ("ICECC=disable", "variables", "ICECC=disable"),
        ("PATH=${PATH#*:}:$PWD/links", "path", "stands behind it in PATH"),
        ("PATH=$PWD/links:$PWD/fake:$PATH", "loop", "gcc leads back to icecc"),
        ("CCACHE_PREFIX=iceccc", "ccache", "CCACHE_PREFIX=iceccc, and PATH has no such program"),
        ("TMPDIR=/proc", "disk", "/proc"),
        ("PATH=$PWD/links:$PWD/bad:$PATH", "environment", "none of gcc"),
        ("ICECC_EXTRAFILES=/nonexistent", "compile", "compiled here: no environment can be given to the job"),
    ] {
        names(&cluster, before, check, words);
    }
    // Who may not open the socket, where the port is no way around it.
    cluster.ok("h1", &[], "chmod 700 /run/icecc");
    names(
        &cluster,
        "ICECC_TEST_SOCKET=/run/icecc/iceccd.socket setpriv --reuid 65534 --regid 65534 --clear-groups",
        "daemon",
        "you may not connect",
    );
    cluster.ok("h1", &[], "chmod 755 /run/icecc");
    assert_eq!(asked(&cluster, "h1", ""), None);
}

#[test]
fn the_clusters_faults_are_named_first() {
    let Some(cluster) = with_links(&Config::new("", &Whose::Ours.programs(), &[2, 2])) else { return };
    // Only the scheduler's own host may.
    let tell = |line: &str| {
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/8766; printf \"{line}\\nquit\\n\" >&3; cat <&3");
        cluster.ok("h1", &[], &format!("timeout 20 bash -c '{script}'"));
    };
    tell("blockcs h1");
    names(&cluster, "", "login", "has blocked this host");
    tell("unblockcs h1");
    cluster.check(cluster.lab.wait_for_hosts(2));

    cluster.ok("h1", &[], "ip route add blackhole 10.77.0.2/32");
    names(&cluster, "", "ports", "h2 cannot be reached from here");
    cluster.ok("h1", &[], "ip route del blackhole 10.77.0.2/32");

    cluster.stop_daemon("h2");
    names(&cluster, "", "hosts", "no other host is there");
    cluster.ok("h2", &[], "iceccd -d --no-remote -s 10.77.0.1 -b /var/tmp/envs -l /var/log/icecc/other.log");
    cluster.check(cluster.lab.wait_for_hosts(2));
    names(&cluster, "", "hosts", "takes jobs of others");

    let daemon = |options: &str| {
        cluster.stop_daemon("h1");
        cluster.ok("h1", &[], &format!("iceccd -d -b /var/cache/icecc -l /var/log/icecc/other.log {options}"));
    };
    daemon("-n OTHER");
    names(&cluster, "", "scheduler", "no scheduler has netname OTHER; there are 10.77.0.1:8765 of ICECREAM");
    daemon("-s 10.77.0.2");
    names(&cluster, "", "scheduler", "10.77.0.2:8765, cannot be reached");
    cluster.check(cluster.lab.stop("h1", "icecc-scheduler", Signal::SIGTERM));
    daemon("");
    names(&cluster, "", "scheduler", "no scheduler answers broadcasts");
    cluster.kill_daemon("h1");
    names(&cluster, "", "daemon", "was left by one that has ended");
    cluster.ok("h1", &[], "rm /run/icecc/iceccd.socket");
    names(&cluster, "", "daemon", "no daemon runs on this host");
}

#[test]
fn hosts_and_a_scheduler_of_1_4_are_tried_too() {
    let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2]);
    config.scheduler = Some(Whose::Peer14.programs());
    config.hosts[1].programs = Whose::Peer14.programs();
    let Some(cluster) = with_links(&config) else { return };
    assert_eq!(asked(&cluster, "h1", ""), None);
    let text = cluster.ok("h1", &[], &format!("{LINKED} icecc --doctor")).text();
    assert!(text.contains("h2 compiled a file in ") && text.contains("1 of 1 others take jobs, 2 at a time"), "{text}");
}
