//! The end by which a filter tells of calls, and by which they are answered.

use nix::errno::Errno;
use nix::unistd::Pid;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Where the filter of a job tells of calls. It becomes readable when one waits for its answer.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The kernel's number of this waiting.
    pub(crate) id: u64,
    /// The thread that makes it.
    pub(crate) caller: Pid,
    /// The machine whose call it is.
    pub(crate) machine: u32,
    /// Its number there.
    pub(crate) number: u32,
    pub(crate) arguments: [u64; 6],
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The kernel makes it.
    Continue,
    /// It fails with this error.
    Fail(Errno),
}

impl Listener {
    pub(crate) const fn new(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Lets whoever is told run at once, and then the caller, on the same processor: an answer takes less time than
    /// to wake another one up. Before Linux 6.6 there is no such thing.
    pub(crate) fn wake_at_once(&self) {
        // SAFETY: this request takes a number.
        let _ = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
    }

    /// Takes a call that waits. Fails if there is none any more: whoever made it has been killed meanwhile.
    pub(crate) fn next(&self) -> io::Result<Call> {
        // SAFETY: all-zero is a valid value of this structure of numbers, and the kernel demands it.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the request's number says how large the structure is, which is live here.
        let got = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) };
        Errno::result(got)?;
        Ok(Call {
            id: asked.id,
            caller: Pid::from_raw(i32::try_from(asked.pid).unwrap_or(i32::MAX)),
            machine: asked.data.arch,
            number: u32::try_from(asked.data.nr).unwrap_or(u32::MAX),
            arguments: asked.data.args,
        })
    }

    /// Answers a call. Without one that can be answered any more, nothing happens.
    pub(crate) fn answer(&self, call: &Call, reply: Reply) {
        let (error, flags) = match reply {
            Reply::Continue => (0, SYSCALL_CONTINUES),
            Reply::Fail(errno) => (-(errno as i32), 0),
        };
        let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
        // SAFETY: the request's number says how large the structure is, which is live here.
        let _ = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    }

    /// Whether the call still waits. Else its thread's number may be another one's by now.
    pub(crate) fn waits(&self, call: &Call) -> bool {
        // SAFETY: the request's number says that a number is read, which is live here.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const call.id) == 0 }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, which some versions of libc lack.
const SYNC_WAKE_UP: libc::c_ulong = 1;
/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, of the type that the answer has.
const SYSCALL_CONTINUES: u32 = 1;
