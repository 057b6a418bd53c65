//! House rules that a machine can check. A rule that fails too often is changed here.

// A rule that cannot be checked has failed.
#![allow(clippy::expect_used)]

mod circles;
mod dead;
mod references;
mod supply;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, tests too.
const LINES_MAX: usize = 500;

/// The one file that may be longer: a table is not split.
const TABLE: &str = "core/src/cmdline/options.rs";

/// Lines of a function, from its name to its end.
const FUNCTION_LINES_MAX: usize = 70;

/// What may stand before `fn`.
const QUALIFIERS: &[&str] = &["pub", "const", "async", "unsafe", "extern", "\"C\""];

/// Words that name nothing.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

/// The directories of all packages, each with its name in sources and those of ours that it may use.
const PACKAGES: &[(&str, &str, &[&str])] = &[
    ("core", "ice_core", &[]),
    ("net", "ice_net", &["ice_core"]),
    ("sandbox", "ice_sandbox", &[]),
    ("sandbox/launcher", "ice_launcher", &["ice_core", "ice_sandbox"]),
    ("toolchain", "ice_toolchain", &["ice_core"]),
    ("bins", "ice_bins", &["ice_core", "ice_net", "ice_sandbox", "ice_launcher", "ice_toolchain"]),
    ("bins/icetop", "ice_top", &["ice_bins", "ice_core"]),
    ("bins/lab", "ice_lab", &["ice_bins"]),
    ("bins/testrun", "ice_testrun", &[]),
];

/// What tests and benchmarks of a package may use besides.
const FOR_TESTS: &[(&str, &str)] = &[("bins", "ice_lab"), ("bins/icetop", "ice_lab")];

#[test]
fn files_are_short_named_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for file in sources() {
        let name = file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if BANNED_NAMES.contains(&name.as_str()) {
            wrong.push(format!("{}: this name says nothing", file.shown()));
        }
        if !file.text.starts_with("//!") {
            wrong.push(format!("{}: does not begin with //! and its purpose", file.shown()));
        }
        let count = file.text.lines().count();
        if count > LINES_MAX && file.shown() != TABLE {
            wrong.push(format!("{}: {count} lines; split it by purpose", file.shown()));
        }
    }
    none(&wrong);
}

#[test]
fn functions_are_short() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in sources() {
        for (name, line, lines) in functions(&file.text) {
            count += 1;
            if lines > FUNCTION_LINES_MAX {
                wrong.push(format!("{}:{line}: {name} has {lines} lines", file.shown()));
            }
        }
    }
    assert!(count > 2000, "only {count} functions were found");
    none(&wrong);
}

/// The functions of a formatted text that have a body: name, line and number of lines of each. What is formatted ends a
/// function by a brace below its beginning.
fn functions(text: &str) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some((before, signature)) = line.split_once("fn ") else { continue };
        let is_one = before.split_whitespace().all(|word| QUALIFIERS.contains(&word) || word.starts_with("pub("));
        // A declaration has no body.
        let opened = lines[start..].iter().find(|line| line.contains('{') || line.ends_with(';'));
        if !is_one || opened.is_none_or(|line| line.ends_with(';')) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_end = |line: &&str| line.strip_prefix(indent) == Some("}");
        let more = if line.ends_with('}') { 0 } else { lines[start..].iter().position(is_end).unwrap_or(0) };
        let name = signature.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default();
        found.push((name, start + 1, more + 1));
    }
    found
}

#[test]
fn functions_are_found_with_their_length() {
    let text = "fn one() {}\ntrait T {\n    fn declared(\n    );\n    pub(super) const fn two(\n        a: u8,\n    ) {\n        a\n    }\n}\n";
    assert_eq!(functions(text), [("one", 1, 1), ("two", 5, 5)]);
}

#[test]
fn unsafe_is_in_the_sandbox_and_explained() {
    let mut wrong = Vec::new();
    for file in sources() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if !["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| code.contains(word))
                || code.contains('"')
            {
                continue;
            }
            // A test may need what no product code may: it says so with its reason, as an allowance that the compiler
            // wants too.
            let is_test = file.path.components().any(|part| part.as_os_str() == "tests");
            let allowed =
                is_test && (file.text.contains("allow(unsafe_code") || file.path.starts_with(root().join("sandbox")));
            if !file.path.starts_with(root().join("sandbox/src")) && !allowed {
                wrong.push(format!("{}:{}: unsafe outside sandbox", file.shown(), index + 1));
            }
            let before = &lines[index.saturating_sub(8)..=index];
            if !before.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety")) {
                wrong.push(format!("{}:{}: unsafe without SAFETY", file.shown(), index + 1));
            }
        }
    }
    none(&wrong);
}

#[test]
fn todos_name_an_issue() {
    let mut wrong = Vec::new();
    for file in sources() {
        for (index, line) in file.text.lines().enumerate() {
            let marks = ["TODO", "FIXME", "XXX"].map(|mark| format!("{mark}:"));
            if marks.iter().any(|mark| line.contains(mark.as_str())) && !line.contains('#') {
                wrong.push(format!("{}:{}: {}", file.shown(), index + 1, line.trim()));
            }
        }
    }
    none(&wrong);
}

