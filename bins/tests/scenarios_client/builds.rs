//! G34 to G46 and G53 to G71: environments, icerun, links with compiler names, whole builds, side files, and what must
//! not break.

use std::time::Duration;

use ice_lab::process;
use nix::sys::signal::Signal;

use crate::check::{Distributable, Scenario, Trial, try_all};

pub const SCENARIOS: &[Scenario] = &[
    ("g34_g35_native_environments", g34_g35_native_environments),
    ("g36_an_environment_that_is_none", g36_an_environment_that_is_none),
    ("g37_zstd_environments", g37_zstd_environments),
    ("g38_icerun_is_limited", g38_icerun_is_limited),
    ("g40_icerun_of_a_compiler", g40_icerun_of_a_compiler),
    ("g43_a_link_named_like_a_compiler", g43_a_link_named_like_a_compiler),
    ("g44_ccache", g44_ccache),
    ("g45_make", g45_make),
    ("g53_g54_dependency_files", g53_g54_dependency_files),
    ("g55_odd_words", g55_odd_words),
    ("g56_large_response_file", g56_large_response_file),
    ("g59_source_date_epoch", g59_source_date_epoch),
    ("g60_the_remote_compiler_is_killed", g60_the_remote_compiler_is_killed),
    ("g61_the_server_is_killed", g61_the_server_is_killed),
    ("g62_disabled_jobs_are_limited", g62_disabled_jobs_are_limited),
    ("g63_a_foreign_file_where_the_locks_are", g63_a_foreign_file_where_the_locks_are),
    ("g65_icecc_cc_as_a_bare_word", g65_icecc_cc_as_a_bare_word),
    ("g66_a_link_to_icerun", g66_a_link_to_icerun),
    ("g67_ccache_behind_our_links", g67_ccache_behind_our_links),
    ("g68_save_temps", g68_save_temps),
    ("g69_no_extra_files", g69_no_extra_files),
    ("g71_directives_only_of_the_user", g71_directives_only_of_the_user),
];

const VIA_R1: (&str, &str) = ("ICECC_PREFERRED_HOST", "h2");

#[test]
fn builds() {
    try_all(SCENARIOS);
}

/// Runs a command that must succeed silently; the client's log.
#[track_caller]
fn silent(t: &Trial, variables: &[(&str, &str)], command: &str) -> String {
    let (status, stderr, log) = t.icecc(variables, command);
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{command}\n{log}");
    log
}

fn g34_g35_native_environments(t: &Trial) {
    t.write("wrap/gcc", "#!/bin/sh\nexec /usr/bin/gcc \"$@\"\n");
    t.cluster.ok(
        "h1",
        &[],
        "chmod 755 wrap/gcc; mkdir -p far; ln -sf /usr/bin/gcc far/gcc; ln -sf \"$(which icecc-create-env)\" far/",
    );
    for compiler in ["gcc", "far/gcc", "wrap/gcc"] {
        t.cluster.ok("h1", &[], &format!("rm -rf made; mkdir made; cd made; case {compiler} in */*) c=$PWD/../{compiler};; *) c={compiler};; esac; icecc --build-native $c >said && grep -q '^creating .*tar' said && icecc-test-env -q *.tar*"));
    }
}

fn g36_an_environment_that_is_none(t: &Trial) {
    t.write("a.c", "int a;\n");
    t.write("broken.tar.gz", &"no archive ".repeat(100));
    let log = silent(t, &[VIA_R1, ("ICECC_VERSION", "broken.tar.gz")], "icecc gcc -c a.c -o a.o");
    assert!(log.contains("<Transfer Environment>") && log.contains("<building_local>"), "{log}");
    assert!(log.contains("got exception Error 25 - other error verifying environment on remote"), "{log}");
}

fn g37_zstd_environments(t: &Trial) {
    t.write("a.c", "int a;\n");
    let before = t.logged("h2", "Remote compilation completed with exit code 0");
    let log = silent(t, &[VIA_R1, ("ICECC_ENV_COMPRESSION", "zstd")], "icecc gcc -c a.c -o a.o");
    assert!(log.contains("Have to use host 10.77.0.2:10245") && !log.contains("<building_local>"), "{log}");
    assert_eq!(t.logged("h2", "Remote compilation completed with exit code 0"), before + 1);
}

