//! LZO1X, written from the description of its format (design/dependencies.md 3 says why it is our own).
//!
//! A block is a row of instructions, each a byte that says how long a match is and, with the bytes behind it, how far back it
//! lies. What the low values mean depends on how many literals came right before:
//!
//! | first byte | after 0 literals | after 1 to 3 | after a run of 4 or more |
//! |---|---|---|---|
//! | `0000xxxx` | run of literals, 3 + x | match of 2, distance to 1024 | match of 3, distance 2049 to 3072 |
//! | `0001hlll` | match of 2 + l, distance 16384 + …; distance 16384 itself ends the block | same | same |
//! | `001lllll` | match of 2 + l, distance to 16384 | same | same |
//! | `01ldddss`, `1lldddss` | match of 3 to 8, distance to 2048 | same | same |
//!
//! A length whose bits are all 0 goes on in the next bytes: 255 for each 0, then the last one. The two `s` bits of a match (of its
//! second last byte) are the number of literals that follow it directly. A first byte above 17 is a run of literals, that less 17.

use thiserror::Error;

/// Shortest match that is written.
const MATCH_MIN: usize = 3;
/// Largest distances of the three kinds of match that are written.
const NEAR_MAX: usize = 0x800;
const MIDDLE_MAX: usize = 0x4000;
const FAR_MAX: usize = 0xbfff;
/// Longest match of the nearest kind.
const NEAR_LENGTH_MAX: usize = 8;
/// No match is looked for so close to the end; saves the bounds of the search, and costs nearly nothing.
const TAIL: usize = 20;
/// log2 of the number of positions that are remembered.
const TABLE_BITS: u32 = 14;
const TABLE_LEN: usize = 1 << TABLE_BITS;
/// After every 2^5 literals without a match the search takes bigger steps: data that do not compress pass quickly.
const SKIP_SHIFT: usize = 5;
/// What ends a block.
const END: [u8; 3] = [17, 0, 0];

/// Why bytes are no LZO1X block of the announced length.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LzoError {
    /// An instruction, its literals or the end marker are missing.
    #[error("lzo data end too early")]
    InputTooShort,
    /// Bytes behind the end marker.
    #[error("{0} bytes behind the end of lzo data")]
    InputLeft(usize),
    /// More plain data than announced.
    #[error("lzo data are longer than announced")]
    OutputTooLong,
    /// Less plain data than announced.
    #[error("lzo data are {0} bytes shorter than announced")]
    OutputTooShort(usize),
    /// A match that begins before the data.
    #[error("lzo match reaches {distance} bytes back, only {written} are there")]
    TooFarBack {
        /// How far back.
        distance: usize,
        /// What was there.
        written: usize,
    },
}

