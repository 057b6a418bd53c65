//! Archives packed and unpacked, every compression; no path leaves the folder.

mod canonical;
mod codec;
mod compress;
mod look;
mod member;
mod pack;
mod unpack;

pub use canonical::PackError;
pub use look::{Look, holds, look};
pub use pack::{Packed, Sealed};
pub use unpack::{UnpackError, UnpackLimits, Unpacked, unpack};

use std::fmt;

/// How an archive is compressed. When reading, the content decides and never the file's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// A plain tar.
    None,
    /// What 1.4 makes, and every version takes.
    #[default]
    Gzip,
    /// Small and slow.
    Bzip2,
    /// Smallest, slowest to make.
    Xz,
    /// Best for links up to some GBit/s; servers from protocol 42 on.
    Zstd,
    /// For links faster than zstd, between our own peers only.
    Lz4,
}

impl Compression {
    /// Reads a word of `--compression` or ICECC_ENV_COMPRESSION.
    pub fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"none" => Self::None,
            b"gzip" | b"gz" => Self::Gzip,
            b"bzip2" | b"bz2" => Self::Bzip2,
            b"xz" => Self::Xz,
            b"zstd" => Self::Zstd,
            b"lz4" => Self::Lz4,
            _ => return None,
        })
    }

    /// What the file's name ends with behind `.tar`.
    pub fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Bzip2 => ".bz2",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
            Self::Lz4 => ".lz4",
        }
    }

    /// Recognises the compression by an archive's first bytes; `None` means: not compressed, or unknown.
    pub fn detect(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // Also a skippable frame before the first real one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        })
    }
}
