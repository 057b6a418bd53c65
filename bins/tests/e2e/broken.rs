//! Broken toolchains: a line of the *toolchain* list, run by `scripts/prove.sh toolchain.7`.
//!
//! Each is a copy of this machine's compiler in a folder of its own with one thing wrong. What is wrong must be named
//! where the environment is made, and a job with that compiler must end as it does without us.

use crate::cluster::{Cluster, Whose, completed};

/// One broken toolchain.
struct Case {
    name: &'static str,
    /// Shell commands that break it, in the folder of the copy; `$cc` is the folder of `cc1`.
    damage: &'static str,
    /// And those that mend what they broke outside of the copy.
    mend: &'static str,
    /// The driver, below the copy, and more words for `icecc-create-env`.
    driver: &'static str,
    more: &'static str,
    /// What is compiled.
    source: &'static str,
    /// What must be said.
    words: &'static str,
}

const CASE: Case = Case { name: "", damage: "", mend: "", driver: "bin/gcc", more: "", source: "unit.c", words: "" };
const CXX: Case = Case { driver: "bin/g++", source: "unit.cc", ..CASE };

/// The last is not broken: it shows that the copy itself works.
const CASES: [Case; 19] = [
    Case {
        name: "loader of cc1plus missing",
        damage: "patch $cc/cc1plus /lib64/ld-linux-x86-64 /lib64/ld-gone--x86-64",
        words: "cc1plus needs /lib64/ld-gone--x86-64.so.2, which is not found",
        ..CXX
    },
    Case {
        name: "library of cc1 missing",
        damage: "patch $cc/cc1 libmpfr libnone",
        words: "cc1: error while loading shared libraries: libnone.so.6",
        ..CASE
    },
    Case {
        name: "plugin's library missing",
        damage: "patch $cc/liblto_plugin.so libc.so.6 libq.so.6",
        words: "liblto_plugin.so needs libq.so.6, which is not found",
        ..CASE
    },
    Case {
        name: "plugin a link to nothing",
        damage: "ln -sf /nowhere/plugin.so $cc/liblto_plugin.so",
        words: "/liblto_plugin.so\n",
        ..CASE
    },
    Case {
        name: "extra file a link to nothing",
        damage: "ln -s /nowhere/plugin.so extra.so",
        more: "--addfile=extra.so",
        words: "/extra.so\n",
        ..CASE
    },
    Case {
        name: "cc1plus for another machine",
        damage: "own $cc/cc1plus; printf '\\267\\0' | dd of=$cc/cc1plus bs=1 seek=18 conv=notrunc 2>&1",
        words: "cc1plus is for aarch64, the compiler for x86_64",
        ..CXX
    },
    Case { name: "cc1 missing", damage: "rm $cc/cc1", words: "cannot execute 'cc1'", ..CASE },
    Case { name: "cc1plus missing", damage: "rm $cc/cc1plus", words: "/bin/g++ has no cc1plus", ..CXX },
    Case { name: "cc1 empty", damage: "rm $cc/cc1; : >$cc/cc1; chmod 755 $cc/cc1", words: "/cc1': execv", ..CASE },
    Case {
        name: "cc1plus cut",
        damage: "own $cc/cc1plus; truncate -s 4000 $cc/cc1plus",
        words: "cc1plus is a damaged program",
        ..CXX
    },
    Case {
        name: "cc1plus always fails",
        damage: "rm $cc/cc1plus; cp /bin/false $cc/cc1plus",
        words: "the environment does not work: /usr/bin/cc1plus failed to execute: exit status: 1",
        ..CXX
    },
    Case {
        name: "wrong target: cc1 of the ARM compiler",
        damage: "rm $cc/cc1; cp \"$(arm-linux-gnueabihf-gcc -print-prog-name=cc1)\" $cc/cc1",
        words: "cc1: error: unrecognized -march target: x86-64",
        ..CASE
    },
    Case {
        name: "wrong target: the ARM assembler",
        damage: "mkdir -p x86_64-linux-gnu/bin; cp /usr/bin/arm-linux-gnueabihf-as x86_64-linux-gnu/bin/as",
        words: "the environment does not work: /usr/bin/gcc failed to execute: exit status: 1: as: unrecognized option",
        ..CASE
    },
    Case {
        name: "cross compiler without its assembler",
        damage: "for d in gcc g++; do patch bin/$d x86_64-linux-gnu mips64-linux-gnu; mv bin/$d bin/mips64-linux-gnu-$d; done; mv lib/gcc/x86_64-linux-gnu lib/gcc/mips64-linux-gnu",
        driver: "bin/mips64-linux-gnu-gcc",
        words: "has no assembler for mips64-linux-gnu (as)",
        ..CASE
    },
    Case {
        name: "assembler of the machine gone",
        damage: "hide /usr/bin/as",
        mend: "show /usr/bin/as",
        words: "has no assembler for x86_64-linux-gnu (as)",
        ..CASE
    },
    Case {
        name: "/bin/true gone",
        damage: "hide /bin/true",
        mend: "show /bin/true",
        words: "neither /bin/true nor /usr/bin/true is there",
        ..CASE
    },
    Case { name: "damaged specs file", damage: "echo nonsense >$cc/specs", words: "is not a compiler.", ..CASE },
    Case {
        name: "driver a script of nothing",
        damage: "rm bin/gcc; printf '#!/bin/sh\\necho neither\\n' >bin/gcc; chmod 755 bin/gcc",
        words: "is not a known compiler.",
        ..CASE
    },
    Case { name: "(nothing broken)", ..CASE },
];

