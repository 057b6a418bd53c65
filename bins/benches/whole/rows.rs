//! The rows of the table: each makes its lab, measures once, and takes the lab down.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use ice_bins::lab::{Config, Error, Lab, Programs};

use crate::measure::{cpu_s, resident_kb, timed, wire_bytes};

/// One figure.
pub struct Row {
    /// What it is.
    pub name: &'static str,
    /// Of what.
    pub unit: &'static str,
    /// One measurement with these programs.
    pub measure: fn(&Programs) -> Result<f64, Error>,
}

/// All figures.
pub const ROWS: &[Row] = &[
    Row { name: "build: wall, 60 files, -j16, slots 2 4 4", unit: "s", measure: build_wall },
    Row { name: "remote job: client CPU beyond cpp, small C", unit: "ms", measure: |p| client_cpu(p, &small_c()) },
    Row { name: "remote job: client CPU beyond cpp, 2 MB C++", unit: "ms", measure: |p| client_cpu(p, &large_cc()) },
    Row { name: "remote job: server CPU beyond the compiler", unit: "ms", measure: server_cpu },
    Row {
        name: "remote job: wall at 0.2 ms one way",
        unit: "ms",
        measure: |p| remote_wall(p, Duration::from_micros(200)),
    },
    Row {
        name: "remote job: wall at 10 ms one way",
        unit: "ms",
        measure: |p| remote_wall(p, Duration::from_millis(10)),
    },
    Row { name: "remote job: bytes on the wire, 2 MB C++", unit: "kB", measure: wire },
    Row { name: "idle daemon: resident", unit: "kB", measure: |p| resident(p, "iceccd") },
    Row { name: "idle scheduler: resident", unit: "kB", measure: |p| resident(p, "icecc-scheduler") },
    Row { name: "local job: beyond the compiler, no daemon", unit: "ms", measure: |p| local_wall(p, true) },
    Row { name: "local job: beyond the compiler, with daemon", unit: "ms", measure: |p| local_wall(p, false) },
];

/// Jobs of one measurement, to lift it above the clock's grain.
const JOBS: usize = 10;

struct Unit {
    name: &'static str,
    compiler: &'static str,
    text: String,
}

fn small_c() -> Unit {
    let text = "#include <stdio.h>\nint f(int x) { return printf(\"%d\", x); }\n".to_string();
    Unit { name: "small.c", compiler: "gcc", text }
}

/// About 2 MB when preprocessed, of which the compiler makes little.
fn large_cc() -> Unit {
    let mut text =
        "#include <map>\n#include <string>\n#include <vector>\n#include <algorithm>\n#include <iostream>\n".to_string();
    for n in 0..12_000 {
        let _ = writeln!(
            text,
            "struct entry_{n} {{ int first_{n}; long second_{n}; entry_{n}* next_{n}; }}; // a line of text, number {n}"
        );
    }
    text.push_str("int f(int x) { std::map<int, std::string> m; m[x] = \"x\"; return int(m.size()); }\n");
    Unit { name: "large.cc", compiler: "g++", text }
}

struct Bench {
    lab: Lab,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(programs: &Programs, slots: &[u32], change: impl FnOnce(&mut Config)) -> Result<Bench, Error> {
        let mut config = Config::new(&format!("bench-{}", std::process::id()), programs, slots);
        config.tied = true;
        change(&mut config);
        let folder = tempfile::tempdir().map_err(|source| Error::File { path: "temporary folder".into(), source })?;
        Ok(Bench { lab: Lab::up(&config)?, folder })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).map_err(|source| Error::File { path, source })
    }

    fn timed(&self, command: &str) -> Result<(f64, f64), Error> {
        timed(&self.lab, self.folder.path(), command)
    }

    /// Wall and CPU of one such command, from a row of them.
    fn repeated(&self, command: &str) -> Result<(f64, f64), Error> {
        let (wall, cpu) = self.timed(&format!("i=0; while [ $i -lt {JOBS} ]; do {command}; i=$((i+1)); done"))?;
        Ok((wall / JOBS as f64, cpu / JOBS as f64))
    }

    /// Writes a unit and has it compiled on h2 twice, so that the environment is there.
    fn warm(&self, unit: &Unit) -> Result<String, Error> {
        self.write(unit.name, &unit.text)?;
        let job = format!("ICECC_PREFERRED_HOST=h2 icecc {} -O1 -c {} -o out.o", unit.compiler, unit.name);
        self.timed(&job)?;
        self.timed(&job)?;
        Ok(job)
    }
}

