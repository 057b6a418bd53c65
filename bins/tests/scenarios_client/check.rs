//! The common check: the same command by the submitter itself, by a server, and without icecc.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ice_lab::{Config, process};

use crate::cluster::{Cluster, Whose};

/// Where a command may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On a server, and only there.
    Distributable,
    /// With its submitter, without asking for a server.
    Local,
    /// First on a server, in the end with its submitter.
    Redo,
}
pub use Kind::{Distributable, Local, Redo};

/// One way a command was run.
struct Run {
    status: Option<i32>,
    stderr: String,
    output: Option<Vec<u8>>,
}

/// An ELF file without what may differ: names and options that only its debug information tells, and where that lies.
/// Clang numbers the file that it is given on standard input apart from the one whose name it is told.
const MASKED: &str = "objdump -dr \"$1\" | tail -n +4; readelf -Ws \"$1\" | grep -v '^/'
    readelf --debug-dump=info,decodedline \"$1\" | sed -E '
    /DW_AT_(name|comp_dir|producer|linkage_name|dwo_name|GNU_dwo_name|decl_file)|Length:|^File:|^\\/|^$|loaded from|separate debug/d
    s/<[0-9a-f]+>//g; s/0x[0-9a-f]+//g; s/^[^ ]+\\.cc? +/SOURCE /'";

/// The cluster of the scenarios: `h1` submits (*loc*), `h2` (*r1*) and `h3` (*r2*) compile.
pub struct Trial {
    /// The lab.
    pub cluster: Cluster,
}

