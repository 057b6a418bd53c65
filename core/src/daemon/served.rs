//! A job that is compiled here for another host's client, from COMPILE_FILE to its compiler's end.

use super::job::SessionJob;
use crate::env::EnvId;
use crate::message::CompileFile;
use crate::text::Text;
use crate::time::Instant;

/// What is to be run.
#[derive(Debug)]
pub(super) enum Task {
    /// This, in an environment.
    Text(Box<CompileFile>),
    /// A command on the submitter's files, which the connection's thread knows; this is its input.
    Files(Text),
}

impl Task {
    /// The file that is compiled.
    pub fn input_file(&self) -> &Text {
        match self {
            Self::Text(file) => &file.input_file,
            Self::Files(input) => input,
        }
    }
}

/// The job: it waits for a slot, or runs in one.
#[derive(Debug)]
pub(super) struct Served {
    job: SessionJob,
    /// As it was named; jobs of files mode have none.
    named: Option<EnvId>,
    /// What that means now.
    env: Option<EnvId>,
    /// When COMPILE_FILE or FILES_JOB came.
    came: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Waits for a slot; all that it needs is there since then.
    Waits { task: Task, complete: Option<Instant> },
    /// Runs in this slot since then.
    Runs { slot: u16, since: Instant },
}

impl Served {
    /// COMPILE_FILE or FILES_JOB came.
    pub fn new(now: Instant, job: SessionJob, env: Option<EnvId>, task: Task) -> Self {
        Self { job, named: env.clone(), env, came: now, stage: Stage::Waits { task, complete: None } }
    }

    /// Its number.
    pub fn job(&self) -> SessionJob {
        self.job
    }

    /// Its environment, by the name that its client gave.
    pub fn named(&self) -> Option<&EnvId> {
        self.named.as_ref()
    }

    /// Its environment.
    pub fn env(&self) -> Option<&EnvId> {
        self.env.as_ref()
    }

    /// Its name means another environment now.
    pub fn set_env(&mut self, env: EnvId) {
        self.env = Some(env);
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

    /// All that it needs is here.
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
    pub fn start(&mut self, now: Instant, slot: u16) -> Option<Task> {
        if !self.waits() {
            return None;
        }
        match std::mem::replace(&mut self.stage, Stage::Runs { slot, since: now }) {
            Stage::Waits { task, .. } => Some(task),
            Stage::Runs { .. } => None,
        }
    }
}
