//! Jobs of files mode on a cluster: client, daemons and scheduler of ours.

use crate::cluster::{Cluster, Whose};

/// Two hosts, of which the second takes jobs on files of submitters.
fn with_files_mode() -> Option<Cluster> {
    let cluster = Cluster::up(Whose::Ours, &[2, 2])?;
    let says = cluster.ok("h2", &[], "iceccd --check -b \"$PWD/check\"").text();
    if !says.contains("jobs on files of submitters: yes") {
        println!("skipped: no jobs on files of submitters here");
        return None;
    }
    Some(cluster)
}

#[test]
fn the_command_runs_on_the_files_of_its_submitter() {
    let Some(cluster) = with_files_mode() else { return };
    cluster.write("hello.h", "#define TEXT \"hello\"\n");
    cluster.write("hello.c", "#include <stdio.h>\n#include \"hello.h\"\nint main(void) { puts(TEXT); return 0; }\n");
    let files = [("ICECC_PREFERRED_HOST", "h2"), ("ICECC_FILES", "on")];
    for text in ["hello", "another"] {
        cluster.write("hello.h", &format!("#define TEXT \"{text}\"\n"));
        cluster.ok("h1", &[], "gcc -g -O2 -MD -MF plain.d -c hello.c -o hello.o && mv hello.o plain.o");
        for _ in 0..2 {
            cluster.ok("h1", &files, "rm -f hello.o && icecc gcc -g -O2 -MD -MF hello.d -c hello.c -o hello.o");
            assert!(cluster.read("hello.o") == cluster.read("plain.o"), "the object differs from the plain compiler's");
            assert!(cluster.read("hello.d") == cluster.read("plain.d"), "its dependencies differ");
        }
    }
    cluster.wait_for_log("h2", "iceccd.log", "arguments on files: ");
    cluster.wait_for_log("h2", "iceccd.log", "Remote compilation completed with exit code 0");
}

/// What units of one search have told of the compiler does not say where headers are looked for in another search.
#[test]
fn the_first_unit_with_other_directories_to_search_goes_by_files_too() {
    let Some(cluster) = with_files_mode() else { return };
    let headers = ["algorithm", "map", "regex", "string", "vector"].map(|name| format!("#include <{name}>\n")).concat();
    for (name, options) in [("plain", ""), ("searched", "-I one -I two -I three")] {
        cluster.write(&format!("{name}.cc"), &headers);
        let files = [
            ("ICECC_PREFERRED_HOST", "h2"),
            ("ICECC_FILES", "on"),
            ("ICECC_DEBUG", "debug"),
            ("ICECC_LOGFILE", &*format!("{name}.log")),
        ];
        let command = format!("mkdir -p one two three && icecc g++ {options} -c {name}.cc -o {name}.o");
        cluster.ok("h1", &files, &command);
        let log = cluster.read(&format!("{name}.log"));
        let log = String::from_utf8_lossy(&log);
        assert!(log.contains("compiled by files"), "{name}: {log}");
    }
}
