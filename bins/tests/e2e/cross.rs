//! Cross compiling and ccache: a line of the *toolchain* list, run by `scripts/prove.sh toolchain.5`.

use crate::cluster::{Cluster, Whose};
use crate::environments::completed;

const CC: &str = "arm-linux-gnueabihf-gcc";

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

    // The manual (M12): an archive, links named as the cross compilers, the compilers by name.
    let made = cluster.ok("h1", &[], &format!("icecc --build-native {CC} | sed -n 's/^creating //p'"));
    let archive = format!("{folder}/{}", made.text().trim());
    let recipe = format!(
        "export ICECC_VERSION={archive} ICECC_CC={CC} ICECC_CXX=arm-linux-gnueabihf-g++ PATH={folder}/cross:$PATH"
    );
    let build = |goal: &str, compiler: &str| {
        format!(
            "make -s -j8 -C src {goal} CC='{compiler} -std=gnu99' AR='arm-linux-gnueabihf-ar rcu' RANLIB=arm-linux-gnueabihf-ranlib MYLDFLAGS=-static"
        )
    };
    cluster.ok("h1", &[], &format!("{recipe}; {}", build("generic", CC)));
    let objects: usize = cluster.ok("h1", &[], "ls src/*.o | wc -l").text().trim().parse().expect("a number");
    let remote = completed(&cluster, "h2") + completed(&cluster, "h3");
    println!("lua for ARM by the manual's recipe: {remote} of {objects} jobs remote");
    assert!(remote * 10 > objects * 6, "too few remote jobs");
    let said = cluster.ok("h1", &[], "qemu-arm-static src/lua -e 'print(_VERSION, 2^53)'").text();
    println!("qemu-arm-static src/lua: {}", said.trim());
    assert!(said.starts_with("Lua 5.4"));
    cluster.ok("h1", &[], "mkdir plain && cp src/*.o plain/ && make -s -C src clean");
    cluster.ok("h1", &[], &build("o", CC));
    cluster.ok("h1", &[], "for o in src/*.o; do cmp $o plain/${o#src/}; done");
    println!("all objects equal those of a build without icecc");

    let wrapper = cluster.write("wrapper", &format!("#!/bin/sh\nCCACHE_PATH={folder}/cross exec ccache {CC} \"$@\"\n"));
    cluster.ok("h1", &[], "chmod 755 wrapper");
    // By its path: ccache passes over an icecc that is the file its compiler's link leads to, and takes 1.4's behind it.
    let ways = [
        ("CCACHE_PREFIX=icecc, ccache CC", "CCACHE_PREFIX=$(command -v icecc)".to_string(), format!("ccache {CC}")),
        (
            "CCACHE_PREFIX=icecc, links of ccache",
            format!("CCACHE_PREFIX=$(command -v icecc) PATH={folder}/links:$PATH"),
            CC.to_string(),
        ),
        ("the manual's wrapper (M13)", "A=a".to_string(), wrapper.display().to_string()),
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
        let again = format!(
            "export {variables} CCACHE_DIR={folder}/cache{n} ICECC_VERSION={archive}; {}",
            build("o", compiler)
        );
        let count = || (completed(&cluster, "h2") + completed(&cluster, "h3"), requests(&cluster));
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
