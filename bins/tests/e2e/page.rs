//! The scheduler's page beside a build: what it tells is what ran.

use std::collections::BTreeSet;

use ice_lab::{Config, HostConfig};

use crate::cluster::{Cluster, SOON, Whose, completed};

/// Units that compile, and one that does not.
const UNITS: usize = 24;

#[test]
fn data_and_metrics_tell_of_the_jobs_that_ran() {
    let programs = Whose::Ours.programs();
    let mut config = Config::new("", &programs, &[]);
    config.hosts = [2, 4, 4].map(|slots| HostConfig::new(programs.clone(), slots)).into();
    config.bare = true;
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    cluster.ok("h1", &[], "icecc-scheduler -d --web -vvv -l /var/log/icecc/scheduler.log");
    ["h1", "h2", "h3"].iter().for_each(|host| cluster.check(cluster.lab.start_daemon(host, None)));
    cluster.check(cluster.lab.wait_for_hosts(3));
    for n in 0..UNITS {
        cluster.write(&format!("f{n}.c"), &format!("int f{n}(int x) {{ return x * {n}; }}\n"));
    }
    cluster.write("wrong.c", "int wrong(void) { return nothing; }\n");
    let files: String = (0..UNITS).map(|n| format!(" f{n}.o")).collect();
    cluster.write("Makefile", &format!("all: {files}\n%.o: %.c\n\t@icecc gcc -O1 -c $< -o $@\n"));
    let build = cluster.start("h1", &[], "make -s -j8");
    let mut polls = 0;
    cluster.until("some jobs in the metrics while the build runs", SOON * 4, || {
        polls += 1;
        total(&get(&cluster, "/metrics"), "icecc_jobs_total{result=\"succeeded\"}") > 3
    });
    assert!(build.wait(SOON * 4).success());
    assert!(!cluster.sh("h1", &[("ICECC_PREFERRED_HOST", "h2")], "icecc gcc -c wrong.c").status.success());

    let mut metrics = String::new();
    let ended = |metrics: &str, result| total(metrics, &format!("icecc_jobs_total{{result=\"{result}\"}}"));
    cluster.until("the end of all jobs in the metrics", SOON, || {
        metrics = get(&cluster, "/metrics");
        ended(&metrics, "succeeded") + ended(&metrics, "failed") == UNITS + 1
    });
    assert_eq!((ended(&metrics, "succeeded"), ended(&metrics, "lost")), (UNITS, 0), "{metrics}");
    assert_eq!(total(&metrics, "icecc_jobs_placed_total"), UNITS + 1, "{metrics}");
    for host in ["h2", "h3"] {
        let of = |name: &str| metrics.lines().find(|line| line.starts_with(&format!("{name}{{host=\"{host}\"")));
        let count = |name: &str| of(name).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0);
        let good = count("icecc_host_jobs_done_total") - count("icecc_host_jobs_failed_total");
        assert_eq!(good, completed(&cluster, host), "{host} in\n{metrics}");
    }
    let jobs: serde_json::Value = serde_json::from_str(&get(&cluster, "/api/jobs")).expect("JSON");
    // What failed elsewhere is tried here again, without the scheduler.
    let chosen = jobs["ended"].as_array().expect("jobs").iter().filter(|job| job["local"] != true);
    let named = chosen.filter_map(|job| job["file"].as_str());
    let names: BTreeSet<&str> = named.filter_map(|file| file.rsplit('/').next()).collect();
    assert_eq!(names.len(), UNITS + 1, "{names:?} after {polls} polls");
}

/// The body at a path of the page. bash opens the connection: a bare host has no other program for it.
fn get(cluster: &Cluster, path: &str) -> String {
    let ask = format!("exec 3<>/dev/tcp/127.0.0.1/8767 && printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3");
    cluster.write("ask.sh", &ask);
    let answer = cluster.ok("h1", &[], "bash ask.sh").text();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_else(|| cluster.fail(&answer))
}

/// A metric that must be there.
fn total(metrics: &str, name: &str) -> usize {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or(0)
}
