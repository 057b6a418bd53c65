//! Messages of our extension that files mode and statistics have (`net/PROTOCOL.md`, Extension).

use crate::ids::{ClientId, JobId};
use crate::text::Text;

/// Client → compile server: run this command on the submitter's files. A stream follows: the facts, encoded, or their
/// difference to `base`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesJob {
    /// The job.
    pub job: JobId,
    /// The submitter's platform.
    pub target: Text,
    /// The submitter's [`Token`](crate::files::Token), in hexadecimal digits.
    pub token: Text,
    /// [`Digest`](crate::files::Digest) of the encoded facts, likewise.
    pub set: Text,
    /// That of the facts to which the stream has a difference; empty if it has all facts.
    pub base: Text,
    /// Absolute path of the program to execute.
    pub compiler: Text,
    /// Its arguments, the first being its name.
    pub arguments: Vec<Text>,
    /// Its environment, `NAME=VALUE` each.
    pub environment: Vec<Text>,
    /// Its working directory, canonical.
    pub working_directory: Text,
    /// Its umask.
    pub umask: u32,
    /// Absolute input file, for logs and monitors.
    pub input_file: Text,
    /// Absolute paths that it may write.
    pub outputs: Vec<Text>,
}

impl FilesJob {
    /// Approximate size in memory: bytes of all texts.
    pub fn text_bytes(&self) -> usize {
        let names = [
            &self.target,
            &self.token,
            &self.set,
            &self.base,
            &self.compiler,
            &self.working_directory,
            &self.input_file,
        ];
        let lists = [&self.arguments, &self.environment, &self.outputs];
        let listed: usize = lists.iter().flat_map(|list| list.iter()).map(|text| size_of::<Text>() + text.len()).sum();
        names.iter().map(|name| name.len()).sum::<usize>() + listed
    }
}

/// Compile server → client: what it lacks. The client answers with one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesNeed {
    /// [`need`].
    pub kind: u32,
    /// Of which paths; none for [`need::ALL`].
    pub paths: Vec<Text>,
}

/// Values of [`FilesNeed::kind`].
pub mod need {
    /// All facts: those of `base` are not known.
    pub const ALL: u32 = 0;
    /// The facts of these paths, with all directories above them, and for links what they lead to.
    pub const FACTS: u32 = 1;
    /// The contents of these files, one after the other.
    pub const CONTENTS: u32 = 2;
}

/// Compile server → client: how the command ended. Streams follow: an encoded
/// [`ResultBody`](crate::files::ResultBody), then the contents of each output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesResult {
    /// Exit status.
    pub status: i32,
    /// Not 0 if memory or disk ran out.
    pub out_of_memory: u32,
    /// Its standard output.
    pub stdout: Text,
    /// Its standard error.
    pub stderr: Text,
}

/// Scheduler → daemon → client: what the host of the USE_CS that follows can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCan {
    /// The job.
    pub job: JobId,
    /// The client, as in GET_CS.
    pub client: ClientId,
    /// [`abilities`].
    pub abilities: u32,
}

/// Bits of [`HostCan::abilities`].
pub mod abilities {
    /// It takes FILES_JOB.
    pub const FILES: u32 = 1;
}

/// Client → its daemon: asks for, or hands over, what the daemon keeps for this user. A stream belongs to it: after
/// KEEP_GET the daemon's answer, empty if nothing is kept; after KEEP_PUT what shall be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// [`keep`].
    pub kind: u32,
    /// Its name, in hexadecimal digits; empty but for [`keep::RECORD`].
    pub key: Text,
}

/// Values of [`Keep::kind`].
pub mod keep {
    /// The user's token, which the daemon makes and a client cannot set.
    pub const TOKEN: u32 = 0;
    /// The record of a unit.
    pub const RECORD: u32 = 1;
    /// The user's [`Statistics`](crate::statistics::Statistics) as JSON, which a client cannot set.
    pub const STATISTICS: u32 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_wire() {
        assert_eq!([need::ALL, need::FACTS, need::CONTENTS], [0, 1, 2]);
        assert_eq!([keep::TOKEN, keep::RECORD, keep::STATISTICS, abilities::FILES], [0, 1, 2, 1]);
    }

    #[test]
    fn all_texts_of_a_job_count() {
        let empty = FilesJob::default();
        assert_eq!(empty.text_bytes(), 0);
        let text = |n: usize| Text::from("x".repeat(n));
        let job = FilesJob {
            target: text(1),
            token: text(2),
            set: text(4),
            base: text(8),
            compiler: text(16),
            working_directory: text(32),
            input_file: text(64),
            ..empty
        };
        assert_eq!(job.text_bytes(), 127);
        let lists = FilesJob { arguments: vec![text(1)], environment: vec![text(2)], outputs: vec![text(4)], ..job };
        assert_eq!(lists.text_bytes(), 127 + 7 + 3 * size_of::<Text>());
    }
}
