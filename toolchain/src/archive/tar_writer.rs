//! Writes a plan as a canonical tar: equal contents always give equal bytes.
//!
//! The bytes are generated while they are read, straight from the source files, without a temporary copy.

use crate::plan::{Content, Plan, file_hash, relative};
use ice_core::text::Text;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use thiserror::Error;

/// Size of a tar block in bytes.
const BLOCK: u64 = 512;
/// The archive is padded to a multiple of this size, as tar does.
const RECORD: u64 = 10_240;
/// Files smaller than this are stored again instead of being replaced by a link.
const SAME_MIN: u64 = 512;
/// 1.4's daemon inspects these from outside the environment, so they are always files.
const NEVER_LINKS: [&[u8]; 2] = [b"bin/true", b"usr/bin/as"];
/// Compile servers mount their own directories here, so no other member may link to an extra file below one of them.
const HIDDEN: [&[u8]; 4] = [b"tmp/", b"dev/", b"proc/", b"sys/"];

/// Why a plan cannot be packed.
#[derive(Debug, Error)]
pub enum PackError {
    /// A source file can no longer be read.
    #[error("cannot read {}", .path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The size of a source file changed while it was packed.
    #[error("{} was changed while it was packed", .0.display())]
    Changed(PathBuf),
    /// No file changed in size, but the second reading gave another tar than the first.
    #[error("a file was changed while it was packed")]
    ChangedSomewhere,
    /// The archive cannot be written.
    #[error("Couldn't create archive {}", .path.display())]
    Write {
        /// The archive.
        path: PathBuf,
        /// The system's error: mostly a full disk.
        #[source]
        source: io::Error,
    },
    /// A file has 8 GiB or more, which a ustar header cannot express.
    #[error("/{0} is too large for an archive")]
    TooLarge(Text),
}

/// One member with its size, ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    name: Vec<u8>,
    body: Body,
}

/// The content of a member.
#[derive(Clone, Debug)]
enum Body {
    File { source: PathBuf, size: u64, executable: bool },
    Bytes(Vec<u8>),
    Link(Vec<u8>),
}

/// Reads the sizes of all files and replaces equal files by links.
pub(super) fn prepare(plan: &Plan) -> Result<Vec<Prepared>, PackError> {
    let mut sized: Vec<(&Vec<u8>, &Content, u64)> = Vec::new();
    let mut of_size: BTreeMap<u64, u32> = BTreeMap::new();
    for (name, content) in &plan.entries {
        let size = match content {
            Content::File { source, .. } => {
                let meta = std::fs::metadata(source).map_err(|e| unreadable(source, e))?;
                *of_size.entry(meta.len()).or_default() += 1;
                meta.len()
            }
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Link(_) => 0,
        };
        if size >= 1 << 33 {
            return Err(PackError::TooLarge(name.as_slice().into()));
        }
        sized.push((name, content, size));
    }
    let mut first_with: BTreeMap<[u8; 32], &Vec<u8>> = BTreeMap::new();
    let mut members = Vec::new();
    for (name, content, size) in sized {
        let body = match content {
            Content::File { source, executable } => {
                let mut body = Body::File { source: source.clone(), size, executable: *executable };
                let is_hidden = HIDDEN.iter().any(|dir| name.starts_with(dir));
                if size >= SAME_MIN && !is_hidden && of_size.get(&size).is_some_and(|n| *n > 1) {
                    let hash = file_hash(source).map_err(|e| unreadable(source, e))?;
                    let first = first_with.entry(hash).or_insert(name);
                    if *first != name && !NEVER_LINKS.contains(&name.as_slice()) {
                        body = Body::Link(relative(name, first));
                    }
                }
                body
            }
            Content::Bytes(bytes) => Body::Bytes(bytes.clone()),
            Content::Link(text) => Body::Link(text.clone()),
        };
        members.push(Prepared { name: name.clone(), body });
    }
    Ok(members)
}

/// Reports that a source file cannot be read.
fn unreadable(path: &std::path::Path, source: io::Error) -> PackError {
    PackError::Source { path: path.to_path_buf(), source }
}

/// The size of the whole tar in bytes.
pub(super) fn tar_size(members: &[Prepared]) -> u64 {
    let size: u64 = members.iter().map(|m| head(m).len() as u64 + body_size(m).div_ceil(BLOCK) * BLOCK).sum();
    (size + 2 * BLOCK).div_ceil(RECORD) * RECORD
}

/// The size of a member's content in bytes.
fn body_size(member: &Prepared) -> u64 {
    match &member.body {
        Body::File { size, .. } => *size,
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::Link(_) => 0,
    }
}

/// The tar as a byte stream.
pub(super) struct TarStream<'a> {
    members: std::slice::Iter<'a, Prepared>,
    part: Part,
    /// The member whose header was given out and whose content follows.
    body: Option<&'a Prepared>,
    written: u64,
    ended: bool,
    /// The cause of the last [`io::Error`] that this stream returned.
    pub(super) error: Option<PackError>,
    /// Digest of all bytes given out so far.
    pub(super) hasher: blake3::Hasher,
    progress: &'a mut dyn FnMut(u64),
}

/// A piece of the stream.
enum Part {
    Memory(Cursor<Vec<u8>>),
    File { file: File, path: PathBuf, left: u64 },
    Zeros(u64),
}

