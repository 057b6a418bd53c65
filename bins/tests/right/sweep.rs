//! The sweep over all options: tries the rows of `sweep_rows` and tells what differs.
//!
//! A row may differ only where `testdata/cmdline/varies.md` says so. `scripts/prove.sh right.3` runs it all; a sample
//! of it runs with the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::compare::{Place, Trial, fits, fits_path};
use crate::host::Workers;
use crate::long::Run;
use crate::sweep_rows::{SETUP, rows};

/// One row of this many is tried with the tests.
const SAMPLE: usize = 60;

/// What came of a row, as written to the results file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Result {
    command: String,
    place: String,
    /// Why it was not sent, or compiled again.
    reason: String,
    /// Whether the compiler itself takes the command.
    succeeds: bool,
    /// Whether another host ran the command itself.
    #[serde(default)]
    by_files: bool,
    /// What differs, and how.
    differs: Vec<(String, String)>,
}

/// A line of the list of what may differ.
struct Varies {
    pattern: String,
    /// What may differ, by patterns.
    what: Vec<String>,
}

#[test]
fn a_sample_of_all_options() {
    let all = rows(0);
    println!("{} rows", all.len());
    assert!(all.len() > 3000, "only {} rows: the compilers list too little", all.len());
    let sample: Vec<String> = all.into_iter().step_by(SAMPLE).collect();
    let Some(results) = try_rows(&sample, false, |_| ()) else { return };
    let differing = report(&results, false);
    assert!(differing == 0, "{differing} rows differ");
}

#[test]
#[ignore = "long: scripts/prove.sh right.3"]
fn right_3_all_options() {
    try_chosen(false);
}

#[test]
#[ignore = "long: scripts/prove.sh files.4"]
fn files_4_all_options() {
    try_chosen(true);
}

fn try_chosen(by_files: bool) {
    let run = Run::asked();
    let all: Vec<String> = rows(run.seed)
        .into_iter()
        .enumerate()
        .filter(|(number, row)| run.has(*number) && row.contains(&run.only))
        .map(|(_, row)| row)
        .collect();
    let mut known: BTreeMap<String, Result> =
        run.known().into_iter().map(|result: Result| (result.command.clone(), result)).collect();
    known.retain(|command, _| all.contains(command));
    let missing: Vec<String> = all.iter().filter(|row| !known.contains_key(*row)).cloned().collect();
    println!("{} rows, {} of them known already; results: {}", all.len(), known.len(), run.results);
    let Some(new) = try_rows(&missing, by_files, run.writer()) else { return };
    let results: Vec<Result> = known.into_values().chain(new).collect();
    let differing = report(&results, true);
    assert!(differing == 0, "{differing} rows differ");
}

fn try_rows(commands: &[String], by_files: bool, mut each: impl FnMut(&Result)) -> Option<Vec<Result>> {
    let workers = Workers::shared()?;
    let list = varies();
    let environment: Vec<_> = by_files.then(|| ("ICECC_FILES".to_string(), "on".to_string())).into_iter().collect();
    let trial = |command: &String| {
        let lines = list.iter().filter(|line| fits(&line.pattern, command));
        let may_differ = lines.flat_map(|line| line.what.clone()).collect();
        Trial { setup: SETUP.to_string(), command: command.clone(), environment: environment.clone(), may_differ }
    };
    let mut results = Vec::new();
    workers.try_all(commands.iter().map(trial), |number, outcome| {
        let result = Result {
            command: commands[number].clone(),
            place: format!("{:?}", outcome.place),
            reason: if outcome.place == Place::Remote { String::new() } else { outcome.reason() },
            succeeds: outcome.succeeds,
            by_files: outcome.log.contains("compiled by files"),
            differs: outcome.differences,
        };
        each(&result);
        results.push(result);
    });
    Some(results)
}

/// Prints the totals and every row that differs; how many of these nobody has listed.
fn report(results: &[Result], is_whole: bool) -> usize {
    let list = varies();
    let mut used = BTreeSet::new();
    let mut differing: Vec<&Result> = Vec::new();
    for result in results {
        let mut is_listed = |what: &str| {
            let fits =
                |line: &Varies| fits(&line.pattern, &result.command) && line.what.iter().any(|w| fits_path(w, what));
            let line = list.iter().position(fits);
            used.extend(line);
            line.is_some()
        };
        // Every difference is looked up, so that no line counts as unused.
        let unlisted = result.differs.iter().filter(|(what, _)| !is_listed(what)).count();
        if unlisted > 0 {
            differing.push(result);
        }
    }
    differing.sort_by(|a, b| a.command.cmp(&b.command));
    for result in &differing {
        println!("differs ({}): {}", result.place, result.command);
        result.differs.iter().for_each(|(what, how)| println!("    {what}: {how}"));
    }
    let mut reasons: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for result in results.iter().filter(|result| result.place != "Remote") {
        // The argument that it was stands in parentheses.
        let reason = result.reason.rsplit_once(" (").map_or(result.reason.as_str(), |(reason, _)| reason);
        *reasons.entry((&result.place, reason)).or_default() += 1;
    }
    reasons.iter().for_each(|((place, reason), count)| println!("{count:5} {place}: {reason}"));
    let count = |fits: &dyn Fn(&&Result) -> bool| results.iter().filter(fits).count();
    let listed = count(&|r| !r.differs.is_empty()) - differing.len();
    println!(
        "{} tried ({} of them refused by the compiler itself): {} equal, {listed} differ as listed, {} differ; {} remote ({} of them \
         by files), {} local by rule, {} compiled twice",
        results.len(),
        count(&|r| !r.succeeds),
        count(&|r| r.differs.is_empty()),
        differing.len(),
        count(&|r| r.place == "Remote"),
        count(&|r| r.place == "Remote" && r.by_files),
        count(&|r| r.place == "Local"),
        count(&|r| r.place == "Twice"),
    );
    if is_whole {
        for (number, line) in list.iter().enumerate().filter(|(number, _)| !used.contains(number)) {
            println!("not needed: line {} of testdata/cmdline/varies.md: {}", number + 1, line.pattern);
        }
    }
    differing.len()
}

/// The lines of the table: pattern, what may differ, why.
fn varies() -> Vec<Varies> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cmdline/varies.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let line = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [pattern, what, reason] = cells[..] else { panic!("testdata/cmdline/varies.md: not three cells: {row}") };
        assert!(!reason.is_empty(), "testdata/cmdline/varies.md: no reason: {row}");
        let plain = |cell: &str| cell.trim_matches('`').to_string();
        Varies { pattern: plain(pattern), what: what.split(", ").map(plain).collect() }
    };
    rows.map(line).collect()
}

#[test]
fn patterns_fit_the_whole_text() {
    for (pattern, text, is_fit) in [
        ("GCC * -x *", "GCC -c -x c a.c", true),
        ("GCC *", "GXX -c a.cc", false),
        ("*.o", "k/a.o", true),
        ("*.o", "k/a.o2", false),
        ("a*b*c", "abc", true),
    ] {
        assert_eq!(fits(pattern, text), is_fit, "{pattern} {text}");
    }
}
