//! Numbers, bytes and lists of paths in encoded facts.
//!
//! A number is little-endian in groups of 7 bits, the last with a bit 7 of 0, in as few bytes as possible. A path is the
//! number of bytes that it shares with the one before, the number of its further bytes, and these.

use thiserror::Error;

/// Most bytes of what is read, when it is unpacked: what stands there once may be meant many times.
const MAX_PLAIN: usize = 64 << 20;
/// What an element of a list takes beside its bytes.
const ELEMENT: usize = 64;

/// Why bytes are no facts, difference or result.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// It ends too early.
    #[error("it ends too early")]
    Truncated,
    /// Bytes are left over.
    #[error("bytes are left over")]
    LeftOver,
    /// More facts, names or outputs than allowed.
    #[error("it has too many elements")]
    TooMany,
    /// More bytes than allowed.
    #[error("it is too large")]
    TooLarge,
    /// A number or kind out of its range, or not written in the one way.
    #[error("a number is wrong")]
    Number,
    /// A path is not canonical, or no path of its kind of fact.
    #[error("a path is not canonical")]
    Path,
    /// A name or the target of a link cannot exist.
    #[error("a name cannot exist")]
    Name,
    /// Paths or names are not sorted, or not written in the one way.
    #[error("paths are not in order")]
    Order,
    /// Something stands in what is not a directory.
    #[error("a path stands in no directory")]
    Parent,
    /// A difference removes what is not there.
    #[error("it removes what is not there")]
    Unknown,
}

/// Reads what [`Writer`] wrote.
pub(super) struct Reader<'a> {
    left: &'a [u8],
    /// How many bytes may still be unpacked.
    room: usize,
}

impl<'a> Reader<'a> {
    /// Reads from `bytes`, of which there may be `max`.
    pub(super) fn new(bytes: &'a [u8], max: usize) -> Result<Self, Malformed> {
        if bytes.len() > max { Err(Malformed::TooLarge) } else { Ok(Self { left: bytes, room: MAX_PLAIN }) }
    }

    /// Checks that nothing is left.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.left.is_empty() { Ok(()) } else { Err(Malformed::LeftOver) }
    }

    /// A byte.
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, left) = self.left.split_first().ok_or(Malformed::Truncated)?;
        self.left = left;
        Ok(*byte)
    }

    /// A number.
    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(Malformed::Number) } else { Ok(number) };
            }
        }
        Err(Malformed::Number)
    }

    /// A number that fits into less.
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.number()?).map_err(|_| Malformed::Number)
    }

    /// A number of elements, of which there may be `max`, and each takes a byte at least.
    pub(super) fn count(&mut self, max: usize) -> Result<usize, Malformed> {
        let count = self.small()?;
        if count > max {
            return Err(Malformed::TooMany);
        }
        if count > self.left.len() { Err(Malformed::Truncated) } else { Ok(count) }
    }

    /// As many bytes as their number says, which stands before them.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let n = self.small()?;
        self.take(n)
    }

    /// An array of bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed::Truncated)
    }

    /// A path or name behind `before`, of which it shares as much as it can.
    pub(super) fn shared(&mut self, before: &[u8]) -> Result<Vec<u8>, Malformed> {
        let n = self.small()?;
        let (shared, more) = (before.get(..n).ok_or(Malformed::Number)?, self.bytes()?);
        if more.first().is_some_and(|first| before.get(n) == Some(first)) {
            return Err(Malformed::Order);
        }
        let plain = ELEMENT + n + more.len();
        self.room = self.room.checked_sub(plain).ok_or(Malformed::TooLarge)?;
        Ok([shared, more].concat())
    }

    /// A list of at most `max` paths or names, sorted, for each of which `valid` holds.
    pub(super) fn sorted(&mut self, max: usize, valid: fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>, Malformed> {
        let count = self.count(max)?;
        let mut list: Vec<Vec<u8>> = Vec::new();
        for _ in 0..count {
            let next = self.shared(list.last().map_or(&[], Vec::as_slice))?;
            if list.last().is_some_and(|before| *before >= next) {
                return Err(Malformed::Order);
            }
            if !valid(&next) {
                return Err(Malformed::Name);
            }
            list.push(next);
        }
        Ok(list)
    }

    /// The next `n` bytes.
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, left) = self.left.split_at_checked(n).ok_or(Malformed::Truncated)?;
        self.left = left;
        Ok(bytes)
    }
}

