//! The whole cluster on one thread, from one seed: the real scheduler, thousands of real daemons with the jobs they serve,
//! and the real clients, with crashes, frozen, slow and lying hosts, full disks, cut and half-open links, daemons that are told
//! to stop, lost schedulers and users who give up. A phase with faults, then one without that must drain within minutes.
//!
//! `SIM_SEEDS=n` runs more seeds, `SIM_SEED=s` one, `SIM_HOSTS` and `SIM_JOBS` set its size. A failure prints the seed, and a
//! seed replays exactly. `SIM_WRITE=1` writes the table of policies anew (`policy/mod.rs`).

#![allow(clippy::expect_used, reason = "a test: a broken world shall stop it")]

mod checkers;
mod clients;
mod conns;
mod hosts;
mod network;
mod policy;
mod rng;
mod servers;
mod workload;
mod world;

use world::{Report, World};

fn number(name: &str, default: u64) -> u64 {
    #[allow(clippy::disallowed_methods, reason = "a test's own settings")]
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Runs one seed; the seed stands in the message of whatever fails.
fn run(seed: u64, hosts: usize, jobs: usize) -> Report {
    let outcome = std::panic::catch_unwind(|| World::new(seed, hosts, jobs).run());
    outcome.unwrap_or_else(|cause| {
        eprintln!("replay with SIM_SEED={seed} SIM_HOSTS={hosts} SIM_JOBS={jobs}");
        std::panic::resume_unwind(cause)
    })
}

fn table(name: &str, seeds: impl Iterator<Item = u64>, hosts: usize, jobs: usize) {
    println!("{name}: {hosts} hosts, {jobs} jobs");
    println!("{}", Report::head());
    for seed in seeds {
        let report = run(seed, hosts, jobs);
        println!("{report}");
        assert!(report.removed > 0, "no environment was ever removed: the caches are too large to show anything");
        assert!(report.lost * 1000 <= jobs as u64, "{} jobs were lost to environments that had gone", report.lost);
    }
}

#[test]
fn small_clusters_hold_their_invariants() {
    if let seed @ 1.. = number("SIM_SEED", 0) {
        return table("one", [seed].into_iter(), number("SIM_HOSTS", 200) as usize, number("SIM_JOBS", 5_000) as usize);
    }
    table("small", 1..=number("SIM_SEEDS", 20), 200, 5_000);
}

#[test]
fn large_clusters_hold_their_invariants() {
    if number("SIM_SEED", 0) > 0 {
        return;
    }
    table("large", 1..=number("SIM_LARGE_SEEDS", 2), 2_000, 50_000);
}

#[test]
fn a_seed_replays_exactly() {
    let first = run(7, 40, 1_500);
    let second = run(7, 40, 1_500);
    assert_eq!(first.trace, second.trace);
    assert_ne!(first.trace, run(8, 40, 1_500).trace, "another seed is another run");
}
