//! The rows of the table, by the lab they are measured on.

use std::time::Duration;

use ice_lab::Error;

use crate::measure::{cpu_s, own_cpu_s, wire_bytes};
use crate::site::{EMPTY, LARGE, NO_COMPILER, Place, SMALL, Site, Unit, job};

/// One figure.
pub struct Row {
    /// What it is.
    pub name: &'static str,
    /// Of what.
    pub unit: &'static str,
    /// One measurement.
    pub measure: fn(&Site) -> Result<f64, Error>,
    /// The measured reason, shown when the row is above 1.
    pub why: Option<&'static str>,
}

/// Jobs of one measurement, to lift it above the clock's grain.
const JOBS: u32 = 10;
/// Jobs that a host gets at once.
const MANY: u32 = 150;

const fn row(name: &'static str, unit: &'static str, measure: fn(&Site) -> Result<f64, Error>) -> Row {
    Row { name, unit, measure, why: None }
}

/// All figures.
pub const GROUPS: &[(Place, &[Row])] = &[
    (
        Place::Near,
        &[
            Row {
                name: "idle daemon: resident",
                unit: "kB",
                measure: |site| Ok(site.idle[0][0]),
                why: Some(
                    "two processes, the launcher apart from the network: pages of program and C library that both have, \
                     1.9 MB, are counted twice here; what is no file's is in the next row",
                ),
            },
            Row {
                name: "idle daemon: of that no file's",
                unit: "kB",
                measure: |site| Ok(site.idle[0][1]),
                why: Some(
                    "a thread for each connection where 1.4 has one for all: 12 kB each, of its stack and its heap",
                ),
            },
            row("idle scheduler: resident", "kB", |site| Ok(site.idle[1][0])),
            Row {
                name: "idle scheduler: of that no file's",
                unit: "kB",
                measure: |site| Ok(site.idle[1][1]),
                why: Some(
                    "a thread for each connection where 1.4 has one for all: 12 kB each, of its stack and its heap",
                ),
            },
            Row {
                name: "build: wall, 60 files, -j16, slots 2 4 4",
                unit: "s",
                measure: |site| Ok(site.timed("rm -f *.o; make -s -j16")?.wall_s),
                why: Some("all hosts share this machine's processors, which the compilers of either side fill alike"),
            },
            row("remote job: client CPU beyond cpp, small C", "ms", |site| client_cpu(site, &SMALL, 2 * JOBS)),
            Row {
                name: "remote job: client CPU beyond cpp, 2 MB C++",
                unit: "ms",
                measure: |site| client_cpu(site, &LARGE, JOBS / 2),
                why: Some(
                    "80 million instructions against 71 (callgrind). Four fifths of ours are zstd's; 6 million look for __DATE__ and its \
                     like, and it waits for server and daemon beside each read of the preprocessor (200 polls), so that it hears of a failure at once",
                ),
            },
            row("remote job: CPU of the submitter's daemon", "ms", submitter_cpu),
            row("remote job: server CPU beyond the compiler", "ms", server_cpu),
            Row {
                name: "remote job: server CPU, 150 jobs at once",
                unit: "ms",
                measure: loaded_server_cpu,
                why: Some(
                    "half of it is the kernel's work for the sandbox, which 1.4 does not have: bins/benches/NOTES.md has its parts",
                ),
            },
            row("remote job: wall, no delay", "ms", remote_wall),
            row("remote job: bytes on the wire, 2 MB C++", "kB", wire),
            row("local job: beyond the compiler, with daemon", "ms", local_wall),
        ],
    ),
    (Place::Apart(Duration::from_micros(200)), &[row("remote job: wall at 0.2 ms one way", "ms", remote_wall)]),
    (Place::Apart(Duration::from_millis(10)), &[row("remote job: wall at 10 ms one way", "ms", remote_wall)]),
    (Place::Bare, &[row("local job: beyond the compiler, no daemon", "ms", local_wall)]),
];

fn client_cpu(site: &Site, unit: &Unit, jobs: u32) -> Result<f64, Error> {
    // What both clients run.
    let plain = format!("{} -O1 -E -fdirectives-only {} -o /dev/null", unit.compiler, unit.name);
    let plain = site.repeated(jobs, &plain)?;
    let remote = site.repeated(jobs, &job(unit, "h2"))?;
    Ok((remote.cpu_s - plain.cpu_s) * 1000.0)
}

/// A daemon that only asks for its client's servers has no children.
fn submitter_cpu(site: &Site) -> Result<f64, Error> {
    let jobs = 4 * JOBS;
    let before = own_cpu_s(&site.lab.processes("h1", "iceccd")?);
    site.repeated(jobs, &job(&EMPTY, "h2"))?;
    Ok((own_cpu_s(&site.lab.processes("h1", "iceccd")?) - before) / f64::from(jobs) * 1000.0)
}

/// The daemon's processes with all they collected, less what the compiler takes by itself.
fn server_cpu(site: &Site) -> Result<f64, Error> {
    let jobs = 4 * JOBS;
    let plain = format!("{} -E {} -o plain.i; {} -O1 -c plain.i -o out.o", EMPTY.compiler, EMPTY.name, EMPTY.compiler);
    site.timed(&plain)?;
    let compiler = site.repeated(jobs, &format!("{} -O1 -c plain.i -o out.o", EMPTY.compiler))?;
    let before = cpu_s(&site.lab.processes("h2", "iceccd")?);
    site.repeated(jobs, &job(&EMPTY, "h2"))?;
    let spent = cpu_s(&site.lab.processes("h2", "iceccd")?) - before;
    Ok((spent / f64::from(jobs) - compiler.cpu_s) * 1000.0)
}

/// The daemon's processes with all they collected, while every slot has a job and many wait. The compiler does nothing but
/// make its output, so that nearly all of it is what the daemon does for a job.
fn loaded_server_cpu(site: &Site) -> Result<f64, Error> {
    let one = format!("ICECC_VERSION=$PWD/{NO_COMPILER} {}", job(&EMPTY, "h2").replace("out.o", "out$j.o"));
    site.timed(&one)?;
    let before = cpu_s(&site.lab.processes("h2", "iceccd")?);
    site.timed(&format!("for j in $(seq {MANY}); do {one} & done; wait"))?;
    Ok((cpu_s(&site.lab.processes("h2", "iceccd")?) - before) / f64::from(MANY) * 1000.0)
}

fn remote_wall(site: &Site) -> Result<f64, Error> {
    Ok(site.repeated(JOBS, &job(&SMALL, "h2"))?.wall_s * 1000.0)
}

fn wire(site: &Site) -> Result<f64, Error> {
    let before = wire_bytes(&site.lab, "h1")?;
    site.repeated(JOBS / 2, &job(&LARGE, "h2"))?;
    Ok((wire_bytes(&site.lab, "h1")? - before) / f64::from(JOBS / 2) / 1000.0)
}

/// Linking cannot go elsewhere.
fn local_wall(site: &Site) -> Result<f64, Error> {
    let plain = site.repeated(2 * JOBS, "gcc tiny.c -o tiny")?;
    let ours = site.repeated(2 * JOBS, "icecc gcc tiny.c -o tiny")?;
    Ok((ours.wall_s - plain.wall_s) * 1000.0)
}
