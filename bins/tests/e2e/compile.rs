//! One compile on a cluster of three.

use crate::cluster::{Cluster, Whose};

const SOURCE: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

/// The proof that the lab itself is right: programs known to work do their job in it.
#[test]
fn peer_1_4_compiles_on_a_named_host() {
    compiles_on_a_named_host(Whose::Peer14);
}

#[test]
fn ours_compiles_on_a_named_host() {
    compiles_on_a_named_host(Whose::Ours);
}

fn compiles_on_a_named_host(whose: Whose) {
    let Some(cluster) = Cluster::up(whose, &[2, 2, 2]) else {
        return;
    };
    cluster.write("hello.c", SOURCE);
    cluster.ok("h1", &[], "gcc -O2 -c hello.c -o plain.o");
    // The first job of all makes 1.4's daemon build its environment and may stay local; the second cannot.
    for _ in 0..2 {
        cluster.ok("h1", &[("ICECC_PREFERRED_HOST", "h2")], "icecc gcc -O2 -c hello.c -o hello.o");
    }
    cluster.wait_for_log("h2", "iceccd.log", "Remote compilation completed with exit code 0");
    assert!(cluster.read("hello.o") == cluster.read("plain.o"), "the object differs from the plain compiler's");
    let run = cluster.ok("h1", &[], "gcc hello.o -o hello && ./hello");
    assert_eq!(run.text(), "hello\n");
}