impl<'a> TarStream<'a> {
    /// Starts a stream; `progress` is called with the number of bytes given out so far.
    pub(super) fn new(members: &'a [Prepared], progress: &'a mut dyn FnMut(u64)) -> Self {
        let hasher = blake3::Hasher::new();
        Self {
            members: members.iter(),
            part: Part::Zeros(0),
            body: None,
            written: 0,
            ended: false,
            error: None,
            hasher,
            progress,
        }
    }

    /// Advances to the next part; `false` at the end.
    fn next_part(&mut self) -> Result<bool, PackError> {
        if let Some(member) = self.body.take() {
            match &member.body {
                Body::File { source, size, .. } => {
                    let file = File::open(source).map_err(|e| unreadable(source, e))?;
                    let now = file.metadata().map_err(|e| unreadable(source, e))?.len();
                    if now != *size {
                        return Err(PackError::Changed(source.clone()));
                    }
                    self.part = Part::File { file, path: source.clone(), left: *size };
                }
                Body::Bytes(bytes) => self.part = Part::Memory(Cursor::new(bytes.clone())),
                Body::Link(_) => self.part = Part::Zeros(0),
            }
            return Ok(true);
        }
        let fill = self.written.next_multiple_of(BLOCK) - self.written;
        if fill > 0 {
            self.part = Part::Zeros(fill);
            return Ok(true);
        }
        if let Some(member) = self.members.next() {
            self.part = Part::Memory(Cursor::new(head(member)));
            self.body = Some(member);
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        self.ended = true;
        self.part = Part::Zeros((self.written + 2 * BLOCK).next_multiple_of(RECORD) - self.written);
        Ok(true)
    }
}

impl Read for TarStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.read_part(buf) {
            Ok(n) => {
                self.written += n as u64;
                self.hasher.update(&buf[..n]);
                (self.progress)(self.written);
                Ok(n)
            }
            Err(e) => {
                let text = e.to_string();
                self.error.get_or_insert(e);
                Err(io::Error::other(text))
            }
        }
    }
}

impl TarStream<'_> {
    /// Reads from the current part, and advances at its end.
    fn read_part(&mut self, buf: &mut [u8]) -> Result<usize, PackError> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let n = match &mut self.part {
                Part::Memory(bytes) => bytes.read(buf).unwrap_or(0), // reading from memory cannot fail
                Part::Zeros(left) => {
                    let n = buf.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    buf[..n].fill(0);
                    *left -= n as u64;
                    n
                }
                Part::File { file, path, left } => {
                    let want = buf.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let n = file.read(&mut buf[..want]).map_err(|e| unreadable(path, e))?;
                    if n == 0 && want > 0 {
                        return Err(PackError::Changed(path.clone()));
                    }
                    *left -= n as u64;
                    n
                }
            };
            if n > 0 {
                return Ok(n);
            }
            if !self.next_part()? {
                return Ok(0);
            }
        }
    }
}

/// The header blocks of a member: a ustar header, preceded by a pax header if the name or link is too long.
fn head(member: &Prepared) -> Vec<u8> {
    let link = match &member.body {
        Body::Link(text) => Some(text.as_slice()),
        _ => None,
    };
    let split = split_name(&member.name);
    let long_link = link.is_some_and(|l| l.len() > 100);
    let mut blocks = Vec::new();
    if split.is_none() || long_link {
        let mut records = Vec::new();
        if split.is_none() {
            records.extend(pax_record(b"path", &member.name));
        }
        if let Some(link) = link.filter(|_| long_link) {
            records.extend(pax_record(b"linkpath", link));
        }
        blocks.extend(header(b"", b"././@PaxHeader", 0o644, records.len() as u64, b'x', b""));
        let padded = records.len().next_multiple_of(BLOCK as usize);
        records.resize(padded, 0);
        blocks.extend(records);
    }
    let cut = |text: &[u8]| text[..text.len().min(100)].to_vec();
    let (prefix, name) = split.unwrap_or((b"", &member.name));
    let (mode, kind) = match &member.body {
        Body::File { executable: true, .. } => (0o755, b'0'),
        Body::File { .. } | Body::Bytes(_) => (0o644, b'0'),
        Body::Link(_) => (0o777, b'2'),
    };
    blocks.extend(header(prefix, &cut(name), mode, body_size(member), kind, &cut(link.unwrap_or_default())));
    blocks
}

/// A ustar header block with a checksum.
fn header(prefix: &[u8], name: &[u8], mode: u32, size: u64, kind: u8, link: &[u8]) -> [u8; 512] {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.typeflag = [kind];
        ustar.name[..name.len()].copy_from_slice(name);
        ustar.prefix[..prefix.len()].copy_from_slice(prefix);
        ustar.linkname[..link.len()].copy_from_slice(link);
        // Fields without a meaning for files, in the form in which tar writes them.
        ustar.dev_major = *b"0000000\0";
        ustar.dev_minor = *b"0000000\0";
    }
    header.set_cksum();
    *header.as_bytes()
}

/// The prefix and name fields of a ustar header; `None` if the name does not fit.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((b"", name));
    }
    let at = (0..name.len()).rev().find(|at| name[*at] == b'/' && *at <= 155)?;
    let (prefix, rest) = (&name[..at], &name[at + 1..]);
    (!prefix.is_empty() && !rest.is_empty() && rest.len() <= 100).then_some((prefix, rest))
}

/// One record `LEN KEY=VALUE` of a pax header.
fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    // The length includes its own digits.
    let rest = key.len() + value.len() + 3;
    let mut len = rest;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}
