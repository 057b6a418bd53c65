//! What takes too long for every run: lines of the *main* list, one test each, run by `scripts/prove.sh main.N`.

use std::fs;
use std::time::{Duration, Instant};

use ice_bins::lab::{Config, HostConfig};

use crate::cluster::{Cluster, Whose};

/// `make -j200` of 220 files, with all daemons and with all but the submitter's killed half way.
#[test]
#[ignore = "long: scripts/prove.sh main.3"]
fn main_3_make_j200_also_with_hosts_that_die() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 4, 4]) else {
        return;
    };
    write_project(&cluster, 220);
    let before = leftovers(&cluster);
    cluster.ok("h1", &[], "make -s -j200");
    assert_eq!(objects(&cluster), 220);
    assert_eq!(leftovers(&cluster), before, "something was left behind");
    println!("220 of 220 objects with make -j200; nothing left behind");

    cluster.ok("h1", &[], "rm -f *.o");
    std::thread::scope(|scope| {
        let build = scope.spawn(|| cluster.ok("h1", &[], "make -s -j200"));
        while objects(&cluster) < 80 && !build.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let done = objects(&cluster);
        for host in ["h2", "h3"] {
            cluster.lab.kill_host(host).unwrap_or_else(|e| cluster.fail(&e.to_string()));
        }
        println!("h2 and h3 killed when {done} objects were there");
        build.join().expect("the build");
    });
    assert_eq!(objects(&cluster), 220);
    println!("220 of 220 objects although two of three hosts died");
}

/// A host whose processes are all stopped while jobs run on it must not slow others down.
#[test]
#[ignore = "long: scripts/prove.sh main.4"]
fn main_4_a_frozen_host_costs_others_little() {
    const ROUNDS: usize = 5;
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let build = |cluster: &Cluster| {
        cluster.ok("h1", &[], "rm -f *.o");
        let start = Instant::now();
        cluster.ok("h1", &[], "make -s -j12");
        start.elapsed()
    };
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2, 4]) else {
        return;
    };
    write_project(&cluster, 60);
    build(&cluster);
    let without = median((0..ROUNDS).map(|_| build(&cluster)).collect());
    drop(cluster);

    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2, 4, 2]) else {
        return;
    };
    write_project(&cluster, 60);
    cluster.write("long.cc", &long_unit());
    build(&cluster);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        std::thread::scope(|scope| {
            // Jobs of h2 and h3 on h4, and more of h4's own than it has slots.
            let on_h4 = [("ICECC_PREFERRED_HOST", "h4")];
            let guests: Vec<_> = ["h2", "h3"]
                .map(|host| {
                    let cluster = &cluster;
                    scope.spawn(move || {
                        cluster.ok(host, &on_h4, &format!("icecc g++ -O2 -c long.cc -o /var/tmp/{host}.o"))
                    })
                })
                .into_iter()
                .collect();
            scope.spawn(|| {
                cluster.sh("h4", &[], "for i in 1 2 3 4; do icecc g++ -O2 -c long.cc -o /var/tmp/own$i.o & done; wait")
            });
            std::thread::sleep(Duration::from_secs(1));
            cluster.lab.freeze_host("h4").unwrap_or_else(|e| cluster.fail(&e.to_string()));
            let frozen = Instant::now();
            times.push(build(&cluster));
            for guest in guests {
                guest.join().expect("a job whose compile server froze");
            }
            println!("build {:?}; guests of the frozen host ended after {:?}", times.last(), frozen.elapsed());
            assert!(frozen.elapsed() < Duration::from_secs(60) + times[times.len() - 1]);
            cluster.lab.thaw_host("h4").unwrap_or_else(|e| cluster.fail(&e.to_string()));
        });
    }
    let with = median(times);
    println!(
        "median of {ROUNDS}: {with:?} beside a frozen host, {without:?} without that host: {:.2}",
        with.as_secs_f64() / without.as_secs_f64()
    );
    assert!(with.as_secs_f64() <= 1.15 * without.as_secs_f64());
}

