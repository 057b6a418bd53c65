//! What can go wrong on the way to a remote object, with the numbers that 1.4 gives it (its log lines and its users
//! know them).

use std::fmt;

/// Why a compile that was meant to go elsewhere is done here. Never the end of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The daemon has no archive for this compiler; its reason if it gave one.
    NoNativeEnv,
    /// 22: the daemon could make none, and why.
    NativeFailed(String),
    /// 1: no compile server in time, or another answer.
    NoServer,
    /// 1: the daemon has no scheduler.
    NoScheduler,
    /// 1: the scheduler knows no host that could take the job.
    NoHost,
    /// 2: the server cannot be reached.
    Unreachable,
    /// 4, 5: the archive cannot be read.
    Archive,
    /// 6, 8: the archive could not be sent.
    EnvNotSent,
    /// 9: the job's header could not be sent.
    HeaderNotSent,
    /// 12, 15: the source could not be sent.
    SourceNotSent,
    /// 13: something else than a result.
    NotAResult,
    /// 14: no result: closed, or no sign of life.
    NoResult,
    /// 16: the preprocessor's output could not be read.
    SourceUnreadable,
    /// 18: the preprocessor could not be started.
    NoPreprocessor,
    /// 19: the object did not come.
    ObjectCut,
    /// 20: something else than the object.
    NotAnObject,
    /// 21: the object could not be written.
    ObjectUnwritten,
    /// 31: the temporary beside the target could not be made or renamed.
    NoTemporary,
    /// 22: no usable environment, or the request to verify could not be sent.
    NoEnvironment,
    /// 23: the server said why it cannot.
    ServerSays(String),
    /// 24: the server found the environment unusable; the host is reported.
    EnvRefused,
    /// 24: the daemon does not read.
    DaemonGone,
    /// 25: no answer about the environment, or a wrong one.
    EnvUnverified,
    /// 25: the server says why it has no such environment.
    EnvMissing(String),
    /// 26: a server that cannot verify, which the user ruled out.
    CannotVerify,
    /// 29: the daemon went while the job was to be compiled here.
    SelfBuildLost,
    /// 101: memory ran out on the server.
    OutOfMemory,
    /// 101: its disk was full.
    OutOfDisk,
    /// 101: the remote compiler was killed, nobody knows why.
    Killed,
    /// 102: messages of gcc without source lines.
    Messages,
    /// 103: preprocessing failed; the compiler's own run shows it best.
    Preprocessing,
    /// 104: a file is missing on the server.
    FileNotFound,
    /// 105: the remote compiler crashed.
    Crash,
    /// 106 (ours): the remote compiler failed in a way that may not be the source's fault.
    Doubtful,
    /// 107 (ours): the remote compiler failed, and what the plain one would leave in its output cannot be told.
    OutputOfFailure,
    /// 108 (ours): the server sent a file that is no output of this compile, and why; the host is reported.
    FalseResult(String),
}

impl Trouble {
    /// 1.4's number.
    pub const fn number(&self) -> u32 {
        match self {
            Self::NoServer | Self::NoScheduler | Self::NoHost => 1,
            Self::Unreachable => 2,
            Self::Archive => 4,
            Self::EnvNotSent => 6,
            Self::HeaderNotSent => 9,
            Self::NotAResult => 13,
            Self::NoResult => 14,
            Self::SourceNotSent => 15,
            Self::SourceUnreadable => 16,
            Self::NoPreprocessor => 18,
            Self::ObjectCut => 19,
            Self::NotAnObject => 20,
            Self::ObjectUnwritten => 21,
            Self::NoNativeEnv | Self::NativeFailed(_) | Self::NoEnvironment => 22,
            Self::ServerSays(_) => 23,
            Self::EnvRefused | Self::DaemonGone => 24,
            Self::EnvUnverified | Self::EnvMissing(_) => 25,
            Self::CannotVerify => 26,
            Self::SelfBuildLost => 29,
            Self::NoTemporary => 31,
            Self::OutOfMemory | Self::OutOfDisk | Self::Killed => 101,
            Self::Messages => 102,
            Self::Preprocessing => 103,
            Self::FileNotFound => 104,
            Self::Crash => 105,
            Self::Doubtful => 106,
            Self::OutputOfFailure => 107,
            Self::FalseResult(_) => 108,
        }
    }

    /// Whether the cluster failed, as opposed to a compile that only a run here can show as the user expects it.
    pub const fn is_clusters_fault(&self) -> bool {
        !matches!(
            self,
            Self::Messages | Self::Preprocessing | Self::FileNotFound | Self::Doubtful | Self::OutputOfFailure
        )
    }

