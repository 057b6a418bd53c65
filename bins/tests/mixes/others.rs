//! What else every mix must do: environments of the user's own, refused environments, local and cancelled jobs, hosts
//! that take none, hosts without slots.

use ice_lab::HostConfig;

use crate::cluster::Whose;
use crate::farm::{BOTH, COMPILERS, Compiler, Farm, LOG, Mix};

const GCC: Compiler = COMPILERS[0];
/// A unit that no compiler ends before it is stopped.
const LONG: &str = "constexpr unsigned long f(unsigned long n) { unsigned long x = 1; while (n--) x = x * 1664525 + n; return x; }\n\
                    constexpr unsigned long never = f(1ul << 40);\n";
const LONG_OPTIONS: &str = "-std=c++17 -fconstexpr-loop-limit=2147483647 -fconstexpr-ops-limit=1099511627776";

/// All sixteen.
#[test]
#[ignore = "minutes: scripts/prove.sh dropin.1"]
fn dropin_1_other_jobs_in_all_sixteen_mixes() {
    for scheduler in BOTH {
        run(scheduler, &Mix::below(scheduler).collect::<Vec<_>>());
    }
}

/// With ours as the newcomer on either side.
#[test]
fn other_jobs_in_two_mixes() {
    use Whose::{Ours, Peer14};
    let mix = |daemon, client, server| Mix { scheduler: Peer14, daemon, client, server };
    run(Peer14, &[mix(Ours, Peer14, Ours), mix(Peer14, Ours, Peer14)]);
}

/// A check of one mix.
type Check = fn(&Farm, Mix) -> Result<(), String>;

const CHECKS: [(&str, Check); 6] = [
    ("an environment of the user's own is sent, once", transfers),
    ("an environment that does not work: built locally, that host is not tried again", blacklists),
    ("links, icerun and what is not for others stay local", stays_local),
    ("a killed client's compile ends, its slot is free", cancels),
    ("--no-remote: sends jobs, gets none", no_remote),
    ("-m 0: sends jobs, links one at a time", no_slots),
];

fn run(scheduler: Whose, mixes: &[Mix]) {
    let more: Vec<HostConfig> = BOTH
        .into_iter()
        .map(|whose| HostConfig::new(whose.programs(), 0))
        .chain(BOTH.into_iter().map(|whose| {
            let mut host = HostConfig::new(whose.programs(), 2);
            host.daemon_options = vec!["--no-remote".to_string()];
            host
        }))
        .collect();
    let Some(farm) = Farm::up(scheduler, &more) else { return };
    farm.cluster.ok(
        "h1",
        &[],
        &format!("{} --build-native gcc >made 2>&1; mv ./*.tar.gz base.tar.gz", farm.client(Whose::Ours)),
    );
    // A tree with all names in place whose programs do not run. Less than 500 bytes are taken for no archive.
    let broken = "mkdir -p bad/bin bad/usr/bin bad/tmp; head -c 2000 /dev/urandom >bad/usr/bin/gcc; chmod 755 bad/usr/bin/gcc; \
                  cp bad/usr/bin/gcc bad/usr/bin/as; cp bad/usr/bin/gcc bad/bin/true; tar -czf bad.tar.gz -C bad .";
    farm.cluster.ok("h1", &[], broken);
    farm.cluster.write("long.cc", LONG);
    farm.cluster.write("main.c", "int job(int); int main(void) { return job(0); }\n");
    let mut text = String::new();
    let mut reports = String::new();
    for mix in mixes {
        for (name, check) in CHECKS {
            let result = check(&farm, *mix);
            text.push_str(&format!("{mix} {}: {name}\n", if result.is_ok() { "ok    " } else { "FAILED" }));
            if let Err(report) = result {
                reports.push_str(&format!("{mix} {name}: {report}\n"));
            }
        }
    }
    println!("{text}");
    assert!(reports.is_empty(), "{text}{reports}");
}

fn transfers(farm: &Farm, mix: Mix) -> Result<(), String> {
    let archive = format!("own-{}.tar.gz", mix.word());
    farm.cluster.ok("h1", &[], &format!("cp base.tar.gz {archive}"));
    let log = farm.compile(mix.submitter(), mix, GCC, &[("ICECC_VERSION", &archive)])?;
    if !log.contains("<Transfer Environment>") {
        return Err(format!("not transferred\n{log}"));
    }
    let log = farm.compile(mix.submitter(), mix, GCC, &[("ICECC_VERSION", &archive)])?;
    if log.contains("<Transfer Environment>") {
        return Err(format!("transferred again\n{log}"));
    }
    Ok(())
}

