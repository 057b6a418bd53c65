//! Where a submission stands.

use super::File;

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
    SelfBuild,
    Over,
}

impl State {
    /// Whether it ends soon after its preprocessor has failed. An environment that is on its way is of use to others.
    pub(super) const fn ends_with_preprocessor(self) -> bool {
        matches!(self, Self::AwaitNative | Self::AwaitServer | Self::Pausing | Self::AwaitVerify)
    }
}
