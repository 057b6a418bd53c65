//! A job that is compiled here for another host's client, from COMPILE_FILE to its compiler's end.

use super::job::SessionJob;
use crate::env::EnvId;
use crate::message::CompileFile;
use crate::time::Instant;

/// The job: it waits for a slot, or runs in one.
#[derive(Debug)]
pub(super) struct Served {
    job: SessionJob,
    /// As it was named.
    named: EnvId,
    /// What that means now.
    env: EnvId,
    /// When COMPILE_FILE came.
    came: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Waits for a slot; its source is complete since then.
    Waits { file: Box<CompileFile>, complete: Option<Instant> },
    /// Runs in this slot since then.
    Runs { slot: u16, since: Instant },
}

impl Served {
    /// COMPILE_FILE came.
    pub fn new(now: Instant, job: SessionJob, env: EnvId, file: CompileFile) -> Self {
        Self { job, named: env.clone(), env, came: now, stage: Stage::Waits { file: Box::new(file), complete: None } }
    }

    /// Its number.
    pub fn job(&self) -> SessionJob {
        self.job
    }

    /// Its environment, by the name that its client gave.
    pub fn named(&self) -> &EnvId {
        &self.named
    }

    /// Its environment.
    pub fn env(&self) -> &EnvId {
        &self.env
    }

    /// Its name means another environment now.
    pub fn set_env(&mut self, env: EnvId) {
        self.env = env;
    }

    /// When it came.
    pub fn came(&self) -> Instant {
        self.came
    }

    /// The name of its state, which is 1.4's.
    pub fn name(&self) -> &'static str {
        match self.stage {
            Stage::Waits { .. } => "tocompile",
            Stage::Runs { .. } => "waitforchild",
        }
    }

    /// Whether it waits for a slot.
    pub fn waits(&self) -> bool {
        matches!(self.stage, Stage::Waits { .. })
    }

    /// Since when it waits for nothing but a slot.
    pub fn complete(&self) -> Option<Instant> {
        match self.stage {
            Stage::Waits { complete, .. } => complete,
            Stage::Runs { .. } => None,
        }
    }

    /// All of its source is here.
    pub fn set_complete(&mut self, now: Instant) {
        if let Stage::Waits { complete, .. } = &mut self.stage {
            complete.get_or_insert(now);
        }
    }

    /// Its slot, and since when it runs there.
    pub fn runs(&self) -> Option<(u16, Instant)> {
        match self.stage {
            Stage::Runs { slot, since } => Some((slot, since)),
            Stage::Waits { .. } => None,
        }
    }

    /// It got a slot. Returns what is to be run, unless it runs already.
    pub fn start(&mut self, now: Instant, slot: u16) -> Option<CompileFile> {
        if !self.waits() {
            return None;
        }
        match std::mem::replace(&mut self.stage, Stage::Runs { slot, since: now }) {
            Stage::Waits { file, .. } => Some(*file),
            Stage::Runs { .. } => None,
        }
    }
}
