//! Compilers in unusual places and options that want more than a compiler (`spec/environments.md` 11); run by
//! `scripts/prove.sh toolchain.8`.

use ice_bins::lab::{Config, HostConfig};

use crate::cluster::{Cluster, Whose};
use crate::environments::completed;

const UNIT: &str = "int f(int x) { return x * 3 + 1; }\n";
const TO_H2: (&str, &str) = ("ICECC_PREFERRED_HOST", "h2");

/// gcc and clang in one archive of the old form, by whichever option comes first; both run on 1.4's daemon and on ours.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e20_gcc_and_clang_in_one_archive() {
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 4, 4]);
    config.hosts[1] = HostConfig::new(Whose::Peer14.programs(), 4);
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    cluster.write("a.c", UNIT);
    cluster.ok("h1", &[], "for c in gcc clang; do $c -O2 -c a.c -o plain-$c.o; done");
    let (gcc, clang) = ("--gcc /usr/bin/gcc /usr/bin/g++", "--clang /usr/bin/clang /usr/lib/icecc/compilerwrapper");
    let make = |first: &str, second: &str, compression: &str| {
        let command = format!("icecc-create-env {first} {second} --no-check --compression {compression}");
        cluster.ok("h1", &[], &format!("{command} | sed -n 's/^creating //p'")).text().trim().to_string()
    };
    let archive = make(gcc, clang, "zstd");
    let other = make(clang, gcc, "none");
    let base = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    assert_eq!(base(&archive), base(&other), "the order makes another environment");
    let names = cluster.ok("h1", &[], &format!("tar -tf {other} usr/bin/gcc.bin usr/bin/g++.bin usr/bin/gcc usr/bin/g++ usr/bin/clang usr/bin/cc1 usr/bin/as | sort")).text();
    assert_eq!(names.lines().count(), 7, "{names}");
    let path = cluster.folder().join(&archive).display().to_string();
    for host in ["h2", "h3"] {
        for compiler in ["gcc", "clang"] {
            let before = completed(&cluster, host);
            let variables = [("ICECC_VERSION", path.as_str()), ("ICECC_PREFERRED_HOST", host)];
            cluster.ok("h1", &variables, &format!("icecc {compiler} -O2 -c a.c -o out.o"));
            assert_eq!(completed(&cluster, host), before + 1, "{compiler} did not run on {host}");
            assert!(cluster.read("out.o") == cluster.read(&format!("plain-{compiler}.o")), "{compiler} on {host}");
        }
    }
    println!("gcc and clang of one archive, on 1.4's daemon and on ours: 4 objects equal");
}

/// A compiler that the daemon's user cannot reach: built here, and the log says why.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e42_a_compiler_in_a_closed_folder_is_used_here() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: the daemon of an ordinary user reads what that user reads");
        return;
    }
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    cluster.write("a.c", UNIT);
    cluster.ok("h1", &[], "chmod 755 . && gcc -O2 -c a.c -o plain.o && mkdir -m 700 closed && printf '#!/bin/sh\\nexec /usr/bin/gcc \"$@\"\\n' >closed/gcc && chmod 755 closed/gcc");
    let said =
        cluster.ok("h1", &[("ICECC_DEBUG", "warnings")], "icecc $PWD/closed/gcc -O2 -c a.c -o out.o").error_text();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("daemon can't determine native environment: ")
            && said.contains("/closed/gcc as the daemon's user"),
        "{said}"
    );
    assert_eq!(cluster.ok("h1", &[], "icecc $PWD/closed/gcc -O2 -c a.c -o out.o").error_text(), "");
    assert!(cluster.read("out.o") == cluster.read("plain.o") && completed(&cluster, "h2") == 0);
    println!("{}", said.trim_end());
}

