//! Mutation testing of `core` and `net`: all mutants are compiled at once into a copy of the two packages, and an environment
//! variable chooses one at run time. So a mutant costs the run of the tests that reach it, not a build.
//!
//!   mutants [--seed N] [--part K/N] [--quick] [--again] [TEXT]
//!
//! TEXT: only mutants whose name contains it. `--part`: the K-th of N parts of all, shuffled by the seed. `--quick` leaves tests
//! out that take longer than a second. Each result is written as it comes; what was killed before is not run again, unless
//! `--again` is said. A survivor that `testdata/mutants.md` lists counts as listed; a row there that
//! names no mutant of now is shown at the end.

mod constants;
mod measure;
mod mutate;
mod weave;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

const PACKAGES: [&str; 2] = ["core", "net"];

fn main() -> Outcome<()> {
    let options = measure::Options::read(std::env::args().skip(1))?;
    let tree = PathBuf::from("target/mutants/tree");
    let sources = Source::read_all()?;
    let built = build(&tree, &sources)?;
    measure::run(&tree, &built, &options)
}

/// One source file, its constants already functions.
struct Source {
    package: &'static str,
    path: PathBuf,
    text: String,
    /// Whether it holds tests alone.
    tests: bool,
}

impl Source {
    fn read_all() -> Outcome<Vec<Self>> {
        let mut sources = Vec::new();
        for package in PACKAGES {
            let mut paths = Vec::new();
            for directory in ["src", "tests"] {
                files(&Path::new(package).join(directory), &mut paths)?;
            }
            paths.sort();
            for path in paths {
                let tests = path.iter().any(|part| part == "tests")
                    || path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("tests"));
                sources.push(Self { package, text: fs::read_to_string(&path)?, path, tests });
            }
        }
        let mut names = constants::Names::default();
        for source in &sources {
            names.learn(&syn::parse_file(&source.text)?);
        }
        let functions = names.functions();
        for source in &mut sources {
            source.text = constants::rewrite(&source.text, &syn::parse_file(&source.text)?, &functions);
        }
        Ok(sources)
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) -> Outcome<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else {
            found.push(path);
        }
    }
    found.retain(|path| path.extension().is_some_and(|e| e == "rs"));
    Ok(())
}

/// The built tests.
pub struct Built {
    /// Each with the directory it runs in.
    pub programs: Vec<(PathBuf, PathBuf)>,
    /// Names of all mutants, by number.
    pub names: Vec<String>,
    /// Those that do not compile.
    pub dropped: BTreeSet<String>,
}

