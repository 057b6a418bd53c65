//! What takes too long for every run: lines of the *main* list, one test each, run by `scripts/prove.sh main.N`.

use std::fs;
use std::time::{Duration, Instant};

use ice_lab::{Config, HostConfig};

use crate::cluster::{Cluster, Whose};
use crate::held::Held;

/// How long a whole build may take on a busy machine.
const BUILD: Duration = Duration::from_secs(900);

/// `make -j200` of 220 files, with all daemons and with all but the submitter's killed half way.
#[test]
#[ignore = "long: scripts/prove.sh main.3"]
fn main_3_make_j200_also_with_hosts_that_die() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 4, 4]) else {
        return;
    };
    write_project(&cluster, 220);
    let before = leftovers(&cluster);
    let remote = |host: &str| cluster.count_in_log(host, "iceccd.log", "Remote compilation completed with exit code 0");
    let build = |limit| cluster.sh_within(limit, "h1", &[("ICECC_FALLBACK", "warn")], "make -s -j200");
    let output = build(BUILD);
    assert!(output.status.success() && objects(&cluster) == 220, "{}\n{}", output.status, output.error_text());
    // What is said of a closed connection may come a little after the client's end.
    let mut now = Vec::new();
    cluster.until("the same processes and files as before", Duration::from_secs(30), || {
        now = leftovers(&cluster);
        now == before
    });
    println!(
        "220 of 220 objects with make -j200, {} and {} by h2 and h3; nothing left behind",
        remote("h2"),
        remote("h3")
    );
    println!("fallbacks: {}", output.error_text().lines().count());

    cluster.ok("h1", &[], "rm -f *.o");
    std::thread::scope(|scope| {
        let build = scope.spawn(|| build(BUILD));
        while objects(&cluster) < 110 && !build.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let done = objects(&cluster);
        ["h2", "h3"].iter().for_each(|host| cluster.kill_daemon(host));
        println!("daemons of h2 and h3 killed when {done} objects were there");
        let output = build.join().expect("the build");
        assert!(output.status.success(), "{}\n{}", output.status, output.error_text());
        println!("fallbacks: {}", output.error_text().lines().count());
    });
    assert_eq!(objects(&cluster), 220);
    cluster.until("end of all jobs", Duration::from_secs(30), || {
        cluster.running("h2").is_empty() && cluster.running("h3").is_empty() && cluster.called("h1", "icecc").is_empty()
    });
    println!("220 of 220 objects although two of three daemons were killed; none of their processes is left");
}

/// A host whose processes are all stopped while others' jobs run on it and its own wait must not slow others down.
///
/// Two labs, with and without that host, build in turn. The jobs on the frozen host are held up and tiny: all hosts of
/// a lab share the machine's processors, and what guests compile again would slow the build that is measured.
#[test]
#[ignore = "long: scripts/prove.sh main.4"]
fn main_4_a_frozen_host_costs_others_little() {
    const ROUNDS: usize = 5;
    // The queue's look-ahead may have put a job of the build itself on that host; it is given up after 13 s
    // (decision: silent-server). A build has to be longer than that, or it measures nothing else.
    const FILES: usize = 160;
    let Some(without) = Cluster::up(Whose::Ours, &[2, 2, 4]) else {
        return;
    };
    let Some(with) = without.beside(&[2, 2, 4, 2]) else {
        return;
    };
    for cluster in [&without, &with] {
        write_project(cluster, FILES);
        build(cluster, || ());
    }
    // Everybody has all environments from the start.
    with.write("tiny.c", "int x;\n");
    for host in ["h2", "h3", "h4"] {
        let on = if host == "h4" { "h1" } else { "h4" };
        with.ok(host, &[("ICECC_PREFERRED_HOST", on)], &format!("icecc gcc -c tiny.c -o /var/tmp/{host}.o"));
    }
    let (mut plain, mut beside, mut guests) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        plain.push(build(&without, || ()));
        let guest_times = std::thread::scope(|scope| {
            let mut waiting = Vec::new();
            let guest = |host: &&str| Held::start(&with, &format!("{host}r{round}"), host, "h4");
            let mut held: Vec<Held<'_>> = ["h2", "h3"].iter().map(guest).collect();
            beside.push(build(&with, || {
                let own = "for i in 1 2 3 4; do icecc gcc -O2 -c f1.c -o /var/tmp/own$i.o & done; wait";
                with.start_and_leave("h4", own);
                std::thread::sleep(Duration::from_secs(1));
                with.check(with.lab.freeze_host("h4"));
                let frozen = Instant::now();
                held.iter_mut().for_each(Held::release);
                for guest in held {
                    waiting.push(scope.spawn(move || {
                        guest.finish(Duration::from_secs(300));
                        frozen.elapsed()
                    }));
                }
            }));
            waiting.into_iter().map(|guest| guest.join().expect("a guest of the frozen host")).max()
        });
        guests.extend(guest_times);
        println!(
            "round {round}: {:.1} s without, {:.1} s beside a frozen host; its guests ended within {:.1} s",
            plain[round].as_secs_f64(),
            beside[round].as_secs_f64(),
            guests[round].as_secs_f64()
        );
        with.check(with.lab.thaw_host("h4"));
        with.until("end of the thawed host's own jobs", BUILD, || with.called("h4", "icecc").is_empty());
        with.check(with.lab.wait_for_hosts(4));
        with.ok("h1", &[], "rm -f h?r*");
    }
    let (with, without) = (median(beside), median(plain));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!("median of {ROUNDS}: {with:?} beside a frozen host, {without:?} without that host: {ratio:.2}");
    assert!(guests.iter().all(|time| *time < Duration::from_secs(60)), "guests: {guests:?}");
    assert!(ratio <= 1.15, "{ratio:.2}");
}

/// A whole build by h1; `meanwhile` is done as soon as it has begun.
fn build(cluster: &Cluster, meanwhile: impl FnOnce()) -> Duration {
    cluster.ok("h1", &[], "rm -f f*.o");
    let start = Instant::now();
    let build = cluster.start("h1", &[], "make -s -j12");
    meanwhile();
    let status = build.wait(BUILD);
    let time = start.elapsed();
    assert!(status.success(), "{status}");
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
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
    cluster.ok("h1", &[], "PATH=/opt/icecream/bin:$PATH gcc -c f1.c && rm f1.o");
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
        if n % 8 != 0 {
            cluster.write(&format!("f{n}.c"), &c_unit(n));
        } else {
            cluster.write(
                &format!("f{n}.cc"),
                &format!("#include <string>\nint f{n}(int x) {{ return std::to_string(x).size(); }}\n"),
            );
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

fn objects(cluster: &Cluster) -> usize {
    let entries = fs::read_dir(cluster.folder()).expect("the folder").flatten();
    let is_object = |name: &str| name.starts_with('f') && name.ends_with(".o");
    entries.filter(|entry| is_object(&entry.file_name().to_string_lossy())).count()
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
