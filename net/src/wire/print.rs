//! Formats any message as one short line, for trace logs. Long texts and lists are truncated, chunk data is only
//! counted, and control characters are escaped, because peers choose the bytes.

use ice_core::message::Message;
use ice_core::text::Text;
use ice_core::version::Version;
use std::fmt::{self, Write};

use super::fields::{self, Field};
use super::number;

/// Maximum number of bytes shown of a text.
const TEXT_MAX: usize = 60;
/// Maximum number of elements shown of a list.
const LIST_MAX: usize = 8;

/// Formats `message` as one line: its name, then its fields, like `USE_CS job_id=7 port=10245 hostname="10.0.0.3" …`.
/// The fields are those of the newest version.
pub fn line(message: &Message) -> String {
    let mut line = number::Named(number::of(message)).to_string();
    for (name, field) in fields::of(message, Version::TO_CLIENT) {
        // Writing to a string cannot fail.
        let _ = write!(line, " {name}={}", Shown(&field));
    }
    line
}

/// A field's value, to be printed.
struct Shown<'a>(&'a Field<'a>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Field::Number(n) => n.fmt(f),
            Field::Signed(n) => n.fmt(f),
            Field::Text(text) => show(text, f),
            Field::Texts(texts) => list(texts.iter(), f, |text, f| show(text, f)),
            Field::Environments(pairs) => list(pairs.iter(), f, |pair, f| {
                show(&pair.platform, f)?;
                f.write_char(':')?;
                show(&pair.name, f)
            }),
        }
    }
}

/// Prints a text, escaped and truncated.
fn show(text: &Text, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bytes = text.as_bytes();
    let head = bytes.get(..TEXT_MAX).unwrap_or(bytes);
    write!(f, "\"{}\"", head.escape_ascii())?;
    if head.len() < bytes.len() { write!(f, "+{}", bytes.len() - head.len()) } else { Ok(()) }
}

/// Prints a list, truncated.
fn list<T>(
    elements: impl ExactSizeIterator<Item = T>,
    f: &mut fmt::Formatter<'_>,
    one: impl Fn(T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    let more = elements.len().saturating_sub(LIST_MAX);
    f.write_char('[')?;
    for (i, element) in elements.take(LIST_MAX).enumerate() {
        if i > 0 {
            f.write_char(' ')?;
        }
        one(element, f)?;
    }
    if more > 0 {
        write!(f, " +{more}")?;
    }
    f.write_char(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use ice_core::message::{ArgSide, Chunk, CompileFile};

    #[test]
    fn a_line_is_short_and_printable() {
        let arguments = (0..1000).map(|i| (ArgSide::Rest, Text::from(format!("-D{i}\n\u{1b}[2J")))).collect();
        let m = CompileFile { arguments, environment: "x".repeat(10_000).into(), ..CompileFile::default() };
        let line = line(&Message::CompileFile(m));
        assert!(line.len() < 800, "{line}");
        assert!(line.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{line}");
    }

    #[test]
    fn data_are_only_counted() {
        let m = Chunk { plain_len: 9, data: vec![1; 5], ..Chunk::default() };
        assert_eq!(line(&Message::FileChunk(m)), "FILE_CHUNK uncompressed_length=9 compressed_length=5 compression=1");
    }
}
