//! When the launcher or the daemon dies, no job lives on.

use super::jobs::{C, request, waiting};
use super::{LONG, Try};
use ice_core::daemon::VerifyFailure;
use ice_core::env::EnvId;
use ice_launcher::{LaunchError, Launcher, LauncherConfig};
use ice_sandbox::apply::SingleThread;
use ice_sandbox::channel;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

pub fn launcher_dies(launcher: &Launcher, env: &EnvId) -> Try {
    let (running, to) = waiting(launcher, env)?;
    nix::sys::signal::kill(launcher.pid(), nix::sys::signal::Signal::SIGKILL)?;
    if !launcher.wait_gone(LONG) || !channel::hung_up(&to, LONG) {
        return Err("something lives on".into());
    }
    match (running.wait(LONG), launcher.run(request(env, &C, "", "")?), launcher.verify(env, &AtomicBool::new(false))) {
        (Err(LaunchError::Gone), Err(LaunchError::Gone), Err(VerifyFailure::Host(_))) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

pub fn daemon_dies(config: LauncherConfig, env: &EnvId) -> Try {
    let (ours, theirs) = channel::pair()?;
    let single = SingleThread::check()?;
    let daemon = single.fork(|| {
        let held = Launcher::start(config).map_err(Into::into).and_then(|l| waiting(&l, env).map(|(r, to)| (l, r, to)));
        match held {
            Ok((_launcher, _running, to)) => {
                let _ = channel::send(theirs.as_fd(), b"x", &[to.as_fd()]);
                drop(to);
                std::thread::sleep(LONG);
            }
            Err(e) => eprintln!("daemon to die: {e}"),
        }
        1
    })?;
    drop(theirs);
    let to = channel::receive(ours.as_fd(), 10)?.fds.pop().ok_or("it did not start")?;
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGKILL)?;
    nix::sys::wait::waitpid(daemon, None)?;
    if channel::hung_up(&to, LONG) { Ok(()) } else { Err("something lives on".into()) }
}
