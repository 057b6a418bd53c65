//! The result of a job, and how it is transported out of the sandbox.

use crate::channel;
use crate::error::Error;
use crate::files_ended::LISTS_MAX;
pub use crate::files_ended::{FilesEnded, OUTPUTS_MAX, Written};
use crate::unknown::UnknownCall;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It exited with this status.
    Exited(i32),
    /// It was killed by this signal.
    Signalled(i32),
}

/// Resources used by a program and all its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Elapsed time from the start of the program to its end.
    pub real: Duration,
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Maximum resident size of one of its processes in KiB.
    pub resident_kib: u64,
    /// Number of page faults, with and without disk access.
    pub page_faults: u64,
}

/// The result of a program that has run.
#[derive(Debug)]
pub struct Ended {
    /// How the compiler ended.
    pub how: How,
    /// The resources that it used.
    pub usage: Usage,
    /// Whether the kernel killed a process of the job's control group because of its memory limit. Always false without
    /// a control group.
    pub out_of_memory: bool,
    /// Whether the job was killed at its deadline.
    pub timed_out: bool,
    /// The object, a regular file opened for reading. Only after exit status 0.
    pub object: Option<OwnedFd>,
    /// The `.dwo` file, opened likewise.
    pub dwo: Option<OwnedFd>,
    /// The calls that it made in vain, as the filter does not know them.
    pub unknown: Vec<UnknownCall>,
    /// What came of a job of files mode.
    pub files: Option<Box<FilesEnded>>,
}

/// The answer of a sandbox, or of the launcher in its place.
#[derive(Debug)]
pub enum Report {
    /// The program has run.
    Ended(Ended),
    /// A function has succeeded, with this result.
    Done(Vec<u8>),
    /// The sandbox could not be made, or the request was refused; the reason.
    Refused(String),
    /// The sandbox was made, but the program did not start.
    NotStarted {
        /// The program and the reason.
        text: String,
        /// Whether the program's file does not exist.
        missing: bool,
    },
}

/// Maximum size of a report in bytes.
const REPORT_MAX: usize = 4096;
/// Number of 64-bit numbers in an `Ended`, before those of unknown calls.
const NUMBERS: usize = 6;

impl Report {
    /// Sends the report. A closed receiver is no error: it no longer needs the report.
    pub fn send(&self, to: BorrowedFd<'_>) {
        let mut bytes = Vec::new();
        match self {
            Self::Ended(e) => {
                let (kind, code) = match e.how {
                    How::Exited(c) => (0, c),
                    How::Signalled(s) => (1, s),
                };
                let flag = |on: bool, bit: u8| if on { bit } else { 0 };
                let lists = e.files.as_ref().map(|files| channel::sealed(&files.to_bytes()));
                let Ok(lists) = lists.transpose() else { return Self::no_memory(to) };
                bytes.extend_from_slice(&[
                    b'E',
                    kind | flag(e.out_of_memory, 2)
                        | flag(e.timed_out, 4)
                        | flag(e.object.is_some(), 8)
                        | flag(e.dwo.is_some(), 16)
                        | flag(lists.is_some(), 32),
                ]);
                let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
                let u = &e.usage;
                let code = u64::from(code.unsigned_abs());
                let mut fds = Vec::new();
                let numbers: [u64; NUMBERS] =
                    [code, micros(u.real), micros(u.user), micros(u.system), u.resident_kib, u.page_faults];
                let unknown = e.unknown.iter().flat_map(|call| call.to_numbers());
                bytes.extend(numbers.into_iter().chain(unknown).flat_map(u64::to_le_bytes));
                let outputs = e.files.iter().flat_map(|files| &files.outputs).map(|output| &output.file);
                fds.extend(e.object.iter().chain(&e.dwo).chain(&lists).chain(outputs).map(AsFd::as_fd));
                bytes.truncate(REPORT_MAX);
                let _ = channel::send(to, &bytes, &fds);
                return;
            }
            Self::Done(result) => {
                bytes.push(b'D');
                bytes.extend_from_slice(result);
            }
            Self::Refused(text) => {
                bytes.push(b'R');
                bytes.extend_from_slice(text.as_bytes());
            }
            Self::NotStarted { text, missing } => {
                bytes.push(if *missing { b'M' } else { b'N' });
                bytes.extend_from_slice(text.as_bytes());
            }
        }
        bytes.truncate(REPORT_MAX);
        let _ = channel::send(to, &bytes, &[]);
    }

    /// The report of a sandbox whose report has no room.
    fn no_memory(to: BorrowedFd<'_>) {
        Self::Refused("no memory for the report of a job".to_owned()).send(to);
    }

