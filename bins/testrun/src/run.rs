//! Runs the tests: those of one program side by side, one program after the other; then the failed ones again, one at a time.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::list::Program;
use crate::machine;
use crate::process::{self, Ended};
use crate::report::{Outcome, Report};
use crate::supervise;

/// How long all tests together may take; those that have not begun then fail.
const WHOLE: Duration = Duration::from_secs(40 * 60);
/// If more tests fail than this, it is no matter of chance: none runs again.
const AGAIN_MAX: usize = 10;
/// How long the examples in the documentation may take: they are built too.
const EXAMPLES: Duration = Duration::from_secs(600);

/// Runs all tests of these programs.
pub fn all(programs: &[Program], bound: Duration, report: &mut Report) {
    let end = Instant::now() + WHOLE;
    let mut failed = Vec::new();
    for program in programs {
        let (begun, before) = (Instant::now(), machine::traces());
        let tests = match program.tests() {
            Ok((tests, ignored)) => {
                report.ignored += ignored;
                tests
            }
            Err(trouble) => {
                report.add(&program.name, Outcome::Failed(trouble), "");
                continue;
            }
        };
        let outcomes = side_by_side(&tests, |test| one(program, test, bound, end));
        let mut counted = [0; 2];
        let mut longest = (Duration::ZERO, "");
        for (test, (outcome, ended)) in tests.iter().zip(outcomes) {
            counted[usize::from(outcome.is_good())] += 1;
            longest = longest.max((ended.time, test));
            // One that hangs is no matter of chance, and would hang again.
            if matches!(&outcome, Outcome::Failed(reason) if !reason.starts_with(supervise::HUNG)) {
                failed.push((program, test.clone()));
            }
            report.add(&format!("{} {test}", program.name), outcome, &ended.text);
        }
        let left: Vec<_> = machine::traces().difference(&before).cloned().collect();
        if !left.is_empty() {
            let outcome = Outcome::Failed(format!("left behind on the machine: {}", left.join(", ")));
            report.add(&program.name, outcome, "");
        }
        if !tests.is_empty() {
            let [failed, passed] = counted;
            let (time, test) = (longest.0.as_secs_f32(), longest.1);
            let all = begun.elapsed().as_secs();
            println!("{}: {passed} passed, {failed} failed ({all} s; longest: {test}, {time:.1} s)", program.name);
        }
    }
    if failed.len() > AGAIN_MAX {
        println!("{} failed tests are too many to be run again", failed.len());
        return;
    }
    for (program, test) in failed {
        println!("again, alone: {} {test}", program.name);
        let (outcome, ended) = one(program, &test, bound, end);
        report.again(&format!("{} {test}", program.name), outcome, &ended.text);
    }
}

/// Runs the tests by as many threads as there are processors; what became of each, in their order.
fn side_by_side<T: Send>(tests: &[String], run: impl Fn(&str) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(tests.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(test) = tests.get(index) else { return };
                    let outcome = run(test);
                    done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((index, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Runs one test.
fn one(program: &Program, test: &str, bound: Duration, end: Instant) -> (Outcome, Ended) {
    let ended = if Instant::now() < end {
        process::run(&program.path, &["--exact", test, "--nocapture", "-q"], &program.directory, bound)
    } else {
        let trouble = Some("not begun: all tests together took too long".to_owned());
        Ended { text: String::new(), trouble, time: Duration::ZERO }
    };
    (judge(&ended), ended)
}

/// What a test's end means. A program that ends well without having run its test has not passed it.
fn judge(ended: &Ended) -> Outcome {
    match &ended.trouble {
        Some(trouble) => Outcome::Failed(trouble.clone()),
        None if !ended.text.contains("test result: ok. 1 passed;") => {
            Outcome::Failed("it ended well, but has not run its test".to_owned())
        }
        None => Outcome::of_text(&ended.text),
    }
}

/// Runs the examples in the documentation, all together.
pub fn examples(report: &mut Report) {
    let arguments = ["test", "-q", "--doc", "--workspace"];
    let ended = process::run(Path::new(crate::list::cargo().get_program()), &arguments, Path::new("."), EXAMPLES);
    let outcome = match ended.trouble {
        Some(trouble) => Outcome::Failed(trouble),
        None => Outcome::of_text(&ended.text),
    };
    report.add("examples in the documentation", outcome, &ended.text);
}
