//! A lab for one test, and what tests do with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ice_bins::lab::{Config, Error, Lab, Output, Programs, own_programs};
use parking_lot::{Mutex, MutexGuard};

/// How long one compile on a lab may take before the test fails.
pub const COMPILE: Duration = Duration::from_secs(120);

/// One lab at a time: a loaded machine makes 1.4's daemons refuse jobs, and each test shall say the same alone and in
/// the suite.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Whose programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This project's.
    Ours,
    /// icecream 1.4's, as Debian packages it.
    Peer14,
}

impl Whose {
    /// The programs.
    pub fn programs(self) -> Programs {
        match self {
            Whose::Ours => own_programs().expect("icelab lies beside the programs"),
            Whose::Peer14 => Programs::peer_1_4(),
        }
    }
}

/// A lab that ends with its test, and a folder to compile in.
pub struct Cluster {
    /// The hosts.
    pub lab: Lab,
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Hosts with these slots and the same programs, or `None` with a printed reason where that is impossible.
    pub fn up(whose: Whose, slots: &[u32]) -> Option<Cluster> {
        Cluster::with(&Config::new("", &whose.programs(), slots))
    }

    /// As configured, but for the name.
    pub fn with(config: &Config) -> Option<Cluster> {
        let all = config.hosts.iter().flat_map(|h| [Some(&h.programs), h.daemon_programs.as_ref()]);
        for programs in all.chain([config.scheduler.as_ref()]).flatten() {
            if !programs.complete() {
                return skip(&format!("{programs:?}: programs are missing"));
            }
        }
        let turn = ONE_AT_A_TIME.lock();
        let mut config = config.clone();
        config.name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        config.tied = true;
        match Lab::up(&config) {
            Ok(lab) => Some(Cluster { lab, folder: tempfile::tempdir().expect("a temporary folder"), _turn: turn }),
            Err(Error::Unavailable(reason)) => skip(&reason),
            Err(error) => panic!("lab {}: {}", config.name, ice_bins::exit::chain(&error)),
        }
    }

    /// The folder that the test may use, on all hosts at the same path.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// Reads a file of the folder.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.folder().join(name);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Runs a shell command on a host, in the folder, with these variables set.
    pub fn sh(&self, host: &str, variables: &[(&str, &str)], command: &str) -> Output {
        let set: String = variables.iter().map(|(name, value)| format!("export {name}='{value}'; ")).collect();
        let text = format!("cd '{}' && {set}{command}", self.folder().display());
        self.lab.exec(host, &["sh", "-c", &text], COMPILE).unwrap_or_else(|e| self.fail(&ice_bins::exit::chain(&e)))
    }

    /// As [`Cluster::sh`]; the command must succeed.
    pub fn ok(&self, host: &str, variables: &[(&str, &str)], command: &str) -> Output {
        let output = self.sh(host, variables, command);
        if !output.status.success() {
            self.fail(&format!("{command}: {}\n{}{}", output.status, output.text(), output.error_text()));
        }
        output
    }

    /// Waits for a line in a host's log.
    pub fn wait_for_log(&self, host: &str, file: &str, text: &str) {
        let result = ice_bins::lab::process::until(text, Duration::from_secs(30), || {
            self.lab.log(host, file).is_ok_and(|log| log.contains(text))
        });
        if let Err(error) = result {
            self.fail(&format!("{host} {file}: {error}"));
        }
    }

    /// Fails the test; its logs are printed.
    pub fn fail(&self, reason: &str) -> ! {
        // The lab prints its logs when it is dropped by this.
        panic!("{reason}");
    }
}

/// Says why a test can do nothing here.
pub fn skip<T>(reason: &str) -> Option<T> {
    eprintln!("skipped: {reason}");
    None
}
