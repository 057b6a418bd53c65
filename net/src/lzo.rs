//! LZO1X, written from the description of its format. It is our own because the usual library is under the GPL, and
//! those in Rust refuse valid input or panic.
//!
//! A block is a sequence of instructions. Each is a byte that gives the length of a match and, with the bytes after it,
//! its distance. The meaning of low values depends on how many literals came directly before:
//!
//! | first byte | after 0 literals | after 1 to 3 | after a run of 4 or more |
//! |---|---|---|---|
//! | `0000xxxx` | run of literals, 3 + x | match of 2, distance to 1024 | match of 3, distance 2049 to 3072 |
//! | `0001hlll` | match of 2 + l, distance 16384 + …; distance 16384 itself ends the block | same | same |
//! | `001lllll` | match of 2 + l, distance to 16384 | same | same |
//! | `01ldddss`, `1lldddss` | match of 3 to 8, distance to 2048 | same | same |
//!
//! A length whose bits are all 0 continues in the next bytes: 255 for each 0, then the last one. The two `s` bits of a
//! match (in its second last byte) are the number of literals that follow it directly. A first byte above 17 begins a
//! run of literals, with a length of that byte less 17.

mod encode;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use encode::Compressor;

/// Maximum distance of the nearest kind of match, where the next kind begins.
const NEAR_MAX: usize = 0x800;
/// Maximum distance of the middle kind of match.
const MIDDLE_MAX: usize = 0x4000;
/// The end marker of a block.
const END: [u8; 3] = [17, 0, 0];

/// Why data is not an LZO1X block of the announced length.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LzoError {
    /// An instruction, its literals or the end marker is missing.
    #[error("lzo data end too early")]
    InputTooShort,
    /// Bytes follow the end marker.
    #[error("{0} bytes behind the end of lzo data")]
    InputLeft(usize),
    /// The plain data is longer than announced.
    #[error("lzo data are longer than announced")]
    OutputTooLong,
    /// The plain data is shorter than announced.
    #[error("lzo data are {0} bytes shorter than announced")]
    OutputTooShort(usize),
    /// A match begins before the data.
    #[error("lzo match reaches {distance} bytes back, only {written} are there")]
    TooFarBack {
        /// Its distance in bytes.
        distance: usize,
        /// The number of bytes before it.
        written: usize,
    },
}

/// Decompresses `src` into all of `dst`.
///
/// # Errors
/// If `src` is not exactly one block of exactly that length. The content of `dst` is undefined then.
pub fn decompress(src: &[u8], dst: &mut [u8]) -> Result<(), LzoError> {
    let mut d = Decoder { src, at: 0, dst, written: 0 };
    // Literals directly before the next instruction: 0, 1 to 3, or 4 for a run.
    let mut before = 0;
    if let Some(first) = src.first().copied().filter(|b| *b > 17) {
        d.at = 1;
        let n = usize::from(first - 17);
        d.literals(n)?;
        before = n.min(4);
    }
    loop {
        let op = usize::from(d.byte()?);
        if op < 16 && before == 0 {
            let n = 3 + d.length(op, 15)?;
            d.literals(n)?;
            before = 4;
            continue;
        }
        let (length, distance, after) = match op {
            0..16 if before == 4 => (3, NEAR_MAX + 1 + (op >> 2) + (usize::from(d.byte()?) << 2), op & 3),
            0..16 => (2, 1 + (op >> 2) + (usize::from(d.byte()?) << 2), op & 3),
            16..32 => {
                let length = 2 + d.length(op & 7, 7)?;
                let word = d.word()?;
                let distance = MIDDLE_MAX + ((op & 8) << 11) + (word >> 2);
                if distance == MIDDLE_MAX {
                    return d.finish();
                }
                (length, distance, word & 3)
            }
            32..64 => {
                let length = 2 + d.length(op & 31, 31)?;
                let word = d.word()?;
                (length, 1 + (word >> 2), word & 3)
            }
            _ => (1 + (op >> 5), 1 + ((op >> 2) & 7) + (usize::from(d.byte()?) << 3), op & 3),
        };
        d.repeat(length, distance)?;
        d.literals(after)?;
        before = after;
    }
}

/// The state of a decompression.
struct Decoder<'s, 'd> {
    src: &'s [u8],
    at: usize,
    dst: &'d mut [u8],
    written: usize,
}

impl Decoder<'_, '_> {
    /// The next byte.
    #[inline]
    fn byte(&mut self) -> Result<u8, LzoError> {
        let byte = *self.src.get(self.at).ok_or(LzoError::InputTooShort)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next two bytes as a number.
    #[inline]
    fn word(&mut self) -> Result<usize, LzoError> {
        let low = self.byte()?;
        Ok(usize::from(u16::from_le_bytes([low, self.byte()?])))
    }

    /// A length whose bits in the instruction are `bits`; `most` is their maximum value.
    #[inline]
    fn length(&mut self, bits: usize, most: usize) -> Result<usize, LzoError> {
        if bits > 0 {
            return Ok(bits);
        }
        let mut length = most;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Ok(length + usize::from(last)),
            }
        }
    }

    /// Copies `n` literals.
    #[inline]
    fn literals(&mut self, n: usize) -> Result<(), LzoError> {
        let (from, to) = (self.at, self.written);
        // Most runs are short: make one copy of fixed size if there is room for it.
        if n <= 16 {
            if let (Some(source), Some(target)) = (chunk16(self.src, from), chunk16_mut(self.dst, to)) {
                *target = source;
                self.at += n;
                self.written += n;
                return Ok(());
            }
        }
        let source = self.src.get(from..from + n).ok_or(LzoError::InputTooShort)?;
        self.dst.get_mut(to..to + n).ok_or(LzoError::OutputTooLong)?.copy_from_slice(source);
        self.at += n;
        self.written += n;
        Ok(())
    }

    /// Copies `n` bytes from `distance` bytes back.
    #[inline]
    fn repeat(&mut self, n: usize, distance: usize) -> Result<(), LzoError> {
        let to = self.written;
        let from = to.checked_sub(distance).ok_or(LzoError::TooFarBack { distance, written: to })?;
        if n <= 16 && distance >= 16 {
            if let (Some(source), Some(target)) = (chunk16(self.dst, from), chunk16_mut(self.dst, to)) {
                *target = source;
                self.written += n;
                return Ok(());
            }
        }
        if to + n > self.dst.len() {
            return Err(LzoError::OutputTooLong);
        }
        // The match may overlap its own output: then each copy doubles the available data.
        let mut done = 0;
        while done < n {
            let step = (n - done).min(distance + done);
            self.dst.copy_within(from..from + step, to + done);
            done += step;
        }
        self.written += n;
        Ok(())
    }

    /// Checks that input and output end here.
    fn finish(&self) -> Result<(), LzoError> {
        match (self.src.len() - self.at, self.dst.len() - self.written) {
            (0, 0) => Ok(()),
            (0, missing) => Err(LzoError::OutputTooShort(missing)),
            (left, _) => Err(LzoError::InputLeft(left)),
        }
    }
}

/// 16 bytes at a position, if there are as many.
#[inline]
fn chunk16(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    bytes.get(at..)?.first_chunk::<16>().copied()
}

/// Room for 16 bytes at a position, if there is as much.
#[inline]
fn chunk16_mut(bytes: &mut [u8], at: usize) -> Option<&mut [u8; 16]> {
    bytes.get_mut(at..)?.first_chunk_mut::<16>()
}
