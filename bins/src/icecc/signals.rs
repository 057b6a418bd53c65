//! Signals by flags and a self-pipe, without a thread (decision: small-builds).
//!
//! Handlers exist only while there is something to clean up or a child to care for; at all other times a signal simply ends
//! the client, which closes its connections and so ends the remote job.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::low_level;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals that end a program.
const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Handlers that note signals, until dropped.
#[derive(Debug)]
pub(super) struct Caught {
    wake: UnixStream,
    flags: Vec<(i32, Arc<AtomicBool>)>,
    handlers: Vec<signal_hook::SigId>,
}

impl Caught {
    /// Notes the ending signals that were not ignored when the client was started, and ended children.
    pub(super) fn new() -> io::Result<Self> {
        let (wake, write) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let ignored = ignored();
        let mut caught = Self { wake, flags: Vec::new(), handlers: Vec::new() };
        for signal in ENDING.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0) {
            let flag = Arc::new(AtomicBool::new(false));
            caught.handlers.push(signal_hook::flag::register(signal, Arc::clone(&flag))?);
            caught.handlers.push(low_level::pipe::register(signal, write.try_clone()?)?);
            caught.flags.push((signal, flag));
        }
        caught.handlers.push(low_level::pipe::register(SIGCHLD, write)?);
        Ok(caught)
    }

    /// Waits for the next signal.
    pub(super) fn wait(&mut self) {
        let mut fds = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::NONE);
        self.clear();
    }

    /// For polling beside other descriptors.
    pub(super) fn wake(&self) -> &UnixStream {
        &self.wake
    }

    /// Empties the pipe.
    pub(super) fn clear(&mut self) {
        let mut bytes = [0; 64];
        while self.wake.read(&mut bytes).is_ok_and(|n| n > 0) {}
    }

    /// An ending signal that came since the last call.
    pub(super) fn take(&self) -> Option<i32> {
        self.flags.iter().find(|(_, flag)| flag.swap(false, Ordering::SeqCst)).map(|(signal, _)| *signal)
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            low_level::unregister(handler);
        }
    }
}

/// From now on a file that would become larger than `ulimit -f` allows is an error as any other, not the end: it is the compiler's
/// to die of. What we start has the signal's own meaning again.
pub(super) fn survive_file_limit() {
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Dies of `signal`, so that make and shells see what happened.
pub(super) fn die_of(signal: i32) {
    log::info!("received signal {signal}");
    let _ = low_level::emulate_default_handler(signal);
}

/// The signals that were ignored at our start (`nohup`, background jobs of shells): they stay ignored.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
