//! Random edits of random trees of headers: after each the unit is compiled, plain and by files (`ICECC_FILES=on`), and all that
//! comes of it is compared.
//!
//! A life is a tree and its edits, made from a number: one script, which runs in a new directory each time. What a server knows of
//! the tree before an edit must not mislead it after it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::compare::Trial;
use crate::host::Workers;
use crate::long::Run;

/// Edits of a life.
const EDITS: usize = 25;
/// Lives of the whole proof.
const LIVES: u64 = 400;
/// Edits and number of lives that are tried with the tests.
const SAMPLE: (usize, u64) = (15, 4);
/// Headers of a tree, which have the same names in each directory.
const HEADERS: usize = 5;
const DIRECTORIES: [&str; 5] = ["d0", "d1", "d2", "d0/s", "."];
const COMPILERS: [(&str, &str); 4] = [("GCC", "c"), ("CLANG", "c"), ("GXX", "cc"), ("CLANGXX", "cc")];

/// What came of a life, as written to the results file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Result {
    life: u64,
    edits: usize,
    /// Compiles by files, and those of them in which the server asked for facts.
    by_files: usize,
    asked: usize,
    /// Compiles here, whether tried elsewhere or not.
    here: usize,
    differs: Vec<(String, String)>,
}

#[test]
fn a_few_lives() {
    let (edits, lives) = SAMPLE;
    let Some(results) = try_lives(edits, &(0..lives).collect::<Vec<_>>(), |_| ()) else { return };
    assert_eq!(report(&results), 0, "objects differ");
}

#[test]
#[ignore = "long: scripts/prove.sh files.3"]
fn files_3_random_edits() {
    let run = Run::asked();
    let lives = (run.seed * LIVES..(run.seed + 1) * LIVES).filter(|life| run.has(*life as usize));
    let mut known: Vec<Result> = run.known();
    let is_known = |life: &u64| known.iter().any(|result| result.life == *life);
    let (wanted, missing): (Vec<u64>, Vec<u64>) = lives.partition(is_known);
    known.retain(|result| wanted.contains(&result.life));
    println!(
        "{} lives, {} of them known already; results: {}",
        wanted.len() + missing.len(),
        wanted.len(),
        run.results
    );
    let Some(new) = try_lives(EDITS, &missing, run.writer()) else { return };
    known.extend(new);
    assert_eq!(report(&known), 0, "objects differ");
}

fn try_lives(edits: usize, lives: &[u64], mut each: impl FnMut(&Result)) -> Option<Vec<Result>> {
    let workers = Workers::shared()?;
    let mut results = Vec::new();
    workers.try_all(lives.iter().map(|life| Life::new(*life).trial(edits)), |number, outcome| {
        let compiles: Vec<&str> = outcome.log.split_inclusive("compiled by files").collect();
        let by_files = compiles.iter().filter(|log| log.ends_with("compiled by files"));
        let asked = by_files.clone().filter(|log| log.contains(" things of kind 1")).count();
        let result = Result {
            life: lives[number],
            edits,
            by_files: by_files.count(),
            asked,
            here: outcome.log.matches("<building_local>").count(),
            differs: outcome.differences,
        };
        each(&result);
        results.push(result);
    });
    Some(results)
}

/// Prints the totals, and of each life what differs; how many do.
fn report(results: &[Result]) -> usize {
    let differing: Vec<&Result> = results.iter().filter(|result| !result.differs.is_empty()).collect();
    for result in &differing {
        println!("differs: life {}", result.life);
        result.differs.iter().for_each(|(what, how)| println!("    {what}: {how}"));
    }
    let sum = |of: &dyn Fn(&Result) -> usize| results.iter().map(of).sum::<usize>();
    let (by_files, asked) = (sum(&|r| r.by_files), sum(&|r| r.asked));
    println!(
        "{} edits of {} trees: {by_files} compiled by files, {} of them without a question for facts, {asked} asked; {} compiled here; {} \
         trees differ",
        sum(&|r| r.edits),
        results.len(),
        by_files - asked,
        sum(&|r| r.here),
        differing.len(),
    );
    differing.len()
}

/// Chances of one life, and the script that comes of them.
struct Life {
    state: u64,
    /// Texts of headers that were written: each is another one.
    texts: usize,
    suffix: &'static str,
    script: String,
}

impl Life {
    fn new(number: u64) -> Self {
        // Numbers in a row begin with very different states.
        let state = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self { state, texts: 0, suffix: "", script: String::new() }
    }

    fn trial(mut self, edits: usize) -> Trial {
        let (compiler, suffix) = COMPILERS[self.below(COMPILERS.len())];
        self.suffix = suffix;
        for _ in 0..4 * HEADERS {
            self.write_header();
        }
        self.write_source();
        let setup = format!("mkdir -p d0/s d1 d2 out\n{}", std::mem::take(&mut self.script));
        let options = self.options();
        for number in 0..edits {
            self.edit();
            // A file that is younger than the clock's last step counts as being written.
            let _ = writeln!(
                self.script,
                "sleep 0.02; {compiler} {options} -MD -MF out/{number}.d -c s.{suffix} -o out/{number}.o 2>out/{number}.err; \
                 echo $? >out/{number}.status"
            );
        }
        let environment = vec![("ICECC_FILES".to_string(), "on".to_string())];
        Trial { setup, command: self.script, environment, may_differ: Vec::new() }
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % end
    }

