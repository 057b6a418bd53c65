//! Every reason to refuse an archive.

use crate::archive::Compression;
use crate::tree::Lost;
use ice_core::text::Text;
use std::io;
use thiserror::Error;

/// Why an archive is refused. Names of members are a stranger's bytes: they print lossily.
#[derive(Debug, Error)]
pub enum UnpackError {
    /// The input failed, not the archive.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// A file, folder or link could not be made.
    #[error("cannot make {name}")]
    Write {
        /// The member.
        name: Text,
        /// What the system said: a full disk, mostly.
        #[source]
        source: io::Error,
    },
    /// Not what its compression promises.
    #[error("corrupt {compression} data")]
    Corrupt {
        /// The compression its first bytes announced.
        compression: Compression,
        /// What the decompressor said.
        #[source]
        source: io::Error,
    },
    /// Neither a tar nor a compression we know.
    #[error("not a tar archive, nor one in a compression we know")]
    NotATar,
    /// It ends in mid-archive.
    #[error("truncated archive")]
    Truncated,
    /// Something but zeros behind the end blocks.
    #[error("data after the end of the archive")]
    DataAfterEnd,
    /// A header field that is no number, negative or beyond 64 bits, or a wrong checksum.
    #[error("bad {field} in the header of {name:?}")]
    Header {
        /// Which.
        field: &'static str,
        /// Of which member.
        name: Text,
    },
    /// A pax header that cannot be understood, or goes too far.
    #[error("pax header: {what}")]
    Pax {
        /// What is wrong.
        what: &'static str,
    },
    /// A GNU long name or pax header that is too long to be one.
    #[error("extension header of {size} bytes, at most {max} are allowed")]
    LongHeader {
        /// Its size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// `..`, a leading `/`, a NUL or control character, nothing at all, too long or too deep.
    #[error("name {name:?} {why}")]
    Name {
        /// The name.
        name: Text,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The same name twice, or a file where a folder is, or the reverse.
    #[error("{name:?} is in the archive twice")]
    Twice {
        /// The name.
        name: Text,
    },
    /// A member below a link or a file.
    #[error("{name:?} would be written through {through:?}, which is no folder")]
    Through {
        /// The member.
        name: Text,
        /// The link or file.
        through: Text,
    },
    /// A symbolic link that leads out, or in a circle.
    #[error("link {name:?} {why}")]
    Link {
        /// The link.
        name: Text,
        /// Where it leads.
        why: Lost,
    },
    /// A hard link to anything but a file that this archive made before.
    #[error("hard link {name:?} to {target:?}, which is no earlier file of this archive")]
    HardLink {
        /// The link.
        name: Text,
        /// What it names.
        target: Text,
    },
    /// A device node or a named pipe.
    #[error("{name:?} is a device or pipe")]
    Device {
        /// The member.
        name: Text,
    },
    /// A file with holes.
    #[error("{name:?} is stored as a sparse file")]
    Sparse {
        /// The member.
        name: Text,
    },
    /// A type of member that nobody knows.
    #[error("{name:?} is of the unknown type {:?}", char::from(*.kind))]
    UnknownKind {
        /// The type flag.
        kind: u8,
        /// The member.
        name: Text,
    },
    /// More bytes came than allowed.
    #[error("compressed archive over {limit} bytes")]
    CompressedSize {
        /// The limit.
        limit: u64,
    },
    /// It expands to more than allowed.
    #[error("archive expands to over {limit} bytes")]
    ExpandedSize {
        /// The limit.
        limit: u64,
    },
    /// It expands too much for what came.
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
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Too many members.
    #[error("over {limit} members and folders above them")]
    Entries {
        /// The limit.
        limit: u32,
    },
    /// Names too long, all together.
    #[error("names of over {limit} bytes")]
    Names {
        /// The limit.
        limit: u64,
    },
    /// The disk would be full.
    #[error("less than {kept} bytes of the disk are free")]
    Disk {
        /// What stays free.
        kept: u64,
    },
    /// The decompressor would need more memory than allowed.
    #[error("{compression} needs more than the {allowed} bytes of memory that are allowed")]
    Window {
        /// The compression.
        compression: Compression,
        /// The limit.
        allowed: u64,
    },
    /// Something a compile server needs at this place is missing or of the wrong kind.
    #[error("no environment: {0}")]
    NoEnvironment(&'static str),
}