fn blacklists(farm: &Farm, mix: Mix) -> Result<(), String> {
    let archive = format!("bad-{}.tar.gz", mix.word());
    farm.cluster.ok("h1", &[], &format!("cp bad.tar.gz {archive}"));
    let variables = [("ICECC_PREFERRED_HOST", mix.server()), ("ICECC_VERSION", archive.as_str())];
    let mut logs = String::new();
    for host_may_be_tried in [true, false] {
        let command = "rm -f out.o; CLIENT gcc -O2 -c job.c -o out.o && cmp out.o plain-gcc.o";
        let (output, log) = farm.shell(mix.submitter(), mix.client, &variables, command);
        let tried = log.contains(&format!("Have to use host {}", address(mix.server())));
        logs.push_str(&log);
        if !output.status.success() || tried != host_may_be_tried {
            return Err(format!("{}, host tried: {tried}, expected: {host_may_be_tried}\n{logs}", output.status));
        }
    }
    Ok(())
}

fn stays_local(farm: &Farm, mix: Mix) -> Result<(), String> {
    let before: usize = ["h1", "h2", "h3", "h4"].iter().map(|host| farm.compiled(host)).sum();
    let icerun = farm.client(mix.client).replace("icecc", "icerun");
    farm.cluster.ok("h1", &[], "gcc -c main.c -o main.o");
    let commands = [
        "CLIENT gcc plain-gcc.o main.o -o program && ./program".to_string(),
        format!("{icerun} sh -c 'echo ran >ran' && test \"$(cat ran)\" = ran"),
        "CLIENT gcc -E job.c -o out.i".to_string(),
    ];
    for command in commands {
        let (output, log) = farm.shell(mix.submitter(), mix.client, &[], &command);
        if !output.status.success() || !log.contains("<building_local>") {
            return Err(format!("{command}: {} {}\n{log}", output.status, output.error_text()));
        }
    }
    let after: usize = ["h1", "h2", "h3", "h4"].iter().map(|host| farm.compiled(host)).sum();
    if after == before { Ok(()) } else { Err("something was compiled for another host".to_string()) }
}

fn cancels(farm: &Farm, mix: Mix) -> Result<(), String> {
    let started = farm.count(mix.server(), "remote compile arguments");
    let log = farm.cluster.lab.host(mix.server()).map_err(|e| e.to_string())?.folder.join("log/icecc/iceccd.log");
    let command = format!(
        "CLIENT g++ {LONG_OPTIONS} -c long.cc -o long.o & pid=$!; n=0; \
         while [ $(grep -c 'remote compile arguments' {0}) -le {started} ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done; \
         sleep 0.3; kill -KILL $pid; wait $pid; test ! -e long.o",
        log.display()
    );
    let variables = [("ICECC_PREFERRED_HOST", mix.server()), ("ICECC_VERSION", "base.tar.gz")];
    let (output, client) = farm.shell(mix.submitter(), mix.client, &variables, &command);
    if !output.status.success() || farm.count(mix.server(), "remote compile arguments") == started {
        return Err(format!("{}: was not compiled remotely\n{client}", output.status));
    }
    let mut listing = String::new();
    ice_lab::process::until("free slots", LOG, || {
        listing = farm.cluster.lab.console("listcs").unwrap_or_default();
        !listing.contains("COMP") && listing.lines().filter(|l| l.contains("jobs=")).all(|l| l.contains("jobs=0/"))
    })
    .map_err(|_| format!("the scheduler still has the job\n{listing}"))?;
    farm.compile(mix.submitter(), mix, GCC, &[("ICECC_VERSION", "base.tar.gz")]).map(|_| ())
}

fn no_remote(farm: &Farm, mix: Mix) -> Result<(), String> {
    let host = if mix.daemon == Whose::Ours { "h7" } else { "h8" };
    farm.compile(host, mix, GCC, &[("ICECC_VERSION", "base.tar.gz")])?;
    let before = farm.count(host, "remote compile arguments");
    let variables = [("ICECC_PREFERRED_HOST", host), ("ICECC_VERSION", "base.tar.gz")];
    let command = "rm -f out.o; CLIENT gcc -O2 -c job.c -o out.o && cmp out.o plain-gcc.o";
    let (output, log) = farm.shell(mix.submitter(), mix.client, &variables, command);
    if !output.status.success() || farm.count(host, "remote compile arguments") != before {
        return Err(format!("{}\n{log}", output.status));
    }
    Ok(())
}

fn no_slots(farm: &Farm, mix: Mix) -> Result<(), String> {
    let host = if mix.daemon == Whose::Ours { "h5" } else { "h6" };
    farm.compile(host, mix, GCC, &[("ICECC_VERSION", "base.tar.gz")])?;
    let (output, log) = farm.shell(host, mix.client, &[], "CLIENT gcc plain-gcc.o main.o -o program && ./program");
    if !output.status.success() || !log.contains("<building_local>") {
        return Err(format!("link: {} {}\n{log}", output.status, output.error_text()));
    }
    Ok(())
}

/// A host's address in the lab.
fn address(host: &str) -> String {
    format!("10.77.0.{}", &host[1..])
}