    /// The directories to search, in an order of this life.
    fn options(&mut self) -> String {
        let mut options = vec!["-I d0".to_string(), "-I d1".to_string(), "-isystem d2".to_string()];
        options.push(["-iquote d0/s", "-I d0/s", "-idirafter d0/s", "-I d9"][self.below(4)].to_string());
        options.push(["-O0", "-O1", "-Wall", "-DX=1"][self.below(4)].to_string());
        for last in (1..options.len()).rev() {
            let other = self.below(last + 1);
            options.swap(last, other);
        }
        options.join(" ")
    }

    fn header(&mut self) -> String {
        let directory = DIRECTORIES[self.below(DIRECTORIES.len())];
        format!("{directory}/h{}.h", self.below(HEADERS))
    }

    /// Writes a line of the script.
    fn line(&mut self, line: &str) {
        self.script.push_str(line);
        self.script.push('\n');
    }

    /// How a text includes a header of at least this number, so that none includes itself without end.
    fn include(&mut self, least: usize) -> String {
        let name = format!("h{}.h", least + self.below(HEADERS - least));
        match self.below(6) {
            0 => format!("#if __has_include(<{name}>)\\n#include <{name}>\\n#endif\\n"),
            1 => format!("#if __has_include(\"{name}\")\\n#include \"{name}\"\\n#endif\\n"),
            2 => format!(
                "#ifdef __has_include_next\\n#if __has_include_next(<{name}>)\\n#include_next <{name}>\\n#endif\\n#endif\\n"
            ),
            3 => {
                format!("#define NAME <{name}>\\n#if __has_include(<{name}>)\\n#include NAME\\n#endif\\n#undef NAME\\n")
            }
            4 => format!("#if __has_include(\"s/{name}\")\\n#include \"s/{name}\"\\n#endif\\n"),
            // Now and then it is missing, and the compile fails.
            _ if self.below(4) == 0 => format!("#include \"{name}\"\\n"),
            _ => String::new(),
        }
    }

    /// The text of a header of this number: a variable of its own, and what it includes.
    fn text(&mut self, number: usize) -> String {
        self.texts += 1;
        let unique = self.texts;
        let guard = match self.below(3) {
            0 => "#pragma once\\n".to_string(),
            1 => format!("#ifndef G{unique}\\n#define G{unique}\\n"),
            _ => format!("#ifndef H{number}\\n#define H{number}\\n"),
        };
        let includes =
            if number + 1 < HEADERS { self.include(number + 1) + &self.include(number + 1) } else { String::new() };
        let end = if guard.starts_with("#ifndef") { "#endif\\n" } else { "" };
        format!("{guard}static const char v{unique:04}[] __attribute__((used)) = __FILE__;\\n{includes}{end}")
    }

    fn write_header(&mut self) {
        let path = self.header();
        self.write_to(&path);
    }

    fn write_to(&mut self, path: &str) {
        let number = path.bytes().rev().find(u8::is_ascii_digit).map_or(0, |digit| usize::from(digit - b'0'));
        let text = self.text(number);
        // It may be a link that leads nowhere, or to itself.
        self.line(&format!("rm -f {path}; printf '{text}' >{path}"));
    }

    fn write_source(&mut self) {
        let includes: String = (0..6).map(|_| self.include(0)).collect();
        let suffix = self.suffix;
        self.texts += 1;
        let text = self.texts;
        self.line(&format!("printf '{includes}int f{text}(void) {{ return __LINE__; }}\\n' >s.{suffix}"));
    }

    /// One change, or none. What cannot be done in this state of the tree is left undone, in each run alike.
    fn edit(&mut self) {
        let (path, other) = (self.header(), self.header());
        let quietly = "2>/dev/null || true";
        match self.below(16) {
            0..=2 => self.write_to(&path),
            3 | 4 => self.line(&format!("rm -f {path}")),
            5 => self.line(&format!("mv -f {path} {other} {quietly}")),
            6 => self.line(&format!("ln -sfnr {path} {other} {quietly}")),
            7 => self.line(&format!("ln -f {path} {other} {quietly}")),
            8 => self.line(&format!("cp -pf {path} {other} {quietly}")),
            9 => self.line(&format!("[ ! -f {path} ] || {{ echo 'int restored;' >>{path}; touch -d @1000000000 {path}; }}")),
            // As long as before, with the time of before.
            10 => self.line(&format!(
                "[ ! -f {path} ] || {{ touch -r {path} time; sed -i 's/static const/const static/' {path}; touch -r time {path}; rm time; }}"
            )),
            11 => self.line("mv d1 t && mv d2 d1 && mv t d2"),
            12 => self.line("if [ -L d2 ]; then rm d2 && mv real d2; else mv d2 real && ln -s real d2; fi"),
            13 => self.line(&format!("touch {path}")),
            14 => self.write_source(),
            _ => self.line(":"),
        }
    }
}