/// A command that writes down when it runs.
const COUNTED: &str = "#!/bin/sh\necho begin >>times; sleep 0.4; echo end >>times\n";

/// How many ran at once at most, and how many ended, by the lines they wrote.
fn most_at_once(t: &Trial) -> (usize, usize) {
    let (mut now, mut most, mut ended) = (0_usize, 0, 0);
    for line in String::from_utf8_lossy(&t.cluster.read("times")).lines() {
        match line {
            "begin" => now += 1,
            _ => {
                now -= 1;
                ended += 1;
            }
        }
        most = most.max(now);
    }
    (most, ended)
}

fn g38_icerun_is_limited(t: &Trial) {
    t.write("counted.sh", COUNTED);
    let command = "chmod 755 counted.sh; rm -f times; PATH=$PWD:$PATH; for n in 1 2 3; do icerun $PWD/counted.sh & icerun ./counted.sh & \
                   icerun counted.sh & done; icerun counted.sh & wait";
    let log = silent(t, &[], command);
    assert_eq!(most_at_once(t), (2, 10), "{log}");
    assert_eq!(log.matches("<building_local>").count(), 10, "{log}");
    assert!(!log.contains("Have to use host") && !log.contains("building myself"), "{log}");
}

fn g40_icerun_of_a_compiler(t: &Trial) {
    t.write("fake/gcc", "#!/bin/sh\necho \"$*\" >said; exit 44\n");
    let (status, _, log) = t.icecc(&[], "chmod 755 fake/gcc; PATH=$PWD/fake:$PATH; icerun gcc -Wall a.c b.c -c -s");
    assert_eq!(status, Some(44));
    assert_eq!(String::from_utf8_lossy(&t.cluster.read("said")), "-Wall a.c b.c -c -s\n");
    assert!(log.lines().any(|l| l.ends_with("fake/gcc -Wall a.c b.c -c -s")) && log.contains("invoking: "), "{log}");
}

fn g43_a_link_named_like_a_compiler(t: &Trial) {
    t.write("a.cc", "int a() { return 1; }\n");
    t.cluster.ok("h1", &[], "mkdir -p links; ln -sf \"$(which icecc)\" links/g++; g++ -Wall -c a.cc -o plain.o");
    let log = silent(t, &[("ICECC_PREFERRED_HOST", "h1")], "links/g++ -Wall -c a.cc -o a.o && cmp a.o plain.o");
    assert!(
        log.contains("building myself, but telling localhost") && log.contains("invoking: /usr/bin/g++ -Wall"),
        "{log}"
    );
    let log = silent(t, &[VIA_R1], "links/g++ -Wall -c a.cc -o a.o && cmp a.o plain.o");
    assert!(
        log.contains("Have to use host 10.77.0.2:10245")
            && log.contains("preparing source to send: /usr/bin/g++ -Wall"),
        "{log}"
    );
}

fn g44_ccache(t: &Trial) {
    t.write("cached.cc", "int cached() { return 1; }\n");
    let variables = [("CCACHE_PREFIX", "icecc"), ("ICECC_VERSION", "testbrokenenv"), ("CCACHE_DIR", "/var/tmp/ccache")];
    let complaint = "ICECC_VERSION has to point to an existing file to be installed testbrokenenv";
    for (round, times) in [("first", 1), ("second", 0)] {
        let (status, _, log) = t.icecc(&variables, "ccache g++ -c cached.cc -o a.o");
        assert_eq!((status, log.matches(complaint).count()), (Some(0), times), "{round} run\n{log}");
    }
    t.write("cached.cc", "int cached() { return 2; }\n");
    for (round, times) in [("first", 1), ("second", 0)] {
        let (status, stderr, _) = t.icecc(&variables, "unset ICECC_LOGFILE; ccache g++ -c cached.cc -o a.o");
        assert_eq!(
            (status, stderr.matches(complaint).count()),
            (Some(0), times),
            "{round} run, logging to stderr\n{stderr}"
        );
    }
}

