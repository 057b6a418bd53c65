//! O16, O17 and O19: a compiler updated during a build, CMake with ninja, Yocto's wrappers and archives.

use ice_lab::Config;

use crate::cluster::{Cluster, SOON, Whose, skip};

const ON_H2: (&str, &str) = ("ICECC_PREFERRED_HOST", "h2");
const JOB: &str = "Remote compilation completed with exit code 0";

fn cluster(slots: &[u32]) -> Option<Cluster> {
    let mut config = Config::new("", &Whose::Ours.programs(), slots);
    config.hosts[0].daemon_options = vec!["--no-remote".to_string()];
    Cluster::with(&config)
}

/// The part of a compiler that an update replaces last, and how: as a package manager does, under a new name first.
/// What is added after its end changes nothing but what it is.
const UPDATE: &str = "for f in \"$(readlink -f \"$(command -v gcc)\")\" \"$(gcc -print-prog-name=cc1)\"; do
    cp -p \"$f\" \"$f.new\"; echo update >>\"$f.new\"; mv \"$f.new\" \"$f\"; sleep 1; done";

#[test]
fn o16_an_updated_compiler_is_a_new_environment_and_no_job_fails() {
    if !nix::unistd::Uid::effective().is_root() {
        return skip("not root: no layer over /usr").unwrap_or_default();
    }
    let Some(cluster) = cluster(&[2, 2]) else { return };
    let lay = "mkdir -p /run/above/usr /run/above/work && \
               mount -t overlay -o lowerdir=/usr,upperdir=/run/above/usr,workdir=/run/above/work usr /usr";
    let layer = cluster.sh("h1", &[], lay);
    if !layer.status.success() {
        return skip(&format!("no overlay: {}", layer.error_text())).unwrap_or_default();
    }
    let log = cluster.folder().join("client.log").display().to_string();
    let compile = |name: &str| {
        let told = [ON_H2, ("ICECC_DEBUG", "info"), ("ICECC_LOGFILE", log.as_str())];
        cluster.ok("h1", &told, &format!("rm -f client.log; icecc gcc -c {name}.c -o {name}.o"));
        String::from_utf8_lossy(&cluster.read("client.log")).into_owned()
    };
    let environments = || cluster.count_in_log("h2", "iceccd.log", "receiving environment");
    ["f0", "f1", "f2"].iter().for_each(|name| drop(cluster.write(&format!("{name}.c"), &format!("int {name};\n"))));
    compile("f0");
    assert!(compile("f0").contains("has env: true"));
    assert_eq!(environments(), 1);

    let jobs = "for f in f0 f1 f2; do
        while [ ! -e stop ]; do icecc gcc -c $f.c -o $f.o && test -s $f.o || echo $f >>failed; rm $f.o; done &
        done; wait";
    let build = cluster.start("h1", &[ON_H2], jobs);
    let done = || cluster.count_in_log("h2", "iceccd.log", JOB);
    let some_more = || {
        let before = done();
        cluster.until("some jobs", SOON, || done() > before + 5);
    };
    some_more();
    cluster.ok("h1", &[], UPDATE);
    some_more();
    cluster.write("stop", "");
    assert!(build.wait(SOON * 2).success());
    assert!(!cluster.folder().join("failed").exists(), "{:?}", cluster.read("failed"));

    // Whatever the jobs amid the update made of it: now there is one environment, a new one, with the last part of the
    // update.
    compile("f1");
    let log = compile("f1");
    assert!(log.contains("has env: true") && !log.contains("<building_local>"), "{log}");
    assert!(environments() >= 2, "no new environment");
    let archives = cluster.ok("h1", &[], "cd /var/cache/icecc/native && ls *.tar.*").text();
    let name = archives.split('.').next().unwrap_or_default();
    assert_eq!(archives.lines().count(), 1, "{archives}");
    let last = format!("tail -c 7 /var/cache/icecc/target=*/{name}/usr/bin/cc1");
    assert_eq!(cluster.ok("h2", &[], &last).text(), "update\n");
}

