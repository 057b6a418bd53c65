//! The numbered scenarios G (client), D (daemon), E (environments) and O (operations): each is a function of its number
//! somewhere in the tests, or a row of `testdata/scenarios` that names another test, a line of `scripts/prove.sh` that
//! names the scenario, or the reason why there is none. (The scheduler's, S, are checked beside their tests.)

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [(char, u32, &str); 4] = [
    ('g', 71, "testdata/scenarios/client.md"),
    ('d', 65, "testdata/scenarios/daemon.md"),
    ('e', 55, "testdata/scenarios/environments.md"),
    ('o', 20, "testdata/scenarios/operations.md"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The numbers at the head of a function's name: `e3_e4_same` has two.
fn numbers(name: &str) -> impl Iterator<Item = (char, u32)> + '_ {
    name.split('_').map_while(|part| {
        let letter = part.chars().next().filter(char::is_ascii_lowercase)?;
        Some((letter, part[1..].parse().ok()?))
    })
}

#[test]
fn no_scenario_is_missing() {
    let mut texts = Vec::new();
    for crate_folder in ["core", "net", "sandbox", "toolchain", "bins"] {
        for part in ["src", "tests"] {
            let folder = root().join(crate_folder).join(part);
            if folder.is_dir() {
                sources(&folder, &mut texts);
            }
        }
    }
    let tried: BTreeSet<(char, u32)> = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.trim_start().strip_prefix("fn ")?.split('(').next())
        .flat_map(numbers)
        .collect();
    for (letter, last, page) in PAGES {
        let table = fs::read_to_string(root().join(page)).unwrap();
        let rows: BTreeMap<u32, &str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.strip_prefix(letter.to_ascii_uppercase())?.split_once(" | "))
            .map(|(number, rest)| (number.parse().unwrap(), rest.trim_end_matches(" |")))
            .collect();
        let mut counts = [0, 0, 0];
        for number in 1..=last {
            let name = format!("{}{number}", letter.to_ascii_uppercase());
            match (tried.contains(&(letter, number)), rows.get(&number)) {
                (true, None) => counts[0] += 1,
                (false, Some(row)) if row.starts_with("`scripts/prove.sh ") => {
                    let line = row.trim_start_matches("`scripts/prove.sh ").split('`').next().unwrap();
                    let text = fs::read_to_string(root().join("scripts/prove.d").join(line)).unwrap();
                    assert!(text.contains(&name), "{name}: {line} does not name it");
                    counts[1] += 1;
                }
                (false, Some(row)) if row.starts_with('`') => {
                    let (test, path) = row.trim_start_matches('`').split_once("` in ").unwrap();
                    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{name}: {path}: {e}"));
                    assert!(text.contains(&format!("fn {test}(")), "{name}: no {test} in {path}");
                    counts[1] += 1;
                }
                (false, Some(row)) => {
                    assert!(row.starts_with("not run: "), "{name}: {row}");
                    counts[2] += 1;
                }
                (true, Some(_)) => panic!("{name} is tried, and stands in {page}"),
                (false, None) => panic!("{name} is neither tried nor in {page}"),
            }
        }
        assert!(rows.keys().all(|number| (1..=last).contains(number)), "{page} names one that does not exist");
        let [own, others, none] = counts;
        println!("{}: {own} tests of their number, {others} by others, {none} not run", letter.to_ascii_uppercase());
        rows.iter().filter(|(_, row)| row.starts_with("not run")).for_each(|(n, row)| println!("  {n} {row}"));
    }
}