/// A gcc that was configured for `/opt`: packed flat, it finds its parts on a server that has nothing there.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e49_a_gcc_of_another_prefix() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    cluster.write("a.c", UNIT);
    cluster.write("a.cc", "template<class T> T f(T x) { return x * 3 + 1; }\nlong g(long x) { return f(x); }\n");
    // The drivers say `/usr` wherever they say where they belong; `/opt` is as long.
    let install = "set -e; mount -t tmpfs none /opt; cc1=$(gcc -print-prog-name=cc1); folder=$(dirname ${cc1#/usr/}); mkdir -p /opt/bin /opt/$folder
        for p in cc1 cc1plus; do cp -L \"$(g++ -print-prog-name=$p)\" /opt/$folder/; done
        cp -L \"$(gcc -print-file-name=liblto_plugin.so)\" /opt/$folder/
        for d in gcc g++; do LC_ALL=C sed 's,/usr/\\(bin\\|lib\\|libexec\\)/,/opt/\\1/,g' \"$(readlink -f /usr/bin/$d)\" >/opt/bin/$d; chmod 755 /opt/bin/$d; done
        /opt/bin/gcc -print-search-dirs | grep -q 'install: /opt/'";
    cluster.ok("h1", &[], install);
    for (driver, source) in [("gcc", "a.c"), ("g++", "a.cc")] {
        cluster.ok("h1", &[], &format!("/opt/bin/{driver} -O2 -c {source} -o plain.o"));
        cluster.ok("h1", &[TO_H2], &format!("icecc /opt/bin/{driver} -O2 -c {source} -o out.o"));
        assert!(cluster.read("out.o") == cluster.read("plain.o"), "{driver}");
    }
    assert_eq!(completed(&cluster, "h2"), 2, "not run on h2");
    println!("gcc and g++ of /opt: 2 objects of h2, equal");
}

/// Options that want more of an environment than its compiler. What is asked of each: the object of a local run; of those
/// that are known to work, also that it came from the server.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e53_e54_options_that_want_more_than_a_compiler() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    cluster.write("a.c", "const char *s = \"gr\u{fc}n\";\nint f(int *x) { return x[3] + 1; }\n");
    cluster.write("a.cc", "struct A { virtual int f(); };\nint A::f() { return 1; }\nint g(A *a) { return a->f(); }\n");
    let cases = [
        ("E53", "gcc -fexec-charset=ISO-8859-1", "a.c", false),
        ("E53", "gcc -fwide-exec-charset=UTF-16", "a.c", false),
        ("E53", "clang -flto -fvisibility=hidden -fsanitize=cfi", "a.cc", true),
        ("E53", "clang -fsanitize=dataflow", "a.c", true),
        ("E54", "gcc -g -gsplit-dwarf", "a.c", true),
        ("E54", "clang -g -gsplit-dwarf", "a.c", true),
        ("E54", "gcc -flto -frandom-seed=1", "a.c", true),
        ("E54", "clang -flto", "a.c", true),
        ("E54", "clang -fno-integrated-as", "a.c", true),
        ("E54", "gcc -fsanitize=address", "a.c", true),
        ("E54", "clang -fsanitize=address,undefined", "a.c", true),
    ];
    for (number, command, source, is_remote) in cases {
        let job = format!("{command} -O1 -c {source} -o out.o");
        // In debug information a server's compiler shows itself: gcc by one option more, clang by the number of the file. So
        // the object is compared without, and of the .dwo the tree of names.
        let take = |what: &str| {
            let tree = "test ! -e out.dwo || readelf --debug-dump=info out.dwo | grep -o 'DW_[A-Z]*_[a-zA-Z_]*'; rm -f out.dwo";
            if command.contains(" -g ") {
                cluster.ok("h1", &[], "objcopy --strip-debug out.o");
            }
            // gcc keeps its options here too: what counts is the code that comes of it.
            if command.starts_with("gcc -flto") {
                cluster.ok("h1", &[], "gcc -flto -O1 -r -flinker-output=nolto-rel out.o -o code.o && mv code.o out.o");
            }
            let object = std::fs::read(cluster.folder().join("out.o")).ok();
            let names = cluster.ok("h1", &[], &format!("{tree}; rm -f out.o")).text();
            assert!(object.is_some(), "{command}: no object {what}");
            assert_eq!(names.lines().count() > 5, command.contains("-gsplit-dwarf"), "{command} {what}: {names}");
            (object, names)
        };
        let plain = cluster.sh("h1", &[], &job);
        let plain_said = plain.error_text();
        if !plain.status.success() {
            let reason = plain_said.lines().next().unwrap_or_default();
            println!("{number} {command:<52} skipped: without icecc too: {reason}");
            continue;
        }
        let plain = take("without icecc");
        let before = completed(&cluster, "h2");
        let said = cluster.ok("h1", &[TO_H2], &format!("icecc {job}")).error_text();
        let ours = take("with icecc");
        let ran = completed(&cluster, "h2") - before;
        assert_eq!(said, plain_said, "{command}");
        assert!(ours == plain, "{command}: another object");
        assert_eq!(ran, usize::from(is_remote), "{command}: jobs that h2 ended well");
        println!("{number} {command:<52} object equal, {}", if ran > 0 { "of the server" } else { "built here" });
    }
}