    /// Whether the other side did its work, but its result is not taken ("remote exception" in 1.4's log).
    pub const fn is_about_result(&self) -> bool {
        self.number() > 100
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NativeFailed(text) => return write!(f, "daemon can't determine native environment: {text}"),
            Self::NoNativeEnv => {
                "daemon can't determine native environment. Set $ICECC_VERSION to an icecc environment."
            }
            Self::NoServer => "expected use_cs reply, but got something else",
            Self::NoScheduler => "the daemon has no scheduler",
            Self::NoHost => "no host of the network can take the job",
            Self::Unreachable => "no server found at given hostname",
            Self::Archive => "unable to open environment archive",
            Self::EnvNotSent => "write environment to remote failed",
            Self::HeaderNotSent => "error sending file to remote",
            Self::SourceNotSent => "write of source chunk to host failed",
            Self::NotAResult => "did not get compile response message",
            Self::NoResult => "error reading message from remote",
            Self::SourceUnreadable => "error reading from preprocessor",
            Self::NoPreprocessor => "cannot start preprocessor",
            Self::ObjectCut => "(network failure?)",
            Self::NotAnObject => "unexpected message instead of object file",
            Self::ObjectUnwritten => "error writing object file",
            Self::NoTemporary => "cannot make object file beside its target",
            Self::NoEnvironment => "no usable environment",
            Self::ServerSays(text) => return write!(f, "remote status: {text}"),
            Self::EnvRefused => "remote unable to verify environment",
            Self::DaemonGone => "error writing to local daemon",
            Self::EnvUnverified => "other error verifying environment on remote",
            Self::EnvMissing(text) => return write!(f, "other error verifying environment on remote: {text}"),
            Self::CannotVerify => "environment cannot be verified on remote",
            Self::SelfBuildLost => "local daemon gone before local compile",
            Self::OutOfMemory => "the server ran out of memory, recompiling locally",
            Self::OutOfDisk => "the server's disk was full, recompiling locally",
            Self::Killed => "remote compiler was killed, recompiling locally",
            Self::Messages => "command needs stdout/stderr workaround, recompiling locally",
            Self::Preprocessing => "local cpp invocation failed, trying to recompile locally",
            Self::FileNotFound => "missing file on the remote, recompiling locally",
            Self::Crash => "remote compiler crashed, recompiling locally",
            Self::Doubtful => "remote failure may not be the source's, recompiling locally",
            Self::FalseResult(why) => return write!(f, "false result, recompiling locally: {why}"),
            Self::OutputOfFailure => {
                "only the compiler knows what its failure makes of the output, recompiling locally"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Trouble as T;

    /// Those of 1.4 up to 105, by which its users know them.
    #[test]
    fn each_trouble_has_its_number() {
        let why = || "why".to_owned();
        let all = [
            (1, vec![T::NoServer, T::NoScheduler, T::NoHost]),
            (2, vec![T::Unreachable]),
            (4, vec![T::Archive]),
            (6, vec![T::EnvNotSent]),
            (9, vec![T::HeaderNotSent]),
            (13, vec![T::NotAResult]),
            (14, vec![T::NoResult]),
            (15, vec![T::SourceNotSent]),
            (16, vec![T::SourceUnreadable]),
            (18, vec![T::NoPreprocessor]),
            (19, vec![T::ObjectCut]),
            (20, vec![T::NotAnObject]),
            (21, vec![T::ObjectUnwritten]),
            (22, vec![T::NoNativeEnv, T::NativeFailed(why()), T::NoEnvironment]),
            (23, vec![T::ServerSays(why())]),
            (24, vec![T::EnvRefused, T::DaemonGone]),
            (25, vec![T::EnvUnverified, T::EnvMissing(why())]),
            (26, vec![T::CannotVerify]),
            (29, vec![T::SelfBuildLost]),
            (31, vec![T::NoTemporary]),
            (101, vec![T::OutOfMemory, T::OutOfDisk, T::Killed]),
            (102, vec![T::Messages]),
            (103, vec![T::Preprocessing]),
            (104, vec![T::FileNotFound]),
            (105, vec![T::Crash]),
            (106, vec![T::Doubtful]),
            (107, vec![T::OutputOfFailure]),
            (108, vec![T::FalseResult(why())]),
        ];
        for (number, troubles) in all {
            for trouble in troubles {
                assert_eq!((trouble.number(), trouble.is_about_result()), (number, number > 100), "{trouble}");
                // What only a run here can show is nobody's fault.
                let own = [102, 103, 104, 106, 107].contains(&number);
                assert_eq!(trouble.is_clusters_fault(), !own, "{trouble}");
                let with_reason = format!("{trouble:?}").contains("why");
                assert_eq!(trouble.to_string().ends_with(": why"), with_reason, "{trouble}");
            }
        }
    }
}
