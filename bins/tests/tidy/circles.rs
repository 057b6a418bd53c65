//! Modules of a package use each other one way only: who reads one need not know what uses it.
//!
//! Modules with the same parent make a circle if one uses another that leads back to it; what is below a module counts
//! as its own. Parent and child may use each other, as a parent leads its children and has what several of them need. A
//! name that a module only hands on is its owner's.

use std::collections::{BTreeMap, BTreeSet};

use crate::dead::code;
use crate::{PACKAGES, none, root, sources};

/// The names that lead from a package's root to a module or an item.
type Path<'a> = Vec<&'a str>;

/// What may begin a path to another module.
const BEGINNINGS: &[&str] = &["use", "crate", "super", "self"];

struct Package<'a> {
    /// The texts of each module: a library and a program may share a root.
    modules: BTreeMap<Path<'a>, Vec<&'a str>>,
    /// What a name means that a module has from another.
    handed_on: BTreeMap<Path<'a>, Path<'a>>,
}

impl<'a> Package<'a> {
    /// Made of its files: the path below `src` and the code of each.
    fn new(files: &'a [(String, String)]) -> Self {
        let mut package = Self { modules: BTreeMap::new(), handed_on: BTreeMap::new() };
        for (path, text) in files {
            package.modules.entry(module(path)).or_default().push(text);
        }
        let used = package.paths(&["use"]).into_iter();
        package.handed_on = used
            .filter_map(|(of, path)| Some(([of, vec![*path.last()?]].concat(), path)))
            .filter(|(here, path)| here != path)
            .collect();
        package
    }

    /// The paths to modules and items of this package, each with the module that names it.
    fn paths(&self, beginnings: &[&str]) -> Vec<(Path<'a>, Path<'a>)> {
        let mut found = Vec::new();
        for (of, text) in self.modules.iter().flat_map(|(of, texts)| texts.iter().map(move |text| (of, text))) {
            let words = words(text);
            for at in (0..words.len()).filter(|at| beginnings.contains(&words[*at])) {
                let mut paths = Vec::new();
                branch(&words, if words[at] == "use" { at + 1 } else { at }, Vec::new(), &mut paths);
                let paths = paths.iter().filter_map(|path| self.rooted(of, path));
                found.extend(paths.map(|path| (of.clone(), path)));
            }
        }
        found
    }

    /// What a module's path is from the root; `None`: it leads out of the package.
    fn rooted(&self, of: &[&'a str], path: &[&'a str]) -> Option<Path<'a>> {
        match path {
            ["crate", rest @ ..] => Some(rest.to_vec()),
            ["self", rest @ ..] => Some([of, rest].concat()),
            ["super", rest @ ..] => {
                let (_, parent) = of.split_last()?;
                let above = rest.first() == Some(&"super");
                if above { self.rooted(parent, rest) } else { Some([parent, rest].concat()) }
            }
            [child, ..] => self.modules.contains_key(&[of, &[*child]].concat()).then(|| [of, path].concat()),
            [] => None,
        }
    }

    /// The module that has what a path from the root leads to.
    fn owner(&self, path: &[&'a str]) -> Path<'a> {
        let known = (0..=path.len()).rev().find(|len| self.modules.contains_key(&path[..*len])).unwrap_or_default();
        match path.get(..=known).and_then(|name| self.handed_on.get(name)) {
            Some(meant) => self.owner(&[meant, &path[known + 1..]].concat()),
            None => path[..known].to_vec(),
        }
    }

    /// What each module uses of those with the same parent.
    fn uses(&self) -> BTreeMap<Path<'a>, BTreeSet<Path<'a>>> {
        let mut uses: BTreeMap<Path, BTreeSet<Path>> = BTreeMap::new();
        for (of, path) in self.paths(BEGINNINGS) {
            let used = self.owner(&path);
            let shared = of.iter().zip(&used).take_while(|(one, other)| one == other).count();
            if shared < of.len() && shared < used.len() {
                uses.entry(of[..=shared].to_vec()).or_default().insert(used[..=shared].to_vec());
            }
        }
        uses
    }

    fn circles(&self) -> Vec<String> {
        let uses = self.uses();
        let mut found = Vec::new();
        for (one, other) in uses.iter().flat_map(|(one, used)| used.iter().map(move |other| (one, other))) {
            let (mut reached, mut next) = (BTreeSet::new(), vec![other]);
            while let Some(module) = next.pop() {
                if reached.insert(module) {
                    next.extend(uses.get(module).into_iter().flatten());
                }
            }
            if reached.contains(one) {
                found.push(format!("{} uses {}, which leads back to it", one.join("::"), other.join("::")));
            }
        }
        found
    }
}

/// The module that a file below `src` is.
fn module(path: &str) -> Path<'_> {
    let mut names: Path = path.trim_end_matches(".rs").split('/').collect();
    if let Some(&("mod" | "lib" | "main")) = names.last() {
        names.pop();
    }
    names
}

