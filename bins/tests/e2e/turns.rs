//! Two compilers by turns where the cache has room for one: what the cluster believes of an environment is true, and no
//! job is lost.

use std::time::Duration;

use ice_lab::Config;

use crate::cluster::{Cluster, SOON, Whose};

/// A job that falls back fails.
const ON_H2: [(&str, &str); 4] = [
    ("ICECC_PREFERRED_HOST", "h2"),
    ("ICECC_FALLBACK", "never"),
    ("ICECC_DEBUG", "info"),
    ("ICECC_CARET_WORKAROUND", "0"),
];

fn compile(cluster: &Cluster, compiler: &str) -> String {
    cluster.ok("h1", &ON_H2, &format!("icecc {compiler} -c a.c -o a.o && nm a.o")).error_text()
}

/// The daemon of h2 anew, with these variables and options.
fn daemon_anew(cluster: &Cluster, variables: &str, options: &str) {
    cluster.stop_daemon("h2");
    let daemon = cluster.check(Whose::Ours.programs().daemon());
    let daemon = daemon.display();
    cluster.start_and_leave(
        "h2",
        &format!("exec env {variables} {daemon} -vvv -l /var/log/icecc/iceccd.log -b /var/cache/icecc -m 2 -s 10.77.0.1 {options}"),
    );
    cluster.check(cluster.lab.wait_for_hosts(2));
}

#[test]
fn gcc_and_clang_by_turns_in_a_cache_for_one_lose_no_job() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    // What is not used for a second may go; one of the two fits, and both together are less than twice the limit.
    daemon_anew(&cluster, "ICECC_TEST_CACHE_KEPT=1", "--cache-limit 300");
    let removed = || cluster.count_in_log("h2", "iceccd.log", "cache limit");
    for turn in 0..3 {
        for compiler in ["gcc", "clang"] {
            let before = removed();
            let log = compile(&cluster, compiler);
            assert!(
                log.contains("has env: false"),
                "turn {turn}, {compiler}: the scheduler still believes in it\n{log}"
            );
            if turn > 0 || compiler == "clang" {
                // The timer, with nobody there.
                cluster.until("eviction of the other compiler", SOON, || removed() > before);
            }
        }
    }
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0"), 6);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "I don't have environment"), 0);
}

/// Somebody clears the cache under the daemon: the first job finds out, all is corrected, and the job goes there all
/// the same.
#[test]
fn a_job_whose_server_has_lost_the_environment_is_not_lost() {
    for whose in [Whose::Ours, Whose::Peer14] {
        let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2]);
        config.hosts[1].daemon_programs = Some(whose.programs());
        let Some(cluster) = Cluster::with(&config) else {
            return;
        };
        cluster.write("a.c", "int x;\n");
        compile(&cluster, "gcc");
        assert!(compile(&cluster, "gcc").contains("has env: true"));
        cluster.ok("h2", &[], "rm -rf /var/cache/icecc/target=*/*/usr");
        let log = compile(&cluster, "gcc");
        let asked: Vec<&str> = log.lines().filter(|line| line.contains("has env: ")).collect();
        // On a busy machine the client may ask again before the scheduler has heard of it.
        let [lost @ .., last] = &asked[..] else { cluster.fail(&log) };
        let was_there = !lost.is_empty() && lost.iter().all(|line| line.contains("has env: true"));
        assert!(was_there && last.contains("has env: false"), "{whose:?}: {log}");
        assert!(compile(&cluster, "gcc").contains("has env: true"), "{whose:?}");
        cluster.until("four results", Duration::from_secs(30), || {
            cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0") == 4
        });
    }
}
