//! A lab where each mix has its hosts, and one job in it.

use std::fmt;
use std::time::Duration;

use ice_lab::{Config, HostConfig, Output};

use crate::cluster::{Cluster, Whose};

/// The two kinds of programs.
pub const BOTH: [Whose; 2] = [Whose::Ours, Whose::Peer14];
/// How long a log may take to say what has happened.
pub const LOG: Duration = Duration::from_secs(60);

/// How long a scheduler passes over a host that did not answer.
const UNREACHABLE: Duration = Duration::from_secs(35);

/// Whose program plays which role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// The scheduler.
    pub scheduler: Whose,
    /// The daemon that the client talks to.
    pub daemon: Whose,
    /// The client.
    pub client: Whose,
    /// The daemon that compiles.
    pub server: Whose,
}

impl Mix {
    /// The eight mixes below a scheduler.
    pub fn below(scheduler: Whose) -> impl Iterator<Item = Mix> {
        BOTH.into_iter().flat_map(move |daemon| {
            BOTH.into_iter()
                .flat_map(move |client| BOTH.into_iter().map(move |server| Mix { scheduler, daemon, client, server }))
        })
    }

    /// The host where the client runs.
    pub fn submitter(&self) -> &'static str {
        if self.daemon == Whose::Ours { "h1" } else { "h2" }
    }

    /// The host that compiles.
    pub fn server(&self) -> &'static str {
        if self.server == Whose::Ours { "h3" } else { "h4" }
    }

    /// A word for names of files.
    pub fn word(&self) -> String {
        [self.scheduler, self.daemon, self.client, self.server]
            .map(|w| if w == Whose::Ours { 'o' } else { 'p' })
            .iter()
            .collect()
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [scheduler, daemon, client, server] = [self.scheduler, self.daemon, self.client, self.server].map(name);
        write!(f, "{scheduler:<9} {daemon:<6} {client:<6} {server:<6}")
    }
}

fn name(whose: Whose) -> &'static str {
    match whose {
        Whose::Ours => "ours",
        Whose::Peer14 => "1.4",
    }
}

/// How one of the four compilers is called.
#[derive(Debug, Clone, Copy)]
pub struct Compiler {
    /// The program.
    pub program: &'static str,
    /// Its source file.
    pub source: &'static str,
}

/// The four.
pub const COMPILERS: [Compiler; 4] = [
    Compiler { program: "gcc", source: "job.c" },
    Compiler { program: "g++", source: "job.cc" },
    Compiler { program: "clang", source: "job.c" },
    Compiler { program: "clang++", source: "job.cc" },
];

const C: &str = "#include <stdio.h>\n#include <stdlib.h>\n#define TWICE(x) ((x) + (x))\n\
                 int job(int n) { printf(\"%d\\n\", TWICE(n)); return abs(n); }\n";
const CXX: &str = "#include <map>\n#include <string>\n\
                   int job(int n) { std::map<std::string, int> m; m[std::to_string(n)] = n; return m.begin()->second; }\n";

/// A lab for the eight mixes below one scheduler.
pub struct Farm {
    /// h1 (ours) and h2 (1.4) submit, h3 (ours) and h4 (1.4) compile; then those that were asked for.
    pub cluster: Cluster,
}

impl Farm {
    /// The four hosts and more, all logged in.
    pub fn up(scheduler: Whose, more: &[HostConfig]) -> Option<Farm> {
        let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2, 2, 2]);
        for peer in [1, 3] {
            config.hosts[peer].programs = Whose::Peer14.programs();
        }
        config.hosts.extend_from_slice(more);
        config.scheduler = Some(scheduler.programs());
        let cluster = Cluster::with(&config)?;
        cluster.write("job.c", C);
        cluster.write("job.cc", CXX);
        for Compiler { program, source } in COMPILERS {
            cluster.ok("h1", &[], &format!("{program} -O2 -c {source} -o plain-{program}.o"));
        }
        Some(Farm { cluster })
    }

    /// How often a host has compiled something for others with success.
    pub fn compiled(&self, host: &str) -> usize {
        self.count(host, "Remote compilation completed with exit code 0")
    }

    /// How often a host's daemon has logged this.
    pub fn count(&self, host: &str, text: &str) -> usize {
        self.cluster.lab.log(host, "iceccd.log").unwrap_or_default().matches(text).count()
    }

    /// Waits until a host has logged this more often than `before`.
    pub fn grows(&self, host: &str, text: &str, before: usize) -> Result<(), String> {
        ice_lab::process::until(text, LOG, || self.count(host, text) > before)
            .map_err(|_| format!("{host} does not log \"{text}\""))
    }

    /// The path of a client of either kind.
    pub fn client(&self, whose: Whose) -> String {
        whose.programs().client().map(|path| path.display().to_string()).unwrap_or_default()
    }

    /// Runs a shell command on a host with a client's log in `client.log`; `CLIENT` in it is that client's `icecc`.
    pub fn shell(&self, host: &str, client: Whose, variables: &[(&str, &str)], command: &str) -> (Output, String) {
        let log = self.cluster.folder().join("client.log");
        let _ = std::fs::remove_file(&log);
        let log_text = log.display().to_string();
        let mut all = vec![("ICECC_DEBUG", "debug"), ("ICECC_LOGFILE", log_text.as_str())];
        all.extend_from_slice(variables);
        let output = self.cluster.sh(host, &all, &command.replace("CLIENT", &self.client(client)));
        (output, std::fs::read_to_string(&log).unwrap_or_default())
    }

    /// As [`Farm::shell`]. The scheduler may have found 1.4's server silent for some seconds of other work: a job that
    /// wants it goes home, and where it is `wanted` elsewhere it is tried again half a minute later.
    pub fn shell_elsewhere(
        &self,
        host: &str,
        client: Whose,
        variables: &[(&str, &str)],
        command: &str,
        wanted: bool,
    ) -> (Output, String) {
        let (mut output, mut log) = self.shell(host, client, variables, command);
        for _ in 0..2 {
            if !wanted || log.contains("Have to use host 10.77.0.") || !output.status.success() {
                break;
            }
            std::thread::sleep(UNREACHABLE);
            (output, log) = self.shell(host, client, variables, command);
        }
        (output, log)
    }

    /// One compile from a host to another: proven by the server's log, its object compared with the plain compiler's.
    pub fn compile(
        &self,
        from: &str,
        mix: Mix,
        compiler: Compiler,
        variables: &[(&str, &str)],
    ) -> Result<String, String> {
        let Compiler { program, source } = compiler;
        let before = self.compiled(mix.server());
        let mut all = vec![("ICECC_PREFERRED_HOST", mix.server())];
        all.extend_from_slice(variables);
        let command = format!("rm -f out.o; CLIENT {program} -O2 -c {source} -o out.o");
        let (output, log) = self.shell_elsewhere(from, mix.client, &all, &command, true);
        if !output.status.success() || !output.stderr.is_empty() {
            return Err(format!("{}: {}\n{log}", output.status, output.error_text()));
        }
        if !log.contains("Have to use host 10.77.0.") {
            return Err(format!("not remote\n{log}"));
        }
        self.grows(mix.server(), "Remote compilation completed with exit code 0", before)
            .map_err(|e| format!("{e}\n{log}"))?;
        if self.compiled(mix.server()) != before + 1 || log.contains("<building_local>") {
            return Err(format!("compiled more than once\n{log}"));
        }
        if self.cluster.read("out.o") != self.cluster.read(&format!("plain-{program}.o")) {
            return Err(format!("its object differs from the plain compiler's\n{log}"));
        }
        Ok(log)
    }
}
