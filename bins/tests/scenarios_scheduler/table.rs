//! Which scenarios are tried, and which not, with the reason (`testdata/scenarios/scheduler.md`): none may be missing
//! silently.

use std::collections::BTreeMap;

/// How many scenarios of the scheduler there are.
const LAST: u32 = 68;

const SOURCES: &[&str] = &[
    include_str!("start.rs"),
    include_str!("peers.rs"),
    include_str!("jobs.rs"),
    include_str!("selection.rs"),
    include_str!("feed.rs"),
    include_str!("load.rs"),
];

const NOT_RUN: &str = include_str!("../../../testdata/scenarios/scheduler.md");

/// Number → whether a test of it is run only by hand and by `scripts/prove.sh`.
fn tried() -> BTreeMap<u32, bool> {
    let mut tried = BTreeMap::new();
    for source in SOURCES {
        let mut ignored = false;
        for line in source.lines() {
            ignored |= line.trim_start().starts_with("#[ignore");
            if let Some(number) = line.strip_prefix("fn s").and_then(|l| l.get(..2)).and_then(|n| n.parse().ok()) {
                let slow = tried.entry(number).or_insert(true);
                *slow &= ignored;
            }
            ignored &= !line.starts_with('}');
        }
    }
    tried
}

fn not_run() -> BTreeMap<u32, String> {
    let rows = NOT_RUN.lines().filter_map(|line| line.strip_prefix("| S")?.split_once(" | "));
    rows.map(|(number, reason)| (number.parse().unwrap(), reason.trim_end_matches(" |").to_owned())).collect()
}

#[test]
fn no_scenario_is_missing() {
    let (tried, not_run) = (tried(), not_run());
    for number in 1..=LAST {
        let reason = not_run.get(&number);
        assert!(
            tried.contains_key(&number) != reason.is_some(),
            "S{number}: either a test or a reason, not {reason:?}"
        );
    }
    assert_eq!(tried.len() + not_run.len(), LAST as usize);
    let slow: Vec<u32> = tried.iter().filter(|(_, slow)| **slow).map(|(n, _)| *n).collect();
    println!(
        "S: {} tried, {} of them only by scripts/prove.sh {slow:?}, {} not run",
        tried.len(),
        slow.len(),
        not_run.len()
    );
    for (number, reason) in not_run {
        println!("S{number} is not run: {reason}");
    }
}
