//! The clusters and builds that every policy is tried on.

use super::model::{File, Machine, Setup, Submitter};
use crate::rng::Rng;
use ice_core::time::Duration;

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    pub setup: fn(&mut Rng) -> Setup,
}

/// All rows.
pub const ROWS: &[Row] = &[
    Row { name: "10 equal hosts of 4", setup: |rng| setup(equal(10), vec![build(rng, 600, 80, ORDINARY)]) },
    Row { name: "one of 10 is 4 times faster", setup: |rng| setup(odd(40), vec![build(rng, 600, 80, ORDINARY)]) },
    Row { name: "one of 10 is 10 times slower", setup: |rng| setup(odd(1), vec![build(rng, 600, 80, ORDINARY)]) },
    Row {
        name: "20 small hosts, 2 big ones",
        setup: |rng| setup(small_and_big(), vec![build(rng, 800, 150, ORDINARY)]),
    },
    Row { name: "few jobs at once, -j12", setup: |rng| setup(mixed_hosts(), vec![build(rng, 300, 12, ORDINARY)]) },
    Row {
        name: "owners take half of 5 of 10",
        setup: |rng| {
            let mut machines = equal(10);
            machines.iter_mut().take(5).for_each(|m| m.load = 500);
            setup(machines, vec![build(rng, 600, 80, ORDINARY)])
        },
    },
    Row { name: "one submitter, -j200", setup: |rng| setup(mixed_hosts(), vec![build(rng, 1000, 200, ORDINARY)]) },
    Row {
        name: "three submitters, -j150 -j50 -j20",
        setup: |rng| setup(equal(10), [150, 50, 20].map(|parallel| build(rng, 300, parallel, ORDINARY)).into()),
    },
    Row {
        name: "a small build beside a flood",
        setup: |rng| {
            let late = Submitter { begins: Duration::from_secs(10), ..build(rng, 40, 20, ORDINARY) };
            setup(equal(10), vec![build(rng, 1000, 200, ORDINARY), late])
        },
    },
    Row { name: "short jobs", setup: |rng| setup(mixed_hosts(), vec![build(rng, 2000, 120, SHORT)]) },
    Row { name: "long jobs", setup: |rng| setup(mixed_hosts(), vec![build(rng, 200, 80, LONG)]) },
    Row { name: "a heavy tail", setup: |rng| setup(mixed_hosts(), vec![build(rng, 800, 80, TAIL)]) },
    Row {
        name: "the same built again",
        setup: |rng| Setup { again: true, ..setup(mixed_hosts(), vec![build(rng, 800, 80, TAIL)]) },
    },
    Row {
        name: "a big host joins in mid-build",
        setup: |rng| {
            let mut machines = equal(6);
            machines.push(Machine { slots: 16, speed: 20, joins: Some(Duration::from_secs(15)), ..machine() });
            setup(machines, vec![build(rng, 600, 80, ORDINARY)])
        },
    },
    Row {
        name: "a big host leaves in mid-build",
        setup: |rng| {
            let mut machines = equal(6);
            machines.push(Machine { slots: 16, speed: 20, leaves: Some(Duration::from_secs(8)), ..machine() });
            setup(machines, vec![build(rng, 600, 80, ORDINARY)])
        },
    },
    Row {
        name: "a slow network",
        setup: |rng| Setup {
            delay: Duration::from_millis(60),
            transfer: Duration::from_millis(500),
            ..setup(mixed_hosts(), vec![build(rng, 600, 80, ORDINARY)])
        },
    },
    Row {
        name: "cold environments, 5 s each",
        setup: |rng| {
            let mut machines = mixed_hosts();
            machines.iter_mut().for_each(|m| m.installed = false);
            Setup { install: Duration::from_secs(5), ..setup(machines, vec![build(rng, 600, 80, ORDINARY)]) }
        },
    },
    Row {
        name: "two platforms, one of them rare",
        setup: |rng| {
            let mut machines = equal(8);
            machines.push(Machine { platform: RARE, ..machine() });
            let rare = Submitter { platform: RARE, ..build(rng, 60, 30, ORDINARY) };
            setup(machines, vec![build(rng, 480, 60, ORDINARY), rare])
        },
    },
];

/// Two servers and a submitter.
pub fn servers_of_speed(speeds: [u64; 2]) -> Setup {
    let machines = speeds.map(|speed| Machine { speed, ..machine() });
    setup(machines.into(), vec![build(&mut Rng::new(1), 1, 1, ORDINARY)])
}

/// Of the hosts that few jobs can use.
const RARE: &str = "aarch64";

/// Shares in percent, and the milliseconds from which to which their jobs work.
type Work = &'static [(u64, u64, u64)];

const ORDINARY: Work = &[(100, 500, 3_500)];
const SHORT: Work = &[(100, 100, 500)];
const LONG: Work = &[(100, 10_000, 50_000)];
const TAIL: Work = &[(80, 300, 2_000), (15, 2_000, 8_000), (5, 10_000, 40_000)];

/// Around a local network, everything installed.
fn setup(machines: Vec<Machine>, submitters: Vec<Submitter>) -> Setup {
    Setup {
        machines,
        submitters,
        delay: Duration::from_millis(1),
        transfer: Duration::from_millis(20),
        install: Duration::from_secs(1),
        again: false,
    }
}

fn machine() -> Machine {
    Machine { slots: 4, speed: 10, platform: "x86_64", load: 0, installed: true, joins: None, leaves: None }
}

fn equal(count: usize) -> Vec<Machine> {
    vec![machine(); count]
}

/// Ten, one of them of another speed.
fn odd(speed: u64) -> Vec<Machine> {
    let mut machines = equal(9);
    machines.push(Machine { speed, ..machine() });
    machines
}

fn small_and_big() -> Vec<Machine> {
    let small = Machine { speed: 3, ..machine() };
    let big = Machine { slots: 16, speed: 20, ..machine() };
    [vec![small; 20], vec![big; 2]].concat()
}

/// As offices have them: 44 slots of four speeds.
fn mixed_hosts() -> Vec<Machine> {
    let of = |slots, speed| Machine { slots, speed, ..machine() };
    vec![of(8, 20), of(8, 15), of(8, 10), of(4, 10), of(4, 10), of(4, 10), of(4, 6), of(4, 6)]
}

fn build(rng: &mut Rng, files: usize, parallel: usize, work: Work) -> Submitter {
    let files = (0..files).map(|n| file(rng, n, work)).collect();
    Submitter { platform: "x86_64", parallel, begins: Duration::ZERO, files }
}

/// The size of an object tells little of the work.
fn file(rng: &mut Rng, n: usize, work: Work) -> File {
    let mut percent = rng.below(100);
    let band = work.iter().find(|(share, ..)| {
        let here = percent < *share;
        percent = percent.saturating_sub(*share);
        here
    });
    let (_, least, most) = *band.expect("shares of 100 percent");
    let work_ms = rng.between(least, most);
    let size = work_ms * rng.between(30, 90);
    File { name: format!("f{n}.cpp").as_str().into(), work: Duration::from_millis(work_ms), size: size as u32 }
}
