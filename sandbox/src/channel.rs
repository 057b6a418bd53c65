//! Sockets that transport packets with descriptors, between the daemon's two halves and the sandboxes. All descriptors
//! are close-on-exec.

use crate::files_ended::OUTPUTS_MAX;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Maximum number of descriptors in one packet: the outputs of a job, and a few.
pub const FDS_MAX: usize = OUTPUTS_MAX + 8;

/// Creates two connected `SOCK_SEQPACKET` sockets.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one packet, completely or not at all.
pub fn send(to: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        match sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            result => return Ok(result.map(drop)?),
        }
    }
}

/// A received packet.
#[derive(Debug)]
pub struct Packet {
    /// Its bytes; empty if the other end was closed.
    pub bytes: Vec<u8>,
    /// Its descriptors.
    pub fds: Vec<OwnedFd>,
    /// Whether it had more bytes or descriptors than there was room for.
    pub cut: bool,
}

/// Receives one packet of at most `bytes_max` bytes, waiting for it if necessary.
pub fn receive(from: BorrowedFd<'_>, bytes_max: usize) -> io::Result<Packet> {
    let mut bytes = vec![0; bytes_max];
    let mut control = nix::cmsg_space!([i32; FDS_MAX]);
    let (len, cut, fds) = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = match recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)
        {
            Err(Errno::EINTR) => continue,
            result => result?,
        };
        let cut = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
        let mut fds = Vec::new();
        // An error here means that the control data was truncated, which the flags report too.
        for part in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(raw) = part {
                // SAFETY: the kernel has just installed these descriptors for us, nobody else knows them.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        break (message.bytes, cut, fds);
    };
    bytes.truncate(len);
    Ok(Packet { bytes, fds, cut })
}

/// Waits until the socket is readable or closed. `false`: `timeout` has passed.
pub fn readable(fd: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    wait(fd, PollFlags::POLLIN, timeout)
}

/// Waits until the other end is closed. `false`: `timeout` has passed.
pub fn hung_up(fd: &OwnedFd, timeout: Duration) -> bool {
    wait(fd, PollFlags::empty(), timeout).unwrap_or(true)
}

/// Waits for `events` on a descriptor, or its end.
fn wait(fd: &OwnedFd, events: PollFlags, timeout: Duration) -> io::Result<bool> {
    let end = Instant::now().checked_add(timeout);
    loop {
        let left = end.map_or(Duration::MAX, |e| e.saturating_duration_since(Instant::now()));
        // Rounding up avoids a busy loop in the last partial millisecond.
        let ms = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let mut fds = [PollFd::new(fd.as_fd(), events)];
        match poll(&mut fds, PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Creates a memory file with `bytes` that nobody can change any more, positioned at its start.
pub fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let fd = memfd_create(c"request", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals()))?;
    Ok(file.into())
}

/// Creates an empty file in memory.
pub fn memory() -> io::Result<File> {
    Ok(memfd_create(c"output", MFdFlags::MFD_CLOEXEC)?.into())
}

/// Reads a sealed memory file. Fails if it is not sealed, or longer than `bytes_max`.
pub fn read_sealed(fd: OwnedFd, bytes_max: usize) -> io::Result<Vec<u8>> {
    let have = SealFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GET_SEALS)?);
    let file = File::from(fd);
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if !have.contains(seals()) || len > bytes_max {
        return Err(io::Error::other("memory file not sealed, or too long"));
    }
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The seals that make a memory file immutable.
fn seals() -> SealFlag {
    SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn packets_carry_descriptors_and_sealed_files_cannot_change() -> io::Result<()> {
        let (a, b) = pair()?;
        let memory = sealed(b"lists")?;
        assert!(File::from(memory.try_clone()?).write_all_at(b"x", 0).is_err());
        send(a.as_fd(), b"hello", &[memory.as_fd()])?;
        assert!(readable(&b, Duration::from_secs(5))?);
        let packet = receive(b.as_fd(), 100)?;
        assert_eq!((packet.bytes.as_slice(), packet.fds.len(), packet.cut), (&b"hello"[..], 1, false));
        for fd in packet.fds {
            assert_eq!(read_sealed(fd, 100)?, b"lists");
        }
        send(a.as_fd(), &[1; 200], &[])?;
        assert!(receive(b.as_fd(), 100)?.cut);
        assert!(read_sealed(tempfile::tempfile()?.into(), 100).is_err());
        drop(a);
        assert!(hung_up(&b, Duration::from_secs(5)));
        let mut rest = Vec::new();
        assert_eq!(receive(b.as_fd(), 100)?.bytes.as_slice().read_to_end(&mut rest)?, 0);
        Ok(())
    }
}
