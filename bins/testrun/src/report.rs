//! What became of the tests, counted and told.

use std::collections::BTreeMap;

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work; so many rows of a program without a harness.
    Passed(usize),
    /// It could not do all of its work here, for these reasons.
    Skipped(Vec<String>),
    /// Why it failed.
    Failed(String),
}

impl Outcome {
    /// Of a test that ended well, by what it printed.
    pub fn of_text(text: &str) -> Outcome {
        let reasons: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("skipped: ")).map(str::to_owned).collect();
        if !reasons.is_empty() {
            return Outcome::Skipped(reasons);
        }
        Outcome::Passed(text.lines().filter(|line| line.starts_with("row: ") && line.ends_with(": ok")).count())
    }

    /// Whether it is no failure.
    pub fn is_good(&self) -> bool {
        !matches!(self, Outcome::Failed(_))
    }
}

/// All outcomes.
pub struct Report {
    strict: bool,
    /// Tests that run only when they are asked for.
    pub ignored: usize,
    passed: usize,
    skipped: usize,
    rows: usize,
    reasons: BTreeMap<String, usize>,
    failed: Vec<(String, String)>,
    /// Tests that failed first and did not then.
    flaky: Vec<String>,
}

impl Report {
    /// An empty one; `strict` makes a skipped test a failed one.
    pub fn new(strict: bool) -> Report {
        let (failed, flaky, reasons) = (Vec::new(), Vec::new(), BTreeMap::new());
        Report { strict, ignored: 0, passed: 0, skipped: 0, rows: 0, reasons, failed, flaky }
    }

    /// Notes what became of a test, and shows what a failed one printed.
    pub fn add(&mut self, name: &str, outcome: Outcome, text: &str) {
        let reason = match outcome {
            Outcome::Passed(rows) => {
                self.passed += 1;
                self.rows += rows;
                return;
            }
            Outcome::Skipped(reasons) if self.strict => format!("skipped: {}", reasons.join("; ")),
            Outcome::Skipped(reasons) => {
                self.skipped += 1;
                for reason in reasons {
                    *self.reasons.entry(reason).or_default() += 1;
                }
                return;
            }
            Outcome::Failed(reason) => reason,
        };
        println!("---- {name}\n{}\n---- {name}: {reason}", text.trim_end());
        self.failed.push((name.to_owned(), reason));
    }

    /// Notes what became of a failed test when it ran again.
    pub fn again(&mut self, name: &str, outcome: Outcome, text: &str) {
        let first = self.failed.iter().position(|(failed, _)| failed == name).map(|at| self.failed.remove(at));
        if outcome.is_good() {
            let reason = first.map(|(_, reason)| reason).unwrap_or_default();
            self.flaky.push(format!("{name} (first: {reason})"));
        }
        self.add(name, outcome, text);
    }

    /// Whether tests were run and none failed.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.passed > 0
    }

    /// Passed, failed and skipped. That no test was run is a failure.
    pub fn totals(&self) -> String {
        let nothing = usize::from(self.passed == 0 && self.failed.is_empty());
        format!("{} {} {}\n", self.passed, self.failed.len() + nothing, self.skipped)
    }

    /// Prints all but the totals.
    pub fn print(&self) {
        println!();
        for (reason, count) in &self.reasons {
            println!("  skipped: {count} × {reason}");
        }
        println!("ignored tests, run by scripts/prove.sh all: {}", self.ignored);
        println!("rows of programs without a harness: {}", self.rows);
        println!("passed only when run again: {}", self.flaky.len());
        for name in &self.flaky {
            println!("  {name}");
        }
        for (name, reason) in &self.failed {
            println!("FAILED: {name}: {reason}");
        }
        if self.passed == 0 {
            println!("FAILED: no test was run to its end");
        }
    }
}
