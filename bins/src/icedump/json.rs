//! Output as JSON. Strings are bytes that need not be UTF-8: invalid bytes become the lone surrogates U+DC80 to U+DCFF,
//! as in Python's "surrogateescape". No JSON crate writes these.

use std::fmt::{Display, Write as _};

use ice_core::message::{Chunk, Message};
use ice_core::version::Version;
use ice_net::compress::{CompressError, Unpacker};
use ice_net::wire::fields::{self, Field};
use ice_net::wire::number;
use ice_net::wire::udp::{Announce, Datagram, Reply, ReplyFormat};
use sha2::{Digest, Sha256};

use super::stream::{Handshake, Record, Side};

/// Number of uncompressed bytes of a chunk that are shown.
const HEAD_LEN: usize = 32;

/// A JSON object on one line, being written.
#[derive(Debug, Default)]
struct Object(String);

impl Object {
    /// Adds a value that is JSON already: a number, an object, a list.
    fn raw(mut self, key: &str, value: impl Display) -> Self {
        self.0.push_str(if self.0.is_empty() { "{" } else { ", " });
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\"{key}\": {value}");
        self
    }

    fn text(self, key: &str, value: &[u8]) -> Self {
        self.raw(key, quoted(value))
    }

    fn word(self, key: &str, value: Option<u32>) -> Self {
        match value {
            Some(n) => self.raw(key, n),
            None => self.raw(key, "null"),
        }
    }

    fn end(self) -> String {
        if self.0.is_empty() { "{}".into() } else { self.0 + "}" }
    }
}

/// `{"handshake": …}`
pub(super) fn handshake(h: &Handshake) -> String {
    let words = Object::default()
        .word("a_offer", h.a_offer)
        .word("b_offer", h.b_offer)
        .word("a_confirm", h.a_confirm)
        .word("b_confirm", h.b_confirm)
        .word("protocol", h.protocol.map(Version::number));
    Object::default().raw("handshake", words.end()).end()
}

/// A message as JSON; an error if it is a chunk whose data do not match its header.
pub(super) fn record(r: &Record, v: Version, unpacker: &mut Unpacker) -> Result<String, CompressError> {
    let name = match r.message {
        Message::MonGetCs(_) => "MON_GET_CS",
        _ => number::name(r.number).unwrap_or_default(),
    };
    let mut fields = Object::default();
    for (name, field) in fields::of(&r.message, v) {
        fields = fields.raw(name, value(&field));
    }
    if let Message::FileChunk(chunk) = &r.message {
        fields = plain(fields, chunk, unpacker)?;
    }
    let head = Object::default().text("dir", r.side.to_string().as_bytes()).raw("offset", r.offset);
    let head = head.raw("length", r.length).raw("type", r.number).text("name", name.as_bytes());
    Ok(head.raw("fields", fields.end()).end())
}

/// The error after which a side could not be read any further.
pub(super) fn error(side: Side, offset: u64, what: &str) -> String {
    let head = Object::default().text("dir", side.to_string().as_bytes()).raw("offset", offset);
    head.text("error", what.as_bytes()).end()
}

/// A datagram as JSON.
pub(super) fn datagram(bytes: &[u8]) -> String {
    let kind = |name: &str| Object::default().text("kind", name.as_bytes());
    match Datagram::parse(bytes) {
        // Its schema has no size.
        Some(Datagram::Query { version }) => return kind("query").raw("version", version).end(),
        Some(Datagram::Reply(reply)) => replied(&reply),
        Some(Datagram::Announce(a)) => announced(kind("announce"), &a).text("name", a.netname.as_bytes()),
        Some(Datagram::AnnounceLegacy { announce: a, name_length }) => {
            announced(kind("announce-legacy"), &a).raw("name_length", name_length).text("name", a.netname.as_bytes())
        }
        None => kind("other").text("hex", hex(bytes).as_bytes()),
    }
    .raw("size", bytes.len())
    .end()
}

fn replied(reply: &Reply) -> Object {
    let kind = match reply.format {
        ReplyFormat::Short => "reply-16",
        ReplyFormat::Little32 => "reply-32-le",
        ReplyFormat::Little268 => "reply-268-le",
        ReplyFormat::Big268 => "reply-268-be",
    };
    let mut object = Object::default().text("kind", kind.as_bytes()).raw("mark", reply.mark);
    if reply.format != ReplyFormat::Short {
        object = object.raw("version", reply.version).raw("start_time", reply.start_time);
    }
    object.text("name", reply.netname.as_bytes())
}

fn announced(object: Object, a: &Announce) -> Object {
    object.raw("version", a.version).raw("start_time", a.start_time)
}

fn plain(fields: Object, chunk: &Chunk, unpacker: &mut Unpacker) -> Result<Object, CompressError> {
    let mut plain = Vec::new();
    unpacker.unpack(chunk, &mut plain)?;
    let head = plain.get(..HEAD_LEN).unwrap_or(&plain);
    Ok(fields
        .text("algorithm", chunk.codec.name().as_bytes())
        .text("plain_sha256", hex(&Sha256::digest(&plain)).as_bytes())
        .text("plain_head_hex", hex(head).as_bytes()))
}

fn value(field: &Field<'_>) -> String {
    match field {
        Field::Number(n) => n.to_string(),
        Field::Signed(n) => n.to_string(),
        Field::Text(text) => quoted(text.as_bytes()),
        Field::Texts(texts) => list(texts.iter().map(|text| quoted(text.as_bytes()))),
        Field::Environments(pairs) => {
            list(pairs.iter().map(|pair| list([&pair.platform, &pair.name].into_iter().map(|t| quoted(t.as_bytes())))))
        }
    }
}

fn list(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.collect::<Vec<_>>().join(", "))
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\0'..='\u{1f}' | '\u{7f}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                _ => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\udc{byte:02x}");
        }
    }
    out.push('"');
    out
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn strings_are_bytes() {
        assert_eq!(quoted(b"a\"b\\c\n\x01"), r#""a\"b\\c\n\u0001""#);
        assert_eq!(quoted("ä→".as_bytes()), "\"ä→\"");
        assert_eq!(quoted(b"x\xff\xc3y\x80"), r#""x\udcff\udcc3y\udc80""#);
        // Bytes that would encode a surrogate.
        assert_eq!(quoted(b"\xed\xb2\x80"), r#""\udced\udcb2\udc80""#);
    }
}
