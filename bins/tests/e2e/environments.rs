//! Environments made here and there, shipped to hosts that have no compiler and between ours and 1.4's: lines of the
//! *toolchain* list, run by `scripts/prove.sh toolchain.N`.

use ice_lab::{Config, HostConfig};

use crate::cluster::{COMPILE, Cluster, Whose, bare_root, completed};

const C_UNIT: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";
const CXX_UNIT: &str = "#include <map>\n#include <string>\n#include <cstdio>\nint main() { std::map<int, std::string> m; m[1] = \"hello\"; std::puts(m[1].c_str()); }\n";

/// One compiler, where its programs run, and how its results are run here.
struct Target {
    compiler: &'static str,
    source: &'static str,
    linker: &'static str,
    runner: &'static str,
}

const TARGETS: [Target; 6] = [
    Target { compiler: "gcc", source: "hello.c", linker: "gcc", runner: "" },
    Target { compiler: "g++", source: "hello.cc", linker: "g++", runner: "" },
    Target { compiler: "clang", source: "hello.c", linker: "clang", runner: "" },
    Target {
        compiler: "arm-linux-gnueabihf-gcc",
        source: "hello.c",
        linker: "arm-linux-gnueabihf-gcc",
        runner: "qemu-arm-static",
    },
    Target {
        compiler: "arm-linux-gnueabihf-g++",
        source: "hello.cc",
        linker: "arm-linux-gnueabihf-g++",
        runner: "qemu-arm-static",
    },
    Target {
        compiler: "aarch64-linux-gnu-g++",
        source: "hello.cc",
        linker: "aarch64-linux-gnu-g++",
        runner: "qemu-aarch64-static",
    },
];

/// Native gcc and clang, cross gcc and g++: made, shipped to a host without any compiler, run there.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.1"]
fn toolchain_1_hosts_without_a_compiler() {
    let root = tempfile::tempdir().expect("a folder for the bare root");
    bare_root(root.path());
    let programs = Whose::Ours.programs();
    let mut config = Config::new("", &programs, &[1, 4]);
    config.hosts[1].root = Some(root.path().to_path_buf());
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    cluster.write("hello.c", C_UNIT);
    cluster.write("hello.cc", CXX_UNIT);
    // Not by `Cluster::ok`: this host does not have the test's folder.
    let look = |command: &str| cluster.lab.exec("h2", &["sh", "-c", command], COMPILE).expect("h2 answers").text();
    let compilers = look("cd /; for c in gcc g++ cc c++ clang as ld cc1; do command -v $c; done; ls /usr/lib/gcc");
    assert_eq!(compilers, "", "h2 has a compiler");
    println!("h2's whole root: {} files, no compiler", look("find / -xdev -type f | wc -l").trim());
    for (n, target) in TARGETS.iter().enumerate() {
        let Target { compiler, source, linker, runner } = target;
        if cluster.sh("h1", &[], &format!("command -v {compiler} {runner}")).text().lines().count() == 0 {
            println!("skipped: no {compiler}");
            continue;
        }
        cluster.ok("h1", &[], &format!("{compiler} -O2 -c {source} -o plain.o"));
        // Once as people do it by hand: an archive, ICECC_VERSION. Once with nothing said.
        let made = cluster.ok("h1", &[], &format!("icecc --build-native {compiler} | sed -n 's/^creating //p'"));
        let archive = cluster.folder().join(made.text().trim());
        let archive = archive.to_str().expect("a path of ours");
        for variables in [&[("ICECC_VERSION", archive)][..], &[]] {
            let before = completed(&cluster, "h2");
            let variables = [variables, &[("ICECC_PREFERRED_HOST", "h2")]].concat();
            for _ in 0..2 {
                cluster.ok("h1", &variables, &format!("icecc {compiler} -O2 -c {source} -o remote.o"));
            }
            let done = completed(&cluster, "h2") - before;
            assert!(done >= 1, "{compiler}: nothing ran on h2");
            assert!(cluster.read("remote.o") == cluster.read("plain.o"), "{compiler}: the object differs");
            let link = format!("{linker} -static remote.o -o hello{n} && {runner} ./hello{n}");
            assert_eq!(cluster.ok("h1", &[], &link).text(), "hello\n", "{compiler}");
            let how = if variables.len() > 1 { "--build-native and ICECC_VERSION" } else { "nothing configured" };
            println!("{compiler:<26} {how:<34} {done} of 2 jobs on h2; object equal; linked, prints hello {runner}");
        }
    }
}

