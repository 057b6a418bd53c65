//! The sandbox of a job of files mode: layers of its submitter's tree, and above them one that it may write.

use super::{Bounds, RootMethod, SandboxFactory, TMP_FILES_MAX};
use crate::calls::Purpose;
use crate::guarantees::Guarantee;
use crate::plan::{Lower, Plan, Step, c};
use nix::mount::MsFlags;
use std::time::Duration;

/// The requirements of a job of files mode on its sandbox.
#[derive(Clone, Copy, Debug)]
pub struct FilesNeeds<'a> {
    /// The directories from the base to that of the layers.
    pub below: &'a [String],
    /// The layers' names, the topmost first.
    pub layers: &'a [String],
    /// A number below the number of slots, or that number itself for the trial.
    pub slot: u16,
    /// Limit of memory in bytes.
    pub memory: u64,
    /// Limit of what it writes in bytes.
    pub tmp: u64,
    /// Limit of one file in bytes.
    pub file: u64,
    /// Maximum elapsed time.
    pub wall: Duration,
    /// The submitter's umask.
    pub umask: u32,
}

impl SandboxFactory {
    /// The plan of a sandbox for a job of files mode. `Err` is the reason why there can be none.
    pub fn files(&self, needs: &FilesNeeds<'_>) -> Result<Plan, String> {
        self.guarantees.accepts_jobs().map_err(|reason| format!("no foreign jobs on this host: {reason}"))?;
        if self.root_method != RootMethod::Mounts {
            return Err("no mounts".to_owned());
        }
        for lost in [Guarantee::Processes, Guarantee::Calls] {
            self.guarantees.reason(lost).map_or(Ok(()), |reason| Err(format!("{lost} is not guaranteed: {reason}")))?;
        }
        let filter = self.filter(Purpose::Files, true).ok_or("nobody can hear of a job's calls")?;
        let bounds = Bounds {
            slot: needs.slot,
            memory: needs.memory,
            tmp: needs.tmp,
            file: needs.file,
            wall: needs.wall,
            umask: needs.umask & 0o777,
        };
        let mut plan = self.bounded(self.overlay_steps(needs), &bounds);
        plan.filter = Some(filter);
        Ok(plan)
    }

    /// The steps up to the change of the root.
    fn overlay_steps(&self, needs: &FilesNeeds<'_>) -> Vec<Step> {
        let dir = |path: &str| Step::MakeDir(c(path));
        let size = self.memory.tmp_max(needs.memory, needs.tmp);
        let lower = Lower {
            base: c("/base"),
            below: needs.below.iter().map(c).collect(),
            layers: needs.layers.iter().map(c).collect(),
        };
        let hidden = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        vec![
            Step::DieWithParent,
            Step::Tmpfs { at: c("/box"), options: c(format!("mode=755,size={size},nr_inodes={TMP_FILES_MAX}")) },
            dir("/box/upper"),
            dir("/box/upper/proc"),
            dir("/box/upper/dev"),
            dir("/box/work"),
            dir("/box/proc"),
            dir("/box/root"),
            Step::Proc(c("/box/proc")),
            Step::Remount { at: c("/box/proc"), flags: hidden | MsFlags::MS_RDONLY },
            Step::Overlay {
                at: c("/box/root"),
                lower,
                upper: [c("/box/upper"), c("/box/work")],
                proc: c("/box/proc"),
                of_user: self.of_user,
            },
            Step::Bind { from: c("/box/proc"), to: c("/box/root/proc"), all: false },
            Step::Bind { from: c("/dev"), to: c("/box/root/dev"), all: true },
            Step::Keep(c("/box/upper")),
            Step::PivotRoot { new: c("/box/root"), old: None },
        ]
    }
}