fn g45_make(t: &Trial) {
    let mut make = String::from("program: main.o");
    for n in 0..10 {
        make.push_str(&format!(" m{n}.o"));
        t.write(
            &format!("m{n}.c"),
            &format!("#include <stdio.h>\n#include <stdlib.h>\nint m{n}(void) {{ return {n}; }}\n"),
        );
    }
    t.write("main.c", "int m9(void); int main(void) { return m9(); }\n");
    make.push_str("\n\ticecc gcc $^ -o $@\n%.o: %.c\n\ticecc gcc -O2 -c $< -o $@\n");
    t.write("Makefile", &make);
    let completed = || -> usize {
        ["h2", "h3"].map(|host| t.logged(host, "Remote compilation completed with exit code 0")).iter().sum()
    };
    let before = completed();
    let (status, stderr, log) = t.icecc(&[], "make -s -j10; ./program");
    assert_eq!((status, stderr.as_str()), (Some(9), ""), "{log}");
    assert!(completed() > before, "{log}");
    assert_eq!(log.matches("<building_local>").count(), 1, "only the link\n{log}");
}

fn g53_g54_dependency_files(t: &Trial) {
    t.write("dep.h", "#define DEP 1\n");
    t.write("dep.c", "#include \"dep.h\"\nint dep(void) { return DEP; }\n");
    t.cluster.ok("h1", &[], "mkdir -p out out.x");
    for (command, file) in [
        ("CC -MMD -c dep.c -o out/b.o", "out/b.d"),
        ("CC -c dep.c -o out.x/noext -MD", "out.x/noext.d"),
        ("CC -MMD -MP -MT target -MF out/own.d -c dep.c -o out/c.o", "out/own.d"),
    ] {
        t.with_both(command, file);
        assert!(t.cluster.folder().join(file).exists(), "{command}");
    }
}

fn g55_odd_words(t: &Trial) {
    t.write("a.c", "int a;\n");
    for words in ["-I '' -c a.c -o a.o", "-c a.c -MF", "-c a.c -MMD -MT"] {
        let plain = t.icecc(&[], &format!("gcc {words}"));
        let ours = t.icecc(&[VIA_R1], &format!("icecc gcc {words}"));
        assert_eq!((ours.0, &ours.1), (plain.0, &plain.1), "{words}\n{}", ours.2);
    }
}

fn g56_large_response_file(t: &Trial) {
    t.write("main0.c", "int main(void) { return 0; }\n");
    // Archives: the linker takes them again and again, and gcc keeps its inputs out of the variables it sets.
    t.write("large.rsp", &format!("main0.o -o large {}", format!("{}empty.a ", "./".repeat(1500)).repeat(1000)));
    t.cluster.ok(
        "h1",
        &[],
        "gcc -c main0.c -o main0.o; echo 'int e;' | gcc -x c -c - -o e.o; ar rcs empty.a e.o; gcc @large.rsp; rm large",
    );
    silent(t, &[], "icecc gcc @large.rsp && ./large");
}

fn g59_source_date_epoch(t: &Trial) {
    t.write("date.c", "const char* when = __DATE__ \" \" __TIME__;\n");
    // The first job with this source finds the dates on its way, is given up, and sends another text; it is remembered.
    t.icecc(&[VIA_R1], "export SOURCE_DATE_EPOCH=1000000000; icecc gcc -c date.c -o a.o");
    t.common(Distributable, "gcc", "export SOURCE_DATE_EPOCH=1000000000; CC -c date.c -o a.o", "a.o");
}

/// A unit whose compile takes some seconds, and its options.
const SLOW: &str = "constexpr unsigned long f(unsigned long n) { unsigned long x = 1; while (n--) x = x * 1664525 + n; return x; }\n\
                    constexpr unsigned long value = f(2ul << 20);\nunsigned long get() { return value; }\n";
const SLOW_OPTIONS: &str = "-std=c++17 -fconstexpr-loop-limit=2147483647 -fconstexpr-ops-limit=1099511627776";

/// Compiles by h2 and does something to it when the compiler runs there; the build must succeed all the same.
fn disturbed(t: &Trial, disturb: impl Fn() + Sync) {
    t.write("slow.cc", SLOW);
    let log = std::thread::scope(|scope| {
        let build = scope.spawn(|| {
            silent(
                t,
                &[VIA_R1],
                &format!("rm -f slow.o; icecc g++ {SLOW_OPTIONS} -c slow.cc -o slow.o && test -s slow.o"),
            )
        });
        process::until("compiler on h2", Duration::from_secs(60), || {
            !t.cluster.lab.processes("h2", "cc1plus").unwrap().is_empty()
        })
        .unwrap();
        disturb();
        build.join().unwrap()
    });
    assert!(log.contains("Have to use host 10.77.0.2:10245") && log.contains("<building_local>"), "{log}");
}