/// One archive, and which ways it is tried.
struct Archive {
    what: String,
    name: String,
    compiler: &'static str,
    /// Whether 1.4's daemon takes it.
    on_1_4: bool,
    /// By both clients to each daemon; a form made by hand once to each, by the client of the other kind.
    both: bool,
}

/// The archive forms that are in use and both kinds of daemons and clients.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.4"]
fn toolchain_4_archives_of_ours_and_of_1_4_everywhere() {
    let (ours, theirs) = (Whose::Ours.programs(), Whose::Peer14.programs());
    let mut config = Config::new("", &ours, &[1, 4, 4]);
    config.hosts[1] = HostConfig::new(theirs, 4);
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    cluster.write("hello.c", C_UNIT);
    cluster.write("hello.cc", CXX_UNIT);
    let makers = [("ours", "ours", "icecc-create-env"), ("1.4's", "old", "/usr/bin/icecc-create-env")];
    let mut archives: Vec<Archive> = std::thread::scope(|scope| {
        let threads = makers.map(|maker| {
            scope.spawn({
                let cluster = &cluster;
                move || made_by(cluster, maker)
            })
        });
        threads.into_iter().flat_map(|thread| thread.join().expect("archives")).collect()
    });
    archives.extend(by_hand(&cluster));
    cluster.ok("h1", &[], "gcc -O2 -c hello.c -o plain-gcc.o && clang -O2 -c hello.c -o plain-clang.o");
    println!("{:<44}{:>12}{:>12}{:>12}{:>12}", "archive", "1.4 to 1.4", "ours to 1.4", "1.4 to ours", "ours to ours");
    for archive in &archives {
        let [on_1_4, on_ours] = ["h2", "h3"].map(|server| (server, ways(archive, server)));
        // Each daemon by a thread: its log shows one job after the other.
        std::thread::scope(|scope| {
            for (server, clients) in [&on_1_4, &on_ours] {
                scope.spawn(|| clients.iter().flatten().for_each(|client| send(&cluster, archive, client, server)));
            }
        });
        let word = |client: &Option<&str>| if client.is_some() { "equal" } else { "-" };
        let words: Vec<_> = [on_1_4.1, on_ours.1].concat().iter().map(word).collect();
        println!("{:<44}{:>12}{:>12}{:>12}{:>12}", archive.what, words[0], words[1], words[2], words[3]);
    }
    println!(
        "equal: the job ran on that host, its object is the local compiler's; -: not tried (1.4 fails on folders of"
    );
    println!("mode 0555 and loses hard links; a form made by hand is brought once to each daemon)");
    for name in ["ours-gcc-none.tar", "ours-gcc-gzip.tar.gz", "ours-gcc-zstd.tar.zst", "ours-clang-zstd.tar.zst"] {
        let said = cluster.ok("h1", &[], &format!("/usr/bin/icecc-test-env {name}")).text();
        assert!(said.ends_with("OK\n"), "{name}: {said}");
        println!("1.4's icecc-test-env {name}: OK");
    }
}

/// The archives of one tool: whose, the beginning of their names, the program.
fn made_by(cluster: &Cluster, (whose, start, program): (&str, &str, &str)) -> Vec<Archive> {
    let types = [("none", "tar"), ("gzip", "tar.gz"), ("bzip2", "tar.bz2"), ("xz", "tar.xz"), ("zstd", "tar.zst")];
    let mut archives = Vec::new();
    for compiler in ["gcc", "clang"] {
        // The slow ones of clang's 237 MB say nothing new.
        for (word, ending) in types.iter().filter(|(word, _)| compiler == "gcc" || matches!(*word, "none" | "zstd")) {
            let name = format!("{start}-{compiler}-{word}.{ending}");
            // ICECC_TESTS: xz at its fastest.
            let make = format!(
                "mkdir {start} && cd {start} && ICECC_TESTS=1 {program} {compiler} --compression {word} >said && mv *.{ending} ../{name} && cd .. && rm -r {start}"
            );
            cluster.ok("h1", &[], &make);
            let what = format!("{whose} {compiler} {word}");
            archives.push(Archive { what, name, compiler, on_1_4: true, both: true });
        }
    }
    archives
}

/// The clients that send it to that daemon: 1.4's, ours.
fn ways(archive: &Archive, server: &str) -> [Option<&'static str>; 2] {
    let is_1_4 = server == "h2";
    let is_tried = archive.on_1_4 || !is_1_4;
    let old = is_tried && (archive.both || !is_1_4);
    let new = is_tried && (archive.both || is_1_4);
    [old.then_some("/usr/bin/icecc"), new.then_some("icecc")]
}

