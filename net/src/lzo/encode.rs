//! Compression: each position is looked up once by a hash of four bytes. Speed matters more than the ratio.

use super::{END, MIDDLE_MAX, NEAR_MAX, chunk16, chunk16_mut};

/// Minimum length of a match: what the hash covers. The format has shorter ones, which are hardly worth the search.
const MATCH_MIN: usize = 4;
/// Maximum distance of the furthest kind of match.
const FAR_MAX: usize = 0xbfff;
/// Maximum length of a match of the nearest kind.
const NEAR_LENGTH_MAX: usize = 8;
/// Bytes at the end in which no match is searched. This saves bounds checks, and costs nearly nothing.
const TAIL: usize = 20;
/// log2 of the number of remembered positions.
const TABLE_BITS: u32 = 14;
/// The number of remembered positions.
const TABLE_LEN: usize = 1 << TABLE_BITS;
/// After each 2^5 literals without a match the search takes larger steps, so that incompressible data passes quickly.
const SKIP_SHIFT: usize = 5;

/// Compresses blocks. It keeps its table of positions and its output buffer from one block to the next.
#[derive(Clone, Debug, Default)]
pub struct Compressor {
    /// The last position of each hash of four bytes; allocated at the first use.
    table: Option<Box<[u32; TABLE_LEN]>>,
    room: Vec<u8>,
}

impl Compressor {
    /// Creates a compressor without allocating.
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
            let length = MATCH_MIN + common(src, candidate + MATCH_MIN, at + MATCH_MIN);
            e.matched(at, length, distance);
            at += length;
        }
        let written = e.finish();
        out.extend_from_slice(self.room.get(..written).unwrap_or_default());
    }
}

/// The maximum compressed size of `n` bytes. A run of 19 to 273 literals takes two bytes more, a longer one another
/// byte for each 255. Each match, and there is one after each run but the last, takes at least one byte less than what
/// it replaces.
const fn packed_max(n: usize) -> usize {
    n + n / 16 + 64
}

/// The state of writing one block.
struct Encoder<'s, 'o> {
    src: &'s [u8],
    /// The output, with room for the worst case; `written` bytes of it are used.
    out: &'o mut [u8],
    written: usize,
    /// Where the literals begin that are not written yet.
    literals: usize,
}

impl Encoder<'_, '_> {
    /// Writes the literals up to `at`, then a match.
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

    /// Writes the literals up to `at`.
    #[inline]
    fn flush(&mut self, at: usize) {
        let n = at - self.literals;
        if n == 0 {
            return;
        }
        if self.written == 0 && n <= 238 {
            self.bytes([17 + n as u8]);
        } else if n <= 3 {
            // A block never begins with so few: then the branch above was taken.
            if let Some(byte) = self.out.get_mut(self.written.wrapping_sub(2)) {
                *byte |= n as u8;
            }
        } else {
            self.instruction(0, n - 3, 15);
        }
        if n <= 16 {
            // One copy of fixed size, if there is room for it.
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

    /// Writes an instruction with a length, of which its own bits can express `most`.
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

    /// Writes bytes unchanged.
    #[inline]
    fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        let room = self.out.get_mut(self.written..).and_then(<[u8]>::first_chunk_mut);
        debug_assert!(room.is_some(), "packed_max() is too small");
        if let Some(room) = room {
            *room = bytes;
        }
        self.written += N;
    }

    /// Writes the remaining literals and the end marker; returns the size.
    fn finish(mut self) -> usize {
        self.flush(self.src.len());
        self.bytes(END);
        self.written
    }
}

/// Four bytes as a number; 0 beyond the end.
#[inline]
fn four(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_le_bytes(*b))
}

/// The number of equal bytes from `a` and from `b` (after `a`) on.
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

/// Eight bytes as a number; 0 if there are fewer.
#[inline]
fn eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}