fn g60_the_remote_compiler_is_killed(t: &Trial) {
    disturbed(t, || t.cluster.lab.stop("h2", "cc1plus", Signal::SIGKILL).unwrap());
}

fn g61_the_server_is_killed(t: &Trial) {
    disturbed(t, || t.cluster.lab.stop("h2", "iceccd", Signal::SIGKILL).unwrap());
    t.cluster.lab.start_daemon("h2", None).unwrap();
    t.cluster.lab.wait_for_hosts(3).unwrap();
}

fn g62_disabled_jobs_are_limited(t: &Trial) {
    t.write("counted.sh", COUNTED);
    let command = "chmod 755 counted.sh; rm -f times; for n in 1 2 3 4 5 6 7 8; do ICECC=disable icerun ./counted.sh & done; wait";
    silent(t, &[], command);
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let (most, ended) = most_at_once(t);
    assert!(most <= processors && ended == 8, "{most} at once, {ended} ended");
}

fn g63_a_foreign_file_where_the_locks_are(t: &Trial) {
    t.write("a.c", "int a;\n");
    let user = "icecc-scenario-63";
    silent(
        t,
        &[("USER", user), VIA_R1],
        &format!("touch /tmp/.icecream-{user}; icecc gcc -c a.c -o a.o; ICECC=disable icecc gcc -c a.c -o a.o"),
    );
    let _ = std::fs::remove_file(format!("/tmp/.icecream-{user}"));
}

fn g65_icecc_cc_as_a_bare_word(t: &Trial) {
    t.write("a.c", "int a;\n");
    t.write("tools/special-gcc", "#!/bin/sh\nexec /usr/bin/gcc -DSPECIAL \"$@\"\n");
    let log = silent(
        t,
        &[("ICECC_CC", "special-gcc")],
        "chmod 755 tools/special-gcc; PATH=$PWD/tools:$PATH; ICECC=no icecc gcc -c a.c -o a.o",
    );
    assert!(log.contains("tools/special-gcc"), "{log}");
}

fn g66_a_link_to_icerun(t: &Trial) {
    t.write("real/tool", "#!/bin/sh\necho real >said\n");
    let log = silent(
        t,
        &[],
        "chmod 755 real/tool; mkdir -p front; ln -sf \"$(which icerun)\" front/tool; PATH=$PWD/front:$PWD/real:$PATH; tool",
    );
    assert!(log.contains("<building_local>"), "{log}");
    assert_eq!(t.cluster.read("said"), b"real\n");
}

fn g67_ccache_behind_our_links(t: &Trial) {
    t.write("orders.c", "int orders;\n");
    let set_up = "mkdir -p ice cc; ln -sf \"$(which icecc)\" ice/gcc; ln -sf \"$(which ccache)\" cc/gcc";
    t.cluster.ok("h1", &[], set_up);
    for path in ["$PWD/ice:$PWD/cc", "$PWD/cc:$PWD/ice"] {
        let command = format!("rm -f a.o; PATH={path}:$PATH; gcc -c orders.c -o a.o && test -s a.o");
        silent(t, &[("CCACHE_DIR", "/var/tmp/ccache")], &command);
        silent(
            t,
            &[("CCACHE_DIR", "/var/tmp/ccache"), ("CCACHE_PREFIX", "icecc")],
            &command.replace("orders.c", "orders.c -DB"),
        );
    }
}

fn g68_save_temps(t: &Trial) {
    t.write("a.c", "int a;\n");
    silent(
        t,
        &[VIA_R1],
        "mkdir -p temps; icecc gcc -save-temps=obj -c a.c -o temps/t.o; test -s temps/t.i -o -s temps/a.i; test -s temps/t.s -o -s temps/a.s",
    );
}

fn g69_no_extra_files(t: &Trial) {
    t.write("a.c", "int a;\n");
    t.common(Distributable, "gcc", "export ICECC_EXTRAFILES=; CC -c a.c -o a.o", "a.o");
}

fn g71_directives_only_of_the_user(t: &Trial) {
    t.write("user.c", "#define ONE 1\nint one = ONE;\n");
    t.common(crate::check::Local, "gcc", "CC -E -fdirectives-only user.c -o user.i", "user.i");
}
