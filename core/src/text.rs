//! Strings as the wire knows them: bytes that are mostly, but not always, UTF-8.

use std::borrow::Cow;
use std::fmt;

/// A string of a message: any bytes but NUL, not promised to be UTF-8 (`spec/wire.md` 4). It prints lossily.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// The empty text.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The text of bytes that may hold NUL, as a compiler's output may: each becomes `?`, since no message can carry it.
    pub fn without_nul(mut bytes: Vec<u8>) -> Self {
        bytes.iter_mut().filter(|b| **b == 0).for_each(|b| *b = b'?');
        Self(bytes)
    }

    /// The bytes, without the NUL that ends them on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text for people: bytes that are not UTF-8 become replacement characters.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.lossy())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lossy(), f)
    }
}

impl From<&str> for Text {
    fn from(s: &str) -> Self {
        Self(s.as_bytes().to_vec())
    }
}

impl From<String> for Text {
    fn from(s: String) -> Self {
        Self(s.into_bytes())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}
