//! A compile server, and a small project beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ice_core::text::Text;

use crate::fake::{Link, Process, SchedulerDouble};
use crate::place::{Place, accepts_jobs, at, skip};
use crate::submitter::Submitter;

/// What the compiler is told by its environment.
pub const ENVIRONMENT: [&str; 2] = ["PATH=/usr/bin:/bin", "LANG=C"];

/// The server, known to a scheduler.
pub struct Bench {
    pub place: Place,
    pub daemon: Process,
    pub link: Link,
    project: PathBuf,
}

impl Bench {
    /// `None`, and a reason printed, where no jobs run on files of submitters.
    pub fn start(options: &[&str]) -> Option<Self> {
        let place = Place::new();
        let scheduler = SchedulerDouble::open(43);
        let mut arguments = at(&scheduler).to_vec();
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        let daemon = place.start_with(&arguments);
        let link = scheduler.accept();
        let project = fs::canonicalize(place.path("")).unwrap().join("project");
        fs::create_dir(&project).unwrap();
        let log = daemon.log();
        let refused = log.lines().find_map(|line| line.split_once("no jobs on files of submitters: "));
        if let Some((_, reason)) = refused {
            return skip(reason);
        }
        accepts_jobs(&daemon).then_some(Self { place, daemon, link, project })
    }

    /// A submitter whose token is made of this number.
    pub fn submitter(&self, token: u8) -> Submitter {
        Submitter::new(self.place.port, token, self.link.login.platform.clone())
    }

    /// A file of the project.
    pub fn path(&self, name: &str) -> PathBuf {
        self.project.join(name)
    }

    /// Writes a file of the project, with its directories.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The command that compiles, as both run it.
    pub fn gcc(&self, arguments: &str) -> Compile {
        let words: Vec<&str> = arguments.split(' ').collect();
        let outputs = words.windows(2).filter(|pair| matches!(pair[0], "-o" | "-MF")).map(|pair| self.path(pair[1]));
        Compile { dir: self.project.clone(), arguments: arguments.to_owned(), outputs: outputs.collect() }
    }
}

/// A run of gcc.
pub struct Compile {
    dir: PathBuf,
    arguments: String,
    outputs: Vec<PathBuf>,
}

/// What came of one.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    /// By name; those that are missing are missing here.
    pub outputs: Vec<(PathBuf, Vec<u8>)>,
}

impl Compile {
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All arguments, beginning with the program's name.
    pub fn arguments(&self) -> Vec<Text> {
        ["gcc"].into_iter().chain(self.arguments.split(' ')).map(Text::from).collect()
    }

    pub fn outputs(&self) -> &[PathBuf] {
        &self.outputs
    }

    /// Runs it here. Its outputs are gone afterwards.
    pub fn plain(&self) -> Made {
        let mut command = Command::new("/usr/bin/gcc");
        command.args(self.arguments.split(' ')).current_dir(&self.dir).env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|variable| variable.split_once('=')));
        let ended = command.output().unwrap();
        let outputs = self.outputs.iter().filter_map(|path| Some((path.clone(), fs::read(path).ok()?)));
        let outputs = outputs.collect();
        self.outputs.iter().for_each(|path| drop(fs::remove_file(path)));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let status = ended.status.code().unwrap();
        Made { status, stdout: text(ended.stdout), stderr: text(ended.stderr), outputs }
    }
}