    /// Receives a report. `None`: `timeout` has passed; [`Error::Gone`]: the other end closed without a report.
    pub fn receive(from: &OwnedFd, timeout: Duration) -> Result<Option<Self>, Error> {
        let failed = || Error::step::<io::Error>("read a report");
        if !channel::readable(from, timeout).map_err(failed())? {
            return Ok(None);
        }
        let packet = match channel::receive(from.as_fd(), REPORT_MAX) {
            Err(e) if e.raw_os_error() == Some(libc::ECONNRESET) => return Err(Error::Gone("the sandbox")),
            result => result.map_err(failed())?,
        };
        let mut fds = packet.fds.into_iter();
        let Some((kind, rest)) = packet.bytes.split_first() else {
            return Err(Error::Gone("the sandbox"));
        };
        let text = || String::from_utf8_lossy(rest).into_owned();
        Ok(Some(match kind {
            b'D' => Self::Done(rest.to_vec()),
            b'R' => Self::Refused(text()),
            b'M' | b'N' => Self::NotStarted { text: text(), missing: *kind == b'M' },
            b'E' => {
                let (&[flags], rest) = rest.split_first_chunk::<1>().ok_or(Error::Malformed("short report"))?;
                let numbers: Vec<u64> =
                    rest.chunks_exact(8).map(|n| n.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))).collect();
                let (numbers, unknown) = numbers.split_first_chunk().ok_or(Error::Malformed("short report"))?;
                let &[code, real, user, system, resident_kib, page_faults]: &[u64; NUMBERS] = numbers;
                let code = i32::try_from(code).map_err(|_| Error::Malformed("status"))?;
                let mut file = |bit: u8| if flags & bit == 0 { Ok(None) } else { regular(fds.next()).map(Some) };
                Self::Ended(Ended {
                    how: if flags & 1 == 0 { How::Exited(code) } else { How::Signalled(code) },
                    usage: Usage {
                        real: Duration::from_micros(real),
                        user: Duration::from_micros(user),
                        system: Duration::from_micros(system),
                        resident_kib,
                        page_faults,
                    },
                    out_of_memory: flags & 2 != 0,
                    timed_out: flags & 4 != 0,
                    object: file(8)?,
                    dwo: file(16)?,
                    unknown: unknown.chunks_exact(2).filter_map(UnknownCall::from_numbers).collect(),
                    files: if flags & 32 == 0 { None } else { Some(Box::new(files(fds)?)) },
                })
            }
            _ => return Err(Error::Malformed("kind of report")),
        }))
    }
}

/// Reads the lists of a job of files mode, which come first, and takes its outputs.
fn files(mut fds: impl Iterator<Item = OwnedFd>) -> Result<FilesEnded, Error> {
    let lists = fds.next().ok_or(Error::Malformed("lists missing"))?;
    let lists = channel::read_sealed(lists, LISTS_MAX).map_err(Error::step("read the lists of a report"))?;
    let outputs = fds.map(|fd| regular(Some(fd))).collect::<Result<Vec<OwnedFd>, Error>>()?;
    FilesEnded::from_bytes(&lists, outputs)
}

/// Checks that an output is a regular file: reading anything else could block or have side effects.
fn regular(fd: Option<OwnedFd>) -> Result<OwnedFd, Error> {
    let fd = fd.ok_or(Error::Malformed("file missing"))?;
    let stat = nix::sys::stat::fstat(&fd).map_err(Error::step("look at an output"))?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFREG { Ok(fd) } else { Err(Error::Malformed("output is no file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transported(report: &Report) -> Result<Option<Report>, Error> {
        let (a, b) = channel::pair().map_err(Error::step("pair"))?;
        report.send(a.as_fd());
        drop(a);
        Report::receive(&b, Duration::from_secs(5))
    }

    #[test]
    fn reports_cross_a_socket() {
        let usage = Usage { real: Duration::from_millis(5), resident_kib: 70, ..Usage::default() };
        let object = tempfile::tempfile().ok().map(Into::into);
        let unknown = vec![UnknownCall { machine: 0xc000_003e, number: 467, count: 3 }];
        let ended = Ended {
            how: How::Signalled(9),
            usage,
            out_of_memory: true,
            timed_out: false,
            object: None,
            dwo: object,
            unknown: unknown.clone(),
            files: Some(Box::new(FilesEnded { used: vec![b"/a".to_vec()], ..FilesEnded::default() })),
        };
        let Ok(Some(Report::Ended(back))) = transported(&Report::Ended(ended)) else { panic!("no end") };
        assert_eq!((back.how, back.usage, back.unknown), (How::Signalled(9), usage, unknown));
        assert_eq!(back.files.map(|files| files.used), Some(vec![b"/a".to_vec()]));
        assert!(back.out_of_memory && !back.timed_out && back.object.is_none() && back.dwo.is_some());
        let missing = Report::NotStarted { text: "x".to_owned(), missing: true };
        assert!(matches!(transported(&missing), Ok(Some(Report::NotStarted { missing: true, .. }))));
    }

    #[test]
    fn an_output_that_is_no_file_is_refused() {
        let (pipe, _other) = nix::unistd::pipe().unwrap_or_else(|e| panic!("{e}"));
        let ended = Ended {
            how: How::Exited(0),
            usage: Usage::default(),
            out_of_memory: false,
            timed_out: false,
            object: Some(pipe),
            dwo: None,
            unknown: Vec::new(),
            files: None,
        };
        assert!(matches!(transported(&Report::Ended(ended)), Err(Error::Malformed(_))));
    }
}
