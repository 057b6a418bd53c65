//! Runs the tests: once each to see which mutants it reaches, then for each mutant the tests that reach it.

use crate::{Built, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A test that takes longer runs by itself, after all others.
const SLOW: Duration = Duration::from_secs(1);

/// What is asked for.
pub struct Options {
    seed: u64,
    part: (usize, usize),
    quick: bool,
    again: bool,
    text: String,
}

impl Options {
    pub fn read(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut options = Self { seed: 1, part: (1, 1), quick: false, again: false, text: String::new() };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--seed" => options.seed = value()?.parse()?,
                "--part" => {
                    let value = value()?;
                    let (k, n) = value.split_once('/').ok_or("--part K/N")?;
                    options.part = (k.parse()?, n.parse()?);
                }
                "--quick" => options.quick = true,
                "--again" => options.again = true,
                _ if arg.starts_with('-') => return Err(format!("unknown option {arg}").into()),
                _ => options.text = arg,
            }
        }
        Ok(options)
    }
}

struct Test {
    program: usize,
    name: String,
    takes: Duration,
    reaches: BTreeSet<usize>,
}

pub fn run(tree: &Path, built: &Built, options: &Options) -> Outcome<()> {
    let base = tree.parent().ok_or("no directory")?;
    let tests = reach(base, built)?;
    let results = base.join("results.tsv");
    if options.again {
        fs::remove_file(&results)
            .or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    }
    let listed = listed()?;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for line in fs::read_to_string(&results).unwrap_or_default().lines() {
        // A survivor is tried again: tests may have come.
        if let Some((result @ ("killed" | "hung"), name)) = line.split_once('\t') {
            known.insert(name.into(), result.into());
        }
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&results)?;
    let chosen = choose(built, options);
    let mut tally: BTreeMap<String, Tally> = BTreeMap::new();
    for id in &chosen {
        let name = &built.names[*id];
        let result = match known.get(name) {
            Some(result) => result.clone(),
            None => {
                let result = one(built, &tests, *id, options)?;
                writeln!(file, "{result}\t{name}")?;
                result
            }
        };
        let tally = tally.entry(name.split(' ').next().unwrap_or_default().into()).or_default();
        tally.tried += 1;
        if result == "killed" || result == "hung" {
            tally.killed += 1;
        } else {
            tally.survived += 1;
            tally.listed += usize::from(listed.contains(name));
            let note = if listed.contains(name) { "listed" } else { &result };
            println!("{note}\t{name}");
        }
    }
    for (package, tally) in tally {
        let Tally { tried, killed, survived, listed } = tally;
        let share = survived as f64 * 100.0 / tried as f64;
        println!(
            "{package}: {tried} tried, {killed} killed, {survived} survived ({share:.1} %), {listed} of them listed"
        );
    }
    let exist: BTreeSet<&String> = built.names.iter().filter(|name| !built.dropped.contains(*name)).collect();
    for name in listed.iter().filter(|name| !exist.contains(name)) {
        println!("no mutant\t{name}");
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    tried: usize,
    killed: usize,
    survived: usize,
    listed: usize,
}

/// The survivors that `testdata/mutants.md` names: each in backquotes at the start of a row.
fn listed() -> Outcome<BTreeSet<String>> {
    let text = fs::read_to_string("testdata/mutants.md").unwrap_or_default();
    let rows = text.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("`: "));
    Ok(rows.map(|(name, _)| name.to_owned()).collect())
}

fn choose(built: &Built, options: &Options) -> Vec<usize> {
    let all = (0..built.names.len()).filter(|id| !built.dropped.contains(&built.names[*id]));
    let mut all: Vec<usize> = all.filter(|id| built.names[*id].contains(&options.text)).collect();
    let mut state = options.seed;
    for n in (1..all.len()).rev() {
        // A shuffle needs no better numbers than these.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        all.swap(n, (state >> 33) as usize % (n + 1));
    }
    let (k, n) = options.part;
    all.into_iter().skip(k.saturating_sub(1)).step_by(n.max(1)).collect()
}

/// What each test reaches.
fn reach(base: &Path, built: &Built) -> Outcome<Vec<Test>> {
    let record = base.join("reached");
    let mut tests = Vec::new();
    for (program, (path, directory)) in built.programs.iter().enumerate() {
        let output = command(path, directory).arg("--list").output()?;
        for line in String::from_utf8(output.stdout)?.lines() {
            let Some(name) = line.strip_suffix(": test") else { continue };
            let start = Instant::now();
            let mut command = command(path, directory);
            command.args(["--exact", name]).env("MUTANTS_RECORD", fs::canonicalize(base)?.join("reached"));
            if end(command, Duration::from_secs(300))? != Some(true) {
                return Err(format!("{name} fails by itself").into());
            }
            let takes = start.elapsed();
            let reaches =
                fs::read_to_string(&record).unwrap_or_default().lines().filter_map(|l| l.parse().ok()).collect();
            _ = fs::remove_file(&record);
            tests.push(Test { program, name: name.into(), takes, reaches });
        }
    }
    println!("{} tests", tests.len());
    tests.sort_by_key(|test| test.takes);
    Ok(tests)
}

/// The tests against one mutant.
fn one(built: &Built, tests: &[Test], id: usize, options: &Options) -> Outcome<String> {
    let reaching = tests.iter().filter(|test| test.reaches.contains(&id));
    let (fast, slow): (Vec<&Test>, Vec<&Test>) = reaching.partition(|test| test.takes < SLOW);
    let mut groups: BTreeMap<usize, Vec<&Test>> = BTreeMap::new();
    for test in fast {
        groups.entry(test.program).or_default().push(test);
    }
    let mut groups: Vec<Vec<&Test>> = groups.into_values().collect();
    if !options.quick {
        groups.extend(slow.into_iter().map(|test| vec![test]));
    }
    if groups.is_empty() {
        return Ok("unreached".into());
    }
    for group in groups {
        let (path, directory) = &built.programs[group[0].program];
        let mut command = command(path, directory);
        command.arg("--exact").args(group.iter().map(|test| &test.name)).env("MUTANT", id.to_string());
        let bound = group.iter().map(|test| test.takes).sum::<Duration>() * 4 + Duration::from_secs(10);
        match end(command, bound)? {
            Some(true) => {}
            Some(false) => return Ok("killed".into()),
            None => return Ok("hung".into()),
        }
    }
    Ok("survived".into())
}

fn command(program: &PathBuf, directory: &PathBuf) -> Command {
    let mut command = Command::new(program);
    // Two seeds of the simulation are enough here: what needs more is not noticed by the tests that everybody runs.
    command.current_dir(directory).env("SIM_SEEDS", "2").env("SIM_LARGE_SEEDS", "0");
    // To look names up for a backtrace takes longer than most tests.
    command.env("RUST_BACKTRACE", "0");
    command
}

/// Whether the tests succeed; none if they do not end in time. The first that fails is enough.
fn end(mut command: Command, bound: Duration) -> Outcome<Option<bool>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let failed = Arc::new(AtomicBool::new(false));
    let (stdout, told) = (child.stdout.take().ok_or("no output")?, Arc::clone(&failed));
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        if lines.any(|line| line.is_ok_and(|line| line.starts_with("test ") && line.ends_with("FAILED"))) {
            told.store(true, Ordering::Relaxed);
        }
    });
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        if failed.load(Ordering::Relaxed) {
            child.kill()?;
            child.wait()?;
            return Ok(Some(false));
        }
        if start.elapsed() > bound {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(4));
    }
}
