//! The reasons to refuse an archive.

use super::Compression;
use crate::tree::ResolveError;
use ice_core::text::Text;
use std::io;
use thiserror::Error;

/// Why an archive is refused. Names of members are untrusted bytes; they are printed with invalid UTF-8 replaced.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// The input cannot be read; the archive may be good.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// A file, directory or link could not be created.
    #[error("cannot make {name}")]
    Write {
        /// The member.
        name: Text,
        /// The system's error: mostly a full disk.
        #[source]
        source: io::Error,
    },
    /// The compressed data is corrupt.
    #[error("corrupt {compression} data")]
    Corrupt {
        /// The compression that was detected.
        compression: Compression,
        /// The decompressor's error.
        #[source]
        source: io::Error,
    },
    /// The input is neither a tar nor in a known compression.
    #[error("not a tar archive, nor one in a compression we know")]
    NotATar,
    /// The input ends within the archive.
    #[error("truncated archive")]
    Truncated,
    /// Bytes other than zeros follow the end blocks.
    #[error("data after the end of the archive")]
    DataAfterEnd,
    /// A header field is malformed, negative or beyond 64 bits, or the checksum is wrong.
    #[error("bad {field} in the header of {name:?}")]
    Header {
        /// The field.
        field: &'static str,
        /// The member.
        name: Text,
    },
    /// A pax header is malformed or sets what it may not.
    #[error("pax header: {what}")]
    Pax {
        /// What is wrong.
        what: &'static str,
    },
    /// A GNU long name or a pax header is too long.
    #[error("extension header of {size} bytes, at most {max} are allowed")]
    LongHeader {
        /// Its size in bytes.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// A name or link target has a `..`, a leading `/`, a NUL or control character, or is empty, too long or too deep.
    #[error("name {name:?} {why}")]
    Name {
        /// The name.
        name: Text,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A name occurs twice, or is both a file and a directory.
    #[error("{name:?} is in the archive twice")]
    Twice {
        /// The name.
        name: Text,
    },
    /// A member's directory is a link or a file.
    #[error("{name:?} would be written through {through:?}, which is no folder")]
    Through {
        /// The member.
        name: Text,
        /// The link or file.
        through: Text,
    },
    /// A symbolic link leads out of the environment, or in a circle.
    #[error("link {name:?} {why}")]
    Link {
        /// The link.
        name: Text,
        /// Why it cannot be followed.
        why: ResolveError,
    },
    /// A hard link's target is not an earlier file of the archive.
    #[error("hard link {name:?} to {target:?}, which is no earlier file of this archive")]
    HardLink {
        /// The link.
        name: Text,
        /// Its target.
        target: Text,
    },
    /// A member is a device node or a named pipe.
    #[error("{name:?} is a device or pipe")]
    Device {
        /// The member.
        name: Text,
    },
    /// A file is stored with holes.
    #[error("{name:?} is stored as a sparse file")]
    Sparse {
        /// The member.
        name: Text,
    },
    /// A member's type is unknown.
    #[error("{name:?} is of the unknown type {:?}", char::from(*.kind))]
    UnknownKind {
        /// The type flag.
        kind: u8,
        /// The member.
        name: Text,
    },
    /// The compressed archive is larger than allowed.
    #[error("compressed archive over {limit} bytes")]
    CompressedSize {
        /// The limit.
        limit: u64,
    },
    /// The uncompressed tar is larger than allowed.
    #[error("archive expands to over {limit} bytes")]
    ExpandedSize {
        /// The limit.
        limit: u64,
    },
    /// The expansion ratio is higher than allowed.
    #[error("archive expands more than {limit} times")]
    Ratio {
        /// The limit.
        limit: u64,
    },
    /// A file is larger than allowed.
    #[error("{name:?} has {size} bytes, at most {limit} are allowed")]
    FileSize {
        /// The file.
        name: Text,
        /// Its size in bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// There are too many members and directories above them.
    #[error("over {limit} members and folders above them")]
    Entries {
        /// The limit.
        limit: u32,
    },
    /// The names and link targets together are too long.
    #[error("names of over {limit} bytes")]
    Names {
        /// The limit.
        limit: u64,
    },
    /// The disk has too little space left.
    #[error("less than {kept} bytes of the disk are free")]
    Disk {
        /// Bytes that must stay free.
        kept: u64,
    },
    /// The decompressor needs more memory than allowed.
    #[error("{compression} needs more than the {allowed} bytes of memory that are allowed")]
    Window {
        /// The compression.
        compression: Compression,
        /// The limit.
        allowed: u64,
    },
    /// A file that a compile server needs is missing or of the wrong type.
    #[error("no environment: {0}")]
    NoEnvironment(&'static str),
}
