//! A bounds-checked cursor over one body. Every length and count is checked before memory is allocated.

use ice_core::env::EnvRef;
use ice_core::text::Text;

use super::Malformed;

/// Minimum size of a string in bytes: its length.
const TEXT_MIN: u64 = 4;

/// The cursor.
pub(super) struct Reader<'a> {
    body: &'a [u8],
    at: usize,
    strict: bool,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `body`. If `strict`, a string of length 0 is an error.
    pub(super) fn new(body: &'a [u8], strict: bool) -> Self {
        Self { body, at: 0, strict }
    }

    /// Reads a big-endian number.
    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let word = self.rest().first_chunk::<4>().ok_or(Malformed::Missing { needed: 4, left: self.left() })?;
        self.at += 4;
        Ok(u32::from_be_bytes(*word))
    }

    /// Reads a signed big-endian number.
    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_ne_bytes(self.u32()?.to_ne_bytes()))
    }

    /// Reads `n` bytes.
    pub(super) fn bytes(&mut self, n: u32) -> Result<&'a [u8], Malformed> {
        let needed = n as usize;
        let bytes = self.rest().get(..needed).ok_or(Malformed::Missing { needed, left: self.left() })?;
        self.at += needed;
        Ok(bytes)
    }

    /// Reads a string.
    pub(super) fn text(&mut self) -> Result<Text, Malformed> {
        let start = self.at;
        self.raw_text().inspect_err(|_| self.at = start)
    }

    /// Reads a list of strings.
    pub(super) fn texts(&mut self) -> Result<Vec<Text>, Malformed> {
        let count = self.count(TEXT_MIN)?;
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(self.text()?);
        }
        Ok(texts)
    }

    /// Reads a list of pairs of platform and name.
    pub(super) fn environments(&mut self) -> Result<Vec<EnvRef>, Malformed> {
        let count = self.count(2 * TEXT_MIN)?;
        let mut environments = Vec::with_capacity(count);
        for _ in 0..count {
            environments.push(EnvRef { platform: self.text()?, name: self.text()? });
        }
        Ok(environments)
    }

    /// Reads the count of a list whose elements take at least `each` bytes.
    pub(super) fn count(&mut self, each: u64) -> Result<usize, Malformed> {
        let start = self.at;
        let count = self.u32()?;
        let (needed, left) = (u64::from(count) * each, self.left());
        if needed > left as u64 {
            self.at = start;
            return Err(Malformed::Count { count, needed, left });
        }
        Ok(count as usize)
    }

    /// Checks that no bytes are left.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        match self.left() {
            0 => Ok(()),
            left => Err(Malformed::LeftOver(left)),
        }
    }

    /// The offset in the body; after an error, that of the wrong field.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Reads a string; after an error the offset is anywhere in it.
    fn raw_text(&mut self) -> Result<Text, Malformed> {
        let n = self.u32()?;
        if n == 0 {
            return if self.strict { Err(Malformed::NoBytes) } else { Ok(Text::new()) };
        }
        match self.bytes(n)?.split_last() {
            Some((0, text)) if text.contains(&0) => Err(Malformed::InnerNul),
            Some((0, text)) => Ok(text.into()),
            _ => Err(Malformed::NoNul),
        }
    }

    /// The bytes not read yet.
    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// Their number.
    fn left(&self) -> usize {
        self.body.len() - self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_take_all_that_is_left_and_no_more() {
        let bytes = [0, 0, 0, 2, 1, 2, 3, 4, 5, 6];
        assert_eq!(Reader::new(&bytes, false).count(3), Ok(2));
        let mut reader = Reader::new(&bytes, false);
        assert_eq!(reader.count(4), Err(Malformed::Count { count: 2, needed: 8, left: 6 }));
        assert_eq!(reader.at(), 0, "it is the count that is wrong");
    }
}
