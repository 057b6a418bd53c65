//! Hosts on which `scripts/install.sh --debian` has installed our programs: its folders lie over the machine's own
//! `/usr` and `/etc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ice_bins::background::{Account, DEFAULT_USER};
use ice_lab::process::run_ok;
use ice_lab::{Config, Output};

use crate::cluster::{Cluster, Whose, skip};

/// A lab without services.
pub struct Site {
    /// The lab.
    pub cluster: Cluster,
}

impl Site {
    /// With this number of hosts, nothing running; `None` with a printed reason where that is impossible.
    pub fn up(hosts: usize) -> Option<Site> {
        if !nix::unistd::Uid::effective().is_root() {
            return skip("not root: nothing can be laid over /usr and /etc");
        }
        if Account::named(DEFAULT_USER).is_err() {
            return skip("there is no user icecc here");
        }
        let mut config = Config::new("", &Whose::Ours.programs(), &vec![2; hosts]);
        config.bare = true;
        let site = Site { cluster: Cluster::with(&config)? };
        let folder = installation();
        let lay = format!(
            "set -e; cd /run; mkdir -p above/etc above/work
             mount -t overlay -o lowerdir={0}/etc:/etc,upperdir=/run/above/etc,workdir=/run/above/work installed /etc
             mount -t overlay -o lowerdir={0}/usr:/usr installed /usr",
            folder.display()
        );
        for host in site.cluster.lab.hosts() {
            site.cluster.ok(&host.name, &[], &lay);
        }
        Some(site)
    }

    /// Sets keys in a host's `/etc/icecc/icecc.conf`.
    pub fn set(&self, host: &str, lines: &str) {
        self.cluster.ok(host, &[], &format!("cat >>/etc/icecc/icecc.conf <<'END'\n{lines}\nEND"));
    }

    /// An action of a service.
    pub fn service(&self, host: &str, name: &str, action: &str) -> Output {
        self.cluster.sh(host, &[], &format!("/etc/init.d/{name} {action}"))
    }

    /// An action that must succeed.
    pub fn ok(&self, host: &str, name: &str, action: &str) {
        let output = self.service(host, name, action);
        assert!(
            output.status.success(),
            "{host}: {name} {action}: {}\n{}{}",
            output.status,
            output.text(),
            output.error_text()
        );
    }

    /// Starts scheduler and daemon of h1, and the daemon of every other host, and waits for them.
    pub fn start_all(&self) {
        self.ok("h1", "icecc-scheduler", "start");
        let hosts = self.cluster.lab.hosts();
        hosts.iter().for_each(|host| self.ok(&host.name, "iceccd", "start"));
        self.cluster.check(self.cluster.lab.wait_for_hosts(hosts.len()));
    }

    /// The words of the command line of a service's first process, or none if it does not run.
    pub fn words(&self, host: &str, name: &str) -> Vec<String> {
        let Some(first) = self.cluster.called(host, name).first().copied() else { return Vec::new() };
        let line = fs::read(format!("/proc/{}/cmdline", first.pid)).unwrap_or_default();
        line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// Whether a service was started with these words one after another.
    pub fn started_with(&self, host: &str, name: &str, wanted: &[&str]) -> bool {
        self.words(host, name).windows(wanted.len()).any(|words| words == wanted)
    }

    /// A file below a host's `/var/log`.
    pub fn log(&self, host: &str, file: &str) -> PathBuf {
        self.cluster.check(self.cluster.lab.host(host)).folder.join("log").join(file)
    }
}

/// What the script installs.
fn installation() -> PathBuf {
    // The lab that is up keeps others from making it meanwhile.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
    let _ = fs::remove_dir_all(&folder);
    let programs = Path::new(env!("CARGO_BIN_EXE_iceccd")).parent().expect("where the programs were built");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/install.sh");
    let mut command = Command::new(script);
    command.args(["--prefix", "/usr", "--debian", "--destdir"]).arg(&folder).arg("--programs").arg(programs);
    run_ok(&mut command, Duration::from_secs(60)).expect("scripts/install.sh");
    folder
}
