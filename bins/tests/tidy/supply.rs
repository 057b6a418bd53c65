//! What comes from outside: each crate has a licence that we may pass on, and no version has a known fault. The lists are
//! in the tree, so that nothing has to be asked for.

use semver::{Version, VersionReq};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{none, root};

/// Licences that a program under MIT OR Apache-2.0 may contain.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "Unicode-3.0",
    "Zlib",
    "bzip2-1.0.6",
];

/// A crate of Cargo.lock that is not ours.
struct Outside {
    name: String,
    version: Version,
}

fn outside() -> Vec<Outside> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let packages = lock.split("[[package]]").filter(|package| package.contains("\nsource = "));
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        line.and_then(|line| line.strip_suffix('"')).expect("a name and a version").to_owned()
    };
    let read = |package: &str| Outside {
        name: value(package, "name"),
        version: value(package, "version").parse().expect("a version"),
    };
    packages.map(read).collect()
}

/// The rows of a list, in columns.
fn rows(list: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("testdata/supply").join(list)).expect("the list");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Whether an expression of licences leaves us one that is allowed.
fn is_allowed(expression: &str) -> bool {
    expression.split(" AND ").all(|part| {
        let part = part.trim_matches(['(', ')']);
        part.replace('/', " OR ").split(" OR ").any(|licence| LICENCES.contains(&licence.trim()))
    })
}

/// The licence in the crate's own manifest, if its source is on this machine.
fn manifest_licence(of: &Outside) -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let folder = format!("{}-{}", of.name, of.version);
    let sources = fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let manifest = sources.map(|source| source.path().join(&folder).join("Cargo.toml")).find(|path| path.exists())?;
    let text = fs::read_to_string(manifest).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("license = \""))?;
    line.strip_suffix('"').map(str::to_owned)
}

#[test]
fn licences_are_known_and_allowed() {
    let (crates, rows) = (outside(), rows("licences.tsv"));
    let mut wrong = Vec::new();
    for of in &crates {
        // Two versions of a crate may say it differently: a row each.
        let listed: Vec<&str> = rows.iter().filter(|row| row[0] == of.name).map(|row| row[1].as_str()).collect();
        if listed.is_empty() {
            wrong.push(format!("{}: not in testdata/supply/licences.tsv", of.name));
        }
        let refused = listed.iter().filter(|licence| !is_allowed(licence));
        wrong.extend(refused.map(|licence| format!("{}: {licence} is not allowed", of.name)));
        let said = manifest_licence(of).filter(|licence| !listed.is_empty() && !listed.contains(&licence.as_str()));
        wrong.extend(said.map(|licence| format!("{}: its manifest says {licence}", of.name)));
    }
    let used: BTreeSet<&str> = crates.iter().map(|of| of.name.as_str()).collect();
    let stale = rows.iter().filter(|row| !used.contains(row[0].as_str()));
    wrong.extend(stale.map(|row| format!("{}: in licences.tsv, but not in Cargo.lock", row[0])));
    none(&wrong);
}

#[test]
fn no_version_has_a_known_fault() {
    let crates = outside();
    let mut wrong = Vec::new();
    for row in rows("advisories.tsv") {
        let [id, name, affected, what, reason @ ..] = row.as_slice() else { panic!("{row:?}") };
        let requirements = affected.split(" || ").map(|part| part.parse().expect("versions"));
        let requirements: Vec<VersionReq> = requirements.collect();
        let is_hit = |of: &&Outside| of.name == *name && requirements.iter().any(|part| part.matches(&of.version));
        match (crates.iter().find(is_hit), reason.is_empty()) {
            (Some(of), true) => wrong.push(format!("{name} {}: {id}, {what}", of.version)),
            (None, false) => wrong.push(format!("{id}: no version that is used has it, its reason may go")),
            _ => {}
        }
    }
    none(&wrong);
}

#[test]
fn expressions_of_licences_are_read() {
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-2.0-only / MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-2.0-only", false),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}
