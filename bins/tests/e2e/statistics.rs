//! `icecc --stats` after builds on a lab: counts are what ran.

use serde_json::Value;

use crate::cluster::{Cluster, Whose};

const THERE: (&str, &str) = ("ICECC_PREFERRED_HOST", "h2");

#[test]
fn each_job_is_counted_in_its_place_and_a_restart_keeps_the_counts() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else { return };
    build(&cluster);
    let last = stats(&cluster, "--last");
    let counted = ["jobs", "elsewhere", "here", "twice", "failed_over", "failed"].map(|name| number(&last, name));
    assert_eq!(counted, [7, 3, 2, 2, 0, 2], "{last}");
    let reasons = ["messages", "source-name", "not-a-compiler"].map(|word| number(&last["reasons"], word));
    assert_eq!(reasons, [1, 1, 1], "{last}");
    let (address, hosts) = (cluster.lab.host("h2").expect("h2").address.to_string(), &last["hosts"]);
    assert_eq!((number(&hosts[&address], "jobs"), hosts.as_object().map(|all| all.len())), (3, Some(1)), "{last}");
    assert_eq!(number(&hosts[&address], "bought"), number(&last, "bought"));
    let saved = last["saved"].as_i64();
    assert_eq!(saved, Some(number(&last, "bought") as i64 - number(&last, "overhead") as i64));
    assert!(number(&last, "sent") > 0 && number(&last, "received") > 0, "{last}");
    // The same as people see it.
    let text = cluster.ok("h1", &[], "icecc --stats").text();
    assert!(text.starts_with("last build: 7 jobs, ") && text.contains(&format!("       3  by {address}, ")), "{text}");

    cluster.stop_daemon("h1");
    cluster.start_daemon("h1");
    cluster.check(cluster.lab.wait_for_hosts(2));
    assert_eq!(stats(&cluster, "--last"), last, "a restart keeps it");
    cluster.ok("h1", &[THERE], "icecc gcc -c a.c -o a.o");
    let (all, today) = (stats(&cluster, "--all"), stats(&cluster, "--today"));
    assert_eq!((number(&all, "jobs"), number(&today, "jobs")), (8, 8));
}

/// Three go elsewhere, one of which fails to compile; one has messages and one is a sample; two stay.
fn build(cluster: &Cluster) {
    cluster.write("a.c", "int a(void) { return 1; }\n");
    cluster.write("wrong.c", "int wrong(void) { return }\n");
    cluster.ok("h1", &[THERE], "icecc gcc -c a.c -o a.o && icecc gcc -O2 -c a.c -o b.o && icecc gcc -g -c a.c -o c.o");
    cluster.ok("h1", &[THERE, ("ICECC_VERIFY", "1")], "icecc gcc -c a.c -o d.o");
    let failed = cluster.sh("h1", &[THERE], "icecc gcc -c wrong.c -o w.o");
    assert!(!failed.status.success());
    cluster.ok("h1", &[THERE], "icecc gcc -fverbose-asm -S a.c -o a.s");
    assert!(!cluster.sh("h1", &[THERE], "icecc false").status.success());
}

#[test]
fn another_user_sees_none_of_it_and_a_broken_file_is_a_new_start() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else { return };
    cluster.write("secret.c", "int a(void) { return 1; }\n");
    cluster.ok("h1", &[THERE], "icecc gcc -c secret.c -o a.o");
    assert!(cluster.ok("h1", &[], "icecc --stats").text().contains("secret.c"));
    if nix::unistd::Uid::effective().is_root() {
        let other = "setpriv --reuid 65534 --regid 65534 --clear-groups icecc --stats --json";
        let other = cluster.ok("h1", &[], other).text();
        assert!(other.contains("\"jobs\": 0") && !other.contains("secret"), "{other}");
    }
    cluster.stop_daemon("h1");
    let host = cluster.check(cluster.lab.host("h1"));
    let find = format!("find '{}' -name statistics.json", host.folder.display());
    let file = cluster.ok("h1", &[], &find).text();
    cluster.ok("h1", &[], &format!("echo '{{\"all\":7' > '{}'", file.trim()));
    cluster.start_daemon("h1");
    cluster.check(cluster.lab.wait_for_hosts(2));
    assert_eq!(number(&stats(&cluster, "--all"), "jobs"), 0);
    cluster.ok("h1", &[THERE], "icecc gcc -c secret.c -o a.o");
    assert_eq!(number(&stats(&cluster, "--all"), "jobs"), 1);
    assert_eq!(cluster.count_in_log("h1", "iceccd.log", "statistics begin anew"), 1);
}