#[test]
fn o17_cmake_and_ninja_build_then_have_nothing_to_do() {
    const FILES: usize = 60;
    let Some(cluster) = cluster(&[2, 4, 4]) else { return };
    if !cluster.sh("h1", &[], "command -v cmake && command -v ninja").status.success() {
        return skip("no cmake or no ninja").unwrap_or_default();
    }
    let names: Vec<String> = (0..FILES).map(|n| format!("f{n}.{}", if n % 4 == 0 { "cc" } else { "c" })).collect();
    cluster.write("one.h", "#define ONE 1\n");
    cluster.write("main.c", "int f1(int); int main(void) { return f1(4); }\n");
    for (n, name) in names.iter().enumerate() {
        let header = if n < 2 { "#include \"one.h\"\n" } else { "#define ONE 1\n" };
        cluster.write(name, &format!("{header}int f{n}(int x) {{ return x + ONE; }}\n"));
    }
    let list = format!("project(many C CXX)\nadd_executable(many main.c {})\n", names.join(" "));
    cluster.write("CMakeLists.txt", &format!("cmake_minimum_required(VERSION 3.4)\n{list}"));
    let configure =
        "cmake -G Ninja -B build -DCMAKE_C_COMPILER_LAUNCHER=icecc -DCMAKE_CXX_COMPILER_LAUNCHER=icecc . >said";
    cluster.ok("h1", &[], configure);
    let ninja = || cluster.ok("h1", &[], "ninja -j50 -C build").text();
    let first = ninja();
    assert!(first.contains(&format!("/{}] Linking", FILES + 2)), "{first}");
    assert!(ninja().contains("no work to do"));
    assert_eq!(cluster.sh("h1", &[], "build/many").status.code(), Some(5));
    let remote: usize = ["h2", "h3"].map(|host| cluster.count_in_log(host, "iceccd.log", JOB)).iter().sum();
    // How many is the scheduler's to say: jobs this small are done at home while the environment is on its way.
    assert!(remote > 0, "no job was done elsewhere\n{first}");
    // What ninja knows of headers came through icecc.
    cluster.write("one.h", "#define ONE 2\n");
    let third = ninja();
    assert!(third.contains("/3] Linking"), "{third}");
    assert_eq!(cluster.sh("h1", &[], "build/many").status.code(), Some(6));
}

#[test]
fn o19_yoctos_wrappers_and_an_archive_with_links_run_elsewhere() {
    let Some(cluster) = cluster(&[2, 2]) else { return };
    // As the class does it: real names, links that lead to them, `./` names and folders.
    let pack = "set -e; icecc-create-env gcc --compression none >made; mkdir tree ice tools wrap
        tar -C tree -xf ./*.tar; rm ./*.tar
        for p in gcc g++; do
            mv tree/usr/bin/$p tree/usr/bin/x86_64-poky-linux-$p; ln -s x86_64-poky-linux-$p tree/usr/bin/$p
            ln -s /usr/bin/$p tools/x86_64-poky-linux-$p
            ln -s \"$(command -v icecc)\" ice/x86_64-poky-linux-$p
            { echo '#!/bin/sh'
              echo \"export ICECC_VERSION='$PWD/env.tar.gz'\"
              echo \"export ICECC_CC='$PWD/tools/x86_64-poky-linux-gcc' ICECC_CXX='$PWD/tools/x86_64-poky-linux-g++'\"
              echo \"'$PWD/ice/x86_64-poky-linux-$p' \\\"\\$@\\\"\"; } >wrap/x86_64-poky-linux-$p
        done
        chmod 755 wrap/*; tar -C tree -cf - . | gzip -1 >env.tar.gz; tar -tzf env.tar.gz >list";
    cluster.ok("h1", &[], pack);
    let list = String::from_utf8_lossy(&cluster.read("list")).into_owned();
    assert!(list.contains("./usr/bin/\n") && list.contains("./usr/bin/x86_64-poky-linux-gcc\n"), "{list}");
    cluster.write("a.c", "#include <stdio.h>\nint a(void) { return puts(\"a\"); }\n");
    cluster.write("a.cc", "#include <string>\nstd::string a() { return \"a\"; }\n");
    let icecc = format!("{}/ice/x86_64-poky-linux-gcc", cluster.folder().display());
    let log = cluster.folder().join("client.log").display().to_string();
    let variables = [
        ON_H2,
        ("ICECC", icecc.as_str()),
        ("ICECC_REMOTE_CPP", "0"),
        ("ICECC_CARET_WORKAROUND", "0"),
        ("ICECC_DEBUG", "info"),
        ("ICECC_LOGFILE", log.as_str()),
    ];
    for (round, (compiler, source)) in [("gcc", "a.c"), ("g++", "a.cc"), ("gcc", "a.c")].into_iter().enumerate() {
        let options = format!("-O2 -fno-diagnostics-show-caret -c {source}");
        cluster.ok("h1", &[], &format!("tools/x86_64-poky-linux-{compiler} {options} -o plain.o"));
        let before = cluster.count_in_log("h2", "iceccd.log", JOB);
        let job = format!("rm -f client.log; PATH=$PWD/wrap:$PATH x86_64-poky-linux-{compiler} {options} -o remote.o");
        cluster.ok("h1", &variables, &job);
        let log = String::from_utf8_lossy(&cluster.read("client.log")).into_owned();
        assert!(log.contains("Have to use host 10.77.0.2") && !log.contains("<building_local>"), "{log}");
        assert_eq!(log.contains("<Transfer Environment>"), round == 0, "{log}");
        assert_eq!(cluster.count_in_log("h2", "iceccd.log", JOB), before + 1);
        assert!(cluster.read("remote.o") == cluster.read("plain.o"), "{compiler}: the object differs");
    }
}
