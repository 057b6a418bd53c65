//! The privileged half: takes requests, makes boxes, reaps them.

use super::LauncherConfig;
use ice_sandbox::channel;
use ice_sandbox::error::Error;
use ice_sandbox::probe::Guarantees;
use std::os::fd::OwnedFd;

/// Forks the launcher off; returns the caller's end of the socket and what the launcher found out.
pub(super) fn start(_config: LauncherConfig) -> Result<(OwnedFd, Guarantees), Error> {
    let (ours, _theirs) = channel::pair().map_err(Error::step("make a socket pair"))?;
    Ok((ours, Guarantees::none("the launcher is not part of this build")))
}
