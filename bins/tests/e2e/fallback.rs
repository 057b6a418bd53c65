//! A failure of the cluster is never a failure of the build.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cluster::{Cluster, SOON, Whose};
use crate::held::Held;

const ON_H2: [(&str, &str); 2] = [("ICECC_PREFERRED_HOST", "h2"), ("ICECC_DEBUG", "warning")];
const COMPILE: &str = "rm -f a.o; icecc gcc -c a.c -o a.o && nm a.o";

#[test]
fn without_scheduler_or_daemon_it_is_compiled_here() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    cluster.ok("h1", &ON_H2, COMPILE);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0"), 1);
    cluster.check(cluster.lab.stop("h1", "icecc-scheduler", Signal::SIGKILL));
    let output = cluster.ok("h1", &[], COMPILE);
    assert!(output.text().contains(" x") && output.stderr.is_empty(), "{output:?}");
    // The daemon says so; the client does not find out by waiting in vain.
    assert_eq!(cluster.count_in_log("h1", "iceccd.log", "no scheduler, request built here"), 1);
    fallback_is_told_and_refused(&cluster);
    cluster.stop_daemon("h1");
    let output = cluster.ok("h1", &[], COMPILE);
    assert!(output.text().contains(" x") && output.stderr.is_empty(), "{output:?}");
    fallback_is_told_and_refused(&cluster);
}

#[test]
fn a_host_without_others_tells_it_or_refuses() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2]) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    assert!(cluster.ok("h1", &[], COMPILE).stderr.is_empty());
    fallback_is_told_and_refused(&cluster);
}

/// What `ICECC_FALLBACK` does where the cluster takes no job; what is no compile is run in any case.
fn fallback_is_told_and_refused(cluster: &Cluster) {
    let output = cluster.ok("h1", &[("ICECC_FALLBACK", "warn")], COMPILE);
    let said = output.error_text();
    assert!(said.starts_with("icecc: compiling here: ") && said.lines().count() == 1, "{output:?}");
    let never = [("ICECC_FALLBACK", "never")];
    let output = cluster.sh("h1", &never, COMPILE);
    let said = output.error_text();
    assert!(!output.status.success() && !cluster.folder().join("a.o").exists(), "{output:?}");
    assert!(said.starts_with("icecc: not compiled, as ICECC_FALLBACK=never: ") && said.lines().count() == 1, "{said}");
    let output = cluster.ok("h1", &never, "icecc gcc -E a.c");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn servers_that_die_or_freeze_or_have_no_room_do_not_matter() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2, 2]) else {
        return;
    };
    // No room for environments.
    cluster.write("a.c", "int x;\n");
    cluster.stop_daemon("h3");
    cluster.ok("h3", &[], "mount -t tmpfs -o size=4m none /mnt && chown --reference /var/cache/icecc /mnt && mount --move /mnt /var/cache/icecc");
    cluster.start_daemon("h3");
    let full = cluster.ok("h1", &[("ICECC_FALLBACK", "never")], COMPILE);
    assert!(full.text().contains(" x"), "{full:?}");
    assert_eq!(cluster.count_in_log("h3", "iceccd.log", "completed with exit code"), 0);

    let held = Held::start(&cluster, "killed", "h1", "h2");
    cluster.kill_daemon("h2");
    cluster.until("end of the job", SOON, || cluster.called("h2", "cc1").is_empty());
    let log = held.finish_here(SOON);
    assert!(log.contains("got exception Error "), "{log}");
    cluster.start_daemon("h2");

    let mut held = Held::start(&cluster, "frozen", "h1", "h2");
    cluster.check(cluster.lab.freeze_host("h2"));
    held.release();
    let log = held.finish(Duration::from_secs(90));
    // Given up for its silence: the connection itself holds.
    assert!(log.contains("got exception Error 14 ") && log.matches("<building_local>").count() == 1, "{log}");
    cluster.check(cluster.lab.thaw_host("h2"));
    cluster.until("end of the given up job", SOON, || cluster.called("h2", "cc1").is_empty());
    assert_eq!(cluster.ok("h1", &[], "ls | grep -v -e '^[a-z]*\\.[choa]$' -e log$ || :").text(), "");
}

#[test]
fn a_broken_environment_costs_only_the_attempt() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    // One with a compiler that does not start, one that is no archive at all.
    cluster.ok("h1", &[], "mkdir -p e/usr/bin e/bin && cp /bin/true e/bin/true && for x in as gcc g++ cc1 cc1plus; do cp a.c e/usr/bin/$x; done && chmod 755 e/usr/bin/* && tar -C e -czf broken.tar.gz . && echo hello >junk.tar.gz");
    for (archive, said) in [("broken", "Error "), ("junk", "building locally")] {
        let path = cluster.folder().join(format!("{archive}.tar.gz"));
        let version = ("ICECC_VERSION", &*path.to_string_lossy());
        for attempt in 0..2 {
            let output = cluster.ok("h1", &[ON_H2[0], ON_H2[1], version], COMPILE);
            assert!(output.text().contains(" x"), "{archive}: {output:?}");
            // A host that could not verify it is not asked again.
            assert!(attempt > 0 || output.error_text().contains(said), "{archive}: {output:?}");
        }
        assert_eq!(cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0"), 0);
    }
    let sent = cluster.count_in_log("h2", "iceccd.log", "receiving environment ");
    assert!(sent <= 2, "a host that could not verify them was asked {sent} times");
    cluster.ok("h1", &ON_H2, COMPILE);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0"), 1);
}

#[test]
fn interrupting_a_client_ends_its_remote_job() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    cluster.ok("h1", &ON_H2, COMPILE);
    // The hosts share the machine's /tmp; jobs have one of their own.
    let files = "ls -A /var/tmp; find /var/cache/icecc -maxdepth 3 | sort";
    let before = cluster.ok("h2", &[], files).text();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let name = signal.as_str().to_lowercase();
        let held = Held::start(&cluster, &name, "h1", "h2");
        let client = cluster.called("h1", "icecc");
        assert_eq!(client.len(), 1);
        client.iter().for_each(|process| process.signal(signal));
        // It waits for text that never comes, and would not end by itself.
        cluster.until("end of the remote compiler", SOON, || cluster.called("h2", "cc1").is_empty());
        held.forget_preprocessor();
        let status = held.client.wait(SOON);
        assert!(status.code() == Some(128 + signal as i32) || status.signal() == Some(signal as i32), "{status}");
        assert_eq!(
            cluster.ok("h1", &[], &format!("ls | grep '^{name}'")).text(),
            format!("{name}.c\n{name}.h\n{name}.log\n")
        );
    }
    cluster.until("the files of before", SOON, || cluster.ok("h2", &[], files).text() == before);
}