/// The manual as written: `scheduler -d`, `iceccd -d`, PATH, `make -j15`; nothing else said.
#[test]
#[ignore = "long: scripts/prove.sh main.9"]
fn main_9_the_manual_as_written() {
    let installed = std::env::var("PROVE_INSTALLED").expect("scripts/prove.sh installs and sets it");
    let programs = Whose::Ours.programs();
    let mut config = Config::new("", &programs, &[]);
    config.hosts = (0..3).map(|_| HostConfig::new(programs.clone(), 2)).collect();
    config.bare = true;
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    let place = format!("mount -t tmpfs none /opt && mkdir /opt/icecream && mount --bind '{installed}' /opt/icecream");
    for host in ["h1", "h2", "h3"] {
        cluster.ok(host, &[], &place);
    }
    cluster.ok("h1", &[], "/opt/icecream/sbin/scheduler -d");
    for host in ["h1", "h2", "h3"] {
        cluster.ok(host, &[], "/opt/icecream/sbin/iceccd -d");
    }
    cluster.lab.wait_for_hosts(3).unwrap_or_else(|e| cluster.fail(&e.to_string()));
    write_project(&cluster, 60);
    let plain = cluster.folder().join("Makefile");
    let text = fs::read_to_string(&plain).expect("the Makefile").replace("icecc ", "");
    cluster.write("Makefile", &text);
    let log = cluster.folder().join("client.log");
    let told = [("ICECC_DEBUG", "info"), ("ICECC_LOGFILE", log.to_str().expect("a plain path"))];
    // The first job goes to its submitter alone: it makes the environment.
    cluster.ok("h1", &[], "PATH=/opt/icecream/bin:$PATH gcc -c f0.c && rm f0.o");
    cluster.ok("h1", &told, "PATH=/opt/icecream/bin:$PATH make -s -j15");
    assert_eq!(objects(&cluster), 60);
    let log = String::from_utf8_lossy(&cluster.read("client.log")).into_owned();
    let on = |n: u8| log.matches(&format!("Have to use host 10.77.0.{n}:")).count();
    let list = cluster.lab.console("listcs").unwrap_or_else(|e| cluster.fail(&e.to_string()));
    println!("60 objects by make -j15: {} sent to h2, {} to h3, the rest built on h1\n{list}", on(2), on(3));
    assert!(on(2) >= 10 && on(3) >= 10, "the jobs do not spread:\n{log}");
}

fn write_project(cluster: &Cluster, files: usize) {
    let mut make = String::from("all:");
    for n in 0..files {
        if n % 2 == 0 {
            cluster.write(&format!("f{n}.c"), &c_unit(n));
        } else {
            cluster.write(&format!("f{n}.cc"), &format!("#include <map>\n#include <string>\nint f{n}(int x) {{ std::map<std::string, int> m; return m[std::to_string(x)]; }}\n"));
        }
        make.push_str(&format!(" f{n}.o"));
    }
    make.push_str(
        "\n.SUFFIXES: .c .cc .o\n.c.o:\n\t@icecc gcc -O2 -c $< -o $@\n.cc.o:\n\t@icecc g++ -O2 -c $< -o $@\n",
    );
    cluster.write("Makefile", &make);
}

fn c_unit(n: usize) -> String {
    let body: String = (0..80)
        .map(|k| format!("int f{n}_{k}(int x) {{ for (int i = 0; i < x; i++) x += i * {k} ^ {n}; return x; }}\n"))
        .collect();
    format!("#include <stdio.h>\n{body}")
}

/// Some seconds of a compiler's work.
fn long_unit() -> String {
    let body: String = (0..300).map(|k| format!("int g{k}(int x) {{ std::map<int, std::string> m; m[x] = std::to_string({k}); return int(m[x].size()); }}\n")).collect();
    format!("#include <map>\n#include <string>\n{body}")
}

fn objects(cluster: &Cluster) -> usize {
    let entries = fs::read_dir(cluster.folder()).expect("the folder").flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "o")).count()
}

/// Processes on the hosts, and files that are neither source nor object: the same before and after a build.
fn leftovers(cluster: &Cluster) -> Vec<String> {
    let mut all = Vec::new();
    for host in ["h1", "h2", "h3"] {
        let names = cluster.ok(host, &[], "cat /proc/[0-9]*/comm; ls -A /run/icecc").text();
        // The shell that asks and its tools are there each time.
        all.extend(
            names.lines().filter(|name| !matches!(*name, "sh" | "cat" | "ls")).map(|name| format!("{host} {name}")),
        );
    }
    for entry in fs::read_dir(cluster.folder()).expect("the folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if ![".c", ".cc", ".o", "Makefile"].iter().any(|end| name.ends_with(end)) {
            all.push(name);
        }
    }
    all.sort();
    all
}
