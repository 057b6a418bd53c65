//! What a source, script or page points to is there: pages, decisions, sections of the protocol.

use std::fs;
use std::path::{Path, PathBuf};

use super::{none, root};

/// Where texts are that people read.
const PLACES: &[&str] = &["core", "net", "sandbox", "toolchain", "bins", "scripts", "testdata", ".ci"];

/// What stands before the name of a decision. In two pieces, as this file is read too.
const DECISION: &str = concat!("(decision", ":");
/// What stands before the name of a section of the protocol.
const PROTOCOL: &str = concat!("`net/PROTOCOL", ".md`, ");

struct Page {
    path: PathBuf,
    text: String,
}

#[test]
fn no_text_points_to_an_absent_page() {
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, line) in page.lines() {
            let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || "_-./$".contains(c)));
            for word in words.map(|word| word.trim_start_matches("/../").trim_end_matches('.')) {
                // The name alone is an ending, and only a shell knows what stands for a `$`.
                let is_page = word.ends_with(".md") && !word.starts_with('.') && !word.contains('$');
                let is_absent = word.starts_with(concat!("spec", "/")) || is_page && !page.reaches(word);
                if is_absent {
                    wrong.push(format!("{}:{number}: {word} is not there", page.shown()));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn decisions_that_comments_name_stand_in_the_architecture() {
    let known = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, line) in page.lines() {
            for rest in line.split(DECISION).skip(1) {
                let name =
                    rest.split(|c: char| !(c.is_ascii_alphanumeric() || "- ".contains(c))).next().unwrap_or("").trim();
                if name != "NAME" && !known.contains(&format!("\n| `{name}` | ")) {
                    wrong.push(format!("{}:{number}: no decision {name:?}", page.shown()));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn sections_of_the_protocol_that_comments_name_are_there() {
    let protocol = fs::read_to_string(root().join("net/PROTOCOL.md")).expect("the protocol");
    let headings: Vec<&str> = protocol.lines().filter(|line| line.starts_with("##")).collect();
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, line) in page.lines() {
            for rest in line.split(PROTOCOL).skip(1) {
                let name = rest.split([')', ',', ';', '.']).next().unwrap_or("");
                if !headings.iter().any(|heading| heading.ends_with(&format!(" {name}"))) {
                    wrong.push(format!("{}:{number}: the protocol has no section {name:?}", page.shown()));
                }
            }
        }
    }
    none(&wrong);
}

impl Page {
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    fn shown(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    /// Whether a page is there, as seen from any directory above this text.
    fn reaches(&self, page: &str) -> bool {
        let above = self.path.ancestors().skip(1).take_while(|directory| directory.starts_with(root()));
        above.map(|directory| directory.join(page)).any(|path| path.exists())
    }
}

/// All texts but recorded data, which are no UTF-8 or too long to be read.
fn pages() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = PLACES.iter().map(|place| root().join(place)).collect();
    let top = fs::read_dir(root()).expect("the workspace").flatten().map(|entry| entry.path());
    paths.extend(top.filter(|path| path.is_file() && has_ending(path, &["md", "toml"])));
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            if !path.ends_with("target") {
                paths.extend(fs::read_dir(&path).expect("a directory").flatten().map(|entry| entry.path()));
            }
        } else if !has_ending(&path, &["bin", "json", "lock"]) {
            if let Ok(text) = fs::read_to_string(&path) {
                found.push(Page { path, text });
            }
        }
    }
    assert!(found.len() > 200, "only {} texts were found", found.len());
    found
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|own| endings.iter().any(|ending| own == *ending))
}
