//! `icecc --explain` on a cluster: where a job would go.

use serde_json::Value;

use crate::cluster::{Cluster, Whose};

#[test]
fn the_hosts_to_which_a_job_would_go_are_told() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[4, 4, 1]) else { return };
    let explained = |variables: &[(&str, &str)], command: &str| -> Value {
        let told = cluster.ok("h1", variables, &format!("icecc --explain --json {command}")).text();
        serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}"))
    };
    let hosts = |told: &Value| -> Vec<String> {
        let hosts = told["hosts"].as_array().into_iter().flatten();
        hosts.map(|host| host["host"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let told = explained(&[], "gcc -c a.c");
    let mut all = hosts(&told);
    all.sort();
    assert_eq!(all, ["h2", "h3"], "all but the submitter: {told}");
    assert_eq!(hosts(&explained(&[("ICECC_PREFERRED_HOST", "h3")], "gcc -c a.c")), ["h3"]);
    let local = explained(&[], "gcc -E a.c");
    assert!(local["hosts"].is_null(), "it goes nowhere: {local}");
    let text = cluster.ok("h1", &[("ICECC_PREFERRED_HOST", "h2")], "icecc --explain gcc -c a.c").text();
    assert!(text.contains("probably on:  h2 (10.77.0.2), where it would be done first\n"), "{text}");
}
