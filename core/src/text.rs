//! Strings of messages: bytes that are usually, but not always, UTF-8.

use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A string of a message: any bytes but NUL, not necessarily UTF-8 (`net/PROTOCOL.md`, Primitives). `Display` is lossy,
/// and prints one line without control characters: peers choose the bytes, and must neither forge lines of a log nor
/// control the terminal of its reader.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// The empty text.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The bytes, without the NUL that ends them on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Shortens it to its first `max` bytes.
    pub fn keep_start(&mut self, max: usize) {
        self.0.truncate(max);
    }

    /// Shortens it to its last `max` bytes, the significant part of a path.
    pub fn keep_end(&mut self, max: usize) {
        let cut = self.0.len().saturating_sub(max);
        self.0.drain(..cut);
    }

    /// The text; bytes that are not UTF-8 become replacement characters. For output use `Display`.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Converts it into its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lossy = self.lossy();
        if !lossy.chars().any(char::is_control) {
            return f.pad(&lossy);
        }
        let shown = |c: char| match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() => '?',
            c => c,
        };
        f.pad(&lossy.chars().map(shown).collect::<String>())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lossy(), f)
    }
}

/// Bytes that are not UTF-8 become replacement characters.
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.lossy())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_in_one_line_without_control_characters() {
        let text = Text::from("a.c\n[1] 2026-01-01 00:00:00: forged\u{1b}[2J\u{9b}2J\u{7f}");
        assert_eq!(text.to_string(), "a.c [1] 2026-01-01 00:00:00: forged?[2J?2J?");
        assert_eq!(format!("{:>4}", Text::from("a")), "   a");
    }

    #[test]
    fn bytes_go_in_and_out() {
        let bytes = b"a\xff\x00b".to_vec();
        assert_eq!(Text::from(bytes.clone()).into_bytes(), bytes);
        assert_eq!((Text::from("ab").len(), Text::from("ab").is_empty(), Text::new().is_empty()), (2, false, true));
        assert_eq!((Text::from("ab").as_str(), Text::from(&b"\xff"[..]).as_str()), (Some("ab"), None));
    }

    #[test]
    fn it_is_shortened_from_either_end() {
        let (mut start, mut end) = (Text::from("abcdef"), Text::from("abcdef"));
        start.keep_start(2);
        end.keep_end(2);
        assert_eq!((start, end), ("ab".into(), "ef".into()));
    }
}
