//! Jobs in their slots: one whose slot is still another sandbox's waits for it.

use super::{Refused, Serve, Task};
use crate::JobLimits;
use crate::request::{EXTRA_SLOT, LISTS_MAX, Lists};
use ice_core::env::EnvId;
use ice_core::files::Token;
use ice_core::server::Program;
use ice_core::store_layout;
use ice_sandbox::calls::Purpose;
use ice_sandbox::channel;
use ice_sandbox::child::{self, Files, Job, Work};
use ice_sandbox::factory::Needs;
use ice_sandbox::plan::{Plan, c};
use ice_sandbox::report::Report;
use ice_sandbox::supervisor::Tree;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Requests that wait for their slots, beside one for each.
const HELD_MAX: usize = 32;
/// How long a request may wait for the sandbox that had its slot, and its user id, to be reaped. Killing takes
/// milliseconds, or until a disk answers.
pub(super) const SLOT_WAIT: Duration = Duration::from_secs(12);

/// A request to run that waits for its slot.
pub(super) struct Held {
    pub(super) since: Instant,
    pub(super) slot: u16,
    pub(super) answer: OwnedFd,
    pub(super) start: Start,
}

/// What is needed to start a job, slot apart.
pub(super) struct Start {
    pub(super) fds: Vec<OwnedFd>,
    pub(super) what: What,
    pub(super) limits: JobLimits,
}

/// What a job runs.
pub(super) enum What {
    /// A program of an environment.
    Program { env: EnvId, program: Program },
    /// A command of files mode, in the tree of this submitter.
    Files(Token),
}

impl Serve<'_> {
    /// Starts a job, at once or when its slot's last sandbox is reaped: until then something with the slot's user id
    /// may live.
    pub(super) fn run(&mut self, answer: OwnedFd, slot: u16, start: Start) -> Result<(), Refused> {
        let slot = match slot {
            EXTRA_SLOT => self.config.slots,
            slot if slot < self.config.slots => slot,
            slot => return Err(format!("slot {slot} of {}", self.config.slots)),
        };
        if self.is_taken(slot) || self.held.iter().any(|held| held.slot == slot) {
            if self.held.len() >= usize::from(self.config.slots) + HELD_MAX {
                return Err("too many jobs wait for their slots".to_owned());
            }
            self.held.push(Held { since: Instant::now(), slot, answer, start });
            return Ok(());
        }
        self.start(answer, slot, start)
    }

    fn is_taken(&self, slot: u16) -> bool {
        self.sandboxes.values().any(|running| matches!(running.task, Task::Run(taken) if taken == slot))
    }

    /// Starts what waited for a slot that is free now; refuses what has waited too long.
    pub(super) fn start_held(&mut self) {
        let mut i = 0;
        while let Some(held) = self.held.get(i) {
            let taken = self.is_taken(held.slot);
            if taken && held.since.elapsed() < SLOT_WAIT {
                i += 1;
                continue;
            }
            let Held { slot, answer, start, .. } = self.held.remove(i);
            let spare = answer.try_clone().map_err(|e| e.to_string());
            let done = match spare {
                _ if taken => Err(format!("slot {slot} is still another job's")),
                spare => spare.and_then(|spare| self.start(spare, slot, start)),
            };
            if let Err(text) = done {
                Report::Refused(text).send(answer.as_fd());
            }
        }
    }

    fn start(&mut self, answer: OwnedFd, slot: u16, start: Start) -> Result<(), Refused> {
        let Start { mut fds, what, limits } = start;
        let limits = limits.clamped(&self.config.limits);
        let lists = fds.pop().ok_or("no lists")?;
        let asks = if matches!(what, What::Files(_)) { fds.pop() } else { None };
        let stdio: [OwnedFd; 3] = fds.try_into().map_err(|_| "wrong number of descriptors")?;
        if stdio.iter().chain([&answer]).chain(&asks).any(|fd| fd.as_raw_fd() <= 2) {
            return Err("standard descriptors of the launcher are closed".to_owned());
        }
        self.factory.limit_memory(slot, limits.memory).map_err(|e| format!("cannot limit memory: {e}"))?;
        let wall = limits.wall;
        let (plan, work, files, tree) = match what {
            What::Program { env, program } => self.program(slot, &env, program, limits, lists)?.of(stdio),
            What::Files(token) => self.files(slot, &token, limits, lists, asks)?.of(stdio),
        };
        let (group, marker) = (self.factory.group(slot), self.factory.marker());
        let job = Job { plan, work, files, tree, answer, wall, group, marker };
        self.track(child::start(self.single, job), Task::Run(slot))
    }

    /// A program of an environment.
    fn program(
        &self,
        slot: u16,
        env: &EnvId,
        program: Program,
        limits: JobLimits,
        lists: OwnedFd,
    ) -> Result<Planned, Refused> {
        let lists = channel::read_sealed(lists, LISTS_MAX).map_err(|e| e.to_string())?;
        let Lists { args, layout } = Lists::from_bytes(&lists)?;
        let target = store_layout::platform_name(env);
        let plan = self.factory.job(&Needs {
            env: [&target, env.name.as_str()],
            slot,
            memory: limits.memory,
            tmp: limits.tmp,
            file: limits.file,
            wall: limits.wall,
            purpose: purpose(program, slot == self.config.slots),
            foreign: foreign(env),
        })?;
        let path = c(program.path());
        let argv = [path.clone()].into_iter().chain(args.iter().map(c)).collect();
        let env = vec![c("PATH=/usr/bin"), c("TMPDIR=/tmp")];
        let files = Files {
            dirs: layout.dirs,
            cwd: layout.cwd,
            object: layout.object,
            dwo: layout.dwo,
            clean: self.factory.shares_tmp(),
        };
        Ok(Planned { plan, path, argv, env, files, tree: None })
    }
}

/// What a job's sandbox and work are made of, its standard descriptors apart.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) path: CString,
    pub(super) argv: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) files: Files,
    pub(super) tree: Option<Tree>,
}

impl Planned {
    /// The work with its standard descriptors, and what is around it.
    fn of(self, stdio: [OwnedFd; 3]) -> (Plan, Work, Files, Option<Tree>) {
        let Self { plan, path, argv, env, files, tree } = self;
        (plan, Work::Program { path, argv, env, stdio: Some(stdio) }, files, tree)
    }
}

/// What the calls of a program are filtered for. Jobs have the slots; the one beside them has the verifications.
fn purpose(program: Program, is_verification: bool) -> Purpose {
    match program {
        _ if is_verification => Purpose::Verification,
        Program::Gcc | Program::Gxx => Purpose::Gcc,
        Program::Clang | Program::ClangXx => Purpose::Clang,
        Program::True => Purpose::Verification,
    }
}

/// Whether programs of the environment make calls of another machine's form than ours.
fn foreign(env: &EnvId) -> bool {
    match std::env::consts::ARCH {
        "x86_64" => matches!(env.platform.as_str(), "i386" | "i486" | "i586" | "i686"),
        "aarch64" => env.platform.as_str().starts_with("arm"),
        _ => false,
    }
}
