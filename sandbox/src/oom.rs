//! Which processes the kernel ends first when memory runs out: jobs, before the daemon and the launcher.
//!
//! Without such a mark it ends whoever uses most memory. That may be the daemon, as memory that a job has no mapping of
//! (a memfd, a file of its `/tmp`) counts for nobody.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open, openat};

/// The mark of those that go first (`proc_pid_oom_score_adj(5)`), the highest there is. Everybody may raise their own.
const FIRST: &[u8] = b"1000";
/// The most that the daemon keeps of a mark that it was started with: half of all memory of difference to its jobs.
const DAEMON_MAX: i32 = 500;
/// The calling process's own mark.
const OWN: &str = "/proc/self/oom_score_adj";

/// Marks this process, and all that it starts, to be ended first.
pub fn be_first() -> io::Result<()> {
    fs::write(OWN, FIRST)
}

/// Lowers the mark of this process, and of all that it starts, where jobs could hardly exceed it.
pub fn outlive_jobs() -> io::Result<()> {
    if own()? > DAEMON_MAX { fs::write(OWN, DAEMON_MAX.to_string()) } else { Ok(()) }
}

fn own() -> io::Result<i32> {
    fs::read_to_string(OWN)?.trim().parse().map_err(io::Error::other)
}

/// Marks sandboxes. It is made while `/proc` can be reached.
#[derive(Debug)]
pub struct Marker {
    proc: OwnedFd,
}

impl Marker {
    /// Fails without `/proc`, and where this process is as likely to be ended as those that it would mark.
    pub(crate) fn new() -> io::Result<Self> {
        if own()? > DAEMON_MAX {
            return Err(io::Error::other("it was started as the first to end (oom_score_adj)"));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { proc: open("/proc", flags, Mode::empty())? })
    }

    /// As [`be_first`], for a process that has no `/proc`.
    pub(crate) fn be_first(&self) -> io::Result<()> {
        let own = openat(&self.proc, "self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        File::from(own).write_all(FIRST)
    }
}