/// Unpacks `src` into all of `dst`.
///
/// # Errors
/// If `src` is not exactly one block of exactly that length; `dst` then holds anything.
pub fn decompress(src: &[u8], dst: &mut [u8]) -> Result<(), LzoError> {
    let mut d = Decoder { src, at: 0, dst, written: 0 };
    // Literals right before the next instruction: 0, 1 to 3, or 4 for a run.
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

struct Decoder<'s, 'd> {
    src: &'s [u8],
    at: usize,
    dst: &'d mut [u8],
    written: usize,
}

impl Decoder<'_, '_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, LzoError> {
        let byte = *self.src.get(self.at).ok_or(LzoError::InputTooShort)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn word(&mut self) -> Result<usize, LzoError> {
        let low = self.byte()?;
        Ok(usize::from(u16::from_le_bytes([low, self.byte()?])))
    }

    /// The length whose bits in the instruction are `bits`; `most` is the most they can say.
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

    #[inline]
    fn literals(&mut self, n: usize) -> Result<(), LzoError> {
        let (from, to) = (self.at, self.written);
        // Most runs are short: one copy of fixed size, where there is room to write too much.
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
        // What is repeated may reach into what it makes: then every copy doubles what there is to copy from.
        let mut done = 0;
        while done < n {
            let step = (n - done).min(distance + done);
            self.dst.copy_within(from..from + step, to + done);
            done += step;
        }
        self.written += n;
        Ok(())
    }

    fn finish(&self) -> Result<(), LzoError> {
        match (self.src.len() - self.at, self.dst.len() - self.written) {
            (0, 0) => Ok(()),
            (0, missing) => Err(LzoError::OutputTooShort(missing)),
            (left, _) => Err(LzoError::InputLeft(left)),
        }
    }
}

#[inline]
fn chunk16(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    bytes.get(at..)?.first_chunk::<16>().copied()
}

#[inline]
fn chunk16_mut(bytes: &mut [u8], at: usize) -> Option<&mut [u8; 16]> {
    bytes.get_mut(at..)?.first_chunk_mut::<16>()
}

/// Packs blocks; keeps its table of positions and its room for what is packed from one to the next.
#[derive(Clone, Debug, Default)]
pub struct Compressor {
    /// Where each hash of four bytes was seen last; made at the first use.
    table: Option<Box<[u32; TABLE_LEN]>>,
    room: Vec<u8>,
}

impl Compressor {
    /// Allocates nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `src` as one block to `out`. `src` is at most 4 GiB long.
    pub fn compress(&mut self, src: &[u8], out: &mut Vec<u8>) {
        let table = self.table.get_or_insert_with(|| Box::new([0; TABLE_LEN]));
        table.fill(0);
        let most = packed_max(src.len());
        if self.room.len() < most {
            self.room.resize(most, 0);
        }
        let mut e = Encoder { src, out: &mut self.room, written: 0, literals: 0 };
        let last = src.len().saturating_sub(TAIL);
        let mut at = 1;
        while at < last {
            let here = four(src, at);
            let place = (here.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS)) as usize;
            let candidate = table[place] as usize;
            table[place] = at as u32;
            let distance = at - candidate;
            if distance > FAR_MAX || four(src, candidate) != here {
                at += 1 + ((at - e.literals) >> SKIP_SHIFT);
                continue;
            }
            let length = 4 + common(src, candidate + 4, at + 4);
            e.matched(at, length, distance);
            at += length;
        }
        let written = e.finish();
        out.extend_from_slice(self.room.get(..written).unwrap_or_default());
    }
}

/// More than `n` bytes become at worst: a run of 19 to 273 literals takes two bytes more, a longer one another for each 255, and
/// every match, of which one stands behind each run but the last, takes at least one byte less than what it stands for.
const fn packed_max(n: usize) -> usize {
    n + n / 16 + 64
}

struct Encoder<'s, 'o> {
    src: &'s [u8],
    /// Has room for the worst case; `written` bytes of it are used.
    out: &'o mut [u8],
    written: usize,
    /// Where the literals begin that are not written yet.
    literals: usize,
}

impl Encoder<'_, '_> {
    /// The literals up to `at`, then a match.
    #[inline]
    fn matched(&mut self, at: usize, length: usize, distance: usize) {
        debug_assert!(length >= MATCH_MIN && (1..=FAR_MAX).contains(&distance));
        self.flush(at);
        self.literals = at + length;
        if distance <= NEAR_MAX && length <= NEAR_LENGTH_MAX {
            let d = distance - 1;
            self.bytes([((length - 1) << 5 | (d & 7) << 2) as u8, (d >> 3) as u8]);
        } else if distance <= MIDDLE_MAX {
            self.instruction(32, length - 2, 31);
            self.bytes((((distance - 1) << 2) as u16).to_le_bytes());
        } else {
            let d = distance - MIDDLE_MAX;
            self.instruction(16 | (d >> 11 & 8), length - 2, 7);
            self.bytes((((d & (MIDDLE_MAX - 1)) << 2) as u16).to_le_bytes());
        }
    }

    /// The literals up to `at`.
    #[inline]
    fn flush(&mut self, at: usize) {
        let n = at - self.literals;
        if n == 0 {
            return;
        }
        if self.written == 0 && n <= 238 {
            self.bytes([17 + n as u8]);
        } else if n <= 3 {
            // A block never begins with so few: then the branch above took them.
            if let Some(byte) = self.out.get_mut(self.written.wrapping_sub(2)) {
                *byte |= n as u8;
            }
        } else {
            self.instruction(0, n - 3, 15);
        }
        if n <= 16 {
            // One copy of fixed size, where there is room to write too much.
            if let (Some(run), Some(room)) = (chunk16(self.src, self.literals), chunk16_mut(self.out, self.written)) {
                *room = run;
                self.written += n;
                return;
            }
        }
        let room = self.out.get_mut(self.written..self.written + n);
        if let (Some(run), Some(room)) = (self.src.get(self.literals..at), room) {
            room.copy_from_slice(run);
        }
        self.written += n;
    }

