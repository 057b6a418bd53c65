//! What is built: submitters with lists of files, each with its own weight, built with a bounded number at once, as `make -jN`.

use crate::rng::Rng;
use ice_core::env::EnvRef;
use ice_core::ids::{JobId, PeerId};
use ice_core::message::{ArgSide, CompileFile, GetCs, UseCs};
use ice_core::text::Text;
use ice_core::time::Duration;

/// One compile, seen from its client.
pub struct Build {
    /// Index of the submitting host.
    pub submitter: usize,
    /// Stable per file.
    pub file: Text,
    pub environments: Vec<EnvRef>,
    pub niceness: u32,
    /// CPU time on a host of speed 1.
    pub work: Duration,
    pub state: BuildState,
    /// Counts everything that was begun for it, so that late events of an earlier try are known as such.
    pub attempt: u32,
    /// Connection to the own daemon.
    pub local: Option<PeerId>,
    /// Connection to the compile server.
    pub remote: Option<PeerId>,
    /// What the scheduler answered, and the name of the environment to use.
    pub assigned: Option<(UseCs, Text)>,
    /// Missed signs of life of the server.
    pub misses: u32,
    /// How often its server had lost the environment.
    pub asked: u32,
}

/// Where a build stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// Not begun.
    New,
    /// Asked for a host.
    WaitCs,
    /// Sent to a host.
    Remote { server: usize },
    /// The submitter was chosen; the client compiles.
    Own { job: JobId },
    /// Waits for a slot of its own daemon.
    WaitSlot,
    /// Compiles in a slot of its own daemon.
    Local,
    /// Compiles without a daemon.
    Alone,
    /// Over.
    Ended(End),
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Remote,
    Own,
    Fallback,
    Alone,
    /// The user gave up.
    Cancelled,
    /// The submitter's machine died.
    SubmitterGone,
}

impl Build {
    pub fn is_ended(&self) -> bool {
        matches!(self.state, BuildState::Ended(_))
    }

    pub fn request(&self, platform: &Text) -> GetCs {
        GetCs {
            environments: self.environments.clone(),
            file: self.file.clone(),
            language: 1,
            count: 1,
            target: platform.clone(),
            niceness: self.niceness,
            ..GetCs::default()
        }
    }

    pub fn compile_file(&self, job: JobId, platform: &Text, environment: Text) -> CompileFile {
        CompileFile {
            language: 1,
            job,
            arguments: vec![(ArgSide::Remote, "-c".into())],
            environment,
            target: platform.clone(),
            compiler: "g++".into(),
            input_file: self.file.clone(),
            ..CompileFile::default()
        }
    }
}

/// The files of all submitters, in the order in which each begins them.
pub fn draw(rng: &mut Rng, submitters: &[(usize, Text)], jobs: usize) -> Vec<Build> {
    let mean_ms = rng.between(300, 4_000);
    (0..jobs)
        .map(|n| {
            let (submitter, platform) = &submitters[n % submitters.len()];
            let name = match rng.below(3) {
                0 => "gcc-a",
                1 => "gcc-b",
                _ => "clang",
            };
            let mut environments = vec![EnvRef { platform: platform.clone(), name: name.into() }];
            if rng.per_mille(100) {
                environments.push(EnvRef { platform: "aarch64".into(), name: "cross".into() });
            }
            let heavy = if rng.per_mille(30) { 10 } else { 1 };
            Build {
                submitter: *submitter,
                file: format!("p{submitter}/f{}.cpp", n / submitters.len()).as_str().into(),
                environments,
                niceness: if rng.per_mille(50) { 10 } else { 0 },
                work: Duration::from_millis(rng.between(mean_ms / 4, mean_ms * 2) * heavy),
                state: BuildState::New,
                attempt: 0,
                local: None,
                remote: None,
                assigned: None,
                misses: 0,
                asked: 0,
            }
        })
        .collect()
}