/// Names, `::`, and all other signs one by one.
fn words(mut text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        let sign = text.chars().next().map_or(0, char::len_utf8);
        let len = match text.find(|c: char| !is_of_name(c)).unwrap_or(text.len()) {
            0 if text.starts_with("::") => 2,
            0 => sign,
            len => len,
        };
        if len == 0 {
            return found;
        }
        let (word, rest) = text.split_at(len);
        found.push(word);
        text = rest;
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Finds the paths that go on from `path` with the words from `at` on, as `a::{b, c::d}` has two. Returns where they
/// end.
fn branch<'a>(words: &[&'a str], mut at: usize, mut path: Path<'a>, found: &mut Vec<Path<'a>>) -> usize {
    loop {
        match words.get(at) {
            Some(&"{") => loop {
                at = branch(words, at + 1, path.clone(), found);
                if words.get(at) != Some(&",") {
                    return at + 1;
                }
            },
            Some(&"self") if !path.is_empty() => at += 1,
            Some(word) if word.starts_with(is_of_name) => {
                path.push(word);
                at += 1;
            }
            _ => {}
        }
        if words.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    // Behind `as` stands a name of the module's own.
    if words.get(at) == Some(&"as") { at + 2 } else { at }
}

#[test]
fn modules_use_each_other_one_way() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (package, ..) in PACKAGES {
        let src = root().join(package).join("src");
        let of_src = |file: &crate::Source| Some(file.path.strip_prefix(&src).ok()?.display().to_string());
        let files: Vec<_> = sources().iter().filter_map(|file| Some((of_src(file)?, code(file)))).collect();
        let modules = Package::new(&files);
        count += modules.uses().len();
        wrong.extend(modules.circles().iter().map(|circle| format!("{package}: {circle}")));
    }
    assert!(count > 100, "only {count} modules use others");
    none(&wrong);
}

#[test]
fn circles_are_found() {
    let circles = |files: &[(&str, &str)]| {
        let files: Vec<_> = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
        Package::new(&files).circles()
    };
    let parent = "mod one;\nmod two;\nuse one::One;\npub use two::Two;\npub struct Config;";
    let found = circles(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;"),
        // A parent and its children, which use each other one way.
        ("a/mod.rs", parent),
        ("a/one.rs", "use super::Config;\nuse std::{fmt, io};\npub struct One(super::two::Two);"),
        ("a/two.rs", "use super::{Config, super::b::{self, B as Beta}};"),
        // Below a module is its own, and a path needs no `use`.
        ("b.rs", "mod deep;\npub(crate) struct B;"),
        ("b/deep.rs", "fn deep() { crate::c::go() }"),
        ("c.rs", "pub fn go() { let _ = crate::A::new(); }"),
    ]);
    let circle = ["a uses b", "b uses c", "c uses a"].map(|uses| format!("{uses}, which leads back to it"));
    assert_eq!(found, circle);

    let found = circles(&[
        ("a/mod.rs", parent),
        ("a/one.rs", "use crate::a::{\n    Config,\n    two::Two,\n};"),
        // By a name that their parent hands on.
        ("a/two.rs", "use super::One;"),
    ]);
    let circle = ["a::one uses a::two", "a::two uses a::one"].map(|uses| format!("{uses}, which leads back to it"));
    assert_eq!(found, circle);
}