fn build_wall(programs: &Programs) -> Result<f64, Error> {
    let bench = Bench::new(programs, &[2, 4, 4], |_| {})?;
    let mut make = String::from("all:");
    for n in 0..30 {
        bench.write(&format!("c{n}.c"), &many_functions(n))?;
        bench.write(&format!("p{n}.cc"), &format!("#include <map>\n#include <string>\nstd::map<std::string, int> m{n};\nint p{n}(int x) {{ return m{n}[std::to_string(x)]; }}\n"))?;
        let _ = write!(make, " c{n}.o p{n}.o");
    }
    make.push_str(
        "\n.c.o:\n\t@icecc gcc -O2 -c $< -o $@\n.cc.o:\n\t@icecc g++ -O2 -c $< -o $@\n.SUFFIXES: .c .cc .o\n",
    );
    bench.write("Makefile", &make)?;
    bench.warm(&small_c())?;
    Ok(bench.timed("make -s -j16")?.0)
}

fn many_functions(n: usize) -> String {
    (0..150).fold("#include <stdio.h>\n".to_string(), |mut text, k| {
        let _ =
            writeln!(text, "int c{n}_{k}(int x) {{ for (int i = 0; i < x; i++) x += i * {k} ^ {n}; return x % 97; }}");
        text
    })
}

fn client_cpu(programs: &Programs, unit: &Unit) -> Result<f64, Error> {
    let bench = Bench::new(programs, &[2, 2], |_| {})?;
    let job = bench.warm(unit)?;
    let (_, plain) = bench.repeated(&format!("{} -O1 -E {} -o /dev/null", unit.compiler, unit.name))?;
    let (_, remote) = bench.repeated(&job)?;
    Ok((remote - plain) * 1000.0)
}

fn server_cpu(programs: &Programs) -> Result<f64, Error> {
    let bench = Bench::new(programs, &[2, 2], |_| {})?;
    let unit = small_c();
    let job = bench.warm(&unit)?;
    bench.timed(&format!("{} -E {} -o plain.i", unit.compiler, unit.name))?;
    let (_, compiler) = bench.repeated(&format!("{} -O1 -c plain.i -o out.o", unit.compiler))?;
    let before = cpu_s(&bench.lab.processes("h2", "iceccd")?);
    for _ in 0..5 {
        bench.repeated(&job)?;
    }
    let spent = cpu_s(&bench.lab.processes("h2", "iceccd")?) - before;
    Ok((spent / (5 * JOBS) as f64 - compiler) * 1000.0)
}

fn remote_wall(programs: &Programs, delay: Duration) -> Result<f64, Error> {
    let bench = Bench::new(programs, &[2, 2], |config| config.link.delay = delay)?;
    let job = bench.warm(&small_c())?;
    Ok(bench.repeated(&job)?.0 * 1000.0)
}

fn wire(programs: &Programs) -> Result<f64, Error> {
    let bench = Bench::new(programs, &[2, 2], |_| {})?;
    let job = bench.warm(&large_cc())?;
    let before = wire_bytes(&bench.lab, "h1")?;
    bench.repeated(&job)?;
    Ok((wire_bytes(&bench.lab, "h1")? - before) / JOBS as f64 / 1000.0)
}

fn resident(programs: &Programs, program: &str) -> Result<f64, Error> {
    let bench = Bench::new(programs, &[2, 2], |_| {})?;
    Ok(resident_kb(&bench.lab.processes("h1", program)?))
}

fn local_wall(programs: &Programs, bare: bool) -> Result<f64, Error> {
    let bench = Bench::new(programs, &[2], |config| config.bare = bare)?;
    bench.write("tiny.c", "int main(void) { return 0; }\n")?;
    // Linking cannot go elsewhere.
    let (plain, _) = bench.repeated("gcc tiny.c -o tiny")?;
    let (ours, _) = bench.repeated("icecc gcc tiny.c -o tiny")?;
    Ok((ours - plain) * 1000.0)
}