/// `own FILE`: a copy instead of the hard link; `patch FILE FROM TO`: of equal length; `hide`, `show`: a program of the
/// machine.
const TOOLS: &str = "set -e
    own() { cp \"$1\" \"$1.new\"; mv \"$1.new\" \"$1\"; }
    patch() { LC_ALL=C sed -i \"s,$2,$3,g\" \"$1\"; }
    hide() { : >../../nothing; chmod 644 ../../nothing; mount --bind ../../nothing \"$(readlink -f $1)\"; }
    show() { umount \"$(readlink -f $1)\"; }
    cc=$(dirname \"$(gcc -print-prog-name=cc1)\"); cc=${cc#/usr/}";

/// The compiler in a folder of its own: hard links where that works.
const COPY: &str = "mkdir -p bin $cc
    copy() { cp -lL \"$1\" $2 2>/dev/null || cp -L \"$1\" $2; }
    for d in gcc g++; do copy \"$(readlink -f /usr/bin/$d)\" bin/$d; done
    for f in cc1 cc1plus; do copy \"$(g++ -print-prog-name=$f)\" $cc/$f; done
    copy \"$(gcc -print-file-name=liblto_plugin.so)\" $cc/liblto_plugin.so";

/// Each is named at creation, on the submitter, and no job with it gives a wrong object.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.7"]
fn toolchain_7_broken_toolchains() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    if cluster.sh("h1", &[], "gcc -dumpmachine").text() != "x86_64-linux-gnu\n" {
        eprintln!("skipped: the compiler is not x86_64-linux-gnu's");
        return;
    }
    // The daemon's user makes environments too.
    cluster.ok("h1", &[], "chmod 755 .");
    cluster.write("unit.c", "int f(int x) { return x * 3 + 1; }\n");
    cluster.write("unit.cc", "template<class T> T f(T x) { return x * 3 + 1; }\nlong g(long x) { return f(x); }\n");
    cluster.ok("h1", &[], "gcc -O2 -c unit.c -o unit.c.o && g++ -O2 -c unit.cc -o unit.cc.o");
    let (named, intact) = CASES.split_at(CASES.len() - 1);
    println!("{:<40}{:<20}{:<40}said at creation", "broken", "icecc-create-env", "icecc COMPILER -c");
    let (mut count, mut wrong) = (0, Vec::new());
    for (n, case) in named.iter().enumerate() {
        let before = completed(&cluster, "h2");
        if let Some((code, said, job)) = make_and_compile(&cluster, n, case) {
            let last = said.lines().find(|line| line.contains(case.words.trim_end())).unwrap_or_default();
            println!("{:<40}exit {code}, no archive; {job:<40}{}", case.name, without_folder(&cluster, last));
            if code != 1 || !said.contains(case.words) || completed(&cluster, "h2") != before {
                wrong.push(format!("{}: exit {code}, {} not in: {said}", case.name, case.words));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "not named, or a job was sent:\n{}", wrong.join("\n"));
    assert!(count >= 10, "only {count} cases");
    let (code, said, _) = make_and_compile(&cluster, CASES.len(), &intact[0]).expect("it needs nothing");
    assert_eq!((code, completed(&cluster, "h2")), (0, 1), "{said}");
    println!("{count} broken toolchains, each named before anything was sent; each job ended as without icecc");
    println!("the same copy with nothing broken: packed, sent, its object equal");
}

/// Breaks a copy, packs it and compiles with it. The exit code of packing, what it said, and how the job ended; `None`
/// if this machine lacks something.
fn make_and_compile(cluster: &Cluster, n: usize, case: &Case) -> Option<(i32, String, String)> {
    let Case { name, damage, mend, driver, more, source, .. } = case;
    let top = format!("case{n}/tc");
    let broken = cluster.sh("h1", &[], &format!("mkdir -p {top} && cd {top} && {TOOLS}\n{COPY}\n{damage}"));
    if !broken.status.success() {
        println!("skipped: {name}: {}", broken.error_text().trim_end());
        return None;
    }
    let files = || cluster.ok("h1", &[], "ls -A . case*/tc; ls -Ad /tmp/icecc* /tmp/.icecc* 2>/dev/null; :").text();
    let before = files();
    let packed = cluster.sh("h1", &[], &format!("cd {top} && icecc-create-env {driver} {more} --compression zstd"));
    let code = packed.status.code().unwrap_or(-1);
    if code != 0 {
        assert_eq!(files(), before, "{name}: something is left");
        assert!(!packed.text().contains("creating"), "{name}: {}", packed.text());
    }
    // The same words with and without icecc.
    let job = format!("$PWD/{top}/{driver} -O2 -c {source} -o out.o");
    let plain = cluster.sh("h1", &[], &job);
    let plain_object = std::fs::read(cluster.folder().join("out.o")).ok();
    cluster.ok("h1", &[], "rm -f out.o");
    let extra = if more.is_empty() { String::new() } else { format!("ICECC_EXTRAFILES=$PWD/{top}/extra.so ") };
    let ours = cluster.sh("h1", &[], &format!("{extra}icecc {job}"));
    let object = std::fs::read(cluster.folder().join("out.o")).ok();
    cluster.ok("h1", &[], &format!("rm -f out.o; cd {top} && {TOOLS}\n{mend}"));
    cluster.ok("h1", &[], &format!("rm -rf case{n}"));
    assert_eq!(ours.status.code(), plain.status.code(), "{name}: {}", ours.error_text());
    // Why its jobs stay here is said once, before what the compiler says.
    let said = ours.error_text();
    let own = said.lines().next().filter(|line| line.starts_with("ICECC[") && line.ends_with("are compiled here"));
    assert_eq!(said[own.map_or(0, |line| line.len() + 1)..], plain.error_text(), "{name}");
    assert!(object == plain_object, "{name}: another object than the compiler's own");
    if let Some(object) = object {
        assert!(object == cluster.read(&format!("{source}.o")), "{name}: a wrong object");
    }
    let end = if ours.status.success() { "as without, object right" } else { "the compiler's own error" };
    let job = format!("exit {}, {end}", ours.status.code().unwrap_or(-1));
    Some((code, packed.error_text(), job))
}

fn without_folder(cluster: &Cluster, line: &str) -> String {
    line.replace(&*cluster.folder().to_string_lossy(), "…")
}
