//! Programs that end or start again while others need them.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cluster::{Cluster, SOON, Whose};
use crate::held::Held;

const ON_H2: [(&str, &str); 1] = [("ICECC_PREFERRED_HOST", "h2")];
const COMPILE: &str = "rm -f a.o; icecc gcc -c a.c -o a.o && nm a.o";

#[test]
fn a_daemon_ends_after_its_jobs_and_keeps_its_environments() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    cluster.ok("h1", &ON_H2, COMPILE);

    cluster.stop_daemon("h2");
    cluster.start_daemon("h2");
    cluster.ok("h1", &ON_H2, COMPILE);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0"), 2);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "receiving environment"), 1, "the environment was sent again");

    // A job that ends in time is delivered.
    let held = Held::start(&cluster, "delivered", "h1", "h2");
    let daemon = cluster.called("h2", "iceccd")[0];
    daemon.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    assert!(daemon.alive(), "it did not wait for its job");
    let log = held.finish(SOON);
    assert!(log.contains("compiled on"), "{log}");
    cluster.until("end of the daemon", SOON, || cluster.called("h2", "iceccd").is_empty());
    cluster.start_daemon("h2");

    // One that does not is given up after ten seconds.
    let held = Held::start(&cluster, "late", "h1", "h2");
    cluster.called("h2", "iceccd")[0].signal(Signal::SIGTERM);
    cluster.until("end of the daemon", SOON, || cluster.running("h2").is_empty());
    held.finish_here(SOON);
}

#[test]
fn either_half_of_a_daemon_ends_the_other_and_all_jobs() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    cluster.ok("h1", &ON_H2, COMPILE);
    for (half, name) in ["network", "launcher"].into_iter().enumerate() {
        let held = Held::start(&cluster, name, "h1", "h2");
        let halves = cluster.called("h2", "iceccd");
        assert!(halves.len() >= 2, "{halves:?}");
        halves[half].signal(Signal::SIGKILL);
        cluster.until(&format!("end of all on h2 after the {name} half was killed"), SOON, || {
            cluster.running("h2").is_empty()
        });
        held.finish_here(SOON);
        cluster.start_daemon("h2");
    }
}

#[test]
fn a_scheduler_may_start_again_in_mid_build() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 2]) else {
        return;
    };
    let files = 24;
    let objects: String = (0..files).map(|n| format!(" f{n}.o")).collect();
    (0..files).for_each(|n| {
        cluster.write(
            &format!("f{n}.c"),
            &format!("#include <stdio.h>\nint f{n}(int x) {{ return printf(\"%d\", x); }}\n"),
        );
    });
    cluster.write("Makefile", &format!("all:{objects}\n.c.o:\n\ticecc gcc -O1 -c $< -o $@\n"));
    let held = Held::start(&cluster, "before", "h1", "h2");
    let build = cluster.start("h1", &[], "make -s -j8");
    let there = |n: usize| cluster.folder().join(format!("f{n}.o")).exists();
    cluster.until("a third of the objects", Duration::from_secs(100), || {
        (0..files).filter(|n| there(*n)).count() >= files / 3
    });
    cluster.check(cluster.lab.stop("h1", "icecc-scheduler", Signal::SIGKILL));
    cluster.check(cluster.lab.start_scheduler("h1", None));
    let status = build.wait(Duration::from_secs(150));
    assert!(status.success() && (0..files).all(there), "{status}");
    // A job that ran all the while is not disturbed.
    let log = held.finish(SOON);
    assert!(log.contains("compiled on"), "{log}");
    cluster.check(cluster.lab.wait_for_hosts(2));
    cluster.write("a.c", "int x;\n");
    let before = cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0");
    cluster.ok("h1", &ON_H2, COMPILE);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0"), before + 1);
}
