//! A compiler that tries system calls which no job may make: it gets none, and its host says which.

use std::fs;

use crate::bystander::{compile, lab};
use crate::cluster::skip;
use crate::planted;

#[test]
fn a_call_that_no_job_may_make_is_named_once_in_the_log() {
    let Some(cluster) = lab(&[1, 2]) else { return };
    let archive = cluster.folder().join("curious.tar.zst");
    fs::write(&archive, planted::curious(cluster.folder()).expect("a hostile environment")).expect("its archive");
    // Its compiler compiles only if no call was made.
    for _ in 0..2 {
        compile(&cluster, &[("ICECC_VERSION", &archive.display().to_string())]);
    }
    if !planted::hears_of_unknown_calls() {
        let _: Option<()> = skip("filters above us");
        return;
    }
    for name in ["open_tree_attr", "memfd_create"] {
        let line = format!("a job tried the system call {name}, ");
        cluster.wait_for_log("h2", "iceccd.log", &line);
        assert_eq!(cluster.count_in_log("h2", "iceccd.log", &line), 1);
    }
}
