//! What the choice of hosts is worth, as a table that is kept: a change of policy is a diff to read.
//!
//! `SIM_WRITE=1` writes `testdata/sim/policy.md` anew.

mod model;
mod ours;
mod rivals;
mod rows;

use crate::rng::Rng;
use model::{Model, Scheduling, Setup};
use ours::Ours;
use rivals::{Rival, Rule};
use rows::ROWS;
use std::fmt::Write;

/// Each cell is the mean of so many runs.
const SEEDS: u64 = 8;

const KEPT: &str = include_str!("../../../../testdata/sim/policy.md");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/sim/policy.md");
const REWRITE: &str = "SIM_WRITE=1 cargo test -p ice-core --test sim policy";

const HEAD: &str = "\
# What the choice of hosts is worth

Written by `core/tests/sim/policy/mod.rs`, which fails when it computes another table. To write it anew, and then read the difference:

    SIM_WRITE=1 cargo test -p ice-core --test sim policy

Each row is a cluster and a build (`core/tests/sim/policy/rows.rs`), each column a policy on the same model of hosts, jobs and messages
(`core/tests/sim/policy/model.rs`). Of a job's work and a host's speed a policy knows only what finished jobs teach it. Submitters compile nothing
themselves. Each cell is the mean of 8 seeds:

- *makespan*: time of the whole build ÷ its lower bound, the larger of: all work ÷ the speed of all slots (of the fastest N with `-jN`, while their hosts
  are there); the longest job on the fastest host. 1.00 cannot be reached: speeds are not known at first, and slots are not all busy to the end.
- *wait*: the longest that a job waited, in seconds, from its first request until it began to be compiled.
- *fairness*: the slowest submitter's slowdown ÷ the fastest's; slowdown = time of its build ÷ its lower bound with all slots to itself. 1.00 = all suffer
  alike; \"-\" with one submitter. Beside a flood a small build cannot have 1.00: half of the slots is all it could ask for.

Policies: *ours* = the real scheduler. *1.4* = its walk over the hosts, with its queue, where the head keeps all others waiting. *least loaded* and
*random* = that queue with a simple choice among the hosts that have room: of those with a free slot the emptiest; any, preload included.

";

/// A policy: its name and how one of it is made.
type Column = (&'static str, fn(&Setup, u64) -> Box<dyn Scheduling + '_>);

const COLUMNS: &[Column] = &[
    ("ours", |setup, seed| Box::new(Ours::new(setup, seed))),
    ("1.4", |setup, seed| Box::new(Rival::new(setup, Rule::Walk, seed))),
    ("least loaded", |setup, seed| Box::new(Rival::new(setup, Rule::LeastLoaded, seed))),
    ("random", |setup, seed| Box::new(Rival::new(setup, Rule::Random, seed))),
];

#[test]
fn policy_table_is_the_one_that_is_kept() {
    let table = table();
    println!("{table}");
    if crate::number("SIM_WRITE", 0) > 0 {
        #[allow(clippy::disallowed_methods, reason = "asked for by the person who runs it")]
        std::fs::write(FILE, &table).expect("the table can be written");
        return;
    }
    let changed = table.lines().zip(KEPT.lines()).filter(|(new, old)| new != old);
    let changed: String = changed.map(|(new, old)| format!("-{old}\n+{new}\n")).collect();
    assert!(table == KEPT, "the policy is worth something else now; if that is meant: {REWRITE}\n{changed}");
}

fn table() -> String {
    let mut text = HEAD.to_string();
    let mut line = |name: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:<24} |")).collect();
        let _ = writeln!(text, "| {name:<34} |{cells}");
    };
    line("", &COLUMNS.iter().map(|(name, _)| (*name).to_string()).collect::<Vec<_>>());
    line("---", &COLUMNS.iter().map(|_| "---".to_string()).collect::<Vec<_>>());
    line("", &COLUMNS.iter().map(|_| "makespan  wait  fairness".to_string()).collect::<Vec<_>>());
    for row in ROWS {
        let mut sums = vec![Cell::default(); COLUMNS.len()];
        for seed in 1..=SEEDS {
            let mut rng = Rng::new(seed);
            let mut setup = (row.setup)(&mut rng);
            setup.shuffle(&mut rng);
            for ((_, column), sum) in COLUMNS.iter().zip(&mut sums) {
                sum.add(measure(&setup, &mut *column(&setup, seed)));
            }
        }
        line(row.name, &sums.iter().map(Cell::mean).collect::<Vec<_>>());
    }
    text
}

#[derive(Clone, Copy, Default)]
struct Cell {
    makespan: f64,
    wait_s: f64,
    /// None with one submitter.
    fairness: Option<f64>,
}

impl Cell {
    fn add(&mut self, other: Self) {
        self.makespan += other.makespan;
        self.wait_s += other.wait_s;
        self.fairness = other.fairness.map(|fairness| self.fairness.unwrap_or(0.0) + fairness);
    }

    fn mean(&self) -> String {
        let mean = |sum: f64| format!("{:.2}", sum / SEEDS as f64);
        let fairness = self.fairness.map_or("-".into(), mean);
        format!("{:>8} {:>6} {:>8}", mean(self.makespan), mean(self.wait_s), fairness)
    }
}

fn measure(setup: &Setup, scheduling: &mut dyn Scheduling) -> Cell {
    let fared = Model::new(setup, scheduling).run();
    let submitters = || setup.submitters.iter().zip(&fared);
    let ends = submitters().map(|(s, fared)| (s.begins + fared.took).as_secs_f64());
    let slowdown = submitters().map(|(s, fared)| fared.took.as_secs_f64() / setup.bound_alone(s));
    let (least, most) = slowdown.fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), s| (least.min(s), most.max(s)));
    let makespan = ends.fold(0.0, f64::max) / setup.bound();
    assert!(makespan >= 1.0, "{makespan}: the lower bound is none");
    Cell {
        makespan,
        wait_s: fared.iter().map(|fared| fared.waited.as_secs_f64()).fold(0.0, f64::max),
        fairness: (fared.len() > 1).then(|| most / least),
    }
}