/// Writes numbers, bytes and paths.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    /// A byte.
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// A number.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// A number of bytes or elements.
    pub(super) fn count(&mut self, n: usize) {
        self.number(n as u64);
    }

    /// Bytes, with their number before them.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// A path or name behind `before`.
    pub(super) fn shared(&mut self, before: &[u8], path: &[u8]) {
        let n = before.iter().zip(path).take_while(|(a, b)| a == b).count();
        self.count(n);
        self.bytes(path.get(n..).unwrap_or_default());
    }

    /// A list of paths or names, which are sorted.
    pub(super) fn sorted(&mut self, list: &[Vec<u8>]) {
        self.count(list.len());
        let mut before: &[u8] = &[];
        for path in list {
            self.shared(before, path);
            before = path;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
            let mut w = Writer::default();
            w.number(number);
            let mut r = Reader::new(&w.0, 99).unwrap();
            assert_eq!((r.number(), r.finish()), (Ok(number), Ok(())));
        }
        let read = |bytes: &[u8]| Reader::new(bytes, 99).unwrap().number();
        assert_eq!(read(&[0x80, 0]), Err(Malformed::Number), "a byte too many");
        assert_eq!(read(&[0x80]), Err(Malformed::Truncated));
        assert_eq!(read(&[&[0xff; 9][..], &[2]].concat()), Err(Malformed::Number), "65 bits");
        assert_eq!(read(&[0xff; 20]), Err(Malformed::Number));
    }

    #[test]
    fn what_stands_there_once_is_not_unpacked_without_end() {
        // 64 bytes for each, beside its own: 16384 of them are 64 MiB.
        let name = vec![b'a'; 4096 - 64];
        let mut w = Writer::default();
        (0..=16_384).for_each(|_| w.shared(&name, &name));
        let mut r = Reader::new(&w.0, usize::MAX).unwrap();
        assert!((0..16_383).all(|_| r.shared(&name).as_ref() == Ok(&name)));
        let mut one_byte_more = Reader { left: &[0, 1, b'a'], room: r.room - (4096 - 64) };
        assert_eq!(one_byte_more.shared(&[]), Err(Malformed::TooLarge));
        assert_eq!(r.shared(&name).as_ref(), Ok(&name));
        assert_eq!(r.shared(&name), Err(Malformed::TooLarge));
    }

    #[test]
    fn nothing_larger_than_allowed_is_begun() {
        assert!(matches!(Reader::new(b"ab", 1), Err(Malformed::TooLarge)));
        let reader = |bytes: &'static [u8]| Reader::new(bytes, 9).unwrap();
        assert!(Reader::new(b"ab", 2).is_ok());
        for (bytes, count) in [
            (&[2, 0, 0][..], Ok(2)),
            (&[3, 0, 0, 0], Err(Malformed::TooMany)),
            (&[2, 0], Err(Malformed::Truncated)),
            (&[0], Ok(0)),
            (&[], Err(Malformed::Truncated)),
        ] {
            assert_eq!(reader(bytes).count(2), count, "{bytes:?}");
        }
        assert_eq!(reader(&[0xff, 1]).small::<u8>(), Ok(255));
        assert_eq!(reader(&[0x80, 2]).small::<u8>(), Err(Malformed::Number));
        assert_eq!(reader(b"\x02ab").bytes(), Ok(&b"ab"[..]));
        assert_eq!(reader(b"\x03ab").bytes(), Err(Malformed::Truncated));
        assert_eq!(reader(b"ab").array(), Ok(*b"ab"));
        assert_eq!(reader(b"ab").array::<3>(), Err(Malformed::Truncated));
    }

    #[test]
    fn paths_share_all_that_they_can() {
        let read = |bytes: &'static [u8], before: &[u8]| Reader::new(bytes, 9).unwrap().shared(before);
        assert_eq!(read(b"\x02\x01c", b"/ab"), Ok(b"/ac".to_vec()));
        assert_eq!(read(b"\x03\x01c", b"/ab"), Ok(b"/abc".to_vec()));
        assert_eq!(read(b"\x02\x00", b"/ab"), Ok(b"/a".to_vec()));
        assert_eq!(read(b"\x02\x01b", b"/ab"), Err(Malformed::Order), "it shares one more");
        assert_eq!(read(b"\x04\x00", b"/ab"), Err(Malformed::Number), "it shares more than there is");
    }
}
