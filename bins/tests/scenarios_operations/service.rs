//! O5, O11 and O12: logs and their rotation, and what the service scripts do and say.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use ice_bins::background::{Account, DEFAULT_USER};

use crate::cluster::{SOON, skip};
use crate::held::Held;
use crate::installed::Site;

const JOB: &str = "Remote compilation completed with exit code 0";

#[test]
fn o5_the_daemons_log_is_its_own_and_rotates_whole() {
    let Some(site) = Site::up(2) else { return };
    let log = site.log("h2", "iceccd.log");
    site.start_all();
    let account = Account::named(DEFAULT_USER).unwrap();
    for (host, file) in [("h2", "iceccd.log"), ("h1", "icecc_scheduler.log")] {
        let owner = fs::metadata(site.log(host, file)).unwrap_or_else(|e| panic!("{file}: {e}")).uid();
        assert_eq!(owner, account.uid, "{file}");
    }
    if site.cluster.sh("h2", &[], "command -v logrotate").text().is_empty() {
        return skip("no logrotate here").unwrap_or_default();
    }
    // As shipped it logs nothing but errors.
    site.set("h2", "ICECC_OPTIONS=-vv");
    site.ok("h2", "iceccd", "restart");
    site.cluster.check(site.cluster.lab.wait_for_hosts(2));
    site.cluster.write("a.c", "int a;\n");
    site.cluster.write("rotate.conf", "rotate 4\ninclude /etc/logrotate.d/icecc\n");
    let jobs = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do icecc gcc -c a.c -o a$n.o || exit 1; done";
    let build = site.cluster.start("h1", &[("ICECC_PREFERRED_HOST", "h2")], jobs);
    let said = || -> usize {
        let files = fs::read_dir(log.parent().unwrap()).unwrap().flatten();
        let ours = files.filter(|entry| entry.file_name().to_string_lossy().starts_with("iceccd.log"));
        ours.map(|entry| fs::read_to_string(entry.path()).unwrap_or_default().matches(JOB).count()).sum()
    };
    for done in [2, 5, 8] {
        site.cluster.until(&format!("{done} jobs"), SOON * 2, || said() >= done);
        site.cluster.ok("h2", &[], "logrotate -f -s /run/rotated rotate.conf");
    }
    assert!(build.wait(SOON * 4).success());
    site.cluster.until("all twelve jobs in the logs", SOON, || said() == 12);
    // Whether some of the twelve came after the last rotation or not: the next is in the new file.
    site.cluster.ok("h1", &[("ICECC_PREFERRED_HOST", "h2")], "icecc gcc -c a.c -o a.o");
    site.cluster.until("the next job in the logs", SOON, || said() == 13);
    let current = fs::read_to_string(&log).unwrap();
    assert!(current.contains(JOB) && current.matches(JOB).count() < 13, "{current}");
    assert_eq!(fs::metadata(&log).unwrap().uid(), account.uid);
}

#[test]
fn o11_a_restart_leaves_one_daemon_and_the_compile_ends_well() {
    let Some(site) = Site::up(2) else { return };
    site.start_all();
    let cluster = &site.cluster;
    let oldest = || cluster.called("h2", "iceccd")[0];
    // The environment is tried with the first job, and the tries would pass for a job.
    cluster.write("a.c", "int a;\n");
    cluster.ok("h1", &[("ICECC_PREFERRED_HOST", "h2")], "icecc gcc -c a.c -o a.o");
    // One that ends in time is delivered; the restart waits for it.
    let mut held = Held::start(cluster, "delivered", "h1", "h2");
    let before = oldest();
    let restart = cluster.start("h2", &[], "/etc/init.d/iceccd restart");
    std::thread::sleep(Duration::from_millis(300));
    held.release();
    let log = held.finish(SOON);
    assert!(log.contains("compiled on"), "{log}");
    assert!(restart.wait(SOON).success());
    assert!(!before.alive() && oldest().alive());
    cluster.check(cluster.lab.wait_for_hosts(2));

    // One that does not is built by its client.
    let held = Held::start(cluster, "late", "h1", "h2");
    let before = oldest();
    site.ok("h2", "iceccd", "restart");
    held.finish_here(SOON);
    assert!(!before.alive() && oldest().alive());
    let parents: Vec<_> = cluster.called("h2", "iceccd").into_iter().filter(|p| p.pid != oldest().pid).collect();
    assert_eq!(parents.len(), 1, "one daemon is its network half and its launcher");
}

#[test]
fn o12_status_is_told_by_code_and_1_4s_words() {
    let Some(site) = Site::up(1) else { return };
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    for name in ["icecc-scheduler", "iceccd"] {
        let status = |code: i32, text: &str| {
            for who in ["", nobody] {
                let output = site.cluster.sh("h1", &[], &format!("cd /; {who} /etc/init.d/{name} status"));
                assert_eq!((output.status.code(), output.text().as_str()), (Some(code), text), "{who}");
            }
        };
        let (up, down) = (format!("{name} is running.\n"), format!("{name} is not running ... failed!\n"));
        status(3, &down);
        site.ok("h1", name, "start");
        status(0, &up);
        // It runs already, which is what was asked for.
        site.ok("h1", name, "start");
        for action in ["restart", "force-reload", "try-restart", "reload"] {
            site.ok("h1", name, action);
            status(0, &up);
        }
        site.ok("h1", name, "stop");
        status(3, &down);
        site.ok("h1", name, "stop");
        site.ok("h1", name, "try-restart");
        status(3, &down);
        assert_eq!(site.service("h1", name, "reload").status.code(), Some(1));
        assert_eq!(site.service("h1", name, "dance").status.code(), Some(2));
    }
}