    /// An instruction with a length, of which its own bits can say `most`.
    #[inline]
    fn instruction(&mut self, op: usize, length: usize, most: usize) {
        if length <= most {
            return self.bytes([(op | length) as u8]);
        }
        self.bytes([op as u8]);
        let mut more = length - most;
        while more > 255 {
            self.bytes([0]);
            more -= 255;
        }
        self.bytes([more as u8]);
    }

    #[inline]
    fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        let room = self.out.get_mut(self.written..).and_then(<[u8]>::first_chunk_mut);
        debug_assert!(room.is_some(), "packed_max() is too small");
        if let Some(room) = room {
            *room = bytes;
        }
        self.written += N;
    }

    /// The rest and the end marker; how much was written.
    fn finish(mut self) -> usize {
        self.flush(self.src.len());
        self.bytes(END);
        self.written
    }
}

/// Four bytes as a number; 0 behind the end.
#[inline]
fn four(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_le_bytes(*b))
}

/// How many bytes are equal from `a` and from `b` (behind `a`) on.
#[inline]
fn common(bytes: &[u8], a: usize, b: usize) -> usize {
    let (Some(behind), Some(ahead)) = (bytes.get(a..), bytes.get(b..)) else { return 0 };
    let mut n = 0;
    for (x, y) in behind.chunks_exact(8).zip(ahead.chunks_exact(8)) {
        let differ = eight(x) ^ eight(y);
        if differ != 0 {
            return n + differ.trailing_zeros() as usize / 8;
        }
        n += 8;
    }
    let tails = behind.get(n..).unwrap_or_default().iter().zip(ahead.get(n..).unwrap_or_default());
    n + tails.take_while(|(x, y)| x == y).count()
}

