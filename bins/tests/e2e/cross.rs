//! Cross compiling and ccache: a line of the *toolchain* list, run by `scripts/prove.sh toolchain.5`.

use crate::cluster::{Cluster, Whose, completed};
use ice_lab::{Config, HostConfig};

const CC: &str = "arm-linux-gnueabihf-gcc";

/// The manual's recipe for cross compilers with an archive of 1.4's own tool, which says nothing of itself and is named
/// by its user: on hosts with 1.4 and with ours. Repacked under its name it is another environment.
#[test]
fn m12_an_archive_of_1_4_for_arm_is_used_and_known_by_its_content() {
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 4, 4]);
    config.hosts[1] = HostConfig::new(Whose::Peer14.programs(), 4);
    let Some(cluster) = Cluster::with(&config) else { return };
    if !cluster.sh("h1", &[], &format!("command -v {CC} && test -x /usr/bin/icecc-create-env")).status.success() {
        eprintln!("skipped: no {CC}, or no tool of 1.4");
        return;
    }
    cluster.write("a.c", "int a(int x) { return x * 3 + 1; }\n");
    let make = format!(
        "set -e; {CC} -O2 -c a.c -o plain.o; /usr/bin/icecc-create-env {CC} --compression none >said; mv *.tar arm.tar
        mkdir cross any; icecc=$(command -v icecc); ln -s $icecc cross/{CC}; ln -s $icecc any/gcc"
    );
    cluster.ok("h1", &[], &make);
    let folder = cluster.folder().display().to_string();
    let (archive, compiler) = (format!("{folder}/arm.tar"), format!("/usr/bin/{CC}"));
    for (host, address) in [("h2", "10.77.0.2"), ("h3", "10.77.0.3")] {
        for (links, name, is_brought) in [("cross", CC, true), ("any", "gcc", false), ("cross", CC, true)] {
            let variables = [
                ("ICECC_VERSION", archive.as_str()),
                ("ICECC_CC", &compiler),
                ("ICECC_PREFERRED_HOST", host),
                ("ICECC_DEBUG", "info"),
            ];
            let job = format!("rm -f out.o; PATH={folder}/{links}:$PATH {name} -O2 -c a.c -o out.o");
            let log = cluster.ok("h1", &variables, &job).error_text();
            assert!(log.contains(&format!("Have to use host {address}")) && !log.contains("<building_local>"), "{log}");
            assert_eq!(log.contains("<Transfer Environment>"), is_brought, "{host}: {log}");
            assert!(cluster.read("out.o") == cluster.read("plain.o"), "{host}: the object differs");
            if links == "any" {
                cluster.ok("h1", &[], "head -c 10240 /dev/zero >>arm.tar");
            }
        }
    }
}

/// lua for ARM by the manual's recipe, then through ccache in each way that people set it up.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.5"]
fn toolchain_5_lua_for_arm_and_through_ccache() {
    let sources = std::env::var("LUA_SOURCES").expect("scripts/prove.sh unpacks and names them");
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4, 4]) else {
        return;
    };
    let folder = cluster.folder().display().to_string();
    cluster.ok("h1", &[], &format!("cp -r '{sources}'/* . && mkdir cross links && icecc=$(command -v icecc) && for l in gcc g++; do ln -s $icecc cross/arm-linux-gnueabihf-$l; ln -s $(command -v ccache) links/arm-linux-gnueabihf-$l; done"));

    // The manual: an archive, links named as the cross compilers, the compilers by name.
    let made = cluster.ok("h1", &[], &format!("icecc --build-native {CC} | sed -n 's/^creating //p'"));
    let archive = format!("{folder}/{}", made.text().trim());
    let recipe = format!(
        "export ICECC_VERSION={archive} ICECC_CC={CC} ICECC_CXX=arm-linux-gnueabihf-g++ PATH={folder}/cross:$PATH"
    );
    cluster.ok("h1", &[], &format!("{recipe}; {}", make("generic", CC)));
    let objects: usize = cluster.ok("h1", &[], "ls src/*.o | wc -l").text().trim().parse().expect("a number");
    let remote = completed(&cluster, "h2") + completed(&cluster, "h3");
    println!("lua for ARM by the manual's recipe: {remote} of {objects} jobs remote");
    assert!(remote * 10 > objects * 6, "too few remote jobs");
    let said = cluster.ok("h1", &[], "qemu-arm-static src/lua -e 'print(_VERSION, 2^53)'").text();
    println!("qemu-arm-static src/lua: {}", said.trim());
    assert!(said.starts_with("Lua 5.4"));
    cluster.ok("h1", &[], "mkdir plain && cp src/*.o plain/ && make -s -C src clean");
    cluster.ok("h1", &[], &make("o", CC));
    cluster.ok("h1", &[], "for o in src/*.o; do cmp $o plain/${o#src/}; done");
    println!("all objects equal those of a build without icecc");
    through_ccache(&cluster, &folder, &archive, objects);
}

