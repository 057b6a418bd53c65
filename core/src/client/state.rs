//! Where a submission stands.

use super::File;
use crate::reason::Reason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Fresh,
    AwaitNative,
    AwaitServer,
    /// Before it asks for another server.
    Pausing,
    Dialling,
    SendingEnv,
    AwaitVerify,
    Sending,
    AwaitResult,
    AwaitFile(File),
    /// Facts and the command are on their way.
    SendingFacts,
    /// The server runs the command on our files, and may ask for some.
    AwaitFiles,
    /// What it asked for is on its way.
    Answering,
    /// The outputs of a command that ran on our files.
    AwaitOutputs,
    SelfBuild,
    Over,
}

impl State {
    /// Whether it ends soon after its preprocessor has failed. An environment that is on its way is of use to others.
    pub(super) const fn ends_with_preprocessor(self) -> bool {
        matches!(self, Self::AwaitNative | Self::AwaitServer | Self::Pausing | Self::AwaitVerify)
    }

    /// What it means that the server takes nothing of what is sent to it. `None`: nothing, there is no server.
    pub(super) const fn unsent(self, header_taken: bool) -> Option<Reason> {
        match self {
            Self::SendingEnv => Some(Reason::EnvironmentNotSent),
            Self::AwaitVerify => Some(Reason::NoUsableEnvironment),
            Self::Sending if !header_taken => Some(Reason::HeaderNotSent),
            Self::SendingFacts => Some(Reason::HeaderNotSent),
            Self::Sending | Self::AwaitResult | Self::AwaitFile(_) => Some(Reason::SourceNotSent),
            Self::AwaitFiles | Self::Answering | Self::AwaitOutputs => Some(Reason::SourceNotSent),
            _ => None,
        }
    }

    /// What it means that the server has closed its connection. `None`: nothing, there is no server.
    pub(super) const fn closed(self) -> Option<Reason> {
        match self {
            Self::SendingEnv => Some(Reason::EnvironmentNotSent),
            Self::AwaitVerify => Some(Reason::EnvironmentUnverified),
            Self::Sending | Self::SendingFacts | Self::Answering => Some(Reason::SourceNotSent),
            Self::AwaitResult | Self::AwaitFiles => Some(Reason::NoResult),
            Self::AwaitFile(_) | Self::AwaitOutputs => Some(Reason::ObjectCut),
            _ => None,
        }
    }
}
