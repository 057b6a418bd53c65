//! How a try ends.

use super::{Flow, Outcome};
use crate::icecc::local;
use crate::icecc::output::print;
use crate::icecc::usage::Usage;
use crate::icecc::verify::Theirs;
use ice_core::client::{End, Input};
use ice_core::reason::{Reason, Why};
use std::io;

impl Flow<'_> {
    /// The scheduler chose this host: the user's own command is run, and counted.
    pub(super) fn compile_here(&mut self) {
        self.source.stop();
        let before = Usage::of_children();
        let ran = local::run_child(self.task);
        let outputs = [Some(self.job.output.clone()), self.job.split_dwarf.then(|| self.job.dwo())];
        let stats = Usage::of_children().stats_since(&before, ran.real, outputs.into_iter().flatten());
        self.handle(Input::Compiled { status: ran.status, stats });
        self.ran_here = Some(ran);
    }

    pub(super) fn finish(&mut self, end: End) -> Outcome {
        match end {
            End::Own { status } => {
                self.note_not_compared("the scheduler chose this host");
                self.account.stays(&Reason::OwnHost.into());
                if let Some(ran) = &self.ran_here {
                    self.account.tell(status, self.daemon);
                    ran.end_alike();
                }
                Outcome::Done(status)
            }
            End::Local(why) => {
                self.arrivals.heed_signals();
                if !matches!(why.reason, Reason::FilesRefused | Reason::FilesUnfit | Reason::FilesFalse) {
                    self.keep_what_was_asked();
                }
                Outcome::Local(why)
            }
            End::ByFiles { result } => self.finish_by_files(&result),
            End::ExpandHere => {
                if let Some(why) = self.source.expand_here() {
                    log::debug!("{why}: expanding macros here");
                }
                Outcome::ExpandHere
            }
            End::Remote { result, said } => {
                let host = self.submission.server().host.clone();
                self.account.is_done_by(&host, self.variables.is_sample);
                if self.variables.is_sample {
                    return match self.arrivals.hand_over() {
                        Ok(files) => Outcome::Compare(Theirs { host, status: result.status, files }),
                        Err(reason) => Outcome::Local(Why { host, ..Why::from(reason) }),
                    };
                }
                if let Err(reason) = self.arrivals.put_in_place(self.job, result.status) {
                    return Outcome::Local(Why { host, ..Why::from(reason) });
                }
                self.source.keep_dependencies();
                print(io::stderr(), &said);
                print(io::stdout(), result.stdout.as_bytes());
                print(io::stderr(), result.stderr.as_bytes());
                log::debug!("compiled on {host}, exit code {}", result.status);
                self.note_not_compared("the server takes no files");
                Outcome::Done(result.status)
            }
        }
    }
}