fn make(goal: &str, compiler: &str) -> String {
    format!(
        "make -s -j8 -C src {goal} CC='{compiler} -std=gnu99' AR='arm-linux-gnueabihf-ar rcu' RANLIB=arm-linux-gnueabihf-ranlib MYLDFLAGS=-static"
    )
}

/// Once into an empty cache, once from it: the same objects, and the scheduler sees the first build alone.
fn through_ccache(cluster: &Cluster, folder: &str, archive: &str, objects: usize) {
    let wrapper = cluster.write("wrapper", &format!("#!/bin/sh\nCCACHE_PATH={folder}/cross exec ccache {CC} \"$@\"\n"));
    cluster.ok("h1", &[], "chmod 755 wrapper");
    // By its path: ccache passes over an icecc that is the file its compiler's link leads to, and takes 1.4's behind
    // it.
    let ways = [
        ("CCACHE_PREFIX=icecc, ccache CC", "CCACHE_PREFIX=$(command -v icecc)".to_string(), format!("ccache {CC}")),
        (
            "CCACHE_PREFIX=icecc, links of ccache",
            format!("CCACHE_PREFIX=$(command -v icecc) PATH={folder}/links:$PATH"),
            CC.to_string(),
        ),
        ("the manual's wrapper", "A=a".to_string(), wrapper.display().to_string()),
        ("links: ccache, icecc", format!("PATH={folder}/links:{folder}/cross:$PATH"), CC.to_string()),
        ("links: icecc, ccache", format!("PATH={folder}/cross:{folder}/links:$PATH"), CC.to_string()),
        (
            "links: icecc, ccache, and CCACHE_PREFIX",
            format!("CCACHE_PREFIX=$(command -v icecc) PATH={folder}/cross:{folder}/links:$PATH"),
            CC.to_string(),
        ),
        (
            "links: ccache, icecc, and CCACHE_PREFIX",
            format!("CCACHE_PREFIX=$(command -v icecc) PATH={folder}/links:{folder}/cross:$PATH"),
            CC.to_string(),
        ),
    ];
    println!("{:<44}{:>22}{:>22}{:>8}", "ccache", "first: remote jobs", "second: requests", "hits");
    for (n, (what, variables, compiler)) in ways.iter().enumerate() {
        let again =
            format!("export {variables} CCACHE_DIR={folder}/cache{n} ICECC_VERSION={archive}; {}", make("o", compiler));
        let count = || (completed(cluster, "h2") + completed(cluster, "h3"), requests(cluster));
        cluster.ok("h1", &[], "make -s -C src clean");
        let before = count();
        cluster.ok("h1", &[], &again);
        let first = count();
        cluster.ok("h1", &[], "for o in src/*.o; do cmp $o plain/${o#src/}; done && make -s -C src clean");
        cluster.ok("h1", &[], &again);
        let second = count();
        cluster.ok("h1", &[], "for o in src/*.o; do cmp $o plain/${o#src/}; done");
        let stats = cluster.ok("h1", &[], &format!("CCACHE_DIR={folder}/cache{n} ccache --print-stats")).text();
        let figure = |names: &[&str]| -> usize {
            let lines = stats.lines().filter_map(|line| line.split_once('\t'));
            lines.filter(|(name, _)| names.contains(name)).filter_map(|(_, n)| n.parse::<usize>().ok()).sum()
        };
        let hits = figure(&["direct_cache_hit", "preprocessed_cache_hit"]);
        println!("{what:<44}{:>22}{:>22}{hits:>8}", first.0 - before.0, second.1 - first.1);
        assert!((first.0 - before.0) * 10 > objects * 6, "{what}: too few remote jobs");
        assert!(hits >= objects, "{what}: {hits} hits only\n{stats}");
        assert_eq!(second.1, first.1, "{what}: the scheduler saw jobs of a build that was all hits");
    }
}

/// Jobs that the scheduler was told of, wherever they ran.
fn requests(cluster: &Cluster) -> usize {
    let log = cluster.lab.log("h1", "scheduler.log").unwrap_or_default();
    log.lines().filter(|line| line.contains(": NEW ") || line.contains(": handle_local_job ")).count()
}