/// A scenario and its name.
pub type Scenario = (&'static str, fn(&Trial));

/// Tries them all on one lab of ours, then fails if one did.
pub fn try_all(scenarios: &[Scenario]) {
    try_on(scenarios, &Config::new("", &Whose::Ours.programs(), &[2, 2, 2]));
}

/// Tries them all on one lab, then fails if one did.
pub fn try_on(scenarios: &[Scenario], config: &Config) {
    let mut config = config.clone();
    config.hosts[0].daemon_options = vec!["--no-remote".to_string()];
    let Some(cluster) = Cluster::with(&config) else { return };
    let trial = Trial { cluster };
    let mut failed = Vec::new();
    for (name, scenario) in scenarios {
        let result = catch_unwind(AssertUnwindSafe(|| {
            scenario(&trial);
            trial.is_idle();
        }));
        println!("{name}: {}", if result.is_ok() { "ok" } else { "FAILED" });
        if result.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

impl Trial {
    /// Writes a source file.
    pub fn write(&self, name: &str, text: &str) {
        if let Some((folder, _)) = name.rsplit_once('/') {
            std::fs::create_dir_all(self.cluster.folder().join(folder)).unwrap();
        }
        self.cluster.write(name, text);
    }

    /// Runs a shell command on the submitter with a client's log; `CC` in it is the compiler behind icecc. Status,
    /// stderr, log.
    pub fn icecc(&self, variables: &[(&str, &str)], command: &str) -> (Option<i32>, String, String) {
        let log = self.cluster.folder().join("client.log");
        let _ = std::fs::remove_file(&log);
        let path = log.display().to_string();
        let mut all = vec![("ICECC_DEBUG", "debug"), ("ICECC_LOGFILE", path.as_str()), ("LC_ALL", "C")];
        all.extend_from_slice(variables);
        let output = self.cluster.sh("h1", &all, command);
        (output.status.code(), output.error_text(), std::fs::read_to_string(&log).unwrap_or_default())
    }

    /// How often a server logged this.
    pub fn logged(&self, host: &str, text: &str) -> usize {
        self.cluster.lab.log(host, "iceccd.log").unwrap_or_default().matches(text).count()
    }

    /// What a server has been told to compile last.
    pub fn last_arguments(&self, host: &str) -> String {
        let log = self.cluster.lab.log(host, "iceccd.log").unwrap_or_default();
        log.lines().rfind(|line| line.contains("remote compile arguments: ")).unwrap_or_default().to_string() + " "
    }

    /// The common check of a distributable command, with gcc and with clang.
    #[track_caller]
    pub fn with_both(&self, command: &str, output: &str) {
        for compiler in ["gcc", "clang"] {
            self.common(Distributable, compiler, command, output);
        }
    }

    /// The common check of a command, in which `CC` stands for the compiler: `output` is the file it makes. Returns the
    /// client's log of the run by the server.
    #[track_caller]
    pub fn common(&self, kind: Kind, compiler: &str, command: &str, output: &str) -> String {
        let text = format!("rm -f '{output}'; {command}");
        let (plain, _) = self.run(&[], &text.replace("CC", compiler), output);
        let behind = text.replace("CC", &format!("icecc {compiler}"));
        let (own, own_log) = self.run(&[("ICECC_PREFERRED_HOST", "h1")], &behind, output);
        let said = ["Remote compilation completed", "Remote compilation exited", "Remote compilation aborted"];
        let ended = |host: &str| said.iter().map(|text| self.logged(host, text)).sum::<usize>();
        let before = ["h2", "h3"].map(ended);
        let (remote, log) = self.run(&[("ICECC_PREFERRED_HOST", "h2")], &behind, output);
        self.same(&own, &plain, &format!("{command}: the submitter and the plain compiler\n{own_log}"));
        self.same(&remote, &plain, &format!("{command}: the server and the plain compiler\n{log}"));
        let to_server = log.contains("Have to use host 10.77.0.2:10245");
        assert!(!own_log.contains("Have to use host"), "{command}\n{own_log}");
        match kind {
            Distributable => {
                assert!(own_log.contains("building myself, but telling localhost"), "{command}\n{own_log}");
                assert!(
                    !own_log.contains("<building_local>") && !log.contains("<building_local>"),
                    "{command}\n{own_log}{log}"
                );
                assert!(to_server, "{command}\n{log}");
            }
            Local => {
                assert!(
                    own_log.contains("<building_local>") && log.contains("<building_local>"),
                    "{command}\n{own_log}{log}"
                );
                assert!(!to_server && !own_log.contains("building myself"), "{command}\n{log}");
            }
            Redo => assert!(to_server && log.contains("<building_local>"), "{command}\n{log}"),
        }
        let allowed = if kind == Redo { "got exception Error 1" } else { "got exception Error" };
        assert!(kind == Redo || !log.contains(allowed), "{command}\n{log}");
        if kind != Local {
            process::until("end of the job on h2", Duration::from_secs(20), || ended("h2") > before[0])
                .unwrap_or_else(|e| panic!("{command}: {e}\n{log}"));
        }
        let after = ["h2", "h3"].map(ended);
        assert_eq!(
            after,
            [before[0] + usize::from(kind != Local), before[1]],
            "{command}: jobs of both servers\n{log}"
        );
        log
    }

    #[track_caller]
    fn same(&self, one: &Run, plain: &Run, what: &str) {
        assert_eq!((one.status, &one.stderr), (plain.status, &plain.stderr), "{what}");
        let sizes = [one, plain].map(|run| run.output.as_ref().map(Vec::len));
        match (&one.output, &plain.output) {
            (Some(one), Some(plain)) if one != plain && one.starts_with(b"\x7fELF") => {
                assert_eq!(self.masked(one), self.masked(plain), "{what}");
            }
            (one, plain) => assert!(one == plain, "output of {sizes:?} bytes differs: {what}"),
        }
    }

    fn masked(&self, file: &[u8]) -> String {
        let path = self.cluster.folder().join("masked");
        std::fs::write(&path, file).unwrap();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", MASKED, "sh"]).arg(&path);
        process::run(&mut command, Duration::from_secs(60)).unwrap().text()
    }

    fn run(&self, variables: &[(&str, &str)], command: &str, output: &str) -> (Run, String) {
        let (status, stderr, log) = self.icecc(variables, command);
        let output = std::fs::read(self.cluster.folder().join(output)).ok();
        (Run { status, stderr, output }, log)
    }

    /// No daemon has a job, none waits.
    #[track_caller]
    pub fn is_idle(&self) {
        let mut listing = String::new();
        let idle = process::until("idle cluster", Duration::from_secs(20), || {
            listing = self.cluster.lab.console("listcs").unwrap_or_default();
            listing.matches("jobs=0/2").count() == 3
        });
        assert!(idle.is_ok(), "{listing}");
        let jobs = self.cluster.lab.console("listjobs").unwrap_or_default();
        assert!(!jobs.contains("sub:"), "{jobs}");
    }
}
