//! A cluster of 1.4 becomes one of ours under a running build, program by program.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ice_lab::{Config, process};
use nix::sys::signal::Signal;

use crate::cluster::{Cluster, Whose};

const HOSTS: [&str; 4] = ["h1", "h2", "h3", "h4"];
/// Files per step: those that run while a program is replaced, and those that prove that work goes on.
const DURING: usize = 20;
const AFTER: usize = 10;
/// The scheduler and four daemons.
const STEPS: usize = 5;
/// 1.4's daemons look for a lost scheduler for 20 to 51 s.
const STEP: Duration = Duration::from_secs(150);

/// `make -j12` of 150 files through our client; no job fails, and after each step jobs go to other hosts again.
#[test]
#[ignore = "two minutes: scripts/prove.sh dropin.5"]
fn dropin_5_rolling_upgrade_under_make_j12() {
    let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2, 2, 2]);
    config.hosts.iter_mut().for_each(|host| host.daemon_programs = Some(Whose::Peer14.programs()));
    config.scheduler = Some(Whose::Peer14.programs());
    let Some(cluster) = Cluster::with(&config) else { return };
    project(cluster.folder());
    cluster.ok("h1", &[], "make -s -f plain.make -j2");
    for host in &HOSTS[1..] {
        cluster.ok("h1", &[("ICECC_PREFERRED_HOST", host)], "icecc gcc -O2 -c f0.c -o warm.o");
    }
    let mut command = cluster.lab.enter(cluster.lab.host("h1").expect("h1 exists"));
    let log = cluster.folder().join("client.log");
    command.env("ICECC_DEBUG", "debug").env("ICECC_LOGFILE", &log);
    command.args(["make", "-s", "-j12", "-C"]).arg(cluster.folder());
    let build = thread::spawn(move || process::run(&mut command, STEP * STEPS as u32));
    for step in 0..STEPS {
        let begun = Instant::now();
        let what = replace(&cluster, step);
        eprintln!("{what}: jobs went to other hosts again {:.1} s after the step began", begun.elapsed().as_secs_f32());
    }
    let output = build.join().expect("the build's thread").unwrap_or_else(|e| cluster.fail(&ice_bins::exit::chain(&e)));
    let log = fs::read_to_string(&log).unwrap_or_default();
    if !output.status.success() {
        cluster.fail(&format!("make: {}\n{}\n{}", output.status, output.error_text(), tail(&log)));
    }
    for n in 0..STEPS * (DURING + AFTER) {
        assert!(cluster.read(&format!("f{n}.o")) == cluster.read(&format!("plain/f{n}.o")), "f{n}.o differs");
    }
    eprintln!(
        "{} files, none failed, all equal to the plain compiler's; {} were built locally after a program had gone",
        STEPS * (DURING + AFTER),
        log.matches("<building_local>").count()
    );
}

/// Files whose compiles wait for the gate of their part of a step.
fn project(folder: &Path) {
    fs::create_dir(folder.join("plain")).expect("a new folder");
    let mut make = String::from("all:");
    for n in 0..STEPS * (DURING + AFTER) {
        let mut text = String::new();
        for k in 0..40 {
            let _ = writeln!(
                text,
                "int f{n}_{k}(int x) {{ for (int i = 0; i < x; i++) x += i * {k} ^ {n}; return x % 97; }}"
            );
        }
        fs::write(folder.join(format!("f{n}.c")), text).expect("a source file");
        let _ = write!(make, " f{n}.o");
    }
    let plain = make.replace(" f", " plain/f");
    fs::write(folder.join("plain.make"), format!("{plain}\nplain/%.o: %.c\n\tgcc -O2 -c $< -o $@\n"))
        .expect("a makefile");
    make.push('\n');
    for n in 0..STEPS * (DURING + AFTER) {
        let (step, place) = (n / (DURING + AFTER), n % (DURING + AFTER));
        let gate = if place < DURING { format!("during{step}") } else { format!("after{step}") };
        let _ = writeln!(
            make,
            "f{n}.o: f{n}.c\n\t@while [ ! -e {gate} ]; do sleep 0.1; done; \
             ICECC_PREFERRED_HOST=$$(cat {gate}) icecc gcc -O2 -c $< -o $@"
        );
    }
    fs::write(folder.join("Makefile"), make).expect("a makefile");
}

fn replace(cluster: &Cluster, step: usize) -> String {
    let lab = &cluster.lab;
    let orderly = |result: Result<(), ice_lab::Error>| {
        result.unwrap_or_else(|e| cluster.fail(&format!("step {step}: {}", ice_bins::exit::chain(&e))));
    };
    cluster.write(&format!("during{step}"), "");
    orderly(process::until("jobs under way", STEP, || {
        lab.console("listjobs").is_ok_and(|text| text.contains(" COMP "))
    }));
    let ours = Whose::Ours.programs();
    let what = if step == 0 {
        orderly(lab.stop("h1", "icecc-scheduler", Signal::SIGTERM));
        orderly(lab.start_scheduler("h1", Some(&ours)));
        "the scheduler".to_string()
    } else {
        let host = HOSTS[step - 1];
        // Killed, as a machine that loses power: TERM makes 1.4's daemon answer its clients with failures.
        orderly(lab.stop(host, "iceccd", Signal::SIGKILL));
        orderly(lab.start_daemon(host, Some(&ours)));
        format!("the daemon of {host}")
    };
    if lab.wait_for_hosts(HOSTS.len()).is_err() {
        orderly(lab.wait_for_hosts(HOSTS.len()));
    }
    // The new daemon itself gets work; where the submitter's was replaced or the scheduler, any other host.
    let servers = if step >= 2 { &HOSTS[step - 1..step] } else { &HOSTS[1..] };
    let before = compiled(cluster, servers);
    cluster.write("next", if step >= 2 { servers[0] } else { "" });
    fs::rename(cluster.folder().join("next"), cluster.folder().join(format!("after{step}"))).expect("a gate");
    orderly(process::until("remote jobs after the step", STEP, || compiled(cluster, servers) > before));
    what
}

fn compiled(cluster: &Cluster, hosts: &[&str]) -> usize {
    let count = |host: &&str| {
        let log = cluster.lab.log(host, "iceccd.log").unwrap_or_default();
        log.matches("Remote compilation completed with exit code 0").count()
    };
    hosts.iter().map(count).sum()
}

fn tail(log: &str) -> &str {
    let start = log.len().saturating_sub(6000);
    log.get(start..).unwrap_or(log)
}