#[inline]
fn eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(plain: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        Compressor::new().compress(plain, &mut packed);
        packed
    }

    fn unpack(packed: &[u8], len: usize) -> Result<Vec<u8>, LzoError> {
        let mut plain = vec![0xaa; len];
        decompress(packed, &mut plain).map(|()| plain)
    }

    /// A stream of numbers that is the same in every run.
    struct Rng(u64);

    impl Rng {
        fn next(&mut self) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize
        }

        /// Text that compresses more or less, with repeats near and far.
        fn text(&mut self, len: usize) -> Vec<u8> {
            let (mut text, alphabet) = (Vec::with_capacity(len), 1 + self.next() % 255);
            while text.len() < len {
                let n = (1 + self.next() % [3, 40, 700][self.next() % 3]).min(len - text.len());
                if text.len() > 4 && self.next() % 3 > 0 {
                    let distance = 1 + self.next() % text.len().min([8, 3000, 70_000][self.next() % 3]);
                    for _ in 0..n {
                        text.push(text[text.len() - distance]);
                    }
                } else {
                    text.extend((0..n).map(|_| (self.next() % alphabet) as u8));
                }
            }
            text
        }
    }

    #[test]
    fn known_instructions() {
        // No data; literals by a first byte; a run of 3; a run with a longer length.
        assert_eq!(unpack(&END, 0), Ok(vec![]));
        assert_eq!(unpack(&[21, 1, 2, 3, 4, 17, 0, 0], 4), Ok(vec![1, 2, 3, 4]));
        assert_eq!(unpack(&[1, 1, 2, 3, 4, 17, 0, 0], 4), Ok(vec![1, 2, 3, 4]));
        let run: Vec<u8> = (0..20).collect();
        assert_eq!(unpack(&[&[0, 2][..], &run, &END].concat(), 20), Ok(run));
        // A match of 2 after one literal, and again after two that follow it.
        assert_eq!(unpack(&[18, 7, 0b10, 0, 8, 9, 0b100, 0, 17, 0, 0], 7), Ok(vec![7, 7, 7, 8, 9, 8, 9]));
        // A match of 10 at distance 1.
        assert_eq!(unpack(&[18, 7, 32 | 8, 0, 0, 17, 0, 0], 11), Ok(vec![7; 11]));
    }

    #[test]
    fn a_match_of_three_after_a_run_lies_behind_the_near_ones() {
        let run: Vec<u8> = (0..2049usize).map(|i| (i * i / 7) as u8).collect();
        let mut packed = vec![0];
        packed.extend([0; 7]);
        packed.push((2049 - 18 - 7 * 255) as u8);
        packed.extend_from_slice(&run);
        packed.extend([0, 0, 17, 0, 0]);
        assert_eq!(unpack(&packed, 2052), Ok([&run[..], &run[..3]].concat()));
    }

    #[test]
    fn what_is_wrong_has_a_name() {
        assert_eq!(unpack(&[], 0), Err(LzoError::InputTooShort));
        assert_eq!(unpack(&[17, 0], 0), Err(LzoError::InputTooShort));
        assert_eq!(unpack(&[17, 0, 0, 9], 0), Err(LzoError::InputLeft(1)));
        assert_eq!(unpack(&END, 1), Err(LzoError::OutputTooShort(1)));
        assert_eq!(unpack(&[21, 1, 2, 3, 4, 17, 0, 0], 3), Err(LzoError::OutputTooLong));
        assert_eq!(unpack(&[18, 7, 32 | 8, 0, 0, 17, 0, 0], 10), Err(LzoError::OutputTooLong));
        assert_eq!(unpack(&[18, 7, 64, 3, 17, 0, 0], 4), Err(LzoError::TooFarBack { distance: 25, written: 1 }));
        assert_eq!(unpack(&vec![0; 1 << 20], 1 << 20), Err(LzoError::InputTooShort));
    }

    #[test]
    fn every_length_and_distance_comes_back() {
        let mut rng = Rng(0x1ce);
        let noise: Vec<u8> = (0..60_000).map(|_| rng.next() as u8).collect();
        for distance in
            [1, 2, 7, 8, 15, 16, 17, 2047, 2048, 2049, 16_383, 16_384, 16_385, 32_767, 32_768, 49_151, 49_152]
        {
            for length in [3, 4, 5, 8, 9, 10, 33, 34, 35, 264, 288, 289, 290, 543, 1000] {
                for literals in [0, 1, 2, 3, 4, 18, 19, 238, 239, 274] {
                    let mut plain = noise[..distance].to_vec();
                    for _ in 0..length {
                        plain.push(plain[plain.len() - distance]);
                    }
                    plain.extend_from_slice(&noise[50_000..50_000 + literals]);
                    plain.extend_from_slice(&noise[..40]);
                    assert_eq!(unpack(&pack(&plain), plain.len()), Ok(plain), "{distance} {length} {literals}");
                }
            }
        }
    }

    #[test]
    fn texts_of_all_kinds_come_back() {
        let mut rng = Rng(0x10_2025);
        for n in 0..600 {
            let len = if n < 100 { n } else { rng.next() % 150_000 };
            let plain = rng.text(len);
            let packed = pack(&plain);
            assert_eq!(unpack(&packed, len), Ok(plain), "{n}");
            assert!(packed.len() <= len + len / 16 + 64, "{} of {len}", packed.len());
        }
        for plain in [vec![0; 1 << 20], (0..1 << 20).map(|_| rng.next() as u8).collect()] {
            assert_eq!(unpack(&pack(&plain), plain.len()), Ok(plain));
        }
    }

    #[test]
    fn damaged_blocks_never_panic() {
        let mut rng = Rng(0xdead);
        for _ in 0..40 {
            let len = rng.next() % 3000;
            let plain = rng.text(len);
            let packed = pack(&plain);
            for _ in 0..250 {
                let mut damaged = packed.clone();
                for _ in 0..1 + rng.next() % 4 {
                    let at = rng.next() % damaged.len();
                    match rng.next() % 4 {
                        0 => damaged[at] = rng.next() as u8,
                        1 => damaged[at] ^= 1 << (rng.next() % 8),
                        2 => damaged.insert(at, rng.next() as u8),
                        _ if damaged.len() > 1 => drop(damaged.remove(at)),
                        _ => {}
                    }
                }
                // What it says does not matter; that the rest of the buffer is its own does.
                let _ = unpack(&damaged, len);
            }
        }
    }
}