#[test]
fn without_a_daemon_that_counts_one_line_says_so() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1]) else { return };
    cluster.ok("h1", &[], "ls");
    cluster.stop_daemon("h1");
    let refused = cluster.sh("h1", &[], "icecc --stats");
    assert_eq!(refused.status.code(), Some(1));
    let said = refused.error_text();
    assert!(said.starts_with("icecc: no statistics: no daemon answers") && said.contains("start iceccd"), "{said}");
}

/// What `--stats` says of a period.
fn stats(cluster: &Cluster, period: &str) -> Value {
    let text = cluster.ok("h1", &[], &format!("icecc --stats --json {period}")).text();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_else(|| panic!("no {name} in {of}"))
}

#[test]
fn a_trace_holds_to_its_schema_and_its_slices_sum_up_to_the_counts() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else { return };
    let none = cluster.sh("h1", &[], "icecc --trace t.json");
    assert!(none.status.code() == Some(1) && none.error_text().starts_with("icecc: no trace: no job has ended"));
    build(&cluster);
    let said = cluster.ok("h1", &[], "icecc --trace t.json").text();
    let trace: Value = serde_json::from_slice(&cluster.read("t.json")).expect("JSON");
    let schema: Value = serde_json::from_str(include_str!("../../../testdata/trace.schema.json")).expect("JSON");
    check(&trace, &schema, "trace");

    let events = trace["traceEvents"].as_array().expect("events");
    let slices = |name: Option<&str>| -> u64 {
        let chosen = events.iter().filter(|event| event["ph"] == "X" && event["cat"] == "job");
        chosen.filter(|event| name.is_none_or(|name| event["name"] == name)).map(|event| number(event, "dur")).sum()
    };
    let last = stats(&cluster, "--last");
    assert_eq!(slices(None), number(&last, "total"), "all parts of all jobs");
    assert_eq!(slices(Some("compile here")), number(&last, "compiled_here"));
    assert_eq!(number(&trace["otherData"], "jobs"), number(&last, "jobs"));
    // Those of others, and of two that were done twice; an arrow to each and back.
    let there = events.iter().filter(|event| event["name"] == "queue and compile" && event["pid"] == 2).count();
    let arrows = |ph: &str| events.iter().filter(|event| event["ph"] == ph).count();
    assert_eq!((there, arrows("s"), arrows("f")), (5, 10, 10));
    assert!(slices(Some("queue and compile")) > number(&last, "bought"));
    assert_eq!(events.iter().filter(|event| event["name"] == "preprocess").count(), 5);
    assert!(said.contains("t.json: 7 jobs in ") && said.contains("\nslowest:\n"), "{said}");
    println!("{said}{}", head(&trace));
}

/// The first events, a line each.
fn head(trace: &Value) -> String {
    let events = trace["traceEvents"].as_array().into_iter().flatten();
    events.take(8).map(|event| format!("{event}\n")).collect()
}

/// Checks a value by the parts of JSON Schema that ours uses.
fn check(value: &Value, schema: &Value, at: &str) {
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    match schema["type"].as_str() {
        Some("integer") => assert!(value.as_u64() >= schema["minimum"].as_u64(), "{at}: {value}"),
        Some("string") => assert!(value.is_string(), "{at}: {value}"),
        Some("array") => {
            let items = value.as_array().unwrap_or_else(|| panic!("{at}: {value}"));
            items.iter().for_each(|item| check(item, &schema["items"], &format!("{at}[]")));
        }
        Some("object") => {
            let fields = value.as_object().unwrap_or_else(|| panic!("{at}: {value}"));
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(name.as_str().is_some_and(|name| fields.contains_key(name)), "{at} has no {name}: {value}");
            }
            for (name, value) in fields {
                let of = schema["properties"].get(name).unwrap_or_else(|| panic!("{at}.{name} is not in the schema"));
                check(value, of, &format!("{at}.{name}"));
            }
        }
        other => assert!(other.is_none(), "{at}: no check for {other:?}"),
    }
}
