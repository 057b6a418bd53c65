//! The codecs of chunks: which there are, their numbers and names, and which one a protocol version means.
//!
//! A new one is a variant here, a field of `Packer` and `Unpacker` with an arm of `pack_as` and `fill`
//! (`net/src/compress.rs`), and a row in `net/PROTOCOL.md`, FILE_CHUNK. Everything else passes codecs on: FILE_CHUNK
//! (`net/src/wire/irregular.rs`), the daemon's spool and `icedump` know them by number and name alone. How archives of
//! environments are compressed is another matter (`toolchain/src/archive/compress.rs`).

use crate::version::Version;

/// Compression of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// LZO1X, number 0, always used below protocol 40.
    Lzo1x,
    /// zstd, one frame, number 1.
    #[default]
    Zstd,
}

impl Codec {
    /// The codec with this wire number; `None` for unknown numbers.
    pub const fn from_number(n: u32) -> Option<Self> {
        match n {
            0 => Some(Self::Lzo1x),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lzo1x => "lzo1x",
            Self::Zstd => "zstd",
        }
    }

    /// The codec that peers of version `v` expect.
    pub fn of_version(v: Version) -> Self {
        if v.has_zstd() { Self::Zstd } else { Self::Lzo1x }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_wire() {
        for (number, codec) in [(0, Codec::Lzo1x), (1, Codec::Zstd)] {
            assert_eq!(Codec::from_number(number), Some(codec));
            assert_eq!(u32::from(codec.number()), number);
        }
        assert_eq!(Codec::from_number(2), None);
    }
}
