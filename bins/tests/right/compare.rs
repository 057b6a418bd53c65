//! Tables of commands, and the comparison of a command with itself through icecc.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::host::Workers;
use crate::run::{Left, Thing, make_fresh, run};

/// Where a command must have been compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// By the other host, and only there.
    Remote,
    /// By the other host and only there, and each job by files.
    ByFiles,
    /// By the other host, then once more here.
    Twice,
    /// Not sent; the client's log has this text.
    Local(&'static str),
    /// Anywhere.
    Any,
}

/// A command and what is expected of it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    command: &'static str,
    setup: &'static str,
    environment: &'static [(&'static str, &'static str)],
    expect: Expect,
}

/// A row that must be compiled by the other host.
pub const fn remote(command: &'static str) -> Row {
    Row { command, setup: "", environment: &[], expect: Expect::Remote }
}

/// A row of which each job must be done by files.
pub const fn by_files(command: &'static str) -> Row {
    Row { expect: Expect::ByFiles, environment: BY_FILES, ..remote(command) }
}

/// Switches files mode on.
const BY_FILES: &[(&str, &str)] = &[("ICECC_FILES", "on")];

/// A row that is sent and then compiled here.
pub const fn twice(command: &'static str) -> Row {
    Row { expect: Expect::Twice, ..remote(command) }
}

/// A row that must stay here, for a reason that the log gives.
pub const fn local(command: &'static str, reason: &'static str) -> Row {
    Row { expect: Expect::Local(reason), ..remote(command) }
}

/// A row that may be compiled anywhere.
pub const fn any(command: &'static str) -> Row {
    Row { expect: Expect::Any, ..remote(command) }
}

impl Row {
    /// With more to do before it than its table says.
    pub const fn setup(self, setup: &'static str) -> Row {
        Row { setup, ..self }
    }

    /// With these variables for all three runs.
    pub const fn env(self, environment: &'static [(&'static str, &'static str)]) -> Row {
        Row { environment, ..self }
    }
}

/// A subject's rows.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// A script of bash that fills the empty directory before each run.
    pub setup: &'static str,
    /// The rows.
    pub rows: &'static [Row],
}

impl Table {
    /// Tries every row, then fails if one is not as expected.
    #[track_caller]
    pub fn try_all(&self) {
        let Some(workers) = Workers::shared() else { return };
        let trial = |row: &Row| Trial {
            setup: format!("{}\n{}", self.setup, row.setup),
            command: row.command.to_string(),
            environment: row.environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            may_differ: Vec::new(),
        };
        let mut wrong = Vec::new();
        let (mut counts, mut succeed) = ([0; 3], 0);
        workers.try_all(self.rows.iter().map(trial), |number, outcome| {
            counts[outcome.place as usize] += 1;
            succeed += usize::from(outcome.succeeds);
            if let Err(reason) = outcome.is_as_expected(self.rows[number].expect) {
                wrong.push((number, format!("{}\n{reason}\n", self.rows[number].command)));
            }
        });
        wrong.sort();
        let [remote, local, twice] = counts;
        println!("{} rows, {succeed} compile: {remote} remote, {local} local, {twice} twice", self.rows.len());
        let shown: String = wrong.iter().map(|(number, text)| format!("\nrow {number}: {text}")).collect();
        assert!(wrong.is_empty(), "{} of {} rows are wrong:\n{shown}", wrong.len(), self.rows.len());
    }
}

/// More plain runs where something differs, and the time between them.
const PLAIN_MORE: usize = 6;
const PAUSE: Duration = Duration::from_millis(300);

/// A command to be compared.
#[derive(Debug, Clone)]
pub struct Trial {
    /// A script that fills the empty directory.
    pub setup: String,
    /// The command.
    pub command: String,
    /// Variables for all runs.
    pub environment: Vec<(String, String)>,
    /// Patterns of what may differ.
    pub may_differ: Vec<String>,
}

/// Where a command was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// By the other host.
    Remote,
    /// Here, without asking.
    Local,
    /// By the other host and here.
    Twice,
}

/// What came of a trial.
#[derive(Debug)]
pub struct Outcome {
    /// Where it was compiled.
    pub place: Place,
    /// What differs, each with how; empty if all is equal.
    pub differences: Vec<(String, String)>,
    /// The client's log.
    pub log: String,
    /// Whether the plain command succeeded.
    pub succeeds: bool,
}

