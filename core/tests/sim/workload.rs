//! What is built: submitters with lists of files, each with its own weight, built with a bounded number at once, as `make -jN`.

use crate::rng::Rng;
use ice_core::client::{Environments, Request, Submission};
use ice_core::cmdline::{Family, Messages, Mode};
use ice_core::env::EnvRef;
use ice_core::ids::PeerId;
use ice_core::message::{ArgSide, CompileFile, GetCs};
use ice_core::text::Text;
use ice_core::time::{Duration, Instant};

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
    /// Decides while it may go elsewhere.
    pub submission: Option<Box<Submission>>,
    /// When its timer is set for.
    pub timer: Option<Instant>,
    /// Its macros are not left to the server.
    pub is_expanded: bool,
    /// What the server says next is a file.
    pub receives: bool,
    /// The status that the server it is at sent it.
    pub delivered: Option<i32>,
}

/// Where a build stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// Not begun.
    New,
    /// The cluster has it.
    Away,
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

    pub fn request(&self, platform: &Text) -> Request {
        let get_cs = GetCs {
            file: self.file.clone(),
            language: 1,
            count: 1,
            target: platform.clone(),
            niceness: self.niceness,
            ..GetCs::default()
        };
        let compile = CompileFile {
            language: 1,
            arguments: vec![(ArgSide::Remote, "-c".into())],
            target: platform.clone(),
            compiler: "g++".into(),
            input_file: self.file.clone(),
            ..CompileFile::default()
        };
        Request {
            environments: Environments::Given(self.environments.clone()),
            get_cs,
            compile,
            family: Family::Gcc,
            mode: if self.is_expanded { Mode::Full } else { Mode::Directives },
            messages: Messages::Taken,
            failure_is_doubtful: false,
            told_in_full: Vec::new(),
            verified_only: false,
            zstd_by_default: false,
            loopback_is_remote: false,
            wants_other_host: false,
            is_nested: false,
            can_by_files: false,
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
                submission: None,
                timer: None,
                is_expanded: false,
                receives: false,
                delivered: None,
            }
        })
        .collect()
}
