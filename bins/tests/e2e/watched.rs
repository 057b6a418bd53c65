//! icetop beside schedulers of ours and of 1.4: hosts, and a job that runs.

use ice_lab::Config;
use serde_json::Value;

use crate::cluster::{COMPILE, Cluster, SOON, Whose};

/// A unit that no compiler ends before it is stopped.
const LONG: &str = "constexpr unsigned long f(unsigned long n) { unsigned long x = 1; while (n--) x = x * 1664525 + n; return x; }\n\
                    constexpr unsigned long never = f(1ul << 40);\n";
const LONG_OPTIONS: &str = "-std=c++17 -fconstexpr-loop-limit=2147483647 -fconstexpr-ops-limit=1099511627776";

#[test]
fn icetop_shows_hosts_and_jobs_of_our_scheduler() {
    shows_hosts_and_jobs(Whose::Ours);
}

#[test]
fn icetop_shows_hosts_and_jobs_of_a_scheduler_of_1_4() {
    shows_hosts_and_jobs(Whose::Peer14);
}

fn shows_hosts_and_jobs(scheduler: Whose) {
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 3]);
    config.scheduler = Some(scheduler.programs());
    let Some(cluster) = Cluster::with(&config) else { return };
    cluster.write("long.cc", LONG);
    let mut state = Value::Null;
    cluster.until("a job on the screen", 3 * COMPILE, || {
        state = watched(&cluster);
        // The first one may wait all the time for its environment.
        state["jobs"][0]["state"] == "running"
    });
    let hosts = state["hosts"].as_array().expect("hosts");
    // They are in the order of their logins.
    let mut told: Vec<_> =
        hosts.iter().map(|host| ["name", "address", "slots"].map(|key| host[key].to_string())).collect();
    told.sort();
    assert_eq!(told, [["\"h1\"", "\"10.77.0.1\"", "1"], ["\"h2\"", "\"10.77.0.2\"", "3"]], "{state:#}");
    let job = &state["jobs"][0];
    assert_eq!((&job["state"], &job["submitter"], &job["host"]), (&"running".into(), &"h1".into(), &"h2".into()));
    assert!(job["file"].as_str().is_some_and(|file| file.ends_with("long.cc")), "{state:#}");
    // The text says the same, and a broadcast finds the scheduler too.
    let text = cluster.ok("h2", &[], &format!("{} --once", icetop())).text();
    assert!(text.starts_with("scheduler 10.77.0.1:8765: 2 hosts, 4 slots,"), "{text}");
}

/// What icetop says while a job runs that began after it: 1.4 tells of no others.
fn watched(cluster: &Cluster) -> Value {
    let command = format!(
        "rm -f feed; {top} -s 10.77.0.1 --json --for 10 --record feed >state & top=$!; \
         while kill -0 $top && ! grep -q connected feed; do sleep 0.1; done 2>/dev/null; \
         icecc g++ {LONG_OPTIONS} -c long.cc -o long.o & job=$!; wait $top; kill -KILL $job; wait; cat state",
        top = icetop()
    );
    let output = cluster.sh_within(SOON + COMPILE, "h1", &[("ICECC_PREFERRED_HOST", "h2")], &command);
    serde_json::from_str(&output.text()).unwrap_or_else(|e| cluster.fail(&format!("{e}: {output:?}")))
}

/// The program, which a package of its own builds.
fn icetop() -> String {
    let daemon = Whose::Ours.programs().daemon().expect("our daemon");
    let path = daemon.with_file_name("icetop");
    assert!(path.is_file(), "no {}: `cargo build --bins` makes it", path.display());
    path.display().to_string()
}
