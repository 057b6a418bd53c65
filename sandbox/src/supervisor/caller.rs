//! Who makes a call, and what its arguments mean: paths in its memory, its working directory, its descriptors.

use super::Refusal;
use crate::listener::{Call, Listener};
use crate::path_calls::{Follows, Place};
use nix::errno::Errno;
use nix::fcntl::readlink;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use std::io::IoSliceMut;
use std::os::unix::ffi::OsStringExt;

/// The longest path that the kernel takes, with the NUL at its end.
const PATH_MAX: usize = 4096;
/// The first piece of a path that is read.
const SHORT: usize = 256;
/// No page is smaller.
const PAGE: usize = 4096;

/// A thread that waits for the answer to its call.
pub(super) struct Caller<'a> {
    pub(super) listener: &'a Listener,
    pub(super) call: &'a Call,
}

/// A path in a caller's memory.
pub(super) enum Text {
    /// This one.
    Path(Vec<u8>),
    /// There is none, or an empty one: the call is about a descriptor, or fails by itself.
    None,
    /// It is longer than any path.
    TooLong,
}

/// The directory from which a path leads.
pub(super) enum Start {
    /// The working directory.
    Here,
    /// An open directory.
    Open(Vec<u8>),
    /// No directory: the call fails by itself.
    None,
}

impl Caller<'_> {
    /// An argument, as large as the kernel takes it for flags and descriptors.
    pub(super) fn number(&self, argument: u8) -> i32 {
        let value = self.call.arguments.get(usize::from(argument)).copied().unwrap_or(0);
        // Upper halves do not count, and the sign is in the lower one.
        let [a, b, c, d, ..] = value.to_le_bytes();
        i32::from_le_bytes([a, b, c, d])
    }

    /// Whether a link at the end of the path is followed.
    pub(super) fn follows(&self, follows: Follows) -> bool {
        match follows {
            Follows::Always => true,
            Follows::Never => false,
            Follows::Unless(flags) => self.number(flags) & libc::AT_SYMLINK_NOFOLLOW == 0,
            Follows::If(flags) => self.number(flags) & libc::AT_SYMLINK_FOLLOW != 0,
        }
    }

    /// Reads a path, page by page: the next page may be missing.
    pub(super) fn text(&self, place: Place) -> Result<Text, Refusal> {
        let address = self.call.arguments.get(usize::from(place.path)).copied().unwrap_or(0);
        let Ok(mut address) = usize::try_from(address) else { return Ok(Text::None) };
        let mut text = Vec::new();
        let mut have = 0;
        while have < PATH_MAX {
            // Few paths are longer than the first piece.
            let most = if have == 0 { SHORT } else { PATH_MAX - have };
            let len = (PAGE - address % PAGE).min(most);
            text.resize(have + len, 0);
            let Some(room) = text.get_mut(have..) else { break };
            let from = [RemoteIoVec { base: address, len }];
            let got = match process_vm_readv(self.call.caller, &mut [IoSliceMut::new(room)], &from) {
                // The kernel finds the same, or the caller is gone.
                Err(Errno::EFAULT | Errno::ESRCH) | Ok(0) => return Ok(Text::None),
                Err(e) => return Err(Refusal(format!("the paths of a program cannot be read: {e}"))),
                Ok(got) => got,
            };
            if let Some(end) = room.get(..got).and_then(|read| read.iter().position(|c| *c == 0)) {
                text.truncate(have + end);
                return Ok(if text.is_empty() { Text::None } else { Text::Path(text) });
            }
            have += got;
            address = address.wrapping_add(got);
        }
        Ok(Text::TooLong)
    }

    /// The directory from which the path of a place leads, if it is not absolute.
    pub(super) fn start(&self, place: Place) -> Start {
        match place.dir.map(|dir| self.number(dir)) {
            None | Some(libc::AT_FDCWD) => Start::Here,
            Some(fd) => match self.link(&format!("fd/{fd}")) {
                Some(path) => Start::Open(path),
                None => Start::None,
            },
        }
    }

    /// The working directory now.
    pub(super) fn working_directory(&self) -> Option<Vec<u8>> {
        self.link("cwd")
    }

    /// Where a link of its directory in `/proc` leads, if that has a path. One that was removed has a path at which
    /// nothing is.
    fn link(&self, name: &str) -> Option<Vec<u8>> {
        let path = readlink(format!("/proc/{}/{name}", self.call.caller).as_str()).ok()?.into_vec();
        path.starts_with(b"/").then_some(path)
    }

    /// Whether it still waits, so that what was read is its own.
    pub(super) fn waits(&self) -> bool {
        self.listener.waits(self.call)
    }
}
