//! Links to icecc in PATH, as they are installed and as the manual says: with ccache, and for compilers of any name.

use std::fs;
use std::path::Path;

use crate::cluster::{Cluster, skip};
use crate::installed::Site;

const ON_H2: [(&str, &str); 4] = [
    ("ICECC_PREFERRED_HOST", "h2"),
    ("ICECC_FALLBACK", "never"),
    ("ICECC_DEBUG", "debug"),
    ("ICECC_LOGFILE", "client.log"),
];
/// A user's own, without the lab's programs in it.
const PATH: &str = "export PATH=/usr/local/bin:/usr/bin:/bin";

/// The line of the manual page icecream(7) that starts with these words.
fn manual(start: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/man/icecream.7");
    let page = fs::read_to_string(page).expect("the manual page");
    page.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no line {start}")).to_owned()
}

fn site() -> Option<Site> {
    let site = Site::up(2)?;
    site.start_all();
    site.cluster.write("plain.c", "int plain;\n");
    Some(site)
}

/// Runs a command that must succeed without a word, and tells how many compiles the other host did for it.
fn jobs(cluster: &Cluster, command: &str) -> usize {
    cluster.write("client.log", "");
    let output = cluster.ok("h1", &ON_H2, command);
    assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{command}: {output:?}");
    String::from_utf8_lossy(&cluster.read("client.log")).matches(": compiled on ").count()
}

#[test]
fn ccache_as_in_the_manual() {
    if !Path::new("/usr/lib/ccache/gcc").exists() {
        return skip("no ccache").unwrap_or_default();
    }
    let Some(site) = site() else { return };
    let cluster = &site.cluster;
    let (ours, ccache) = (manual("export PATH=/usr/lib/icecc/bin"), manual("export CCACHE_PREFIX="));
    let alone = "export CCACHE_PREFIX=icecc CCACHE_PATH=/usr/lib/icecc/bin PATH=/usr/lib/ccache:$PATH";
    let lines = [
        format!("{ours}; {ccache}"),
        format!("{ccache}; {ours}"),
        ccache.clone(),
        format!("{ours}; {}", ccache.replace("CCACHE_PREFIX=icecc", "")),
        alone.to_owned(),
    ];
    for (number, exports) in lines.iter().enumerate() {
        let setup = format!("{PATH}; export CCACHE_DIR=$PWD/cache.{number}; {exports}");
        for (compiler, suffix) in [("gcc", "c"), ("g++", "cc")] {
            let name = format!("x{number}.{suffix}");
            cluster.write(&name, &format!("int f{number}(int n) {{ return n + {number}; }}\n"));
            cluster.ok("h1", &[], &format!("{PATH}; {compiler} -O2 -c {name} -o plain.o"));
            // What is not in the cache is compiled by the other host, what is in it by nobody.
            for new in [1, 0] {
                let done = jobs(cluster, &format!("{setup}; {compiler} -O2 -c {name} -o {name}.o"));
                assert_eq!(done, new, "{exports}: compiles by {compiler}");
                assert!(cluster.read("plain.o") == cluster.read(&format!("{name}.o")), "{exports}: {compiler}");
            }
        }
    }
}

/// Every compiler of this machine, and one with a target and a version of its own.
#[test]
fn links_of_every_compiler_that_is_installed() {
    let Some(site) = site() else { return };
    let cluster = &site.cluster;
    let (c, cxx) = ("mips-test-gnu-gcc-99", "mips-test-gnu-g++-99");
    let setup = format!(
        "{PATH}; mkdir links own; ln -s /usr/bin/gcc own/{c}; ln -s /usr/bin/g++ own/{cxx}; cp /bin/true own/gcc-ar-99
         printf '#!/bin/sh\\n' >own/gcc-98; chmod 755 own/gcc-98; export PATH=$PATH:$PWD/own; icecc --update-links"
    );
    let said = cluster.ok("h1", &[], &format!("{setup} links; icecc --update-links links")).text();
    let mut lines: Vec<&str> = said.lines().map(|line| line.trim_start_matches("made links/")).collect();
    lines.sort_unstable();
    let names = "cd /usr/bin; for name in gcc g++ cc c++ clang clang++ *-gcc *-g++ *gcc-[0-9]* *g++-[0-9]* clang-[0-9]* clang++-[0-9]*; do
                     [ ! -e $name ] || [ \"$(head -c 2 $name)\" = '#!' ] || echo $name; done";
    let names = cluster.ok("h1", &[], names).text();
    let mut wanted: Vec<String> =
        names.lines().chain([c, cxx]).map(|n| format!("{n} -> /usr/lib/icecc/icecc")).collect();
    wanted.push("icecc -> /usr/bin/icecc".to_owned());
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(lines, wanted, "each once");

    let has = |name: &&str| wanted.iter().any(|line| line.split(' ').next() == Some(name));
    for name in
        [c, cxx, "g++-12", "x86_64-linux-gnu-g++", "clang++-14", "arm-linux-gnueabihf-gcc"].into_iter().filter(has)
    {
        let source = if name.contains("++") { "x.cc" } else { "x.c" };
        cluster.write(source, "int twice(int n) { return 2 * n; }\n");
        cluster.ok("h1", &[], &format!("{PATH}:$PWD/own; {name} -O2 -c {source} -o plain.o"));
        let through = format!("{PATH}:$PWD/own; PATH=$PWD/links:$PATH; {name} -O2 -c {source} -o our.o");
        assert_eq!(jobs(cluster, &through), 1, "{name} compiles elsewhere");
        assert!(cluster.read("plain.o") == cluster.read("our.o"), "{name} makes another object");
    }
    // A compiler that goes takes its link along, and nothing else changes.
    let gone = format!("{PATH}; rm own/{cxx}; export PATH=$PATH:$PWD/own; icecc --update-links links");
    assert_eq!(cluster.ok("h1", &[], &gone).text(), format!("removed links/{cxx}: no {cxx} in PATH\n"));
}