/// A test that the tests leave out is one of a line that is run for itself, and by `scripts/prove.sh all`.
#[test]
fn ignored_tests_belong_to_a_line_of_prove() {
    let main = fs::read_to_string(root().join("scripts/prove.sh")).expect("scripts/prove.sh");
    let mut wrong = Vec::new();
    // The runner's own tests have one that nobody runs.
    let apart = root().join("bins/testrun");
    for file in sources().iter().filter(|file| !file.path.starts_with(&apart)) {
        for line in file.text.lines().map(str::trim_start).filter(|line| line.starts_with("#[ignore")) {
            let named = line.split("scripts/prove.sh ").nth(1).map_or("", |rest| rest.trim_end_matches("\"]"));
            let path = root().join("scripts/prove.d").join(named);
            let text =
                if named.starts_with("main.") { main.clone() } else { fs::read_to_string(path).unwrap_or_default() };
            if !text.contains("ignored") || !text.contains(named) && named.starts_with("main.") {
                wrong.push(format!("{}: {line}: no such line, or it leaves such tests out too", file.shown()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn packages_use_only_what_the_arrows_allow() {
    let mut wrong = Vec::new();
    for (package, own, may) in PACKAGES {
        for file in sources().iter().filter(|file| file.package() == *package) {
            for (_, name, _) in PACKAGES.iter().filter(|(_, name, _)| name != own && !may.contains(name)) {
                let is_test = !file.path.starts_with(root().join(package).join("src"));
                if is_test && FOR_TESTS.contains(&(*package, *name)) {
                    continue;
                }
                if file.text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(&format!("{name}::"))) {
                    wrong.push(format!("{}: uses {name}", file.shown()));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_package_is_known() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).expect("members");
    let members: BTreeSet<&str> = members.split('"').skip(1).step_by(2).collect();
    assert_eq!(members, PACKAGES.iter().map(|(package, ..)| *package).collect());
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let absent = members.iter().filter(|package| !text.contains(&format!("\n| `{package}/` | ")));
    none(&absent.map(|package| format!("ARCHITECTURE.md: no row for {package}")).collect::<Vec<_>>());
}

#[test]
fn paths_in_the_architecture_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut wrong = Vec::new();
    for word in text.split('`').skip(1).step_by(2) {
        let is_path = PACKAGES
            .iter()
            .map(|(package, ..)| *package)
            .chain(["scripts", "testdata"])
            .any(|top| word.starts_with(&format!("{top}/")));
        if is_path && !word.contains(['*', '{', ' ', '<']) && !root().join(word).exists() {
            wrong.push(word.to_string());
        }
    }
    none(&wrong);
}

/// A function is written `name()` there, in the pictures too.
#[test]
fn functions_in_the_architecture_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let sources = sources();
    let is_defined = |name: &str| {
        let (plain, generic) = (format!("fn {name}("), format!("fn {name}<"));
        sources.iter().any(|file| file.text.contains(&plain) || file.text.contains(&generic))
    };
    let names = text.split("()").map(|before| before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next());
    let mut names: BTreeSet<&str> = names.flatten().filter(|name| !name.is_empty()).collect();
    // Behind the last one stands the end of the page.
    names.retain(|name| text.contains(&format!("{name}()")));
    assert!(names.len() > 20, "the functions were not found");
    none(&names.iter().filter(|name| !is_defined(name)).map(|name| format!("no fn {name}")).collect::<Vec<_>>());
}

#[test]
fn scripts_are_posix_strict_and_say_what_they_are() {
    let mut wrong = Vec::new();
    let in_folder = |folder: &str| fs::read_dir(root().join(folder)).expect("scripts").flatten();
    let folders = ["scripts", "scripts/prove.d", "scripts/bench.d"];
    for entry in folders.into_iter().flat_map(in_folder).filter(|entry| entry.path().is_file()) {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        // One that only hands over to another has nothing to be strict about.
        if text.lines().any(|line| line.starts_with("exec ")) && text.lines().count() < 5 {
            continue;
        }
        let mut lines = text.lines();
        let good = lines.next() == Some("#!/bin/sh") && lines.next().is_some_and(|line| line.starts_with("# "));
        if !good || !text.lines().any(|line| line.starts_with("set -eu")) {
            wrong.push(format!("{}: #!/bin/sh, a line of purpose, set -eu", entry.path().display()));
        }
    }
    none(&wrong);
}

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn shown(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    /// The directory of its package: the innermost of those that it is in.
    fn package(&self) -> &'static str {
        let around = PACKAGES.iter().map(|(package, ..)| *package).filter(|p| self.path.starts_with(root().join(p)));
        around.max_by_key(|package| package.len()).unwrap_or_default()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    // Packages inside of others are reached through them.
    let outer = PACKAGES.iter().map(|(package, ..)| *package).filter(|package| !package.contains('/'));
    let mut folders: Vec<PathBuf> = outer.map(|package| root().join(package)).collect();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