/// Writes and compiles the tree; what the compiler refuses is left out until it refuses nothing.
fn build(tree: &Path, sources: &[Source]) -> Outcome<Built> {
    lay_out(tree)?;
    // What did not compile last time hardly does now.
    let unviable = tree.with_file_name("unviable");
    let mut dropped: BTreeSet<String> =
        fs::read_to_string(&unviable).unwrap_or_default().lines().map(String::from).collect();
    for round in 0..20 {
        let mut catalogue = mutate::Catalogue::default();
        let mut regions = Vec::new();
        for source in sources {
            let file = syn::parse_file(&source.text)?;
            let (mut text, of) = if source.tests {
                (source.text.clone(), weave::Regions::default())
            } else {
                mutate::rewrite(&source.text, &file, source.package, &mut catalogue, &dropped)
            };
            if source.path == Path::new("core/src/lib.rs") {
                text.push_str("#[allow(missing_docs, clippy::all)] pub mod mutants;\n");
            }
            write_changed(&tree.join(&source.path), &text)?;
            regions.push((source.path.clone(), of));
        }
        let (checked, messages) = cargo(tree, &["check", "--tests"])?;
        if checked {
            let (built, messages) = cargo(tree, &["test", "--no-run"])?;
            if !built {
                return Err("the tests do not build, although they pass the check".into());
            }
            let programs = messages.iter().filter_map(program).collect();
            dropped.retain(|name| catalogue.names.contains(name));
            fs::write(&unviable, dropped.iter().map(|name| format!("{name}\n")).collect::<String>())?;
            println!("{} mutants, {} of them do not compile", catalogue.names.len(), dropped.len());
            return Ok(Built { programs, names: catalogue.names, dropped });
        }
        let before = dropped.len();
        let mut others = Vec::new();
        for message in messages.iter().filter(|m| m["reason"] == "compiler-message" && m["message"]["level"] == "error")
        {
            let spans = message["message"]["spans"].as_array().cloned().unwrap_or_default();
            let blamed = spans.iter().filter(|s| s["is_primary"] == true).flat_map(|s| blame(s, &regions));
            let blamed: Vec<_> = blamed.collect();
            if blamed.is_empty() {
                others.push(message["message"]["rendered"].as_str().unwrap_or_default().to_owned());
            }
            dropped.extend(blamed.into_iter().map(|id| catalogue.names[id].clone()));
        }
        fs::write(&unviable, dropped.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        println!("round {round}: {} of {} do not compile", dropped.len(), catalogue.names.len());
        if dropped.len() == before {
            return Err(format!("the tree does not compile:\n{}", others.join("\n")).into());
        }
    }
    Err("the tree does not compile".into())
}

/// Whether cargo succeeds, and what it says.
fn cargo(tree: &Path, command: &[&str]) -> Outcome<(bool, Vec<serde_json::Value>)> {
    let output = Command::new("cargo")
        .args(command)
        .args(["--message-format=json", "-p", "ice-core", "-p", "ice-net"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", fs::canonicalize("target/mutants")?.join("target"))
        // What a mutant computes may overflow: that is seen when it runs.
        .env("RUSTFLAGS", "-Awarnings -Aarithmetic_overflow -Aunconditional_panic")
        .stderr(std::process::Stdio::null())
        .output()?;
    let messages = String::from_utf8(output.stdout)?;
    Ok((output.status.success(), messages.lines().map(serde_json::from_str).collect::<Result<_, _>>()?))
}

/// The mutants whose text an error is about.
fn blame(span: &serde_json::Value, regions: &[(PathBuf, weave::Regions)]) -> Vec<usize> {
    // What is expanded from a macro is complained about where it is called.
    let inner = &span["expansion"]["span"];
    if inner.is_object() {
        let found = blame(inner, regions);
        if !found.is_empty() {
            return found;
        }
    }
    let (Some(file), Some(offset)) = (span["file_name"].as_str(), span["byte_start"].as_u64()) else {
        return Vec::new();
    };
    let of_file = regions.iter().find(|(path, _)| Path::new(file) == path);
    of_file.map(|(_, regions)| regions.at(offset as usize).to_vec()).unwrap_or_default()
}

fn program(message: &serde_json::Value) -> Option<(PathBuf, PathBuf)> {
    let program = message["executable"].as_str()?;
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?;
    Some((program.into(), directory.into()))
}

/// The table of command lines judges `core`, but stands among the programs' tests, as it needs files: here it is one of core's.
fn command_lines(tree: &Path) -> Outcome<()> {
    let mut test = fs::read_to_string("bins/tests/args_cases.rs")?;
    test.push_str("\nmod ice_bins { pub mod icecc { pub mod files; pub mod response; } }\n");
    write_changed(&tree.join("core/tests/args_cases.rs"), &test)?;
    for file in ["files.rs", "response.rs"] {
        let text = fs::read_to_string(Path::new("bins/src/icecc").join(file))?;
        write_changed(&tree.join("core/tests/ice_bins/icecc").join(file), &text)?;
    }
    let mut manifest = fs::read_to_string("core/Cargo.toml")?;
    manifest.push_str(
        "\n[dev-dependencies]\nserde_json.workspace = true\ntempfile.workspace = true\nrustix.workspace = true\n",
    );
    write_changed(&tree.join("core/Cargo.toml"), &manifest)
}

/// Everything of the copy but the sources.
fn lay_out(tree: &Path) -> Outcome<()> {
    for package in PACKAGES {
        let directory = tree.join(package);
        if directory.exists() {
            let mut old = Vec::new();
            files(&directory, &mut old)?;
            for path in old.iter().filter(|path| path.strip_prefix(tree).is_ok_and(|p| !p.exists())) {
                fs::remove_file(path)?;
            }
        }
        fs::create_dir_all(&directory)?;
        // Texts that tests read, and the manifest; core's is [`command_lines`]'s.
        for entry in fs::read_dir(package)? {
            let path = entry?.path();
            if path.is_file() && path != Path::new("core/Cargo.toml") {
                write_changed(&tree.join(&path), &fs::read_to_string(&path)?)?;
            }
        }
    }
    let manifest = fs::read_to_string("Cargo.toml")?;
    let members: Vec<_> =
        manifest.lines().map(|l| if l.starts_with("members") { "members = [\"core\", \"net\"]" } else { l }).collect();
    write_changed(&tree.join("Cargo.toml"), &members.join("\n"))?;
    write_changed(&tree.join("Cargo.lock"), &fs::read_to_string("Cargo.lock")?)?;
    write_changed(&tree.join("core/src/mutants.rs"), include_str!("on.rs"))?;
    command_lines(tree)?;
    let testdata = tree.join("testdata");
    if !testdata.exists() {
        std::os::unix::fs::symlink(fs::canonicalize("testdata")?, testdata)?;
    }
    Ok(())
}

fn write_changed(path: &Path, text: &str) -> Outcome<()> {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::create_dir_all(path.parent().ok_or("no directory")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}