impl Trial {
    /// Runs it three times below this folder and compares, and more often where something differs.
    pub fn run(&self, folder: &Path, path: &str) -> Outcome {
        let directory = folder.join("w");
        let log = folder.join("log");
        let log_name = log.display().to_string();
        let mut plain: Vec<(&str, &str)> = vec![("PATH", path)];
        plain.extend(self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut through = plain.clone();
        through.extend([("ICECC_DEBUG", "debug"), ("ICECC_LOGFILE", &log_name), ("ICECC_PREFERRED_HOST", "h2")]);
        let one = self.run_once(&directory, &plain, "");
        let two = self.run_once(&directory, &plain, "");
        let _ = fs::remove_file(&log);
        let three = self.run_once(&directory, &through, "icecc ");
        let log = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        let place = match (log.contains("Have to use host 10.77.0.2"), log.contains("<building_local>")) {
            (true, false) => Place::Remote,
            (true, true) => Place::Twice,
            (false, _) => Place::Local,
        };
        let mut differences = differing(&one, &three);
        drop_noise(&mut differences, &differing(&one, &two));
        // What varies by chance, or each second, may have been the same in two runs.
        for _ in 0..PLAIN_MORE {
            if differences.iter().all(|(name, _)| self.may_differ.iter().any(|pattern| fits_path(pattern, name))) {
                break;
            }
            thread::sleep(PAUSE);
            drop_noise(&mut differences, &differing(&one, &self.run_once(&directory, &plain, "")));
        }
        let succeeds = one.get("status") == Some(&Thing::Status(Some(0), None));
        Outcome { place, differences, log, succeeds }
    }

    fn run_once(&self, directory: &Path, environment: &[(&str, &str)], prefix: &str) -> Left {
        make_fresh(directory);
        let setup = run(directory, &environment[..1], &format!("set -e\n{}", self.setup));
        assert_eq!(
            setup.get("status"),
            Some(&Thing::Status(Some(0), None)),
            "{}: {:?}",
            self.setup,
            setup.get("stderr")
        );
        run(directory, environment, &with_compilers(&self.command, prefix))
    }
}

/// The command with the compilers' names behind `prefix`.
fn with_compilers(command: &str, prefix: &str) -> String {
    let mut whole = String::new();
    let mut word = String::new();
    for character in command.chars().chain(['\n']) {
        if character.is_ascii_alphanumeric() || character == '_' {
            word.push(character);
            continue;
        }
        match word.as_str() {
            "GCC" => whole.extend([prefix, "gcc"]),
            "GXX" => whole.extend([prefix, "g++"]),
            "CLANG" => whole.extend([prefix, "clang"]),
            "CLANGXX" => whole.extend([prefix, "clang++"]),
            "ICE" => whole.push_str(prefix.trim_end()),
            _ => whole.push_str(&word),
        }
        word.clear();
        whole.push(character);
    }
    whole
}

fn differing(one: &Left, other: &Left) -> Vec<(String, String)> {
    let mut names: Vec<&String> = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))).collect();
    names.sort();
    let unequal = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
    unequal.map(|name| (name.clone(), how(one.get(name), other.get(name)))).collect()
}

/// Leaves out what varies between plain runs.
fn drop_noise(differences: &mut Vec<(String, String)>, noise: &[(String, String)]) {
    differences.retain(|(name, _)| !noise.iter().any(|(noisy, _)| noisy == name));
}

/// As [`fits`]; files are named with the directory in front.
pub fn fits_path(pattern: &str, what: &str) -> bool {
    fits(pattern, what.strip_prefix("./").unwrap_or(what))
}

/// Whether a pattern, in which `*` stands for any text, is that of the whole text.
pub fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|at| text.is_char_boundary(at) && fits(rest, &text[at..]))),
    }
}

/// How two things differ, in a line or two.
fn how(plain: Option<&Thing>, other: Option<&Thing>) -> String {
    match (plain, other) {
        (Some(Thing::Text(plain)), Some(Thing::Text(other))) => how_bytes(plain, other),
        (Some(Thing::File(mode, names, plain)), Some(Thing::File(other_mode, other_names, other))) => {
            if (mode, names) == (other_mode, other_names) {
                return how_bytes(plain, other);
            }
            format!("mode {mode:o}, {names} names / mode {other_mode:o}, {other_names} names")
        }
        _ => format!("{} / {}", kind(plain), kind(other)),
    }
}

fn kind(thing: Option<&Thing>) -> String {
    match thing {
        None => "nothing".to_string(),
        Some(Thing::File(_, _, bytes)) => format!("file of {} bytes", bytes.len()),
        Some(Thing::Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(other) => format!("{other:?}"),
    }
}

/// Where they part, with some text around it.
fn how_bytes(plain: &[u8], other: &[u8]) -> String {
    const AROUND: usize = 100;
    let at = plain.iter().zip(other).take_while(|(a, b)| a == b).count();
    let mut text = format!("{} / {} bytes, from {at} on:", plain.len(), other.len());
    for bytes in [plain, other] {
        let part = &bytes[at.saturating_sub(AROUND / 2).min(bytes.len())..(at + AROUND).min(bytes.len())];
        let _ = write!(text, " {:?}", String::from_utf8_lossy(part));
    }
    text
}

impl Outcome {
    /// Why the job was not sent or not kept, as the log says.
    pub fn reason(&self) -> String {
        let said = |line: &&str| {
            ["building locally", "recompiling locally", "recompile locally"].iter().any(|t| line.contains(t))
        };
        let line = self.log.lines().find(said).or_else(|| self.log.lines().find(|line| line.contains("got exception")));
        let line = line.unwrap_or(&self.log);
        // Behind process number and time, of which the last colon has a space behind it.
        line.split_once(": ").map_or(line, |(_, text)| text).to_string()
    }

    fn is_as_expected(&self, expect: Expect) -> Result<(), String> {
        let mut wrong = String::new();
        for (name, how) in &self.differences {
            let _ = writeln!(wrong, "  {name} differs: {how}");
        }
        let is_there = match expect {
            Expect::Any => true,
            Expect::Remote => self.place == Place::Remote,
            Expect::ByFiles => {
                let count = |words| self.log.matches(words).count();
                self.place == Place::Remote && count("compiled by files on") == count("Have to use host")
            }
            Expect::Twice => self.place == Place::Twice,
            Expect::Local(reason) => self.place == Place::Local && self.log.contains(reason),
        };
        if !is_there {
            let _ = writeln!(wrong, "  it was {:?} ({}), not {expect:?}", self.place, self.reason());
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong}{}", self.log)) }
    }
}