/// One job by this client with this archive, which must run on that host.
fn send(cluster: &Cluster, archive: &Archive, client: &str, server: &str) {
    let Archive { what, name, compiler, .. } = archive;
    // A name of its own for each, so that it is sent each time.
    let alias = format!("{}-{server}-{name}", if client.starts_with('/') { "old" } else { "new" });
    let (path, object) = (cluster.folder().join(&alias), format!("{alias}.o"));
    cluster.ok("h1", &[], &format!("ln {name} {alias}"));
    let before = completed(cluster, server);
    let variables = [("ICECC_PREFERRED_HOST", server), ("ICECC_VERSION", path.to_str().expect("a path of ours"))];
    cluster.ok("h1", &variables, &format!("{client} {compiler} -O2 -c hello.c -o {object}"));
    assert!(completed(cluster, server) > before, "{what}: {client} to {server}: not run there");
    let plain = cluster.read(&format!("plain-{compiler}.o"));
    assert!(cluster.read(&object) == plain, "{what}: {client} to {server}: the object differs");
    cluster.ok("h1", &[], &format!("rm {alias} {object}"));
}

/// Archives as people make them. Of gcc without C++, to be small.
fn by_hand(cluster: &Cluster) -> Vec<Archive> {
    let script = "set -e
        mkdir tree && tar -C tree -xf ours-gcc-none.tar && cd tree
        rm -f usr/bin/g++ usr/bin/cc1plus usr/share/icecream/env
        files=$(find . -type f -o -type l | sed 's,^./,,' | sort)
        tar -cf ../dots.tar .
        tar --format=posix -cf ../pax.tar $files
        tar --format=v7 -cf ../v7.tar $files
        tar --format=ustar -cf ../ustar.tar $files
        tar --owner=123456 --group=77 --mtime=2099-01-01 --mode=u+s -cf ../owners.tar $files
        chmod 0555 usr usr/bin lib; tar -cf ../folders.tar bin lib lib64 usr; chmod 0755 usr usr/bin lib
        ln usr/bin/gcc usr/bin/g++; tar -cf ../hard.tar bin lib lib64 usr; rm usr/bin/g++
        mv usr/bin/gcc usr/bin/real; ln -s real usr/bin/gcc; tar -cf ../relative.tar bin lib lib64 usr
        ln -sf /usr/bin/real usr/bin/gcc; tar -cf ../absolute.tar bin lib lib64 usr
        cd .. && half=$(( $(stat -c %s ustar.tar) / 2 ))
        head -c $half ustar.tar >front; tail -c +$((half + 1)) ustar.tar >back
        for c in gzip bzip2 xz zstd; do { $c -1 <front; $c -1 <back; } >members-$c.tar.gz; done
        zstd -q --long=27 ustar.tar -o window.tar.zst; zstd -q ustar.tar -o wrong.tar.gz
        perl -0777 -pe 's/\\0+$//' ustar.tar >noend.tar; n=$(stat -c %s noend.tar); truncate -s $(( (n + 511) / 512 * 512 )) noend.tar
        rm -rf tree front back";
    cluster.ok("h1", &[], script);
    let forms = [
        ("tar cf x . (./, folders, GNU)", "dots.tar"),
        ("pax headers", "pax.tar"),
        ("v7 headers", "v7.tar"),
        ("ustar", "ustar.tar"),
        ("set-uid, foreign owner, year 2099", "owners.tar"),
        ("folders of mode 0555", "folders.tar"),
        ("hard links", "hard.tar"),
        ("relative link", "relative.tar"),
        ("absolute link", "absolute.tar"),
        ("two gzip members", "members-gzip.tar.gz"),
        ("two bzip2 streams, ending .gz", "members-bzip2.tar.gz"),
        ("two xz streams, ending .gz", "members-xz.tar.gz"),
        ("two zstd frames, ending .gz", "members-zstd.tar.gz"),
        ("zstd with a window of 2^27", "window.tar.zst"),
        ("zstd named gz", "wrong.tar.gz"),
        ("no end blocks", "noend.tar"),
    ];
    let archive = |(form, name): (&str, &str)| Archive {
        what: format!("by hand: {form}"),
        name: name.to_string(),
        compiler: "gcc",
        on_1_4: !matches!(name, "folders.tar" | "hard.tar"),
        both: false,
    };
    forms.map(archive).into()
}
