//! A lab of one side, warm: environments are there, so that rows measure jobs.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use ice_lab::{Config, Error, Lab, Programs};

use crate::measure::{Spent, timed};

/// What kind of lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Three hosts with 2, 4 and 4 slots and no delay.
    Near,
    /// Two hosts so far apart, one way.
    Apart(Duration),
    /// One host without daemon and scheduler.
    Bare,
}

/// A lab and a folder to compile in.
pub struct Site {
    pub lab: Lab,
    folder: tempfile::TempDir,
    /// Resident kilobytes of daemon and scheduler before any job: all, then what only they hold.
    pub idle: [[f64; 2]; 2],
}

/// Something to compile.
pub struct Unit {
    pub name: &'static str,
    pub compiler: &'static str,
}

pub const SMALL: Unit = Unit { name: "small.c", compiler: "gcc" };
/// About 2 MB when preprocessed, of which the compiler makes little.
pub const LARGE: Unit = Unit { name: "large.cc", compiler: "g++" };
/// Nothing: what is left is the cost of being a job.
pub const EMPTY: Unit = Unit { name: "empty.c", compiler: "gcc" };

/// An environment whose compiler reads its input and writes an object that was made before: another file would be no
/// result.
pub const NO_COMPILER: &str = "no-compiler.tar.gz";

const NO_COMPILER_TEXT: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
int main(int n, char **args)
{
    char text[65536];
    while (read(0, text, sizeof text) > 0) {}
    ssize_t size = read(open("/empty.o", O_RDONLY), text, sizeof text);
    for (int i = 1; i + 1 < n; i++)
        if (!strcmp(args[i], "-o")) return write(open(args[i + 1], O_CREAT | O_WRONLY, 0600), text, size) != size;
    return 0;
}
"#;

/// Files of the build: half of them C, half C++.
const FILES: usize = 60;

impl Site {
    /// Brings a lab up and warms it.
    pub fn new(programs: &Programs, place: Place) -> Result<Site, Error> {
        let slots: &[u32] = match place {
            Place::Near => &[2, 4, 4],
            Place::Apart(_) => &[2, 2],
            Place::Bare => &[2],
        };
        thread_local!(static LABS: Cell<u32> = const { Cell::new(0) });
        let number = LABS.replace(LABS.get() + 1);
        let mut config = Config::new(&format!("bench-{}-{number}", std::process::id()), programs, slots);
        config.tied = true;
        config.bare = place == Place::Bare;
        if let Place::Apart(delay) = place {
            config.link.delay = delay;
        }
        let folder = tempfile::tempdir().map_err(|source| Error::File { path: "temporary folder".into(), source })?;
        let mut site = Site { lab: Lab::up(&config)?, folder, idle: [[0.0; 2]; 2] };
        site.furnish()?;
        if place != Place::Bare {
            for (figures, program) in site.idle.iter_mut().zip(["iceccd", "icecc-scheduler"]) {
                *figures = crate::measure::resident_kb(&site.lab.processes("h1", program)?);
            }
            site.warm(place)?;
        }
        Ok(site)
    }

    /// Runs a shell command on h1 in the folder.
    pub fn timed(&self, command: &str) -> Result<Spent, Error> {
        timed(&self.lab, self.folder.path(), command)
    }

    /// What one of `count` such commands spends.
    pub fn repeated(&self, count: u32, command: &str) -> Result<Spent, Error> {
        let all = self.timed(&format!("i=0; while [ $i -lt {count} ]; do {command}; i=$((i+1)); done"))?;
        let n = f64::from(count);
        Ok(Spent { wall_s: all.wall_s / n, cpu_s: all.cpu_s / n })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).map_err(|source| Error::File { path, source })
    }

    fn furnish(&self) -> Result<(), Error> {
        self.write("tiny.c", "int main(void) { return 0; }\n")?;
        self.write(EMPTY.name, "int x;\n")?;
        self.write(SMALL.name, "#include <stdio.h>\nint f(int x) { return printf(\"%d\", x); }\n")?;
        self.write(LARGE.name, &large())?;
        let mut make = String::from("all:");
        for n in 0..FILES / 2 {
            self.write(&format!("c{n}.c"), &many_functions(n))?;
            self.write(&format!("p{n}.cc"), &a_map(n))?;
            let _ = write!(make, " c{n}.o p{n}.o");
        }
        self.write("no-compiler.c", NO_COMPILER_TEXT)?;
        // It is all programs that an environment must have.
        self.timed(&format!(
            "mkdir -p no/usr/bin no/bin; gcc -O1 -static no-compiler.c -o no/bin/true; gcc -O1 -c {} -o no/empty.o; \
             for name in gcc g++ as; do cp no/bin/true no/usr/bin/$name; done; tar czf {NO_COMPILER} -C no .",
            EMPTY.name
        ))?;
        make.push_str(
            "\n.c.o:\n\t@icecc gcc -O2 -c $< -o $@\n.cc.o:\n\t@icecc g++ -O2 -c $< -o $@\n.SUFFIXES: .c .cc .o\n",
        );
        self.write("Makefile", &make)
    }

    /// Every host gets the environment and has run a job.
    fn warm(&self, place: Place) -> Result<(), Error> {
        let others: &[&str] = if place == Place::Near { &["h2", "h3"] } else { &["h2"] };
        for host in others {
            for _ in 0..2 {
                self.timed(&job(&SMALL, host))?;
                self.timed(&job(&LARGE, host))?;
            }
        }
        Ok(())
    }
}

/// The command that compiles it on a host.
pub fn job(unit: &Unit, host: &str) -> String {
    format!("ICECC_PREFERRED_HOST={host} icecc {} -O1 -c {} -o out.o", unit.compiler, unit.name)
}

fn large() -> String {
    let mut text =
        "#include <map>\n#include <string>\n#include <vector>\n#include <algorithm>\n#include <iostream>\n".to_string();
    for n in 0..12_000 {
        let _ = writeln!(
            text,
            "struct entry_{n} {{ int first_{n}; long second_{n}; entry_{n}* next_{n}; }}; // a line of text, number {n}"
        );
    }
    text.push_str("int f(int x) { std::map<int, std::string> m; m[x] = \"x\"; return int(m.size()); }\n");
    text
}

fn many_functions(n: usize) -> String {
    (0..150).fold("#include <stdio.h>\n".to_string(), |mut text, k| {
        let _ =
            writeln!(text, "int c{n}_{k}(int x) {{ for (int i = 0; i < x; i++) x += i * {k} ^ {n}; return x % 97; }}");
        text
    })
}

fn a_map(n: usize) -> String {
    format!(
        "#include <map>\n#include <string>\nstd::map<std::string, int> m{n};\n\
         int p{n}(int x) {{ return m{n}[std::to_string(x)]; }}\n"
    )
}
