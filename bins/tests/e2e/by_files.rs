//! Jobs of files mode on a cluster: client, daemons and scheduler of ours.

use crate::cluster::{Cluster, Whose};

#[test]
fn the_command_runs_on_the_files_of_its_submitter() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else { return };
    let says = |host: &str| cluster.ok(host, &[], "iceccd --check -b \"$PWD/check\"").text();
    if !says("h2").contains("jobs on files of submitters: yes") {
        println!("skipped: no jobs on files of submitters here");
        return;
    }
    cluster.write("hello.h", "#define TEXT \"hello\"\n");
    cluster.write("hello.c", "#include <stdio.h>\n#include \"hello.h\"\nint main(void) { puts(TEXT); return 0; }\n");
    // Of the tests' own LD_LIBRARY_PATH each directory would be a question.
    let files = [("ICECC_PREFERRED_HOST", "h2"), ("ICECC_FILES", "on")];
    for text in ["hello", "another"] {
        cluster.write("hello.h", &format!("#define TEXT \"{text}\"\n"));
        cluster.ok("h1", &[], "gcc -g -O2 -MD -MF plain.d -c hello.c -o hello.o && mv hello.o plain.o");
        for _ in 0..2 {
            cluster.ok(
                "h1",
                &files,
                "rm -f hello.o && unset LD_LIBRARY_PATH && icecc gcc -g -O2 -MD -MF hello.d -c hello.c -o hello.o",
            );
            assert!(cluster.read("hello.o") == cluster.read("plain.o"), "the object differs from the plain compiler's");
            assert!(cluster.read("hello.d") == cluster.read("plain.d"), "its dependencies differ");
        }
    }
    cluster.wait_for_log("h2", "iceccd.log", "arguments on files: ");
    cluster.wait_for_log("h2", "iceccd.log", "Remote compilation completed with exit code 0");
}
